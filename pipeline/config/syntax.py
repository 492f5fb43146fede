"""What the YAML reader could not read, in plain words: where it went wrong and what to write instead.

libyaml tells where it stopped and what it wanted there; what was meant is guessed from the text at that place, and from
the tokens before it. No values are shown, since nobody knows yet which are secret. What is not known
here is told in libyaml's words.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from pipeline.errors import Mark, Problem

_LINES = re.compile("\r\n|[\n\r\x85]|\u2028|\u2029")  # what YAML takes for the end of one; as a range: 2 ms to compile
_TAB = re.compile(r" *\t\s*")
_OF_YAML = "@`%*&>|"  # a plain text cannot begin with these
_OPENED = {"[": "]", "{": "}"}


def lines_of(text: str) -> list[str]:
    """The lines of a text as the reader counts them."""
    return _LINES.split(text)


def syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str, loader: Any) -> Problem:
    """What to tell of an error of the reader."""
    at = error.problem_mark or error.context_mark
    if at is None:
        return Problem(Mark(file, 1, 1), "", f"this is not YAML: {error.problem}")
    begin = error.context_mark or at
    lines = lines_of(text)
    here = (at.line, at.column)
    told = (
        _tab(lines, *here)
        or _begins_with(lines, begin.line, begin.column)
        or _begins_with(lines, *here)
        or _in_quotes(lines, error, (begin.line, begin.column))
        or _behind(lines, here, text, loader)
        or _bracket(lines, error, (begin.line, begin.column))
        or _lone_key(error, (begin.line, begin.column))
        or _misplaced(lines, error, *here)
    )
    if told is None:
        context = f"{error.context}: " if error.context else ""
        return Problem(_mark(file, *here), "", f"this is not YAML: {context}{error.problem}")
    (line, column), message, hint = told
    return Problem(_mark(file, line, column), "", message, hint)


Told = tuple[tuple[int, int], str, str]


def _mark(file: str, line: int, column: int) -> Mark:
    return Mark(file, line + 1, column + 1)


def line_of(lines: list[str], number: int) -> str:
    """A line; an empty one behind the last, where the reader may stop."""
    return lines[number] if number < len(lines) else ""


def _tab(lines: list[str], line: int, column: int) -> Told | None:
    """A tab where the indent should be."""
    found = _TAB.match(line_of(lines, line))
    if found is None or column > found.end():
        return None
    return (line, found[0].index("\t")), "expected spaces as indent, found a tab", "YAML wants spaces only"


def _begins_with(lines: list[str], line: int, column: int) -> Told | None:
    """A value whose first character means something else to YAML."""
    first = line_of(lines, line)[column : column + 1]
    if not first or first not in _OF_YAML:
        return None
    return (line, column), f"text that begins with {first!r} must be in quotes", f"write '{first}...'"


def _in_quotes(lines: list[str], error: yaml.MarkedYAMLError, begin: tuple[int, int]) -> Told | None:
    """An escape that there is not, or a quote that nothing closes."""
    if "quoted scalar" not in (error.context or "") or error.problem_mark is None:
        return None
    if "end of stream" in (error.problem or ""):
        quote = line_of(lines, begin[0])[begin[1] : begin[1] + 1]
        return (
            begin,
            f"expected a closing {quote}, found the end of the file",
            "the quote that is opened here is not closed",
        )
    line = line_of(lines, error.problem_mark.line)
    column = line.find("\\", max(0, error.problem_mark.column - 1))
    if column < 0:
        return None
    message = f"expected an escape such as \\n, found {line[column : column + 2]}"
    hint = "in double quotes a backslash begins an escape; put regular expressions in single quotes"
    return (error.problem_mark.line, column), message, hint


def _bracket(lines: list[str], error: yaml.MarkedYAMLError, begin: tuple[int, int]) -> Told | None:
    """A list or mapping in brackets that goes on where something else was meant to begin."""
    opened = line_of(lines, begin[0])[begin[1] : begin[1] + 1]
    if "flow" not in (error.context or "") or opened not in _OPENED or error.problem_mark is None:
        return None
    found = f"found something else in line {error.problem_mark.line + 1}"
    hint = "close it; text with any of [ ] { } , : must be in quotes"
    return begin, f"expected '{_OPENED[opened]}' at the end of what begins here, {found}", hint


def _behind(lines: list[str], here: tuple[int, int], text: str, loader: Any) -> Told | None:
    """Text right behind a closing quote or bracket."""
    token = _last_token(here, text, loader)
    if token is None:
        return None
    start, end = token.start_mark, token.end_mark
    if end.line != here[0] or line_of(lines, end.line)[end.column : here[1]].strip():
        return None
    if isinstance(token, yaml.ScalarToken) and token.style in ("'", '"'):
        if start.line != end.line:
            message = f"expected a closing {token.style} in this line, found one in line {end.line + 1} only"
            return (start.line, start.column), message, "close the quote that is opened here"
        hint = "use quotes of the other kind around text with quotes in it"
        return here, f"expected nothing behind the closing {token.style}, found text", hint
    if isinstance(token, yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken):
        return here, "expected nothing behind the closing bracket, found text", "put text with brackets in quotes"
    return None


def _last_token(here: tuple[int, int], text: str, loader: Any) -> Any:
    """The last token before a place; None where there is none."""
    last = None
    try:
        for token in yaml.scan(text, Loader=loader):
            if (token.start_mark.line, token.start_mark.column) >= here:
                break
            if not isinstance(token, yaml.KeyToken | yaml.BlockEndToken | yaml.BlockMappingStartToken):
                last = token
    except yaml.YAMLError:
        pass  # the error that is being told
    return last


def _lone_key(error: yaml.MarkedYAMLError, begin: tuple[int, int]) -> Told | None:
    """A line where a key must stand that has no colon."""
    if "simple key" not in (error.context or ""):
        return None
    return begin, "expected a key and ':' here, found no ':'", "text of several lines must be in quotes, or behind '|'"


def _misplaced(lines: list[str], error: yaml.MarkedYAMLError, line: int, column: int) -> Told | None:
    """A key where there can be none, or a line that is indented otherwise than those it belongs to."""
    own, problem = line_of(lines, line), error.problem or ""
    if "mapping values are not allowed" in problem:
        key = re.match(r"\s*(?:- +)*[^\s:][^:]*:\s+", own[:column])
        if key:
            return (line, key.end()), "text with ': ' in it must be in quotes", "write '...: ...'"
        indent = len(own) - len(own.lstrip())
        hint = "check the indent, and that a space stands behind the ':' in the line before"
        return (line, indent), "expected no key here, since the line before has a value already", hint
    if "did not find expected key" in problem or "expected '-' indicator" in problem or "<block end>" in problem:
        return (line, column), "expected this line to fit in with those above", "check the indent"
    return None
