"""The kinds of values that keys take: text, names, durations, sizes, patterns ... as pydantic annotations.

A validator here raises `expected(...)`: what should stand there, in words, and perhaps a suggestion. What does stand
there is added by `messages`, which knows what is secret. Text that is wanted takes a number as it was spelt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.config import units
from pipeline.config.nodes import Float, Int, plain
from pipeline.crawl.scope import Pattern
from pipeline.url import normalise

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_SCHEME = re.compile(r"(https?)(?:[:;]|(?=//))/*(?=[^/])", re.IGNORECASE)
_BROKEN_VALUE = re.compile(r"[\0\r\n]")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def expected(what: str, hint: str = "") -> PydanticCustomError:
    """The error of a validator: what should stand there, and what to do."""
    return PydanticCustomError("expected", "{what}", {"what": what, "hint": hint})


class Model(BaseModel):
    """Base of all models. Nothing at all counts as a mapping without keys, and a key without value as not given.

    `short_form` names the key that a lone value stands for: `seeds: [https://...]` is `seeds: [{url: https://...}]`.
    Where `wanted` says what should stand there, nothing at all is a mistake.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True, hide_input_in_errors=True)
    short_form: ClassVar[str] = ""
    wanted: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _long_form(cls, data: Any) -> Any:
        if data is None and cls.wanted:
            raise expected(cls.wanted)
        if data is None:
            return {}
        if isinstance(data, dict):
            return cls.arrange(
                {key: value for key, value in data.items() if value is not None or key not in keys_of(cls)}
            )
        if cls.short_form and not isinstance(data, list):
            return cls.lone(data)
        return data

    @classmethod
    def lone(cls, value: Any) -> dict[str, Any]:
        """The long form of a lone value."""
        return cls.arrange({cls.short_form: value})

    @classmethod
    def arrange(cls, data: dict[str, Any]) -> dict[str, Any]:
        """A chance for a model to read its mapping in another way, or to check keys against each other."""
        return data


def keys_of(model: type[BaseModel]) -> dict[str, str]:
    """The keys of a model as the YAML spells them, with the name of the attribute behind each."""
    return {field.alias or name: name for name, field in model.model_fields.items()}


def setting(default: Any, description: str, **more: Any) -> Any:
    """A key of the config: its default, what it is for, and constraints of pydantic's `Field`."""
    return Field(default, description=description, **more)


def section(description: str) -> Any:
    """A mapping of further keys. Its default is built with the whole, which is much cheaper than a model of its own."""
    return Field({}, description=description, validate_default=True)


# --- text ------------------------------------------------------------------------------------------------------------


def as_text(value: Any) -> Any:
    """Numbers as they were spelt; everything else as it is."""
    return value.text if isinstance(value, (Int, Float)) else value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or not value.strip("."):
        raise expected("a name of at most 100 letters, digits, '.', '_' and '-'")
    return value


def _some(value: str) -> str:
    if not value.strip():
        raise expected("text that is not empty")
    return value


def _field_name(value: str) -> str:
    if not value.isprintable() or value.strip() != value or not value:
        raise expected("a field name without control characters or spaces at its ends")
    if value in ("_run", "_url", "_fetched_at", "_type", "_noindex"):
        raise expected("another field name: this one is kept for 'meta'")
    return value


def _var_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise expected("a name of letters, digits and '_' that does not start with a digit")
    return value


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise expected("a regular expression", f"it does not compile: {error}") from None
    return value


def _pattern(value: str) -> str:
    try:
        Pattern(value)
    except (ValueError, OverflowError, RecursionError) as error:
        raise expected("a glob on the path such as /books/** or re:REGEX", str(error)) from None
    return value


def _scalar_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else as_text(value)


Text: TypeAlias = Annotated[str, BeforeValidator(as_text)]
Some: TypeAlias = Annotated[Text, AfterValidator(_some)]
Name: TypeAlias = Annotated[Text, AfterValidator(_name)]
FieldName: TypeAlias = Annotated[str, AfterValidator(_field_name)]
VarName: TypeAlias = Annotated[str, AfterValidator(_var_name)]
VarText: TypeAlias = Annotated[str, BeforeValidator(_scalar_text)]
Regex: TypeAlias = Annotated[Text, AfterValidator(_regex)]
PathPattern: TypeAlias = Annotated[Some, AfterValidator(_pattern)]


def _one_or_more(value: Any) -> Any:
    return value if isinstance(value, list) or value is None else [value]


def _schema(**more: Any) -> Any:
    return Field(json_schema_extra=more)


T = TypeVar("T")
OneOrMore: TypeAlias = Annotated[list[T], BeforeValidator(_one_or_more), _schema(oneOrMore=True)]
"""A list, or a lone value as a list of one."""


# --- numbers with units ----------------------------------------------------------------------------------------------


