"""Which mail is answered and which never, by headers and structure alone."""

from __future__ import annotations

import pytest

from rules.drafting import situation
from rules.loops import is_no_reply, is_robot
from rules.message import read
from rules.pack import RulePack
from rules.policy import decide
from rules.values import Language, MailKind, Message, ModelVersion, ReplyKind, Understanding
from worker import packs

OWN = ("info@kommun.example", "bygg@kommun.example")


def mail(*fields: str, sender: str = "Anna <anna@post.example>", body: str = "Hej") -> bytes:
    head = [f"From: {sender}"] if sender else []
    return "\r\n".join([*head, "Message-ID: <1@post.example>", *fields, "", body]).encode()


# (header, kind, reply_blocked_by)
SIGNS = [
    ("Auto-Submitted: auto-replied", MailKind.AUTO_REPLY, "auto_reply"),
    ("Auto-Submitted: Auto-Replied; owner-email=anna", MailKind.AUTO_REPLY, "auto_reply"),
    ("Auto-Submitted: auto-generated", MailKind.AUTO_REPLY, "auto_reply"),
    ("Auto-Submitted: auto-notified", MailKind.AUTO_REPLY, "auto_reply"),
    ("Auto-Submitted: no", MailKind.MAIL, None),
    ("Auto-Submitted: no (a person wrote)", MailKind.MAIL, None),
    ("X-Auto-Response-Suppress: All", MailKind.AUTO_REPLY, "auto_reply"),
    ("X-Auto-Response-Suppress: DR, OOF, AutoReply", MailKind.AUTO_REPLY, "auto_reply"),
    ("X-Auto-Response-Suppress: DR, RN, NRN", MailKind.MAIL, None),
    ("Precedence: auto_reply", MailKind.AUTO_REPLY, "auto_reply"),
    ("Precedence: bulk", MailKind.AUTO_REPLY, "auto_reply"),
    ("Precedence: junk", MailKind.AUTO_REPLY, "auto_reply"),
    ("Precedence: normal", MailKind.MAIL, None),
    ("Precedence: list", MailKind.LIST, "list"),
    ("X-Autoreply: yes", MailKind.AUTO_REPLY, "auto_reply"),
    ("X-Autoreply: no", MailKind.MAIL, None),
    ("X-Autorespond: Re: Hej", MailKind.AUTO_REPLY, "auto_reply"),
    ("X-FC-MachineGenerated: true", MailKind.AUTO_REPLY, "auto_reply"),
    ("X-POST-MessageClass: 9; Autoresponder", MailKind.AUTO_REPLY, "auto_reply"),
    ("X-OTRS-Loop: yes", MailKind.AUTO_REPLY, "auto_reply"),
    ("X-RT-Loop-Prevention: kommun", MailKind.AUTO_REPLY, "auto_reply"),
    ("X-FreeScout-Mail-Type: auto.reply", MailKind.AUTO_REPLY, "auto_reply"),
    ("X-FreeScout-Mail-Type: customer.message", MailKind.MAIL, None),
    ("List-Id: Nytt <nytt.foretag.example>", MailKind.LIST, "list"),
    ("List-Unsubscribe: <mailto:av@foretag.example>", MailKind.LIST, "list"),
    ("List-Post: NO", MailKind.MAIL, None),
    ("Return-Path: <>", MailKind.MAIL, "null_sender"),
    ("Return-Path: <anna@post.example>", MailKind.MAIL, None),
    ("Disposition-Notification-To: anna@post.example", MailKind.MAIL, None),
    ("Content-Type: message/disposition-notification", MailKind.RECEIPT, "read_receipt"),
    ("Content-Type: multipart/report; report-type=delivery-status; boundary=b", MailKind.BOUNCE, "bounce"),
    (
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b",
        MailKind.RECEIPT,
        "read_receipt",
    ),
    ("Content-Type: multipart/report; report-type=feedback-report; boundary=b", MailKind.MAIL, None),
    ("Content-Type: text/calendar; method=REQUEST", MailKind.CALENDAR, None),
    ("Content-Type: application/pkcs7-mime; smime-type=enveloped-data", MailKind.ENCRYPTED, None),
]


@pytest.mark.parametrize(("field", "kind", "blocked_by"), SIGNS)
def test_header_decides_kind_and_reply(field: str, kind: MailKind, blocked_by: str | None) -> None:
    message = read(mail(field))
    assert (message.kind, message.reply_blocked_by) == (kind, blocked_by)
    assert message.reply_allowed is (blocked_by is None)
    assert message.auto_submitted is (kind in (MailKind.AUTO_REPLY, MailKind.BOUNCE, MailKind.RECEIPT))


