"""The second run is killed and made again: what was unchanged or not due stays, and each change is told once.

    pytest tests/crash/test_incremental.py                          one short trial
    pytest tests/crash/test_incremental.py -m slow                  kills at any time, and at telling points

Half of the good pages answer 304 to whoever has them, a third of all has changed since the first run, some are gone,
and a fifth of the details is not due. What an uninterrupted second run leaves is what every other must.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.crash.killing import Trial, seed
from tests.crash.oracle import Outputs, read_outputs, read_state, wrong_ends, wrong_outputs
from tests.crash.served import ITEMS, Served, write_config

TRIALS = int(os.environ.get("HOOKLINE_TRIALS", "6"))
POINTS = (
    *("after_write:kill@2", "before_commit:kill@3", "after_stage:kill", "after_journal:kill"),
    *("before_store_commit:kill@5", "after_store_commit:kill@5", "before_promote:kill", "after_promote:kill"),
    *("after_rename:kill@4", "after_fsync:kill@6"),
)


class Second(NamedTuple):
    """A folder after the first run, and what the second one makes of it: outputs, report, and how long it takes."""

    folder: Path
    outputs: Outputs
    report: dict[str, Any]
    seconds: float


def configure(folder: Path, site: Served) -> None:
    """The crash config with pages that are not due for a while, and stores that get changes alone."""
    path = write_config(folder, site)
    text = path.read_text(encoding="utf-8").replace("write: append", "only: changed")
    items = ITEMS.replace("css: a, page: detail,", "css: a,")
    text = text.replace(ITEMS, items)
    path.write_text(
        text.replace("pages:\n", f'pages:\n  fresh:\n    match: "/d/s0/**"\n    revisit: 6h\n{items}'), encoding="utf-8"
    )


@contextmanager
def second(folder: Path, site: Served) -> Iterator[Second]:
    """Make the first run of version 0, and the golden second one of version 1; the site stays as it is then."""
    configure(folder / "first", site)
    site.reset()
    site.tell("version", number=0)
    with Trial(folder / "first", site) as trial:
        trial.run()
        assert trial.codes == [0], trial.story
        shutil.copytree(folder / "first", folder / "golden")
        site.tell("version", number=1)
    with Trial(folder / "golden", site) as trial:
        process = trial.run()
        assert trial.codes == [0], trial.story
    report = json.loads((folder / "golden" / "report.json").read_text(encoding="utf-8"))
    seconds = float(trial.story[0].split()[3])
    assert process.popen.returncode == 0
    try:
        yield Second(folder / "first", read_outputs(folder / "golden"), report, seconds)
    finally:
        site.tell("version", number=None)


def begin(folder: Path, golden: Second, site: Served) -> Trial:
    """A copy of the folder after the first run."""
    shutil.copytree(golden.folder, folder)
    site.take()
    return Trial(folder, site)


def check(trial: Trial, golden: Second) -> None:
    """Sound state, outputs as after an uninterrupted second run, books that balance."""
    state = read_state(trial.folder)
    report = json.loads((trial.folder / "report.json").read_text(encoding="utf-8"))
    wrong = [*trial.troubles, *wrong_outputs(golden.outputs, read_outputs(trial.folder)), *wrong_ends(trial.ended())]
    if state is None or state.sound != "ok":
        wrong.append(f"the state is not sound: {state}")
    if state is not None and state.published == 2 and report["fates"] != golden.report["fates"]:
        wrong.append(f"fates are {report['fates']}, golden {golden.report['fates']}")
    assert not wrong, "\n".join([f"in {trial.folder} ({'; '.join(trial.story)}; HOOKLINE_SEED={seed()}):", *wrong])
    shutil.rmtree(trial.folder)


@pytest.mark.slow
def test_the_second_run_is_killed_twice(installed: str, tmp_path: Path) -> None:
    assert installed
    site, dice = Served(hosts=3, pages=120), random.Random(seed())
    try:
        with second(tmp_path, site) as golden:
            fates = golden.report["fates"]
            assert min(fates[fate] for fate in ("not_modified", "not_due", "fetched", "gone")) > 0, fates
            with begin(tmp_path / "trial", golden, site) as trial:
                for _ in range(2):
                    trial.kill_after(dice.uniform(0.2 * golden.seconds, golden.seconds))
                trial.finish()
                check(trial, golden)
    finally:
        site.close()


@pytest.fixture(scope="module")
def small_second(small: Served, installed: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Second]:
    """Of the small site, whose slow pages are slow."""
    assert installed
    with second(tmp_path_factory.mktemp("second"), small) as golden:
        yield golden


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", range(TRIALS))
def test_killed_at_any_time(small: Served, small_second: Second, tmp_path: Path, number: int) -> None:
    dice = random.Random(f"{seed()}/{number}")
    with begin(tmp_path / "trial", small_second, small) as trial:
        for _ in range(1 + number % 3):
            trial.kill_after(dice.uniform(0, small_second.seconds))
        trial.finish()
        check(trial, small_second)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_point(small: Served, small_second: Second, tmp_path: Path, point: str) -> None:
    with begin(tmp_path / "trial", small_second, small) as trial:
        trial.run(env={"HOOKLINE_FAILPOINT": point})
        assert trial.kills == 1, f"{point} was never reached: {trial.story}"
        trial.finish()
        check(trial, small_second)
