"""What a value means, apart from how it is written, read from the normalised form of facts.

Nothing here looks at a draft: `finding` reads values out of running text into the same types, `comparing` compares
them.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation

from rules.grounding.words import SAME_AS, UNITS
from rules.values import STATUSES, Kind

KRONOR = frozenset({"SEK", "NOK", "DKK"})
"""What a bare `kr` may stand for."""


@dataclass(frozen=True, slots=True)
class Day:
    month: int
    day: int
    year: int | None = None
    weekday: int | None = None

    @property
    def date(self) -> date | None:
        try:
            return date(self.year or 4, self.month, self.day)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.year or '-'}-{self.month:02}-{self.day:02}"


@dataclass(frozen=True, slots=True)
class Days:
    first: Day
    last: Day

    @property
    def one_unit(self) -> bool:
        """One whole calendar month or year."""
        if self.first.year != self.last.year or self.first.day != 1:
            return False
        whole_year = (self.first.month, self.last.month, self.last.day) == (1, 12, 31)
        return whole_year or (
            self.first.month == self.last.month and self.last.day == month_end(self.last.year, self.last.month)
        )

    def __str__(self) -> str:
        return f"{self.first}/{self.last}"


@dataclass(frozen=True, slots=True)
class Clock:
    minute: int

    def __str__(self) -> str:
        return f"{self.minute // 60:02}:{self.minute % 60:02}"


@dataclass(frozen=True, slots=True)
class Hours:
    opens: Clock
    closes: Clock

    def __str__(self) -> str:
        return f"{self.opens}/{self.closes}"


@dataclass(frozen=True, slots=True)
class Money:
    amount: Decimal
    currencies: frozenset[str]

    def __str__(self) -> str:
        return f"{self.amount:.2f} {'/'.join(sorted(self.currencies))}".strip()


@dataclass(frozen=True, slots=True)
class Measure:
    number: Decimal
    unit: str = ""

    @property
    def base(self) -> tuple[Decimal, str]:
        unit, factor = SAME_AS.get(self.unit, (self.unit, 1))
        return self.number * factor, unit

    def __str__(self) -> str:
        return f"{self.number:f} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Percent:
    number: Decimal

    def __str__(self) -> str:
        return f"{self.number:f} %"


@dataclass(frozen=True, slots=True)
class Between:
    """Two numbers of one sort, `3–5 days`."""

    low: Measure | Money | Percent
    high: Measure | Money | Percent

    def __str__(self) -> str:
        return f"{self.low}/{self.high}"


@dataclass(frozen=True, slots=True)
class Law:
    section: str
    chapter: str = ""
    part: str = ""
    act: str = ""
    """The act's name without its ending, so that `förvaltningslagen` and `förvaltningslagens` are the same."""

    def __str__(self) -> str:
        chapter = f"{self.chapter} kap. " if self.chapter else ""
        return f"{chapter}{self.section} §{f' {self.part}' if self.part else ''}{f' {self.act}' if self.act else ''}"


@dataclass(frozen=True, slots=True)
class Phone:
    digits: str
    """Without country code and without the zero that stands before an area code."""
    country: str = ""

    def __str__(self) -> str:
        return f"+{self.country}{self.digits}" if self.country else self.digits


@dataclass(frozen=True, slots=True)
class State:
    status: str
    negated: bool = False

    def __str__(self) -> str:
        return f"not {self.status}" if self.negated else self.status


@dataclass(frozen=True, slots=True)
class Words:
    """A name, an address, an identifier or a link: runs of letters and of digits, in small letters."""

    runs: tuple[str, ...]
    written: str = ""

    def __str__(self) -> str:
        return self.written or " ".join(self.runs)


Meaning = Day | Days | Clock | Hours | Money | Measure | Percent | Between | Law | Phone | State | Words


@dataclass(frozen=True, slots=True)
class Found:
    """A value where it stands in a flat text."""

    start: int
    end: int
    kind: Kind
    meaning: Meaning

    def moved(self, by: int) -> Found:
        return replace(self, start=self.start + by, end=self.end + by)


