"""The queue: which views there are, what can be filtered, and the rows of one page. Nothing is approved from a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as later

from review_ui import access, words
from review_ui.access import Rights
from review_ui.reading import Sender, sender_of, without_ids
from rules.lifecycle import MailState
from rules.pack import RulePack
from worker import again, silence
from worker.intake import message_of
from worker.models import Mail

PAGE = 50
SNIPPET = 140
CLOSED = (MailState.SENT, MailState.NO_REPLY)
OPEN = tuple(state for state in MailState if state not in CLOSED)


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at the mail. `empty` is the sentence for a list without rows."""

    slug: str
    title: words.Words
    icon: str
    empty: words.Words
    states: tuple[MailState, ...] = OPEN
    mine: bool = False
    unassigned: bool = False
    must_verify: bool = False
    restricted: bool = False

    def where(self, rights: Rights, *, states: bool = True) -> Q:
        wanted = Q(state__in=self.states) if states else Q()
        if self.mine:
            wanted &= Q(assignee=rights.person)
        if self.unassigned:
            wanted &= Q(assignee=None)
        if self.must_verify:
            wanted &= ~Q(reasons=[])
        if self.restricted:
            return wanted & access.in_restricted()
        return wanted if self.mine else wanted & ~access.in_restricted()


VIEWS = (
    View(
        "team",
        later("My team"),
        "users",
        later("No mail waits in your mailboxes. What comes in shows up here by itself."),
    ),
    View("mine", later("Mine"), "user", later("No mail is yours. Open one and hand it over to yourself."), mine=True),
    View("unassigned", later("Unassigned"), "noone", later("Every open mail is in somebody's hands."), unassigned=True),
    View(
        "verify",
        later("Must verify"),
        "eye",
        later("No open mail needs a named person's look for a special reason."),
        must_verify=True,
    ),
    View(
        "attention",
        later("Needs attention"),
        "attn",
        later("Nothing stands still. Mail that the machine could not handle would be here, with the reason."),
        states=(MailState.NEEDS_ATTENTION, MailState.UNSURE, MailState.REJECTED),
    ),
    View(
        "restricted",
        later("Restricted"),
        "lock",
        later("There is no restricted mail. Threats, self-harm and protected identities would be here."),
        restricted=True,
    ),
    View(
        "sent",
        later("Sent"),
        "check",
        later("Nothing has been sent yet from your mailboxes."),
        states=(MailState.SENT,),
    ),
)


@dataclass(frozen=True, slots=True)
class Filters:
    """What was chosen above the list; empty strings choose nothing."""

    language: str = ""
    intent: str = ""
    state: str = ""
    mailbox: str = ""
    case: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Filters:
        # Postgres knows no NUL character in a text.
        return cls(**{name: given.get(name, "").replace("\0", "")[:64] for name in cls.__slots__})

    @property
    def any(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)

    def where(self) -> Q:
        wanted = {"language": self.language, "intent": self.intent, "state": self.state, "mailbox__name": self.mailbox}
        chosen = Q(**{field: value for field, value in wanted.items() if value})
        return chosen & Q(case__number__icontains=self.case) if self.case else chosen


@dataclass(frozen=True, slots=True)
class ViewLink:
    view: View
    count: int
    current: bool


@dataclass(frozen=True, slots=True)
class Row:
    mail: Mail
    received: str
    age: str
    sender: Sender
    language_name: words.Words
    subject: str
    snippet: str
    reasons: str
    intent: str
    percent: str
    state: words.Words
    who: str
    initials: str
    mine: bool
    attachments: bool
    hidden_text: bool
    closed_to_lists: bool
    """Restricted: neither sender nor subject is shown before a reason has been given."""


