"""Takes mail in: bytes from a mailbox become a row, once, and the place where reading goes on moves with it."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from zoneinfo import ZoneInfo

from celery.exceptions import SoftTimeLimitExceeded
from django.db import IntegrityError, InterfaceError, OperationalError, ProgrammingError, connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from pydantic import TypeAdapter

from connectors import open_mailbox, open_mailbox_read_only
from connectors.base import Fetched, Unreadable
from connectors.base import Mailbox as MailboxConnector
from connectors.errors import ConnectorError, Permanent
from rules import loops
from rules import message as mime
from rules.lifecycle import MailState
from rules.values import MailKind, Message
from worker import events
from worker.locks import READING, alone
from worker.models import Case, Mail, Mailbox, Outgoing
from worker.municipality import Municipality, MunicipalityError, configured

log = logging.getLogger(__name__)

ACTOR = "process:intake"
MESSAGE = TypeAdapter(Message)
"""Writes a Message to JSON and reads it back."""
SITTING_S = 60.0
"""A large mailbox is read in several sittings: no task runs into its time limit, and what was read is soon at work."""
LONGEST_WAIT_S = 3600.0
"""A server that asks for more is asked again all the same: a silent mailbox is worse than one question an hour."""
UNREADABLE = "mail unreadable"
"""The event of a mail that could not be taken in. It stays on the screen until a person has seen to it."""
NOT_DELIVERED = "A reply of ours in this case came back undelivered. Reach the resident another way."
NOT_THE_MAILS_FAULT = (SoftTimeLimitExceeded, OperationalError, InterfaceError, ProgrammingError)
"""The reading as a whole breaks off; anything else that storing raises is about this one mail."""
HEAVY_BYTES = 8 * 2**20
MOST_BREAKDOWNS = 3
TOO_HEAVY = (
    f"Work on a large mail broke off {MOST_BREAKDOWNS} times. It lies untouched in the mailbox: open it there, or give "
    "the worker more memory and try again."
)
NOTHING_IN_TIME = (
    "Reading brought nothing within its time limit: the server is too slow, or the next mail too large for the line. "
    "Look at the oldest mail that is not here yet."
)


@dataclass(slots=True)
class Taken:
    """What one reading of a mailbox brought."""

    received: int = 0
    known: int = 0
    unreadable: int = 0
    fault: str = ""
    again_after_s: float | None = None
    """The mailbox's server asked us to leave it alone for so long."""
    more: bool = False
    """The sitting ended before the mail did: the next one goes on."""
    mail_ids: list[int] | None = None

    @property
    def anything(self) -> int:
        return self.received + self.known + self.unreadable


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
    opened = open_mailbox_read_only if Mailbox.Mode.READ_ONLY in (mailbox.mode, entry.mode) else open_mailbox
    return opened(entry.kind, options)


def to_read(now: datetime) -> QuerySet[Mailbox]:
    """Mailboxes that are switched on and whose server has not asked us to wait."""
    return Mailbox.objects.filter(enabled=True).exclude(read_again_at__gt=now)


def take_in(mailbox: Mailbox) -> Taken:
    """Read what is new in a mailbox. A fault of the mailbox is kept on its row for the screen; it is never raised."""
    with alone(READING, mailbox.pk) as free:
        return _take_in(mailbox) if free else Taken(fault="Another process is reading this mailbox.")


def _take_in(mailbox: Mailbox) -> Taken:
    taken = Taken(mail_ids=[])
    mailbox.refresh_from_db()
    ends_at = monotonic() + SITTING_S
    try:
        for arrived in connector_for(mailbox, configured()).fetch_since(dict(mailbox.cursor)):
            _store_one(mailbox, arrived, taken)
            if monotonic() > ends_at:
                taken.more = True
                break
    except ConnectorError as error:
        taken.fault, taken.again_after_s = error.sentence, error.retry_after_s
    except SoftTimeLimitExceeded:  # a mail that takes too long: what was read before it is kept
        connection.close()  # the signal may have come in the middle of a query
        taken.more = bool(taken.anything)
        taken.fault = "" if taken.more else NOTHING_IN_TIME
    except Exception as error:  # a mailbox that breaks in a way nobody foresaw must not stay silent
        log.exception("reading broke off", extra={"mailbox": mailbox.pk})
        taken.fault = f"Reading broke off ({type(error).__name__}); what was read is kept."
    _note_health(mailbox, taken)
    return taken


