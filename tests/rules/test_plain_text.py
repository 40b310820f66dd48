from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.plain_text import plain_text


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Hej på dig", "Hej på dig"),
        ("sj\u00e4lv\u00admord", "självmord"),  # soft hyphen
        ("sja\u0308lvmord", "självmord"),  # combining diaeresis
        ("d\u200bö\u2060d\ufeffa", "döda"),  # nothing a reader sees
        ("\u202eolleh\u202c", "olleh"),  # direction marks
        ("ｄöｄａ", "döda"),  # full width
        ("𝗱𝗲𝗮𝘁𝗵", "death"),  # mathematical letters
        ("jag ska dödа dig", "jag ska döda dig"),  # the last letter of the third word is Cyrillic
        ("900101‑2384", "900101-2384"),  # non-breaking hyphen
        ("1\u00a0234 kr", "1 234 kr"),
        ("٩٠٠١٠١", "900101"),
        ("Привет, как дела", "Привет, как дела"),  # a mail in Russian stays one
        ("", ""),
    ],
)
def test_what_is_read_is_what_a_reader_sees(written: str, read: str) -> None:
    assert plain_text(written).text == read


def test_a_place_leads_back_to_what_was_written() -> None:
    plain = plain_text("Ring ½ 070\u200b-174 06 05 nu")
    start = plain.text.index("070")
    end = plain.text.index(" nu")
    first, last = plain.span(start, end)
    assert plain.original[first:last] == "070\u200b-174 06 05"
    assert plain.written(start, end) == "070-174 06 05"


@given(st.text(max_size=60))
def test_every_place_lies_within_what_was_written(text: str) -> None:
    plain = plain_text(text)
    for position in range(len(plain.text)):
        start, end = plain.span(position, position + 1)
        assert 0 <= start < end <= len(text)
    if plain.text:
        assert plain.span(0, len(plain.text))[1] <= len(text)
