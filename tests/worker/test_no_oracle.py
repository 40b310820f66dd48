"""No oracle (TRUST: disclosure gate): who may not see a record learns nothing, not even that it exists, from any word of
the draft, its subject, its recipients or what the policy asks for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from connectors.base import Answer, Record
from rules import message as mime
from rules.drafting import reply_to
from rules.look_ups import asks
from rules.values import LANGUAGES, Language, Message, Reply, Understanding
from tests.letters import letter
from tests.worker.conftest import INVOICE
from worker.lookup import Asked, gathered_from, registers_of
from worker.municipality import configured

NOW = datetime.now(UTC)
CASE = {
    "received_on": "2026-10-02",
    "decided_on": "2026-11-01",
    "decision_expected_by": "2026-12-18",
    "officer": "Norrvik",
    "applicant": "{unit}",
    "email": "owner@mail.example",
}
BILL = {"amount": "4386.00 SEK", "due_date": "2026-12-15", "paid_on": "2026-11-02", "email": "owner@mail.example"}
RECORDS = {
    "cases": [
        CASE | {"case_no": f"NV-{s}", "status": s} for s in ("received", "in_progress", "granted", "refused", "?")
    ],
    "invoices": [BILL | {"invoice_no": f"2026-{s}", "status": s} for s in ("unpaid", "paid", "cancelled")],
}
STRANGERS = {
    "proven, not on file": {"sender": "Eve <eve@mail.example>", "proven": True},
    "on file, not proven": {"sender": "Owner <owner@mail.example>", "proven": False},
    "neither": {"sender": "Eve <eve@mail.example>", "proven": False},
}


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("intent", ["building_permit", "invoice_fee", "complaint_appeal"])
def test_nothing_differs_whatever_the_register_holds(db: None, stranger: str, intent: str) -> None:
    town = configured()
    given: Any = STRANGERS[stranger]
    mail = mime.read(letter(**given), authserv_ids=["mx1.norrvik.example"], own_addresses=town.own_addresses())
    for language, reasons in product(LANGUAGES, ((), ("rights_decision",))):
        asked_about = {"case_no": ("NV-1",), "invoice_no": ("2026-1",)}
        understood = replace(
            INVOICE, language=Language(language, 0.9), intent=intent, reasons=reasons, entities=asked_about
        )
        nothing = drafted(mail, understood, {})
        assert nothing.body
        for register, records in RECORDS.items():
            for held in ([], *([record] for record in records), records):
                assert drafted(mail, understood, {register: held}) == nothing


def drafted(mail: Message, understood: Understanding, held: dict[str, list[dict[str, str]]]) -> Reply:
    """The reply when these registers hold just these records; without what only the reviewer sees."""
    pack, registers = configured().rule_pack(), registers_of(configured())
    asked = [
        Asked(ask, answer(ask.register, held.get(ask.register, [])) if ask.register in RECORDS else registers.ask(ask))
        for ask in asks(pack, understood.intent, understood.language.code, understood.entities, "eve@mail.example")
    ]
    reply = reply_to(pack, mail, understood, gathered_from(pack, mail, asked), NOW)
    return replace(reply, spans=(), withheld=())


def answer(register: str, records: list[dict[str, str]]) -> Answer:
    return Answer(register, "key", tuple(Record(str(n), record) for n, record in enumerate(records)), NOW)
