"""Pages and runs made by hand, as a hook gets them: the same classes, without a network."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.stages.css import Parser
from pipeline.stages.page import Page
from pipeline.stages.runinfo import RunInfo

URL = "http://site.test/"


def make_run(name: str = "test", run_id: str = "20260101T000000Z-000000") -> RunInfo:
    """What hooks get as `run`: always the same id and start."""
    return RunInfo(run_id, datetime(2026, 1, 1, tzinfo=UTC), name, logging.getLogger("hookline.plugin"))


def make_page(
    html: str | bytes | Mapping[str, Any] | list[Any] = "",
    url: str = URL,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    rule: str = "page",
    carry: Mapping[str, Any] | None = None,
    run: RunInfo | None = None,
    parser: Parser = "auto",
) -> Page:
    """A page as `parse`, `classify`, `process_item` and `admit` get it.

    `html` may be bytes, and a mapping or a list makes a JSON page. The Content-Type is that of HTML in UTF-8 (or of
    JSON) unless `headers` has one.
    """
    fields = dict(headers or {})
    kind = "text/html; charset=utf-8"
    if isinstance(html, Mapping | list):
        html, kind = json.dumps(html, ensure_ascii=False), "application/json"
    if not any(name.lower() == "content-type" for name in fields):
        fields["Content-Type"] = kind
    body = html.encode() if isinstance(html, str) else html
    return Page(url, status, list(fields.items()), body, rule=rule, carry=carry, run=run or make_run(), parser=parser)
