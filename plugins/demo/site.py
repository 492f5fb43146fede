"""`demo-site`: a small bookshop on 127.0.0.1, so that the examples in configs/ run without the internet.

    plugins:
      - demo-site: {port: 8737}

It starts with the run and stops with it. It always answers the same, and has what real sites have: listings of twenty
books with a relative link to the next one, a star rating that only the listing shows, a book that moved (301), one that
is sold and gone (404), a slow page, one that fails with 503 the first time, validators (ETag, so that a second run gets
304), a path that robots.txt closes; and mistakes: a book without a title, a book listed twice, used books.
"""

from __future__ import annotations

import hashlib
import threading
import time
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from pipeline import hookimpl

SLOW_SECONDS = 0.2
A_PAGE = 20  # books on a listing


class Plugin:
    """Serve the shop on `port` of 127.0.0.1 while the run lasts; 0 takes a free port."""

    def __init__(self, port: int = 8737) -> None:
        self.port = port
        self._server: Server | None = None

    @hookimpl
    def run_start(self) -> None:
        """Begin to answer. OSError where the port is taken."""
        try:
            self._server = server = Server(("127.0.0.1", self.port), Handler)
        except OSError as error:
            raise OSError(
                f"the demo site cannot listen on 127.0.0.1:{self.port} ({error.strerror}): choose another port, "
                f"as in `--set vars.port={self.port % 60000 + 1000}`"
            ) from error
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.05,), name="demo-site", daemon=True).start()

    @hookimpl
    def run_finish(self) -> None:
        """Stop, and give the port back."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class Server(ThreadingHTTPServer):
    """One thread a connection; none of them keeps the process alive."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.pages = site()
        self.failed: set[str] = set()  # paths that have had their one failure


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD from `Server.pages`."""

    protocol_version = "HTTP/1.1"  # with keep-alive
    disable_nagle_algorithm = True  # head and body are two writes
    timeout = 30
    server: Server

    def do_GET(self) -> None:
        """Answer one request."""
        path = self.path.partition("?")[0]
        page = self.server.pages.get(path)
        if page is None:
            self._answer(404, html("Not here", "<h1>404</h1><p>There is no such page.</p>"))
        elif page.moved_to:
            self._answer(301, "", {"Location": page.moved_to})
        elif page.fails_once and path not in self.server.failed:
            self.server.failed.add(path)
            self._answer(503, html("Busy", "<h1>503</h1><p>Try again.</p>"))
        else:
            time.sleep(SLOW_SECONDS if page.slow else 0)
            self._answer(200, page.text, content_type=page.content_type)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks up

    def _answer(
        self, status: int, text: str, headers: dict[str, str] | None = None, content_type: str = "text/html"
    ) -> None:
        body = text.encode()
        headers = {
            "Content-Type": f"{content_type}; charset=utf-8",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }
        if status == 200:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if self.headers.get("If-None-Match") == headers["ETag"]:
                status, body = 304, b""
                del headers["Content-Type"], headers["Content-Length"]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet: stderr belongs to the run."""


# --- what the shop has -----------------------------------------------------------------------------------------------


class Page(NamedTuple):
    """A scripted answer."""

    text: str = ""
    content_type: str = "text/html"
    moved_to: str = ""
    slow: bool = False
    fails_once: bool = False


class Book(NamedTuple):
    """A book as the shop knows it."""

    slug: str
    title: str
    price: str
    rating: str
    stock: int
    tags: tuple[str, ...]


ADJECTIVES = ("Quiet", "Patient", "Crooked", "Distant", "Salted", "Hollow", "Borrowed", "Last", "Paper", "Northern")
NOUNS = ("Harbour", "Orchard", "Clock", "Letter", "River", "Lantern")
RATINGS = ("One", "Two", "Three", "Four", "Five")
TAGS = ("fiction", "history", "sea", "travel", "poetry")
QUOTES = (
    ("A river does not hurry, and is never late.", "Ida Brandt", ("patience", "rivers")),
    ("Keep the lantern; the road will change.", "Tomas Vey", ("travel",)),
    ("Every clock is an opinion.", "Ida Brandt", ("time",)),
    ("What is borrowed is read twice.", "Noor Halim", ("books", "reading")),
    ("The sea answers in its own order.", "Tomas Vey", ("sea", "patience")),
    ("Whoever labels the jars owns the kitchen.", "Céline Roux", ("order",)),
    ("An honest map has holes.", "Noor Halim", ("travel", "maps")),
    ("Winter is a long footnote.", "Céline Roux", ("time", "winter")),
    ("Two books make a library, three an excuse.", "Ida Brandt", ("books",)),
)


