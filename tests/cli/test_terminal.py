"""Ten lines at most, whatever went wrong, and the next command to type in them."""

from __future__ import annotations

import shlex

import pytest

from pipeline.checks.judge import Verdict
from pipeline.cli.faults import fault_of
from pipeline.cli.terminal import failure_lines, fault_lines, next_command
from pipeline.errors import ConfigError, LockedError, Mark, Problem, StateError
from pipeline.runner.summary import EXIT_ORDER, PluginCost, Summary, UrlProblem

CONFIG = "my configs/shop.yaml"


def summary(code: int) -> Summary:
    """A run in which everything went wrong at once, told by names and texts from elsewhere."""
    fates = {f"failed:http_{number}": number for number in range(500, 520)}
    return Summary(
        "1", "shop", "r", "s", CONFIG, exit_code=code, fates=fates, stopped="time",
        checks=[Verdict(f"items.a{number} >= 1", False, "none came\x1b[31m") for number in range(9)],
        problems=[UrlProblem("http://a.example/\x1b[2J", fate, "x" * 5000) for fate in fates],
        plugins={"p": PluginCost(1.0, {f"message {number}": number for number in range(9)})},
        errors=["first\nof two", "\u202eright to left"],
    )  # fmt: skip


def is_short_and_safe(lines: list[str]) -> bool:
    return len(lines) <= 10 and all(line.isprintable() and len(line) < 1100 for line in lines)


@pytest.mark.parametrize("code", [code for code in EXIT_ORDER if code not in (0, 10, 130, 143)])
@pytest.mark.parametrize("command", ["run", "retry", ""])
def test_a_run_that_went_wrong(code: int, command: str) -> None:
    lines = failure_lines(summary(code), config=CONFIG, report="r.json", command=command)
    assert is_short_and_safe(lines)
    assert lines[0].startswith("shop: ") and lines[0].endswith(f"[exit {code}]")
    assert "  report: r.json" in lines and any("more reasons" in line for line in lines)
    following = next(line for line in lines if line.strip().startswith("next: "))
    assert "hookline " in following and (shlex.quote(CONFIG) in following or code == 4)


def raised(error: Exception, depth: int = 30) -> Exception:
    """The error as it comes from thirty calls deep."""
    try:
        if depth:
            raise raised(error, depth - 1)
        raise error
    except Exception as caught:
        return caught


ERRORS = [
    (2, ConfigError([Problem(Mark("x.yaml", n, 1), "key", "y" * 2000) for n in range(1, 40)]), "hookline check"),
    (75, LockedError("state folder x is locked by process 7"), "hookline runs"),
    (5, StateError("state.db: the disk is full"), "hookline run"),
    (70, raised(ValueError("out\nof order")), "hookline run"),
]


@pytest.mark.parametrize(("code", "error", "following"), ERRORS)
def test_where_no_run_came_about(code: int, error: Exception, following: str) -> None:
    fault = fault_of(error)
    lines = fault_lines(fault, name="shop", config=CONFIG, whole=False)
    assert is_short_and_safe(lines)
    assert lines[0].startswith("shop: ") and lines[0].endswith(f"[exit {code}]")
    assert f"{following} '{CONFIG}'" in lines[-1]
    if code == 2:
        assert lines[1].startswith("x.yaml:1:1: key: "), "where editors find it"
    if code == 70:
        assert (
            any("Traceback" in line for line in lines)
            and "please report" in lines[-1]
            and "ValueError: out\\nof order" in lines[-2]
        )
        assert len(fault_lines(fault, name="shop", config=CONFIG, whole=True)) > 10


@pytest.mark.parametrize(
    ("fate", "command"),
    [
        ("failed:plugin", "hookline try x.yaml http://a.example/1"),
        ("failed:parse", "hookline try x.yaml http://a.example/1"),
        ("failed:connect", "hookline fetch --head http://a.example/1"),
    ],
)
def test_what_is_to_be_typed_next_where_every_seed_failed(fate: str, command: str) -> None:
    """A site that answered is not asked whether it is there."""
    told = Summary("0", "x", "r", "", "x.yaml", exit_code=4, problems=[UrlProblem("http://a.example/1", fate, "why")])
    assert next_command(told, "x.yaml") == command
