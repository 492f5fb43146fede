"""What plugins are told of the run. By itself, so that a store process need not know pages."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The run that a page belongs to. `start` is aware and stays the same when a run is resumed."""

    id: str
    start: datetime
    name: str
    log: logging.Logger
