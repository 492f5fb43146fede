"""The fields of a page that is one thing: a product, an article, or what a page says of itself.

For each field there are several places in which pages keep it; the first that has something is taken. Whether a path of
JSON-LD or microdata really leads to a value is known once a draft was read: what did not is `refused` the next time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

from pipeline.drafting.fields import decimal_spec, name_class
from pipeline.drafting.records import PRICE, selector_of
from pipeline.stages.page import Page
from pipeline.stages.tree import Element

Spec: TypeAlias = Any  # what the config says of a field

_DECIMAL: Final = {"type": "decimal"}
_PRODUCT: Final[Sequence[tuple[str, Sequence[Spec]]]] = (
    ("name", [{"jsonld": "Product.name"}, {"microdata": "Product.name"}]),
    ("brand", [{"jsonld": "Product.brand.name"}, {"jsonld": "Product.brand"}, {"microdata": "Product.brand.name"}]),
    ("sku", [{"jsonld": "Product.sku"}, {"microdata": "Product.sku"}]),
    (
        "price",
        [
            {"jsonld": "Product.offers.price", **_DECIMAL},
            {"jsonld": "Product.offers.lowPrice", **_DECIMAL},
            {"microdata": "Product.offers.price", **_DECIMAL},
            {"opengraph": "product:price:amount", **_DECIMAL},
            {"opengraph": "price:amount", **_DECIMAL},
        ],
    ),
    (
        "currency",
        [
            {"jsonld": "Product.offers.priceCurrency"},
            {"microdata": "Product.offers.priceCurrency"},
            {"opengraph": "product:price:currency"},
            {"opengraph": "price:currency"},
        ],
    ),
    ("availability", [{"jsonld": "Product.offers.availability"}, {"microdata": "Product.offers.availability"}]),
)
_ARTICLE: Final[Sequence[tuple[str, Sequence[Spec]]]] = (
    ("headline", [{"jsonld": "*.headline"}]),
    ("author", [{"jsonld": "*.author.name"}, {"meta": "author"}, "[rel=author]"]),
    (
        "published",
        [{"jsonld": "*.datePublished"}, {"opengraph": "article:published_time"}, "time::attr(datetime)"],
    ),
)
_PAGE: Final[Sequence[tuple[str, Sequence[Spec]]]] = (
    ("title", [{"opengraph": "title"}, "h1", "title"]),
    ("description", [{"opengraph": "description"}, {"meta": "description"}]),
    ("image", [{"opengraph": "image", "type": "url"}]),
)
_ARTICLES: Final = "(?:News|Blog)?(?:Article|Posting)"
_TYPE_PRODUCT: Final = re.compile(r'"@type"\s*:\s*\[?\s*"Product"')
_TYPE_ARTICLE: Final = re.compile(rf'"@type"\s*:\s*\[?\s*"{_ARTICLES}"')
_BODIES: Final = ", ".join(
    [
        *("[itemprop=articleBody]", "[class*=article-body]", "[class*=articleBody]", "[class*=article__body]"),
        *("[class*=entry-content]", "[class*=post-content]", "[class*=article-content]", "[class*=story-body]"),
    ]
)
_PART: Final = 6  # of the page's text must be in the paragraphs of an element
_LEAST_TEXT: Final = 400  # characters of a body of text
_MOST_PRICE: Final = 40  # characters of an element that is a price


def single_fields(page: Page, refused: Collection[str] = ()) -> dict[str, Spec]:
    """What the page has of a product or an article, and what it says of itself, by name of the field.

    `refused` are specs, as `spelt` spells them, that are known to give nothing.
    """
    fields: dict[str, Spec] = {}
    for name, sources in _wanted(page):
        if name in fields or (name == "title" and not fields.keys().isdisjoint(("name", "headline"))):
            continue
        here = (_of_this_page(page, one) for one in sources if _gives(page, one))
        spec = next((one for one in here if spelt(one) not in refused), None)
        if spec is not None:
            fields[name] = spec
    first = [name for name in ("name", "headline", "title") if name in fields]
    return {name: fields[name] for name in (*first, *fields)}


def spelt(spec: Spec) -> str:
    """A spec as text, to be told apart from others."""
    return json.dumps(spec, sort_keys=True)


def says_product(page: Page) -> bool:
    """Does the page say that it is one product?"""
    return len(_TYPE_PRODUCT.findall(_jsonld(page))) == 1 or len(_microdata(page, "Product")) == 1


def says_article(page: Page) -> bool:
    """Does the page say twice, and once in detail, that it is one article?"""
    return og_type(page) == "article" and len(_TYPE_ARTICLE.findall(_jsonld(page))) == 1


def og_type(page: Page) -> str:
    """What OpenGraph calls the page, in lower case; empty if nothing."""
    return "".join(page.css('meta[property="og:type"]::attr(content)')[:1]).lower()


def _wanted(page: Page) -> Iterator[tuple[str, Sequence[Spec]]]:
    kind = og_type(page)
    product = says_product(page) or "product" in kind or bool(_jsonld_type(page, "Product"))
    if product:
        yield from _PRODUCT
        yield "price", _price(page)
    elif kind == "article" or _jsonld_type(page, _ARTICLES):
        yield from _ARTICLE
    if _heading_is_title(page):
        yield "title", ["h1"]
    yield from _PAGE
    if not product:
        yield "text", _body(page)


def _jsonld_type(page: Page, kinds: str) -> str:
    """The first type of this pattern in the page's JSON-LD; empty if there is none."""
    match = re.search(rf'"@type"\s*:\s*\[?\s*"({kinds})"', _jsonld(page))
    return match[1] if match else ""


