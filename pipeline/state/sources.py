"""Sitemaps and feeds among the requests of a run, which are booked apart from pages."""

from __future__ import annotations

import sqlite3

from pipeline.url import shown


def fates(db: sqlite3.Connection) -> dict[str, int]:
    """Fate -> requests for sitemaps and feeds, in order of name; without a fate: `pending`."""
    rows = db.execute(
        "SELECT coalesce(fate, 'pending'), count(*) FROM request WHERE source IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    return dict(rows.fetchall())


def read_in_part(db: sqlite3.Connection, most: int) -> list[tuple[str, str]]:
    """(URL without credentials, why) of sitemaps and feeds that gave only a part of what they name, in order of URL."""
    rows = db.execute(
        "SELECT url, detail FROM request WHERE source IS NOT NULL AND fate = 'fetched' AND detail <> '' "
        "ORDER BY url LIMIT ?",
        (most,),
    )
    return [(shown(url), detail) for url, detail in rows.fetchall()]
