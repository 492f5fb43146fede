# ruff: noqa: E501 - the table of scalars reads best in few lines
"""Reading YAML: scalars of YAML 1.2, marks, and everything that is refused."""

from __future__ import annotations

import base64
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.nodes import Float, Int, Mapping, to_data
from pipeline.config.yaml12 import MAX_BYTES, read, read_tree
from pipeline.errors import ConfigError

CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "corpus" / "open" / "yaml"

SCALARS: list[tuple[str, Any]] = [
    *[(text, None) for text in ("", "~", "null", "Null", "NULL")],
    *[(text, True) for text in ("true", "True", "TRUE")],
    *[(text, False) for text in ("false", "False", "FALSE")],
    ("0", 0), ("007", 7), ("-12", -12), ("+5", 5), ("1.5", 1.5), ("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("-.inf", float("-inf")),
    *[
        (text, text)
        for text in (
            "no", "yes", "on", "off", "y", "1:30", "190:20:30", "2024-01-01", "2024-01-01T10:00:00Z", "0x10", "0o17", "0b1", "1_000",
            "nUll", "tRUE", "1e", "e5", "+", ".", "1.2.3", "\uff11", "inf", "nan", "9" * 1001, "<<x", "=",
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_plain_scalars_mean_what_yaml_1_2_says(text: str, value: Any) -> None:
    tree = read(f"a: {text}\n".encode(), "x")[0]
    assert to_data(tree) == {"a": value}
    assert isinstance(to_data(tree)["a"], type(value))


@pytest.mark.parametrize("text", ["null", "true", "007", "1.50", ""])
def test_quoted_scalars_are_text(text: str) -> None:
    assert to_data(read(f"a: '{text}'\n".encode(), "x")[0]) == {"a": text}


def test_numbers_remember_their_spelling() -> None:
    data = to_data(read(b"a: 007\nb: 1.50\n", "x")[0])
    assert isinstance(data["a"], Int)
    assert isinstance(data["b"], Float)
    assert (str(data["a"]), str(data["b"])) == ("007", "1.50")


def test_keys_are_text_as_spelt() -> None:
    assert list(to_data(read(b"1: a\n007: b\ntrue: c\n~: d\n2024-01-01: e\n", "x")[0])) == [
        "1",
        "007",
        "true",
        "~",
        "2024-01-01",
    ]


def test_every_key_and_value_has_its_place() -> None:
    tree, _ = read("é: 1\nb:\n  - x\n  - {c: [y]}\n".encode(), "f.yaml")
    entry = tree.entries["b"]
    assert str(entry.key_mark) == "f.yaml:2:1"
    assert str(tree.entries["é"].node.mark) == "f.yaml:1:4"
    inner = entry.node.items[1]  # type: ignore[union-attr]
    assert isinstance(inner, Mapping)
    assert str(inner.entries["c"].key_mark) == "f.yaml:4:6"


def test_merge_keys_fill_in_and_own_keys_win() -> None:
    text = b"a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b], x: 9}\nd: {'<<': text}\n"
    data = to_data(read(text, "x")[0])
    assert data["c"] == {"x": 9, "y": 2, "z": 4}
    assert data["d"] == {"<<": "text"}


def test_aliases_may_be_used_twice_and_named_again() -> None:
    assert to_data(read(b"a: &n [1]\nb: *n\nc: &n 2\nd: *n\n", "x")[0]) == {"a": [1], "b": [1], "c": 2, "d": 2}


def test_a_byte_order_mark_is_not_part_of_the_first_key() -> None:
    assert to_data(read(b"\xef\xbb\xbfa: 1\n", "x")[0]) == {"a": 1}


def laughs() -> str:
    """The alias bomb by the book: nine levels of a ninefold list."""
    lines = ["a0: &a0 [" + ", ".join(["lol"] * 9) + "]"]
    lines += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]" for i in range(1, 9)]
    return "\n".join(lines)


REFUSED = {
    "alias bomb": laughs(),
    "tower of brackets": "a: " + "[" * 900_000,
    "tower of braces": "a: " + "{a: " * 200_000,
    "tower of dashes": "- " * 400_000,
    "tower of question marks": "? " * 400_000,
    "tower by aliases": "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60)),
    "too long": "#" * (MAX_BYTES + 1),
    "too many values": "a:\n" + "- x\n" * 60_000,
    "alias in itself": "a: &a [*a]",
    "alias in itself, name used before": "a: &a x\nb: &a [*a]",
    "merge bomb": "a: &a {x: 1}\nb: {<<: [" + ", ".join(["*a"] * 40_000) + "]}",
    "control character": "a: \x01",
    "several documents": "a: 1\n---\nb: 2\n",
    "a list": "- a\n",
    "text": "hello",
    "nothing": "# only a comment\n",
    "a collection as key": "{a: b}: c\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_files_are_refused_at_once_with_a_place(name: str) -> None:
    data = REFUSED[name].encode()
    start = time.process_time()
    with pytest.raises(ConfigError, match=r"^x:\d+:\d+: "):
        read(data, "x")
    assert time.process_time() - start < 2


def test_an_alias_bomb_costs_no_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError):
            read(laughs().encode(), "x")
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "place"),
    [(b"a: caf\xe9\n", "1:7"), ("a: b\né: ".encode() + b"\xff", "2:4"), ("a: 1".encode("utf-16"), "1:1")],
)
def test_other_encodings_are_refused_at_the_byte(data: bytes, place: str) -> None:
    with pytest.raises(ConfigError, match=rf"^x:{place}: expected UTF-8"):
        read(data, "x")


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system [x]",
        "!!python/name:os.system",
        "!own x",
        "!!str 1",
        "!!binary aGk=",
        "! x",
        "!!set {a}",
    ],
)
def test_tags_are_mistakes(tag: str) -> None:
    _, problems = read(f"a: {tag}\n".encode(), "x")
    assert [problem.key for problem in problems] == ["a"]
    assert "expected no tag" in problems[0].message


