"""Ground on text that was made to hurt: it answers in bounded time and nothing can hide from it."""

from __future__ import annotations

import unicodedata

import pytest

from rules.grounding import ground, supported
from rules.values import Evidence, Kind, Passage
from tests.budget import taking_at_most
from tests.rules.test_ground_statements import EVIDENCE
from tests.rules.test_ground_values import NOW, fact

SECONDS = 15.0
"""Far above what is needed, far below what a pattern that backtracks without bound would take."""


@pytest.mark.parametrize(
    "unit",
    [
        "a", "1", "1 ", "1.", "1,", "12 345 ", "Anna ", "Anna Berg ", "§ ", "1 § ", "a@", "a.", "http://", "(((", "kl. ",
        "{amount}", "Beloppet är 500 kronor. ", "Fakturan 2026-118342 är på ", "\n", "\u200b", "e\u0301", "4–7 november ",
        "inte ", "1 kap. ", "mån ", "0470-12 ", "- ", "Storgatan ", "förvaltningslag", ": ",
    ],
)  # fmt: skip
def test_a_long_text_of_anything_is_answered_in_seconds(unit: str) -> None:
    text = unit * (50_000 // len(unit))
    passages = (Passage("p", "a", "Återvinningscentralen är öppen måndag–fredag kl. 10–18."),)
    evidence = Evidence(EVIDENCE.facts, passages, EVIDENCE.phrases)
    with taking_at_most(SECONDS):
        ground(text, "sv", evidence, NOW)


@pytest.mark.parametrize("hidden", ["\u00ad", "\u200b", "\u2060", "\ufeff", "\x00"])
def test_invisible_characters_hide_nothing(hidden: str) -> None:
    evidence = Evidence(facts=(fact(Kind.STATUS, "refused"),), withheld=(fact(Kind.PERSON, "Karin Holm"),))
    text = f"Karin Ho{hidden}lm: ansökan har bevil{hidden}jats."
    assert {span.kind for span in ground(text, "sv", evidence, NOW)} >= {Kind.PERSON, Kind.STATUS}


def test_text_in_decomposed_letters_is_read_and_pointed_into() -> None:
    evidence = Evidence(facts=(fact(Kind.AMOUNT, "500.00 SEK"),), phrases=("Beloppet är {it}.",))
    text = unicodedata.normalize("NFD", "Hej!\n\nBeloppet är 500 kr.")
    spans = ground(text, "sv", evidence, NOW)
    assert supported(spans)
    assert all(text[span.start : span.end] == span.text for span in spans)


def test_a_phrase_with_many_slots_and_many_facts_gives_up() -> None:
    facts = tuple(fact(Kind.UNIT, "a" * n, label="it", subject=str(n)) for n in range(1, 40))
    evidence = Evidence(facts=facts, phrases=("{it}" * 30 + "b",))
    with taking_at_most(SECONDS):
        ground("a" * 600, "sv", evidence, NOW)
