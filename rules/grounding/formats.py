"""Writes a normalised value as a language writes it, for templates: the counterpart of `finding`.

A value that is not normalised is written as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import phonenumbers

from rules.grounding import meaning
from rules.grounding.meaning import Clock, Day, Days, Hours, Meaning, Measure, Money, Percent
from rules.grounding.words import MONTH_NAMES, UNIT_WORDS
from rules.values import Kind

NBSP = "\u00a0"

_WRITTEN_KINDS = (Kind.DATE, Kind.TIME, Kind.PERIOD, Kind.AMOUNT, Kind.QUANTITY, Kind.PERCENTAGE)
"""Kinds whose normalised form is not what a reader gets. Status has no slot form: phrases say it in words."""


def write(kind: Kind, value: str, language: str) -> str:
    if kind is Kind.PHONE:
        return _phone(value, language)
    read = meaning.read(kind, value) if kind in _WRITTEN_KINDS else None
    return value if read is None else _written(read, language)


def _written(value: Meaning, language: str) -> str:
    match value:
        case Day():
            return _day(value, language)
        case Days():
            return _days(value, language)
        case Clock():
            return _clock(value, language)
        case Hours():
            return _hours(value, language)
        case Money():
            return _money(value, language)
        case Measure():
            return _measure(value, language)
        case Percent():
            return _percent(value, language)
        case _:
            return str(value)


def _day(day: Day, language: str, *, year: bool = True) -> str:
    tail = f" {day.year}" if year else ""
    if language == "fi":
        return f"{day.day}.{day.month}.{day.year if year else ''}"
    dot = "." if language in ("nb", "da") else ""
    return f"{day.day}{dot} {MONTH_NAMES[language][day.month - 1]}{tail}"


def _days(days: Days, language: str) -> str:
    first, last = days.first, days.last
    same_year = first.year == last.year
    if same_year and first.month == last.month:
        dot = "." if language in ("fi", "nb", "da") else ""
        return f"{first.day}{dot}{_TO[language]}{_day(last, language)}"
    wide = {"en": " to ", "da": " - ", "fi": "–"}.get(language, " – ")
    return f"{_day(first, language, year=not same_year)}{wide}{_day(last, language)}"


_TO: Mapping[str, str] = {"sv": "–", "fi": "–", "nb": "–", "da": "-", "en": " to "}


def _clock(clock: Clock, language: str, *, short: bool = False) -> str:
    hours, minutes = divmod(clock.minute, 60)
    if language != "en":
        return f"{hours}" if short and not minutes else f"{hours}.{minutes:02}"
    if clock.minute % (12 * 60) == 0:
        return "midday" if clock.minute == 12 * 60 else "midnight"
    return f"{(hours - 1) % 12 + 1}{f':{minutes:02}' if minutes else ''}{'pm' if hours >= 12 else 'am'}"


def _hours(hours: Hours, language: str) -> str:
    short = hours.opens.minute % 60 == hours.closes.minute % 60 == 0
    return f"{_clock(hours.opens, language, short=short)}{_TO[language]}{_clock(hours.closes, language, short=short)}"


_THOUSANDS: Mapping[str, str] = {"da": ".", "en": ","}


def _number(number: Decimal, language: str, *, cents: bool = False) -> str:
    written = f"{abs(number):,.2f}" if cents and number % 1 else f"{abs(number).normalize():,f}"
    whole, _, fraction = written.partition(".")
    whole = whole.replace(",", _THOUSANDS.get(language, NBSP)) if abs(number) >= 1000 else whole
    sign = "−" if number < 0 else ""
    return f"{sign}{whole}{'.' if language == 'en' else ','}{fraction}" if fraction else f"{sign}{whole}"


_MONEY_WORDS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "sv": {
        "SEK": ("krona", "kronor"),
        "NOK": ("norsk krona", "norska kronor"),
        "DKK": ("dansk krona", "danska kronor"),
        "EUR": ("euro", "euro"),
    },
    "fi": {
        "SEK": ("Ruotsin kruunu", "Ruotsin kruunua"),
        "NOK": ("Norjan kruunu", "Norjan kruunua"),
        "DKK": ("Tanskan kruunu", "Tanskan kruunua"),
        "EUR": ("euro", "euroa"),
    },
    "nb": {
        "SEK": ("svensk krone", "svenske kroner"),
        "NOK": ("krone", "kroner"),
        "DKK": ("dansk krone", "danske kroner"),
        "EUR": ("euro", "euro"),
    },
    "da": {
        "SEK": ("svensk krone", "svenske kroner"),
        "NOK": ("norsk krone", "norske kroner"),
        "DKK": ("kr.", "kr."),
        "EUR": ("euro", "euro"),
    },
}


def _money(money: Money, language: str) -> str:
    amount = _number(money.amount, language, cents=True)
    currency = min(money.currencies, default="")
    if language == "en":
        return f"€{amount}" if currency == "EUR" else f"{currency}{NBSP}{amount}".strip(NBSP)
    one, many = _MONEY_WORDS[language].get(currency, (currency, currency))
    return f"{amount}{NBSP}{one if money.amount == 1 else many}".rstrip(NBSP)


def _measure(measure: Measure, language: str) -> str:
    one, many = UNIT_WORDS[language].get(measure.unit, (measure.unit, measure.unit))
    return f"{_number(measure.number, language)}{NBSP}{one if measure.number == 1 else many}".rstrip(NBSP)


def _percent(percent: Percent, language: str) -> str:
    number = _number(percent.number, language)
    word = {"sv": "procent", "fi": "prosenttia", "nb": "prosent", "da": "procent"}.get(language)
    return f"{number}{NBSP}{word}" if word else f"{number}%"


def _phone(value: str, language: str) -> str:
    phone = meaning.phone(value)
    if phone.country not in _HOME_FORMS:
        return value
    at_home = language in _LANGUAGES_AT_HOME[phone.country]
    return _HOME_FORMS[phone.country](phone.digits) if at_home else _abroad(phone.country, phone.digits)


def _abroad(country: str, digits: str) -> str:
    home = _HOME_FORMS[country](digits).replace("-", " ").removeprefix("0")
    return f"+{country} {home}".replace(" ", NBSP)


def _swedish(digits: str) -> str:
    """Area codes have two to four figures; the library knows which."""
    number = phonenumbers.PhoneNumber(country_code=46, national_number=int(digits))
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL).replace(" ", NBSP)


def _finnish(digits: str) -> str:
    """A mobile or company prefix has three figures with its zero, an area code two."""
    prefix, rest = (
        (digits[:2], digits[2:])
        if digits[0] in "45" or digits[:2] in ("10", "20", "29", "30")
        else (digits[:1], digits[1:])
    )
    groups = [rest[:3], rest[3:]] if len(rest) > 4 else [rest]
    return NBSP.join(["0" + prefix, *groups])


def _in_pairs(digits: str) -> str:
    if len(digits) != 8:
        return digits
    if digits.startswith("800"):
        return NBSP.join([digits[:3], digits[3:5], digits[5:]])
    return NBSP.join(digits[at : at + 2] for at in range(0, 8, 2))


_HOME_FORMS: Mapping[str, Callable[[str], str]] = {"46": _swedish, "358": _finnish, "47": _in_pairs, "45": _in_pairs}
_LANGUAGES_AT_HOME: Mapping[str, tuple[str, ...]] = {"46": ("sv",), "358": ("fi", "sv"), "47": ("nb",), "45": ("da",)}
