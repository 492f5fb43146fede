"""From bytes in a known encoding to text, as browsers read them; it never fails.

Python's codecs are the tables, and this module is what WHATWG Encoding says otherwise: which name means which table,
what a few bytes are, and how much of a broken sequence one U+FFFD stands for (an ASCII byte never is a part of one, so
no broken letter eats a `<`). Names are those of Python's codecs.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Final

from w3lib.encoding import resolve_encoding

_Handler = Callable[[UnicodeError], "tuple[str, int]"]

# Codecs that Python counts as text encodings and that no page may choose: they are transforms, or always raise.
_NOT_FOR_PAGES: Final = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7"})
_LABELS: Final = {
    label: name
    for name, labels in {
        "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8",
        "utf-16-le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff",
        "utf-16-be": "unicodefffe",
        "iso8859-2": "iso88592",
        "iso8859-3": "iso88593",
        "iso8859-4": "iso88594",
        "iso8859-5": "iso88595",
        "iso8859-6": "csiso88596e csiso88596i iso-8859-6-e iso-8859-6-i iso88596",
        "iso8859-7": "iso88597 sun_eu_greek",
        "iso8859-8": "csiso88598e csiso88598i iso-8859-8-e iso-8859-8-i iso88598 logical visual",
        "iso8859-10": "iso885910",
        "iso8859-13": "iso885913",
        "iso8859-14": "iso885914",
        "iso8859-15": "csisolatin9 iso885915",
        "koi8-r": "koi koi8",
        "koi8-u": "koi8-ru",
        "mac-roman": "csmacintosh mac x-mac-roman",
        "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
        "cp874": "dos-874 iso885911",
        "cp1250": "x-cp1250",
        "cp1251": "x-cp1251",
        "cp1252": "iso88591 x-cp1252 x-user-defined",
        "cp1253": "x-cp1253",
        "cp1254": "iso88599 x-cp1254",
        "cp1255": "x-cp1255",
        "cp1256": "x-cp1256",
        "cp1257": "x-cp1257",
        "cp1258": "x-cp1258",
        "gb18030": "csgb2312 gb_2312 x-gbk",
        "big5hkscs": "cn-big5 x-x-big5",
        "euc_jp": "cseucpkdfmtjapanese x-euc-jp",
        "cp949": "cseuckr csksc56011987 iso-ir-149 ks_c_5601-1989 ksc_5601 windows-949",
    }.items()
    for label in labels.split()
}
"""Labels of WHATWG Encoding (section 4.2) that neither Python nor w3lib knows."""


_SPACE: Final = "\t\n\f\r "
_LABEL: Final = re.compile(r"[a-zA-Z0-9_.:+-]+")


def is_label(text: str) -> bool:
    """Whether a text looks like a label, known or not."""
    return _LABEL.fullmatch(text.strip(_SPACE)) is not None


def known(label: str) -> str | None:
    """The Python codec for an encoding label, or None if no page may be in it."""
    if not is_label(label):
        return None
    label = label.strip(_SPACE).lower()
    name = _LABELS.get(label) or resolve_encoding(label)
    if name is None or name in _NOT_FOR_PAGES:
        return None
    # Codecs such as base64 and rot13 turn bytes into bytes or text into text; bytes.decode refuses them.
    return name if getattr(codecs.lookup(name), "_is_text_encoding", True) else None


def read(body: bytes, name: str) -> str:
    """`body` in the encoding `name`, a codec that `known` gave. What is broken becomes U+FFFD."""
    if name in {"utf-16", "utf-32"}:
        name += "-le"
    if name == "iso2022_jp":
        return _iso_2022_jp(body)
    if name == "euc_jp":
        body = body.replace(b"\x8f\xa2\xb7", b"\xa1\xc1")  # Python takes this wide tilde for that of ASCII
    text = body.decode(name, _ERRORS.get(name, "replace"))
    for wrong, right in _CHARACTERS.get(name, ()):
        if wrong in text:
            text = text.replace(wrong, right)
    return text


# --- single bytes ----------------------------------------------------------------------------------------------------


def _control(error: UnicodeError) -> tuple[str, int]:
    """Bytes that a Windows table leaves out where C1 controls are, are these."""
    assert isinstance(error, UnicodeDecodeError)
    byte = error.object[error.start]
    return chr(byte) if 0x80 <= byte <= 0x9F else _REPLACEMENT, error.start + 1


def _hebrew(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return ("\u05ba", error.start + 1) if error.object[error.start] == 0xCA else _control(error)


# --- two bytes and more ----------------------------------------------------------------------------------------------

_REPLACEMENT: Final = "\ufffd"


def _pairs(leads: range, more: Callable[[bytes], str] = lambda pair: "") -> _Handler:
    """For encodings of pairs. `more(pair)` is what the table lacks; empty: nothing."""

    def handle(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)
        pair = error.object[error.start : error.start + 2]
        if len(pair) < 2 or pair[0] not in leads:
            return _REPLACEMENT, error.start + 1
        if text := more(pair):
            return text, error.start + 2
        return _REPLACEMENT, error.start + (1 if pair[1] < 0x80 else 2)

    return handle


def _big5(pair: bytes) -> str:
    """The pictures of control characters, and letters that stand twice in the table."""
    if pair[0] == 0xA3 and 0xC0 <= pair[1] <= 0xE0:
        return chr(0x2400 + pair[1] - 0xC0) if pair[1] < 0xE0 else "\u2421"
    return _BIG5.get(pair, "")


_BIG5: Final = {
    b"\xc6\xcf": "\u5ef4",
    b"\xc6\xd3": "\u65e0",
    b"\xc6\xd5": "\u7676",
    b"\xc6\xd7": "\u96b6",
    b"\xc6\xde": "\u3003",
    b"\xc6\xdf": "\u4edd",
    b"\xfc\x6c": "\u60a4",
}


def _euc_jp(error: UnicodeError) -> tuple[str, int]:
    """JIS X 0208 of browsers is Windows': with the rows of NEC and IBM."""
    assert isinstance(error, UnicodeDecodeError)
    start = error.start
    first, second, third = (*error.object[start : start + 3], 0, 0)[:3]
    if first == 0x8F and 0xA1 <= second <= 0xFE:
        return _REPLACEMENT, start + (3 if third >= 0x80 else 2)
    if not 0xA1 <= first <= 0xFE:
        return _REPLACEMENT, start + (2 if first == 0x8E and second >= 0x80 else 1)
    if not 0xA1 <= second <= 0xFE:
        return _REPLACEMENT, start + (2 if second >= 0x80 else 1)
    return _shift_jis(first - 0xA1, second - 0xA1).decode("cp932", "replace")[:1], start + 2


