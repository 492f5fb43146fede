"""From bytes to text: which encoding is chosen, and what its bytes mean. The corpus, and laws for any bytes."""

from __future__ import annotations

import base64
import codecs
import gzip
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stages.decoding import known, read
from pipeline.stages.encoding import declared, decode, of_header
from pipeline.stages.prescan import LATEST

CORPUS = Path(__file__).parents[3] / "shared/corpus/open/encoding"
needs_corpus = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of encodings is not here")


def cases(name: str) -> list[dict[str, Any]]:
    data = (CORPUS / name).read_bytes()
    return [json.loads(line) for line in (gzip.decompress(data) if name.endswith(".gz") else data).splitlines()]


def codec(label: str) -> str:
    name = known(label)
    assert name is not None, label
    return codecs.lookup(name).name


ENCODINGS = [
    ("é".encode(), None, "é", "utf-8"),
    ("é".encode("cp1252"), None, "é", "cp1252"),
    (b"\x81\xe9", None, "\x81é", "cp1252"),
    ("\ufeffé".encode("utf-16-be"), "text/html; charset=utf-8", "é", "utf-16-be"),
    ("\ufeffé".encode(), "text/html; charset=latin-1", "é", "utf-8"),
    ("я".encode("koi8-r"), 'text/html; charset="KOI8-R"', "я", "koi8-r"),
    (b"<meta charset=koi8-r>\xd1", None, "<meta charset=koi8-r>я", "koi8-r"),
    (b"<meta charset=koi8-r>\xd1", "text/html; charset=cp1251", "<meta charset=koi8-r>\u0421", "cp1251"),
    (b"<meta charset=utf-16>\xc3\xa9", None, "<meta charset=utf-16>é", "utf-8"),
    (b" " * 1024 + b"<p><meta charset=koi8-r>\xd1", None, " " * 1024 + "<p><meta charset=koi8-r>я", "koi8-r"),
    (b"a\xff", "text/html; charset=utf-8", "a\ufffd", "utf-8"),
    *(
        (b"a\xe9", f"text/html; charset={name}", "aé", "cp1252")
        for name in ("base64", "idna", "utf-7", "rot13", "nope")
    ),
]


@pytest.mark.parametrize(("body", "header", "text", "name"), ENCODINGS)
def test_encoding(body: bytes, header: str | None, text: str, name: str) -> None:
    assert decode(body, header) == (text, name)


# --- which encoding --------------------------------------------------------------------------------------------------

DECLARED = [
    (b"<meta charset=koi8-r>", "koi8-r"),
    (b"<META\fCHARSET = 'koi8-r' >", "koi8-r"),
    (b"<meta/charset=koi8-r/>", None),  # `koi8-r/` is no label
    (b"<meta content='x; charset=koi8-r' http-equiv=CONTENT-TYPE>", "koi8-r"),
    (b"<meta content='x; charset=koi8-r'>", None),
    (b"<meta charset=nope><meta charset=koi8-r>", "koi8-r"),
    (b"<!-- <meta charset=koi8-r> -->", None),
    (b"<!--><meta charset=koi8-r>", "koi8-r"),
    (b"<p title='<meta charset=koi8-r>'>", None),
    (b"<?php ?><meta charset=koi8-r>", "koi8-r"),
    (b"<meta charset=utf-16>", "utf-8"),
    (b"<meta charset=x-user-defined>", "cp1252"),
    (b"<meta charset=koi8-r", None),  # cut off
    (b"<?xml version='1.0' encoding='koi8-r'?><p>", "koi8-r"),
    (b"<?xml version='1.0' encoding='koi8-r'?><meta charset=cp1251>", "cp1251"),
    (b"<\0?\0x\0m\0l\0", "utf-16-le"),
    (b"\0<\0?\0x\0m\0l", "utf-16-be"),
]


@pytest.mark.parametrize(("body", "name"), DECLARED)
def test_what_markup_declares(body: bytes, name: str | None) -> None:
    assert declared(body) == name


def test_in_xml_no_meta_counts() -> None:
    page = b"<?xml version='1.0' encoding='iso-8859-2'?><html><head><meta charset=koi8-r></head>\xff</html>"
    assert [decode(page, kind)[1] for kind in ("application/rss+xml", "application/xhtml+xml; a=b", "text/xml")] == [
        "iso8859-2"
    ] * 3
    assert decode(page, "text/html")[1] == "koi8-r"


