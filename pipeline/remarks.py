"""What Python says on stderr of a config's regular expressions. Only for processes that are ours: the command and its
children."""

from __future__ import annotations

import warnings


def silence() -> None:
    """Nothing of signs (`[[(]`) that a later Python may read in another way: a run that is well says nothing at all."""
    warnings.filterwarnings("ignore", "Possible (nested set|set )", FutureWarning)
