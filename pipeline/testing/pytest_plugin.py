"""The pytest plugin: fixtures for plugin authors. Imports nothing of the framework until a fixture is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pipeline.testing.runs import RunResult
    from pipeline.testing.site import FakeSite


@pytest.fixture
def make_page() -> Callable[..., Any]:
    """`make_page(html, url=...)`: a page as hooks get it."""
    from pipeline.testing import pages  # noqa: PLC0415 - others' test runs must not pay for it

    return pages.make_page


@pytest.fixture
def parse_page() -> Callable[..., Any]:
    """`parse_page(config, html)`: one page through the hooks of a config, without a network."""
    from pipeline.testing import runs  # noqa: PLC0415 - as above

    return runs.parse_page


@pytest.fixture
def run_config(tmp_path: Path) -> Callable[..., RunResult]:
    """`run_config({...})`: a whole run, in `tmp_path` unless a folder is given."""
    from pipeline.testing import runs  # noqa: PLC0415 - as above

    return partial(runs.run_config, folder=tmp_path)


@pytest.fixture
def fake_site() -> Iterator[FakeSite]:
    """A scripted site on 127.0.0.1, closed when the test ends."""
    from pipeline.testing.site import FakeSite  # noqa: PLC0415 - as above

    with FakeSite() as site:
        yield site
