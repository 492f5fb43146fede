"""Cron expressions: what they say, what is refused, and whether systemd would do the same at the same moments."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import datetime
from itertools import islice, pairwise
from pathlib import Path

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import load
from pipeline.config.crontab import MACROS, PARTS, parse
from pipeline.errors import ConfigError

# expression, OnCalendar lines, seconds between two runs at least
READINGS = [
    ("* * * * *", ["*-*-* *:*:00"], 60),
    ("17 */6 * * *", ["*-*-* 00,06,12,18:17:00"], 6 * 3600),
    ("  17\t*/6 * * * ", ["*-*-* 00,06,12,18:17:00"], 6 * 3600),
    ("0,30 8-18 * * mon-fri", ["Mon..Fri *-*-* 08..18:00,30:00"], 1800),
    ("*/45 * * * *", ["*-*-* *:00,45:00"], 900),
    ("59 23,0 * * *", ["*-*-* 00,23:59:00"], 3600),
    ("5 4 * * 0", ["Sun *-*-* 04:05:00"], 7 * 86400),
    ("5 4 * * 7", ["Sun *-*-* 04:05:00"], 7 * 86400),
    ("5 4 * * SAT,sun", ["Sat,Sun *-*-* 04:05:00"], 86400),
    ("5 4 * * 5-7", ["Fri..Sun *-*-* 04:05:00"], 86400),
    ("0 0 1 jan-mar,dec *", ["*-01..03,12-01 00:00:00"], 28 * 86400),
    ("30 2 29 2 *", ["*-02-29 02:30:00"], 1461 * 86400),
    # on the 1st, the 15th and on Mondays: either is enough, which takes two lines
    ("0 6 1,15 * 1", ["*-*-01,15 06:00:00", "Mon *-*-* 06:00:00"], 86400),
    ("0 6 30 2 1", ["Mon *-02-* 06:00:00"], 7 * 86400),
    # a star with a step is a star: both have to fit
    ("0 6 */2 * 1", ["Mon *-*-01,03,05,07,09,11,13,15,17,19,21,23,25,27,29,31 06:00:00"], 7 * 86400),
    ("@hourly", ["*-*-* *:00:00"], 3600),
    ("@daily", ["*-*-* 00:00:00"], 86400),
    ("@weekly", ["Sun *-*-* 00:00:00"], 7 * 86400),
    ("@Monthly", ["*-*-01 00:00:00"], 28 * 86400),
]


@pytest.mark.parametrize(("text", "calendar", "gap"), READINGS)
def test_what_an_expression_says(text: str, calendar: list[str], gap: int) -> None:
    schedule = parse(text)
    assert schedule.on_calendar() == calendar
    assert schedule.shortest_gap() == gap


MISTAKES = [
    ("60 * * * *", "a minute of 0 to 59", "'60'"),
    ("* 24 * * *", "an hour of 0 to 23", "'24'"),
    ("* * 0 * *", "a day of the month of 1 to 31", "'0'"),
    ("* * * 13 *", "a month of 1 to 12 or jan to dec", "'13'"),
    ("* * * * 8", "a day of the week of 0 to 7", "'8'"),
    ("0 0 * janu *", "a month", "did you mean 'jan'"),
    ("0 0 * * mond", "a day of the week", "did you mean 'mon'"),
    ("mon * * * *", "a minute", "'mon' is none"),
    ("* * * *", "five parts", "17 */6"),
    ("0 * * * * *", "five parts", "these are 6; seconds"),
    ("", "five parts", ""),
    ("daily", "five parts", "did you mean '@daily'?"),
    ("@dayly", "@hourly, @daily", "did you mean '@daily'?"),
    ("@reboot", "a time that comes again", ""),
    ("5/10 * * * *", "a range before the step", "5-59/10"),
    ("*/0 * * * *", "a step of 1 or more", ""),
    ("0 0 * * fri-mon", "that goes up", "5-7,0-1"),
    ("0 0 30 2 *", "a date that comes", "'30'"),
    ("0 0 31 4,6,9,11 *", "a date that comes", "'31'"),
    ("0 0 L * *", "a day of the month", "'l'"),
    ("0 0 * * 1#2", "a day of the week", "'1#2'"),
    ("1,,2 * * * *", "a minute", "''"),
    ("1-2-3 * * * *", "a minute", "'1-2-3'"),
]


@pytest.mark.parametrize(("text", "expected", "hint"), MISTAKES)
def test_what_is_refused(text: str, expected: str, hint: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert expected in caught.value.args[0] and hint in caught.value.args[1]


def test_a_mistake_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text('name: x\nseeds: [http://127.0.0.1/]\nschedule: "0 25 * * *"\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:3:11: schedule: expected an hour of 0 to 23, found '0 25 * * *'; '25'")


def terms(number: int) -> st.SearchStrategy[str]:
    part = PARTS[number]
    values = st.integers(part.low, part.high)
    ranges = st.tuples(values, values).map(sorted).map(lambda pair: f"{pair[0]}-{pair[1]}")
    steps = st.integers(1, 20)
    stepped = st.tuples(st.one_of(st.just("*"), ranges), steps).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.lists(st.one_of(st.just("*"), values.map(str), ranges, stepped), min_size=1, max_size=3).map(",".join)


@given(st.tuples(*map(terms, range(5))).map(" ".join))
def test_no_two_runs_are_nearer_than_it_says(text: str) -> None:
    """And the days are those of cronsim, which runs Debian's rules over the calendar."""
    try:
        schedule = parse(text)
    except ValueError as error:
        assert error.args[0] == "a date that comes"
        return
    times = list(islice(CronSim(text, datetime(2024, 1, 1)), 60))
    assert all(schedule.is_on(time.date()) for time in times)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert min(gaps) >= schedule.shortest_gap()


SYSTEMD = shutil.which("systemd-analyze")
NEXT = re.compile(r"(?:Next elapse|Iter\. #\d+): (?:\w{3} )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")


@pytest.mark.skipif(SYSTEMD is None, reason="there is no systemd-analyze here")
@pytest.mark.parametrize("text", [text for text, *_ in READINGS] + ["*/7 1-23/5 2-30/3 */5 *", "3 3 13 * 5"])
def test_systemd_starts_at_the_moments_of_cron(text: str) -> None:
    assert SYSTEMD is not None
    schedule = parse(text)
    start, many = datetime(2024, 2, 27, 12), 12
    asked = ["--iterations", str(many), "--base-time", f"{start} UTC", *schedule.on_calendar()]
    told = subprocess.run([SYSTEMD, "calendar", *asked], capture_output=True, text=True, check=True, timeout=20,
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"})  # fmt: skip
    found = sorted({datetime.fromisoformat(moment) for moment in NEXT.findall(told.stdout)})[:many]
    assert found == list(islice(CronSim(MACROS.get(text.lower(), text), start), many))
