# ruff: noqa: E501 - tables of cases stand in single lines
"""From files to a config: defaults, short forms, substitution, extends, --set, notes, places."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config import Config, Loaded, check_names, load, load_many
from pipeline.config.effects import WITHOUT_EFFECT
from pipeline.config.messages import key_paths
from pipeline.errors import ConfigError

SMALL = "name: x\nseeds: [https://a.example/]\npages: {p: {}}\n"

Write = Callable[..., Loaded]


@pytest.fixture
def read(tmp_path: Path) -> Write:
    """`read(more, environ=..., overrides=..., **files)`: the small config and more text, beside other files."""

    def write(
        text: str,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, str] | None = None,
        small: str = SMALL,
        **files: str,
    ) -> Loaded:
        for name, content in files.items():
            (tmp_path / f"{name}.yaml").write_text(content)
        path = tmp_path / "x.yaml"
        path.write_text(small + text)
        return load(path, overrides, environ or {})

    return write


HERE = Path(__file__).parent
EVERY = HERE / "every_key.yaml"
ENVIRON = {"PROXY_PASS": "canary-1", "USER": "canary-2", "PASS": "canary-3"}
SMALLEST = """
name: quotes
seeds: [https://quotes.toscrape.com/]
pages:
  list:
    items:
      - each: div.quote
        fields:
          text: span.text
          author: small.author
          tags: {css: a.tag, many: true}
    follow: [li.next a]
store:
  - jsonl: quotes.jsonl
"""


# --- whole configs ---------------------------------------------------------------------------------------------------


def test_the_smallest_file_becomes_long_form_rules(read: Write) -> None:
    loaded = read(SMALLEST, small="")
    follow = {"css": "li.next a", "each": None, "page": None, "priority": 0, "carry": {}, "limit": None}
    assert loaded.config.rules() == {
        "list": {
            "match": None,
            "parser": "auto",
            "fetcher": "selectors",
            "items": [
                {
                    "type": "item",
                    "each": "div.quote",
                    "key": [],
                    "fields": {
                        "text": {"css": "span.text"},
                        "author": {"css": "small.author"},
                        "tags": {"css": "a.tag", "many": True},
                    },
                }
            ],
            "follow": [{**follow, "method": "GET", "body": None, "headers": {}}],
        }
    }
    assert loaded.notes == []
    store = loaded.config.store[0]
    assert (store.name, store.options, store.items, store.write) == ("jsonl", "quotes.jsonl", None, None)
    assert store.key_path("store", 0) == ("store", 0, "jsonl")


def test_the_example_with_every_key_loads_and_says_what_has_no_effect() -> None:
    loaded = load(EVERY, environ=ENVIRON)
    config = loaded.config
    assert config.fetch.proxy == ["http://user:canary-1@proxy.example:3128"]
    assert config.fetch.auth["https://books.example"].basic == "canary-2:canary-3"
    assert (config.limits.time, config.limits.bytes, config.limits.plugin_errors) == (1500, 2 << 30, 0.1)
    assert config.fetch.max_url == 8192
    notes = {note.key: note for note in loaded.notes}
    assert notes["archive"].message == "has no effect yet"
    assert str(notes["archive"].mark) == f"{EVERY}:133:1"
    assert "fetch.timeout" not in notes
    assert "pages.product.items.0.fields.stock.type" not in notes
    json.dumps(config.rules())


def test_a_value_that_is_a_comment_is_noted(read: Write) -> None:
    loaded = read("scope:\n  deny: #basket\n  allow: # none yet\nfetch: {auth:\n #a\n }\n")
    assert [(note.key, note.message, note.hint) for note in loaded.notes] == [
        ("scope.deny", "has no value", "in YAML a '#' begins a comment; put the value in quotes")
    ]


def test_every_line_of_the_table_of_keys_without_effect_is_in_the_example() -> None:
    noted = {note.key for note in load(EVERY, environ=ENVIRON).notes}
    loose = {line.rpartition(".")[2].partition("=")[0] for line in WITHOUT_EFFECT}
    assert loose <= {key.rpartition(".")[2] for key in noted}


def test_every_key_of_the_models_stands_in_the_example() -> None:
    text = EVERY.read_text() + "bearer follow.headers each on_missing meta"
    missing = [
        path
        for path in key_paths(Config)
        if path.rpartition(".")[2] not in text and path.rpartition(".")[2] not in OURS
    ]
    assert missing == []


OURS = {
    *("name", "options"),  # attributes of component entries, spelt as the component's name and what follows it
    *("max_barren", "max_similar", "breaker", "failures", "pause", "pauses"),  # beyond the specification
    *("outage", "hosts", "within", "probe", "max"),
}


def test_defaults_are_those_of_the_specification(read: Write) -> None:
    config = read("").config
    fetch, limits = config.fetch, config.limits
    assert (fetch.per_host.concurrency, fetch.per_host.delay, fetch.per_host.jitter) == (None, None, 0.25)
    assert vars(fetch.timeout) == {"dns": 10, "connect": 10, "tls": 10, "first_byte": 30, "idle": 20, "total": 120}
    assert (fetch.retry.attempts, fetch.retry.base, fetch.retry.cap) == (3, 1, 60)
    assert fetch.retry.on == ["dns", "connect", "tls", "timeout", "truncated", 500, 502, 503, 504]
    assert (fetch.max_body, fetch.max_head, fetch.max_headers, fetch.max_url) == (16 << 20, 64 << 10, 256, 8192)
    assert (fetch.cookies.enabled, fetch.cookies.persist, fetch.user_agent, fetch.concurrency) == (
        True,
        False,
        None,
        64,
    )
    assert (limits.pages, limits.time, limits.bytes, limits.memory) == (None, None, None, None)
    assert (limits.page_time, limits.page_memory, limits.plugin_errors) == (30, 1 << 30, 0.1)
    assert (config.scope.allow_domains, config.scope.max_depth, config.scope.order) == (None, None, "breadth")
    assert (config.scope.traps.max_path_repetition, config.scope.traps.max_params) == (2, 20)
    assert (config.workers, config.state_dir, config.if_locked, config.on_check_failure) == (
        "auto",
        ".hookline",
        "fail",
        "keep_last_good",
    )


SHORT_FORMS: list[tuple[str, str, Any]] = [
    ("fetch: {retry: 5}", "fetch.retry.attempts", 5),
    ("fetch: {robots: false}", "fetch.robots.obey", False),
    ("fetch: {cookies: false}", "fetch.cookies.enabled", False),
    ("fetch: {retry_after: false}", "fetch.retry_after.obey", False),
    ("fetch: {timeout: 30s}", "fetch.timeout.total", 30),
    ("fetch: {proxy: 'socks5://h:1'}", "fetch.proxy", ["socks5://h:1"]),
    ("fetch: {per_host: {delay: 0}}", "fetch.per_host.delay", 0),
    ("fetch: {per_host: {delay: 500ms}}", "fetch.per_host.delay", 0.5),
    ("fetch: {max_body: 100}", "fetch.max_body", 100),
    ("fetch: {max_body: 1.5KiB}", "fetch.max_body", 1536),
    ("fetch: {user_agent: 007}", "fetch.user_agent", "007"),
    ("fetch: {headers: {X: 1.50}}", "fetch.headers", {"X": "1.50"}),
    ("fetch:", "fetch.concurrency", 64),
    ("limits: {pages: }", "limits.pages", None),
    ("scope: {allow_domains: [BÜCHER.example]}", "scope.allow_domains", ["xn--bcher-kva.example"]),
    ("workers: 0", "workers", 0),
    ("if_locked: wait=10m", "if_locked", "wait=10m"),
    ("filter: [dedupe]", "filter.0.name", "dedupe"),
    ("filter: [dedupe: ]", "filter.0.options", None),
    ("filter: [require: [a]]", "filter.0.options", ["a"]),
    ("filter: [dedupe: {by: [a], items: item}]", "filter.0.options", {"by": ["a"]}),
    ("filter: [dedupe: {by: [a], items: item}]", "filter.0.items", ["item"]),
    ("parse: [mine: {items: 3}]", "parse.0.options", {"items": 3}),
    ("store: [{jsonl: a, meta: [_url], write: append}]", "store.0.write", "append"),
    ("store: [jsonl: {path: a, only: new}]", "store.0.options", {"path": "a"}),
    ("plugins: [./p.py, {q: {a: 1}}]", "plugins.0.name", "./p.py"),
    ("plugins: [./p.py, {q: {a: 1}}]", "plugins.1.options", {"a": 1}),
    ("tests: [{url: 'https://a.example/', fixture: f, carry: {x: [{n: 1}]}}]", "tests.0.carry", {"x": [{"n": 1}]}),
]


@pytest.mark.parametrize(("text", "path", "value"), SHORT_FORMS)
def test_short_forms_and_units(read: Write, text: str, path: str, value: Any) -> None:
    here: Any = read(text + "\n").config
    for part in path.split("."):
        here = here[int(part)] if part.isdecimal() else getattr(here, part)
    assert here == value


SEEDS: list[tuple[str, dict[str, Any]]] = [
    ("https://a.example/", {"url": "https://a.example/", "method": "GET"}),
    ("{url: 'https://a.example/', json: {q: 1}}", {"json_": {"q": 1}, "method": "POST"}),
    ("{url: 'https://a.example/', body: 007, method: put}", {"body": "007", "method": "PUT"}),
    ("{file: urls.txt, page: p}", {"name": "file", "options": "urls.txt", "page": "p", "url": None}),
    ("{file: {path: urls.txt, page: p}}", {"name": "file", "options": {"path": "urls.txt"}, "page": "p"}),
    ("{sitemap: 'https://a.example/s', since: last}", {"options": {"url": "https://a.example/s", "since": "last"}}),
]


@pytest.mark.parametrize(("text", "expected"), SEEDS)
def test_seeds(read: Write, text: str, expected: dict[str, Any]) -> None:
    seed = read(f"name: x\npages: {{p: {{}}}}\nseeds:\n  - {text}\n", small="").config.seeds[0]
    assert {name: getattr(seed, name) for name in expected} == expected


def test_constants_are_text_where_the_type_is_text(read: Write) -> None:
    fields = "{a: {value: 007}, b: {value: 007, type: int}, c: {css: x, default: [1.50]}, d: {css: x, default: false}}"
    rules = read(f"name: x\npages: {{p: {{items: [{{fields: {fields}}}]}}}}\n", small="").config.rules()
    dumped = rules["p"]["items"][0]["fields"]
    assert dumped["a"]["value"] == "007"
    assert dumped["b"]["value"] == 7
    assert type(dumped["b"]["value"]) is int
    assert dumped["c"]["default"] == ["1.50"]
    assert dumped["d"]["default"] is False


# --- substitution ----------------------------------------------------------------------------------------------------

SUBSTITUTIONS: list[tuple[str, dict[str, str], str]] = [
    ("${A}", {"A": "env"}, "env"),
    ("${V}", {"V": "env"}, "var"),
    ("a${A}b${A}", {"A": "x"}, "axbx"),
    ("${A:-d}", {}, "d"),
    ("${A:-d}", {"A": ""}, "d"),
    ("${A:-}x", {}, "x"),
    ("${A:-${B:-c}}", {}, "c"),
    ("${A:-b:-c}", {}, "b:-c"),
    ("${W}", {"A": "e"}, "var-e"),
    ("$${A}", {}, "${A}"),
    ("$$${A}", {}, "$${A}"),
    ("$A $ {A}", {}, "$A $ {A}"),
    ("${A}", {"A": "[x, y]"}, "[x, y]"),
    ("${A}", {"A": "${B}"}, "${B}"),
]


@pytest.mark.parametrize(("text", "environ", "value"), SUBSTITUTIONS)
def test_substitution_in_text(read: Write, text: str, environ: dict[str, str], value: str) -> None:
    more = f"vars: {{V: var, W: '${{V}}-${{A}}', A2: '${{A:-}}'}}\nfetch: {{user_agent: '{text}'}}\n"
    assert read(more, environ={"A": ""} | environ if "W" not in text else environ).config.fetch.user_agent == value


def test_one_unquoted_substitution_is_read_as_a_plain_scalar(read: Write) -> None:
    text = """
vars: {n: '12'}
limits:
  pages: ${n}
fetch:
  conditional: ${B:-false}
  redirects: ${C:-3}
  max_url: ${D:-}
"""
    config = read(text).config
    assert (config.limits.pages, config.fetch.conditional, config.fetch.redirects) == (12, False, 3)
    assert config.fetch.max_url == 8192  # nothing at all: not given


def test_quoted_or_longer_substitutions_stay_text(read: Write) -> None:
    with pytest.raises(ConfigError, match=r"limits\.pages: expected a whole number, found a value that is not shown"):
        read("limits: {pages: '${N}'}\n", environ={"N": "12"})
    assert read("fetch: {user_agent: '${N}'}\n", environ={"N": "007"}).config.fetch.user_agent == "007"


@pytest.mark.parametrize(
    "text",
    [
        "fetch:\n  concurrency: ${TOKEN}\n",
        "fetch: {auth: {'https://a.example': {bearer: '${TOKEN}', basic: x}}}\n",
        "vars: {t: '${TOKEN}'}\nlimits: {time: 'a${t}'}\n",
        "extends: '${TOKEN}'\n",
        "store: [jsonl: {path: a, write: '${TOKEN}'}]\n",
        "pages: {q: {match: 're:(${TOKEN}'}}\n",
        "scope: {allow_domains: ['*.${TOKEN}']}\n",
        "fetch: {per_host: {delay: '${SEVEN}'}}\n",
    ],
)
def test_nothing_from_the_environment_is_shown(read: Write, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text, environ={"TOKEN": "canary", "SEVEN": "777"})
    assert "canary" not in str(caught.value)
    assert "777" not in str(caught.value)


# --- extends and --set -----------------------------------------------------------------------------------------------


def test_extends_merges_replaces_and_removes(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "b.yaml").write_text(
        "vars: {u: base}\nfetch: {concurrency: 9, user_agent: '${u}', headers: {A: a, B: b}}\nlimits: {pages: 5}\n"
        "store: [jsonl: out.jsonl]\nscope: {deny: [/a, /b]}\n"
    )
    path = tmp_path / "x.yaml"
    path.write_text(
        SMALL
        + "extends: base/b.yaml\nvars: {u: mine}\nfetch: {headers: {A: null, C: c}}\nlimits: null\nscope: {deny: [/c]}\n"
    )
    loaded = load(path, environ={})
    config = loaded.config
    assert (config.fetch.concurrency, config.fetch.user_agent, config.fetch.headers) == (
        9,
        "mine",
        {"B": "b", "C": "c"},
    )
    assert (config.limits.pages, config.scope.deny) == (None, ["/c"])
    assert loaded.resolve(("store", 0, "jsonl"), "out.jsonl") == tmp_path / "base" / "out.jsonl"
    assert loaded.resolve(("state_dir",), ".hookline") == tmp_path / ".hookline"
    assert loaded.locate(("fetch", "headers", "C")).line == 6


def test_a_mistake_in_an_extended_file_is_told_with_that_file(read: Write) -> None:
    with pytest.raises(ConfigError, match=r"b\.yaml:1:9: fetch\.x: expected a known key"):
        read("extends: b.yaml\n", b="fetch: {x: 1}\n")


def test_a_circle_of_files_is_refused(read: Write) -> None:
    with pytest.raises(ConfigError, match=r"b\.yaml:1:10: extends: expected a file that is not extended yet"):
        read("extends: b.yaml\n", b="extends: x.yaml\n")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml:1:1: expected a file that can be read"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="directory"):
        load(tmp_path)


OVERRIDES: list[tuple[str, str, str, Any]] = [
    ("limits.pages", "3", "limits.pages", 3),
    ("limits.pages", "null", "limits.pages", None),
    ("fetch.user_agent", "bot: 1 # x", "fetch.user_agent", "bot: 1 # x"),
    ("fetch.user_agent", "007", "fetch.user_agent", "007"),
    ("fetch.user_agent", "'12'", "fetch.user_agent", "12"),
    ("fetch.per_host", "{delay: 2s}", "fetch.per_host.delay", 2.0),
    ('fetch.hosts."*.a.example".delay', "2s", "fetch.hosts.*", 2.0),
    ("scope.deny", "[/a, /b]", "scope.deny", ["/a", "/b"]),
    ("seeds.0", "https://b.example/", "seeds.0.url", "https://b.example/"),
    ("vars.v", "5", "limits.bytes", 5),
]


@pytest.mark.parametrize(("key", "value", "path", "found"), OVERRIDES)
def test_set_lays_one_value_on_top(read: Write, key: str, value: str, path: str, found: Any) -> None:
    here: Any = read("vars: {v: 4}\nlimits:\n  pages: 7\n  bytes: ${v}\n", overrides={key: value}).config
    if path == "fetch.hosts.*":
        here, path = here.fetch.hosts["*.a.example"], "delay"
    for part in path.split("."):
        here = here[int(part)] if part.isdecimal() else getattr(here, part)
    assert here == found


SET_MISTAKES = [
    (
        "fetch.concurency",
        "3",
        "--set fetch.concurency: fetch.concurency: expected a known key, found 'concurency'; did you mean 'concurrency'?",
    ),
    ("limits.pages", "many", "--set limits.pages: limits.pages: expected a whole number, found 'many'"),
    ("seeds.5", "x", "--set seeds.5: expected a number from 0 to 0 after seeds, found '5'"),
    ("seeds.0.page", "x", "--set seeds.0.page: expected seeds.0 to be a mapping or a list, found a value"),
    ("a..b", "x", '--set a..b: expected a dotted path such as limits.pages or hosts."*.example".delay'),
    ("extends", "x", "--set extends: extends: expected a key other than extends; it is read before --set"),
    ("scope.deny", "[a", "--set scope.deny: the value is not YAML"),
]


@pytest.mark.parametrize(("key", "value", "message"), SET_MISTAKES)
def test_mistakes_in_set_name_it(read: Write, key: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read("", overrides={key: value})
    assert str(caught.value.problems[0]).startswith(message)


def test_a_path_from_the_command_line_is_relative_to_the_working_directory(
    read: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(HERE)
    loaded = read("store: [jsonl: a.jsonl]\n", overrides={"store.0.jsonl": "b.jsonl"})
    assert loaded.resolve(("store", 0, "jsonl"), "b.jsonl") == HERE / "b.jsonl"


def test_set_does_not_change_what_an_alias_shares(read: Write) -> None:
    config = read("fetch: {hosts: {a: &h {delay: 1s}, b: *h}}\n", overrides={"fetch.hosts.a.delay": "9s"}).config
    assert (config.fetch.hosts["a"].delay, config.fetch.hosts["b"].delay) == (9, 1)


# --- places, several configs -----------------------------------------------------------------------------------------


def test_locate_gives_the_nearest_known_parent(read: Write) -> None:
    loaded = read("store:\n  - jsonl:\n      path: a\n")
    places = [
        ("store", 0, "jsonl", "path"), ("store", 0, "jsonl", "nope"), ("store", 0, "jsonl"), ("store", 7), ("nope",), (),
    ]  # fmt: skip
    assert [loaded.locate(path)[1:] for path in places] == [(6, 13), (5, 5), (5, 5), (4, 1), (1, 1), (1, 1)]


def test_a_directory_stands_for_its_yaml_files(tmp_path: Path) -> None:
    for name in ("b", "a", "_c", "bad"):
        (tmp_path / f"{name}.yaml").write_text(SMALL if name != "bad" else "nope: 1\n")
    (tmp_path / "d.yml").write_text("ignored")
    results = load_many([tmp_path], environ={})
    assert [isinstance(result, ConfigError) for result in results] == [False, False, True]
    with pytest.raises(ConfigError, match=r"expected \*\.yaml files"):
        load_many([tmp_path / "d.yml", HERE.parent])


def test_two_configs_of_one_name_in_one_folder(tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    for name in ("a.yaml", "b.yaml", "o/c.yaml"):
        (tmp_path / name).write_text(SMALL)
    loaded = [load(tmp_path / name, environ={}) for name in ("a.yaml", "b.yaml", "o/c.yaml")]
    problems = check_names([*loaded, loaded[0]])
    assert [str(problem) for problem in problems] == [
        f"{tmp_path}/b.yaml:1:7: name: expected a name of its own, found 'x', the name of {tmp_path}/a.yaml"
    ]


RIGHT = [
    "store: [sqlite: {path: d, table: a}, sqlite: {path: d, table: b}]\n",
    "store: [sqlite: {path: d, items: item}]\n",
    "store: [jsonl: {path: 'a-{run.id}', write: replace, only: new}]\n",
    "plugins: [p.py]\nfilter: [where: {expr: x, items: made_by_plugin}]\n",
    "seeds: [https://a.example/x]\n",
]


@pytest.mark.parametrize("text", RIGHT)
def test_what_may_be_right_is_no_mistake(read: Write, text: str) -> None:
    small = "name: x\npages: {p: {items: [{fields: {t: h1}}]}}\n"
    assert read(text, small=small).config.name == "x"


# --- laws ------------------------------------------------------------------------------------------------------------

TEXT = EVERY.read_text()
PIECES = [
    "&a ",
    "*a",
    "!!x ",
    "${",
    "${A}",
    "{",
    "}",
    "[",
    "]",
    "- ",
    ": ",
    "'",
    '"',
    "\n",
    "  ",
    "\t",
    "null",
    "1e999",
    "\0",
    "é",
    "<<: ",
    "|",
    "?",
]


@given(
    st.lists(
        st.tuples(st.integers(0, len(TEXT)), st.integers(0, 12), st.sampled_from(["", *PIECES])), min_size=1, max_size=4
    )
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mutated_config_raises_nothing_but_config_error(tmp_path: Path, edits: list[tuple[int, int, str]]) -> None:
    text = TEXT
    for place, length, piece in edits:
        text = text[:place] + piece + text[place + length :]
    check(tmp_path, text.encode())


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_under_any_key_raises_nothing_but_config_error(tmp_path: Path, data: st.DataObject) -> None:
    values = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=8)
        | st.sampled_from(["https://a/", "5s", "/a*"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=4)
        ),
        max_leaves=12,
    )
    config = {"name": "x", "pages": {"p": {}}} | data.draw(
        st.dictionaries(st.sampled_from(list(TOP)), values, max_size=4)
    )
    check(tmp_path, json.dumps(config).encode())


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_raise_nothing_but_config_error(tmp_path: Path, data: bytes) -> None:
    check(tmp_path, data)


TOP = [path for path in key_paths(Config) if "." not in path]
WORDS = sorted({path.rpartition(".")[2] for path in key_paths(Config)})


def check(folder: Path, data: bytes) -> None:
    """Loads, or says what is wrong with a place for every mistake."""
    path = folder / "m.yaml"
    path.write_bytes(data)
    try:
        loaded = load(path, environ={"A": "a"} | ENVIRON)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.mark is not None
            assert problem.message.isprintable()
            assert "canary" not in str(problem)
    else:
        json.dumps(loaded.config.rules())


def test_loading_does_not_import_what_a_cron_job_does_not_need() -> None:
    code = "import sys, pipeline.config; print([m for m in ('difflib', 'email', 'requests', 'zoneinfo') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HERE.parents[1])
    assert "email" not in done.stdout
    assert "requests" not in done.stdout


def test_a_default_is_text_where_text_is_wanted(read: Write) -> None:
    fields = {
        "a": "{css: a, default: 007}",
        "b": "{css: a, type: int, default: 7}",
        "c": "{json: a, default: 0}",
        "d": "{jsonld: X.a, default: 1.5}",
        "e": "{carry: a, default: 0}",
        "f": "{json: a, type: str, default: 007}",
        "g": "{value: 007}",
    }
    text = ", ".join(f"{name}: {spec}" for name, spec in fields.items())
    small = f"name: x\nseeds: [https://a.example/]\npages: {{p: {{items: [{{fields: {{{text}}}}}]}}}}\n"
    given = read("", small=small).config.pages["p"].dump()["items"][0]["fields"]
    found = {name: spec.get("default", spec.get("value")) for name, spec in given.items()}
    assert found == {"a": "007", "b": 7, "c": 0, "d": 1.5, "e": 0, "f": "007", "g": "007"}


def test_a_carried_value_that_no_link_brings_is_noted(read: Write) -> None:
    pages = """pages:
  l: {match: /l, follow: [{css: a, carry: {price: b}}, {number: 1, body: "p={value}"}]}
  d: {items: [{fields: {p: {carry: prise}, q: {carry: price}, r: {carry: none, default: 1}, n: {carry: page_number},
      o: {first_of: [h1, {carry: x}]}}}]}
"""
    loaded = read("", small="name: x\nseeds: [{file: a}]\n" + pages)
    assert [str(note).rpartition("/")[2] for note in loaded.notes] == [
        "x.yaml:5:36: pages.d.items.0.fields.p.carry: no link carries 'prise' along, so this is empty; did you mean 'price'?",
        "x.yaml:6:34: pages.d.items.0.fields.o.first_of.1.carry: no link carries 'x' along, so this is empty; there are: price, page_number",
    ]
    assert read("plugins: [./p.py]\n", small="name: x\n" + pages).notes == []


@pytest.mark.parametrize(
    "text",
    [
        "seeds: [https://a.example/b/1]\nscope: {allow: [/c/**]}\npages: {e: {match: /b/*}}\n",  # seeds are always in scope
        "seeds: [{file: a}]\nscope: {deny: [/b/**]}\npages: {e: {match: /b/*}}\n",
        'seeds: ["-"]\nscope: {deny: [/b/**]}\npages: {e: {match: /b/*}}\n',
        "seeds: [https://a.example/]\nscope: {allow: ['re:x', /c/**]}\npages: {l: {match: /}, e: {match: /b/*}}\n",
        "seeds: [https://a.example/]\npages: {l: {match: /}, e: {match: '/b/*'}, f: {match: '/b/**'}, g: {match: 're:b'}}\n",
        "seeds: [https://a.example/]\npages: {l: {follow: [{css: a, page: d}]}, d: {match: /c/*}}\n",
        "seeds: [https://a.example/]\nplugins: [./p.py]\npages: {l: {}, d: {}}\n",
    ],
)
def test_page_rules_that_some_url_comes_to(read: Write, text: str) -> None:
    assert read("", small="name: x\n" + text).notes == []


def test_page_rules_that_scope_keeps_out_are_noted(read: Write) -> None:
    pages = "pages: {l: {match: /}, d: {match: /b/*}, e: {match: /c*}, f: {match: /b/**}}\n"
    small = "name: x\nseeds: [https://a.example/]\nscope: {%s}\n" + pages
    (denied,) = read("", small=small % "deny: [/b/*, 're:x']").notes
    assert str(denied).endswith(
        "x.yaml:4:24: pages.d: no URL comes to it: scope.deny refuses all that it matches; "
        "narrow scope.deny, or take the rule out"
    )
    (outside,) = read("", small=small % "allow: [/b**]").notes
    assert "pages.e: no URL comes to it: scope.allow allows nothing that it matches" in str(outside)
