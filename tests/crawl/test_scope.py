"""Scope: patterns, domains, depth and traps, as tables."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.scope import Normaliser, Pattern, Refusal, Scope, repeats

PATTERNS = [
    ("/catalogue/**", "http://a/catalogue/", True),
    ("/catalogue/**", "http://a/catalogue/x/y.html", True),
    ("/catalogue/**", "http://a/catalogue", False),
    ("/catalogue/*/index.html", "http://a/catalogue/x/index.html", True),
    ("/catalogue/*/index.html", "http://a/catalogue/x/y/index.html", False),
    ("/basket", "http://a/basket", True),
    ("/basket", "http://a/basket/x", False),
    ("/basket", "http://a/basket?x=1", True),
    ("/search?q=*", "http://a/search?q=x", True),
    ("/search?q=*", "http://a/search", False),
    ("**/index.html", "http://a/b/c/index.html", True),
    ("*.html", "http://a/x.html", False),  # `*` stays within a segment, and the path starts with a slash
    ("**.html", "http://a/x/y.html", True),
    ("/café/*", "http://a/caf%C3%A9/x", True),
    ("/a.b", "http://a/axb", False),
    ("/a+b(c)", "http://a/a+b(c)", True),
    ("re:[?&]sort=", "http://a/x?sort=1", True),
    ("re:[?&]sort=", "http://a/x?resort=1", False),
    ("re:^https:", "http://a/", False),
]


@pytest.mark.parametrize(("pattern", "url", "fits"), PATTERNS)
def test_pattern(pattern: str, url: str, fits: bool) -> None:
    assert Pattern(pattern).matches(url) is fits


def slow_match(glob: str, path: str) -> bool:
    """Wildcards by definition: try everything."""
    if not glob:
        return not path
    if glob.startswith("**"):
        return any(slow_match(glob[2:], path[at:]) for at in range(len(path) + 1))
    if glob[0] == "*":
        segment = path.partition("/")[0]
        return any(slow_match(glob[1:], path[at:]) for at in range(len(segment) + 1))
    return path[:1] == glob[0] and slow_match(glob[1:], path[1:])


@given(st.text("ab/*", max_size=9), st.text("ab/", max_size=9))
def test_globs_mean_what_wildcards_mean(glob: str, path: str) -> None:
    assert Pattern(f"/{glob}").matches(f"http://h/{path}") is slow_match(f"/{glob}", f"/{path}")


@pytest.mark.parametrize("glob", ["/" + "*a" * 25 + "b", "/" + "**a" * 25 + "b", "/" + "*a**" * 12 + "b"])
def test_many_stars_cost_little(glob: str) -> None:
    begin = time.process_time()
    assert not Pattern(glob).matches("http://h/" + "a" * 8000)
    assert time.process_time() - begin < 1.0  # it would be hours with plain wildcards


def fate_of(refused: Refusal | None) -> str | None:
    return None if refused is None else refused.fate


@pytest.mark.parametrize("text", ["re:[", "basket", "https://a/**", ""])
def test_pattern_that_can_never_work_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"regular expression|starts with"):
        Pattern(text)


def test_without_allow_domains_the_seeds_hosts_are_in_with_and_without_www() -> None:
    scope = Scope(seed_hosts=["www.books.example", "[::1]"[1:-1]])
    assert scope.refusal("http://books.example/") is None
    assert scope.refusal("https://www.books.example:8443/") is None
    assert scope.refusal("http://[::1]:80/") is None
    assert fate_of(scope.refusal("http://shop.books.example/")) == "rejected:scope"
    assert fate_of(scope.refusal("http://evilbooks.example/")) == "rejected:scope"


def test_allow_domains_means_subdomains_and_any_port() -> None:
    scope = Scope(seed_hosts=["a.example"], allow_domains=["books.example"])
    assert scope.refusal("http://books.example:81/") is None
    assert scope.refusal("http://x.y.books.example/") is None
    assert fate_of(scope.refusal("http://notbooks.example/")) == "rejected:scope"
    assert fate_of(scope.refusal("http://a.example/")) == "rejected:scope"


def test_the_first_hop_of_a_seed_joins() -> None:
    scope = Scope(seed_hosts=["a.example"])
    assert fate_of(scope.refusal("http://b.example/")) == "rejected:scope"
    scope.adopt("b.example")
    assert scope.refusal("http://b.example/") is None


def test_allow_and_deny_and_depth_do_not_bind_seeds_but_schemes_do() -> None:
    scope = Scope(seed_hosts=["a"], allow=[Pattern("/in/**")], deny=[Pattern("/in/no")], max_depth=1)
    table = {
        ("http://a/in/x", 1, False): None,
        ("http://a/in/no", 1, False): "rejected:scope",
        ("http://a/out", 0, False): "rejected:scope",
        ("http://a/out", 9, True): None,
        ("http://b/", 0, True): None,
        ("http://a/in/x", 2, False): "rejected:depth",
        ("ftp://a/in/x", 0, True): "rejected:scheme",
        ("mailto:x@a", 0, False): "rejected:scheme",
    }
    for (url, depth, seed), fate in table.items():
        assert fate_of(scope.refusal(url, depth=depth, seed=seed)) == fate, url


TRAPS = [
    ("/a/b/c", False),
    ("/a/a/x", False),
    ("/a/a/a", True),
    ("/a/b/a/b", False),
    ("/a/b/a/b/a/b/", True),
    ("/x/a/b/c/a/b/c/a/b/c/y", True),
    ("/2011/11/11/11-things", False),
    ("/a/b/a/c/a/d", False),
    ("/", False),
]


@pytest.mark.parametrize(("path", "trap"), TRAPS)
def test_path_repetition(path: str, trap: bool) -> None:
    assert repeats(path, 2) is trap


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=3), st.integers(1, 3))
def test_any_run_repeated_more_than_allowed_is_a_trap(run: list[str], most: int) -> None:
    assert repeats("/" + "/".join(run * (most + 1)), most)


def test_too_many_parameters_and_too_long_urls_are_traps() -> None:
    scope = Scope(seed_hosts=["a"], max_params=2, max_url=40)
    assert scope.refusal("http://a/?x=1&y=2") is None
    assert fate_of(scope.refusal("http://a/?x=1&y=2&z=3")) == "rejected:trap"
    assert fate_of(scope.refusal("http://a/" + "x" * 40)) == "rejected:trap"
    assert scope.refusal("http://a/" + "x" * 40, seed=True) is None
    assert fate_of(scope.refusal(f"http://{'x' * 64}.a/")) == "rejected:trap", "no name server could ever answer for it"


NORMALISED = [
    ("http://a/?utm_source=x&id=1", "http://a/?id=1"),
    ("http://a/?b=2&a=1", "http://a/?a=1&b=2"),
    ("http://a/?gclid=1", "http://a/"),
    ("http://a/?gclid2=1", "http://a/?gclid2=1"),
    ("http://a/?utm=1", "http://a/?utm=1"),
    ("http://a/x", "http://a/x"),
]


@pytest.mark.parametrize(("url", "expected"), NORMALISED)
def test_normaliser(url: str, expected: str) -> None:
    rules = Normaliser(strip_params=["utm_*", "gclid"], sort_params=True)
    assert rules(url) == expected
    assert rules(expected) == expected
    assert Normaliser()(url) == url
