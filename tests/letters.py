"""Mail as residents send it, as bytes, for tests that take the real way in."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP
from itertools import count

_numbers = count(1)

PROVEN = "mx1.norrvik.example; dmarc=pass header.from=mail.example"
INVOICE_QUESTION = (
    "Hej!\n\nJag fick faktura 2026-118342 på 4 386 kr. Kan jag dela upp betalningen, och när ska den vara betald?\n\n"
    "Vänliga hälsningar\nMaj-Lis Ekvall"
)


def letter(
    body: str = INVOICE_QUESTION,
    *,
    subject: str = "Faktura 2026-118342",
    sender: str = "Maj-Lis Ekvall <majlis.ekvall@mail.example>",
    proven: bool = True,
    message_id: str | None = None,
    **headers: str,
) -> bytes:
    """One mail. `proven`: our own server's DMARC verdict stands on top. Header names with `_` for `-`."""
    mail = EmailMessage(policy=SMTP)
    if proven:
        mail["Authentication-Results"] = PROVEN
    mail["From"] = sender
    mail["To"] = "kundcenter@norrvik.example"
    mail["Subject"] = subject
    mail["Date"] = "Fri, 20 Nov 2026 08:12:00 +0100"
    mail["Message-ID"] = message_id or f"<letter.{next(_numbers)}@mail.example>"
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(body)
    return bytes(mail)
