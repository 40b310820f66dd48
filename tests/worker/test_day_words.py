"""Days that are named by words, seen from Friday 20 November 2026."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.day_words import named_days
from rules.values import LANGUAGES
from worker import offline, packs

FRIDAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("language", "words", "value"),
    [
        ("sv", "i dag", "2026-11-20"),
        ("sv", "imorgon", "2026-11-21"),
        ("sv", "i övermorgon", "2026-11-22"),
        ("sv", "på torsdag", "2026-11-26"),
        ("sv", "nästa fredag", "2026-11-27"),
        ("sv", "i fredags", "2026-11-13"),
        ("sv", "förra tisdagen", "2026-11-17"),
        ("sv", "nästa vecka", "2026-11-23/2026-11-29"),
        ("sv", "förra veckan", "2026-11-09/2026-11-15"),
        ("sv", "om tre dagar", "2026-11-23"),
        ("sv", "om 2 veckor", "2026-12-04"),
        ("sv", "den 3:e", "2026-12-03"),
        ("fi", "huomenna", "2026-11-21"),
        ("fi", "ensi torstaina", "2026-11-26"),
        ("fi", "viime perjantaina", "2026-11-13"),
        ("fi", "keskiviikkona", "2026-11-25"),
        ("fi", "ensi viikolla", "2026-11-23/2026-11-29"),
        ("fi", "kahden viikon päästä", "2026-12-04"),
        ("fi", "3. päivä", "2026-12-03"),
        ("nb", "i overmorgen", "2026-11-22"),
        ("nb", "neste uke", "2026-11-23/2026-11-29"),
        ("nb", "neste veke", "2026-11-23/2026-11-29"),
        ("nb", "sist fredag", "2026-11-13"),
        ("nb", "på laurdag", "2026-11-21"),
        ("nb", "om fem dager", "2026-11-25"),
        ("nb", "den 3.", "2026-12-03"),
        ("da", "i overmorgen", "2026-11-22"),
        ("da", "næste fredag", "2026-11-27"),
        ("da", "i onsdags", "2026-11-18"),
        ("da", "sidste uge", "2026-11-09/2026-11-15"),
        ("da", "om en uge", "2026-11-27"),
        ("en", "next Friday", "2026-11-27"),
        ("en", "on Monday", "2026-11-23"),
        ("en", "last Tuesday", "2026-11-17"),
        ("en", "the day after tomorrow", "2026-11-22"),
        ("en", "in two weeks", "2026-12-04"),
        ("en", "the 3rd", "2026-12-03"),
    ],
)
def test_a_day_is_counted_from_the_date_of_the_mail(language: str, words: str, value: str) -> None:
    (found,) = named_days(f"Bla {words}, bla.", language, FRIDAY)
    assert (found.text, found.value) == (words, value)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("sv", "den 3 december"),
        ("sv", "i dagarna fick vi en lapp"),
        ("fi", "3. joulukuuta"),
        ("nb", "den 3. desember"),
        ("da", "den 3. december"),
        ("en", "the 3rd of December"),
        ("en", "my 3rd birthday"),
        ("other", "next Friday"),
    ],
)
def test_other_words_name_no_day(language: str, words: str) -> None:
    assert named_days(words, language, FRIDAY) == ()


def test_the_thirty_first_waits_for_a_month_that_has_one() -> None:
    (found,) = named_days("den 31:a", "sv", date(2026, 11, 20))
    assert found.value == "2026-12-31"
    assert named_days("den 45:e", "sv", FRIDAY) == ()


@given(st.text(max_size=200), st.sampled_from(LANGUAGES), st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_whatever_is_written_gives_days_or_nothing(text: str, language: str, today: date) -> None:
    for one in named_days(f"{text} next week, nästa vecka {text}", language, today):
        assert all(date.fromisoformat(day) for day in one.value.split("/"))


@pytest.mark.parametrize("written", ["Fri, 20 Nov 2026 14:20:40 +0100", "2026-11-20T14:20:40+01:00", "2026-11-20"])
def test_triage_resolves_them_in_a_field_of_its_own(written: str) -> None:
    line = {"id": "1", "subject": "Sopor", "body": "Kan ni tömma soptunnan i övermorgon?", "date": written}
    (answer,) = offline.triage([json.dumps(line)], packs.read(packs.shipped()))
    assert answer["named_days"] == [{"text": "i övermorgon", "date": "2026-11-22"}]
    for undated in ({**line, "date": ""}, {**line, "date": "soon"}, {**line, "body": "Hej"}):
        (answer,) = offline.triage([json.dumps(undated)], packs.read(packs.shipped()))
        assert "named_days" not in answer
