"""The MIME of a reply, made once and fixed before the first attempt to send it."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from rules.values import Recipients

MOST_REFERENCES = 20
"""RFC 5322 sets no limit; mail servers cut header lines near 1,000 characters, so the oldest are left out."""

_AS_WRITTEN = SMTP.clone(refold_source="none")
_MESSAGE_ID = re.compile(r"[!-~]{1,500}")
_NO_HEADER_TEXT = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


def message_id(content_hash: str, attempt_salt: str, domain: str) -> str:
    """The same approved content always gets the same Message-ID, so that Sent can be asked whether it has left."""
    digest = hashlib.sha256(f"{attempt_salt}\n{content_hash}".encode()).hexdigest()
    return f"<kp.{digest[:32]}@{domain}>"


def thread_headers(answered_id: str | None, references: tuple[str, ...]) -> dict[str, str]:
    """In-Reply-To and References of a reply (RFC 5322 section 3.6.4); empty when the mail has no usable Message-ID."""
    if not answered_id or not _MESSAGE_ID.fullmatch(answered_id):
        return {}
    chain = [*[r for r in references if r != answered_id and _MESSAGE_ID.fullmatch(r)], answered_id]
    return {"In-Reply-To": answered_id, "References": " ".join(chain[-MOST_REFERENCES:])}


def mime(
    *,
    sender: str,
    sender_name: str,
    recipients: Recipients,
    subject: str,
    body: str,
    language: str,
    message_id: str,
    thread: dict[str, str],
    date: datetime,
    quotation: str = "",
) -> bytes:
    """The finished reply, its body above what it answers. Raises ValueError when a header would not hold what it is
    given (a line break, say)."""
    if not all(address.isascii() for address in (*recipients.to, *recipients.cc)):
        raise ValueError("a recipient's address is not plain ASCII")
    reply = EmailMessage(policy=_AS_WRITTEN)
    reply["From"] = Address(display_name=sender_name, addr_spec=sender)
    reply["To"] = tuple(Address(addr_spec=one) for one in recipients.to)
    if recipients.cc:
        reply["Cc"] = tuple(Address(addr_spec=one) for one in recipients.cc)
    _write(reply, "Subject", _encoded(subject))
    reply["Date"] = format_datetime(date)
    reply["Message-ID"] = message_id
    for name, value in thread.items():
        _write(reply, name, value.replace(" ", "\r\n "))
    text = f"{body.rstrip()}\n\n{quotation}\n" if quotation else body
    reply.set_content(text, subtype="plain", charset="utf-8", cte="quoted-printable")
    reply["Content-Language"] = language
    return bytes(reply)


def _write(reply: EmailMessage, name: str, value: str) -> None:
    """As it stands. EmailMessage would decode what looks like an encoded word, line breaks and all, into headers of the
    sender's choosing, and it encodes Message-IDs longer than a line, which breaks the thread."""
    if _NO_HEADER_TEXT.search(value.replace("\r\n ", " ")):
        raise ValueError(f"{name} holds a line break or a control character")
    reply.set_raw(name, value)


def _encoded(subject: str) -> str:
    if _NO_HEADER_TEXT.search(subject):
        raise ValueError("Subject holds a line break or a control character")
    charset = "us-ascii" if subject.isascii() and "=?" not in subject else "utf-8"
    return Header(subject, charset, header_name="Subject").encode(linesep="\r\n")