def _jsonld(page: Page) -> str:
    return " ".join(one.text for one in page.select('script[type="application/ld+json"]'))


def _microdata(page: Page, kind: str) -> list[Element]:
    return page.select(f'[itemtype$="schema.org/{kind}"]')


def _of_this_page(page: Page, source: Spec) -> Spec:
    """The source with the type that the page's JSON-LD has."""
    if isinstance(source, dict) and str(source.get("jsonld", "")).startswith("*."):
        return source | {"jsonld": f"{_jsonld_type(page, _ARTICLES)}{source['jsonld'][1:]}"}
    return source


def _gives(page: Page, source: Spec) -> bool:
    """May the source have something on this page? Of data this is not more than a guess."""
    if isinstance(source, str):
        return any(page.css(source)[:1]) if "::" in source else any(one.text for one in page.select(source)[:1])
    name, value = next(iter(source.items()))
    if name == "jsonld":
        kind, *parts = value.split(".")
        found = _jsonld_type(page, _ARTICLES if kind == "*" else kind)
        return bool(found) and all(f'"{part}"' in _jsonld(page) for part in parts)
    if name == "microdata":
        kind, *parts = value.split(".")
        within = _microdata(page, kind)
        return len(within) == 1 and all(within[0].select(f'[itemprop~="{part}"]') for part in parts)
    if name == "opengraph":
        prefix = "" if ":" in value else "og:"
        return any(page.css(f'meta[property="{prefix}{value}"]::attr(content)'))
    return name == "css" or any(page.css(f'meta[name="{value}"]::attr(content)'))


def _heading_is_title(page: Page) -> bool:
    """Is there one `h1`, and is it what the page calls itself, which often has the site's name too?"""
    headings = [one.text for one in page.select("h1")]
    called = page.css('meta[property="og:title"]::attr(content)') + [one.text for one in page.select("title")]
    return len(headings) == 1 and bool(headings[0]) and any(headings[0].lower() in one.lower() for one in called)


def _price(page: Page) -> list[Spec]:
    """The first element behind the heading that is called a price and looks like one."""
    behind = False
    for element in page.select("h1, [class*=rice]"):
        behind = behind or element.tag == "h1"
        if not behind or len(element.text) > _MOST_PRICE or not PRICE.search(element.text):
            continue
        selector = f"{element.tag}.{name_class(element)}"
        if name_class(element) and page.select(selector)[0] == element:
            return [decimal_spec(selector, [element.text])]
    return []


def _body(page: Page) -> list[Spec]:
    """The element with the page's text: one that is called so, else the one whose paragraphs are most of it."""
    called = [one for one in page.select(_BODIES) if len(one.text) >= _LEAST_TEXT]
    best = called[0] if called else _most_paragraphs(page)
    found = (one for one in _selectors(best) if page.select(one)[:1] == [best]) if best is not None else iter(())
    return list(islice(found, 1))


def _most_paragraphs(page: Page) -> Element | None:
    sizes: dict[Element, int] = {}
    for paragraph in page.select("p"):
        if paragraph.parent is not None:
            sizes[paragraph.parent] = sizes.get(paragraph.parent, 0) + len(paragraph.text)
    best = max(sizes, key=lambda one: sizes[one], default=None)
    whole = len(page.tree.select("body")[0].text) if best is not None else 0
    return best if best is not None and sizes[best] >= max(_LEAST_TEXT, whole / _PART) else None


def _selectors(element: Element) -> Iterator[str]:
    """Selectors that may be those of this element alone, the most telling first."""
    if element.attr("itemprop") == "articleBody":
        yield "[itemprop=articleBody]"
    yield from filter(None, [selector_of(element)])
    names = (element.attr("class") or "").split()
    yield from (f"{element.tag}.{name}" for name in names if re.fullmatch(r"[A-Za-z_][\w-]*", name))
    if re.fullmatch(r"[A-Za-z][\w-]*", element.attr("id") or ""):
        yield f"#{element.attr('id')}"