@pytest.fixture(scope="module")
def pack() -> RulePack:
    return packs.read(packs.shipped())


def replies_to(pack: RulePack, message: Message) -> set[ReplyKind]:
    """Whatever a mail is understood to be about, and however sure that is."""
    ways = ((intent, reasons) for intent in pack.intents for reasons in ((), ("complaint",), ("threat_or_selfharm",)))
    return {
        decide(pack, situation(message, understood(intent, abstained), reasons, ())).reply
        for intent, reasons in ways
        for abstained in (False, True)
    }


def understood(intent: str, abstained: bool) -> Understanding:
    return Understanding(Language("sv", 0.9), intent, 0.9, (), abstained, (), (), {}, (), ModelVersion("", "", ""), ())


@pytest.mark.parametrize("field", [field for field, _, blocked_by in SIGNS if blocked_by])
def test_standard_marks_stop_every_reply_path(pack: RulePack, field: str) -> None:
    for more in (
        (),
        ("Reply-To: anna@annan.example",),
        ("Subject: SV: Faktura", "In-Reply-To: <kp.1@norrvik.example>"),
    ):
        message = read(mail(field, *more))
        assert not message.reply_allowed
        assert message.needs_nobody
        assert replies_to(pack, message) == {ReplyKind.NONE}


REJECTIONS = [
    ("Auto-Submitted: auto-replied", "Subject: Din uppdatering kunde inte behandlas"),
    ("Auto-Submitted: auto-generated", "Subject: Your update couldn't be processed"),
    ("Auto-Submitted: rejected", "Subject: Re: Faktura"),
    ("X-Auto-Response-Suppress: All", "Subject: Avvisat: Faktura"),
    ("Precedence: bulk", "Subject: Your message to the list awaits moderator approval"),
    ("Precedence: auto_reply", "Subject: Viestiäsi ei voitu käsitellä"),
    ("X-OTRS-Loop: yes", "Subject: Ärendet är stängt"),
    (
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b",
        "Subject: Automatically rejected mail",
    ),
]


@pytest.mark.parametrize("fields", REJECTIONS)
def test_rejection_notice_counts_as_auto_reply(fields: tuple[str, ...]) -> None:
    message = read(mail(*fields, sender="Ärendesystemet <support@annan.example>"))
    assert message.kind in (MailKind.AUTO_REPLY, MailKind.RECEIPT)
    assert message.auto_submitted
    assert not message.reply_allowed


def bounce(levels: int) -> bytes:
    """A bounce that holds a bounce that holds a bounce, as two servers send them to each other."""
    raw = mail("Subject: SV: Faktura", sender="info@kommun.example")
    for _ in range(levels):
        raw = (
            b"From: Mail Delivery System <MAILER-DAEMON@mx.example>\r\nReturn-Path: <>\r\nSubject: Undeliverable: Faktura\r\n"
            b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nUndeliverable\r\n"
            b"--b\r\nContent-Type: message/delivery-status\r\n\r\nStatus: 5.1.1\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
            + raw
            + b"\r\n--b--\r\n"
        )
    return raw


BOUNCES = {
    "as RFC 3464 has it": bounce(1),
    "thirty deep": bounce(30),
    "in the server's own words": mail("Return-Path: <>", sender="Mailer-Daemon@mx.example"),
    "without a null sender": mail("Subject: Returned mail", sender="MAILER-DAEMON@mx.example"),
    "by a postmaster": mail("Return-Path: <>", "X-Failed-Recipients: a@b.example", sender="postmaster@mx.example"),
    "from our own address": mail("Return-Path: <>", "X-Failed-Recipients: a@b.example", sender=OWN[0]),
    "with an answer address": mail(
        "Content-Type: message/delivery-status", "Reply-To: anna@post.example", sender="anna@post.example"
    ),
}


@pytest.mark.parametrize("raw", BOUNCES.values(), ids=BOUNCES)
def test_bounce_never_creates_a_case_or_a_notice(pack: RulePack, raw: bytes) -> None:
    message = read(raw, own_addresses=OWN)
    assert (message.kind, message.reply_blocked_by) == (MailKind.BOUNCE, "bounce")
    assert message.needs_nobody
    assert replies_to(pack, message) == {ReplyKind.NONE}


