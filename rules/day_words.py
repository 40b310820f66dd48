"""Days that a mail names by words ("i övermorgon", "ensi torstaina", "next week"), resolved against its own date.

The words come from the mail, so a resolved day is only ever a hint for a reader and a key; it decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from rules.plain_text import plain_text

_MOST_CHARACTERS = 100_000
_MOST_DAYS = 50


@dataclass(frozen=True, slots=True)
class NamedDay:
    """`value` is a day, `2026-11-27`, or a week from Monday to Sunday, `2026-11-23/2026-11-29`."""

    text: str
    value: str


@dataclass(frozen=True, slots=True)
class _Words:
    """Patterns of one language. Weekdays from Monday on; `{day}` stands for any of them."""

    days: dict[str, int]
    """Words for one day, and how far it is from today."""
    weekdays: tuple[str, ...]
    coming: str
    next: str
    """The weekday of the next calendar week; in Finnish the next one to come."""
    last: str
    this_week: str
    next_week: str
    last_week: str
    ahead: str
    """So many days or weeks from now: groups `count`, and `week` when they are weeks."""
    of_month: str
    """A day of the month without its month: group `day`."""
    numbers: tuple[str, ...]
    """One to ten."""


_LANGUAGES = {
    "sv": _Words(
        {"i ?dag": 0, "i ?morgon": 1, "i ?övermorgon": 2, "i ?går": -1, "i ?förrgår": -2},
        ("måndag", "tisdag", "onsdag", "torsdag", "fredag", "lördag", "söndag"),
        r"(?:nu )?på {day}(?:en)?",
        r"nästa {day}",
        r"i {day}s|förra {day}en",
        r"(?:den )?(?:här|denna) veckan?",
        r"nästa vecka",
        r"(?:förra|i förra) veckan",
        r"om (?P<count>\d{1,2}|[a-zåäö]{2,6}) (?:dag(?:ar)?|(?P<week>veck(?:a|or)))",
        r"den (?P<day>\d{1,2})(?::[ea]|\.)(?! ?(?:\d|jan|feb|mar|apr|maj|jun|jul|aug|sep|okt|nov|dec))",
        ("e(?:n|tt)", "två", "tre", "fyra", "fem", "sex", "sju", "åtta", "nio", "tio"),
    ),
    "fi": _Words(
        {"tänään": 0, "huomenna": 1, "ylihuomenna": 2, "eilen": -1, "toissapäivänä": -2},
        ("maanantai", "tiistai", "keskiviikko", "torstai", "perjantai", "lauantai", "sunnuntai"),
        r"(?:tulevana )?{day}na",
        r"ensi {day}na",
        r"viime {day}na",
        r"tällä viikolla",
        r"ensi viikolla",
        r"viime viikolla",
        r"(?P<count>\d{1,2}|[a-zåäö]{3,10}) (?:päivän|(?P<week>viikon)) (?:päästä|kuluttua)",
        r"(?P<day>\d{1,2})\. päivä(?:nä)?(?!\w)",
        ("yhden", "kahden", "kolmen", "neljän", "viiden", "kuuden", "seitsemän", "kahdeksan", "yhdeksän", "kymmenen"),
    ),
    "nb": _Words(
        {"i ?dag": 0, "i ?morgen|i ?morgon": 1, "i ?overmorgen|i overmorgon": 2, "i ?går": -1, "i ?forgårs": -2},
        ("mandag|måndag", "tirsdag|tysdag", "onsdag", "torsdag", "fredag", "lørdag|laurdag", "søndag|sundag"),
        r"(?:nå )?på {day}|førstkommende {day}",
        r"neste {day}",
        r"sist {day}|forrige {day}|i {day}s",
        r"denne (?:uk[ea]|veka)",
        r"neste (?:uke|veke)",
        r"(?:forrige|sist(?:e)?) (?:uke|veke)",
        r"om (?P<count>\d{1,2}|[a-zæøå]{2,6}) (?:dag(?:er|ar)?|(?P<week>uker?|veker?))",
        r"den (?P<day>\d{1,2})\.(?! ?(?:\d|jan|feb|mar|apr|mai|jun|jul|aug|sep|okt|nov|des))",
        ("ei?n|et|ett|éi", "to", "tre", "fire", "fem", "seks", "sju|syv", "åtte", "ni", "ti"),
    ),
    "da": _Words(
        {"i ?dag": 0, "i ?morgen": 1, "i ?overmorgen": 2, "i ?går": -1, "i ?forgårs": -2},
        ("mandag", "tirsdag", "onsdag", "torsdag", "fredag", "lørdag", "søndag"),
        r"(?:nu )?på {day}|førstkommende {day}",
        r"næste {day}",
        r"sidste {day}|i {day}s|forrige {day}",
        r"denne uge",
        r"næste uge",
        r"(?:sidste|forrige) uge",
        r"om (?P<count>\d{1,2}|[a-zæøå]{2,6}) (?:dage?|(?P<week>uger?))",
        r"den (?P<day>\d{1,2})\.(?! ?(?:\d|jan|feb|mar|apr|maj|jun|jul|aug|sep|okt|nov|dec))",
        ("en|et", "to", "tre", "fire", "fem", "seks", "syv", "otte", "ni", "ti"),
    ),
    "en": _Words(
        {"today": 0, "the day after tomorrow": 2, "tomorrow": 1, "the day before yesterday": -2, "yesterday": -1},
        ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        r"(?:on|this|this coming) {day}",
        r"next {day}",
        r"last {day}",
        r"this week",
        r"next week",
        r"last week",
        r"in (?P<count>\d{1,2}|[a-z]{1,5}) (?:days?|(?P<week>weeks?))",
        r"(?:on )?the (?P<day>\d{1,2})(?:st|nd|rd|th)"
        r"(?! (?:of|floor|grade|birthday|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))",
        ("an?|one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    ),
}


def named_days(text: str, language: str, today: date) -> tuple[NamedDay, ...]:
    """Every day that is named so, in order, each once. `today`: the date of the mail."""
    words = _LANGUAGES.get(language)
    if words is None:
        return ()
    plain = plain_text(text[:_MOST_CHARACTERS])
    places: dict[tuple[int, int], NamedDay] = {}
    for start, end, value in _found(plain.text, words, language, today):
        if len(places) == _MOST_DAYS:
            break
        if not any(start < other_end and other_start < end for other_start, other_end in places):
            places[start, end] = NamedDay(plain.written(start, end), value)
    return tuple(dict.fromkeys(places[place] for place in sorted(places)))


def _found(text: str, words: _Words, language: str, today: date) -> Iterator[tuple[int, int, str]]:
    """The longer forms first: "next Friday" is not "Friday"."""
    monday = today - timedelta(today.weekday())
    for weeks, pattern in ((1, words.next_week), (-1, words.last_week), (0, words.this_week)):
        first = monday + timedelta(weeks=weeks)
        for match in _all(pattern, text):
            yield *match.span(), f"{first}/{first + timedelta(6)}"
    for number, weekday in enumerate(words.weekdays):
        to_come = (number - today.weekday() - 1) % 7 + 1
        next_one = to_come if language == "fi" else 7 - today.weekday() + number
        ago = (today.weekday() - number - 1) % 7 + 1
        for pattern, distance in ((words.next, next_one), (words.last, -ago), (words.coming, to_come)):
            for match in _all(pattern.replace("{day}", f"(?:{weekday})"), text):
                yield *match.span(), str(today + timedelta(distance))
    for pattern, distance in words.days.items():
        for match in _all(pattern, text):
            yield *match.span(), str(today + timedelta(distance))
    for match in _all(words.ahead, text):
        if count := _count(match["count"], words.numbers):
            yield *match.span(), str(today + timedelta(count * (7 if match["week"] else 1)))
    for match in _all(words.of_month, text):
        if day := _next_of_month(int(match["day"]), today):
            yield *match.span(), str(day)


def _all(pattern: str, text: str) -> Iterator[re.Match[str]]:
    return re.finditer(rf"(?<!\w)(?:{pattern})(?!\w)", text, re.IGNORECASE)


def _count(written: str, numbers: tuple[str, ...]) -> int:
    if written.isdecimal():
        return int(written)
    fits = (place for place, number in enumerate(numbers, 1) if re.fullmatch(number, written, re.IGNORECASE))
    return next(fits, 0)


def _next_of_month(day: int, today: date) -> date | None:
    """The next such day, today included; some months are too short for it."""
    for ahead in range(62):
        found = today + timedelta(ahead)
        if found.day == day:
            return found
    return None
