"""The fetch stage: from a `Request` to a `Response` or a `Failure`, over one selectors loop.

`fetcher.Fetcher` is the way in. This package re-exports nothing, so that the pure modules (`http1`, `content`) can be
imported where no socket is wanted.
"""
