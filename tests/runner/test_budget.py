"""What plugins may do wrong, and how it is told when they may not go on."""

from __future__ import annotations

import pytest

from pipeline.errors import PluginError
from pipeline.model import Fault, PackedPage
from pipeline.runner.books import Books
from pipeline.runner.budget import FEW, Budget, Limits

LIMITS = Limits(plugin_errors=0.1, bundled=frozenset({"fields"}))


def failed(plugin: str = "pl", message: str = "no") -> PackedPage:
    return PackedPage(fault=Fault(plugin, "parse" if plugin else "", message))


def test_a_plugin_that_fails_too_often_ends_the_run() -> None:
    books = Books()
    budget = Budget(books, LIMITS)
    errors = [budget.charge(failed(), "u") for _ in range(FEW)]
    assert errors[:-1] == [None] * (FEW - 1)
    assert str(errors[-1]) == "plugin pl, hook parse: failed on 10 of 10 pages, the last time: no"
    assert books.faults == {"pl": {"parse: no": FEW}}


def test_what_nobody_can_be_charged_with_is_told_without_a_name() -> None:
    books = Books()
    told = "something closed its worker's channel, and the worker was killed, twice"
    for _ in range(FEW + 1):
        assert Budget(books, LIMITS).charge(failed("", told), "u") is None
    assert books.faults == {}, "the report has no plugin without a name"
    error = Budget(books, LIMITS, strict=True).charge(failed("", told), "u")
    assert str(error) == told


def test_requests_that_were_not_sent_are_no_pages() -> None:
    books = Books(requests=1, parsed=1)
    budget = Budget(books, LIMITS)
    for _ in range(FEW):
        error = budget.charge_request(PluginError("pl", "prepare_request", "no"))
    told = "plugin pl, hook prepare_request: failed on 10 requests, 1 was sent, the last time: no"
    assert str(error) == told


@pytest.mark.parametrize(("plugin", "deadly", "ends"), [("fields", True, 0), ("fields", False, 1), ("pl", True, 1)])
def test_markup_on_which_our_own_parser_is_killed_is_no_plugins_fault(plugin: str, deadly: bool, ends: int) -> None:
    books = Books()
    budget = Budget(books, LIMITS)
    page = PackedPage(fault=Fault(plugin, "parse", "more than 30 s", deadly=deadly))
    errors = [budget.charge(page, "u") for _ in range(FEW)]
    assert sum(error is not None for error in errors) == ends
    assert books.faults == {plugin: {"parse: more than 30 s": FEW}}, "it is told all the same"
    strict = Budget(books, LIMITS, strict=True)
    assert str(strict.charge(page, "u")) == f"plugin {plugin}, hook parse: more than 30 s"
