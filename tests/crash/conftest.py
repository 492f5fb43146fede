"""Sites and the uninterrupted runs of them, made once a session, when a test first asks for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.killing import make_golden
from tests.crash.oracle import Golden
from tests.crash.served import Served


@pytest.fixture(scope="session")
def big() -> Iterator[Served]:
    """2,000 pages on 20 hosts."""
    site = Served(hosts=20, pages=2000)
    yield site
    site.close()


@pytest.fixture(scope="session")
def small() -> Iterator[Served]:
    """200 pages on 4 hosts; slow ones are slow enough that a crawl takes longer than a commit does."""
    site = Served(hosts=4, pages=200, slowness=3)
    yield site
    site.close()


@pytest.fixture(scope="session")
def big_golden(big: Served, installed: str, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """An uninterrupted run of the big site."""
    assert installed
    return make_golden(tmp_path_factory.mktemp("golden") / "big", big)


@pytest.fixture(scope="session")
def small_golden(small: Served, installed: str, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """An uninterrupted run of the small site."""
    assert installed
    return make_golden(tmp_path_factory.mktemp("golden") / "small", small)
