"""JMESPath as a function, and JSON as it comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def compile_json(text: str) -> Callable[[Any], Any]:
    """A JMESPath as a function of data. Raises ValueError; at work, what an expression cannot be asked of is None."""
    import jmespath  # noqa: PLC0415 - not every config looks into JSON

    try:
        compiled = jmespath.compile(text)
        compiled.search(None)
    except (
        jmespath.exceptions.UnknownFunctionError,
        jmespath.exceptions.ArityError,
        jmespath.exceptions.ParseError,
    ) as error:
        raise ValueError(" ".join(str(error).split())) from None
    except jmespath.exceptions.JMESPathError:
        pass  # a function that does not take null

    def search(data: Any) -> Any:
        try:
            return compiled.search(data)
        except jmespath.exceptions.JMESPathError:
            return None

    return search


def read_json(text: str) -> Any:
    """The data, None where it is no JSON."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
