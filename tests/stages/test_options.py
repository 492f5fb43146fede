"""From YAML values to a factory's arguments: types, defaults, paths, and errors at the line of the option."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from logging import getLogger
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from pipeline.errors import OptionError
from pipeline.stages.options import Given, build
from pipeline.stages.page import RunInfo
from pipeline.stages.typed import Secret, checked

RUN = RunInfo("run-7", datetime(2026, 3, 4, 5, 6, tzinfo=UTC), "shop", getLogger("hookline.plugin"))


class Int(int):
    """A number that remembers its spelling, as the YAML loader gives it."""

    source: str

    def __new__(cls, source: str) -> Int:
        self = super().__new__(cls, source)
        self.source = source
        return self

    def __str__(self) -> str:
        return self.source


class Float(float):
    """A float that remembers its spelling."""

    def __new__(cls, source: str) -> Float:
        self = super().__new__(cls, source)
        self.source = source  # type: ignore[attr-defined]
        return self

    def __str__(self) -> str:
        return str(self.source)  # type: ignore[attr-defined]


class Colour(enum.Enum):
    RED = "red"


def make(factory: Callable[..., Any], value: Any = None, *, implied: dict[str, Any] | None = None, **host: Any) -> Any:
    return build(factory, Given(value, lambda path: Path("/conf"), RUN, host, implied or {}))


def problems(factory: Callable[..., Any], value: Any = None, **host: Any) -> list[tuple[tuple[Any, ...], str, str]]:
    with pytest.raises(ExceptionGroup) as caught:
        make(factory, value, **host)
    errors = [error for error in caught.value.exceptions if isinstance(error, OptionError)]
    assert len(errors) == len(caught.value.exceptions)
    return [(error.path, str(error), error.hint) for error in errors]


# --- one value -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int, Int("007"), 7),
        (str, Int("007"), "007"),
        (str, Float("1.50"), "1.50"),
        (list[str], ["a", Int("01")], ["a", "01"]),
        (dict[str, str], {"a": Int("01"), "b": Float("1.0")}, {"a": "01", "b": "1.0"}),
        (str | None, Int("01"), "01"),
        (str | list[str], Int("01"), "01"),
        (str | list[str], [Int("01")], ["01"]),
        (int | str, Int("01"), 1),
        (float, 3, 3.0),
        (float, Int("03"), 3.0),
        (Decimal, Float("1.10"), Decimal("1.1")),
        (tuple[str, ...], ["a", "b"], ("a", "b")),
        (set[int], [1, 2], {1, 2}),
        (Path, "a/b", Path("a/b")),
        (Path, Int("2024"), Path("2024")),
        (date, "2024-02-03", date(2024, 2, 3)),
        (Colour, "red", Colour.RED),
        (Literal["a", "b"], "a", "a"),
        (Any, {"x": [1, "y"]}, {"x": [1, "y"]}),
        (Annotated[int, Field(ge=1)], 4, 4),
    ],
)
def test_values_that_fit(kind: Any, value: Any, expected: Any) -> None:
    found = checked(kind, value, ())
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (int, "5", "expected a whole number, found '5'"),
        (int, True, "expected a whole number, found true"),
        (int, 1.5, "expected a whole number, found 1.5"),
        (bool, "no", "expected true or false, found 'no'"),
        (bool, 1, "expected true or false, found 1"),
        (float, "x", "expected a number, found 'x'"),
        (str, True, "expected text, found true"),
        (str, None, "expected text, found null"),
        (str, ["a"], "expected text, found ['a']"),
        (list[str], "a", "expected a list, found 'a'"),
        (dict[str, int], [1], "expected a mapping, found [1]"),
        (str | list[str], {"a": 1}, "expected text or a list, found {'a': 1}"),
        (Literal["a", "b"], "c", "expected 'a' or 'b', found 'c'"),
        (Annotated[int, Field(ge=1)], 0, "expected greater than or equal to 1, found 0"),
        (Secret, 5, "expected text"),
    ],
)
def test_values_that_do_not(kind: Any, value: Any, said: str) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        checked(kind, value, ("x",))
    (error,) = caught.value.exceptions
    assert isinstance(error, OptionError)
    assert (str(error), error.path) == (said, ("x",))


def test_the_path_leads_to_the_wrong_element() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        checked(dict[str, list[int]], {"a": [1, "x"], "b": [None]}, ("m",))
    assert [error.path for error in caught.value.exceptions] == [("m", "a", 1), ("m", "b", 0)]  # type: ignore[attr-defined]


def test_data_is_handed_over_untouched() -> None:
    number = Int("007")
    assert checked(dict[str, Any], {"x": {"value": number}}, ())["x"]["value"] is number


def test_python_objects_pass_where_yaml_has_no_word_for_them() -> None:
    class Thing:
        pass

    thing = Thing()
    assert checked(Thing, thing, ()) is thing
    with pytest.raises(OptionError, match="cannot be written in YAML"):
        checked(Thing, 1, ())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_whatever_the_yaml_holds_a_value_is_taken_or_refused_with_a_path_in_it(value: Any) -> None:
    try:
        checked(dict[str, list[int]], value, ())
    except ExceptionGroup as group:
        for error in group.exceptions:
            assert isinstance(error, OptionError)
            place = value
            for step in error.path:
                place = place[step]


# --- signatures ------------------------------------------------------------------------------------------------------


@dataclass
class Data:
    by: list[str]
    limit: int = 3
    seen: list[str] = field(default_factory=list)


class Model(BaseModel):
    by: list[str]
    limit: int = Field(3, ge=1)

    @field_validator("by")
    @classmethod
    def _not_empty(cls, value: list[str]) -> list[str]:
        if not value:
            raise ValueError("name at least one field")
        return value


class Plain:
    def __init__(self, by: list[str], limit: int = 3) -> None:
        self.by = by
        self.limit = limit


def function(by: list[str], limit: int = 3) -> Plain:
    return Plain(by, limit)


@pytest.mark.parametrize("factory", [Data, Model, Plain, function])
def test_four_kinds_of_factories(factory: Callable[..., Any]) -> None:
    by_name = make(factory, {"by": ["a"], "limit": 5})
    assert (by_name.by, by_name.limit) == (["a"], 5)
    first = make(factory, ["a", Int("01")])
    assert (first.by, first.limit) == (["a", "01"], 3)
    assert problems(factory) == [((), "option 'by' is missing", "options are: " + ", ".join(_names(factory)))]
    assert problems(factory, {"by": ["a"], "limt": 3})[0] == (
        ("limt",),
        "unknown option 'limt'",
        "did you mean 'limit'?",
    )
    assert problems(factory, {"by": ["a"], "limit": "x"}) == [(("limit",), "expected a whole number, found 'x'", "")]


def _names(factory: Callable[..., Any]) -> list[str]:
    return ["by", "limit", "seen"] if factory is Data else ["by", "limit"]


def test_all_problems_of_a_component_come_at_once() -> None:
    assert [path for path, _, _ in problems(Plain, {"by": "x", "limit": None, "more": 1})] == [
        ("more",),
        ("by",),
        ("limit",),
    ]


def test_a_models_own_validators_speak() -> None:
    assert problems(Model, {"by": [], "limit": 3})[0][:2] == (("by",), "name at least one field, found []")
    assert problems(Model, {"by": ["a"], "limit": 0})[0][0] == ("limit",)


def test_a_factory_may_refuse_with_several_errors() -> None:
    class Picky:
        def __init__(self, a: int, b: int) -> None:
            raise ExceptionGroup(
                "no", [OptionError("a is odd", path=("a",), hint="h"), OptionError("b too", path=("b",))]
            )

    assert problems(Picky, {"a": 1, "b": 1}) == [(("a",), "a is odd", "h"), (("b",), "b too", "")]


def test_other_exceptions_of_a_factory_are_not_options() -> None:
    def broken(a: int = 1) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        make(broken)

    def mixed() -> None:
        raise ExceptionGroup("no", [OptionError("a"), KeyError("b")])

    with pytest.raises(ExceptionGroup, match="no"):
        make(mixed)


def test_a_factory_without_options() -> None:
    assert make(lambda: 5) == 5
    assert problems(lambda: 5, "x") == [((), "takes no options, found 'x'", "remove the value")]
    assert problems(lambda: 5, {"x": 1})[0][2] == "there are no options"


def test_open_and_odd_signatures() -> None:
    def free(a: int, **more: Any) -> Any:
        return a, more

    assert make(free, {"a": 1, "b": "x"}) == (1, {"b": "x"})

    def unread(a: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
        return None

    assert "the type of parameter 'a' (Nowhere) cannot be read" in problems(unread, 1)[0][1]


def test_run_needs_no_importable_type() -> None:
    def late(run: Nowhere, n: int = 1) -> Any:  # type: ignore[name-defined]  # noqa: F821
        return run, n

    assert make(late, 4) == (RUN, 4)


# --- what the host fills in ------------------------------------------------------------------------------------------


def store(path: Path, run: RunInfo, write: Literal["replace", "append"] = "replace", items: Any = None) -> Any:
    return path, run, write, items


def test_paths_are_relative_to_the_config_and_know_the_run() -> None:
    assert make(store, "out/{run.name}-{run.date}-{run.id}.jsonl")[0] == Path("/conf/out/shop-2026-03-04-run-7.jsonl")
    assert make(store, {"path": "/abs/{x}.jsonl"})[0] == Path("/abs/{x}.jsonl")
    assert make(lambda paths: paths, ["a"]) == ["a"]
    assert make(_paths, ["a", "b"]) == ([Path("/conf/a"), Path("/conf/b")], Path("/conf/default"), None)
    assert problems(store, {"path": "{run.nam}"}) == [
        (("path",), "{run.nam} means nothing", "there are {run.id}, {run.date} and {run.name}")
    ]
    assert problems(store, "{run.nam}")[0][0] == ()


def _paths(paths: list[Path], other: Path = Path("default"), none: Path | None = None) -> Any:
    return paths, other, none


def test_host_keys() -> None:
    assert make(store, "a", write="append", items=("book",))[1:] == (RUN, "append", ("book",))
    assert problems(store, "a", write="merge") == [
        (("write",), "write: merge is not possible here", "choose from: replace, append")
    ]
    assert problems(Plain, ["a"], write="append")[0][:2] == (("write",), "cannot be told how to write (append)")
    assert make(Plain, ["a"], items=("book",), only="new").by == ["a"]


def test_what_the_rest_of_the_config_implies() -> None:
    def seeds(path: str, page: str | None = None) -> Any:
        return path, page

    assert make(seeds, "urls.txt", implied={"page": "product"}) == ("urls.txt", "product")
    assert make(seeds, {"path": "urls.txt", "page": "x"}, implied={"page": "product"}) == ("urls.txt", "x")
    assert make(lambda path: path, {"path": "u"}, implied={"page": "x"}) == "u"


def test_a_secret_is_never_shown() -> None:
    def login(token: Secret) -> Any:
        return token

    assert make(login, {"token": Int("0123")}).get_secret_value() == "0123"
    assert problems(login, {"token": ["hunter2"]}) == [(("token",), "expected text", "")]


# --- what pydantic alone would not say ------------------------------------------------------------------------------


@dataclass
class Login:
    token: Secret
    user: str = ""
    tries: int = 1


class Account(BaseModel):
    login: Login
    others: list[Login] = Field(default_factory=list)
    by_name: dict[str, Login] = {}
    either: Login | int | None = None


def test_a_decimal_has_the_digits_that_were_written() -> None:
    def factory(rate: Decimal, rates: list[Decimal] | None = None) -> Any:
        return rate, rates

    assert str(make(factory, {"rate": Float("1.10")})[0]) == "1.10"
    digits = "0.12345678901234567890123"
    assert str(make(factory, {"rate": Int("5"), "rates": [Float(digits), Int("7")]})) == str(
        (Decimal("5"), [Decimal(digits), Decimal("7")])
    )


def test_unknown_keys_are_errors_at_any_depth() -> None:
    whole = {"token": "x", "tokn": "y"}
    for place, value in (
        (("login",), {"login": whole}),
        (("others", 0), {"login": {"token": "x"}, "others": [whole]}),
        (("by_name", "a"), {"login": {"token": "x"}, "by_name": {"a": whole}}),
    ):
        assert problems(Account, value) == [((*place, "tokn"), "unknown option 'tokn'", "did you mean 'token'?")]
    found = problems(Account, {"login": {"token": "x", "tries": "many", "usr": "u"}})
    assert [path for path, *_ in found] == [("login", "tries"), ("login", "usr")]


def test_what_holds_a_secret_is_not_shown() -> None:
    for login in ("s3cr3t", {"tokens": "s3cr3t"}, {"token": ["s3cr3t"]}, [{"token": "s3cr3t"}]):
        for value in ({"login": login}, {"login": {"token": "x"}, "either": login}):
            assert problems(Account, value) and "s3cr3t" not in str(problems(Account, value))
    assert problems(Account, {"login": {"token": "x", "tries": "many"}})[0][1].endswith("found 'many'")


def test_a_type_that_names_itself() -> None:
    assert problems(Node, {"root": {"value": "x", "left": {"value": 1, "lft": None}}}) == [
        (("root", "value"), "expected a whole number, found 'x'", ""),
        (("root", "left", "lft"), "unknown option 'lft'", "did you mean 'left'?"),
    ]


class Leaf(BaseModel):
    value: int
    left: Leaf | None = None
    more: list[Leaf] = []


class Node(BaseModel):
    root: Leaf


class Renamed(BaseModel):
    since: str = Field("", alias="from")
    kind: str = Field("", validation_alias="class")


def test_a_model_takes_its_fields_by_their_aliases() -> None:
    made = make(Renamed, {"from": "a", "class": "b"})
    assert (made.since, made.kind) == ("a", "b")
    assert [(path, hint) for path, _, hint in problems(Renamed, {"since": "a", "frm": "b"})] == [
        (("since",), "options are: from, class"),
        (("frm",), "did you mean 'from'?"),
    ]


def test_a_default_that_is_made_anew() -> None:
    from pipeline.stages.parameters import Signature

    @dataclass
    class Plain:
        names: list[str] = field(default_factory=lambda: ["a"])

    class Model(BaseModel):
        names: list[str] = Field(default_factory=lambda: ["b"])

    assert Signature(Plain).parameters["names"].default == ["a"]
    assert Signature(Model).parameters["names"].default == ["b"]
    assert Signature(Plain).required == Signature(Model).required == []
    assert make(Plain).names is not make(Plain).names
