"""Every test that takes `net` or `kind` runs on each selector of this system."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fetch.kit import HERE, Net


@pytest.fixture(params=HERE)
def kind(request: pytest.FixtureRequest) -> str:
    """The name of a selector."""
    name: str = request.param
    return name


@pytest.fixture
def net(kind: str) -> Iterator[Net]:
    """A loop with a clock that jumps; at the end nothing may be left registered."""
    made = Net(kind)
    yield made
    made.close()
