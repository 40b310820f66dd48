from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rules.articles import Article, best, from_record, paragraphs

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def article(key: str, title: str, questions: str, body: str) -> Article:
    fields = {"title": title, "questions": questions, "body": body, "language": "sv", "url": ""}
    made = from_record(key, fields, NOW, 86400)
    assert made is not None
    return made


MISSED = article("missed", "Utebliven sophämtning", "De har inte tömt min soptunna\nHämtningen kom inte", "Anmäl det.")
BULKY = article("bulky", "Grovavfall", "Hur blir jag av med en soffa\nKan ni hämta en gammal soffa", "Boka hämtning.")
HOURS = article("hours", "Återvinningscentralens öppettider", "När har återvinningen öppet", "Kl. 10–18.")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hej, soptunnan är inte tömd i dag heller!", "missed"),
        ("Vi har en soffa som måste bort, hämtar ni sådant?", "bulky"),
        ("Vilka tider har återvinningen öppet på lördagar?", "hours"),
    ],
)
def test_the_article_whose_questions_are_asked_is_chosen(text: str, found: str) -> None:
    chosen = best([MISSED, BULKY, HOURS], text)
    assert chosen is not None
    assert chosen.id == found


@pytest.mark.parametrize("text", ["", "Min dotter har fått en ny lärare.", "🙂", "x " * 50_000])
def test_a_weak_match_stays_out_of_the_draft(text: str) -> None:
    assert best([MISSED, BULKY, HOURS], text) is None


def test_no_articles_no_answer() -> None:
    assert best([], "soptunna") is None


def test_headings_are_no_passages_and_lines_are_joined() -> None:
    assert paragraphs("# Rubrik\n\nEn mening\nsom fortsätter.\n\n\nNästa.") == ["En mening som fortsätter.", "Nästa."]


def test_an_article_without_text_is_none() -> None:
    assert from_record("x", {"title": "T", "body": "\n\n"}, NOW, 1) is None
