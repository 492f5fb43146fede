"""What globs have in common, against what they match."""

from __future__ import annotations

import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.globs import covered, meets
from pipeline.crawl.scope import Pattern

URLS = ["http://h/" + "".join(signs) for length in range(6) for signs in product("ab/?", repeat=length)]


@pytest.mark.parametrize(
    ("glob", "others", "all_of_it", "some_of_it"),
    [
        ("/catalogue/*/index.html", ["/catalogue/**"], True, True),
        ("/catalogue/**", ["/catalogue/*/index.html"], False, True),
        ("/a/**", ["/b/**"], False, False),
        ("/a/*", ["/a/**"], True, True),
        ("/a/**", ["/a/*"], False, True),
        ("/a/b", ["/a/b"], True, True),
        ("/**", ["**"], True, True),
        ("**", ["/**"], True, True),
        ("/a?x=*", ["/a"], True, True),
        ("/a", ["/a?x=*"], False, True),
        ("/a", ["/a**"], True, True),
        ("/a*", ["/a", "/a**b", "/a**"], True, True),
        ("/*", ["/*.html", "/*.htm"], False, True),
        ("/x*", ["/", "/x", "/x*"], True, True),
        ("/café/*", ["/caf%C3%A9/*"], True, True),
        ("*.html", [], True, False),
        ("*.html", ["/**"], True, False),
        ("/a", [], False, False),
    ],
)
def test_what_globs_have_in_common(glob: str, others: list[str], all_of_it: bool, some_of_it: bool) -> None:
    assert covered(glob, others) is all_of_it
    assert meets(glob, others) is some_of_it


GLOBS = st.text("ab/*?", max_size=5).map(lambda text: f"/{text}")


@given(GLOBS, st.lists(GLOBS, max_size=3))
def test_no_url_says_otherwise(glob: str, others: list[str]) -> None:
    own, rest = Pattern(glob), [Pattern(other) for other in others]
    fitting = [any(other.matches(url) for other in rest) for url in URLS if own.matches(url)]
    if covered(glob, others):
        assert all(fitting)
    if any(fitting):
        assert meets(glob, others)


def test_globs_that_are_hard_to_compare_end_soon_and_claim_nothing() -> None:
    start = time.process_time()
    glob = "/" + "**a*" * 20
    assert not covered(glob, ["/" + "**b*a" * 20, "/" + "*ab**" * 20])
    assert meets("/**" + "a*" * 30, ["/" + "**b*a" * 20])
    assert time.process_time() - start < 10
