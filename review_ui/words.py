"""Words and numbers as the screen says them: names of states and languages, times, ages, sizes."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as later

from rules.lifecycle import MailState

Words = str | Promise

STATES: dict[str, Words] = {
    MailState.RECEIVED: later("Just received"),
    MailState.READ: later("Being read"),
    MailState.UNDERSTOOD: later("Facts are looked up"),
    MailState.GATHERED: later("Being drafted"),
    MailState.DRAFTED: later("Being drafted"),
    MailState.WAITING: later("Waits for review"),
    MailState.APPROVED: later("Approved"),
    MailState.SENDING: later("Being sent"),
    MailState.SENT: later("Sent"),
    MailState.NO_REPLY: later("Closed, no reply"),
    MailState.NEEDS_ATTENTION: later("Needs attention"),
    MailState.RESTRICTED: later("Restricted"),
    MailState.REJECTED: later("Draft rejected"),
    MailState.UNSURE: later("Not known if sent"),
}
LANGUAGES: dict[str, Words] = {
    "sv": later("Swedish"),
    "fi": later("Finnish"),
    "nb": later("Norwegian"),
    "da": later("Danish"),
    "en": later("English"),
    "other": later("another language"),
}


def name_of(person: User | None) -> str:
    return (person.get_full_name() or person.get_username()) if person else ""


def initials(name: str) -> str:
    words = name.split()
    return (words[0][:1] + words[-1][:1] if len(words) > 1 else name[:2]).upper()


def plain(label: str) -> str:
    """`due_date` as a person reads it."""
    return label.replace("_", " ")


def clock(at: datetime, *, seconds: bool = False) -> str:
    return date_format(timezone.localtime(at), "H:i:s" if seconds else "H:i")


def moment(at: datetime, now: datetime) -> str:
    """`today 09:41`, `18 Nov 07:30`, or with the year when it is another one."""
    local, today = timezone.localtime(at), timezone.localtime(now)
    if local.date() == today.date():
        return _("today %(time)s") % {"time": clock(at)}
    return date_format(local, "j M H:i" if local.year == today.year else "j M Y H:i").replace(" ", "\u00a0")


def span(length: timedelta) -> str:
    """The largest unit that says enough: `40 s`, `12 min`, `26 h`, `3 d`."""
    seconds = max(0, int(length.total_seconds()))
    for size, unit, at_most in ((1, "s", 90), (60, "min", 90), (3600, "h", 48)):
        if seconds < size * at_most:
            return f"{seconds // size}\u00a0{unit}"
    return f"{seconds // 86400}\u00a0d"


def size(number_of_bytes: int) -> str:
    if number_of_bytes < 1000:
        return f"{number_of_bytes}\u00a0B"
    if number_of_bytes < 1_000_000:
        return f"{round(number_of_bytes / 1000)}\u00a0kB"
    return f"{number_of_bytes / 1_000_000:.1f}\u00a0MB"


def percent(share: float | None) -> str:
    """Never 100: no classifier is certain."""
    return "" if share is None else f"{min(99, round(share * 100))}\u00a0%"
