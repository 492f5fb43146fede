"""The tables of `state.db`, and the way from an older version to this one.

Two layers (spec, section 3, contract 3). Rows of `page` with `run` 0 are the *published* result; rows with another
number belong to that run: the open one, or a candidate that was not published. `request` is the frontier of the last
run, whatever became of it. Promotion renumbers rows; items and links stay where they are.

What is a set of small things that are only ever read together stands in one cell: the items of a page, its links, five
hundred items of a published result. A crawl of 20 items and 40 links a page then writes three rows a page, not sixty.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x484B4C4E  # "HKLN", for file(1)

TABLES: Final = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE run(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  started TEXT NOT NULL,               -- UTC, ISO 8601
  status TEXT NOT NULL,                -- open, publishing, published, candidate, failed, dropped
  fingerprint BLOB NOT NULL,           -- of what decides which requests and items there are
  narrowed INTEGER NOT NULL DEFAULT 0, -- by --limit or --only
  made_by TEXT NOT NULL DEFAULT '',    -- version of Hookline
  ended TEXT,                          -- of the last process that worked on it
  exit_code INTEGER,
  counts BLOB NOT NULL DEFAULT x'',    -- the engine's counters as of the last commit, JSON
  summary BLOB                         -- the report, JSON
);

-- The frontier of the last run: every request, with its one fate once it has one.
CREATE TABLE request(
  id INTEGER PRIMARY KEY,              -- order of discovery, from 1
  mark BLOB NOT NULL,                  -- the fingerprint, 16 bytes
  host TEXT NOT NULL,
  url TEXT NOT NULL,
  rule TEXT,
  rank INTEGER NOT NULL,               -- within a host the smaller one is asked for earlier
  depth INTEGER NOT NULL,
  fate TEXT,                           -- NULL: pending
  detail TEXT NOT NULL DEFAULT '',
  status INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  parent INTEGER,                      -- id of the request whose page or redirect brought it
  target INTEGER,                      -- id of the request that it redirected to
  seed INTEGER NOT NULL DEFAULT 0,
  more BLOB                            -- method, headers, body, carried values ..., msgpack; NULL for a plain GET
);
CREATE INDEX request_pending ON request(host, rank) WHERE fate IS NULL;

-- Who links to whom, kept only where depth is limited: a shorter path may be found later.
CREATE TABLE link(parent INTEGER, child INTEGER, hops INTEGER NOT NULL, PRIMARY KEY(parent, child)) WITHOUT ROWID;

-- What the pages gave. run 0: published.
CREATE TABLE page(
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL,
  mark BLOB NOT NULL,
  url TEXT NOT NULL,
  method TEXT NOT NULL,
  body BLOB NOT NULL,
  rule TEXT NOT NULL,
  carry BLOB NOT NULL,                 -- carried values as canonical JSON: part of identity and order
  carried BLOB NOT NULL,               -- the same with their types, msgpack
  status INTEGER NOT NULL,
  etag TEXT,
  last_modified TEXT,
  made_by BLOB NOT NULL,               -- fingerprint of the page rule and the plugins that made the items
  fetched INTEGER NOT NULL,            -- seconds since 1970: start of the run that fetched it
  origin INTEGER NOT NULL,             -- number of that run
  count INTEGER NOT NULL               -- of items
);
CREATE UNIQUE INDEX page_of_run ON page(run, mark);

-- What is large of a page stands apart, so that renumbering and sorting pages moves none of it.
CREATE TABLE content(
  page INTEGER PRIMARY KEY,
  items BLOB NOT NULL,                 -- packed records
  links BLOB NOT NULL                  -- packed requests
);
CREATE TRIGGER content_goes AFTER DELETE ON page BEGIN DELETE FROM content WHERE page = old.id; END;

-- Pages of the published result that this run takes away: gone, redirected, or not reached by a clean run.
CREATE TABLE removal(run INTEGER, mark BLOB, PRIMARY KEY(run, mark)) WITHOUT ROWID;

-- A result in output order, after the `single` filters, in pieces.
CREATE TABLE chunk(
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  count INTEGER NOT NULL,
  marks BLOB NOT NULL,                 -- of each item 16 bytes of identity and 16 bytes of content
  items BLOB NOT NULL,                 -- [[type, fields, page URL, ...], ...] packed
  UNIQUE(run, seq)
);

-- The journal of a publish that is under way: one row a store; no row, no publish.
CREATE TABLE delivery(run INTEGER, place INTEGER, store TEXT NOT NULL, path TEXT, done INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(run, place)) WITHOUT ROWID;

CREATE TABLE dead_letter(
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL,
  request INTEGER,                     -- id within that run
  mark BLOB NOT NULL,
  url TEXT NOT NULL,
  plugin TEXT NOT NULL,
  hook TEXT NOT NULL,
  message TEXT NOT NULL,
  traceback TEXT NOT NULL,
  type TEXT NOT NULL,
  fields TEXT NOT NULL                 -- JSON, or repr where JSON is not possible
);
CREATE INDEX dead_letter_of_run ON dead_letter(run);
"""

SOURCES: Final = """
-- sitemap, feed or robots, where the request is for a list of URLs and not for a page.
ALTER TABLE request ADD COLUMN source TEXT;
ALTER TABLE page ADD COLUMN noindex INTEGER NOT NULL DEFAULT 0; -- the page asks not to be kept

-- The last good robots.txt of each origin.
CREATE TABLE robots(
  origin TEXT PRIMARY KEY,             -- scheme://host:port
  checked INTEGER NOT NULL,            -- seconds since 1970: when the server last said that it is so
  etag TEXT,
  last_modified TEXT,
  text BLOB NOT NULL
) WITHOUT ROWID;
"""

CHANGES: Final = """
-- What publishing a run changed, item by item; of the last runs, and bounded. See pipeline.runner.changes.
CREATE TABLE change(run INTEGER PRIMARY KEY, whole INTEGER NOT NULL, changes BLOB NOT NULL);
"""

REVISITS: Final = """
-- When a run last asked for the page and found it as it is; 0: not since it was fetched. Seconds since 1970.
ALTER TABLE page ADD COLUMN checked INTEGER NOT NULL DEFAULT 0;

-- Pages of the published result that this run was told are unchanged, and the validators they have now.
CREATE TABLE renewal(
  run INTEGER NOT NULL,
  page INTEGER NOT NULL,
  mark BLOB NOT NULL,                  -- of that page: its id may be another's by the time that this run is published
  etag TEXT,
  last_modified TEXT,
  checked INTEGER NOT NULL,            -- seconds since 1970: start of the run
  PRIMARY KEY(run, page)
) WITHOUT ROWID;
"""

COMMANDS: Final = """
-- What the command that began a run left out of it, and whether it fetched again what had gone wrong: whoever goes on
-- with the run, or fetches again what went wrong in it, must leave out the same.
ALTER TABLE run ADD COLUMN most_pages INTEGER; -- --limit
ALTER TABLE run ADD COLUMN only_links TEXT;    -- --only
ALTER TABLE run ADD COLUMN again TEXT;         -- the reason of `retry`, '' for all; NULL: it was `run`
"""

MIGRATIONS: Final[tuple[str, ...]] = (TABLES, SOURCES, CHANGES, REVISITS, COMMANDS)
"""`MIGRATIONS[n]` leads from `user_version` n to n + 1."""

VERSION: Final = len(MIGRATIONS)
