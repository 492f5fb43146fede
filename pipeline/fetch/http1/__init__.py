"""HTTP/1.x without I/O: a request as bytes, a response from bytes (RFC 9110, RFC 9112).

Answers for: what goes on the wire, where a response ends, which sloppy heads are forgiven, and every limit on head and
body. Must not know: sockets, time, redirects, content codings, cookies.

Theory. httptools (llhttp) is strict and has no limits; it reports nothing of a head before the head is complete, and
it cannot be told that an answer to HEAD has no body. So the head is held back here until its blank line is in, and is
then parsed in one call. Is it refused, it is scrubbed (what browsers forgive, `scrub`) and parsed once more: the usual
head pays nothing for that. Bodies stream through the parser as they come.

A response is complete
  at the blank line    answer to HEAD; 204 and 304 (RFC 9112, 6.3)
  at its last byte     Content-Length, or the last chunk and its trailers
  at the end of input  neither of the two: only `eof` can tell
Interim answers (1xx) are passed over, at most 8. Whatever follows a complete response is never parsed: it does not
belong to any request of ours. The response is good, but its connection is not used again.
"""

from __future__ import annotations

from pipeline.fetch.http1.request import TOKEN, build_request, merge_fields, render_fields
from pipeline.fetch.http1.response import ResponseReader, says_all

__all__ = ["TOKEN", "ResponseReader", "build_request", "merge_fields", "render_fields", "says_all"]
