"""Sends an approved reply once (TRUST: sending once).

`approved → sending (lease) → sent | approved again | unsure | needs attention`. Only a connector that is certain
nothing was accepted allows a plain retry; everything unclear is `unsure` until the mailbox itself has been asked.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from connectors.base import Envelope
from connectors.base import Mailbox as MailboxConnector
from connectors.errors import ConnectorError, Permanent, Transient
from rules.lifecycle import MailState
from worker import events, evidence, recheck, review, write_back
from worker.intake import connector_for
from worker.models import Draft, Mail, Mailbox, Outgoing
from worker.municipality import configured

log = logging.getLogger(__name__)

ACTOR = "process:sender"
MOST_ATTEMPTS = 8
MOST_UNCLEAR = 2
"""So often nobody may have known what became of the reply; a third time a person decides."""
WAITS_S = (30, 60, 120, 300, 900, 1800, 3600)
ANSWERED_BY_STAFF = (
    "A colleague has answered this mail from the mailbox itself: look into Sent. Approve again only if this reply "
    "shall leave too."
)
HOLD_FOR = timedelta(hours=1)
"""So long an approved reply waits for a register or a setting; then a person is told."""


def due(now: datetime) -> list[int]:
    """Replies whose undo time is over, and unclear ones that have settled."""
    rows = Outgoing.objects.filter(sent_at__isnull=True, due_at__lte=now)
    return list(rows.filter(mail__state__in=(MailState.APPROVED, MailState.UNSURE)).values_list("mail_id", flat=True))


def deliver(mail_id: int) -> MailState | None:
    """One attempt for one reply. None when it is not due, in other hands, or already settled."""
    try:
        return _attempt(mail_id)
    except Exception as error:  # the task's edge: a reply that cannot be checked must not stand still in silence
        log.exception("delivery broke off", extra={"mail": mail_id})
        return _hold(mail_id, f"The reply could not be checked before sending ({type(error).__name__}).")


def _attempt(mail_id: int) -> MailState | None:
    with transaction.atomic():
        mail = _claim(mail_id)
        if mail is None:
            return None
        try:
            connector = connector_for(mail.mailbox, configured())
        except ConnectorError as error:
            _wait(mail, error.sentence, error.retry_after_s)
            return MailState(mail.state)
        if mail.state == MailState.UNSURE:
            return _settle(mail, connector)
        if not _still_true(mail, connector):
            return MailState(mail.state)
        _take_lease(mail)
    return _send(mail, connector)


def _claim(mail_id: int) -> Mail | None:
    rows = Mail.objects.select_for_update(skip_locked=True, of=("self",)).select_related("mailbox", "case")
    return (
        rows.defer("raw")
        .filter(pk=mail_id, state__in=(MailState.APPROVED, MailState.UNSURE), outgoing__due_at__lte=timezone.now())
        .first()
    )


def _still_true(mail: Mail, connector: MailboxConnector) -> bool:
    """Facts read again and the approval compared with what would leave now. False: it went back to a person."""
    draft = Draft.objects.get(mail=mail)
    pack = configured().rule_pack()
    if mail.mailbox.mode != Mailbox.Mode.SENDS:
        _back_to_person(mail, draft, f"Since the approval the mailbox is {mail.mailbox.get_mode_display()}.")
        return False
    try:
        if write_back.newly_answered_by_staff(mail, connector):
            _back_to_person(mail, draft, ANSWERED_BY_STAFF)
            return False
        changes = recheck.changed(mail, pack)
    except ConnectorError as error:
        _wait(mail, error.sentence, error.retry_after_s)
        return False
    if changes:
        _back_to_person(mail, draft, "A source has changed since the draft was approved: " + ", ".join(changes) + ".")
        review.draft_again(mail, draft, changes, ACTOR)
        mail.save()
        return False
    spans = evidence.spans_of(draft, pack, timezone.now())
    if any(not span.verdict.may_leave for span in spans):
        _back_to_person(mail, draft, "A statement lost its source after the draft was approved.")
        return False
    if review.content_hash(mail, draft, spans) != mail.outgoing.content_hash:
        _back_to_person(mail, draft, "The content is not what was approved.")
        return False
    return True


def _back_to_person(mail: Mail, draft: Draft, because: str) -> None:
    review.void_approvals(draft, because)
    mail.outgoing.delete()
    mail.fault = because[:500]
    draft.version += 1
    draft.save(update_fields=["version"])
    events.move(mail, MailState.WAITING, actor=ACTOR, action="approval void", reason=because)
    mail.save()


def _wait(mail: Mail, sentence: str, retry_after_s: float | None) -> None:
    if mail.state == MailState.APPROVED and timezone.now() - mail.state_since > HOLD_FOR:
        _back_to_person(mail, Draft.objects.get(mail=mail), sentence)
        return
    reply = mail.outgoing
    reply.fault = sentence[:500]
    reply.due_at = timezone.now() + timedelta(seconds=retry_after_s or WAITS_S[min(reply.attempts, len(WAITS_S) - 1)])
    reply.save(update_fields=["fault", "due_at"])


def _hold(mail_id: int, sentence: str) -> MailState | None:
    with transaction.atomic():
        mail = _claim(mail_id)
        if mail is None:
            return None
        _wait(mail, sentence, None)
        return MailState(mail.state)


def _take_lease(mail: Mail) -> None:
    reply = mail.outgoing
    reply.attempts += 1
    reply.lease_until = timezone.now() + timedelta(seconds=settings.SENDING_LEASE_S)
    reply.save(update_fields=["attempts", "lease_until"])
    events.move(
        mail,
        MailState.SENDING,
        actor=ACTOR,
        action="sending",
        attempt=reply.attempts,
        message_id=reply.message_id,
    )
    mail.save()


def _send(mail: Mail, connector: MailboxConnector) -> MailState:
    """The attempt itself, outside any transaction: the lease is committed before the first byte leaves."""
    reply = mail.outgoing
    envelope = Envelope(reply.envelope["sender"], tuple(reply.envelope["recipients"]))
    try:
        connector.send(bytes(reply.raw), envelope)
    except Transient as error:
        return _failed(mail, MailState.APPROVED, error)
    except Permanent as error:
        return _failed(mail, MailState.NEEDS_ATTENTION, error)
    except ConnectorError as error:
        return _failed(mail, MailState.UNSURE, error)
    except Exception as error:  # the task's edge: what happened is not known, so it counts as unclear
        log.exception("sending failed", extra={"mail": mail.pk})
        return _failed(mail, MailState.UNSURE, ConnectorError(f"Sending broke off ({type(error).__name__})."))
    return sent(mail, connector)


def _locked(mail_id: int) -> Mail:
    """The row as it is now: while the reply was on its way a colleague may have changed it, or the lease run out."""
    rows = Mail.objects.select_for_update(of=("self",)).select_related("mailbox", "case")
    return rows.defer("raw").get(pk=mail_id)


def _failed(mail: Mail, after: MailState, error: ConnectorError) -> MailState:
    with transaction.atomic():
        mail = _locked(mail.pk)
        reply = mail.outgoing
        if after is MailState.APPROVED and reply.attempts >= MOST_ATTEMPTS:
            after = MailState.NEEDS_ATTENTION
        reply.fault, reply.lease_until = error.sentence[:500], None
        reply.unclear += after is MailState.UNSURE
        wait = settings.SETTLE_S if after is MailState.UNSURE else WAITS_S[min(reply.attempts, len(WAITS_S)) - 1]
        reply.due_at = timezone.now() + timedelta(seconds=error.retry_after_s or wait)
        reply.save(update_fields=["fault", "lease_until", "due_at", "unclear"])
        mail.fault = error.sentence[:500]
        if mail.state != after:
            action = "outcome unclear" if after is MailState.UNSURE else "not sent"
            events.move(mail, after, actor=ACTOR, action=action, reason=error.sentence, attempt=reply.attempts)
        mail.save()
    return after


def sent(mail: Mail, connector: MailboxConnector, how: str = "accepted by the mail server") -> MailState:
    with transaction.atomic():
        mail = _locked(mail.pk)
        reply = mail.outgoing
        reply.sent_at, reply.lease_until, reply.fault = timezone.now(), None, ""
        reply.save(update_fields=["sent_at", "lease_until", "fault"])
        mail.fault = ""
        events.move(mail, MailState.SENT, actor=ACTOR, action="reply sent", reason=how, message_id=reply.message_id)
        mail.save()
    file_in_sent(mail, connector)
    return MailState.SENT


def file_in_sent(mail: Mail, connector: MailboxConnector) -> None:
    """Staff find the reply in the mailbox's Sent folder. It has left already, so a fault here is noted and retried."""
    if not write_back.wishes(mail.mailbox).sent:
        return
    with transaction.atomic():
        unfiled = Outgoing.objects.select_for_update(skip_locked=True).filter(mail=mail, filed_at__isnull=True)
        reply = unfiled.first()
        if reply is None:  # filed, or another worker is at it
            return
        try:
            connector.file_sent(bytes(reply.raw))
        except ConnectorError as error:
            reply.fault = f"Sent, but no copy could be put into the Sent folder: {error.sentence}"[:500]
        else:
            reply.filed_at, reply.fault = timezone.now(), ""
        reply.save(update_fields=["filed_at", "fault"])