def books() -> list[Book]:
    """Sixty books, the same every time, with some that a scraper has to think about."""
    shop = []
    for number in range(60):
        title = f"The {ADJECTIVES[number % 10]} {NOUNS[number // 10]}"
        if number % 17 == 16:
            title += " (Used)"
        pence = 599 + number * 4337 % 5000
        tags = (TAGS[number % 5], TAGS[(number + 1 + number % 3) % 5])
        slug = title.lower().replace(" ", "-").strip("()").replace("(", "")
        shop.append(Book(slug, title, f"£{pence / 100:.2f}", RATINGS[number * 7 % 5], number * 5 % 23, tags))
    shop[4] = shop[4]._replace(title="Zürich, Quietly & Slowly")
    shop[11] = shop[11]._replace(title="+1: A Book of Small Numbers")  # a spreadsheet would take it for a formula
    shop[23] = shop[23]._replace(title="")
    shop[37] = shop[37]._replace(title=shop[0].title)
    return shop


def site() -> dict[str, Page]:
    """Every path and its answer."""
    shop = books()
    pages = {f"/catalogue/{book.slug}/index.html": Page(detail(book)) for book in shop}
    pages |= {f"/catalogue/page-{number}.html": Page(listing(shop, number)) for number in (1, 2, 3)}
    pages |= {f"/quotes/page-{number}.html": Page(quotes(number)) for number in (1, 2, 3)}
    pages["/"] = Page(html("Demo bookshop", "<h1>Demo bookshop</h1>" + MENU))
    pages["/robots.txt"] = Page("User-agent: *\nDisallow: /basket/\n", content_type="text/plain")
    pages["/sitemap.xml"] = Page(sitemap(shop), content_type="application/xml")
    pages["/feed.atom"] = Page(FEED, content_type="application/atom+xml")
    pages["/basket/"] = Page(html("Basket", "<h1>Your basket is empty</h1>"))
    slow, flaky, moved, gone = (f"/catalogue/{shop[number].slug}/index.html" for number in (7, 28, 42, 51))
    pages[slow] = pages[slow]._replace(slow=True)
    pages[flaky] = pages[flaky]._replace(fails_once=True)
    pages[moved.replace("/catalogue/", "/catalogue/new-")] = pages[moved]
    pages[moved] = Page(moved_to=moved.replace("/catalogue/", "/catalogue/new-"))
    del pages[gone]
    return pages


MENU = """<ul class="menu">
<li><a href="/catalogue/page-1.html">Books</a></li>
<li><a href="/quotes/page-1.html">Quotes</a></li>
<li><a href="/basket/">Basket</a></li>
</ul>"""


FEED = """<feed xmlns="http://www.w3.org/2005/Atom"><title>Quotes</title>
<entry><title>Page 1</title><link href="/quotes/page-1.html"/><updated>2026-01-01T00:00:00Z</updated></entry>
</feed>
"""


def sitemap(shop: list[Book]) -> str:
    """The sitemap: the first ten books."""
    paths = "".join(f"<url><loc>/catalogue/{book.slug}/index.html</loc></url>\n" for book in shop[:10])
    return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{paths}</urlset>\n'


def html(title: str, body: str) -> str:
    """A whole page."""
    head = f'<html lang="en"><head><title>{escape(title)}</title></head>'
    return f"<!DOCTYPE html>\n{head}\n<body>\n{body}\n</body></html>\n"


def pager(number: int) -> str:
    """The link from one of three pages to the next."""
    return (
        f'<ul class="pager"><li class="next"><a href="page-{number + 1}.html">next</a></li></ul>' if number < 3 else ""
    )


def listing(shop: list[Book], number: int) -> str:
    """Page `number`, from 1, of the catalogue."""
    pods = "\n".join(
        f'<li><article class="product_pod"><p class="star-rating {book.rating}"></p>'
        f'<h3><a href="{book.slug}/index.html">{escape(book.title or "untitled")}</a></h3></article></li>'
        for book in shop[(number - 1) * A_PAGE : number * A_PAGE]
    )
    return html(f"Books, page {number}", f"{MENU}\n<ol>\n{pods}\n</ol>\n{pager(number)}")


def detail(book: Book) -> str:
    """The page of one book."""
    upc = hashlib.sha256(book.slug.encode()).hexdigest()[:12]
    tags = " ".join(f'<a class="tag" href="#{tag}">{tag}</a>' for tag in book.tags)
    stock = f"In stock ({book.stock} available)" if book.stock else "Sold out"
    return html(
        book.title,
        f"""<article class="product_page">
<h1>{escape(book.title)}</h1>
<p class="price_color">{book.price}</p>
<p class="availability">{stock}</p>
<p>{tags}</p>
<table><tr><th>UPC</th><td>{upc}</td></tr></table>
</article>""",
    )


def quotes(number: int) -> str:
    """Page `number`, from 1, of the quotes."""
    blocks = "\n".join(
        f'<div class="quote"><span class="text">{escape(text)}</span> <small class="author">{author}</small> '
        + " ".join(f'<a class="tag" href="#{tag}">{tag}</a>' for tag in tags)
        + "</div>"
        for text, author, tags in QUOTES[(number - 1) * 3 : number * 3]
    )
    return html(f"Quotes, page {number}", f"{MENU}\n{blocks}\n{pager(number)}")
