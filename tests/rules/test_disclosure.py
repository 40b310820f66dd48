"""The disclosure gate as a table: field class against proof of sender (TRUST: disclosure gate)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rules.disclosure import Proof, withheld_because
from rules.facts import through_the_gate
from rules.pack import RulePack
from rules.values import FieldClass, Sender, SenderMethod
from worker import packs

ON_FILE = Proof(authenticated=True, on_file=True, suspicious=False)
NOT_ON_FILE = Proof(authenticated=True, on_file=False, suspicious=False)
UNPROVEN = Proof(authenticated=False, on_file=True, suspicious=False)
SUSPICIOUS = Proof(authenticated=True, on_file=True, suspicious=True)
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
PROVEN_SENDER = Sender(True, SenderMethod.DMARC, "DMARC passed.")


@pytest.fixture(scope="module")
def pack() -> RulePack:
    return packs.read(packs.shipped())


@pytest.mark.parametrize(
    ("field_class", "on_file", "not_on_file", "unproven", "suspicious"),
    [
        (FieldClass.PUBLIC, True, True, True, True),
        (FieldClass.ABOUT_SENDER, True, False, False, False),
        (FieldClass.ABOUT_OTHER, False, False, False, False),
        (FieldClass.PROTECTED, False, False, False, False),
    ],
)
def test_who_may_be_told_what(
    field_class: FieldClass, on_file: bool, not_on_file: bool, unproven: bool, suspicious: bool
) -> None:
    told = [withheld_because(field_class, proof) is None for proof in (ON_FILE, NOT_ON_FILE, UNPROVEN, SUSPICIOUS)]
    assert told == [on_file, not_on_file, unproven, suspicious]


INVOICE = {
    "invoice_no": "2026-118342",
    "amount": "4386.00 SEK",
    "due_date": "2026-12-15",
    "status": "unpaid",
    "email": "majlis.ekvall@mail.example",
    "customer": "Maj-Lis Ekvall",
    "bank_account": "unknown to the pack",
}


def seen_by(pack: RulePack, address: str, sender: Sender = PROVEN_SENDER) -> set[str]:
    return set(through_the_gate(pack, "invoices", "2026-118342", INVOICE, NOW, sender, address).told)


def test_the_person_on_file_sees_the_listed_fields_and_no_others(pack: RulePack) -> None:
    assert seen_by(pack, "Majlis.Ekvall@mail.example") == {"invoice_no", "amount", "due_date", "status"}


def test_anybody_else_sees_nothing_of_it(pack: RulePack) -> None:
    assert seen_by(pack, "neighbour@mail.example") == set()
    unproven = Sender(False, SenderMethod.SPF, "SPF alone proves nothing.")
    assert seen_by(pack, "majlis.ekvall@mail.example", unproven) == set()


def test_a_record_without_an_address_on_file_is_told_to_nobody(pack: RulePack) -> None:
    record = {**INVOICE, "email": None}
    gated = through_the_gate(pack, "invoices", "2026-118342", record, NOW, PROVEN_SENDER, "")
    assert not gated.told


def test_a_column_or_register_that_the_pack_does_not_know_is_protected(pack: RulePack) -> None:
    gated = through_the_gate(pack, "invoices", "2026-118342", INVOICE, NOW, PROVEN_SENDER, "majlis.ekvall@mail.example")
    classes = {field.field: field.field_class for field in gated.withheld}
    assert classes["bank_account"] is FieldClass.PROTECTED
    stranger = through_the_gate(pack, "patients", "1", {"diagnosis": "x"}, NOW, PROVEN_SENDER, "a@mail.example")
    assert not stranger.told
    assert stranger.withheld[0].field_class is FieldClass.PROTECTED


def test_what_is_withheld_carries_no_value(pack: RulePack) -> None:
    gated = through_the_gate(pack, "invoices", "2026-118342", INVOICE, NOW, PROVEN_SENDER, "neighbour@mail.example")
    assert gated.withheld
    assert all("4386" not in repr(field) and "Ekvall" not in repr(field) for field in gated.withheld)


@pytest.mark.parametrize(
    ("writes", "on_file"),
    [
        ("x@straße.example", "x@strasse.example"),
        ("\u212aim@mail.example", "kim@mail.example"),
        ("ﬁa@mail.example", "fia@mail.example"),
        ("a.b@mail.example", "ab@mail.example"),
        ("ab+x@mail.example", "ab@mail.example"),
    ],
)
def test_an_address_that_only_looks_the_same_is_not_the_one_on_file(writes: str, on_file: str) -> None:
    assert not Proof.of(PROVEN_SENDER, writes, on_file).on_file


def test_capitals_make_no_other_address() -> None:
    assert Proof.of(PROVEN_SENDER, "Maj-Lis.Ekvall@Mail.example", " maj-lis.ekvall@mail.example").on_file


def test_braces_in_a_register_value_stay_text(pack: RulePack) -> None:
    fields = {"case_no": "{applicant}", "applicant": "Maj-Lis Ekvall"}
    record = through_the_gate(pack, "cases", "1", fields, NOW, PROVEN_SENDER, "a@mail.example")
    assert record.title == "Case {applicant}"
