"""Dates, periods and times as each of the five languages writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from rules.grounding.meaning import Clock, Day, Days, Found, Hours, month_end
from rules.grounding.pattern import ALONE, DASH, GAP, TO, UP_TO, Finder
from rules.grounding.words import FI_MONTH_STEM, MONTH, MONTH_NAMES, MONTH_STARTS, WEEKDAY, WEEKDAY_STARTS, fold
from rules.values import Kind

_YEAR = r"(?:19|20)\d\d(?!\d|[-/:]\d)"


def _month(text: str, language: str) -> int:
    return MONTH_STARTS[language].index(fold(text[:3])) + 1


def _weekday(text: str | None, language: str) -> int | None:
    return WEEKDAY_STARTS[language].index(fold(text[:2])) if text else None


def date_finders(language: str) -> Iterator[Finder]:
    month, weekday = MONTH[language], WEEKDAY[language]
    flags = re.NOFLAG if language == "en" else re.IGNORECASE
    before = rf"(?<!\w)(?:(?P<weekday>{weekday}),?{GAP}(?:(?:den|the|d\.){GAP})?)?(?<![\d.,:/])(?<![^\W\d]-)"
    day = r"(?P<d>[0-3]?\d)"
    year = rf"(?:,?{GAP}(?P<y>{_YEAR}))?"
    patterns = [
        rf"{ALONE}(?P<y>(?:19|20)\d\d)-(?P<m>[01]\d)-(?P<d>[0-3]\d)(?![\w]|-\d)",
        rf"{before}{day}(?:st|nd|rd|th|:e|\.)?{GAP}?(?:of )?(?P<month>{month})(?!\w){year}",
        rf"{before}{day}\.(?P<m>[01]?\d)\. ?(?P<y>{_YEAR})",
        rf"{before}{day}\.(?P<m>[01]?\d)\.(?!\d)",
        rf"{before}{day}/(?P<m>[01]?\d)(?:[/ -](?P<y>{_YEAR}))?(?![\d/:-])",
        rf"{before}{day}-(?P<m>[01]\d)-(?P<y>{_YEAR})",
    ]
    if language == "en":
        patterns.append(rf"{before}(?P<month>{month}){GAP}{day}(?:st|nd|rd|th)?(?!\w|[.:]\d){year}")
    for pattern in patterns:
        yield Finder(Kind.DATE, re.compile(pattern, flags), _day)
    yield from _month_finders(language, flags)


def _day(match: re.Match[str], language: str) -> Day | None:
    parts = match.groupdict()
    written = parts.get("month") or ""
    if written and _begins_a_sentence(match, written, language):
        return None
    month = _month(written, language) if written else int(parts["m"])
    year = int(parts["y"]) if parts.get("y") else None
    day = Day(month, int(parts["d"]), year, _weekday(parts.get("weekday"), language))
    return day if 1 <= month <= 12 and day.date else None


def _begins_a_sentence(match: re.Match[str], month: str, language: str) -> bool:
    """`klo 10–18. Toukokuun alusta …` is no date; nor is `18 toukokuun`, in a case that dates do not take."""
    before = match.string[match.start("d") : match.start("month")]
    in_no_date_case = language == "fi" and not re.search(r"(?:kuuta|k\.)\Z", month, re.IGNORECASE)
    return in_no_date_case or (language != "en" and "." in before and month[0].isupper())


_EN_BEFORE_MONTH = r"(?:(?<=in |by |of |on )|(?<=from |till )|(?<=until )|(?<=during ))"
"""`May` and `March` alone are also verbs."""


def _month_finders(language: str, flags: re.RegexFlag) -> Iterator[Finder]:
    """Months in a row, a month with its year, a month alone, a year alone."""
    month = MONTH[language]
    first, to = (rf"{FI_MONTH_STEM}|{month}", GAP) if language == "fi" else (month, rf" (?:{TO}) ")
    alone = _EN_BEFORE_MONTH if language == "en" else ""
    may = "" if language == "fi" else f"|{MONTH_NAMES[language][4]}"
    year = rf"{GAP}(?P<y>{_YEAR})"
    for pattern in (
        rf"(?<!\w)(?P<a>{first})(?: ?{DASH} ?|{to})(?P<b>{month})(?!\w)(?:{year})?",
        rf"(?<!\w)(?P<a>{month})(?!\w){year}",
        rf"(?<!\w){alone}(?P<a>(?!\w{{3}}\b){month}{may})(?!\w)",
    ):
        yield Finder(Kind.PERIOD, re.compile(pattern, flags), _months)
    money = r"(?![\w%§]| ?(?:kr|SEK|NOK|DKK|EUR|€))"
    yield Finder(Kind.PERIOD, re.compile(rf"{ALONE}{_YEAR}{money}"), _year)


def _months(match: re.Match[str], language: str) -> Days | None:
    parts = match.groupdict()
    first = _month(parts["a"], language)
    last = _month(parts.get("b") or parts["a"], language)
    year = int(parts["y"]) if parts.get("y") else None
    ends = Day(last, month_end(year, last), year)
    return Days(Day(first, 1, year), ends)


def _year(match: re.Match[str], language: str) -> Days:
    year = int(match[0])
    return Days(Day(1, 1, year), Day(12, 31, year))


_JOINED = re.compile(
    rf"(?: ?{DASH} ?|{GAP}(?:{TO}|till och med|til og med|t\.o\.m\.|tom|until|through|och|and|og|ja)"
    rf"{GAP})(?:(?:den|the) )?"
)
_FIRST_DAY = re.compile(rf"(?<![\w.,:/-])(\d{{1,2}})\.?(?: ?{DASH} ?|{GAP}(?:{TO}|and|och|og|ja){GAP})\Z")


def periods(flat: str, values: list[Found]) -> list[Found]:
    """Puts two dates that belong together into one period: `4–7 november`, `1 juli till 30 september 2026`."""
    joined: list[Found] = []
    for value in values:
        whole = _joined(flat, joined[-1:], value) or _with_first_day(flat, joined[-2:], value) or value
        while joined and joined[-1].start >= whole.start:
            joined.pop()
        joined.append(whole)
    return joined


def _joined(flat: str, before: list[Found], value: Found) -> Found | None:
    if not before or not isinstance(first := before[-1].meaning, Day) or not isinstance(value.meaning, Day):
        return None
    joint = _JOINED.fullmatch(flat, before[-1].end, value.start)
    if joint is None or (_and(joint[0]) and not _BETWEEN.search(flat, max(0, before[-1].start - 12), before[-1].start)):
        return None
    if first.year is None:
        first = replace(first, year=value.meaning.year)
    return Found(before[-1].start, value.end, Kind.PERIOD, Days(first, value.meaning))


_BETWEEN = re.compile(r"(?:mellan|mellom|mellem|between)(?: den)? \Z", re.IGNORECASE)


def _and(joint: str) -> bool:
    return joint.split()[:1] in (["och"], ["og"], ["and"], ["ja"])


def _with_first_day(flat: str, before: list[Found], value: Found) -> Found | None:
    """The first day was read as a bare number, or not at all."""
    if not isinstance(value.meaning, Day) or value.meaning.weekday is not None:
        return None
    floor = max([value.start - 16, 0, *(other.end for other in before if other.kind is not Kind.QUANTITY)])
    match = _FIRST_DAY.search(flat, floor, value.start)
    if match is None or not 1 <= int(match[1]) < value.meaning.day:
        return None
    joint = match[0][len(match[1]) :].lstrip(".")
    if _and(joint) and not _BETWEEN.search(flat, max(0, match.start() - 12), match.start()):
        return None
    return Found(match.start(), value.end, Kind.PERIOD, Days(replace(value.meaning, day=int(match[1])), value.meaning))


def time_finders(language: str) -> Iterator[Finder]:
    hour = r"(?:[01]?\d|2[0-4])"
    prefix = r"(?<!\w)(?:kl\.?|klo|kello|klockan|klokken|klokka)[ \n]?"
    first = rf"(?P<h1>{hour})(?:[.:](?P<m1>[0-5]\d))?"
    second = rf"(?:kl\.? )?(?P<h2>{hour})(?:[.:](?P<m2>[0-5]\d))?"
    clock = rf"{first}(?:{UP_TO}{second})?(?![\w:%]|[.,]\d)"
    yield Finder(Kind.TIME, re.compile(rf"{prefix}(?P<all>{clock})", re.IGNORECASE), _time, "all")
    if language == "en":
        half = r"[ap]\.?m\b\.?"
        noon = r"midday|noon|midnight"
        one = rf"(?:(?P<h1>1?\d)(?:[.:](?P<m1>[0-5]\d))? ?(?P<p1>{half})?|(?P<n1>{noon}))"
        two = rf"(?:(?P<h2>1?\d)(?:[.:](?P<m2>[0-5]\d))? ?(?P<p2>{half})|(?P<n2>{noon}))"
        yield Finder(Kind.TIME, re.compile(rf"{ALONE}(?:{one}{UP_TO}{two})(?!\w)", re.IGNORECASE), _english_time)
        alone = rf"(?:(?P<h1>1?\d)(?:[.:](?P<m1>[0-5]\d))? ?(?P<p1>{half})|(?P<n1>{noon}))"
        yield Finder(Kind.TIME, re.compile(rf"{ALONE}{alone}(?!\w)", re.IGNORECASE), _english_time)
    mark = ":" if language == "en" else "[.:]"
    both = rf"(?P<h1>{hour}){mark}(?P<m1>[0-5]\d)(?:{UP_TO}(?:kl\.? )?(?P<h2>{hour}){mark}(?P<m2>[0-5]\d))?"
    yield Finder(Kind.TIME, re.compile(rf"{ALONE}{both}(?![\w:%]|[.,/–-]\d)"), _time)


def _clock(hour: str, minute: str | None, half: str = "") -> Clock | None:
    hours = int(hour)
    if half:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if half[0] in "pP" else 0)
    return Clock(hours * 60 + int(minute or 0)) if hours * 60 + int(minute or 0) <= 24 * 60 else None


def _time(match: re.Match[str], language: str) -> Clock | Hours | None:
    opens = _clock(match["h1"], match["m1"])
    if opens is None or not match["h2"]:
        return opens
    closes = _clock(match["h2"], match["m2"])
    return closes and Hours(opens, closes)


_NAMED = {"midday": Clock(12 * 60), "noon": Clock(12 * 60), "midnight": Clock(0)}


def _english_time(match: re.Match[str], language: str) -> Clock | Hours | None:
    """`9 to 11am`: a first time without its half has that of the second."""
    parts = match.groupdict()

    def one(number: str) -> Clock | None:
        if named := parts.get(f"n{number}"):
            return _NAMED[fold(named)]
        half = parts.get(f"p{number}") or parts.get("p2") or ("pm" if parts.get("n2") else "")
        return _clock(parts[f"h{number}"], parts[f"m{number}"], half)

    opens = one("1")
    if opens is None or "h2" not in parts:
        return opens
    closes = one("2")
    return closes and Hours(opens, closes)
