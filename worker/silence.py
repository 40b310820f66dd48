"""Mailboxes that bring nothing though all looks well: not read for a while, or without mail when mail usually comes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import OuterRef, Subquery

from worker.models import Mail, Mailbox

LEAST_PATIENCE = timedelta(minutes=15)
READINGS_MISSED = 10
WINDOWS = (timedelta(hours=3), timedelta(days=1), timedelta(days=3))
WEEKS = 4
USUAL = 5
"""So many mails in the same hours of each of the last weeks: that none comes by chance has odds below 1 in 100."""


@dataclass(frozen=True, slots=True)
class Silence:
    mailbox: str
    sentence: str


def of(names: Collection[str], now: datetime) -> Iterator[Silence]:
    """A mailbox that is switched off is silent by intent; one with a fault says so itself."""
    newest = Mail.objects.filter(mailbox=OuterRef("pk")).order_by("-pk").values("received_at")
    listened_to = Mailbox.objects.filter(name__in=names, enabled=True, fault="").order_by("name")
    for mailbox in listened_to.annotate(last_mail_at=Subquery(newest[:1])):
        sentence = _unread(mailbox, now) or _nothing_comes(mailbox, mailbox.last_mail_at, now)
        if sentence:
            yield Silence(mailbox.name, sentence)


def _unread(mailbox: Mailbox, now: datetime) -> str:
    if mailbox.read_again_at and mailbox.read_again_at > now:  # its server asked us to wait
        return ""
    patience = max(LEAST_PATIENCE, timedelta(seconds=READINGS_MISSED * settings.POLL_S))
    if mailbox.read_at and now - mailbox.read_at < patience:
        return ""
    since = f"since {mailbox.read_at:%Y-%m-%d %H:%M} UTC" if mailbox.read_at else "yet"
    return f"It has not been read {since}: see that a worker and the clock run (`kommunpost doctor`)."


def _nothing_comes(mailbox: Mailbox, last_mail_at: datetime | None, now: datetime) -> str:
    if last_mail_at is None or not any(_is_unusual(mailbox, last_mail_at, now, window) for window in WINDOWS):
        return ""
    since = f"{last_mail_at:%Y-%m-%d %H:%M} UTC"
    return f"Nothing has come since {since}, which is unusual: write to it and see whether that arrives."


def _is_unusual(mailbox: Mailbox, last_mail_at: datetime, now: datetime, window: timedelta) -> bool:
    weeks_before = (now - timedelta(weeks=week) for week in range(1, WEEKS + 1))
    return now - last_mail_at > window and all(_usually_come(mailbox, then, window) for then in weeks_before)


def _usually_come(mailbox: Mailbox, until: datetime, window: timedelta) -> bool:
    rows = Mail.objects.filter(mailbox=mailbox, received_at__gt=until - window, received_at__lte=until)
    return rows[:USUAL].count() == USUAL