def _settle(mail: Mail, connector: MailboxConnector) -> MailState:
    """Ask the mailbox whether the reply has left before anything else is tried."""
    try:
        found = connector.was_sent(mail.outgoing.message_id)
    except ConnectorError as error:
        _wait(mail, error.sentence, error.retry_after_s)
        return MailState.UNSURE
    if found:
        return sent(mail, connector, how="found in the mailbox after an unclear answer")
    if mail.outgoing.unclear >= MOST_UNCLEAR or mail.outgoing.attempts >= MOST_ATTEMPTS:
        return _ask_a_person(mail)
    events.move(mail, MailState.APPROVED, actor=ACTOR, action="one more attempt", reason="The mailbox has no copy.")
    mail.save()
    mail.outgoing.due_at = timezone.now()
    mail.outgoing.save(update_fields=["due_at"])
    return MailState.APPROVED


def _ask_a_person(mail: Mail) -> MailState:
    sentence = (
        "It is not known whether the reply left: the mail server gave no clear answer and the mailbox has no copy."
    )
    mail.fault = sentence
    events.move(mail, MailState.NEEDS_ATTENTION, actor=ACTOR, action="needs attention", reason=sentence)
    mail.save()
    return MailState.NEEDS_ATTENTION


def expire_leases(now: datetime) -> int:
    """A worker died while sending: what happened is not known, so the reply is `unsure` and the mailbox is asked."""
    listed = Outgoing.objects.filter(lease_until__lt=now, sent_at__isnull=True).values_list("mail_id", flat=True)
    return sum(expire(mail_id, now) for mail_id in listed)


def expire(mail_id: int, now: datetime) -> bool:
    """False when, since the lease was seen to have run out, the attempt has ended or a new one holds the reply."""
    with transaction.atomic():
        mail = _locked(mail_id)
        reply = Outgoing.objects.filter(mail=mail, lease_until__lt=now).first()
        if mail.state != MailState.SENDING or reply is None:
            return False
        reply.lease_until, reply.due_at = None, now + timedelta(seconds=settings.SETTLE_S)
        reply.unclear += 1
        reply.save(update_fields=["lease_until", "due_at", "unclear"])
        events.move(mail, MailState.UNSURE, actor=ACTOR, action="lease ran out", attempt=reply.attempts)
        mail.save()
        return True
