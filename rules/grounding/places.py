"""Where to turn and what to refer to: e-mail, links, phones, addresses, identifiers and laws."""

from __future__ import annotations

import re

from rules.grounding import meaning
from rules.grounding.meaning import Law, Meaning
from rules.grounding.pattern import ALONE, Finder
from rules.values import Kind

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@\w[\w-]{0,62}(?:\.\w[\w-]{0,62}){1,8}")
_LINK = re.compile(
    r"(?<![\w@])(?:https?://|www\.)[^\s<>\"”»]{1,2000}(?<![.,;:!?)\]'])"
    r"|(?<![\w@.-])(?:[a-zåäöæøé0-9][a-zåäöæøé0-9-]{0,62}\.){1,4}"
    r"(?:se|fi|no|dk|com|org|net|eu|nu|info|gov|uk|example)(?![\w-]|\.\w)"
    r"(?:/[^\s<>\"”»]{0,2000}(?<![.,;:!?)\]']))?",
    re.IGNORECASE,
)
_PHONE_ABROAD = re.compile(r"(?<![\w+])(?:\+|00)[1-9]\d{0,2}(?:[ .\-/]{0,2}(?:\(0\)[ ]?)?\d){5,13}(?![\w-])")
_PHONE_HOME = re.compile(
    r"(?<![\w+])(?<!\w[-/])(?:0\d{1,3}[-/ ]{1,3}\d{1,3}(?:[ -]?\d){3,9}|0\d{8,10}"
    r"|(?:\d\d ){3}\d\d|[2-9]\d\d \d\d \d{3}|116 ?\d\d\d|114 14"
    r"|(?:(?<=[Rr]ing )|(?<=tlf )|(?<=tlf\. )|(?<=på )|(?<=call ))[2-9]\d{7})"
    r"(?![\w]|[-/:]\d)"
)


def _phone(match: re.Match[str], language: str) -> Meaning:
    return meaning.phone(match[0])


def _as_written(match: re.Match[str], language: str) -> Meaning:
    return meaning.words(match[0])


_CAPITAL = r"[A-ZÅÄÖÆØÉ][\w'-]{1,40}"
_STREET = (
    r"gatan?|gate[n]?|väg(?:en)?|vei(?:en)?|veg(?:en)?|vej(?:en)?|gränd(?:en)?|stig(?:en)?|torg(?:et)?|torv(?:et)?"
    r"|plan|plats(?:en)?|plass(?:en)?|plads(?:en)?|all[ée]n?|back(?:en)?|bakken?|gaden?|stræde(?:t)?|vænget?|gården"
    r"|katu|tie|kuja|polku|puistikko|aukio|raitti|kaari|ranta|rinne|penger|street|road|lane|avenue"
)
_ADDRESS = re.compile(
    rf"(?<!\w)(?:{_CAPITAL} )?(?:[A-ZÅÄÖÆØÉ]\w{{0,40}}?(?:{_STREET})|{_CAPITAL} (?:{_STREET}))"
    r" \d{1,4}(?: ?[A-Za-z](?: \d{1,3})?)?(?!\w)"
    rf"(?:, (?:\d{{3}} \d{{2}}|\d{{4,5}}) {_CAPITAL})?"
)

_IDENTIFIER = re.compile(
    r"(?<![\w/@.])(?<!\w-)(?:[A-ZÅÄÖÆØ]{1,6} ?-?)?\d\w{0,20}(?:[-/:]\w{1,20}){1,5}(?![\w/])"
    r"|(?<![\w/@.])(?:[A-ZÅÄÖÆØ]{1,6}-?\d{2,14}|\d{5,20})(?![\w])"
    r"|(?<!\w)[A-ZÅÄÖÆØ]\w{1,30}(?: [A-ZÅÄÖÆØ]\w{1,30}){0,2} \d{1,4}:\d{1,4}(?!\w)"
)


def _identifier(match: re.Match[str], language: str) -> Meaning | None:
    """Enough figures to point at one thing; `3-5` and `B2` are not."""
    figures = sum(c.isdigit() for c in match[0])
    return meaning.words(match[0]) if figures >= 4 or (":" in match[0] and " " in match[0]) else None


_SECTION = r"\d{1,4}(?: ?[a-z](?!\w))?"
_ACT = (
    r"[A-Za-zÅÄÖÆØåäöæø][\w-]{2,60}(?:lagens?|lag|balkens?|förordningens?|ordningens?|lain|kaaren|asetuksen"
    r"|lovens?|lova|forskriften|bekendtgørelsens?)"
)
_LAW_AFTER = re.compile(
    rf"(?:(?P<act1>{_ACT})(?: \(\d+/\d+\))? )?{ALONE}(?:(?P<chapter>{_SECTION}) (?:kap\.?|luvun) )?"
    rf"(?P<s>{_SECTION})(?: ?[–-] ?(?P<s2>{_SECTION}))? ?§§?(?: (?:i )?(?P<act2>{_ACT})(?!\w))?(?: \(\d{{4}}:\d+\))?"
)
_LAW_BEFORE = re.compile(
    rf"(?:(?P<act1>{_ACT}) )?§§? ?(?P<s>{_SECTION})(?: ?[–-] ?(?P<s2>{_SECTION}))?(?:, ?stk\. ?(?P<part>\d+))?(?!\w)"
)
_LAW_ENGLISH = re.compile(
    rf"(?<!\w)[Ss]ections? (?P<s>{_SECTION})(?: ?(?:[–-]|to) ?(?P<s2>{_SECTION}))?(?:\((?P<part>\d+)\))?(?!\w)"
    r"(?: of the (?P<act2>(?:[A-Z][\w-]{1,30} ){1,6}Act))?"
)


def _law(match: re.Match[str], language: str) -> Law:
    parts = match.groupdict()
    sections = "–".join(p.replace(" ", "") for p in (parts["s"], parts["s2"]) if p)
    act = parts.get("act1") or parts.get("act2") or ""
    return Law(sections, parts.get("chapter") or "", parts.get("part") or "", meaning.act_stem(act))


def law_reference(value: str, language: str) -> Law | None:
    """A normalised legal reference, which is written as a law writes it."""
    for pattern in (_LAW_AFTER, _LAW_BEFORE, _LAW_ENGLISH):
        if match := pattern.search(value[:200]):
            return _law(match, language)
    return None


REACH_FINDERS = (
    Finder(Kind.EMAIL, _EMAIL, lambda match, language: meaning.words(match[0].lower()), needs="@"),
    Finder(Kind.LINK, _LINK, lambda match, language: meaning.link(match[0]), needs="."),
)
LAW_FINDERS = (
    Finder(Kind.LEGAL_REFERENCE, _LAW_AFTER, _law, needs="§"),
    Finder(Kind.LEGAL_REFERENCE, _LAW_BEFORE, _law, needs="§"),
    Finder(Kind.LEGAL_REFERENCE, _LAW_ENGLISH, _law),
    Finder(Kind.PHONE, _PHONE_ABROAD, _phone),
)
IDENTIFIER_FINDERS = (
    Finder(Kind.PHONE, _PHONE_HOME, _phone),
    Finder(Kind.ADDRESS, _ADDRESS, _as_written),
    Finder(Kind.IDENTIFIER, _IDENTIFIER, _identifier),
)
