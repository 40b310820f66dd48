"""Who must look: the shipped pack's table, asked with values."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.pack import RulePack
from rules.policy import Situation, decide
from rules.values import Kind, ReplyKind, Sender, SenderMethod
from worker import packs

PROVEN = Sender(True, SenderMethod.DMARC, "DMARC passed at mx1.norrvik.example.")
UNPROVEN = Sender(False, SenderMethod.NONE, "No result of our own mail server.")
FALSE = Sender(False, SenderMethod.NONE, "Reply-To leads elsewhere.", ("reply-to elsewhere",))


@pytest.fixture(scope="module")
def pack() -> RulePack:
    return packs.read(packs.shipped())


def situation(**given: object) -> Situation:
    plain = {"intent": "waste_collection", "reasons": (), "language": "sv", "sender": PROVEN}
    return Situation(**{**plain, **given})  # type: ignore[arg-type]


def test_a_plain_question_gets_a_draft_that_one_person_approves(pack: RulePack) -> None:
    ruling = decide(pack, situation())
    assert ruling.reply is ReplyKind.DRAFT
    assert (ruling.approval.needed, ruling.approval.people, ruling.approval.queue) == (True, 1, "reviewers")


@pytest.mark.parametrize(
    ("given", "reply", "queue"),
    [
        ({"reply_blocked": True}, "none", "reviewers"),
        ({"reasons": ["threat_or_selfharm"]}, "person", "restricted"),
        ({"reasons": ["protected_identity"]}, "person", "restricted"),
        ({"sender": FALSE}, "person", "reviewers"),
        ({"language": "other"}, "person", "reviewers"),
        ({"abstained": True}, "person", "reviewers"),
        ({"unreadable": True}, "person", "reviewers"),
        ({"intent": "not_resident_mail"}, "person", "reviewers"),
        ({"reasons": ["rights_decision"]}, "draft", "senior"),
        ({"reasons": ["data_subject_request"]}, "draft", "registrar"),
        ({"reasons": ["fee_amount"]}, "draft", "reviewers"),
    ],
)
def test_what_decides_whether_a_draft_is_made_and_who_sees_it(
    pack: RulePack, given: dict[str, object], reply: str, queue: str
) -> None:
    ruling = decide(pack, situation(**given))
    assert (ruling.reply.value, ruling.approval.queue) == (reply, queue)


def test_a_stated_outcome_that_affects_rights_needs_two_people(pack: RulePack) -> None:
    permit = {"intent": "building_permit", "reasons": ["rights_decision"]}
    stated = decide(pack, situation(**permit, claims=[Kind.STATUS]))
    unstated = decide(pack, situation(**permit, claims=[Kind.LINK]))
    paid = decide(pack, situation(intent="invoice_fee", reasons=["rights_decision"], claims=[Kind.STATUS]))
    assert (stated.approval.people, unstated.approval.people, paid.approval.people) == (2, 1, 1)
    assert "status_compared" in stated.approval.ticks


def test_a_sum_in_the_draft_asks_for_a_tick_even_when_nobody_asked_about_money(pack: RulePack) -> None:
    assert "amount_compared" in decide(pack, situation(claims=[Kind.AMOUNT])).approval.ticks


def test_more_reasons_never_ask_for_less(pack: RulePack) -> None:
    """Adding a reason can add ticks and people, never take one away (TRUST: must-verify)."""
    from rules.pack import REASONS

    for first in REASONS:
        alone = decide(pack, situation(reasons=[first]))
        for second in REASONS:
            both = decide(pack, situation(reasons=[first, second]))
            assert set(alone.approval.ticks) <= set(both.approval.ticks)
            assert alone.approval.people <= both.approval.people
            assert not (alone.reply is ReplyKind.PERSON and both.reply is ReplyKind.DRAFT)


def test_every_row_has_a_sentence_and_the_table_ends_with_a_person(pack: RulePack) -> None:
    assert all(row.why.endswith(".") for row in pack.policy)
    assert not any(pack.policy[-1].when.model_dump(exclude_defaults=True))
    assert pack.policy[-1].then.people == 1


def test_a_folder_without_a_pack_is_said_in_one_sentence(tmp_path: Path) -> None:
    from rules.pack import PackError

    with pytest.raises(PackError, match=r"pack\.yaml is missing"):
        packs.read(tmp_path)
