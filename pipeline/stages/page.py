"""What a plugin author holds: one fetched page, with everything derived from its body made once, when first asked for.

Knows the tree, URLs and encodings; knows neither rules nor plugins nor how the page came here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from pipeline import url as urls
from pipeline.stages.css import Parser, Selector, compiled
from pipeline.stages.encoding import decode
from pipeline.stages.group import Group
from pipeline.stages.kinds import Kind, kind_of
from pipeline.stages.runinfo import RunInfo
from pipeline.stages.tree import Element, Tree, values

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

    from pipeline.stages.xmltree import XmlElement, XmlTree
    from pipeline.stages.xpath import XPath, XPathTree

_BASE: Final = re.compile("<[bB][aA][sS][eE]")  # not IGNORECASE: so it looks for the `<` alone


class PageHeaders(Mapping[str, str]):
    """Header fields by case-insensitive name; fields of one name are joined with `, ` (RFC 9110, section 5.2)."""

    __slots__ = ("_fields", "raw")

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        self.raw = tuple(fields)
        self._fields: dict[str, str] = {}
        for name, value in fields:
            key = name.lower()
            self._fields[key] = f"{self._fields[key]}, {value}" if key in self._fields else value

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"PageHeaders({self._fields!r})"


class Page:
    """A fetched page. `body` is without content coding; `carry` holds the values that the link brought along.

    `kind` is html, xml, json, text or binary. Selectors answer on HTML and XML pages and give [] elsewhere.
    """

    __slots__ = (
        "_base",
        "_decoded",
        "_headers",
        "_kind",
        "_links",
        "_parser",
        "_raw_headers",
        "_tree",
        "_xml",
        "_xpath",
        "body",
        "carry",
        "nofollow",
        "noindex",
        "rule",
        "run",
        "status",
        "url",
    )

    def __init__(
        self,
        url: str,
        status: int = 200,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        rule: str = "",
        carry: Mapping[str, Any] | None = None,
        run: RunInfo | None = None,
        parser: Parser = "auto",
    ) -> None:
        self.url = url
        self.status = status
        self.body = body
        self.rule = rule
        self.carry: Mapping[str, Any] = MappingProxyType(dict(carry or {}))
        self.run = run
        self.noindex = False  # what the page asks of robots: not to be kept, and not to follow its links
        self.nofollow = False
        self._parser = parser
        self._raw_headers = headers
        self._headers: PageHeaders | None = None
        self._kind: Kind | None = None
        self._decoded: tuple[str, str] | None = None
        self._tree: Tree | None = None
        self._base: str | None = None
        self._links: list[str] | None = None
        self._xml: XmlTree | None = None
        self._xpath: XPathTree | None = None

    def __repr__(self) -> str:
        return f"<Page {self.url} {self.status} {len(self.body)} bytes>"

    @property
    def headers(self) -> PageHeaders:
        """Header fields, case-insensitive, read-only; `.raw` has them as received."""
        if self._headers is None:
            self._headers = PageHeaders(self._raw_headers)
        return self._headers

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower case; empty if the header is missing."""
        return self._content_type().partition(";")[0].strip().lower()

    def _content_type(self) -> str:
        # Of several fields the last counts (WHATWG Fetch, extract a MIME type).
        return next((value for name, value in reversed(self._raw_headers) if name.lower() == "content-type"), "")

    @property
    def kind(self) -> Kind:
        """What the body is: by the Content-Type, or by its first bytes where the header says nothing definite."""
        if self._kind is None:
            self._kind = kind_of(self.content_type, self.body)
        return self._kind

    @property
    def text(self) -> str:
        """The body as text: byte order mark, HTTP charset, declaration, UTF-8, windows-1252, in this order."""
        return self._decode()[0]

    @property
    def encoding(self) -> str:
        """The Python codec that `text` was decoded with."""
        return self._decode()[1]

    def _decode(self) -> tuple[str, str]:
        if self._decoded is None:
            self._decoded = decode(self.body, self._content_type())
        return self._decoded

    def json(self) -> Any:
        """The body read as JSON. Raises `ValueError` if it is not."""
        try:
            return json.loads(self.text)
        except RecursionError:
            raise ValueError("the JSON is nested too deeply") from None

    @property
    def tree(self) -> Tree:
        """The lexbor tree of the page. Of what is not HTML it is the tree of an empty page."""
        if self._tree is None:
            self._tree = Tree(self.text if self.kind == "html" else "")
        return self._tree

    @property
    def depth_truncated(self) -> bool:
        """Whether elements of its tree stood too deep and were put side by side; false while it has no tree."""
        return any(tree.depth_truncated for tree in (self._tree, self._xml) if tree is not None)

    @property
    def soup(self) -> BeautifulSoup:
        """The same tree as BeautifulSoup. Changing it changes what selectors find that soupsieve answers."""
        return self.tree.soup

    @property
    def xml(self) -> XmlTree:
        """The tree of an XML page; of what is not XML an empty one."""
        if self._xml is None:
            from pipeline.stages.xmltree import XmlTree  # noqa: PLC0415 - lxml is for pages that need it

            self._xml = XmlTree(self.text if self.kind == "xml" else "")
        return self._xml

    def css(self, selector: str | Selector) -> list[Any]:
        """Elements in document order, or texts where the selector ends in `::text`, `::attr(NAME)` or `::html`.

        Raises `SelectorError`. A page that is neither HTML nor XML gives [].
        """
        if isinstance(selector, str):
            selector = compiled(selector, self._parser)
        return values(self.select(selector), selector)

    def select(self, selector: str | Selector) -> list[Element]:
        """The elements that match, whatever pseudo-element the selector ends in."""
        if isinstance(selector, str):
            selector = compiled(selector, self._parser)
        if self.kind == "html":
            return self.tree.select(selector)
        return cast("list[Element]", self.xml.select(selector)) if self.kind == "xml" else []

    def group(self, elements: Sequence[Element]) -> Group:
        """Elements of this page that several selectors will be asked of: `page.group(rows).select(selector)`."""
        if self.kind == "xml":
            return cast("Group", self.xml.group(cast("list[XmlElement]", elements)))
        return Group(self.tree, elements)

    def xpath(self, expression: str | XPath, scope: Element | None = None) -> list[Any]:
        """XPath 1.0 from the root element, or from `scope`; always a list.

        Elements as `Element`, attributes and text as str. HTML has no namespaces, so `//svg` works; in XML, names are
        as the document writes them. Other kinds give []. Raises `ValueError`.
        """
        if self.kind not in ("html", "xml"):
            return []
        from pipeline.stages.xpath import XPathTree, compiled_xpath  # noqa: PLC0415 - as above

        path = compiled_xpath(expression) if isinstance(expression, str) else expression
        if self.kind == "xml":
            return self.xml.xpath(path, cast("XmlElement | None", scope))
        tree = self.tree
        if self._xpath is None:
            self._xpath = XPathTree(tree.root)
        found = self._xpath.evaluate(path, tree.root if scope is None else scope.node)
        return [item if isinstance(item, (str, float, bool)) else Element(tree, item) for item in found]

    @property
    def base_url(self) -> str:
        """What relative references are resolved against: the first `base[href]`, else the page's URL."""
        if self._base is None:
            self._base = self._find_base()
        return self._base

    def _find_base(self) -> str:
        if self.kind != "html" or _BASE.search(self.text) is None:  # cheaper than asking the tree
            return self.url
        element = next(iter(self.tree.select("base[href]")), None)
        base = urls.join(self.url, element.attr("href") or "") if element is not None else None
        # WHATWG HTML, "set the frozen base URL": these schemes are not taken.
        return self.url if base is None or urls.scheme_of(base) in ("data", "javascript") else base

    def url_join(self, reference: str) -> str | None:
        """The absolute, normalised URL of a reference on this page, without fragment; None if it is none."""
        return urls.join(self.base_url, reference)

    @property
    def links(self) -> list[str]:
        """Absolute, normalised URLs of `a[href]` and `area[href]` in document order, each once."""
        if self._links is None:
            references = dict.fromkeys(element.attr("href") or "" for element in self.select("a[href], area[href]"))
            joined = (self.url_join(reference) for reference in references)
            self._links = list(dict.fromkeys(url for url in joined if url is not None))
        return list(self._links)
