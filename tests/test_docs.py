"""The documents tell what the code does: keys, hooks, commands, flags, exit codes, fates, connection states, links.

Both directions: what is missing from the documents fails, and so does what they promise and the code does not have.
The examples of docs/plugins.md are run as they stand, and must give the items printed below them.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import pipeline
from pipeline import errors

REPO = Path(__file__).resolve().parent.parent
DOCS = REPO / "docs"
DOCUMENTS = [REPO / "README.md", REPO / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
ANY = "*"


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every table row."""
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def sections(text: str, level: str) -> dict[str, str]:
    """Title (without backticks) to text, for headings of this level."""
    parts = re.split(rf"^{level} (.+)$", text, flags=re.M)
    return {title.replace("`", "").strip(): body for title, body in zip(parts[1::2], parts[2::2], strict=True)}


# --- config ----------------------------------------------------------------------------------------------------------


def walk(node: dict[str, Any], root: dict[str, Any], path: str, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """Key paths of a JSON Schema: `a.b`, `a[].b`, `a.*` for names that the user chooses."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        if name not in seen:
            yield from walk(root["$defs"][name], root, path, (*seen, name))
        return
    for key in ("anyOf", "oneOf", "allOf"):
        for choice in node.get(key, []):
            yield from walk(choice, root, path, seen)
    for name, child in node.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        yield below
        yield from walk(child, root, below, seen)
    for name in ("additionalProperties", "items"):
        if isinstance(node.get(name), dict):
            below = f"{path}.{ANY}" if name == "additionalProperties" else f"{path}[]"
            if name == "additionalProperties":
                yield below
            yield from walk(node[name], root, below, seen)


def documented_keys() -> dict[str, str]:
    """Key path to its last cell ("in 0.1"), from the four-column tables; capital segments stand for any name."""
    found = {}
    for cells in rows(read("config.md")):
        if len(cells) == 4 and cells[0].startswith("`") and cells[3] in ("yes", "no"):
            path = re.sub(r"\b[A-Z]+\b(?=[.\[]|$)", ANY, cells[0].strip("`"))
            found[path] = cells[3]
    return found


def schema_keys() -> set[str]:
    from pipeline.config.schema import Config

    schema = Config.model_json_schema()
    # A carried value, or a part of a link, is written like a field: the keys of one are told of once. And nobody writes
    # a component's entry as the model has it: its name is the key, its options are the value.
    told_elsewhere = re.compile(
        r"pages\.\*\.follow\[\]\.(carry\.\*|first_of\[\]|join\[\]|regex|each)\.|(seeds|plugins|parse|filter|store)\[\]\.(name|options)$"
    )
    return {path for path in walk(schema, schema, "") if not told_elsewhere.match(path)}


def test_every_config_key_is_documented_and_no_other() -> None:
    documented, known = set(documented_keys()), schema_keys()
    assert not known - documented, "keys that docs/config.md does not tell of"
    assert not documented - known, "docs/config.md tells of keys that do not exist"


def test_the_docs_say_which_keys_have_no_effect_yet() -> None:
    from pipeline.config.effects import WITHOUT_EFFECT

    def is_silent(path: str) -> bool:
        pattern = path.replace("[]", f".{ANY}").replace(f"pages.{ANY}.items.{ANY}.fields.{ANY}", "field")
        parts = pattern.split(".")
        return any(".".join(parts[:end]) in WITHOUT_EFFECT for end in range(1, len(parts) + 1))

    wrong = {path: effect for path, effect in documented_keys().items() if (effect == "no") != is_silent(path)}
    assert not wrong


OUR_WORDS = {"write", "items", "page"}  # parameters of factories, but told of with the entries of stores and seeds


def bundled_components() -> dict[tuple[str, str], set[str]]:
    """(name, kind) to options, of all components and plugins that come along but `fields`: its options are `pages`."""
    found: dict[tuple[str, str], set[str]] = {}
    for entry in importlib.metadata.distribution("hookline").entry_points.select(group="hookline"):
        module = importlib.import_module(entry.value)
        registered: dict[tuple[str, str], Any] = {}
        if hasattr(module, "register"):
            registry = pipeline.Registry()
            module.register(registry)
            registered = {(one.name, one.kind): one.factory for one in registry.components.values()}
        for key, factory in (registered or {(entry.name, "plugin"): module.Plugin}).items():
            found[key] = set(inspect.signature(factory).parameters) - {"run"} - OUR_WORDS
    return {key: options for key, options in found.items() if key[0] != "fields"}


def test_every_bundled_component_is_documented_with_its_options(installed: str) -> None:
    assert installed
    table = read("config.md").partition("| bundled |")[2].partition("\n\n")[0]
    lines = [row for row in rows(f"| bundled |{table}") if row[0].startswith("`")]
    cells = {(row[0].strip("`"), row[1].partition(",")[0]): row[2] for row in lines}
    known = bundled_components()
    assert set(cells) == set(known)
    told = {name: set(re.findall(r"`(\w+)`", text)) for name, text in cells.items()}
    assert not {name: missing for name, options in known.items() if (missing := options - told[name])}


# --- commands --------------------------------------------------------------------------------------------------------


def commands(
    group: click.Group, context: click.Context, prefix: str = "hookline"
) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, context, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


@pytest.fixture(scope="module")
def known_commands() -> dict[str, click.Command]:
    from pipeline.cli import main

    return dict(commands(main, click.Context(main)))


@pytest.fixture(scope="module")
def documented_commands() -> dict[str, str]:
    """`hookline run` to its section; the heading's arguments are cut off."""
    return {
        " ".join(word for word in title.split() if word == word.lower() and word.isascii()): body
        for title, body in sections(read("commands.md"), "##").items()
        if title.startswith("hookline ")
    }


def flags_of(command: click.Command) -> set[str]:
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    return {flag for option in options if not option.hidden for flag in (*option.opts, *option.secondary_opts)} - {
        "--help",
        "-h",
    }


def test_every_command_is_documented_and_no_other(
    known_commands: dict[str, click.Command], documented_commands: dict[str, str]
) -> None:
    assert set(documented_commands) == set(known_commands)


def test_every_flag_is_documented_and_no_other(
    known_commands: dict[str, click.Command], documented_commands: dict[str, str]
) -> None:
    for name, command in known_commands.items():
        first_cells = " ".join(cells[0] for cells in rows(documented_commands[name]))
        documented = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", first_cells))
        assert documented == flags_of(command), name


def exit_codes(text: str) -> dict[str, str]:
    """Code to meaning, from the tables whose rows begin with a number."""
    found = {}
    for cells in rows(text):
        for code in re.findall(r"\d+", cells[0]) if re.fullmatch(r"\d+(, \d+)*", cells[0]) else ():
            found[code] = cells[1]
    return found


def test_exit_codes_are_the_same_everywhere() -> None:
    from pipeline.runner.summary import EXIT_ORDER

    expected = set(map(str, EXIT_ORDER))
    assert set(exit_codes(read("commands.md"))) == expected
    assert set(exit_codes((REPO / "README.md").read_text(encoding="utf-8"))) == expected
    ours = {str(kind.exit_code) for kind in every_error(errors.HooklineError)}
    assert ours <= expected


# --- fates -----------------------------------------------------------------------------------------------------------


def every_error(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for below in kind.__subclasses__():
        yield from every_error(below)


def test_every_fate_is_documented() -> None:
    documented = set(re.findall(r"^\| `([a-z_]+(?::[a-zN_]+)?)` \|", read("operating.md"), flags=re.M))
    given = {kind.fate for kind in every_error(errors.FetchError)}
    written = set()  # fates that stand as text anywhere in the framework
    for path in (REPO / "pipeline").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        written |= set(re.findall(r"\"((?:rejected|failed|deferred):[a-z_]+)\"", text))
    assert not (given | written) - documented - {"failed:http_"}


# --- hooks -----------------------------------------------------------------------------------------------------------


def hook_signatures() -> dict[str, str]:
    """Name to `name(argument, ...)` for every hook specification."""
    module = importlib.import_module("pipeline.stages.hookspecs")
    functions = [
        function
        for holder in (module, *(one for one in vars(module).values() if inspect.isclass(one)))
        for function in vars(holder).values()
        if inspect.isfunction(function) and hasattr(function, "hookline_spec")
    ]
    found = {}
    for function in functions:
        arguments = [name for name in inspect.signature(function).parameters if name != "self"]
        found[function.__name__] = f"{function.__name__}({', '.join(arguments)})"
    return found


def hook_sections() -> dict[str, str]:
    """`name(arguments)` to its section in docs/plugins.md."""
    return {
        title: body.partition("\n## ")[0]
        for title, body in sections(read("plugins.md"), "###").items()
        if re.fullmatch(r"\w+\(.*\)", title)
    }


def test_every_hook_is_documented_with_its_signature_and_no_other() -> None:
    assert set(hook_sections()) == set(hook_signatures().values())


def test_the_menu_is_that_of_the_specifications() -> None:
    """Every hook has its row, in the order in which a run comes upon them, with its kind and process."""
    from pipeline.stages.hookspecs import HOOKS, HookSpecs, signature

    menu = [row for row in rows(sections(read("plugins.md"), "##")["Menu"]) if row[0].startswith("`")]
    assert sorted(row[0].strip("`") for row in menu) == sorted(map(signature, HOOKS))
    for name, kind, where, *_ in menu:
        doc = getattr(HookSpecs, name.strip("`").partition("(")[0]).__doc__
        process = re.search(r"(Parent|Worker|Store|Fetch)(?= process|,)|every process", doc)
        assert doc.lower().startswith(kind), name
        assert (process and process[0].lower().removeprefix("every process")[:5] in where) or where == "all", name


def test_the_names_of_the_test_kit_are_told() -> None:
    from pipeline import testing

    told = set(re.findall(r"`(\w+)", sections(read("plugins.md"), "##")["A test kit"]))
    assert set(testing.__all__) - told <= {"Answer", "Parsed", "RunResult"}, (
        "what these are is said with what gives them"
    )


def test_the_example_of_the_test_kit_passes(
    tmp_path: Path, fake_site: Any, run_config: Callable[..., Any], installed: str
) -> None:
    assert installed
    space: dict[str, Any] = {}
    exec(blocks(sections(read("plugins.md"), "##")["A test kit"], "python")[0], space)
    space["test_a_run"](fake_site, run_config)
    rules = [name for name in dir(space["TestMyStore"]) if name.startswith("test_")]
    for name in rules:
        (tmp_path / name).mkdir()
        getattr(space["TestMyStore"](), name)(tmp_path / name)
    assert len(rules) > 5


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


def examples() -> list[Any]:
    """One case for each hook section: the plugin, what it adds to the config, the items that come out."""
    return [
        pytest.param(title.partition("(")[0], body, id=title.partition("(")[0])
        for title, body in hook_sections().items()
    ]


@pytest.mark.parametrize(("hook", "section"), examples())
def test_each_example_runs_and_gives_what_it_says(
    hook: str, section: str, installed: str, serve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installed
    (plugin,) = blocks(section, "python")
    assert f"def {hook}(" in plugin

    intro = read("plugins.md").partition("\n### ")[0]
    page, more = blocks(intro, "html")
    site = serve({"/": page, "/more.html": more})
    base = yaml.safe_load(blocks(intro, "yaml")[-1])
    for addition in blocks(section, "yaml"):
        base |= yaml.safe_load(addition)
    settings = json.dumps(base).replace("http://127.0.0.1:8000", site.url)
    (tmp_path / "example.yaml").write_text(settings, encoding="utf-8")
    (tmp_path / "example.py").write_text(plugin.replace("http://127.0.0.1:8000", site.url), encoding="utf-8")

    monkeypatch.chdir(tmp_path)  # as `hookline run example.yaml` would be typed there
    done = pipeline.run("example.yaml")
    code = re.search(r"`hookline run` ends with (\d+)", section)
    assert done.exit_code == (int(code[1]) if code else 0), done.summary.errors
    files = re.findall(r"^`([\w.]+)` then holds:\n\n```\w*\n(.*?)^```$", section, flags=re.M | re.S)
    for name, expected in files:
        assert (tmp_path / name).read_text(encoding="utf-8") == expected, name
    sent = re.findall(r"^`([\w-]+)` is then sent with every page's request", section, flags=re.M)
    for field in sent:
        pages = [headers for path, headers in site.seen if path != "/robots.txt"]
        assert pages
        assert all(field in headers for headers in pages), field
    assert files or sent, "an example says what comes of it"


# --- architecture ----------------------------------------------------------------------------------------------------


def test_every_room_is_on_the_map() -> None:
    text = read("architecture.md")
    rooms = {path.parent.name for path in (REPO / "pipeline").glob("*/__init__.py")}
    assert {room for room in rooms if f"`pipeline/{room}/`" not in text} == set()
    files = {path.name for path in (REPO / "pipeline").glob("*/**/*.py")} - {"__init__.py"}
    assert {name for name in files if f"`{name}`" not in text} == set()


def test_the_levels_are_those_of_the_layer_test() -> None:
    section = sections(read("architecture.md"), "##")["Levels"]
    documented = [
        re.findall(r"`(pipeline\.[\w.]+)`", line) for line in re.findall(r"^\d+\. (.*)$", section, flags=re.M)
    ]
    source = (REPO / "tests/test_layers.py").read_text(encoding="utf-8")
    levels = next(
        ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "LEVELS"
        if node.value is not None
    )
    assert [tuple(level) for level in documented] == list(levels)


def test_the_connection_table_is_the_codes() -> None:
    from pipeline.fetch.connection import STATES
    from pipeline.fetch.loop import READ, WRITE

    names = {0: "nothing", READ: "read", WRITE: "write", READ | WRITE: "read, write"}
    code = {name: (names[state.interest], state.deadline or "none") for name, state in STATES.items()}
    section = sections(read("architecture.md"), "##")["A connection"]
    documented = {cells[0]: (cells[1], cells[2]) for cells in rows(section) if cells[0].isupper()}
    assert documented == code


# --- differences -----------------------------------------------------------------------------------------------------

TABLES = {  # section of docs/differences.md: where the tests keep the reasons
    "HTTP answers": ("fetch/test_corpus.py", "DIFFERENCES"),
    "Content codings": ("fetch/test_content.py", "DIFFERENT"),
    "URLs": ("test_url.py", "DIFFERENT"),
    "Cookies": ("crawl/test_cookies.py", "DIFFERENT"),
    "robots.txt": ("crawl/test_robots.py", "DIFFERENT"),
    "Sitemaps and feeds": ("stages/test_sources.py", "DIFFERENT"),
    "Redirects in pages (meta refresh)": ("crawl/test_redirect.py", "DIFFERENT"),
    "Selectors": ("stages/test_selection.py", "NOT_AS_EXPECTED", "REFUSED", "OTHER_VERSION", "PSEUDO_ELEMENTS"),
}


def names_in(file: str, *tables: str) -> set[str]:
    """The keys of these dicts, the members of these sets, as they stand in a test module."""
    found: set[str] = set()
    for node in ast.parse((REPO / "tests" / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in tables:
            assert isinstance(node.value, ast.Dict | ast.Set)
            members = node.value.keys if isinstance(node.value, ast.Dict) else node.value.elts
            found |= {ast.literal_eval(member) for member in members if member is not None}
    return found


@pytest.mark.parametrize("section", TABLES)
def test_every_difference_is_told_and_no_other(section: str) -> None:
    text = sections(read("differences.md"), "##")[section]
    told = [name for cells in rows(text) for name in re.findall(r"`([^`]+)`", cells[-1])]
    assert sorted(told) == sorted(names_in(*TABLES[section]))


# --- links -----------------------------------------------------------------------------------------------------------


def anchor(title: str) -> str:
    """The anchor that a heading gets where Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", document.read_text(encoding="utf-8")):
        name, _, fragment = target.partition("#")
        there = (document.parent / name).resolve() if name else document
        assert there.exists(), target
        if fragment:
            titles = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), flags=re.M)
            assert fragment in map(anchor, titles), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_yaml_and_python_blocks_are_sound(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for block in blocks(text, "yaml"):
        assert yaml.safe_load(block) is not None
    for block in blocks(text, "python"):
        compile(block, str(document), "exec")
