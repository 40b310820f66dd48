"""Whether what a draft says and what the evidence holds are the same value, or one a part of the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from rules.grounding.meaning import (
    Between,
    Clock,
    Day,
    Days,
    Hours,
    Law,
    Meaning,
    Measure,
    Money,
    Percent,
    Phone,
    State,
    Words,
)

NEAR = timedelta(days=366)
"""A date without a year is read as the one that lies within a year of now."""


def same(said: Meaning, held: Meaning, now: datetime) -> bool:
    """Whether what a draft says is what the evidence holds. Not symmetric: a draft may leave out a year or a prefix."""
    rule = _SAME.get((type(said), type(held)))
    return rule is not None and rule(said, held, now)


def told_by(said: Meaning, held: Meaning, now: datetime) -> bool:
    """Whether the evidence holds what is said, perhaps as a part: one end of a period, a month, a length of time."""
    rule = _PART_OF.get((type(said), type(held)))
    return same(said, held, now) or (rule is not None and rule(said, held, now))


def _same_day(said: Day, held: Day, now: datetime) -> bool:
    if (said.month, said.day) != (held.month, held.day):
        return False
    day = held.date
    if said.weekday is not None and (day is None or held.year is None or day.weekday() != said.weekday):
        return held.year is None and said.weekday == held.weekday
    if said.year is not None or held.year is None:
        return said.year == held.year
    return day is not None and abs(day - now.date()) <= NEAR


def _an_end(said: Day, held: Days, now: datetime) -> bool:
    return _same_day(said, held.first, now) or _same_day(said, held.last, now)


def _same_days(said: Days, held: Days, now: datetime) -> bool:
    return _same_day(said.first, held.first, now) and _same_day(said.last, held.last, now)


def _month_or_year_of(said: Days, held: Day | Days, now: datetime) -> bool:
    days = (held,) if isinstance(held, Day) else (held.first, held.last)
    return said.one_unit and all(_within(said, day) for day in days)


def _within(said: Days, held: Day) -> bool:
    if said.first.year is None:
        held = replace(held, year=None)
    first, day, last = said.first.date, held.date, said.last.date
    return first is not None and day is not None and last is not None and first <= day <= last


def _lasts(said: Measure, held: Days) -> bool:
    """A length of time against a date pair; whether the last day counts is left open, as people do."""
    first, last = held.first.date, held.last.date
    if first is None or last is None:
        return False
    amount, unit = said.base
    if unit == "d":
        return amount in ((last - first).days, (last - first).days + 1)
    ends = (last, last + timedelta(days=1))
    return unit == "month" and any(
        amount == (end.year - first.year) * 12 + end.month - first.month and end.day == first.day for end in ends
    )


def _same_hours(said: Between, held: Hours) -> bool:
    """`9–12`, where nothing says that hours are meant."""
    if not isinstance(said.low, Measure) or not isinstance(said.high, Measure) or said.low.unit or said.high.unit:
        return False
    return said.low.number * 60 == held.opens.minute and said.high.number * 60 == held.closes.minute


def _same_money(said: Money, held: Money) -> bool:
    comparable = said.currencies & held.currencies or not (said.currencies and held.currencies)
    return said.amount == held.amount and bool(comparable)


def _same_measure(said: Measure, held: Measure) -> bool:
    return said.base == held.base or (said.number == held.number and not (said.unit and held.unit))


def _same_phone(said: Phone, held: Phone) -> bool:
    return said.digits == held.digits and (not said.country or not held.country or said.country == held.country)


def _same_law(said: Law, held: Law) -> bool:
    def agrees(one: str, other: str) -> bool:
        return not one or not other or one == other

    return (
        (said.section, said.chapter) == (held.section, held.chapter)
        and said.part in ("", held.part)
        and agrees(said.act, held.act)
    )


def _same_words(said: Words, held: Words) -> bool:
    return said.runs == held.runs or _same_identifier(said.runs, held.runs)


def _same_identifier(said: tuple[str, ...], held: tuple[str, ...]) -> bool:
    """`2026-123` is `BN 2026-123` without its prefix; `MN 2026-123` is another case."""
    if said[-1:] != held[-1:]:
        return False
    (said_prefix, said_core), (held_prefix, held_core) = _at_first_number(said), _at_first_number(held)
    if said_core != held_core or sum(map(len, said_core)) < 4:
        return False
    shorter, longer = sorted((said_prefix, held_prefix), key=len)
    return not shorter or longer[-len(shorter) :] == shorter


def _at_first_number(runs: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    at = next((at for at, run in enumerate(runs) if run.isdigit()), len(runs))
    return runs[:at], runs[at:]


def _equal(said: Meaning, held: Meaning, now: datetime) -> bool:
    return said == held


Rule = Callable[[Any, Any, datetime], bool]

_SAME: Mapping[tuple[type, type], Rule] = {
    (Day, Day): _same_day,
    (Days, Days): _same_days,
    (Clock, Clock): _equal,
    (Hours, Hours): _equal,
    (Between, Hours): lambda said, held, now: _same_hours(said, held),
    (Money, Money): lambda said, held, now: _same_money(said, held),
    (Measure, Measure): lambda said, held, now: _same_measure(said, held),
    (Measure, Words): lambda said, held, now: not said.unit and held.runs == (f"{said.number:f}",),
    (Percent, Percent): _equal,
    (Between, Between): lambda said, held, now: same(said.low, held.low, now) and same(said.high, held.high, now),
    (Law, Law): lambda said, held, now: _same_law(said, held),
    (Phone, Phone): lambda said, held, now: _same_phone(said, held),
    (State, State): _equal,
    (Words, Words): lambda said, held, now: _same_words(said, held),
}
"""What can be compared with what; anything else is never the same."""

_PART_OF: Mapping[tuple[type, type], Rule] = {
    (Day, Days): _an_end,
    (Days, Day): _month_or_year_of,
    (Days, Days): _month_or_year_of,
    (Clock, Hours): lambda said, held, now: said in (held.opens, held.closes),
    (Measure, Days): lambda said, held, now: _lasts(said, held),
}
