"""Finds what stood still: a task may be lost with its broker, a row never is."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from connectors.errors import ConnectorError
from rules.lifecycle import MailState
from worker import deliver, write_back
from worker.intake import connector_for
from worker.models import Mail, Mailbox, Outgoing
from worker.municipality import configured
from worker.triage import TRIAGED

STILL_S = 60
"""A mail in the machine's hands for longer than this has lost its task."""
MOST_AT_ONCE = 2_000
FILE_FOR = timedelta(days=2)


def standing_still(now: datetime) -> list[int]:
    """Mails to triage again: their task was lost, or the wait for a register is over."""
    lost = Q(next_try_at__isnull=True, state_since__lt=now - timedelta(seconds=STILL_S))
    waited = Q(next_try_at__lte=now)
    rows = Mail.objects.filter(lost | waited, state__in=TRIAGED).order_by("received_at")
    return list(rows.values_list("pk", flat=True)[:MOST_AT_ONCE])


def file_unfiled() -> None:
    """Replies that left without a copy in Sent, tried again for two days where a copy is wanted."""
    rows = Outgoing.objects.filter(
        mail__state=MailState.SENT, filed_at__isnull=True, sent_at__gt=timezone.now() - FILE_FOR
    ).select_related("mail__mailbox")
    filing = [box.pk for box in Mailbox.objects.all() if write_back.wishes(box).sent]
    for reply in rows.filter(mail__mailbox__in=filing)[:100]:
        with suppress(ConnectorError):  # the mailbox itself is shown with its fault
            deliver.file_in_sent(reply.mail, connector_for(reply.mail.mailbox, configured()))
