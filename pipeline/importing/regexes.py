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
# A class of letters is the nearest thing in `re`: \w without digits and underscore; the other classes by hand.
_PROPERTIES = {"L": r"[^\W\d_]", "Letter": r"[^\W\d_]", "Alpha": r"[^\W\d_]", "N": r"\d", "Nd": r"\d", "Digit": r"\d"}
_PROPERTIES |= {"Z": r"\s", "Zs": r"\s", "Space": r"\s", "Word": r"\w", "Alnum": r"[^\W_]"}
_GLOBAL_FLAGS = re.compile(r"\(\?([aiLmsux]+)\)")
_TOKEN = re.compile(
    r"(?P<quoted>\\Q(?P<text>.*?)(?:\\E|\Z))|(?P<property>\\p(?:\{(?P<long>\w+)\}|(?P<short>\w)))|(?P<code>\\x\{[0-9a-fA-F]+\})"
    r"|(?P<escape>\\.)|(?P<posix>\[:\w+:\])|(?P<named>\(\?<(?=[A-Za-z_]))|(?P<other>.)",
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


def _translate(pattern: str) -> str:
    result, inside = [], False
    for match in _TOKEN.finditer(pattern):
        token = match[0]
        if match["quoted"]:
            token = re.escape(match["text"])
        elif match["property"]:
            token = _property(match["long"] or match["short"], token, inside)
        elif match["code"]:
            token = f"\\U{int(token[3:-1], 16):08x}"
        elif match["escape"]:
            token = _ENDS.get(token, token) if not inside else token
        elif match["posix"]:
            token = _POSIX.get(token[2:-2], token) if inside else token
        elif match["named"]:
            token = "(?P<"
        elif token == "[" and inside:
            token = r"\["
        if token == "[" and match["other"]:
            inside = True
        elif match[0] == "]" and match["other"]:
            inside = False
        result.append(token)
    return "".join(result)


def _property(name: str, token: str, inside: bool) -> str:
    found = _PROPERTIES.get(name)
    if found is None or (inside and found.startswith("[")):
        raise ValueError(f"Python's regular expressions have no {token}" + (" within [...]" if inside else ""))
    return found
