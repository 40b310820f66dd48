"""Colleagues, mailboxes and mail for the tests, made by the product's own code: a mail is stored from its bytes, the
registers are asked, and the reply is drafted. Only what the classifier says is given, so that no test rests on a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from itertools import count

from django.contrib.auth.models import Group, User
from django.utils import timezone

from connectors.base import Fetched
from rules.national_ids import find
from rules.values import Alternative, Language, ModelVersion, Understanding
from worker import intake, triage
from worker.lookup import gather, registers_of
from worker.models import Mail, Mailbox
from worker.municipality import configured

PASSWORD = "granbarr-vid-stigen"
MODEL = ModelVersion("given", "1", "0" * 64)
_numbers = count(1)


def mailbox(name: str = "kundcenter", *people: User) -> Mailbox:
    entry = configured().mailboxes[name]
    box, _ = Mailbox.objects.get_or_create(name=name, defaults={"address": entry.address, "mode": entry.mode})
    box.people.add(*people)
    return box


def person(name: str, *roles: str, full_name: str = "") -> User:
    first, _, last = full_name.partition(" ")
    user = User.objects.create_user(name, password=PASSWORD, first_name=first, last_name=last)
    user.groups.set([Group.objects.get_or_create(name=role)[0] for role in roles])
    return user


@dataclass(frozen=True)
class Written:
    """What a resident wrote. By default somebody whose invoice the register knows, and who is proven."""

    subject: str = "Faktura 2026-118342 för vatten – kan jag dela upp den?"
    body: str = (
        "Hej!\n\nJag fick faktura 2026-118342 på 4 386 kr för vatten. Kan jag dela upp betalningen på tre månader?\n\n"
        "Vänliga hälsningar\nMaj-Lis Ekvall"
    )
    sender: str = "Maj-Lis Ekvall <majlis.ekvall@mail.example>"
    proven: bool = True
    message_id: str = ""
    answers: str = ""
    html: str = ""
    attachments: Sequence[tuple[str, str, bytes]] = ()

    def as_bytes(self) -> bytes:
        mail = EmailMessage()
        if self.proven:
            mail["Authentication-Results"] = "mx1.solvik.example; dmarc=pass header.from=mail.example"
        mail["From"], mail["To"], mail["Subject"] = self.sender, "kundcenter@solvik.example", self.subject
        mail["Message-ID"] = self.message_id or f"<{next(_numbers)}@mail.example>"
        mail["Date"] = "Thu, 19 Nov 2026 08:12:00 +0100"
        if self.answers:
            mail["In-Reply-To"] = self.answers
        mail.set_content(self.body)
        if self.html:
            mail.add_alternative(self.html, subtype="html")
        for name, content_type, content in self.attachments:
            main, _, sub = content_type.partition("/")
            mail.add_attachment(content, maintype=main, subtype=sub, filename=name)
        return mail.as_bytes()


def stored(box: Mailbox, written: Written = Written(), *, age: timedelta = timedelta(minutes=40)) -> Mail:
    """Taken in and read, not yet understood."""
    received = timezone.now() - age
    mail = intake.store(box, Fetched(f"remote/{next(_numbers)}", written.as_bytes(), received, {}))
    assert mail is not None
    return mail


def understood(
    text: str,
    *,
    intent: str = "invoice_fee",
    confidence: float = 0.94,
    language: str = "sv",
    reasons: Sequence[str] = ("fee_amount",),
    abstained: bool = False,
    entities: dict[str, tuple[str, ...]] | None = None,
) -> Understanding:
    named = {"invoice_no": ("2026-118342",)} if entities is None else entities
    return Understanding(
        language=Language(language, 0.99),
        intent=intent,
        confidence=confidence,
        alternatives=(Alternative(intent, confidence), Alternative("water_sewer", 0.04)),
        abstained=abstained,
        secondary=(),
        reasons=tuple(reasons),
        entities=named,
        national_ids=find(text),
        model=MODEL,
        rules_fired=(),
    )


def mail(
    box: Mailbox,
    written: Written = Written(),
    *,
    age: timedelta = timedelta(minutes=40),
    **understanding: object,
) -> Mail:
    """As far as the machine brings it: drafted and waiting, restricted, or before a person."""
    row = stored(box, written, age=age)
    message = intake.message_of(row)
    pack = configured().rule_pack()
    understanding_ = understood(message.text, **understanding)  # type: ignore[arg-type]
    triage.remember_understanding(row, understanding_)
    gathered, asked = gather(pack, registers_of(configured()), message, understanding_)
    triage.finish(row, pack, message, understanding_, gathered, asked)
    row.save()
    return row


def aged(row: Mail, by: timedelta) -> None:
    """As if its facts and articles had been read so much earlier."""
    then: datetime = timezone.now() - by
    row.facts.update(read_at=then, rechecked_at=None)
    row.passages.update(read_at=then)
