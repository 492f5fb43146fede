"""How often Python looks for garbage in cycles. Only for processes that are ours: the command and its children.

A run makes many containers that live for a while (entries, items, rows) and hardly any cycles. With the standard
thresholds a tenth to a fifth of a crawl's time went into looking through them.
"""

from __future__ import annotations

import gc

OFTEN = 20_000  # containers made since the last look; the standard is 700
RARELY = 20  # looks at young ones for one at older ones
STARTING = 200_000  # as OFTEN, while modules are imported: what they make stays


def starting() -> None:
    """Hardly look at all: modules are about to be imported, and a config is about to be read."""
    gc.set_threshold(STARTING, RARELY, RARELY)


def started() -> None:
    """Look as often as a run needs."""
    gc.set_threshold(OFTEN, RARELY, RARELY)


def relax() -> None:
    """Look as often as a run needs, and never again at what is there now: modules, classes, the config."""
    gc.freeze()
    started()
