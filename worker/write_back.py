"""Shows staff in the mailbox itself how far a mail has come, for those who go on using Outlook or Thunderbird.

The rows say what a mailbox should show; whatever differs is written, again and again until it agrees. It must never
touch what a person has written there, and never holds up the mail itself.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import datetime, timedelta
from time import monotonic

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from connectors.base import Mailbox as MailboxConnector
from connectors.base import Mark, PutDraft, WritesBack
from connectors.errors import ConnectorError, Permanent, Refused, Transient
from rules.lifecycle import MailState
from worker import events
from worker.intake import connector_for
from worker.locks import WRITING, alone
from worker.models import Draft, Mail, Mailbox, Outgoing, WriteBack
from worker.municipality import WriteBackEntry, configured
from worker.replies import draft_for_mailbox

log = logging.getLogger(__name__)

ACTOR = "process:write-back"
SITTING_S = 60.0
MOST_ATTEMPTS = 24
"""For one mail: two hours, in which somebody may make the folder that is missing."""
FOR_SO_LONG = timedelta(days=7)
"""What has stood still for longer is left as it is: switching this on must not touch a year's mail."""
AGAIN_AFTER_S = 300.0

MARKS: dict[MailState, Mark] = {
    MailState.WAITING: Mark.WAITING,
    MailState.REJECTED: Mark.WAITING,
    MailState.NEEDS_ATTENTION: Mark.WAITING,
    MailState.UNSURE: Mark.WAITING,
    MailState.RESTRICTED: Mark.TRIAGED,
    MailState.NO_REPLY: Mark.TRIAGED,
    MailState.SENT: Mark.ANSWERED,
}
"""What staff are shown for a state. A state that lasts seconds is not shown."""

NOTHING = WriteBackEntry(states=False, drafts=False, sent=False, move_answered_to=None)


def wishes(mailbox: Mailbox) -> WriteBackEntry:
    """What the municipality wants written into this mailbox: nothing at all while it is read-only."""
    entry = configured().mailboxes.get(mailbox.name)
    if entry is None or Mailbox.Mode.READ_ONLY in (mailbox.mode, entry.mode):
        return NOTHING
    return entry.write_back


def due(now: datetime) -> list[int]:
    """Mailboxes that do not show yet how far their mail has come."""
    boxes = Mailbox.objects.filter(enabled=True).exclude(write_back_again_at__gt=now)
    return [box.pk for box in boxes if _differing(box, now).exists()]


def _differing(mailbox: Mailbox, now: datetime) -> QuerySet[Mail]:
    wanted = wishes(mailbox)
    if not (wanted.states or wanted.drafts or wanted.move_answered_to):
        return Mail.objects.none()
    fresh = Mail.objects.filter(mailbox=mailbox, state__in=MARKS, state_since__gt=now - FOR_SO_LONG)
    try_again = Q(write_back__again_at__lte=now)
    differing = Q(write_back=None) | ~Q(write_back__state=F("state")) | try_again
    if wanted.drafts:
        older = ~Q(write_back__draft_version=F("draft__version"))
        differing |= Q(state=MailState.WAITING, write_back__fault="") & older
    return fresh.filter(differing).defer("raw").order_by("state_since")


def write_back(mailbox: Mailbox) -> int:
    """Bring one mailbox up to date. Returns how many mails now show their state; a fault is kept on its row."""
    with alone(WRITING, mailbox.pk) as free:
        return _write_back(mailbox) if free else 0


def _write_back(mailbox: Mailbox) -> int:
    done, ends_at = 0, monotonic() + SITTING_S
    try:
        connector = connector_for(mailbox, configured())
        if isinstance(connector, WritesBack):
            for mail in _differing(mailbox, timezone.now()).select_related("case", "mailbox").iterator(200):
                done += _follow(mail, connector, wishes(mailbox))
                if monotonic() > ends_at:
                    break
    except ConnectorError as error:
        _note_health(mailbox, error.sentence, error.retry_after_s or AGAIN_AFTER_S)
    else:
        failing = WriteBack.objects.filter(mail__mailbox=mailbox, again_at__isnull=False).order_by("-pk").first()
        _note_health(mailbox, failing.fault if failing else "", None)
    return done