def _unit(read: Callable[[Any], float]) -> Callable[[Any], float]:
    def validate(value: Any) -> float:
        try:
            result = read(value)
        except ValueError as error:
            raise expected(error.args[0], f"did you mean '{error.args[1]}'?" if error.args[1] else "") from None
        if result > 2**62:
            raise expected("a smaller value")
        return result

    return validate


DURATION_PATTERN = r"^\d+(\.\d+)? ?(ms|s|m|h|d)$"
PERCENT_PATTERN = r"^\d+(\.\d+)? ?%$"
SIZE_PATTERN = r"^\d+(\.\d+)? ?(B|KiB|MiB|GiB|TiB)$"
Duration: TypeAlias = Annotated[
    float,
    BeforeValidator(_unit(units.seconds)),
    _schema(type=["string", "integer"], pattern=DURATION_PATTERN, minimum=0, maximum=0),
]
Size: TypeAlias = Annotated[
    int, BeforeValidator(_unit(units.octets)), _schema(type=["string", "integer"], pattern=SIZE_PATTERN)
]
Percent: TypeAlias = Annotated[
    float, BeforeValidator(_unit(units.fraction)), _schema(type="string", pattern=PERCENT_PATTERN)
]


# --- HTTP ------------------------------------------------------------------------------------------------------------


def _url(value: str) -> str:
    scheme = value.partition(":")[0].lower()
    if scheme in ("http", "https") and (url := normalise(value)) and url.startswith(("http://", "https://")):
        return value
    near = "" if "@" in value or len(value) >= 200 else _near_url(value)
    raise expected("an http or https URL", f"did you mean '{near}'?" if near else "")


def _near_url(value: str) -> str:
    """The URL that was meant, where its scheme is missing or misspelt; empty where nobody can tell."""
    misspelt = _SCHEME.match(value)
    if misspelt is None and ("://" in value or "." not in value.partition("/")[0]):
        return ""
    near = f"{misspelt[1].lower()}://{value[misspelt.end() :]}" if misspelt else f"https://{value}"
    return near if "." in near and near != value and normalise(near) is not None else ""


def _origin(value: str) -> str:
    url = normalise(value)
    if url is None or not re.fullmatch(r"https?://[^/?@]+/", url):
        raise expected("an origin such as https://books.example (scheme, host and port only)")
    return url.rstrip("/")


def _domain(value: str) -> str:
    url = normalise(f"http://{value}/") if not re.search(r"[/:@?#*\\%\s]", value) else None
    if url is None:
        bare = re.sub(r"^[a-z]+://|^\*\.|[/:?#].*$", "", re.sub(r"^[a-z]+://", "", value)).removeprefix("*.")
        raise expected("a domain such as books.example", f"did you mean '{bare}'?" if _NAME.fullmatch(bare) else "")
    return url.removeprefix("http://").rstrip("/")


def _header_name(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise expected("a header name (RFC 9110: letters, digits and '-')")
    return value


def _header_value(value: str) -> str:
    if _BROKEN_VALUE.search(value):
        raise expected("a header value in one line")
    if value.strip(" \t") != value:
        raise expected("a header value without spaces at its ends")
    return value


def _method(value: Any) -> Any:
    if not isinstance(value, str) or value.upper() not in METHODS:
        raise choice(METHODS, value)
    return value.upper()


def choice(words: tuple[str, ...], value: Any) -> PydanticCustomError:
    """The error where one of some words is expected."""
    import difflib  # noqa: PLC0415 - only where something is wrong

    folded = {word.lower(): word for word in words}
    near = difflib.get_close_matches(str(value).lower(), folded, 1) if isinstance(value, str) else []
    what = ", ".join(words[:-1]) + f" or {words[-1]}"
    return expected(what, f"did you mean '{folded[near[0]]}'?" if near else "")


Url: TypeAlias = Annotated[Text, AfterValidator(_url)]
Origin: TypeAlias = Annotated[str, AfterValidator(_origin)]
Domain: TypeAlias = Annotated[Text, AfterValidator(_domain)]
HeaderName: TypeAlias = Annotated[str, AfterValidator(_header_name)]
HeaderValue: TypeAlias = Annotated[Text, AfterValidator(_header_value)]
Headers: TypeAlias = dict[HeaderName, HeaderValue]
Method: TypeAlias = Annotated[str, BeforeValidator(_method), _schema(enum=list(METHODS))]


# --- free data -------------------------------------------------------------------------------------------------------


def _data(value: Any) -> Any:
    _check_data(value)
    return plain(value)


def _check_data(value: Any) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            _check_data(part)
    elif (isinstance(value, float) and not math.isfinite(value)) or (isinstance(value, int) and abs(value) >= 2**63):
        raise expected("numbers of at most 64 bits", "put it in quotes if it is text")


Data: TypeAlias = Annotated[Any, AfterValidator(_data)]


def _spelled(value: Any) -> Any:
    _check_data(value)
    return value


Spelled: TypeAlias = Annotated[Any, AfterValidator(_spelled)]
"""As `Data`, with numbers that remember their spelling: where an item has text, `007` means that."""
