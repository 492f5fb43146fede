"""Dates: every rule of the configs that people run, in its language and zone; 27 languages; years; what is no date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from plugins.parse._dates import Dates, FormatError, choose_year, compile_format
from plugins.parse._languages import LanguageError, language

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
CONFIGS = Path(__file__).resolve().parents[3] / "shared/corpus/open/configs/goskyr"
SAMPLES = [datetime(2026, 12, 3, 20, 5), datetime(2027, 3, 21, 19, 30), datetime(2027, 1, 9, 8, 45)]


def dates(kind: str = "datetime", languages: Any = ("en",), **options: Any) -> Dates:
    return Dates(with_time=kind == "datetime", languages=[language(one) for one in languages], **options)


# --- every date rule of the corpus -----------------------------------------------------------------------------------

# Go writes a layout as one moment would look: 2 January 2006, 15:04:05.
GO = [
    *(("January", "%B"), ("Monday", "%A"), ("2006", "%Y"), (".000", ".%f"), ("-0700", "%z"), ("-07:00", "%z")),
    *(
        ("Jan", "%b"),
        ("JAN", "%b"),
        ("Mon", "%a"),
        ("15", "%H"),
        ("01", "%m"),
        ("02", "%d"),
        ("03", "%I"),
        ("04", "%M"),
    ),
    *(("05", "%S"), ("06", "%y"), ("PM", "%p"), ("pm", "%p"), ("1", "%m"), ("2", "%d"), ("3", "%I"), ("4", "%M")),
]
_TOKEN = re.compile("|".join(re.escape(go) for go, _ in GO))


def layouts() -> Iterator[tuple[str, str, str]]:
    """(layout, language, zone) of every component of every date rule."""
    for file in sorted(CONFIGS.glob("*.y*ml")):
        for scraper in yaml.load(file.read_text(), yaml.BaseLoader)["scrapers"]:  # every scalar is a text: 15:04
            for field in scraper["fields"]:
                for part in field.get("components") or ():
                    for layout in part["layout"]:
                        yield layout, field.get("date_language", "en_US"), field.get("date_location", "UTC")


RULES = sorted(set(layouts()))


def strptime(layout: str) -> str:
    layout = re.sub(r"\+0[12]:00$", "-07:00", layout)  # an offset is meant, though Go takes it for a month or a day
    return _TOKEN.sub(lambda match: dict(GO)[match[0]], layout.replace("%", "%%"))


def spelt(form: str, moment: datetime, code: str, variant: int) -> str:
    """The moment as such a page writes it: as the format has it, in capitals, or without zeros and with more space."""
    names = language(code)
    month = [name for name, number in names.months.items() if number == moment.month]
    day = [name for name, number in names.days.items() if number == moment.weekday()]
    plain = variant == 2

    def part(match: re.Match[str]) -> str:
        letter = match[1]
        if letter in "Bb":
            return max(month, key=len) if letter == "B" and not plain else min(month, key=len)
        if letter in "Aa":
            return max(day, key=len) if letter == "A" and not plain else min(day, key=len)
        if letter == "z":
            return "+0000"
        text = moment.strftime(f"%{letter}")
        return str(int(text)) if plain and letter in "dm" and not glued else text

    glued = re.search(r"%[a-zA-Z]%[a-zA-Z]", form) is not None
    text = re.sub(r"%([A-Za-z])", part, form).replace("%%", "%")
    return (text, text.upper(), text.replace(" ", "  "))[variant]


@pytest.mark.skipif(not RULES, reason="the corpus is not here")
def test_every_date_rule_of_the_corpus_in_three_spellings() -> None:
    tried = 0
    for layout, code, zone in RULES:
        form = strptime(layout)
        timely = not re.search("%[dmBbYy]", form)  # a time by itself, as goskyr has it: here a day stands in front
        full = f"%Y-%m-%d {form}" if timely else form
        parser = dates("datetime", [code], formats=[full], zone=zone)
        for variant, moment in enumerate(SAMPLES):
            alone = "%d" in form and ("%m" in form or "%B" in form.replace("%b", "%B"))
            text = spelt(form, moment, code, variant)
            if timely:
                text = f"{moment:%Y-%m-%d} {text}"
            elif not alone:
                compile_format(form, [language(code)])
                assert compile_format(form, [language(code)]).pattern.fullmatch(folded(text)), (layout, text)
                tried += 1
                continue
            found = parser.read(text, START)
            assert isinstance(found, datetime), (layout, code, text)
            expected = moment if "%H" in form or "%I" in form else moment.replace(hour=0, minute=0)
            expected = expected if "%M" in form else expected.replace(minute=0)
            if "%I" in form and "%p" not in form:
                expected = expected.replace(hour=(expected.hour - 1) % 12 + 1)
            aware = expected.replace(tzinfo=UTC if "%z" in form else ZoneInfo(zone))
            assert found == aware, (layout, code, text)
            assert found.utcoffset() == aware.utcoffset()
            tried += 1
    assert len(RULES) >= 180 and tried == 3 * len(RULES)


def folded(text: str) -> str:
    from plugins.parse._dates import fold

    return " ".join(fold(text).split())


# --- languages -------------------------------------------------------------------------------------------------------

LANGUAGES = {
    "en": ("Friday, May 1st, 2026 7:30 p.m.", "%A, %B %d, %Y %I:%M %p"),
    "en-GB": ("1 May 2026, 19:30", "%d %B %Y, %H:%M"),
    "de": ("Fr., 1. Mai 2026 19:30 Uhr", "%a, %d. %B %Y %H:%M Uhr"),
    "de_AT": ("Freitag 01.05.2026 - 19.30", "%A %d.%m.%Y - %H.%M"),
    "fr": ("vendredi 1er mai 2026 19h30", "%A %d %B %Y %Hh%M"),
    "nl": ("vrijdag 1 mei 2026 om 19:30", "%A %d %B %Y om %H:%M"),
    "es": ("viernes, 1 de mayo de 2026 19:30", "%A, %d de %B de %Y %H:%M"),
    "pt": ("sexta-feira, 1 de maio de 2026 19h30", "%A, %d de %B de %Y %Hh%M"),
    "it": ("venerd\u00ec 1 maggio 2026 ore 19:30", "%A %d %B %Y ore %H:%M"),
    "nb": ("fredag 1. mai 2026 kl. 19.30", "%A %d. %B %Y kl. %H.%M"),
    "sv": ("fredag 1 maj 2026 19:30", "%A %d %B %Y %H:%M"),
    "da": ("fredag den 1. maj 2026 kl. 19:30", "%A den %d. %B %Y kl. %H:%M"),
    "fi": ("perjantaina 1. toukokuuta 2026 klo 19.30", "%A %d. %B %Y klo %H.%M"),
    "is": ("1. ma\u00ed 2026 19:30", "%d. %B %Y %H:%M"),
    "pl": ("pi\u0105tek, 1 maja 2026 19:30", "%A, %d %B %Y %H:%M"),
    "cs": ("p\u00e1tek 1. kv\u011btna 2026 19:30", "%A %d. %B %Y %H:%M"),
    "sk": ("piatok 1. m\u00e1ja 2026 19:30", "%A %d. %B %Y %H:%M"),
    "hu": ("2026. m\u00e1jus 1. 19:30", "%Y. %B %d. %H:%M"),
    "ro": ("vineri, 1 mai 2026 19:30", "%A, %d %B %Y %H:%M"),
    "hr": ("petak, 1. svibnja 2026. 19:30", "%A, %d. %B %Y. %H:%M"),
    "sl": ("1. maj 2026 19:30", "%d. %B %Y %H:%M"),
    "ru": (
        "\u043f\u044f\u0442\u043d\u0438\u0446\u0430, 1 \u043c\u0430\u044f 2026 \u0433. 19:30",
        "%A, %d %B %Y \u0433. %H:%M",
    ),
    "uk": ("1 \u0442\u0440\u0430\u0432\u043d\u044f 2026 19:30", "%d %B %Y %H:%M"),
    "bg": ("1 \u043c\u0430\u0439 2026 19:30", "%d %B %Y %H:%M"),
    "el": ("1 \u039c\u03b1\u0390\u03bf\u03c5 2026 19:30", "%d %B %Y %H:%M"),
    "tr": ("1 May\u0131s 2026 Cuma 19:30", "%d %B %Y %A %H:%M"),
    "ar": ("1 \u0645\u0627\u064a\u0648 2026 19:30", "%d %B %Y %H:%M"),
    "he": ("1 \u05d1\u05de\u05d0\u05d9 2026 19:30", "%d \u05d1%B %Y %H:%M"),
    "hi": ("1 \u092e\u0908 2026 19:30", "%d %B %Y %H:%M"),
    "th": ("1 \u0e1e\u0e24\u0e29\u0e20\u0e32\u0e04\u0e21 2026 19:30", "%d %B %Y %H:%M"),
    "vi": ("1 th\u00e1ng 5, 2026 19:30", "%d th\u00e1ng %m, %Y %H:%M"),
    "id": ("Jumat, 1 Mei 2026 19.30", "%A, %d %B %Y %H.%M"),
    "ja": ("2026\u5e745\u67081\u65e5 19:30", "%Y\u5e74%m\u6708%d\u65e5 %H:%M"),
    "ko": ("2026\ub144 5\uc6d4 1\uc77c 19:30", "%Y\ub144 %m\uc6d4 %d\uc77c %H:%M"),
    "zh": ("2026\u5e745\u67081\u65e5 19:30", "%Y\u5e74%m\u6708%d\u65e5 %H:%M"),
}


@pytest.mark.parametrize("code", LANGUAGES)
def test_languages(code: str) -> None:
    text, form = LANGUAGES[code]
    expected = datetime(2026, 5, 1, 19, 30, tzinfo=ZoneInfo("Europe/Zurich"))
    parser = dates("datetime", [code], formats=[form], zone="Europe/Zurich")
    for spelling in (text, text.upper(), f" {text.replace(' ', chr(0xA0) + ' ')} "):
        assert parser.read(spelling, START) == expected, spelling


@pytest.mark.parametrize("code", LANGUAGES)
def test_languages_without_a_format(code: str) -> None:
    text, _ = LANGUAGES[code]
    parser = dates("datetime", [code], zone="Europe/Zurich")
    for spelling in (text, text.upper(), f" {text} "):
        assert parser.read(spelling, START) == datetime(2026, 5, 1, 19, 30, tzinfo=ZoneInfo("Europe/Zurich")), spelling


GUESSED = [
    ("2026-05-01", "en", "2026-05-01T00:00:00+02:00"),
    ("20260501T173000Z", "en", "2026-05-01T17:30:00+00:00"),
    ("20260501T1930", "en", "2026-05-01T19:30:00+02:00"),
    ("2026-05-01T19:30:05.000Z", "en", "2026-05-01T19:30:05+00:00"),
    ("2026-05-01 19:30:05 -0700", "en", "2026-05-01T19:30:05-07:00"),
    ("Fri, 01 May 2026 19:30:00 +0200", "en", "2026-05-01T19:30:00+02:00"),
    ("1 May 2026 19:30", "en", "2026-05-01T19:30:00+02:00"),
    ("May 1, 2026 at 7:30 PM", "en", "2026-05-01T19:30:00+02:00"),
    ("05/01/2026", "en", "2026-05-01T00:00:00+02:00"),
    ("01/05/2026", "en-GB", "2026-05-01T00:00:00+02:00"),
    ("01.05.2026", "de", "2026-05-01T00:00:00+02:00"),
    ("1. Mai 2026", "de", "2026-05-01T00:00:00+02:00"),
    ("vor 2 Stunden", "de", "2026-11-24T11:00:00+01:00"),
    ("il y a 3 jours", "fr", "2026-11-21T13:00:00+01:00"),
    ("2 hours ago", "en", "2026-11-24T11:00:00+01:00"),
    ("12 mars", "fr", "2027-03-12T00:00:00+01:00"),
    ("24 dic", "es", "2026-12-24T00:00:00+01:00"),
    ("May 2026", "en", None),
    ("2026", "en", None),
    ("12", "en", None),
    ("no date at all", "en", None),
    ("31 April 2026", "en", None),
    ("", "en", None),
    ("1 May 2026 " * 20, "en", None),
]


@pytest.mark.parametrize(("text", "code", "expected"), GUESSED)
def test_dates_without_a_format(text: str, code: str, expected: str | None) -> None:
    found = dates("datetime", [code], zone="Europe/Zurich").read(text, START)
    assert (found and found.isoformat()) == expected


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("31.04.2026", "%d.%m.%Y", None),
        ("25:00 1.5.2026", "%H:%M %d.%m.%Y", None),
        ("1.5.2026 x", "%d.%m.%Y", None),
        ("1.5.69", "%d.%m.%y", "1969-05-01T00:00:00+00:00"),
        ("1.5.68", "%d.%m.%y", "2068-05-01T00:00:00+00:00"),
        ("12 AM 1.5.26", "%I %p %d.%m.%y", "2026-05-01T00:00:00+00:00"),
        ("12 pm 1.5.26", "%I %p %d.%m.%y", "2026-05-01T12:00:00+00:00"),
        ("15 pm 1.5.26", "%I %p %d.%m.%y", "2026-05-01T15:00:00+00:00"),
        ("1777663800", "%s", "2026-05-01T19:30:00+00:00"),
        ("1777663800000", "%s", "2026-05-01T19:30:00+00:00"),
        ("1.5.2026 10:00 CEST", "%d.%m.%Y %H:%M %Z", "2026-05-01T10:00:00+02:00"),
        ("1.5.2026 10:00 GMT+5:30", "%d.%m.%Y %H:%M %z", "2026-05-01T10:00:00+05:30"),
        ("1.5.2026 10:00Z", "%d.%m.%Y %H:%M%z", "2026-05-01T10:00:00+00:00"),
        ("100% 1.5.26", "100%% %d.%m.%y", "2026-05-01T00:00:00+00:00"),
        ("May 2026", "%B %Y", "2026-05-01T00:00:00+00:00"),
        ("May", "%B", None),
        ("10:00", "%H:%M", None),
    ],
)
def test_formats(text: str, form: str, expected: str | None) -> None:
    found = dates(formats=[form]).read(text, START)
    assert (found and found.isoformat()) == expected


def test_a_date_is_the_day_as_written() -> None:
    assert dates("date", formats=["%d.%m.%Y %H:%M"], zone="Asia/Tokyo").read("1.5.2026 23:59", START) == date(
        2026, 5, 1
    )
    assert dates("date").read("2026-05-01T23:59:00-11:00", START) == date(2026, 5, 1)


@pytest.mark.parametrize("form", ["%q", "%d.%", "%d %d", "abc", "", "%j"])
def test_wrong_formats(form: str) -> None:
    if form == "%d.%":
        assert compile_format(form, [language("en")]).pattern.fullmatch("1.%")
        return
    with pytest.raises(FormatError):
        compile_format(form, [language("en")])


@pytest.mark.parametrize(("code", "hint"), [("xx", "two letters"), ("zhh", "did you mean zh"), ("", "two letters")])
def test_unknown_languages(code: str, hint: str) -> None:
    with pytest.raises(LanguageError) as caught:
        language(code)
    assert hint in caught.value.hint


# --- years -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "which", "weekday", "year"),
    [
        ((12, 24), "nearest", None, 2026),
        ((3, 12), "nearest", None, 2027),
        ((8, 1), "nearest", None, 2026),
        ((8, 1), "future", None, 2027),
        ((12, 24), "past", None, 2025),
        ((11, 24), "future", None, 2026),
        ((11, 24), "past", None, 2026),
        ((8, 1), "current", None, 2026),
        ((8, 1), "nearest", 6, 2027),  # a Sunday
        ((12, 24), "nearest", 4, 2027),  # a Friday
        ((12, 24), "nearest", 0, 2026),  # a Monday in none of them
        ((2, 29), "nearest", None, 2028),
        ((2, 30), "nearest", None, None),
    ],
)
def test_years(day: tuple[int, int], which: str, weekday: int | None, year: int | None) -> None:
    assert choose_year(*day, START.date(), which, weekday) == year


@given(st.dates(date(1950, 1, 1), date(2090, 12, 31)), st.integers(0, 364))
def test_the_nearest_year_is_within_half_a_year_but_for_leap_days(today: date, days: int) -> None:
    day = date(2025, 1, 1) + timedelta(days)
    year = choose_year(day.month, day.day, today, "nearest")
    assert year is not None and abs(date(year, day.month, day.day) - today) <= timedelta(183)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)), st.sampled_from(["de", "fr", "ru", "ja", "tr"]))
def test_what_a_format_writes_it_reads(moment: datetime, code: str) -> None:
    moment = moment.replace(second=0, microsecond=0)
    for variant in range(3):
        text = spelt("%A %d %B %Y %H:%M", moment, code, variant)
        found = dates("datetime", [code], formats=["%A %d %B %Y %H:%M"]).read(text, START)
        assert found == moment.replace(tzinfo=UTC), text
