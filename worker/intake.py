"""Takes mail in: bytes from a mailbox become a row, once, and the place where reading goes on moves with it."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from celery.exceptions import SoftTimeLimitExceeded
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from pydantic import TypeAdapter

from connectors import open_mailbox
from connectors.base import Fetched, Unreadable
from connectors.base import Mailbox as MailboxConnector
from connectors.errors import ConnectorError, Permanent
from rules import message as mime
from rules.lifecycle import MailState
from rules.values import Message
from worker import events
from worker.models import Case, Mail, Mailbox, Outgoing
from worker.municipality import Municipality, MunicipalityError, configured

log = logging.getLogger(__name__)

ACTOR = "process:intake"
MESSAGE = TypeAdapter(Message)
"""Writes a Message to JSON and reads it back."""
MAILBOX_LOCK = 0x6B70_0000
"""First key of the advisory lock under which one mailbox is read by one process at a time."""


@dataclass(slots=True)
class Taken:
    """What one reading of a mailbox brought."""

    received: int = 0
    known: int = 0
    unreadable: int = 0
    fault: str = ""
    mail_ids: list[int] | None = None


def connector_for(mailbox: Mailbox, municipality: Municipality) -> MailboxConnector:
    """Raises ConnectorError, also when the municipality file does not say how this mailbox is reached."""
    entry = municipality.mailboxes.get(mailbox.name)
    if entry is None:
        raise Permanent(f"The municipality file has no mailbox {mailbox.name}: add it, or run `kommunpost migrate`.")
    try:
        options = municipality.options_of(entry)
    except MunicipalityError as error:
        raise Permanent(f"The mailbox {mailbox.name} cannot be reached: {error}.") from None
    if entry.since and entry.kind != "folder":
        options["since"] = entry.since
    return open_mailbox(entry.kind, options)


def take_in(mailbox: Mailbox) -> Taken:
    """Read what is new in a mailbox. A fault of the mailbox is kept on its row for the screen; it is never raised."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s, %s)", [MAILBOX_LOCK, mailbox.pk])
        if not cursor.fetchone()[0]:
            return Taken(fault="Another process is reading this mailbox.")
        try:
            return _take_in(mailbox)
        finally:
            cursor.execute("select pg_advisory_unlock(%s, %s)", [MAILBOX_LOCK, mailbox.pk])


def _take_in(mailbox: Mailbox) -> Taken:
    taken = Taken(mail_ids=[])
    mailbox.refresh_from_db()
    try:
        for arrived in connector_for(mailbox, configured()).fetch_since(dict(mailbox.cursor)):
            _store_one(mailbox, arrived, taken)
    except ConnectorError as error:
        taken.fault = error.sentence
    except SoftTimeLimitExceeded:  # a long backlog: the next reading goes on behind the cursor
        pass
    except Exception as error:  # a mailbox that breaks in a way nobody foresaw must not stay silent
        log.exception("reading broke off", extra={"mailbox": mailbox.pk})
        taken.fault = f"Reading broke off ({type(error).__name__}); what was read is kept."
    _note_health(mailbox, taken.fault)
    return taken


def _store_one(mailbox: Mailbox, arrived: Fetched | Unreadable, taken: Taken) -> None:
    if isinstance(arrived, Unreadable):
        with transaction.atomic():
            events.record("mail unreadable", f"mailbox:{mailbox.pk}", actor=ACTOR, reason=arrived.sentence)
            _move_cursor(mailbox, arrived.cursor)
        taken.unreadable += 1
        return
    mail = store(mailbox, arrived)
    if mail is None:
        taken.known += 1
    else:
        taken.received += 1
        if taken.mail_ids is not None:
            taken.mail_ids.append(mail.pk)


def store(mailbox: Mailbox, arrived: Fetched) -> Mail | None:
    """One mail and the new cursor in one transaction. None when the mail is here already or is our own copy."""
    now = timezone.now()
    message = read(mailbox, arrived.raw)
    received_at = min(arrived.received_at or message.received_at or now, now)
    with transaction.atomic():
        _move_cursor(mailbox, arrived.cursor)
        if _is_ours(message) or _known(mailbox, arrived, message):
            return None
        try:
            with transaction.atomic():
                mail = Mail.objects.create(
                    mailbox=mailbox,
                    case=case_for(mailbox, message, received_at),
                    remote_id=arrived.remote_id[:500],
                    message_id=(message.message_id or "")[:998],
                    fingerprint=fingerprint(message),
                    sha256=message.sha256,
                    size=len(arrived.raw),
                    raw=arrived.raw,
                    received_at=received_at,
                    taken_in_at=now,
                    state=MailState.RECEIVED,
                    state_since=now,
                )
                remember(mail, message)
        except IntegrityError:
            return None  # another process stored the same mail in this second; the constraint decides
        return mail


