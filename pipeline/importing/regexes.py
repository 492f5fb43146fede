"""Regular expressions of Go (RE2) and Ruby (Onigmo) as Python's `re` has them.

Where the spelling is the same it stays, letter by letter. What has no equal is told by the error that `re` raises.
"""

from __future__ import annotations

import re

_POSIX = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "punct": r"!-/:-@\[-`{-~",
    "blank": r" \t",
    "xdigit": "0-9A-Fa-f",
    "word": r"\w",
    "cntrl": r"\x00-\x1f\x7f",
    "print": " -~",
    "graph": "!-~",
}
# A class of letters is the nearest thing in `re`: \w without digits and underscore. It cannot stand within [...].
_LETTER, _WORD = r"[^\W\d_]", r"[^\W_]"
_PROPERTIES = {"L": _LETTER, "Letter": _LETTER, "Alpha": _LETTER, "N": r"\d", "Nd": r"\d", "Digit": r"\d"}
_PROPERTIES |= {"Z": r"\s", "Zs": r"\s", "Space": r"\s", "Word": r"\w", "Alnum": _WORD}
_OTHERS = {_LETTER: r"[\W\d_]", _WORD: r"[\W_]", r"\d": r"\D", r"\s": r"\S", r"\w": r"\W"}  # all but these
_GLOBAL_FLAGS = re.compile(r"\(\?([aiLmsux]+)\)")
_TOKEN = re.compile(
    r"(?P<quoted>\\Q(?P<text>.*?)(?:\\E|\Z))|(?P<property>\\[pP](?:\{(?P<long>\^?\w+)\}|(?P<short>\w)))|(?P<code>\\x\{[0-9a-fA-F]+\})"
    r"|(?P<escape>\\.)|(?P<posix>\[:\^?\w+:\])|(?P<named>\(\?<(?=[A-Za-z_]))|(?P<other>.)",
    re.DOTALL,
)
_ENDS = {r"\z": r"\Z", r"\h": "[0-9a-fA-F]", r"\G": ""}


def go_regex(pattern: str) -> str:
    """A pattern of Go's. Raises ValueError if `re` knows no equal."""
    flags = _GLOBAL_FLAGS.search(pattern)
    if flags and flags.start():  # in Go they hold from there to the end of the group
        pattern = _enclose(pattern)
    return _compiled(_translate(pattern))


def ruby_regex(pattern: str, flags: str = "") -> str:
    """A pattern of Ruby's: `^` and `$` are the ends of lines there. Raises ValueError if `re` knows no equal."""
    translated = _translate(pattern.replace(r"\Z", r"(?=\n?\z)"))
    lines = "m" if re.search(r"(?<!\\)(?:\\\\)*[$^](?!\])", translated) and not translated.startswith("[^") else ""
    flags = "".join(sorted({*flags, *lines}))
    return _compiled(f"(?{flags}){translated}" if flags else translated)


