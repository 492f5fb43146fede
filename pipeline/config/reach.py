"""Which page rules URLs can come to: seeds that no rule is for, and rules that no URL fits.

Works on plain data that may be wrong in other ways, as `crosscheck` does. Only what is certain is a problem: of regular
expressions only those that stand twice, and nothing of rules that a seed, a link or a test names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from pipeline.config.nodes import KeyPath, key_text
from pipeline.crawl.globs import covered, may_meet, meets
from pipeline.crawl.scope import Pattern
from pipeline.errors import Mark, Problem
from pipeline.url import normalise

MAX_URL = 2000
MOST_COMPARED = 30  # earlier rules that a rule is held against, at a third of a millisecond or so each
ANY = "/**"  # what a rule without `match` fits
_HINT = "put it before that one, or name it with 'page:' in a seed or follow"


class Locate(Protocol):
    """Where a key path stands (the key itself with `key`)."""

    def __call__(self, key_path: KeyPath, key: bool = False) -> Mark: ...


def mapping_of(value: Any) -> dict[str, Any]:
    """The mapping, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """The list, an empty one for anything else."""
    return value if isinstance(value, list) else []


def page_references(data: dict[str, Any]) -> Iterator[tuple[KeyPath, Any]]:
    """Every name of a page rule in seeds, follows and tests."""
    for index, seed in enumerate(list_of(data.get("seeds"))):
        for name, value in mapping_of(seed).items():
            if name == "page":
                yield ("seeds", index, "page"), value
            elif "url" not in seed and isinstance(value, dict) and "page" in value:
                yield ("seeds", index, name, "page"), value["page"]
    for page, rule in mapping_of(data.get("pages")).items():
        for index, entry in enumerate(list_of(mapping_of(rule).get("follow"))):
            if isinstance(entry, dict):
                yield ("pages", page, "follow", index, "page"), entry.get("page")
    for index, test in enumerate(list_of(data.get("tests"))):
        yield ("tests", index, "page"), mapping_of(test).get("page")


def unreached_seeds(data: dict[str, Any], locate: Locate) -> Iterator[Problem]:
    """Seeds that no page rule is for: they would all be rejected."""
    rules = [mapping_of(rule).get("match") for rule in mapping_of(data.get("pages")).values()]
    globs = [match for match in rules if isinstance(match, str) and _is_simple(match)]
    if not rules or len(globs) < len(rules):
        return
    patterns = [Pattern(glob) for glob in globs]
    for index, url in _seed_urls(data):
        if not any(pattern.matches(url) for pattern in patterns):
            hint = "name one with 'page:', or widen a 'match'"
            message = "expected a URL that some page rule matches, found one that none does"
            yield Problem(locate(("seeds", index, "url")), key_text(("seeds", index)), message, hint)


def _seed_urls(data: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Number and URL of the seeds that name no page rule."""
    for index, seed in enumerate(list_of(data.get("seeds"))):
        entry = seed if isinstance(seed, dict) else {"url": seed}
        url = normalise(entry["url"]) if isinstance(entry.get("url"), str) and len(entry["url"]) < MAX_URL else None
        if url and url.startswith(("http://", "https://")) and entry.get("page") is None:
            yield index, url


def _is_simple(match: str) -> bool:
    """A glob on the path without a query, which `scope.normalize` may change."""
    return match.startswith(("/", "*")) and "?" not in match


def unreached_rules(data: dict[str, Any], open_rules: bool, locate: Locate) -> Iterator[Problem]:
    """Page rules that no URL comes to. Plugins may name any (`open_rules`)."""
    named = {str(name) for _, name in page_references(data) if name is not None}
    earlier: dict[str, str] = {}  # rule -> its match
    for name, rule in mapping_of(data.get("pages")).items():
        match = mapping_of(rule).get("match")
        if match is not None and not isinstance(match, str):
            continue
        match = ANY if match is None else match
        why = None if str(name) in named or open_rules else _why_unreached(match, earlier)
        if why:
            message = f"expected a page rule that some URL comes to, found one {why[0]}"
            yield Problem(locate(("pages", name), True), key_text(("pages", name)), message, why[1])
        earlier[str(name)] = match


def _why_unreached(match: str, earlier: dict[str, str]) -> tuple[str, str] | None:
    """Why no URL comes to a rule with this match, and what to do; None if one may."""
    same = next((name for name, other in earlier.items() if other == match), None)
    if same is not None:
        return f"behind '{same}', which {'fits all URLs' if match == ANY else 'has the same match'}", _HINT
    if not _is_glob(match):
        every = next((name for name, other in earlier.items() if other in (ANY, "**")), None)
        return None if every is None else (f"behind '{every}', which fits all URLs", _HINT)
    if not meets(match, [ANY]):
        return f"whose glob {match!r} fits no path", "paths start with /, and * stays within a segment: **.html"
    alike = [(name, other) for name, other in earlier.items() if _is_glob(other) and may_meet(match, other)]
    globs = dict(alike[:MOST_COMPARED])
    for name, other in globs.items():
        if covered(match, [other]):
            fits = "fits all URLs" if other in (ANY, "**") else f"fits all its URLs ({other})"
            return f"behind '{name}', which {fits}", _HINT
    if len(globs) > 1 and covered(match, list(globs.values())):
        names = ", ".join(f"'{name}'" for name in globs)
        return f"behind {names}, which together fit all its URLs", _HINT
    return None


def out_of_scope(data: dict[str, Any], locate: Locate) -> Iterator[Problem]:
    """A note for each page rule that nothing names and whose URLs `scope` keeps out."""
    named = {str(name) for _, name in page_references(data) if name is not None}
    for name, rule in mapping_of(data.get("pages")).items():
        match = mapping_of(rule).get("match")
        why = _why_out_of_scope(match, data) if isinstance(match, str) and str(name) not in named else None
        if why and not (data.get("plugins") or data.get("parse")):
            yield Problem(
                locate(("pages", name), True), key_text(("pages", name)), f"no URL comes to it: {why[0]}", why[1]
            )


def _why_out_of_scope(match: str, data: dict[str, Any]) -> tuple[str, str] | None:
    """Why no link comes to a rule with this match; None if one may, or a seed does, which scope does not bind."""
    scope = mapping_of(data.get("scope"))
    allow, deny = ([str(one) for one in list_of(scope.get(key))] for key in ("allow", "deny"))
    if not _is_glob(match) or not (allow or deny) or _seeded(match, data):
        return None
    if covered(match, [one for one in deny if _is_glob(one)]):
        return "scope.deny refuses all that it matches", "narrow scope.deny, or take the rule out"
    if allow and all(map(_is_glob, allow)) and not meets(match, allow):
        return "scope.allow allows nothing that it matches", "add its match to scope.allow, or take the rule out"
    return None


def _seeded(match: str, data: dict[str, Any]) -> bool:
    """May a seed come to a rule with this match? Of seed files nobody knows."""
    pattern = Pattern(match)
    others = (seed for seed in list_of(data.get("seeds")) if isinstance(seed, dict) and "url" not in seed)
    files = any(seed.keys() - {"sitemap", "feed", "since", "page"} for seed in others)
    return files or "-" in list_of(data.get("seeds")) or any(pattern.matches(url) for _, url in _seed_urls(data))


def _is_glob(match: str) -> bool:
    return match.startswith(("/", "*"))
