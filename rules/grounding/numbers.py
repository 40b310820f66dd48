"""Money, percentages and quantities as each of the five languages writes them."""

from __future__ import annotations

import re
from decimal import Decimal

from rules.grounding.meaning import KRONOR, Between, Measure, Money, Percent, number
from rules.grounding.pattern import ALONE, GAP, NUMBER, UP_TO, Finder
from rules.grounding.words import NUMBER_WORDS, UNITS, fold
from rules.values import Kind


def _parsed(text: str, language: str, *, money: bool = False) -> Decimal | None:
    """`1 234,50`, `1.234,50` and `1,234.50` are the same; a lone mark before three figures is read as the language
    does."""
    text = text.replace(" ", "").replace("−", "-")
    marks = [c for c in text if c in ".,"]
    decimal = marks[-1] if marks else ""
    if len(set(marks)) == 1:
        tail = text.rpartition(decimal)[2]
        thousands = "," if language == "en" else "."
        if len(marks) > 1 or (len(tail) == 3 and (money or decimal == thousands)):
            decimal = ""
    digits = "".join("." if c == decimal else c for c in text if c not in ".," or c == decimal)
    return number(digits)


_CURRENCY_WORD = (
    r"(?:(?:svenska|norska|danska|svenske|norske|danske|Ruotsin|Norjan|Tanskan|Swedish|Norwegian|Danish) )?"
    r"(?:kronor(?:na|s)?|kroner(?:ne|s)?|kronan?|krone|kruunu(?:a|n|ssa)?|kr|SEK|NOK|DKK|EUR|euro(?:a|n|s|t|lla)?|€)(?!\w)"
)
_TIMES = r"(?P<times>tusen|tuhatta|thousand|miljon(?:er)?|million(?:er)?|miljoonaa|mio\.?|milj\.|mkr|tkr)"
_MONEY_AFTER = re.compile(
    rf"{ALONE}(?P<n>[-−]?{NUMBER})(?:{GAP}?{_TIMES})?(?:{GAP}?(?P<c>{_CURRENCY_WORD})|[:,][-–](?!\w))",
    re.IGNORECASE,
)
_MONEY_SPAN = re.compile(rf"{ALONE}(?P<a>{NUMBER}){UP_TO}(?P<b>{NUMBER}){GAP}?(?P<c>{_CURRENCY_WORD})", re.IGNORECASE)
_MONEY_BEFORE = re.compile(
    rf"(?<![\w])(?P<c>SEK|NOK|DKK|EUR|€|kr\.?) ?(?P<n>[-−]?{NUMBER})(?![\w%])(?: (?P<times>million|thousand))?"
)
_COUNTRY_OF_KRONA = {"s": "SEK", "n": "NOK", "d": "DKK", "r": "SEK", "t": "DKK"}


def _currencies(word: str) -> frozenset[str]:
    word = fold(word).rstrip(".")
    if word.startswith(("eur", "€")):
        return frozenset({"EUR"})
    if word.upper() in KRONOR:
        return frozenset({word.upper()})
    return frozenset({_COUNTRY_OF_KRONA[word[0]]}) if " " in word else KRONOR


def _money(match: re.Match[str], language: str) -> Money | None:
    parts = match.groupdict()
    amount = _parsed(parts["n"], language, money=True)
    times = parts.get("times") or ""
    if amount is None:
        return None
    if times:
        amount *= 1000 if fold(times).startswith(("tus", "tuh", "tho", "tk")) else 1_000_000
    return Money(amount, _currencies(parts.get("c") or "kr"))


def _money_span(match: re.Match[str], language: str) -> Between | None:
    low, high = (_parsed(match[name], language, money=True) for name in "ab")
    currencies = _currencies(match["c"])
    return Between(Money(low, currencies), Money(high, currencies)) if low is not None and high is not None else None


_PERCENT = re.compile(
    rf"{ALONE}(?:(?P<a>{NUMBER}) ?[–-] ?)?(?P<n>{NUMBER}){GAP}?"
    r"(?:%|(?:procent|prosent(?:tia|in|ti)?|percent|per cent|pct)(?!\w))",
    re.IGNORECASE,
)


def _percent(match: re.Match[str], language: str) -> Percent | Between | None:
    high = _parsed(match["n"], language)
    low = _parsed(match["a"], language) if match["a"] else None
    if high is None:
        return None
    return Percent(high) if low is None else Between(Percent(low), Percent(high))


_UNIT = "working days?|" + "|".join(re.escape(form) for form in sorted(UNITS, key=len, reverse=True))


def _measure(language: str) -> re.Pattern[str]:
    words = "|".join(sorted(NUMBER_WORDS[language], key=len, reverse=True))
    return re.compile(
        rf"{ALONE}(?:(?P<n>{NUMBER})(?:(?:{GAP}|-)?(?P<u>{_UNIT})(?!\w))?|(?P<w>{words}){GAP}(?P<wu>{_UNIT})(?!\w))",
        re.IGNORECASE,
    )


_MEASURE_SPAN = re.compile(
    rf"{ALONE}(?P<a>{NUMBER}){UP_TO}(?P<b>{NUMBER})(?:{GAP}?(?P<u>{_UNIT})(?!\w))?(?![\w-])",
    re.IGNORECASE,
)


def _unit(word: str | None) -> str:
    if word is None:
        return ""
    return "working d" if fold(word).startswith("working") else UNITS[fold(word)]


def _quantity(match: re.Match[str], language: str) -> Measure | None:
    if match["w"]:
        unit = _unit(match["wu"])
        timely = unit in ("d", "working d", "week", "month", "year", "h", "min")
        return Measure(Decimal(NUMBER_WORDS[language][fold(match["w"])]), unit) if timely else None
    amount = _parsed(match["n"], language)
    return None if amount is None else Measure(amount, _unit(match["u"]))


def _quantity_span(match: re.Match[str], language: str) -> Between | None:
    low, high = (_parsed(match[name], language) for name in "ab")
    unit = _unit(match["u"])
    return Between(Measure(low, unit), Measure(high, unit)) if low is not None and high is not None else None


MONEY_FINDERS = (
    Finder(Kind.AMOUNT, _MONEY_SPAN, _money_span),
    Finder(Kind.AMOUNT, _MONEY_AFTER, _money),
    Finder(Kind.AMOUNT, _MONEY_BEFORE, _money),
    Finder(Kind.PERCENTAGE, _PERCENT, _percent),
)


def quantity_finders(language: str) -> tuple[Finder, Finder]:
    """Any number that nothing else has taken."""
    return Finder(Kind.QUANTITY, _MEASURE_SPAN, _quantity_span), Finder(Kind.QUANTITY, _measure(language), _quantity)
