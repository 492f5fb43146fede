"""The steps of `transform`: each takes a text, or each text of a list, and gives a text, a list or nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from ._json import compile_json, read_json
from ._sources import text_of

Step = Callable[[Any], Any]
# What is not closed goes on to the end, as in a browser: to look for each end anew takes long.
_TAG = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)|<[^<>]*>", re.DOTALL | re.IGNORECASE)


class StepError(ValueError):
    """A step that is none; `hint` says what may be meant."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def compile_step(spec: Any) -> Step:
    """A step of a config as a function. Raises `StepError`."""
    name, argument = next(iter(spec.items())) if isinstance(spec, dict) else (spec, None)
    name = str(name)
    if argument is None and name in PLAIN:
        return _each(PLAIN[name])
    if name not in MAKERS:
        if name in PLAIN:
            raise StepError(f"the step {name} takes nothing", f"write {name}")
        from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

        near = get_close_matches(name, [*PLAIN, *MAKERS], 1)
        told = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted({*PLAIN, *MAKERS}))}"
        raise StepError(f"there is no step {name!r}", told)
    if argument is None:
        raise StepError(f"the step {name} needs a value", f"as in {EXAMPLES[name]}")
    try:
        return MAKERS[name](argument)
    except StepError:
        raise
    except (ValueError, TypeError, IndexError, re.error, AttributeError, OverflowError, RecursionError) as error:
        raise StepError(f"the step {name} cannot take {argument!r} ({error})", f"as in {EXAMPLES[name]}") from None


def _each(step: Callable[[str], Any]) -> Step:
    """The step for a text or, one by one, for those of a list."""

    def run(value: Any) -> Any:
        if isinstance(value, list):
            found = [step(text_of(one)) for one in value]
            return [one for one in found if one not in (None, "")]
        return step(text_of(value))

    return run


def _pair(argument: Any) -> tuple[str, str]:
    old, new = argument
    return text_of(old), text_of(new)


def _replace(argument: Any) -> Step:
    old, new = _pair(argument)
    if not old:
        raise ValueError("nothing to replace")
    return _each(lambda text: text.replace(old, new))


def _sub(argument: Any) -> Step:
    pattern, new = _pair(argument)
    compiled = re.compile(pattern)
    compiled.sub(new, "")
    re.compile(f"{pattern}|").sub(new, "")  # a group that is not there shows only when something matches
    return _each(lambda text: compiled.sub(new, text))


def _split(argument: Any) -> Step:
    by = text_of(argument)
    if not by:
        raise ValueError("nothing to split by")

    def run(value: Any) -> list[str]:
        texts = value if isinstance(value, list) else [value]
        parts = (part.strip() for text in texts for part in text_of(text).split(by))
        return [part for part in parts if part]

    return run


def _item(argument: Any) -> Step:
    number = _whole(argument)

    def run(value: Any) -> Any:
        values = value if isinstance(value, list) else [value]
        return values[number] if -len(values) <= number < len(values) else None

    return run


def _join(argument: Any) -> Step:
    by = text_of(argument)
    return lambda value: by.join(map(text_of, value)) if isinstance(value, list) else value


def _slice(argument: Any) -> Step:
    bounds = list(argument) if isinstance(argument, list) else [argument]
    if len(bounds) not in (1, 2) or isinstance(argument, str):
        raise ValueError("one or two numbers are needed")
    cut = slice(*(None if bound is None else _whole(bound) for bound in [*bounds, None][:2]))
    return _each(lambda text: text[cut].strip())


def _shorten(argument: Any) -> Step:
    length = _whole(argument)
    if length < 1:
        raise ValueError("at least one character")
    return _each(lambda text: text if len(text) <= length else text[:length] + "...")


def _map(argument: Any) -> Step:
    if not isinstance(argument, Mapping):
        raise ValueError("a mapping is needed")
    table = {text_of(old): new for old, new in argument.items()}
    return _each(lambda text: table[text] if text in table else table.get("*", text))


def _json(argument: Any) -> Step:
    search = compile_json(text_of(argument))
    return lambda value: search(read_json(text_of(value)))


def _strip(argument: Any) -> Step:
    characters = text_of(argument)
    return _each(lambda text: text.strip(characters))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number is needed")
    return value


def _markdown(text: str) -> str:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - few configs need it

    return str(MarkdownIt("commonmark").render(text)).strip()


def _unescape(text: str) -> str:
    import html  # noqa: PLC0415 - a table of all entities, which few configs need

    return html.unescape(text)


def _strip_tags(text: str) -> str:
    return " ".join(_unescape(_TAG.sub(" ", text)).split())


PLAIN: dict[str, Callable[[str], Any]] = {
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "capitalize": str.capitalize,
    "strip": str.strip,
    "collapse": lambda text: " ".join(text.split()),
    "unescape": _unescape,
    "strip_tags": _strip_tags,
    "unquote": unquote,
    "markdown_to_html": _markdown,
}

MAKERS: dict[str, Callable[[Any], Step]] = {
    "strip": _strip,
    "replace": _replace,
    "sub": _sub,
    "split": _split,
    "item": _item,
    "join": _join,
    "slice": _slice,
    "shorten": _shorten,
    "prefix": lambda argument: _each(lambda text: text_of(argument) + text),
    "suffix": lambda argument: _each(lambda text: text + text_of(argument)),
    "map": _map,
    "json": _json,
}

EXAMPLES = {
    "strip": "{strip: '.,'}",
    "replace": "{replace: ['-', ' ']}",
    "sub": r"{sub: ['\s*\(.*\)', '']}",
    "split": "{split: ','}",
    "item": "{item: 0}",
    "join": "{join: ', '}",
    "slice": "{slice: [0, 10]}",
    "shorten": "{shorten: 200}",
    "prefix": "{prefix: 'https://'}",
    "suffix": "{suffix: ' m'}",
    "map": "{map: {One: 1, Two: 2}}",
    "json": "{json: product.price}",
}
