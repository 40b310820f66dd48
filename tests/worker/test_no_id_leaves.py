"""No national identity number, however it is spelled, is left readable where text leaves the sealed original."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import entities
from rules.anonymous import anonymous
from rules.drafting import reply_subject
from rules.masking import masked
from rules.national_ids import find
from rules.pack import RulePack
from worker import offline, packs

PACK: RulePack = packs.read(packs.shipped())
NUMBERS = [
    *(("sv", "19900909", "2397"), ("sv", "900909", "2397"), ("sv", "911066", "2393"), ("sv", "19911066", "2393")),
    *(("fi", "131196", "9079"), ("fi", "110255", "976C"), ("fi", "070259", "9566")),
    *(("nb", "069245", "08726"), ("nb", "119190", "04403"), ("nb", "558875", "36049"), ("nb", "578664", "31959")),
    *(("da", "170103", "2906"), ("da", "171201", "2257"), ("da", "010204", "0171")),
]
SAID = {"sv": "Mitt personnummer är", "fi": "Henkilötunnukseni on", "nb": "Fødselsnummeret mitt er", "da": "Mit cpr er"}
HYPHENS = ("-", "\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2015", "\u2043", "\u2212", "\ufe63", "\uff0d")
SPACES = ("", " ", "\u00a0", "\u2009", "\u202f", "  ", "\t", "\n", "\r\n", "\n> ", "\u200b", "\u00ad")
IN_ONE = {
    "as it is": str,
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isdigit() else c for c in text),
    "mathematical": lambda text: "".join(chr(0x1D7CE + int(c)) if c.isascii() and c.isdigit() else c for c in text),
    "zero width between": "\u200b".join,
    "joiners between": "\u200d".join,
    "soft hyphens between": "\u00ad".join,
}


@st.composite
def spelled(draw: st.DrawFn) -> tuple[str, str, str]:
    language, day, last = draw(st.sampled_from(NUMBERS))
    hyphens = HYPHENS if language == "fi" else ("", *HYPHENS)
    written = (
        f"{day}{draw(st.sampled_from(SPACES))}{draw(st.sampled_from(hyphens))}{draw(st.sampled_from(SPACES))}{last}"
    )
    form = draw(st.sampled_from(sorted(IN_ONE)))
    before, after = (
        draw(st.sampled_from(["", "Hej! ", "(", "nr "])),
        draw(st.sampled_from(["", ".", ", tack", ")", "\n\nMvh"])),
    )
    return language, f"{before}{SAID[language]} {IN_ONE[form](written)}{after}", last  # type: ignore[operator]


def readable(text: str) -> str:
    """As somebody could put it together again."""
    import unicodedata

    kept = (c for c in unicodedata.normalize("NFKC", text) if c.isalnum())
    return "".join(str(unicodedata.decimal(c, c)) for c in kept)


@given(spelled())
def test_no_spelling_survives_masking(case: tuple[str, str, str]) -> None:
    language, text, last = case
    found = find(text)
    assert found
    left = [
        masked(text, found),
        reply_subject(text),
        anonymous(PACK, text, language),
        json.dumps(entities.find(PACK, text, language, found)),
        *(one.masked for one in found),
    ]
    assert not [one for one in left if last in readable(one)]


@pytest.mark.parametrize("place", ["subject", "body"])
def test_the_answer_of_triage_holds_the_mask_alone(place: str) -> None:
    lines = [
        json.dumps(
            {"id": str(n), "subject": "Fråga", "body": "Hej", place: f"{SAID[language]} {day}{hyphen}{last} tack"}
        )
        for n, (language, day, last, hyphen) in enumerate(
            (*number, hyphen) for number in NUMBERS for hyphen in ("-", "\u2013", "\n-", " - ")
        )
    ]
    for line, answer in zip(lines, offline.triage(lines, PACK), strict=True):
        assert "national_id" in answer["reasons"], line
        secret = readable(json.loads(line)[place].removesuffix(" tack"))[-4:]
        assert secret not in readable(json.dumps({k: v for k, v in answer.items() if k != "model"})), line
