"""Which resolver there is: c-ares on the loop, or `getaddrinfo` in threads."""

from __future__ import annotations

from pipeline.fetch.loop import Loop
from pipeline.fetch.resolver import CachedResolver, ThreadResolver


def make_resolver(loop: Loop, kind: str = "auto", *, timeout: float = 10.0) -> CachedResolver:
    """The resolver of this kind: "cares", "threads", or "auto" (cares where it is installed and starts, else threads).

    Raises ValueError for another kind, and for "cares" where there is none.
    """
    if kind not in ("auto", "cares", "threads"):
        raise ValueError(f"no resolver {kind!r}; there are auto, cares, threads")
    if kind != "threads":
        try:
            from pipeline.fetch.cares import CaresResolver  # noqa: PLC0415 - a C library: threads do without it

            return CaresResolver(loop, timeout=timeout)
        except (ImportError, RuntimeError, OSError) as error:  # not built for this system, or no resolv.conf
            if kind == "cares":
                raise ValueError(f"no resolver 'cares' here ({error}); install pycares, or use threads") from error
    return ThreadResolver(loop, timeout=timeout)