def at_cursor(arrived: Fetched, cursor: dict[str, str | int]) -> Fetched:
    """The same mail, for a mailbox whose reading is to go on where it was."""
    return replace(arrived, cursor=cursor)


def read(mailbox: Mailbox, raw: bytes) -> Message:
    municipality = configured()
    entry = municipality.mailboxes.get(mailbox.name)
    ids = entry.authserv_ids if entry else ()
    return mime.read(raw, authserv_ids=ids, own_addresses=municipality.own_addresses())


def remember(mail: Mail, message: Message) -> None:
    """Keep what was read, so that the raw mail need not be opened again, and move on."""
    mail.message = MESSAGE.dump_python(message, mode="json")
    mail.sender_verified = message.sender.verified
    events.move(
        mail,
        MailState.READ,
        actor=ACTOR,
        action="mail received",
        sha256=mail.sha256,
        size=mail.size,
        case=mail.case.number,
        defects=len(message.defects),
    )
    mail.save()


def message_of(mail: Mail) -> Message:
    return MESSAGE.validate_python(mail.message)


def _is_ours(message: Message) -> bool:
    """A copy of a reply of our own that came back through the mailbox, not a resident's letter under our Message-ID."""
    from_us = message.sender_address.address.casefold() in configured().own_addresses()
    return from_us and bool(message.message_id) and Outgoing.objects.filter(message_id=message.message_id).exists()


def _known(mailbox: Mailbox, arrived: Fetched, message: Message) -> bool:
    mine = Mail.objects.filter(mailbox=mailbox)
    return (
        mine.filter(remote_id=arrived.remote_id[:500]).exists()
        or mine.filter(fingerprint=fingerprint(message)).exists()
    )


def fingerprint(message: Message) -> str:
    """Equal for the same Message-ID with the same content, however it was delivered; else different."""
    parts = [
        message.message_id or message.sha256,
        message.sender_address.address,
        message.subject,
        message.text,
        message.date.isoformat() if message.date else "",
        *(f"{a.name}/{a.content_type}/{a.size}" for a in message.attachments),
    ]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def case_for(mailbox: Mailbox, message: Message, opened_at: datetime) -> Case:
    """The case of the mail that this one answers, or a new one."""
    named = [mid for mid in (message.in_reply_to, *reversed(message.references)) if mid]
    if named:
        answered = Mail.objects.filter(mailbox=mailbox, message_id__in=named).order_by("-pk").first()
        sent = Outgoing.objects.filter(message_id__in=named, mail__mailbox=mailbox).order_by("-pk").first()
        if answered or sent:
            return answered.case if answered else sent.mail.case  # type: ignore[union-attr]
    return new_case(mailbox, opened_at)


def new_case(mailbox: Mailbox, opened_at: datetime) -> Case:
    with connection.cursor() as cursor:
        cursor.execute("select nextval('case_numbers')")
        (number,) = cursor.fetchone()
    town = configured()
    year = opened_at.astimezone(ZoneInfo(town.time_zone)).year
    return Case.objects.create(number=f"{town.case_prefix}-{year}-{number:05d}", mailbox=mailbox, opened_at=opened_at)


def _move_cursor(mailbox: Mailbox, cursor: dict[str, str | int]) -> None:
    mailbox.cursor = dict(cursor)
    mailbox.save(update_fields=["cursor"])


def _note_health(mailbox: Mailbox, fault: str) -> None:
    now = timezone.now()
    if fault and fault != mailbox.fault:
        events.record("mailbox fault", f"mailbox:{mailbox.pk}", actor=ACTOR, reason=fault)
    mailbox.fault_since = (mailbox.fault_since or now) if fault else None
    mailbox.fault = fault[:500]
    if not fault:
        mailbox.read_at = now
    mailbox.save(update_fields=["fault", "fault_since", "read_at"])
