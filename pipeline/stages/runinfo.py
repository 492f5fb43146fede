"""What plugins are told of the run. By itself, so that a store process need not know pages."""

from __future__ import annotations

import logging
from datetime import datetime

import msgspec


class RunInfo(msgspec.Struct, frozen=True):
    """The run that a page belongs to. `start` is aware and stays the same when a run is resumed."""

    id: str
    start: datetime
    name: str
    log: logging.Logger