LATE = [
    (b"<script>" + b"if (a < b) '<div>' " * 200 + b"</script><meta charset=koi8-r>", "koi8-r"),
    (b"<title>" + b"x" * 2000 + b"</title><link rel=x><meta charset=koi8-r>", "koi8-r"),
    (b"<!--" + b"x" * 9000 + b"--><meta charset=koi8-r>", "koi8-r"),
    (b"<head>" + b" " * 2000 + b"</head><meta charset=koi8-r>", None),
    (b" " * 2000 + b"<div><meta charset=koi8-r>", None),
    (b"<!--" + b"x" * LATEST + b"--><meta charset=koi8-r>", None),
]


@pytest.mark.parametrize(("body", "name"), LATE)
def test_a_late_meta_counts_while_the_head_goes_on(body: bytes, name: str | None) -> None:
    assert declared(body) == name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("text/html; charset=KOI8-R", "koi8-r"),
        ('text/html;charset="koi8-r"; q=1', "koi8-r"),
        ('text/html; a="; charset=cp1251"; charset=koi8-r', "koi8-r"),
        ("text/html; charset=koi8-r, text/html; charset=cp1251", "koi8-r"),
        ("text/html, text/plain; charset=koi8-r", None),
        ("text/html; xcharset=koi8-r", None),
        ('text/html; charset=""; charset=koi8-r', "koi8-r"),
        ("text/html; charset=koi8-r\0", None),
        ("charset", None),
        (None, None),
    ],
)
def test_what_a_header_says(header: str | None, name: str | None) -> None:
    assert of_header(header) == name


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("x-gbk", "gb18030"),
        ("ISO-8859-8-I", "iso8859-8"),
        ("visual", "iso8859-8"),
        ("windows-949", "cp949"),
        ("ks_c_5601-1989", "cp949"),
        ("x-euc-jp", "euc_jp"),
        ("x-mac-cyrillic", "mac-cyrillic"),
        ("koi8-ru", "koi8-u"),
        ("unicode-1-1-utf-8", "utf-8"),
        (" x-cp1251\n", "cp1251"),
        ('iso8859-2"', None),
        ("\u212aoi8-r", None),
        ("", None),
    ],
)
def test_labels(label: str, name: str | None) -> None:
    assert known(label) == name


def test_a_misspelt_declaration_is_better_than_none() -> None:
    body = '<meta httpequiv="ContentType" content="text/html; charset=gbk"><p>中'
    assert decode(body.encode("gbk")) == (body, "gb18030")
    assert decode(body.encode()) == (body, "utf-8")


@needs_corpus
def test_corpus_of_declarations() -> None:
    wrong = []
    for case in cases("html5lib_prescan.jsonl"):
        body = base64.b64decode(case["bytes_base64"])
        found = decode(body)[1] if body.startswith(b"\xef\xbb\xbf") else declared(body) or "cp1252"
        if codec(found) != codec(case["expected_encoding"]):
            wrong.append(body[:200])
    assert wrong == []


@needs_corpus
def test_corpus_of_real_pages() -> None:
    """Every page that says what it is in is read so; of the others those that are UTF-8, or Western European."""
    wrong = []
    for case in cases("real_files.jsonl.gz"):
        body = base64.b64decode(case["bytes_base64"])
        wanted = known(case["expected_encoding"])
        if case["declared"] or wanted in ("utf-8", "cp1252", "ascii"):
            text, name = decode(body)
            if name != wanted and (wanted is None or read(body, wanted) != text):
                wrong.append((case["file"], case["expected_encoding"], name))
    assert wrong == []


BROWSERS = {  # what w3lib reads more loosely, or less, than browsers do
    b" bad html still supported < meta http-equiv='Content-Type'\n content=\"text/html; charset=utf-8\">",
    b'<meta http-equiv="Fake-Content-Type-Header" content="text/html; charset=utf-8">',
    b'<meta httpequiv="ContentType" content="text/html; charset=gbk" />',
    b"\n            <head></head><body>\n            this isn't searched\n"
    b'            <meta charset="utf-8">\n        ',
    b'blah blah < meta   http-equiv="Content-Type"\n            content="text/html; charset=iso-8859-1"> other stuff',
    'text/html; charset="utf-8"x',
}


