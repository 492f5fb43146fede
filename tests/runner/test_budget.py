"""What plugins may do wrong, and how it is told when they may not go on."""

from __future__ import annotations

from pipeline.errors import PluginError
from pipeline.model import Fault, PackedPage
from pipeline.runner.books import Books
from pipeline.runner.budget import FEW, Budget


def failed(plugin: str = "pl", message: str = "no") -> PackedPage:
    return PackedPage(fault=Fault(plugin, "parse" if plugin else "", message))


def test_a_plugin_that_fails_too_often_ends_the_run() -> None:
    books = Books()
    budget = Budget(books, 0.1)
    errors = [budget.charge(failed(), "u") for _ in range(FEW)]
    assert errors[:-1] == [None] * (FEW - 1)
    assert str(errors[-1]) == "plugin pl, hook parse: failed on 10 of 10 pages, the last time: no"
    assert books.faults == {"pl": {"parse: no": FEW}}


def test_what_nobody_can_be_charged_with_is_told_without_a_name() -> None:
    books = Books()
    told = "something closed its worker's channel, and the worker was killed, twice"
    for _ in range(FEW + 1):
        assert Budget(books, 0.1).charge(failed("", told), "u") is None
    assert books.faults == {}, "the report has no plugin without a name"
    error = Budget(books, 0.1, strict=True).charge(failed("", told), "u")
    assert str(error) == told


def test_requests_that_were_not_sent_are_no_pages() -> None:
    books = Books(requests=1, parsed=1)
    budget = Budget(books, 0.1)
    for _ in range(FEW):
        error = budget.charge_request(PluginError("pl", "prepare_request", "no"))
    told = "plugin pl, hook prepare_request: failed on 10 requests, 1 was sent, the last time: no"
    assert str(error) == told
