"""Logging to stderr: warnings with -v, every URL with -vv, nothing otherwise (the verdict tells what counts)."""

from __future__ import annotations

import logging
import sys

from pipeline.cli.terminal import printable


class SafeFormatter(logging.Formatter):
    """One line a record, text from elsewhere escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one printable line."""
        return printable(super().format(record), 1024)


def set_up_logging(verbose: int, quiet: bool) -> None:
    """Send the `hookline` loggers to stderr at the level asked for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SafeFormatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("hookline")
    logger.handlers[:] = [handler]
    logger.propagate = False
    level = logging.CRITICAL if quiet or not verbose else logging.INFO if verbose == 1 else logging.DEBUG
    logger.setLevel(level)
