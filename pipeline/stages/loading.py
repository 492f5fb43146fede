"""Finding and importing plugins by the name that a YAML file gives them; nothing else is imported.

A name is a file path (it has a slash or ends in `.py`), an entry point of group `hookline`, or a module. Files are
compiled into modules with private names and no bytecode; the bundled plugins are imported below a private package whose
path is where the framework itself lies. So no `plugins/` or `pipeline/` folder in the working directory can come
between, and `sys.path` is never touched. "There is no such plugin" and "it is there, but its import failed" are
different errors.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple, TextIO

import msgspec

from pipeline.stages import stdout
from pipeline.stages.faults import describe

GROUP: Final = "hookline"
_BUNDLED: Final = "_hookline_bundled"
_HOME: Final = Path(__file__).resolve().parents[2]  # where `pipeline` lies, and so the bundled plugins


class LoadError(Exception):
    """A plugin cannot be had; `hint` says what to do. `missing` tells "no such plugin" from "its import failed"."""

    def __init__(self, message: str, hint: str = "", *, missing: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.missing = missing


class Source(msgspec.Struct, frozen=True):
    """A plugin's code, imported. `plugin_class` is set if the plugin is a class; `entry_point` if it was named so."""

    name: str
    module: ModuleType
    plugin_class: type[Any] | None = None
    entry_point: str | None = None
    distribution: str | None = None
    version: str | None = None
    digest: str = ""  # of the text that was compiled, where we did that

    @property
    def file(self) -> str | None:
        """The source file."""
        return getattr(self.module, "__file__", None)

    @property
    def is_bundled(self) -> bool:
        """Does it come with the framework?"""
        return self.module.__name__.startswith(f"{_BUNDLED}.")


class Point(NamedTuple):
    """An entry point: its name, `module` or `module:Class`, and whose it is."""

    name: str
    value: str
    distribution: str | None = None
    version: str | None = None


def installed_points() -> list[Point]:
    """The entry points of all distributions."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - 15 ms; worker processes are told the points

    owners: dict[int, tuple[str, str]] = {}  # to read a distribution's name takes as long as all else here
    found = []
    for point in entry_points(group=GROUP):
        owner = point.dist
        if owner is not None and id(owner) not in owners:
            owners[id(owner)] = (owner.name, owner.version)
        found.append(Point(point.name, point.value, *owners.get(id(owner), (None, None))))
    return found


class Text(NamedTuple):
    """The source of a plugin as it was when that was loaded: a hash, and whose it is."""

    plugin: str
    digest: str


def text_digest(file: str | None, source: Source) -> str:
    """Of a source file of this plugin."""
    if source.digest and file == source.file:
        return source.digest  # the file may have changed since
    return _digest(Path(file).read_bytes() if file and Path(file).is_file() else b"")


def _digest(text: bytes) -> str:
    return blake2b(text, digest_size=16).hexdigest()


class Catalogue:
    """The entry points there are, and what has been imported through this object. One a load."""

    def __init__(self, points: Iterable[Point] | None = None) -> None:
        self._given = None if points is None else list(points)
        self._loaded: dict[str, Source] = {}

    @cached_property
    def points(self) -> dict[str, list[Point]]:
        """Entry points by name. More than one of a name are two distributions' claims to it."""
        found: dict[str, list[Point]] = {}
        for point in installed_points() if self._given is None else self._given:
            claims = found.setdefault(point.name, [])
            if all(claim.value != point.value for claim in claims):
                claims.append(point)
        return found

    def names(self, kind: str, name: str) -> str:
        """The entry point that a component of this kind and name comes from: `KIND.NAME`, for names that several kinds
        have, else `NAME`; empty if there is none.
        """
        return next((point for point in (f"{kind}.{name}", name) if point in self.points), "")

    def known(self, kind: str) -> list[str]:
        """What components of this kind may be called, as far as entry points tell."""
        return [point.removeprefix(f"{kind}.") for point in self.points]

    def load(self, name: str, folder: Path, stems: Iterable[str] = ()) -> Source:
        """The plugin of this name; file paths are relative to `folder`. Raises LoadError.

        `stems` are names that the config has for its own plugins: they are suggested where a name is misspelt.
        """
        if is_path(name):
            path = (folder / name).absolute()
            return self._once(str(path), lambda: from_file(path, name))
        if name in self.points:
            return self._once(name, lambda: self.from_entry_point(name))
        beside = [f"./{name}.py"] if (folder / f"{name}.py").is_file() else []
        return self._once(name, lambda: from_module(name, [*beside, *self.points, *stems]))

    def _once(self, key: str, load: Any) -> Source:
        if key not in self._loaded:
            self._loaded[key] = load()
        return self._loaded[key]

    def texts(self, more: Iterable[tuple[str | None, Source]] = ()) -> dict[str, Text]:
        """The source files of all that was loaded, but for what comes with the framework; and `more` of these plugins.

        A process is to run the same plugins as another if what it has of these files is equal.
        """
        found = [*((source.file, source) for source in self._loaded.values()), *more]
        others = {file: source for file, source in found if file and not source.is_bundled}
        return {file: Text(source.name, text_digest(file, source)) for file, source in others.items()}

    def from_entry_point(self, name: str) -> Source:
        """Import what an entry point names: `module` or `module:Class`."""
        claims = self.points[name]
        if len(claims) > 1:
            several = ", ".join(f"{claim.value} ({claim.distribution or 'unknown'})" for claim in claims)
            raise LoadError(f"several installed plugins are called {name!r}: {several}", "name the module instead")
        point = claims[0]
        place, _, attribute = point.value.partition(":")
        ours = point.distribution == GROUP and _beside_us(place)
        module = _import(_private(place) if ours else place, called=name)
        chosen = None
        if attribute:
            chosen = getattr(module, attribute, None)
            if not isinstance(chosen, type):
                raise LoadError(
                    f"entry point {name!r} says {point.value}, but {attribute} is no class of that module",
                    f"tell the author of {point.distribution or 'the plugin'}",
                )
        return Source(name, module, chosen or _plugin_class(module), name, point.distribution, point.version)


