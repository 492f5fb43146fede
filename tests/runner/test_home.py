"""The state folder of a config: a state that was made for nothing goes while the folder is still ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.runner.home import FILE, Home
from pipeline.state.lock import Lock


@pytest.mark.parametrize("fresh", [True, False])
def test_a_state_made_for_nothing_goes_before_the_lock_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    """A moment later the folder may be that of another process, which has just begun its first run."""
    folder, seen = tmp_path / ".hookline" / "shop", []
    home = Home(folder)
    home.fresh = fresh
    release = Lock.release
    monkeypatch.setattr(Lock, "release", lambda lock: (seen.append((folder / FILE).exists()), release(lock)))
    with home:
        home.unmake()
        assert (folder / FILE).exists()
    assert seen == [not fresh] and folder.exists() is not fresh
