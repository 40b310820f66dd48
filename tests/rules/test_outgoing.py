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


def test_nobody_is_copied_in_secret() -> None:
    assert b"bcc" not in mime(**REPLY).lower()  # type: ignore[arg-type]


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


def test_a_mail_without_a_message_id_is_answered_outside_any_thread() -> None:
    assert thread_headers(None, ()) == {}


@pytest.mark.parametrize(
    ("subject", "reply"),
    [
        ("Faktura", "Re: Faktura"),
        ("SV: VS: Re: Faktura", "Re: Faktura"),
        ("VL: Lasku", "Re: Lasku"),
        ("", "Re:"),
        ("Faktura\r\n\tBcc: eve@mail.example", "Re: Faktura Bcc: eve@mail.example"),
    ],
)
def test_a_subject_gets_one_prefix_whatever_clients_piled_up(subject: str, reply: str) -> None:
    assert reply_subject(subject) == reply
