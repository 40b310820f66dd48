"""The MIME of a reply, made from the rows: the one that leaves, and the draft that staff find in their own mailbox."""

from __future__ import annotations

import hashlib
from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils import timezone

from rules import outgoing, quotation
from rules.values import Recipients
from worker import intake
from worker.models import Draft, Mail
from worker.municipality import configured

NEVER_QUOTED = frozenset({"threat_or_selfharm", "protected_identity"})
"""Somebody else may read the resident's mail over their shoulder."""


def recipients_of(draft: Draft) -> Recipients:
    return Recipients(to=tuple(draft.recipients["to"]), cc=tuple(draft.recipients["cc"]))


def left_out(mail: Mail, draft: Draft) -> tuple[str, ...]:
    """Whom the mail also went to and the reply does not: it may tell what is for the resident alone."""
    message, to = intake.message_of(mail), recipients_of(draft)
    known = {address.casefold() for address in (*to.to, *to.cc, mail.mailbox.address, *configured().own_addresses())}
    also = {box.address.casefold(): box.address for box in (*message.to, *message.cc) if box.address}
    return tuple(address for folded, address in also.items() if folded not in known)


def thread_of(mail: Mail) -> dict[str, str]:
    message = intake.message_of(mail)
    return outgoing.thread_headers(message.message_id, message.references)


def quotation_of(mail: Mail, draft: Draft) -> str:
    """What the resident wrote, to stand below the reply. Words of somebody who is not proven to be who they say go to
    nobody: a forged sender could have us mail them to a stranger."""
    town = configured()
    entry = town.mailboxes.get(mail.mailbox.name)
    wanted = entry is not None and entry.quote and mail.sender_verified
    if not wanted or NEVER_QUOTED & set(mail.reasons):
        return ""
    return quotation.of(intake.message_of(mail), draft.language, ZoneInfo(town.time_zone))


def mime_of(mail: Mail, draft: Draft, message_id: str, date: datetime) -> bytes:
    """Raises ValueError when the address, the subject or the text cannot be written as a mail."""
    return outgoing.mime(
        sender=mail.mailbox.address,
        sender_name=configured().name,
        recipients=recipients_of(draft),
        subject=draft.subject,
        body=draft.body,
        quotation=quotation_of(mail, draft),
        language=draft.language,
        message_id=message_id,
        thread=thread_of(mail),
        date=date,
    )


def message_id_of(mail: Mail, digest: str) -> str:
    domain = mail.mailbox.address.partition("@")[2]
    return outgoing.message_id(digest, f"{mail.case.number}/{mail.pk}", domain)


def draft_for_mailbox(mail: Mail, draft: Draft) -> bytes:
    """The draft as staff find it in Drafts. Its Message-ID is another than the reply's, so that nobody takes it for a
    reply that has left; each version has one of its own."""
    digest = hashlib.sha256(f"draft {draft.version}".encode()).hexdigest()
    return mime_of(mail, draft, message_id_of(mail, digest), timezone.now())
