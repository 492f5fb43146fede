"""Options of components in the JSON Schema that editors use: by the schema, as a validator reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

PLUGIN = '''
import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from pydantic import BaseModel
from pipeline import Item, hookimpl

class Size(enum.Enum):
    SMALL = "small"

@dataclass
class Cheaper:
    """Keep cheap items."""
    than: float
    currency: Literal["EUR", "CHF"] = "EUR"
    @hookimpl
    def process_item(self, item): pass

class Inner(BaseModel):
    x: int
    more: list["Inner"] = []

@dataclass
class Login:
    user: str
    tries: int = 1

class Deep(BaseModel):
    inner: Inner
    login: Login | None = None
    size: Size = Size.SMALL
    @hookimpl
    def parse(self, page): pass

class Shelf:
    def __init__(self, path: Path) -> None: pass
    @hookimpl
    def fetch(self, request): pass

@hookimpl
def register(registry):
    registry.filter("cheaper", Cheaper)
    registry.parser("deep", Deep)
    registry.fetcher("shelf", Shelf)
'''
BASE = {"name": "x", "seeds": ["http://a.test/"]}
RIGHT: list[dict[str, Any]] = [
    {"filter": [{"cheaper": {"than": 5}}, {"cheaper": 5}, {"cheaper": {"than": "${X}", "items": "book"}}, "dedupe"]},
    {"filter": [{"require": ["title"]}, {"cheaper": {"than": 1.5, "currency": "CHF"}, "items": ["book"]}]},
    {
        "parse": [{"deep": {"inner": {"x": 1}}}, "links"],
        "store": [{"jsonl": "x"}, {"csv": {"path": "x", "write": "append"}}],
    },
    {
        "pages": {"p": {"fetcher": {"shelf": "x"}}, "q": {"fetcher": "selectors"}},
        "plugins": [{"demo-site": {"port": 1}}],
    },
    {"filter": [{"unknown": {"what": "ever"}}]},
    {"parse": [{"deep": {"inner": {"x": 1, "more": [{"x": 2}]}, "login": {"user": "u"}, "size": "small"}}]},
]
WRONG: list[dict[str, Any]] = [
    {"filter": [{"cheaper": {"than": "much"}}]},
    {"filter": [{"cheaper": {}}]},
    {"filter": [{"cheaper": {"than": 5, "curency": "EUR"}}]},
    {"filter": [{"cheaper": {"than": 5, "currency": "USD"}}]},
    {"store": [{"csv": {"path": "x", "formula_safe": "maybe"}}]},
    {"plugins": [{"demo-site": {"prt": 1}}]},
    {"parse": [{"deep": {"inner": {"x": "one"}}}]},
    {"parse": [{"deep": {"inner": {"x": 1, "y": 2}}}]},
    {"parse": [{"deep": {"inner": {"x": 1}, "login": {"usr": "u"}}}]},
    {"parse": [{"deep": {"inner": {"x": 1}, "size": "large"}}]},
    {"pages": {"p": {"fetcher": {"shelf": {"paht": "x"}}}}},
]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory, command: Callable[..., Any]) -> Any:
    folder: Path = tmp_path_factory.mktemp("schema")
    (folder / "mine.py").write_text(PLUGIN)
    (folder / "broken.py").write_text("import nowhere")
    (folder / "x.yaml").write_text(json.dumps({**BASE, "plugins": ["./mine.py", "./broken.py"]}))
    done = command("schema", "x.yaml", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    schema = json.loads(done.stdout)
    assert "Keep cheap items." in done.stdout
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("config", RIGHT)
def test_what_is_right_fits(judge: Any, config: dict[str, Any]) -> None:
    assert [error.message for error in judge.iter_errors({**BASE, **config})] == []


@pytest.mark.parametrize("config", WRONG)
def test_what_is_wrong_does_not(judge: Any, config: dict[str, Any]) -> None:
    assert list(judge.iter_errors({**BASE, **config}))