def _store_one(mailbox: Mailbox, arrived: Fetched | Unreadable, taken: Taken) -> None:
    before = dict(mailbox.cursor)
    if isinstance(arrived, Unreadable):
        _tell(mailbox, arrived.sentence, arrived, before, taken)
        return
    if len(arrived.raw) > HEAVY_BYTES and _has_broken_off(mailbox, arrived.remote_id):
        _tell(mailbox, TOO_HEAVY, arrived, before, taken)
        return
    try:
        mail = store(mailbox, arrived)
    except NOT_THE_MAILS_FAULT:
        raise
    except Exception as error:  # one bad mail never stops the next
        log.exception("storing failed", extra={"mailbox": mailbox.pk})
        sentence = f"A mail could not be taken in ({type(error).__name__}). It lies untouched in the mailbox."
        _tell(mailbox, sentence, arrived, before, taken)
        return
    if mail is None:
        taken.known += 1
    else:
        taken.received += 1
        if taken.mail_ids is not None:
            taken.mail_ids.append(mail.pk)


def _has_broken_off(mailbox: Mailbox, remote_id: str) -> bool:
    """Counted before the work begins: a mail that kills its worker, for want of memory say, leaves no other trace."""
    before = mailbox.heavy_attempts if mailbox.heavy_id == remote_id else 0
    mailbox.heavy_id, mailbox.heavy_attempts = remote_id, before + 1
    mailbox.save(update_fields=["heavy_id", "heavy_attempts"])
    return before >= MOST_BREAKDOWNS


def _tell(
    mailbox: Mailbox, sentence: str, arrived: Fetched | Unreadable, before: dict[str, str | int], taken: Taken
) -> None:
    """Staff are told, with what is needed to fetch the mail again (`worker.again`); reading goes on behind it."""
    which = {"remote_id": arrived.remote_id, "after": before}
    with transaction.atomic():
        events.record(UNREADABLE, f"mailbox:{mailbox.pk}", actor=ACTOR, reason=sentence, **which)
        _move_cursor(mailbox, arrived.cursor)
    taken.unreadable += 1


def store(mailbox: Mailbox, arrived: Fetched) -> Mail | None:
    """One mail and the new cursor in one transaction. None when the mail is here already or is our own copy."""
    now = timezone.now()
    message = read(mailbox, arrived.raw, from_directory=arrived.from_directory)
    received_at = min(arrived.received_at or message.received_at or now, now)
    content = fingerprint(message)
    with transaction.atomic():
        _move_cursor(mailbox, arrived.cursor)
        _one_at_a_time(content)
        if _is_ours(message) or _known(mailbox, arrived, content):
            return None
        try:
            with transaction.atomic():
                mail = Mail.objects.create(
                    mailbox=mailbox,
                    case=case_for(mailbox, message, content, arrived.raw, received_at),
                    remote_id=arrived.remote_id,
                    fingerprint=content,
                    sha256=message.sha256,
                    size=len(arrived.raw),
                    raw=arrived.raw,
                    received_at=received_at,
                    taken_in_at=now,
                    from_directory=arrived.from_directory,
                    state=MailState.RECEIVED,
                    state_since=now,
                )
                remember(mail, message)
                if message.kind is MailKind.BOUNCE and _gives_back(mail, arrived.raw):
                    _put_before_a_person(mail, NOT_DELIVERED)
        except IntegrityError:
            return None  # another process stored the same mail in this second; the constraint decides
        return mail


def at_cursor(arrived: Fetched, cursor: dict[str, str | int]) -> Fetched:
    """The same mail, for a mailbox whose reading is to go on where it was."""
    return replace(arrived, cursor=cursor)


def read(mailbox: Mailbox, raw: bytes, *, from_directory: bool) -> Message:
    municipality = configured()
    entry = municipality.mailboxes.get(mailbox.name)
    ids = entry.authserv_ids if entry else ()
    own = municipality.own_addresses()
    return mime.read(raw, authserv_ids=ids, own_addresses=own, from_directory=from_directory)