SUBJECTS = [
    ("Automatiskt svar: Soptunnan", True),
    ("Frånvaromeddelande: Anna", True),
    ("Automaattinen vastaus: Jäteastia", True),
    ("Poissaoloilmoitus: Matti", True),
    ("Automatisk svar: Søppel", True),
    ("Fråværsmelding: Kari", True),
    ("Autosvar: Affald", True),
    ("Automatic reply: Bin", True),
    ("Out of Office: Bin", True),
    ("SV: Automatiskt svar: Soptunnan", False),
    ("Automatiskt svar fungerar inte", False),
    ("Out of office hours?", False),
    ("Autosvar på er sida: fel", False),
]


@pytest.mark.parametrize(("subject", "automatic"), SUBJECTS)
def test_exchange_marks_automatic_replies_in_the_subject(subject: str, automatic: bool) -> None:
    assert (read(mail(f"Subject: {subject}")).kind is MailKind.AUTO_REPLY) is automatic


SENDERS = [
    ("anna@post.example", None),
    ("noreply@post.example", "no_reply_address"),
    ("No-Reply@post.example", "no_reply_address"),
    ("do.not.reply@post.example", "no_reply_address"),
    ("noreply-faktura@post.example", "no_reply_address"),
    ("noreply+4711@post.example", "no_reply_address"),
    ("faktura.no_reply@post.example", "no_reply_address"),
    ("svara-inte@post.example", "no_reply_address"),
    ("svaraej@post.example", "no_reply_address"),
    ("ei-vastaanotto@post.example", "no_reply_address"),
    ("ala-vastaa@post.example", "no_reply_address"),
    ("ikke-svar@post.example", "no_reply_address"),
    ("ikkje-svar@post.example", "no_reply_address"),
    ("postmaster@post.example", "no_reply_address"),
    ("MAILER-DAEMON@post.example", "bounce"),
    ("Info@Kommun.example", "own_address"),
    ("noreply.anna", "no_sender"),
    ("", "no_sender"),
    ("undisclosed-recipients:;", "no_sender"),
    ("reply@post.example", None),
    ("nora.reply@post.example", None),
    ("nobel@post.example", None),
    ("eino@post.example", None),
]


@pytest.mark.parametrize(("sender", "blocked_by"), SENDERS)
def test_sender_address_decides_the_reply(sender: str, blocked_by: str | None) -> None:
    assert read(mail(sender=sender), own_addresses=OWN).reply_blocked_by == blocked_by


def test_reply_goes_to_reply_to_so_its_address_decides() -> None:
    assert read(mail("Reply-To: anna@post.example", sender="no-reply@form.example")).reply_allowed
    assert read(mail("Reply-To: no-reply@form.example")).reply_blocked_by == "no_reply_address"
    assert read(mail("Reply-To: bygg@kommun.example"), own_addresses=OWN).reply_blocked_by == "own_address"


def test_our_own_address_is_never_answered_even_with_another_reply_to() -> None:
    raw = mail("Reply-To: anna@post.example", sender="info@kommun.example")
    assert read(raw, own_addresses=OWN).reply_blocked_by == "own_address"


def test_machine_made_list_mail_is_a_list_and_machine_made() -> None:
    message = read(mail("List-Id: <x.foretag.example>", "Auto-Submitted: auto-generated"))
    assert (message.kind, message.auto_submitted) == (MailKind.LIST, True)


def test_words_in_the_text_decide_nothing() -> None:
    body = "Auto-Submitted: auto-replied\r\nList-Id: <x.y>\r\nThis is an automatic reply, do not reply."
    assert read(mail("Subject: Hej", body=body)).reply_allowed


def test_an_inbox_that_is_a_group_does_not_make_its_residents_a_list() -> None:
    fields = ("List-Id: <info.kommun.example>", "Precedence: list", "List-Unsubscribe: <mailto:av@kommun.example>")
    assert read(mail(*fields), own_addresses=OWN).kind is MailKind.MAIL
    assert read(mail(*fields), own_addresses=("annan@kommun.example",)).kind is MailKind.LIST


@pytest.mark.parametrize("address", ["MAILER-DAEMON@x.example", "postmaster@x.example", "mail.daemon@x.example"])
def test_robots_are_no_reply_addresses(address: str) -> None:
    assert is_robot(address)
    assert is_no_reply(address)