def is_path(name: str) -> bool:
    """True if a plugin's name is that of a file."""
    return "/" in name or "\\" in name or name.endswith(".py")


def nearest(name: str, names: Iterable[str]) -> str:
    """`did you mean 'x'?`, or an empty text if nothing is near."""
    close = _close(name, names)
    return f"did you mean {close[0]!r}?" if close else ""


def _instead(name: str, known: Iterable[str]) -> str:
    """The file of that name, else the nearest name, else which names there are."""
    known = list(known)
    return f"did you mean './{name}.py'?" if f"./{name}.py" in known else nearest(name, known) or _FORMS


def _close(name: str, names: Iterable[str]) -> list[str]:
    from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

    return get_close_matches(name, list(names), n=1)


def from_file(path: Path, name: str) -> Source:
    """A plugin from a source file: compiled here, in `sys.modules` under a name that no import can mean."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise LoadError(*_unreadable(path, name, error), missing=isinstance(error, FileNotFoundError)) from None
    digest = blake2b(str(path).encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
    module = ModuleType(f"_hookline_{path.stem}_{digest}")
    module.__file__ = str(path)
    module.__package__ = ""  # in none, so that a relative import says so without a warning
    sys.modules[module.__name__] = module  # dataclasses and pydantic look their module up there
    try:
        exec(compile(text, str(path), "exec", dont_inherit=True), module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        del sys.modules[module.__name__]
        raise _failed(name, error, str(path)) from error
    return Source(path.stem, module, _plugin_class(module), digest=_digest(text))


def from_module(name: str, known: Iterable[str]) -> Source:
    """A plugin by module name, as `import` finds it."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise LoadError(f"there is no plugin {name!r}", _instead(name, known), missing=True)
    module = _import(name, known)
    return Source(name, module, _plugin_class(module))


_FORMS: Final = "a plugin is named by entry point (see hookline plugin list), by module, or by file such as ./x.py"


def _unreadable(path: Path, name: str, error: OSError) -> tuple[str, str]:
    """(message, hint) for a file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        folder = path.parent
        siblings = [entry.name for entry in folder.glob("*.py")] if folder.is_dir() else []
        close = _close(path.name, siblings)
        hint = f"did you mean {close[0]}?" if close else "paths are relative to the config file that names them"
        return f"there is no file {path}", hint
    return f"{name} cannot be read: {error.strerror}", f"look at {path}"


def _import(name: str, known: Iterable[str] = (), called: str = "") -> ModuleType:
    """Import a module, `called` so in the config. Raises LoadError, and says whose fault it is."""
    called = called or name
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        if not _is_itself_missing(error, name):
            raise _failed(called, error) from error
        hint = _instead(name, known)
        raise LoadError(f"there is no plugin or module {name!r}", hint, missing=True) from None
    except BaseException as error:
        raise _failed(called, error) from error


def _is_itself_missing(error: ModuleNotFoundError, name: str) -> bool:
    """True if the module asked for, or a package it lies in, is not there; False if its own code imports what is not.

    The latter has a frame of that code in its traceback.
    """
    if error.name is None or not f"{name}.".startswith(f"{error.name}."):
        return False
    step = error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if file not in (__file__, importlib.__file__) and not file.startswith("<frozen importlib"):
            return False
        step = step.tb_next
    return True


def _failed(name: str, error: BaseException, file: str | None = None) -> LoadError:
    hint = "the plugin is there, but its own code fails"
    if file is not None and isinstance(error, ImportError) and _is_beside(error, Path(file)):
        hint = "a plugin file is loaded alone: put what it shares into a package that is installed, or into one file"
    elif isinstance(error, ModuleNotFoundError) and error.name:
        hint = f"the plugin is there, but it needs {error.name.partition('.')[0]}, which is not installed"
    return LoadError(f"importing {name} failed: {describe(error, file)}", hint)


def _is_beside(error: ImportError, file: Path) -> bool:
    """True for an import of what lies in the plugin file's folder, which is never on the path."""
    if "relative import" in str(error):
        return True
    name = (error.name or "").partition(".")[0]
    return bool(name) and (file.with_name(f"{name}.py").is_file() or file.with_name(name).is_dir())


def _plugin_class(module: ModuleType) -> type[Any] | None:
    chosen = getattr(module, "Plugin", None)
    return chosen if isinstance(chosen, type) else None


def _beside_us(name: str) -> bool:
    """True if a module of our own distribution lies where the framework does, as the bundled plugins do."""
    path = _HOME.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _private(name: str) -> str:
    """The name under which a bundled plugin is imported: below a package of ours, whatever `name` may mean here."""
    if _BUNDLED not in sys.modules:
        root = ModuleType(_BUNDLED, "Where the framework lies, as a package: what the bundled plugins are below.")
        root.__path__ = [str(_HOME)]
        sys.modules[_BUNDLED] = root
    return f"{_BUNDLED}.{name}"


@contextlib.contextmanager
def stdout_guard() -> Iterator[TextIO]:
    """Send what plugins print to stderr; gives the real stdout. Once around a run: per call it would cost too much.

    What C code and child processes write goes there as well; `stdout.descriptor()` leads to the real one.
    """
    real = sys.stdout
    with contextlib.redirect_stdout(sys.stderr), stdout.turned_away(real):
        yield real
