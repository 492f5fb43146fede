"""CSS selectors of cascadia (Go) and Nokogiri (Ruby) as Hookline has them, and Nokogiri's CSS over JSON as JMESPath.

Both know pseudo-classes of their own. Where Hookline has one of another name it is renamed; what stands for nothing
here is told by ValueError.
"""

from __future__ import annotations

import re

from pipeline.errors import SelectorError
from pipeline.stages.css import check_selector

_OPAQUE = r"""(?P<opaque>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\\.|\[[^\]]*\])"""
_RENAMED = {
    "contains": "-soup-contains",
    "containsown": "-soup-contains-own",
    "first": "first-of-type",  # Nokogiri: the first of its parent's children of that name
    "last": "last-of-type",
}
_ARGUMENTS = {"eq": "nth-of-type({})", "nth": "nth-of-type({})", "haschild": "has(> {})"}
_ALONE = {
    "even": "nth-of-type(even)",
    "odd": "nth-of-type(odd)",
    "parent": "not(:empty)",
    "input": "is(input, select, textarea, button)",
}
_BRACKETS = re.compile(r"\[\s*(?:(?P<place>[1-9]\d*)\s*\]|@(?P<attribute>.*))", re.DOTALL)  # Nokogiri, as in XPath
_SIGNS = (">", "+", "~")
_DIGIT_ID = re.compile(_OPAQUE + r"|\#(?P<id>\d[\w-]*)|(?P<other>.)", re.DOTALL)
_PSEUDO = re.compile(_OPAQUE + r"|:(?P<name>[A-Za-z-]+)(?P<arguments>\((?P<inner>[^()]*)\))?|(?P<other>.)", re.DOTALL)
_UNEQUAL = re.compile(r"""\[\s*([\w-]+)\s*!=\s*("[^"]*"|'[^']*'|[\w-]+)\s*\]""")
_REGEX = re.compile(r"\[\s*[\w-]+\s*#=")


def css(selector: str, suffix: str = "", *, any_case: bool = False) -> str:
    """The selector, with a pseudo-element at its end or at the end of each part of a list. With `any_case` a text that
    is looked for may be written in small or capital letters, as it may in cascadia.

    Raises ValueError with the reason if no parser of Hookline's knows it.
    """
    text = selector.strip()
    if _REGEX.search(text):
        raise ValueError("[attribute#=regex] has no equal")
    text = "".join(f'[id="{match["id"]}"]' if match["id"] else match[0] for match in _DIGIT_ID.finditer(text))
    text = _UNEQUAL.sub(r":not([\1=\2])", "".join(_renamed(match, any_case) for match in _PSEUDO.finditer(text)))
    if any(part.strip().startswith(_SIGNS) for part in parts(text)):
        text = ", ".join(f":scope {part}" if part.startswith(_SIGNS) else part for part in map(str.strip, parts(text)))
    if suffix:
        text = ", ".join(part.strip() + suffix for part in parts(text)) if text else suffix
    try:
        check_selector(text)
    except SelectorError as error:
        raise ValueError(error.reason.partition(". ")[0]) from None
    return text


def parts(selector: str) -> list[str]:
    """The parts of a list of selectors."""
    found, depth = [""], 0
    for match in re.finditer(_OPAQUE + r"|(?P<other>.)", selector, re.DOTALL):
        sign = match["other"] or ""
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            found.append("")
        else:
            found[-1] += match[0]
    return found


def _renamed(match: re.Match[str], any_case: bool) -> str:
    name, inner = (match["name"] or "").lower(), match["inner"]
    if match["opaque"]:
        found = _BRACKETS.fullmatch(match[0])
        return match[0] if found is None else f":nth-of-type({found[1]})" if found[1] else f"[{found[2]}"
    if inner is None:
        return f":{_ALONE[name]}" if name in _ALONE else f":{_RENAMED[name]}" if name in ("first", "last") else match[0]
    if name.startswith("matches"):
        return _matching(name, inner)
    if name in _RENAMED:
        return f":{_RENAMED[name]}({_texts(inner.strip(), any_case) if name.startswith('contains') else inner})"
    if name in ("gt", "lt") and inner.strip().isdecimal():
        place = int(inner) + 1 if name == "gt" else int(inner) - 1
        return f":nth-of-type(n+{place})" if name == "gt" else f":nth-of-type(-n+{place})"
    return ":" + _ARGUMENTS[name].format(inner.strip()) if name in _ARGUMENTS else match[0]


def _texts(inner: str, any_case: bool) -> str:
    """The text of `:contains()` in quotes; with `any_case` as people spell it."""
    quoted = inner.startswith(("'", '"'))
    if not any_case:
        return inner if quoted else '"' + inner.replace('"', '\\"') + '"'
    text, sign = (inner[1:-1], inner[0]) if quoted else (inner.replace('"', '\\"'), '"')
    if "\\" in text:
        return f"{sign}{text}{sign}"
    spelt = dict.fromkeys((text, text.lower(), text.upper(), text.capitalize()))
    return ", ".join(f"{sign}{one}{sign}" for one in spelt)


def _matching(name: str, inner: str) -> str:
    """`:matches(REGEX)` of cascadia, where the expression is a plain text."""
    text = inner.strip()
    text = text[1:-1] if text[:1] in ("'", '"') else text
    if not re.fullmatch(r"[\w -]+", text):
        raise ValueError(f":{name}(REGEX) has no equal")
    return f':-soup-contains{"-own" if name.endswith("own") else ""}("{text}")'


def jmespath(selector: str, *, many: bool = False) -> list[str]:
    """Nokogiri's selector over JSON that was made XML (`array > object > title`) as JMESPath.

    A space between two names may stand for lists or not, so there may be two paths, to be tried in order. With `many`
    the path leads to a list of records. Raises ValueError for what has no equal.
    """
    if len(parts(selector)) > 1:
        raise ValueError("a list of selectors has no equal in JSON")
    steps = re.findall(r"(\s*>\s*|\s+|)((?:\*|[\w-]+)(?::[\w-]+(?:\([^()]*\))?)*)", selector.strip())
    if "".join(sign + name for sign, name in steps).replace(" ", "") != re.sub(r"\s+", "", selector):
        raise ValueError("only names, '*', '>' and :has(NAME) have an equal in JSON")
    direct = _path(steps, "")
    lists = _path(steps, "[]")
    if many and not direct.endswith(("[]", "*", "]")):
        return [f"{direct}[]" if direct else "[]"]
    return list(dict.fromkeys([direct, lists]))


def _path(steps: list[tuple[str, str]], between: str) -> str:
    path = ""
    for number, (sign, step) in enumerate(steps):
        name, _, pseudo = step.partition(":")
        if number and sign.isspace() and path:
            path += between
        if name == "array":
            path += "[]"
        elif name != "object":
            key = name if name == "*" or re.fullmatch(r"[A-Za-z_]\w*", name) else f'"{name}"'
            path += f".{key}" if path else key
        if pseudo:
            path += _condition(pseudo)
    return path


def _condition(pseudo: str) -> str:
    has = re.fullmatch(r"has\(\s*(?:>\s*)?([A-Za-z_]\w*)\s*\)", pseudo)
    if has:
        return f" | [?{has[1]}]"
    if pseudo in ("first-child", "first", "first-of-type"):
        return " | [0]"
    if pseudo in ("last-child", "last", "last-of-type"):
        return " | [-1]"
    raise ValueError(f":{pseudo} has no equal in JSON")