def _follow(mail: Mail, connector: WritesBack, wanted: WriteBackEntry) -> bool:
    """One mail. What is wrong with it is kept on its row and stops no other; the mailbox's own faults are raised."""
    row, _ = WriteBack.objects.get_or_create(mail=mail)
    try:
        _show(mail, row, connector, wanted)
        row.state, row.attempts, row.fault, row.again_at = mail.state, 0, "", None
    except (Transient, Refused):
        raise
    except Permanent as error:
        _note_failure(mail, row, error.sentence)
    except Exception as error:  # one mail that cannot be written as a draft, say, never stops the next
        log.exception("writing back failed", extra={"mail": mail.pk})
        _note_failure(mail, row, f"A mail could not be shown in the mailbox ({type(error).__name__}).")
    finally:
        row.save()
    return not row.fault


def _note_failure(mail: Mail, row: WriteBack, sentence: str) -> None:
    row.attempts = row.attempts + 1 if row.state == mail.state else 1
    row.state, row.fault = mail.state, sentence[:500]
    row.again_at = timezone.now() + timedelta(seconds=AGAIN_AFTER_S) if row.attempts < MOST_ATTEMPTS else None
    if row.again_at is None:
        events.record("not shown in the mailbox", f"mail:{mail.pk}", actor=ACTOR, reason=sentence)


def _show(mail: Mail, row: WriteBack, connector: WritesBack, wanted: WriteBackEntry) -> None:
    _keep_draft(mail, row, connector, wanted)
    state = MailState(mail.state)
    there = not wanted.states or connector.mark(mail.remote_id, MARKS[state])
    if there and state is MailState.SENT and wanted.move_answered_to:
        connector.move(mail.remote_id, wanted.move_answered_to)


def _keep_draft(mail: Mail, row: WriteBack, connector: WritesBack, wanted: WriteBackEntry) -> None:
    """The mailbox's Drafts hold the newest version of a draft that waits, or none; never two, never over a person's."""
    draft = Draft.objects.filter(mail=mail).first() if wanted.drafts and mail.state == MailState.WAITING else None
    newest = draft.version if draft else 0
    if row.draft and row.draft_version != newest:
        ours = connector.take_back(PutDraft(**row.draft))
        row.draft = None
        if not ours:
            events.record("draft left to staff", f"mail:{mail.pk}", actor=ACTOR, version=row.draft_version)
            row.left_to_staff = True
    if draft is None or row.left_to_staff:
        row.draft_version = newest
    elif row.draft_version != newest:
        row.draft = asdict(connector.put_draft(draft_for_mailbox(mail, draft), mail.remote_id))
        row.draft_version = newest


def newly_answered_by_staff(mail: Mail, connector: MailboxConnector) -> bool:
    """Whether a colleague has answered from the mailbox itself, and the reviewer has not been told of it.

    Raises ConnectorError when the mailbox cannot be asked.
    """
    if not mail.message_id:
        return False
    try:
        found = connector.replies_to(mail.message_id)
    except Permanent as error:
        if isinstance(error, Refused):
            raise
        return False  # a Message-ID that nobody can look for
    ours = set(Outgoing.objects.filter(message_id__in=found).values_list("message_id", flat=True))
    row, _ = WriteBack.objects.get_or_create(mail=mail)
    told = set(row.staff_replies)
    theirs = set(found) - ours - told
    if theirs:
        row.staff_replies = sorted(told | theirs)
        row.save(update_fields=["staff_replies"])
    return bool(theirs)


def _note_health(mailbox: Mailbox, fault: str, again_after_s: float | None) -> None:
    if fault and fault[:500] != mailbox.write_back_fault:
        events.record("mailbox cannot be written to", f"mailbox:{mailbox.pk}", actor=ACTOR, reason=fault)
    mailbox.write_back_fault = fault[:500]
    mailbox.write_back_again_at = timezone.now() + timedelta(seconds=again_after_s) if again_after_s else None
    mailbox.save(update_fields=["write_back_fault", "write_back_again_at"])
