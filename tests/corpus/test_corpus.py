"""The labelled mail keeps what corpus/README.md promises: fields, labels, shares, real numbers, nobody real."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from rules.national_ids import find
from rules.pack import ENTITY_KINDS, REASONS
from rules.values import LANGUAGES
from worker import packs
from worker.understanding import corpus, likeness

FOLDER = Path(__file__).resolve().parents[2] / "corpus"
FIELDS = (
    "id",
    "lang",
    "from",
    "subject",
    "body",
    "intent",
    "secondary",
    "must_verify",
    "reasons",
    "entities",
    "national_ids",
    "writer",
    "group",
    "style",
)
FEWEST_OF_AN_INTENT = 49
FEWEST_OF_A_REASON = 24
SAME_TEXT = 0.6
ADDRESS = re.compile(r"[\w.+-]+@([\w.-]*\w)|(?:https?://|www\.)([\w.-]*\w)")

Mail = dict[str, Any]

each_language = pytest.mark.parametrize("language", LANGUAGES)


@cache
def mails(language: str) -> tuple[Mail, ...]:
    lines = (FOLDER / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)


def text(mail: Mail) -> str:
    return f"{mail['subject']}\n{mail['body']}"


def ids_of(found: list[Mail]) -> list[str]:
    return [mail["id"] for mail in found]


@each_language
def test_every_mail_has_all_fields_in_order(language: str) -> None:
    assert [mail["id"] for mail in mails(language) if tuple(mail) != FIELDS] == []


@each_language
def test_ids_are_unique_and_name_the_language(language: str) -> None:
    ids = ids_of(list(mails(language)))
    assert len(set(ids)) == len(ids)
    assert all(mail["lang"] == language and mail["id"].startswith(f"{language}-") for mail in mails(language))


@each_language
def test_labels_are_those_of_the_pack(language: str) -> None:
    intents = packs.read(packs.shipped()).intents
    for mail in mails(language):
        assert mail["intent"] in intents, mail["id"]
        assert set(mail["secondary"]) <= set(intents) - {mail["intent"]}, mail["id"]
        assert set(mail["reasons"]) <= set(REASONS), mail["id"]
        assert set(mail["entities"]) <= set(ENTITY_KINDS), mail["id"]


@each_language
def test_every_intent_is_well_represented(language: str) -> None:
    counts = Counter(mail["intent"] for mail in mails(language))
    intents = packs.read(packs.shipped()).intents
    assert {intent: counts[intent] for intent in intents if counts[intent] < FEWEST_OF_AN_INTENT} == {}


@each_language
def test_every_reason_is_well_represented(language: str) -> None:
    counts = Counter(reason for mail in mails(language) for reason in mail["reasons"])
    assert {reason: counts[reason] for reason in REASONS if counts[reason] < FEWEST_OF_A_REASON} == {}


@each_language
def test_a_mail_must_be_verified_exactly_when_it_has_a_reason(language: str) -> None:
    assert ids_of([mail for mail in mails(language) if mail["must_verify"] != bool(mail["reasons"])]) == []


@each_language
def test_about_half_of_the_mails_must_be_verified(language: str) -> None:
    share = sum(mail["must_verify"] for mail in mails(language)) / len(mails(language))
    assert 0.4 <= share <= 0.55


@each_language
def test_entities_stand_in_the_mail_word_for_word(language: str) -> None:
    missing = [
        (mail["id"], value)
        for mail in mails(language)
        for values in mail["entities"].values()
        for value in values
        if value not in text(mail)
    ]
    assert missing == []


@each_language
def test_national_ids_are_valid_and_all_labelled(language: str) -> None:
    for mail in mails(language):
        found = {(one.kind, text(mail)[one.start : one.end]) for one in find(text(mail))}
        assert found == {(one["kind"], one["value"]) for one in mail["national_ids"]}, mail["id"]


@each_language
def test_a_mail_with_a_national_id_says_so_in_its_reasons(language: str) -> None:
    assert ids_of([m for m in mails(language) if bool(m["national_ids"]) != ("national_id" in m["reasons"])]) == []


@each_language
def test_all_addresses_are_invented(language: str) -> None:
    domains = {
        (mail["id"], mail_domain or web_domain)
        for mail in mails(language)
        for mail_domain, web_domain in ADDRESS.findall(f"{mail['from']}\n{text(mail)}")
    }
    assert {(number, domain) for number, domain in domains if not domain.lower().endswith(".example")} == set()


@each_language
def test_no_mail_repeats_another(language: str) -> None:
    alike = likeness.pairs(corpus.read(FOLDER / f"{language}.jsonl"), SAME_TEXT)
    assert [(pair.first, pair.second) for pair in alike] == []


@each_language
def test_a_group_is_one_writer_in_one_batch(language: str) -> None:
    for mail in mails(language):
        assert re.fullmatch(rf"{language}-[bcde]\d\d-{re.escape(mail['writer'])}", mail["group"]), mail["id"]


# ---------------------------------------------------------------- short mails


@cache
def short_mails(language: str) -> tuple[Mail, ...]:
    lines = (FOLDER / f"short_{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)


@each_language
def test_a_short_mail_has_its_fields_in_order_and_labels_of_the_pack(language: str) -> None:
    intents = packs.read(packs.shipped()).intents
    for mail in short_mails(language):
        assert tuple(mail) == ("id", "lang", "body", "intent", "reasons", "group"), mail["id"]
        assert mail["lang"] == language, mail["id"]
        assert mail["intent"] in intents, mail["id"]
        assert set(mail["reasons"]) <= set(REASONS), mail["id"]


@each_language
def test_short_mails_are_spread_over_all_intents(language: str) -> None:
    counts = Counter(mail["intent"] for mail in short_mails(language))
    assert min(counts.values()) > 0.7 * len(short_mails(language)) / len(packs.read(packs.shipped()).intents)


@each_language
def test_short_mails_hold_no_national_id_and_no_address_of_anybody(language: str) -> None:
    for mail in short_mails(language):
        assert not find(mail["body"]), mail["id"]
        assert all(
            (mail_domain or web_domain).lower().endswith(".example")
            for mail_domain, web_domain in ADDRESS.findall(mail["body"])
        ), mail["id"]


@each_language
def test_short_mails_are_only_learnt_from_and_not_repeated(language: str) -> None:
    groups = [mail["group"] for mail in short_mails(language)]
    assert len(set(groups)) == len(groups)
    assert {corpus.part_of(group) for group in groups} == {"learn"}


# ---------------------------------------------------------------- all languages


def test_no_group_stands_in_two_languages() -> None:
    groups = [{mail["group"] for mail in mails(language)} for language in LANGUAGES]
    assert not any(a & b for a, b in combinations(groups, 2))
