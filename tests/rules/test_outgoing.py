from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime

import pytest

from rules.drafting import reply_subject
from rules.outgoing import message_id, mime, thread_headers
from rules.values import Recipients

REPLY = {
    "sender": "kundcenter@norrvik.example",
    "sender_name": "Norrvik",
    "recipients": Recipients(("åsa@post.example".replace("å", "a"),)),
    "subject": "Re: Faktura – kan jag dela upp den?",
    "body": "Hej!\n\nBeloppet är 4 386 kronor.\n",
    "language": "sv",
    "message_id": "<kp.1@norrvik.example>",
    "thread": {"In-Reply-To": "<a@post.example>", "References": "<a@post.example>"},
    "date": datetime(2026, 11, 21, 9, 0, tzinfo=UTC),
}


def parsed(raw: bytes) -> email.message.EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)  # type: ignore[return-value]


def test_a_reply_stands_in_the_thread_of_the_mail_it_answers() -> None:
    reply = parsed(mime(**REPLY))  # type: ignore[arg-type]
    assert reply["In-Reply-To"] == "<a@post.example>"
    assert reply["Message-ID"] == "<kp.1@norrvik.example>"
    assert reply["Content-Language"] == "sv"
    assert reply.get_content().replace("\r\n", "\n") == REPLY["body"]


def test_bcc_never_leaves_in_headers() -> None:
    copied = {**REPLY, "recipients": Recipients(("a@post.example",), ("b@post.example",))}
    for changes in (REPLY, copied, {**REPLY, "quotation": "Anna skrev:\n> Bcc: eve@mail.example"}):
        head = mime(**changes).partition(b"\r\n\r\n")[0]  # type: ignore[arg-type]
        assert b"bcc" not in head.lower()


def test_the_mail_that_is_answered_stands_quoted_below_the_body() -> None:
    quoted = "Anna Berg skrev den 4 november 2026 kl. 10.12:\n> När töms kärlet på Ekvägen?\n>\n> " + "ord " * 300
    reply = parsed(mime(**{**REPLY, "quotation": quoted}))  # type: ignore[arg-type]
    assert reply.get_content().replace("\r\n", "\n") == f"Hej!\n\nBeloppet är 4 386 kronor.\n\n{quoted}\n"
    assert (reply.get_content_type(), reply.get_content_charset()) == ("text/plain", "utf-8")
    assert reply["Content-Transfer-Encoding"] == "quoted-printable"
    assert mime(**REPLY) == mime(**REPLY, quotation="")  # type: ignore[arg-type]


def test_the_same_reply_is_the_same_bytes() -> None:
    assert mime(**REPLY) == mime(**REPLY)  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["subject", "sender_name", "message_id", "language"])
def test_a_line_break_cannot_smuggle_in_a_header(part: str) -> None:
    try:
        raw = mime(**{**REPLY, part: "x\r\nBcc: eve@mail.example"})  # type: ignore[arg-type]
    except ValueError:
        return
    assert parsed(raw)["Bcc"] is None


def test_the_message_id_follows_from_the_content_alone() -> None:
    assert message_id("ab", "NV-1", "norrvik.example") == message_id("ab", "NV-1", "norrvik.example")
    assert message_id("ab", "NV-1", "norrvik.example") != message_id("ac", "NV-1", "norrvik.example")
    assert message_id("ab", "NV-1", "norrvik.example") != message_id("ab", "NV-2", "norrvik.example")


def test_references_grow_by_the_mail_answered_and_stay_bounded() -> None:
    headers = thread_headers("<z@x.example>", tuple(f"<{n}@x.example>" for n in range(200)))
    chain = headers["References"].split()
    assert chain[-1] == "<z@x.example>"
    assert len(chain) == 20


OUTLOOK_ID = "<AM0PR04MB43213C1B2D4E5F60718293A4B5C6D@AM0PR04MB4321.eurprd04.prod.outlook.example>"