def _shift_jis(row: int, cell: int) -> bytes:
    """A character of JIS X 0208, both numbers from 0, in Shift_JIS."""
    lead = row // 2 + (0x81 if row < 62 else 0xC1)
    trail = cell + 0x9F if row % 2 else cell + 0x40 + (cell >= 63)
    return bytes((lead, trail))


_FOUR: Final = re.compile(rb"[\x81-\xfe][0-9][\x81-\xfe][0-9]")


def _gb18030(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    data, start = error.object, error.start
    if data[start] == 0x80:
        return "\u20ac", start + 1
    second = data[start + 1] if start + 1 < len(data) else 0
    if 0x30 <= second <= 0x39 and data[start] != 0xFF:
        return _REPLACEMENT, start + (4 if _FOUR.match(data, start) else 1)
    return _REPLACEMENT, start + (2 if second >= 0x80 and data[start] != 0xFF else 1)


# --- escapes ---------------------------------------------------------------------------------------------------------

_ESCAPE: Final = re.compile(rb"\x1b(\([BJI]|\$[@B])")
_NO_PAIR: Final = re.compile(rb"[\x21-\x7e]{2}|([\0-\xff])")
_BROKEN: Final = dict.fromkeys((0x0E, 0x0F, 0x1B), _REPLACEMENT)
_ROMAN: Final = str.maketrans("\\~", "\xa5\u203e")


def _iso_2022_jp(body: bytes) -> str:
    """Each stretch between two escapes is in one of four sets."""
    first, *parts = _ESCAPE.split(body)
    kinds, stretches = (b"(B", *parts[::2]), (first, *parts[1::2])
    return "".join(map(_stretch, kinds, stretches))


def _stretch(kind: bytes, part: bytes) -> str:
    if kind.startswith(b"$"):
        return read(_NO_PAIR.sub(_lifted, part), "euc_jp")
    if kind == b"(I":
        return "".join(chr(0xFF40 + byte) if 0x21 <= byte <= 0x5F else _REPLACEMENT for byte in part)
    text = part.decode("ascii", "replace").translate(_BROKEN)
    return text.translate(_ROMAN) if kind == b"(J" else text


def _lifted(found: re.Match[bytes]) -> bytes:
    """A pair as EUC-JP has it; a byte that is in no pair as one that is broken there too."""
    return b"\xff" if found[1] else bytes(byte | 0x80 for byte in found[0])


# --- by codec --------------------------------------------------------------------------------------------------------

_WINDOWS: Final = ("cp874", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1256", "cp1257", "cp1258")
_HANDLERS: Final[dict[str, _Handler]] = {
    **dict.fromkeys(_WINDOWS, _control),
    "cp1255": _hebrew,
    "big5hkscs": _pairs(range(0x81, 0xFF), _big5),
    "cp949": _pairs(range(0x81, 0xFF)),
    "cp932": _pairs(range(0x81, 0xFD)),
    "gb18030": _gb18030,
    "euc_jp": _euc_jp,
}
_ERRORS: Final = {name: f"hookline-{name}" for name in _HANDLERS}
for _name, _handler in _HANDLERS.items():
    codecs.register_error(_ERRORS[_name], _handler)

# Characters that no other bytes of the encoding give: what Python has, and what it should be.
_CHARACTERS: Final = {
    name: [(pair[0], pair[1]) for pair in pairs.split()]
    for name, pairs in {
        # As Windows has them.
        "euc_jp": "\u301c\uff5e \u2016\u2225 \u2212\uff0d \xa2\uffe0 \xa3\uffe1 \xac\uffe2",
        "cp932": "\uf8f0\ufffd \uf8f1\ufffd \uf8f2\ufffd \uf8f3\ufffd",
        "koi8-u": "\u255d\u045e \u256c\u040e",
        # GB 18030 of 2022: letters that had places in the private use area.
        "gb18030": "\ue78d\ufe10 \ue78e\ufe12 \ue78f\ufe11 \ue790\ufe13 \ue791\ufe14 \ue792\ufe15 \ue793\ufe16 "
        "\ue794\ufe17 \ue795\ufe18 \ue796\ufe19 \ue81e\u9fb4 \ue826\u9fb5 \ue82b\u9fb6 \ue82c\u9fb7 \ue832\u9fb8 "
        "\ue843\u9fb9 \ue854\u9fba \ue864\u9fbb",
    }.items()
}
