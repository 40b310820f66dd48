"""A second look, by name: at mail that could not be taken in, that was read badly, or that lies in a wrong case.

What could not be taken in stays on the screen until a person has seen to it. It must never move the place where
reading goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.contrib.auth.models import User
from django.db import transaction

from connectors.base import Fetched, Unreadable
from connectors.errors import ConnectorError
from rules.lifecycle import MailState
from worker import events, intake
from worker.models import Event, Mail, Mailbox, Outgoing
from worker.municipality import configured
from worker.review import Refusal, acting_on, actor, void_approvals

SEEN = "unreadable mail seen to"
LOOKED_THROUGH = 50
"""A mail lies right behind the place where reading stopped before it, or it has been moved or deleted."""


@dataclass(frozen=True, slots=True)
class NotTakenIn:
    """One mail that lies in a mailbox and not here."""

    id: int
    mailbox: Mailbox
    at: datetime
    sentence: str


def not_taken_in(mailboxes: Iterable[Mailbox]) -> Iterator[NotTakenIn]:
    """Oldest first, without those that a person has seen to."""
    by_object = {f"mailbox:{mailbox.pk}": mailbox for mailbox in mailboxes}
    told = Event.objects.filter(object__in=by_object)
    seen = set(told.filter(action=SEEN).values_list("payload__event", flat=True))
    for event in told.filter(action=intake.UNREADABLE).exclude(pk__in=seen).order_by("pk"):
        yield NotTakenIn(event.pk, by_object[event.object], event.at, event.reason)


def seen_to(mailbox: Mailbox, event_id: int, person: User) -> None:
    """A person has answered the mail from the mailbox itself, or found that it needs nothing."""
    with transaction.atomic():
        event = _still_open(mailbox, event_id)
        _close(event, person, "seen to by a person")


def fetch_again(mailbox: Mailbox, event_id: int, person: User) -> Mail | None:
    """The mail once more from the mailbox, as after a fault of the reader was mended. None when it was here already."""
    event = _still_open(mailbox, event_id)
    arrived = _found_again(mailbox, event)
    if arrived is None:
        raise Refusal("The mail is not in the mailbox any more. Look in the mailbox itself, then mark it as seen to.")
    if isinstance(arrived, Unreadable):
        raise Refusal(f"It still cannot be read. {arrived.sentence}")
    with transaction.atomic():
        mailbox = Mailbox.objects.select_for_update().get(pk=mailbox.pk)
        mail = intake.store(mailbox, intake.at_cursor(arrived, dict(mailbox.cursor)))
        _close(_still_open(mailbox, event_id), person, "taken in after all" if mail else "was here already")
        if mail is not None:
            _work_on(mail.pk)
    return mail


def _found_again(mailbox: Mailbox, event: Event) -> Fetched | Unreadable | None:
    try:
        mails = intake.connector_for(mailbox, configured()).fetch_since(event.payload.get("after", {}))
        wanted = event.payload.get("remote_id")
        return next((mail for mail in islice(mails, LOOKED_THROUGH) if mail.remote_id == wanted), None)
    except ConnectorError as error:
        raise Refusal(f"The mailbox cannot be read at present: {error.sentence}") from None


def _still_open(mailbox: Mailbox, event_id: int) -> Event:
    event = Event.objects.filter(pk=event_id, object=f"mailbox:{mailbox.pk}", action=intake.UNREADABLE).first()
    if event is None or Event.objects.filter(object=event.object, action=SEEN, payload__event=event_id).exists():
        raise Refusal("Somebody has seen to this mail already.")
    return event


def _close(event: Event, person: User, how: str) -> None:
    events.record(SEEN, event.object, actor=actor(person), reason=how, event=event.pk)


def read_anew(mail_id: int, person: User) -> None:
    """Begin again with a stored mail, from its bytes, as after a fault of the reader was mended."""
    with acting_on(mail_id) as mail:
        unsent = Outgoing.objects.filter(mail=mail).exists()
        if mail.state != MailState.NEEDS_ATTENTION or unsent:
            raise Refusal("Only a mail that the machine could not handle is read anew.")
        mail.attempts, mail.fault, mail.next_try_at, mail.queue = 0, "", None, ""
        events.move(mail, MailState.RECEIVED, actor=actor(person), action="to be read anew")
        _work_on(mail_id)


def _work_on(mail_id: int) -> None:
    from worker.tasks import triage_mail

    transaction.on_commit(lambda: triage_mail.delay(mail_id), robust=True)  # broker down: the sweep finds the row


def split(mail_id: int, person: User) -> None:
    """A new matter that was written as an answer to an old mail gets a case of its own. What answers it goes with it
    from then on; what is filed already stays."""
    with acting_on(mail_id) as mail:
        if not Mail.objects.filter(case=mail.case_id, pk__lt=mail.pk).exists():
            raise Refusal("This mail opened its case, so there is nothing to split it from.")
        if Outgoing.objects.filter(mail=mail).exists():
            raise Refusal("A reply to this mail is on its way or has left under the number of its case.")
        before = mail.case.number
        mail.case = intake.new_case(mail.mailbox, mail.received_at)
        draft = getattr(mail, "draft", None)
        if draft is not None:
            void_approvals(draft, "a case of its own")
        why = f"from {before} to {mail.case.number}"
        events.record("split from its case", f"mail:{mail.pk}", actor=actor(person), reason=why)
