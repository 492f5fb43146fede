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
_PSEUDO = re.compile(_OPAQUE + r"|:(?P<name>[A-Za-z-]+)(?P<arguments>\((?P<inner>[^()]*)\))?|(?P<other>.)", re.DOTALL)
_UNEQUAL = re.compile(r"""\[\s*([\w-]+)\s*!=\s*("[^"]*"|'[^']*'|[\w-]+)\s*\]""")
_REGEX = re.compile(r"\[\s*[\w-]+\s*#=")


def css(selector: str, suffix: str = "") -> str:
    """The selector, with a pseudo-element at its end or at the end of each part of a list.

    Raises ValueError with the reason if no parser of Hookline's knows it.
    """
    text = selector.strip()
    if _REGEX.search(text):
        raise ValueError("[attribute#=regex] has no equal")
    text = _UNEQUAL.sub(r":not([\1=\2])", "".join(_renamed(match) for match in _PSEUDO.finditer(text)))
    if text.startswith((">", "+", "~")):
        text = f":scope {text}"
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


def _renamed(match: re.Match[str]) -> str:
    name = (match["name"] or "").lower()
    if name in _RENAMED and (match["arguments"] or name in ("first", "last")):
        inner = match["inner"] if match["arguments"] else None
        if inner is not None and name.startswith("contains") and not inner.strip().startswith(("'", '"')):
            inner = '"' + inner.strip().replace('"', '\\"') + '"'
        return f":{_RENAMED[name]}" + (f"({inner})" if inner is not None else "")
    if name in _ARGUMENTS and match["arguments"]:
        return ":" + _ARGUMENTS[name].format(match["inner"].strip())
    return match[0]


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
