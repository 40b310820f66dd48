"""How the machine's judgements change from week to week: read in two questions to the database, drawn as plain bars.

Everything is counted over the mails that the person may see, and from what the model said before anybody corrected it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncWeek
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from review_ui import access, words
from review_ui.access import Rights
from rules.drift import WEEKS_BEFORE, Against, Mean, Share, mean_against, share_against
from rules.pack import RulePack
from worker.models import Correction, Mail
from worker.understanding import versions

SHOWN = 12
MOST_WARNINGS = 8
BAR, GAP, TALL = 8, 2, 40
"""Of a chart, in its own units."""


@dataclass(frozen=True, slots=True)
class Week:
    """What the model said of the mails that came in one week."""

    starts: datetime
    mails: int = 0
    abstained: int = 0
    confidence: float = 0.0
    variance: float = 0.0
    corrected: int = 0
    intents: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return _("week %(number)s") % {"number": self.starts.isocalendar().week}

    @property
    def monday(self) -> str:
        return date_format(self.starts, "j M").replace(" ", "\u00a0")


@dataclass(frozen=True, slots=True)
class Bar:
    x: int
    y: float
    height: float
    off: bool
    says: str


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    off: bool


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure over the weeks."""

    title: str
    about: str
    bars: tuple[Bar, ...]
    top: str
    newest: str
    usual: str
    off: str
    """Which of the last two weeks lie off."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Notable:
    """A week that lies off, in a sentence."""

    errors: float
    sentence: str


def page(rights: Rights, pack: RulePack, now: datetime) -> dict[str, Any]:
    """Everything the page shows, by the names its template uses."""
    weeks = read(access.mails(rights), now)
    of_all = list(_of_all())
    of_intents = list(_of_intents(weeks, pack))
    found = [warning for one in (*of_all, *of_intents) for warning in one.warnings(weeks)]
    found.sort(key=lambda one: -abs(one.errors))
    shown = weeks[-SHOWN:]
    return {
        "weeks": shown,
        "mails": sum(week.mails for week in shown),
        "comparable": any(one.compared(weeks, place) for one in of_all for place in newest(weeks)),
        "measures": [one.drawn(weeks) for one in of_all],
        "intents": [one.drawn(weeks) for one in of_intents],
        "warnings": [one.sentence for one in found[:MOST_WARNINGS]],
        "more_warnings": max(0, len(found) - MOST_WARNINGS),
        "choices": list(_choices(shown[0].starts, now)),
    }


def newest(weeks: Sequence[Week]) -> tuple[int, int]:
    """The places of the last whole week and the present one: what is older has been seen."""
    return len(weeks) - 2, len(weeks) - 1


# --- reading ----------------------------------------------------------------------------------------------------------


def read(mails: QuerySet[Mail], now: datetime) -> list[Week]:
    """The weeks that are shown and those before them, oldest first; the last is the present one, so far."""
    monday = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    monday -= timedelta(days=monday.weekday())
    starts = [monday - timedelta(weeks=n) for n in reversed(range(SHOWN + WEEKS_BEFORE))]
    judged = mails.filter(received_at__gte=starts[0]).exclude(guessed_intent="")
    said = judged.annotate(week=TruncWeek("received_at")).values("week", "guessed_intent")
    rows = said.annotate(
        mails=Count("pk"),
        abstained=Count("pk", filter=Q(guessed_abstained=True)),
        total=Sum("confidence"),
        squares=Sum(F("confidence") * F("confidence")),
    )
    confirmed = Q(before=F("after"))
    corrections = Correction.objects.filter(~confirmed, mail__in=judged.values("pk"))
    corrected = corrections.annotate(week=TruncWeek("mail__received_at")).values("week")
    corrected_in = {row["week"].date(): row["n"] for row in corrected.annotate(n=Count("mail", distinct=True))}
    of_week: dict[date, list[dict[str, Any]]] = {}
    for row in rows:
        of_week.setdefault(row["week"].date(), []).append(dict(row))
    return [_week(start, of_week.get(start.date(), []), corrected_in.get(start.date(), 0)) for start in starts]


def _week(start: datetime, rows: Sequence[Mapping[str, Any]], corrected: int) -> Week:
    mails = sum(row["mails"] for row in rows)
    if not mails:
        return Week(start)
    mean = sum(row["total"] or 0.0 for row in rows) / mails
    squares = sum(row["squares"] or 0.0 for row in rows) / mails
    return Week(
        starts=start,
        mails=mails,
        abstained=sum(row["abstained"] for row in rows),
        confidence=mean,
        variance=max(0.0, squares - mean**2),
        corrected=corrected,
        intents={row["guessed_intent"]: row["mails"] for row in rows},
    )


def _choices(since: datetime, now: datetime) -> Iterator[str]:
    """Versions of the model that were put to use meanwhile: a change on that day is no drift."""
    for choice in versions.history(Path(settings.DATA)):
        try:
            at = datetime.fromisoformat(choice.at)
        except ValueError:
            continue
        if at.tzinfo is not None and at >= since:
            name = choice.version[: versions.NAME_LENGTH]
            yield _("%(when)s: version %(name)s, by %(who)s") % {
                "when": words.moment(at, now),
                "name": name,
                "who": choice.by,
            }


# --- measures ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Figure:
    """How a measure is read from a week and compared with others."""

    title: str
    about: str
    value: Callable[[Week], float]
    against: Callable[[Week, Sequence[Week]], Against | None]
    highest: float | None = None
    only_rising: bool = False

    def compared(self, weeks: Sequence[Week], place: int) -> Against | None:
        return self.against(weeks[place], weeks[max(0, place - WEEKS_BEFORE) : place])

    def is_off(self, found: Against | None) -> bool:
        return found is not None and found.is_off and not (self.only_rising and found.errors < 0)

    def warnings(self, weeks: Sequence[Week]) -> Iterator[Notable]:
        for place in newest(weeks):
            found = self.compared(weeks, place)
            if found and self.is_off(found):
                yield Notable(found.errors, self._warning(weeks[place], found))

    def _warning(self, week: Week, found: Against) -> str:
        said = {
            "week": week.name.capitalize(),
            "what": self.title,
            "now": percent(self.value(week)),
            "mails": week.mails,
            "usual": percent(found.usual),
            "errors": f"{abs(found.errors):.1f}",
        }
        return (
            _(
                "%(week)s, %(what)s: %(now)s of %(mails)s mails, in the eight weeks before %(usual)s "
                "(%(errors)s standard errors away)."
            )
            % said
        )

    def drawn(self, weeks: Sequence[Week]) -> Measure:
        places = range(len(weeks) - SHOWN, len(weeks))
        found = [self.compared(weeks, place) for place in places]
        offs = [self.is_off(one) for one in found]
        shown = weeks[-SHOWN:]
        top = self.highest or max((self.value(week) for week in shown if week.mails), default=0.0) or 1.0
        last = _last_with_mail(shown)
        return Measure(
            title=self.title,
            about=self.about,
            bars=tuple(_bar(n, week, self.value(week), top, offs[n]) for n, week in enumerate(shown)),
            top=percent(top),
            newest=percent(self.value(shown[last])) if shown[last].mails else "–",
            usual=percent(one.usual) if (one := found[last]) else "–",
            off=", ".join(week.name for week, off in zip(shown[-2:], offs[-2:], strict=True) if off),
            cells=tuple(
                Cell(percent(self.value(week)) if week.mails else "–", off)
                for week, off in zip(shown, offs, strict=True)
            ),
        )


def _last_with_mail(weeks: Sequence[Week]) -> int:
    return next((n for n in reversed(range(len(weeks))) if weeks[n].mails), len(weeks) - 1)


def _bar(number: int, week: Week, value: float, top: float, off: bool) -> Bar:
    height = round(TALL * min(1.0, value / top), 1) if week.mails else 0.0
    said = percent(value) if week.mails else _("no mail")
    return Bar(number * (BAR + GAP), round(TALL - height, 1), height, off, f"{week.name}: {said}")


def percent(share: float) -> str:
    return f"{100 * share:.1f}\u00a0%"


def _share(title: str, about: str, hits: Callable[[Week], int], *, only_rising: bool = False) -> _Figure:
    def share(week: Week) -> Share:
        return Share(hits(week), week.mails)

    return _Figure(
        title,
        about,
        lambda week: share(week).value,
        lambda week, before: share_against(share(week), [share(one) for one in before]),
        only_rising=only_rising,
    )


def _of_all() -> Iterator[_Figure]:
    yield _share(
        _("abstained"), _("Mail of which the machine did not know what it was about."), lambda week: week.abstained
    )
    yield _Figure(
        _("mean confidence"),
        _("How sure the machine was of what it said."),
        lambda week: week.confidence,
        lambda week, before: mean_against(_mean(week), [_mean(one) for one in before if one.mails]),
        highest=1.0,
    )
    yield _share(
        _("corrected"),
        _("Mail in which a reviewer corrected something. That comes later, so the newest weeks look lower."),
        lambda week: week.corrected,
        only_rising=True,
    )


def _mean(week: Week) -> Mean:
    return Mean(week.confidence, week.variance, week.mails)


def _of_intents(weeks: Sequence[Week], pack: RulePack) -> Iterator[_Figure]:
    """The commonest first. An intent that has left the pack is still counted."""
    counts: dict[str, int] = dict.fromkeys(pack.intents, 0)
    for week in weeks:
        for intent, count in week.intents.items():
            counts[intent] = counts.get(intent, 0) + count
    for intent in sorted(counts, key=lambda intent: (-counts[intent], intent)):
        title = pack.intents[intent].title if intent in pack.intents else words.plain(intent)
        yield _share(title, "", _count_of(intent))


def _count_of(intent: str) -> Callable[[Week], int]:
    return lambda week: week.intents.get(intent, 0)