def corpus(name: str) -> list[dict[str, Any]]:
    path = CORPUS / name
    if not path.exists():
        pytest.skip(f"{path} is not here: the collected YAML cases are optional")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# libyaml reads these although YAML 1.2 forbids them, each harmless: what is read is what the text seems to say.
LENIENT = {"DK95/01", "S98Z/00", "SU5Z/00"}


def test_what_yaml_forbids_is_refused() -> None:
    accepted = []
    for case in corpus("yaml_test_suite.jsonl"):
        if case["fail"] and not refuses(case):
            accepted.append(case["id"])
    assert set(accepted) <= LENIENT


def test_what_pyyaml_must_refuse_is_refused() -> None:
    cases = corpus("pyyaml_errors.jsonl")
    assert [case["id"] for case in cases if not refuses(case)] == []


def refuses(case: dict[str, Any]) -> bool:
    """True if the text is no config: ConfigError, or a mistake that is noted."""
    try:
        return bool(read(base64.b64decode(case["yaml_base64"]), "x")[1])
    except ConfigError:
        return True


def test_valid_mappings_of_the_suite_are_read_as_the_suite_says() -> None:
    judged = 0
    for case in corpus("yaml_test_suite.jsonl"):
        documents = case["documents"]
        if case["fail"] or not documents or len(documents) != 1 or not isinstance(documents[0], dict):
            continue
        try:
            tree, problems = read_tree(base64.b64decode(case["yaml_base64"]).decode(), "x")
        except ConfigError:
            continue  # libyaml speaks YAML 1.1 and refuses some of 1.2
        if tree is not None and not problems and "0x" not in str(documents) and "<<" not in str(documents):
            judged += 1
            assert same(to_data(tree), documents[0]), case["id"]
    assert judged > 40


def same(found: Any, said: Any) -> bool:
    """Equal, but for numbers and null as keys, which the suite turns into text in its own way."""
    if isinstance(found, dict) and isinstance(said, dict):
        return len(found) == len(said) and all(map(same, found.values(), said.values()))
    if isinstance(found, list) and isinstance(said, list):
        return len(found) == len(said) and all(map(same, found, said))
    return bool(found == said)
