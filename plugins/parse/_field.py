"""One field of a rule at work: where its raw values come from, what is made of them, what happens without one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline import ParseError

from ._reading import Reading, Scopes
from ._sources import Css, Raws, Source, own, text_of
from ._transform import Step

Convert = Callable[[Any, Reading], Any]


class Regex(NamedTuple):
    """Which part of which match counts."""

    pattern: re.Pattern[str]
    group: int | str
    place: int

    def find(self, text: str) -> str | None:
        """The text of that part, without white space at its ends; None without it."""
        if self.place == 0:
            match = self.pattern.search(text)
        else:
            matches = list(self.pattern.finditer(text))
            match = matches[self.place] if -len(matches) <= self.place < len(matches) else None
        found: str | None = None if match is None else match[self.group]
        return found and found.strip()


class Chain(NamedTuple):
    """What is made of a raw value: `regex`, `transform`, `type`, in this order."""

    regex: Regex | None
    steps: Sequence[Step]
    convert: Convert | None

    def values(self, raw: Any, reading: Reading) -> list[Any]:
        """No value, one, or those of the list that a step made."""
        if self.regex is not None:
            raw = self.regex.find(text_of(raw))
        for step in self.steps:
            if raw in (None, ""):
                return []
            raw = step(raw)
        convert = self.convert
        found = []
        for one in raw if isinstance(raw, list) and self.steps else (raw,):
            if one is not None and one != "":
                value = one if convert is None else convert(one, reading)
                if value is not None and value != "":
                    found.append(value)
        return found


class Field:
    """A compiled field. `column` gives its values for all records of an `each` at once."""

    __slots__ = (
        "_default",
        "_fail",
        "_first",
        "_once",
        "_quick",
        "_separator",
        "chain",
        "index",
        "many",
        "name",
        "observed",
        "page_wide",
        "required",
        "source",
        "spec",
    )

    def __init__(
        self,
        name: str,
        source: Source,
        chain: Chain,
        *,
        many: bool = False,
        index: int = 0,
        separator: str | None = None,
        page_wide: bool = False,
        required: bool = False,
        default: Any = None,
        fail: bool = False,
        spec: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.spec: Mapping[str, Any] = {} if spec is None else spec  # as the config has it, for explanations
        self.observed = source.observed
        self.required = required
        joined = many and separator is not None
        self.many = many and not joined
        self._separator = separator if joined else None
        self.source = source
        self.chain = chain
        self.index = index
        self._first = index == 0 and not many
        self.page_wide = page_wide
        self._once = page_wide or not source.observed  # every record has the same
        self._default = default
        self._fail = fail
        plain = chain == Chain(None, (), None) and not page_wide and index == 0 and not joined
        self._quick = source if plain and isinstance(source, Css) else None

    def column(self, scopes: Scopes) -> list[Any]:
        """The field's value for each record."""
        if self._quick is not None:
            return self._column_of_texts(self._quick, scopes)
        if self._once and not scopes.whole:
            value = self.column(Scopes(scopes.reading))[0]
            return [own(value) for _ in range(scopes.size)]
        found = self.values(scopes, self.raws(scopes, self._first))
        return [self.missing() if value is None else value for value in found]

    def raws(self, scopes: Scopes, first: bool) -> Sequence[Raws]:
        """What the source finds in each record; with `first` no more than the first is needed."""
        read = getattr(self.source, "read", None)
        shares: Sequence[Raws] = self.source.find(scopes, first) if read is None else read(scopes, self._value)
        return shares

    def values(self, scopes: Scopes, shares: Sequence[Raws]) -> list[Any]:
        """What is made of what the source found in each record; None where that is nothing."""
        return [self._value(raws, scopes.reading) if raws else None for raws in shares]

    def _column_of_texts(self, source: Css, scopes: Scopes) -> list[Any]:
        """The common case, without a call per value."""
        found: list[Any]
        if self.many:
            found = [[*filter(None, texts)] or None for texts in source.find(scopes, False)]
        else:
            found = [text or None for text in source.firsts(scopes)]
        return found if None not in found else [self.missing() if value is None else value for value in found]

    def _value(self, raws: Raws, reading: Reading) -> Any:
        """What is made of the raw values of one record; None if that is nothing."""
        if self.many:
            return [value for raw in raws for value in self.chain.values(raw, reading)] or None
        taken = self.taken(raws)
        values = self.chain.values(taken[0], reading) if taken else None
        return values[0] if values else None

    def taken(self, raws: Raws) -> Raws:
        """Those of the raw values of one record that count: all of `many`, several joined, or the one at `index`."""
        if self._separator is not None:
            texts = [text for raw in raws if (text := text_of(raw))]
            return [self._separator.join(texts)] if texts else []
        if self.many:
            return raws
        return [raws[self.index]] if -len(raws) <= self.index < len(raws) else []

    def missing(self) -> Any:
        """What stands for no value: the default, else null (of `many` an empty list), or the page fails."""
        if self._default is not None:
            return own(self._default)
        if self._fail:
            raise ParseError(f"field {self.name} has no value (on_missing: fail)")
        return [] if self.many else None