@needs_corpus
def test_corpus_of_precedence() -> None:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return base64.b64decode(value["b64"])
        return [plain(one) for one in value] if isinstance(value, list) else value

    calls: dict[str, Any] = {
        "http_content_type_encoding": of_header,
        "html_body_declared_encoding": lambda body: declared(body.encode() if isinstance(body, str) else body),
        "resolve_encoding": known,
        "to_unicode": lambda body, name: read(body, known(name) or name),
        "html_to_unicode": lambda header, body: list(reversed(decode(body, header))),
    }
    wrong = []
    for case in cases("w3lib_encoding.jsonl"):
        given, item = plain(case["args"]), case.get("item")
        found = calls[case["func"]](*given)
        found = found if item is None else found[item]
        loose = given[-1].encode() if case["func"].startswith("html") and isinstance(given[-1], str) else given[-1]
        if found != plain(case["expected"]) and loose not in BROWSERS and not case["kwargs"].get("default_encoding"):
            wrong.append((case["func"], given, found))
    assert wrong == []


# --- what the bytes mean ---------------------------------------------------------------------------------------------


@needs_corpus
def test_corpus_of_characters() -> None:
    wrong: Counter[str] = Counter()
    for case in cases("whatwg_decode.jsonl"):
        text = decode(bytes.fromhex(case["bytes_hex"]), f"text/html; charset={case['encoding']}")[0]
        wrong[case["encoding"]] += text != "".join(map(chr, case["codepoints"]))
    assert wrong.total() == 0, wrong


BYTES = [
    ("windows-1251", b"\x98\xef", "\x98п"),
    ("windows-1253", b"\x81\xaa", "\x81\ufffd"),
    ("windows-1255", b"\xca\xd9", "\u05ba\ufffd"),
    ("windows-874", b"\x81\xdb", "\x81\ufffd"),
    ("koi8-u", b"\xae\xbe", "ўЎ"),
    ("gbk", b"\x80", "€"),
    ("gb18030", b"\x81\x30\x81<b\xfe\x39\xfe\x39\xff", "\ufffd0\ufffd<b\ufffd\ufffd"),
    ("big5", b"\xa3\xe0\xc6\xcf\xff", "\u2421\u5ef4\ufffd"),
    ("shift_jis", b"\xa0\xfd\x80\x83\x5c", "\ufffd\ufffd\x80ソ"),
    ("euc-jp", b"\x8f\xa2\xb7\xa1\xc1\x8e\xb1\x8f\xfe\xfe\xad\xa1", "\uff5e\uff5eｱ\ufffd①"),
    ("iso-2022-jp", b"a\x1b$B0!\x1b(J\\~\x1b(I1\x1b(B\x1b!", "a亜¥‾ｱ\ufffd!"),
    ("iso-2022-jp", b"\x1b$B0\n0!\x1b(B<", "\ufffd\ufffd亜<"),
    ("euc-kr", b"\xc9\xfe\xb0\xa1", "\ufffd가"),
]


@pytest.mark.parametrize(("label", "body", "text"), BYTES)
def test_bytes_as_browsers_read_them(label: str, body: bytes, text: str) -> None:
    assert decode(body, f"text/html; charset={label}")[0] == text


@pytest.mark.parametrize("label", ["big5", "gbk", "gb18030", "shift_jis", "euc-jp", "euc-kr"])
def test_no_broken_letter_eats_markup(label: str) -> None:
    for lead in range(0x80, 0x100):
        for tail in (b"<b>", b"\xff<b>", b"\xa1\xff<b>"):
            assert read(bytes((lead,)) + tail, codec(label)).endswith("<b>"), (hex(lead), tail)


LABELS = (
    "utf-8",
    "utf-16",
    "windows-1252",
    "big5",
    "gb18030",
    "shift_jis",
    "euc-jp",
    "iso-2022-jp",
    "euc-kr",
    "koi8-u",
)


@given(st.binary(max_size=300), st.sampled_from(LABELS))
def test_decoding_never_fails_and_gives_what_can_be_stored(body: bytes, label: str) -> None:
    decode(body, f"text/html; charset={label}")[0].encode()
    decode(b"<meta charset=" + label.encode() + b">" + body)[0].encode()


@given(st.text(alphabet="<>!-/?= \"'metachrsolxnding\n;", max_size=200))
def test_the_prescan_takes_anything(text: str) -> None:
    declared(text.encode())
    of_header("text/html" + text)


HOSTILE = [
    "<script>",
    "<!--",
    "<meta ",
    "<meta a",
    "<meta a='",
    "<title>",
    "</",
    "<a ",
    "<meta content=charset ",
    "<?xml ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_looking_for_a_declaration_is_linear(piece: str) -> None:
    body = (piece * 1_000_000)[:1_000_000].encode()
    begun = time.process_time()
    declared(body)
    of_header('text/html; charset="' + '\\"' * 30_000)
    assert time.process_time() - begun < 0.5
