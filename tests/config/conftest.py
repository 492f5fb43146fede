"""A config written to a temporary file and loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pipeline.config import Loaded, load

SMALL = "name: x\nseeds: [https://a.example/]\npages: {p: {}}\n"

Write = Callable[..., Loaded]


@pytest.fixture
def read(tmp_path: Path) -> Write:
    """`read(more, environ=..., overrides=..., **files)`: the small config and more text, beside other files."""

    def write(
        text: str,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, str] | None = None,
        small: str = SMALL,
        **files: str,
    ) -> Loaded:
        for name, content in files.items():
            (tmp_path / f"{name}.yaml").write_text(content)
        path = tmp_path / "x.yaml"
        path.write_text(small + text)
        return load(path, overrides, environ or {})

    return write