def remember(mail: Mail, message: Message) -> None:
    """Keep what was read, so that the raw mail need not be opened again, and move on."""
    mail.message = MESSAGE.dump_python(message, mode="json")
    mail.message_id = (message.message_id or "")[:998]
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
    # Not the bytes: they would be sealed and written again.
    mail.save(update_fields=["message", "message_id", "sender_verified", "state", "state_since"])


def message_of(mail: Mail) -> Message:
    return MESSAGE.validate_python(mail.message)


def _one_at_a_time(content: str) -> None:
    """Until the transaction ends nobody else stores the same mail, whichever mailbox it came to."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [content])


def _is_ours(message: Message) -> bool:
    """A copy of a reply of our own that came back through the mailbox, not a resident's letter under our Message-ID.

    Some providers write a Message-ID of their own; the reply is then known by the mail it answers and by its words.
    """
    if message.sender_address.address.casefold() not in configured().own_addresses():
        return False
    same_id = Q(message_id=message.message_id) if message.message_id else Q(pk=None)
    replies = Outgoing.objects.filter(same_id | Q(mail__message_id__in=_answered(message)))
    return any(reply.message_id == message.message_id or _same_words(reply, message) for reply in replies)


def _same_words(reply: Outgoing, message: Message) -> bool:
    ours = mime.read(bytes(reply.raw))
    return (ours.subject, ours.text.split()) == (message.subject, message.text.split())


def _known(mailbox: Mailbox, arrived: Fetched, content: str) -> bool:
    same = Q(remote_id=arrived.remote_id) | Q(fingerprint=content)
    return Mail.objects.filter(same, mailbox=mailbox).exists()


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


def case_for(mailbox: Mailbox, message: Message, content: str, raw: bytes, opened_at: datetime) -> Case:
    """The case of the mail that this one answers or gives back, of the same mail in another mailbox, or a new one."""
    twin = Mail.objects.filter(fingerprint=content).exclude(mailbox=mailbox).order_by("pk").first()
    if twin is not None:
        return twin.case
    named = loops.given_back(raw) if message.kind is MailKind.BOUNCE else _answered(message)
    if named:
        answered = Mail.objects.filter(mailbox=mailbox, message_id__in=named).order_by("-pk").first()
        sent = Outgoing.objects.filter(message_id__in=named, mail__mailbox=mailbox).order_by("-pk").first()
        if answered or sent:
            return answered.case if answered else sent.mail.case  # type: ignore[union-attr]
    return new_case(mailbox, opened_at)


def _answered(message: Message) -> list[str]:
    """The nearest first. Some programs leave out the brackets."""
    named = (mid for mid in (message.in_reply_to, *reversed(message.references)) if mid)
    return [mid if mid.startswith("<") else f"<{mid}>" for mid in named]


def twin_of(mail: Mail) -> Mail | None:
    """The same mail where it came to another mailbox first, unless it was closed there without a reply."""
    others = Mail.objects.filter(case=mail.case_id, fingerprint=mail.fingerprint, pk__lt=mail.pk)
    return others.exclude(state=MailState.NO_REPLY).select_related("mailbox").first()


def _gives_back(bounce: Mail, raw: bytes) -> bool:
    """Whether a reply of ours in its case came back. Any other bounce says nothing that can be believed."""
    return Outgoing.objects.filter(mail__case=bounce.case_id, message_id__in=loops.given_back(raw)).exists()


def _put_before_a_person(mail: Mail, sentence: str) -> None:
    mail.fault, mail.queue = sentence, "reviewers"
    events.move(mail, MailState.NEEDS_ATTENTION, actor=ACTOR, action="needs attention", reason=sentence)
    mail.save(update_fields=["fault", "queue", "state", "state_since"])


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


def _note_health(mailbox: Mailbox, taken: Taken) -> None:
    now, fault = timezone.now(), taken.fault
    if fault and fault != mailbox.fault:
        events.record("mailbox fault", f"mailbox:{mailbox.pk}", actor=ACTOR, reason=fault)
    mailbox.fault_since = (mailbox.fault_since or now) if fault else None
    mailbox.fault = fault[:500]
    if not fault:
        mailbox.read_at = now
    wait_s = min(taken.again_after_s or 0.0, LONGEST_WAIT_S)
    mailbox.read_again_at = now + timedelta(seconds=wait_s) if wait_s else None
    mailbox.save(update_fields=["fault", "fault_since", "read_at", "read_again_at"])