@dataclass(frozen=True, slots=True)
class Day:
    name: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a mailbox at present, and what that means for the work."""

    mailbox: str
    sentence: str
    meaning: str


def views_for(rights: Rights) -> tuple[View, ...]:
    return tuple(view for view in VIEWS if rights.restricted or not view.restricted)


def chosen(slug: str, rights: Rights) -> View:
    """An unknown view is answered with the first: an old bookmark still leads to work."""
    return next((view for view in views_for(rights) if view.slug == slug), VIEWS[0])


def links(rights: Rights, current: View) -> list[ViewLink]:
    views = views_for(rights)
    counts = access.mails(rights).aggregate(**{view.slug: Count("pk", filter=view.where(rights)) for view in views})
    return [ViewLink(view, counts[view.slug], view is current) for view in views]


def page_of(rights: Rights, view: View, filters: Filters, number: str) -> Page[Mail]:
    rows = access.mails(rights).filter(
        view.where(rights, states=not filters.state and not filters.case), filters.where()
    )
    rows = rows.select_related("mailbox", "case", "assignee").defer("raw", "understanding")
    newest_first = view.states == (MailState.SENT,) or bool(filters.case)
    ordered = rows.order_by("-received_at", "-pk") if newest_first else rows.order_by("received_at", "pk")
    return Paginator(ordered, PAGE).get_page(number)


def neighbours(rights: Rights, mail: Mail) -> tuple[int | None, int | None]:
    """The open mails that came just before and just after this one."""
    others = access.mails(rights).filter(VIEWS[0].where(rights)).exclude(pk=mail.pk)
    return (
        _first(others.filter(received_at__lte=mail.received_at).order_by("-received_at", "-pk")),
        _first(others.filter(received_at__gt=mail.received_at).order_by("received_at", "pk")),
    )


def _first(rows: QuerySet[Mail]) -> int | None:
    return rows.values_list("pk", flat=True).first()


def days(rows: Page[Mail], rights: Rights, pack: RulePack) -> list[Day]:
    now = timezone.now()
    shown = groupby(rows, key=lambda mail: timezone.localtime(mail.received_at).date())
    today = timezone.localtime(now).date()
    return [Day(_day(day, today), tuple(row(mail, rights, pack, now) for mail in mails)) for day, mails in shown]


def _day(day: date, today: date) -> str:
    name = date_format(day, "l j F" if day.year == today.year else "l j F Y")
    special = {today: _("Today"), today - timedelta(days=1): _("Yesterday")}.get(day)
    return f"{special}, {name}" if special else name


def row(mail: Mail, rights: Rights, pack: RulePack, now: datetime) -> Row:
    message = message_of(mail)
    closed = access.is_restricted(mail)
    intent = pack.intents.get(mail.intent)
    return Row(
        mail=mail,
        received=words.clock(mail.received_at),
        age=words.span(now - mail.received_at),
        sender=sender_of(message),
        language_name=words.LANGUAGES.get(mail.language, ""),
        subject="" if closed else without_ids(message.subject),
        snippet="" if closed else snippet(message.reply_text),
        reasons=", ".join(words.plain(reason) for reason in mail.reasons),
        intent=intent.title if intent else "",
        percent=words.percent(mail.confidence),
        state=words.STATES[mail.state],
        who=words.name_of(mail.assignee),
        initials=words.initials(words.name_of(mail.assignee)),
        mine=mail.assignee_id == rights.person.pk,
        attachments=bool(message.attachments),
        hidden_text=bool(message.hidden_text),
        closed_to_lists=closed,
    )


def snippet(text: str) -> str:
    """The first words on one line. Numbers are masked before it is cut, or half a number would stay readable."""
    return " ".join(without_ids(text[:2_000]).split())[:SNIPPET]


def faults(rights: Rights) -> Iterator[Fault]:
    now = timezone.now()
    for mailbox in rights.mailboxes:
        if mailbox.fault:
            since = words.moment(mailbox.fault_since or now, now)
            meaning = _("Since %(since)s. Mail already taken in can be worked on.") % {"since": since}
            yield Fault(mailbox.name, mailbox.fault, meaning)
        if mailbox.write_back_fault:
            meaning = _("The mailbox itself does not show how far its mail has come. Reading and sending go on.")
            yield Fault(mailbox.name, mailbox.write_back_fault, meaning)
    for silent in silence.of([mailbox.name for mailbox in rights.mailboxes], now):
        yield Fault(silent.mailbox, silent.sentence, _("Mail already taken in can be worked on."))


def not_taken_in(rights: Rights) -> list[again.NotTakenIn]:
    """Mail that lies in a mailbox and could not be taken in; nobody sees it unless it is told here."""
    return list(again.not_taken_in(rights.mailboxes))


def query(view: View, filters: Filters, **changes: str) -> str:
    """The address of this list with one thing changed."""
    parts = {"view": view.slug, **{name: getattr(filters, name) for name in Filters.__slots__}, **changes}
    return "?" + urlencode({name: value for name, value in parts.items() if value})


def around(rights: Rights, view: View, pack: RulePack) -> dict[str, Any]:
    """What stands beside and above the rows."""
    return {
        "links": links(rights, view),
        "mailboxes": rights.mailboxes,
        "faults": list(faults(rights)),
        "not_taken_in": not_taken_in(rights),
        "languages": words.LANGUAGES.items(),
        "intents": [(name, intent.title) for name, intent in pack.intents.items()],
        "states": words.STATES.items(),
    }
