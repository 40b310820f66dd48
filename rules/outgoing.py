"""The MIME of a reply, made once and fixed before the first attempt to send it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from rules.values import Recipients

MOST_REFERENCES = 20
"""RFC 5322 sets no limit; mail servers cut header lines near 1,000 characters, so the oldest are left out."""


def message_id(content_hash: str, attempt_salt: str, domain: str) -> str:
    """The same approved content always gets the same Message-ID, so that Sent can be asked whether it has left."""
    digest = hashlib.sha256(f"{attempt_salt}\n{content_hash}".encode()).hexdigest()
    return f"<kp.{digest[:32]}@{domain}>"


def thread_headers(answered_id: str | None, references: tuple[str, ...]) -> dict[str, str]:
    """In-Reply-To and References of a reply (RFC 5322 section 3.6.4); empty when the mail has no Message-ID."""
    if not answered_id:
        return {}
    chain = [*[r for r in references if r != answered_id], answered_id]
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
) -> bytes:
    """The finished reply. Raises ValueError when a header would not hold what it is given (a line break, say)."""
    reply = EmailMessage(policy=SMTP)
    reply["From"] = Address(display_name=sender_name, addr_spec=sender)
    reply["To"] = tuple(Address(addr_spec=one) for one in recipients.to)
    if recipients.cc:
        reply["Cc"] = tuple(Address(addr_spec=one) for one in recipients.cc)
    reply["Subject"] = subject
    reply["Date"] = format_datetime(date)
    reply["Message-ID"] = message_id
    for name, value in thread.items():
        reply[name] = value
    reply.set_content(body, subtype="plain", charset="utf-8", cte="quoted-printable")
    reply["Content-Language"] = language
    return bytes(reply)