def go_replacement(text: str, pattern: str) -> str:
    """`$1`, `${1}` and `${name}` of Go as `re.sub` has them; a group that is not in the pattern is nothing."""
    names = _groups(pattern)

    def told(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return _reference(name, names) if name else "$" if match[0] == "$$" else r"\\"

    return re.sub(r"\$\$|\$\{(\w+)\}|\$(\w+)|\\", told, text)


def ruby_replacement(text: str, pattern: str) -> str:
    r"""`\1`, `\0` and `\k<name>` of Ruby as `re.sub` has them; a group that is not in the pattern is nothing."""
    names = _groups(pattern)

    def told(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return _reference(name, names) if name else r"\\"

    return re.sub(r"\\(?:(\d)|k<(\w+)>|(\\)|)", told, text)


def _groups(pattern: str) -> set[str]:
    known = re.compile(pattern)
    return {*map(str, range(known.groups + 1)), *known.groupindex}


def _reference(name: str, names: set[str]) -> str:
    return f"\\g<{name}>" if name in names else ""


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"Python has no such regular expression: {error}") from None
    return pattern


def _enclose(pattern: str) -> str:
    """`a(?i)b|c` as `a(?i:b|c)`, within each group to its end."""
    while match := next((m for m in _GLOBAL_FLAGS.finditer(pattern) if m.start() and not _escaped(pattern, m)), None):
        end = _group_end(pattern, match.end())
        pattern = f"{pattern[: match.start()]}(?{match[1]}:{pattern[match.end() : end]}){pattern[end:]}"
    return pattern


def _escaped(pattern: str, match: re.Match[str]) -> bool:
    before = pattern[: match.start()]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _group_end(pattern: str, start: int) -> int:
    """Where the group that `start` lies in ends."""
    depth, inside = 0, False
    for match in re.finditer(r"\\.|.", pattern[start:], re.DOTALL):
        sign = match[0]
        if inside:
            inside = sign != "]"
        elif sign == "[":
            inside = True
        elif sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
            if depth < 0:
                return start + match.start()
    return len(pattern)


class _Class:
    """What stands within [...]: `plain` as it is written, and classes that `re` has no room for in there."""

    def __init__(self) -> None:
        self.plain: list[str] = []
        self.beside: list[str] = []

    def written(self) -> str:
        """As an alternative where there are such classes."""
        plain, inner = "".join(self.plain), ""
        negated = plain.startswith("[^")
        if not self.beside:
            return f"{plain}]"
        inner = plain[2:] if negated else plain[1:]
        others = "|".join(self.beside)
        if negated:
            return f"(?:(?!{others})[^{inner}])" if inner else rf"(?:(?!{others})[\s\S])"
        return f"(?:[{inner}]|{others})" if inner else f"(?:{others})"


def _translate(pattern: str) -> str:
    result: list[str] = []
    within: _Class | None = None
    for match in _TOKEN.finditer(pattern):
        other = match["other"]
        if within is None:
            if other == "[":
                within = _Class()
            (result if within is None else within.plain).append(_outside(match))
        elif other == "]" and (within.beside or within.plain not in (["["], ["[", "^"])):  # else it stands for itself
            result.append(within.written())
            within = None
        else:
            _inside(match, within)
    return "".join([*result, *(within.plain if within else [])])


def _outside(match: re.Match[str]) -> str:
    token = match[0]
    if match["property"]:
        return _property(match)
    if match["escape"]:
        return _ENDS.get(token, token)
    return "(?P<" if match["named"] else _anywhere(match)


def _inside(match: re.Match[str], within: _Class) -> None:
    """One part of a class."""
    token = match[0]
    if match["property"]:
        found = _property(match)
        bare = found[1:-1] if found.startswith("[") and not found.startswith("[^") else found
        (within.beside if bare.startswith("[") else within.plain).append(bare)
    elif match["posix"]:
        name = token[2:-2]
        if name.startswith("^") and name[1:] in _POSIX:
            within.beside.append(f"[^{_POSIX[name[1:]]}]")
        else:
            within.plain.append(_POSIX.get(name, token))
    elif token == "[" or (match["other"] and token in "&~|" and within.plain[-1:] == [token]):
        within.plain.append(f"\\{token}")  # which `re` may read as sets of sets one day
    else:
        within.plain.append(_anywhere(match))


def _anywhere(match: re.Match[str]) -> str:
    if match["quoted"]:
        return re.escape(match["text"])
    return f"\\U{int(match[0][3:-1], 16):08x}" if match["code"] else match[0]


def _property(match: re.Match[str]) -> str:
    token, name = match[0], match["long"] or match["short"]
    found = _PROPERTIES.get(name.removeprefix("^"))
    if found is None:
        raise ValueError(f"Python's regular expressions have no {token}")
    return _OTHERS[found] if (token[1] == "P") is not name.startswith("^") else found
