"""The plugin host: what the engine sees of plugins.

`Host.load` finds, checks and orders everything that a config names, or raises one ConfigError with all problems. pluggy
holds the specifications and the registrations (in reverse, since it calls the last registered first); the calls are
made in `chains` and `jobs`. The host knows neither the config's models nor the crawl.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError, OptionError, PluginError, Problem
from pipeline.model import MAX_BODY, DeadLetter, Drop, Explained, Fault, Item, PageJob, PageResult, Request, copied
from pipeline.stages.assemble import Assembly, Placed, Use
from pipeline.stages.chains import PageFacts, SingleChain, Step, adapt, add, call_each, single_chain
from pipeline.stages.faults import short
from pipeline.stages.hookspecs import PAGE_HOOKS, PARENT_HOOKS, time_for
from pipeline.stages.limited import limited
from pipeline.stages.loading import Catalogue, Point, Text, stdout_guard, text_digest
from pipeline.stages.places import KeyPath, Locate, Problems
from pipeline.stages.registering import registered
from pipeline.stages.runinfo import RunInfo
from pipeline.stages.stores import BoundStore
from pipeline.stages.telling import deprecated, remarks
from pipeline.stages.typeflow import check_flow

if TYPE_CHECKING:
    from pipeline.stages.jobs import PageRunner, RuleBook
    from pipeline.stages.page import Page
    from pipeline.stages.tracing import Tracer

__all__ = ["Host", "Use"]

FIELDS = "fields"  # the parser of page rules: always first
SLOW = 0.05  # seconds that one `prepare_request` may take before it is named


class Host:
    """The plugins of one run. `seconds` is the time spent per plugin in hooks of this process, page jobs apart.

    `listed`: the config lists plugins, which have been imported whatever they give. `only_ours`: no code of others.
    """

    def __init__(
        self,
        placed: Sequence[Placed],
        *,
        rules: Mapping[str, Mapping[str, Any]],
        run: RunInfo,
        problems: Problems,
        notes: Sequence[Problem] = (),
        listed: bool = False,
    ) -> None:
        self.run = run
        self.seconds: dict[str, float] = {}
        self.slow: dict[str, float] = {}  # plugin -> longest prepare_request over SLOW, in seconds
        self.deprecations = deprecated(placed, problems)
        self.notes = [*notes, *self.deprecations, *remarks(placed, problems, FIELDS)]
        self._rules = rules
        self._problems = problems
        self._steps, self._owners = registered(placed)
        self.only_ours = not listed and all(place.source.is_bundled for place in placed)
        self.fetchers = {str(self._owners[id(step)].use.key[1]): step for step in self._steps["fetch"]}  # by page rule
        self._page_items, self._single_items = self._split_at_single()
        self._single_used = False
        self.tracer: Tracer | None = None
        self.points: list[Point] = []  # the entry points that there are, for processes that load the same plugins
        self.texts: dict[str, Text] = {}  # by file: what these processes must find there
        self.stores = [_bound(place) for place in placed if any(hook.hook == "store_items" for hook in place.hooks)]

    @classmethod
    def load(
        cls,
        *,
        plugins: Sequence[Use] = (),
        rules: Mapping[str, Mapping[str, Any]] | None = None,
        parse: Sequence[Use] = (),
        filter: Sequence[Use] = (),  # noqa: A002 - the section's name
        store: Sequence[Use] = (),
        seeds: Sequence[Use] = (),
        fetchers: Sequence[Use] = (),
        locate: Locate,
        run: RunInfo,
        catalogue: Catalogue | None = None,
        hides: Callable[[KeyPath], bool] = lambda key: False,
        whole: bool = True,
    ) -> Host:
        """Load what the config names and nothing else. `rules` are the page rules in long form; the key of a use in
        `fetchers` leads through its page rule: ("pages", RULE, "fetcher"). `hides`: what stands there is not shown.
        Where the config is not `whole`, nothing is said of names that nobody gives.

        Raises ConfigError with all problems, in the order of the file.
        """
        rules = rules or {}
        problems = Problems(locate, hides=hides)
        catalogue = catalogue or Catalogue()
        assembly = Assembly(catalogue=catalogue, problems=problems, run=run)
        declared = [Use(FIELDS, {"rules": rules}, ("pages",))] if any(map(_has_work, rules.values())) else []
        for use in parse:
            if use.name == FIELDS:
                problems.add(use.key, f"{FIELDS} reads the page rules and always comes first", "remove it")
        others = [use for use in parse if use.name != FIELDS]
        sections = {"parse": [*declared, *others], "filter": filter, "store": store, "seeds": seeds}
        sections["fetcher"] = fetchers
        with stdout_guard():
            assembly.assemble(plugins, sections)
            if whole and not problems.found:
                check_flow(assembly.placed, rules, problems, FIELDS)
        if problems.found:
            raise ConfigError(problems.in_order())
        host = cls(assembly.placed, rules=rules, run=run, problems=problems, notes=assembly.notes, listed=bool(plugins))
        host.points = [point for claims in catalogue.points.values() for point in claims]
        host.texts = catalogue.texts((place.file, place.source) for place in assembly.placed)
        return host

    stdout_guard = staticmethod(stdout_guard)

    def trace(self, target: str) -> None:
        """Tell of every call of a hook from now on: at the end of the file `target`, or on stderr (`-`)."""
        from pipeline.stages.tracing import Tracer  # noqa: PLC0415 - on request only

        self.tracer = tracer = Tracer(target)
        for hook, steps in self._steps.items():
            for step in steps:
                step.call = tracer.wrap(step.plugin, hook, step.call)
        for store in self.stores:
            store.note(partial(tracer.wrap, store.name))

    def limit(self, page_time: float) -> None:
        """Have plugins' hooks in this process come back in time (`time_for`), or fail as if they had raised; and to the
        working folder.
        """
        for hook in PARENT_HOOKS:
            for step in self._steps[hook]:
                if not self._owners[id(step)].source.is_bundled:  # ours may wait for stdin
                    step.call = limited(step.call, time_for(hook, page_time))

    # --- once a run, in the parent -----------------------------------------------------------------------------------

    def run_start(self, run: RunInfo) -> None:
        """Tell plugins that the run begins. Raises PluginError, or ConfigError for an OptionError."""
        for step in self._steps["run_start"]:
            with self._options_located(step):
                call_each([step], self.seconds, run)

    def run_finish(self, run: RunInfo, summary: Any) -> list[Fault]:
        """Tell plugins that the run is over. What they raise is logged, and returned as faults."""
        faults = []
        for step in self._steps["run_finish"]:
            try:
                call_each([step], self.seconds, run, summary)
            except PluginError as error:
                assert error.__cause__ is not None
                faults.append(step.charge(error.__cause__))
                run.log.error("%s", error)
        return faults

    def seeds(self, run: RunInfo) -> Iterator[Request]:
        """More start requests, as plugins give them: there may be millions. Raises PluginError, or ConfigError for an
        OptionError.
        """
        from pipeline.stages.links import RuleBook, start_requests  # noqa: PLC0415 - not for the store process

        book = RuleBook({name: {} for name in self._rules})
        for step in self._steps["seeds"]:
            page = self._owners[id(step)].use.page
            with self._options_located(step):
                try:
                    yield from start_requests(step.call(run), page, book)
                except (KeyboardInterrupt, GeneratorExit):
                    raise
                except BaseException as error:
                    raise PluginError(step.plugin, step.hook, step.charge(error).message) from error

    @property
    def brings_seeds(self) -> bool:
        """Whether a plugin may give start requests; which, only a run can tell."""
        return bool(self._steps["seeds"])

    def problem_of(self, error: PluginError) -> Problem:
        """What a plugin did wrong before there was a run, at the place in the config that names it."""
        steps = [step for step in self._steps[error.hook] if step.plugin == error.plugin]
        return self._problems.at(self._owners[id(steps[0])].use.key, str(error))

    @contextlib.contextmanager
    def _options_located(self, step: Step) -> Iterator[None]:
        try:
            yield
        except PluginError as error:
            if not isinstance(error.__cause__, OptionError):
                raise
            use, cause = self._owners[id(step)].use, error.__cause__
            problem = self._problems.of_option(use.key, step.plugin, cause)
            raise ConfigError([problem]) from error

    # --- once an attempt, in the parent ------------------------------------------------------------------------------

    def prepare_request(self, request: Request) -> Request:
        """The request as it is sent: a copy that every plugin has gone over. Raises PluginError."""
        steps = self._steps["prepare_request"]
        prepared = copied(request)
        prepared.headers = dict(request.headers)
        for step in steps:
            start = perf_counter()
            try:
                answer = step.call(prepared)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                raise PluginError(step.plugin, step.hook, step.charge(error).message) from error
            finally:
                self._time(step.plugin, perf_counter() - start)
            if isinstance(answer, Request):
                prepared = answer
            elif answer is not None:
                message = f"answered {short(answer)}; expected a Request, or None for the one given as changed"
                raise PluginError(step.plugin, step.hook, message)
        return prepared

    def _time(self, plugin: str, spent: float) -> None:
        add(self.seconds, plugin, spent)
        if spent > SLOW:
            self.slow[plugin] = max(spent, self.slow.get(plugin, 0.0))

    # --- pages and items ---------------------------------------------------------------------------------------------

    def page_runner(
        self, book: RuleBook | None = None, *, max_body: int = MAX_BODY, agent: str | None = None
    ) -> PageRunner:
        """What workers run: PageJob -> PageResult. `book` has the page rules; by default those that were loaded.

        `agent` is the User-Agent to which pages say what robots may do; None: what they say is not heeded.
        """
        from pipeline.stages.directives import Directives  # noqa: PLC0415 - half a store process's start, and unused there
        from pipeline.stages.jobs import PageRunner, RuleBook  # noqa: PLC0415 - as above

        return PageRunner(
            classify=self._steps["classify"],
            parse=self._steps["parse"],
            process_item=self._page_items,
            admit=self._steps["admit"],
            book=book or RuleBook(self._rules),
            run=self.run,
            max_body=max_body,
            directives=Directives(agent) if agent is not None else None,
        )

    def run_page(self, job: PageJob) -> PageResult:
        """One page with a runner made for it; for one page by hand. A crawl keeps a `page_runner`."""
        return self.page_runner()(job)

    def explain(self, page: Page) -> list[Explained]:
        """How what was asked of the page fared, as told by those parsers that have a method `explain(page)`."""
        parsers = (self._owners[id(step)].target for step in self._steps["parse"])
        return [one for parser in parsers if hasattr(parser, "explain") for one in parser.explain(page)]

    def spent(self) -> dict[str, float]:
        """Seconds in each plugin's hooks of this process, page jobs apart."""
        total = dict(self.seconds)
        for store in self.stores:
            add(total, store.name, store.seconds)
        return {plugin: seconds for plugin, seconds in total.items() if seconds}

    def single_chain(self) -> SingleChain | None:
        """The filters that run at publish, for one item at a time, from the start; None if there are none.

        A filter whose only hook is `process_item` is built anew for each chain; one with other hooks keeps its object.
        """
        if not self._single_items:
            return None
        steps = self._renewed() if self._single_used else self._single_items
        self._single_used = True
        return single_chain(steps, self.seconds)

    def publish_chain(
        self, items: Iterable[tuple[PageFacts, Item]]
    ) -> Iterator[tuple[PageFacts, Item | Drop | DeadLetter]]:
        """`single_chain` over a whole result, in output order: for each item what became of it."""
        chain = self.single_chain()
        for facts, item in items:
            yield facts, item if chain is None else chain(item, facts)

    def _split_at_single(self) -> tuple[list[Step], list[Step]]:
        steps = self._steps["process_item"]
        for index, step in enumerate(steps):
            if getattr(self._owners[id(step)].target, "single", False):
                return steps[:index], steps[index:]
        return steps, []

    def _renewed(self) -> list[Step]:
        steps = []
        for step in self._single_items:
            place = self._owners[id(step)]
            if place.make is None or len(place.hooks) > 1:
                steps.append(step)
                continue
            hook = place.hooks[0]
            call = adapt(getattr(place.make(), hook.attribute), hook.hook, hook.arguments)
            if self.tracer is not None:
                call = self.tracer.wrap(step.plugin, step.hook, call)
            steps.append(Step(step.plugin, step.hook, call, step.file, step.items))
        return steps

    def identities(self, sections: Iterable[str]) -> list[tuple[str, ...]]:
        """Of the plugins of these sections, and of others that have a say in pages and items: section, name,
        distribution, version, and a hash of the source; sorted.
        """
        wanted = frozenset(sections)
        places = self._owners.values()
        return sorted({_identity(place) for place in places if place.section in wanted or _has_any(place, PAGE_HOOKS)})

    def uses(self, section: str, hooks: Collection[str]) -> list[Use]:
        """The entries of a section whose plugins have one of these hooks, for a process that calls these."""
        found = (place for place in self._owners.values() if place.section == section and _has_any(place, hooks))
        return list({id(place): place.use for place in found if place.name != FIELDS}.values())

    @property
    def bundled(self) -> frozenset[str]:
        """Names of plugins that come with the framework."""
        return frozenset(place.name for place in self._owners.values() if place.source.is_bundled)

    # --- what there is -----------------------------------------------------------------------------------------------

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """Hook -> its plugins in call order: `plugin, section, distribution, version, file, at`.

        `at` is `publish` for filters that run there, else empty. Hooks without plugins are left out.
        """
        told: dict[str, list[dict[str, Any]]] = {}
        late = set(map(id, self._single_items))
        for hook, steps in self._steps.items():
            for step in steps:
                place = self._owners[id(step)]
                told.setdefault(hook, []).append(
                    {
                        "plugin": step.plugin,
                        "section": place.section,
                        "distribution": place.source.distribution,
                        "version": place.source.version,
                        "file": place.file,
                        "at": "publish" if id(step) in late else "",
                    }
                )
        return told


def _has_any(place: Placed, hooks: Collection[str]) -> bool:
    return any(hook.hook in hooks for hook in place.hooks)


def _identity(place: Placed) -> tuple[str, ...]:
    source = place.source
    return (
        *(place.section, place.name, source.distribution or "", source.version or ""),
        text_digest(place.file, source),
    )


def _bound(place: Placed) -> BoundStore:
    hooks = {hook.hook: adapt(hook.function, hook.hook, hook.arguments) for hook in place.hooks}
    use = place.use
    return BoundStore(
        place.name,
        hooks,
        items=use.items,
        write=use.write,
        only=use.only,
        meta=use.meta,
        path=getattr(place.target, "path", None),
        file=place.file,
    )


def _has_work(rule: Mapping[str, Any]) -> bool:
    return bool(rule.get("items") or rule.get("follow"))