RUN = re.compile(r"[^\W\d_]+|\d+")
COUNTRY_CODES = ("358", "46", "47", "45")


def words(text: str) -> Words:
    return Words(tuple(run.lower() for run in RUN.findall(text)), text)


def link(text: str) -> Words:
    """Upper and lower case of a path differ, a scheme and a closing slash do not."""
    host, slash, path = re.sub(r"^https?://", "", text.strip(), flags=re.IGNORECASE).rstrip("/").partition("/")
    return Words((host.lower(), slash, path), text)


def phone(text: str) -> Phone:
    digits = "".join(re.findall(r"\d", text))
    if text.lstrip().startswith(("+", "00")):
        digits = digits.lstrip("0")
        for code in COUNTRY_CODES:
            if digits.startswith(code):
                return Phone(digits[len(code) :].lstrip("0"), code)
    return Phone(digits.removeprefix("0"))


_ACT_ENDING = re.compile(
    r"(?:lagens?|lag|lovens?|lova|lov|lain|laki(?:a|in)?|balkens?|balk|förordningens?|förordning| act)$"
)


def act_stem(name: str) -> str:
    return _ACT_ENDING.sub("", " ".join(name.lower().split()))


def number(text: str) -> Decimal | None:
    try:
        return Decimal(text.strip().replace(" ", "").replace("\u2212", "-").replace(",", "."))
    except InvalidOperation:
        return None


def measure(text: str) -> Measure | None:
    match = re.fullmatch(r"\s*([-\u2212]?\d[\d .,]{0,14}?)\s*([^\W\d][\w ²³]{0,30})?\s*", text)
    amount = number(match[1]) if match else None
    if match is None or amount is None:
        return None
    unit = (match[2] or "").strip()
    return Measure(amount, UNITS.get(unit.lower(), unit if unit in UNITS.values() else unit.lower()))


def read(kind: Kind, value: str) -> Meaning | None:
    """The meaning of a normalised value (see `Kind`); None when it is not written that way."""
    match kind:
        case Kind.DATE:
            return _day(value)
        case Kind.TIME | Kind.PERIOD:
            return _span(value) or (_clock(value) if kind is Kind.TIME else None)
        case Kind.AMOUNT:
            match = re.fullmatch(r"\s*([-\u2212]?[\d .,]{1,18})\s*([A-Za-z]{3})?\s*", value)
            amount = number(match[1]) if match else None
            return (
                Money(amount, frozenset({match[2].upper()} if match[2] else ()))
                if match and amount is not None
                else None
            )
        case Kind.QUANTITY:
            return measure(value)
        case Kind.PERCENTAGE:
            amount = number(value.replace("%", ""))
            return None if amount is None else Percent(amount)
        case Kind.PHONE:
            return phone(value)
        case Kind.LINK:
            return link(value)
        case Kind.STATUS:
            return State(value) if value in STATUSES else None
        case Kind.LEGAL_REFERENCE:
            return None
        case _:
            return words(value)


def _day(value: str) -> Day | None:
    try:
        found = date.fromisoformat(value.strip()[:10])
    except ValueError:
        return None
    return Day(found.month, found.day, found.year)


def _clock(value: str) -> Clock | None:
    match = re.fullmatch(r"\s*(\d{1,2})[:.](\d\d)(?::\d\d)?\s*", value)
    return Clock(int(match[1]) * 60 + int(match[2])) if match and int(match[1]) < 25 and int(match[2]) < 60 else None


def _span(value: str) -> Days | Hours | None:
    first, slash, last = value.partition("/")
    if not slash:
        return None
    days = _day(first), _day(last)
    if days[0] and days[1]:
        return Days(days[0], days[1])
    clocks = _clock(first), _clock(last)
    return Hours(clocks[0], clocks[1]) if clocks[0] and clocks[1] else None


def month_end(year: int | None, month: int) -> int:
    return calendar.monthrange(year or 4, month)[1]