def test_a_long_message_id_of_the_mail_answered_stays_as_it_is() -> None:
    """Encoded as a word, which EmailMessage does with ids longer than a line, it would match no mail client's thread."""
    raw = mime(**{**REPLY, "thread": thread_headers(OUTLOOK_ID, (OUTLOOK_ID.replace("AM0", "BM0"),))})  # type: ignore[arg-type]
    assert f"In-Reply-To: {OUTLOOK_ID}\r\n".encode() in raw
    assert parsed(raw)["References"].split()[-1] == OUTLOOK_ID


SMUGGLED = "=?utf-8?q?=0D=0ABcc=3A_eve=40mail=2Eexample=0D=0A=0D=0ANew_body?="


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": f"Re: {SMUGGLED}"},
        {"thread": thread_headers(f"<{SMUGGLED}@mail.example>", (f"<{SMUGGLED}@mail.example>",))},
        {"thread": {"In-Reply-To": f"<a>{SMUGGLED}", "References": SMUGGLED}},
    ],
)
def test_an_encoded_word_in_the_mail_answered_writes_no_header_of_ours(changes: dict[str, object]) -> None:
    raw = mime(**{**REPLY, **changes})  # type: ignore[arg-type]
    assert b"\r\nBcc" not in raw
    assert parsed(raw)["Bcc"] is None
    assert parsed(raw).get_content().replace("\r\n", "\n") == REPLY["body"]


@pytest.mark.parametrize(
    "message_id_of_mail", ["<å@mail.example>", "<a b@mail.example>", "<a\r\nb@mail.example>", "\0"]
)
def test_what_is_no_message_id_is_no_thread(message_id_of_mail: str) -> None:
    assert thread_headers(message_id_of_mail, ()) == {}


@pytest.mark.parametrize(
    "address", ["åsa@mail.example", "asa@exämple.example", "a..b@mail.example", "a\r\nb@x.example"]
)
def test_an_address_that_no_header_can_hold_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        mime(**{**REPLY, "recipients": Recipients((address,))})  # type: ignore[arg-type]
    assert address not in str(refused.value)


@pytest.mark.parametrize("subject", ["Re: a\0b", "Re: a\u2028b", "Re: \ud800", "Re: \x1b[31m"])
def test_a_subject_with_control_characters_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="Subject"):
        mime(**{**REPLY, "subject": subject})  # type: ignore[arg-type]


@pytest.mark.parametrize("subject", ["Re: " + "å" * 190, "Re: avgift" + " avgift" * 26, "Re: 👩‍👩‍👧 frågar"])
def test_a_subject_arrives_as_it_was_written(subject: str) -> None:
    raw = mime(**{**REPLY, "subject": subject})  # type: ignore[arg-type]
    assert parsed(raw)["Subject"] == subject
    assert all(len(line) <= 78 for line in raw.partition(b"\r\n\r\n")[0].split(b"\r\n"))


def test_a_national_id_in_the_subject_does_not_travel_on() -> None:
    assert reply_subject("Mitt personnummer 19900101-0017") == "Re: Mitt personnummer 19900101-****"


def test_a_mail_without_a_message_id_is_answered_outside_any_thread() -> None:
    assert thread_headers(None, ()) == {}


@pytest.mark.parametrize(
    ("subject", "reply"),
    [
        ("Faktura", "Re: Faktura"),
        ("SV: VS: Re: Faktura", "Re: Faktura"),
        ("VL: Lasku", "Re: Lasku"),
        ("VS: Vedr. faktura", "Re: Vedr. faktura"),
        ("RE : Re[2]: AW: Faktura", "Re: Faktura"),
        ("Antw: Svar: FW: Fwd: VB: sv:Faktura", "Re: Faktura"),
        ("Ang: bygglov", "Re: Ang: bygglov"),
        ("Revision: taxa", "Re: Revision: taxa"),
        ("", "Re:"),
        ("Faktura\r\n\tBcc: eve@mail.example", "Re: Faktura Bcc: eve@mail.example"),
    ],
)
def test_a_subject_gets_one_prefix_whatever_clients_piled_up(subject: str, reply: str) -> None:
    assert reply_subject(subject) == reply
