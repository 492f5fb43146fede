"""What decides which requests and items there are, in sixteen bytes.

A run that was interrupted goes on only if all of it is as it was (spec, section 3, contract 9); a page's validators are
sent only if what made its items is as it was (contract 3). Values are hashed, never kept, so secrets may be among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from pipeline.config.loader import Loaded
from pipeline.stages.host import Host

MAKERS = ("plugins", "parse", "filter", "fetcher")  # the sections whose plugins have a say in items

_encode = msgspec.json.Encoder(enc_hook=str).encode  # in the order of the file, which decides that of fields


def run_fingerprint(loaded: Loaded, host: Host, *, only: str | None = None) -> bytes:
    """Of seeds, scope, pages, parse, filter and all plugins but stores; and of what narrows the scope for one run."""
    config = loaded.config
    return _hash(
        [seed.model_dump() for seed in config.seeds],
        [_content(path) for path in _seed_files(loaded)],
        config.scope.model_dump(),
        list(config.rules().items()),  # the first that fits is taken
        [(entry.name, entry.options, entry.items) for entry in config.filter],
        [(entry.name, entry.options) for entry in config.parse],
        [(entry.name, entry.options) for entry in config.plugins],
        host.identities((*MAKERS, "seeds")),
        *([only] if only is not None else []),
    )


def makers(loaded: Loaded, host: Host) -> dict[str, bytes]:
    """For each page rule, of what makes the items and links of its pages.

    Besides the rule itself, the parsers and the filters that is whatever says which rule a link is under, since links
    are stored with it, and what goes along with every request: a site may answer it with another language.
    """
    config = loaded.config
    fetch, rules = config.fetch, config.rules()
    shared = _hash(
        [(name, rule["match"]) for name, rule in rules.items()],
        config.scope.normalize.model_dump(),
        [fetch.user_agent, fetch.headers, {origin: auth.model_dump() for origin, auth in fetch.auth.items()}],
        [(entry.name, entry.options, entry.items) for entry in config.filter],
        [(entry.name, entry.options) for entry in config.parse],
        [(entry.name, entry.options) for entry in config.plugins],
        host.identities(MAKERS),
    )
    fetchers = {name: page.fetcher for name, page in config.pages.items()}  # plugins may be all that a config wants
    return {name: _hash(shared.hex(), rule, fetchers.get(name, "selectors")) for name, rule in rules.items()}


def _hash(*parts: Any) -> bytes:
    return blake2b(_encode(parts), digest_size=16).digest()


def _seed_files(loaded: Loaded) -> Iterable[Path]:
    """The files that `file` seeds name."""
    for index, seed in enumerate(loaded.config.seeds):
        if seed.name == "file":
            options: Any = seed.options
            path = options.get("path") if isinstance(options, dict) else options
            if isinstance(path, str):
                yield loaded.resolve(seed.key_path(index), path)


def _content(path: Path) -> Sequence[str]:
    try:
        return [str(path), blake2b(path.read_bytes(), digest_size=16).hexdigest()]
    except OSError:
        return [str(path)]  # whoever reads it will say what is wrong
