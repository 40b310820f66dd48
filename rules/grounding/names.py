"""Finds the names, addresses and identifiers that the evidence holds, however a draft inflects or spaces them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from rules.grounding.meaning import RUN, Found, words
from rules.grounding.words import GREETING_WORDS, ORGANISATION_WORDS, listed
from rules.values import Fact, Kind

NAME_KINDS = (Kind.IDENTIFIER, Kind.PERSON, Kind.UNIT, Kind.ADDRESS)

_FI_CASE = re.compile(r"(?:n|ta|tä|na|nä|ss[aä]|st[aä]|ll[aä]|lt[aä]|lle|ksi|tt[aä]|hin|h[aäeou]n|seen)(?:kin|ko|kö)?")
_FI_WEAK = (("kk", "k"), ("pp", "p"), ("tt", "t"), ("nk", "ng"), ("mp", "mm"), ("lt", "ll"), ("rt", "rr"), ("nt", "nn"))
_FI_WEAK_LAST = {"k": "", "p": "v", "t": "d"}


def inflected(base: str, token: str, language: str) -> bool:
    """`token` is `base` or a case of it. Both in small letters."""
    if token == base:
        return True
    if language == "fi":
        return any(token.startswith(stem) and _is_case_of(stem, token) for stem in _finnish_stems(base))
    return token == base + "s"


def _is_case_of(stem: str, token: str) -> bool:
    illative = stem + stem[-1] + "n"
    partitive = len(stem) > 5 and token in (stem + "a", stem + "ä")
    return token == illative or partitive or bool(_FI_CASE.fullmatch(token, len(stem)))


def _finnish_stems(base: str) -> Iterator[str]:
    """Stems as case endings meet them: `Virtanen` → `virtase`, `Helsinki` → `helsingi`, `Lahti` → `lahde`."""
    if base.endswith("nen"):
        yield from (base[:-3] + "se", base[:-3] + "s")
    elif base[-1] not in "aeiouyäöå":
        yield base + "i"
    else:
        yield base
        yield from _weak_stems(base[:-1], base[-1])


def _weak_stems(head: str, vowel: str) -> Iterator[str]:
    ending = next((pair for pair in _FI_WEAK if head.endswith(pair[0])), None)
    strong, weak = ending or (head[-1:], _FI_WEAK_LAST.get(head[-1:], head[-1:]))
    weakened = head[: len(head) - len(strong)] + weak
    yield weakened + vowel
    if vowel == "i":
        yield from (weakened + "e", head + "e")


class Token:
    __slots__ = ("end", "lower", "start", "text")

    def __init__(self, match: re.Match[str]) -> None:
        self.text = match[0]
        self.lower = match[0].lower()
        self.start, self.end = match.span()


def tokens(flat: str) -> list[Token]:
    return [Token(match) for match in RUN.finditer(flat)]


def known_values(flat: str, said: Sequence[Token], language: str, facts: Iterable[Fact]) -> Iterator[Found]:
    """Where values of `facts` stand. Longer ones come first where two begin together."""
    by_start: dict[str, set[tuple[tuple[str, ...], Kind, str]]] = defaultdict(set)
    for runs, kind, value in _names(facts):
        by_start[runs[0][:3]].add((runs, kind, value))
    ordered = {start: sorted(values, key=lambda v: (-len(v[0]), v)) for start, values in by_start.items()}
    at = 0
    while at < len(said):
        names = ordered.get(said[at].lower[:3], ())
        hit = next((name for name in names if _stands(flat, said, at, name, language)), None)
        if hit is None:
            at += 1
            continue
        runs, kind, value = hit
        last = said[at + len(runs) - 1]
        yield Found(said[at].start, last.end, kind, words(value))
        at += len(runs)


def _names(facts: Iterable[Fact]) -> Iterator[tuple[tuple[str, ...], Kind, str]]:
    for fact in facts:
        if fact.kind not in NAME_KINDS:
            continue
        runs = tuple(run.lower() for run in RUN.findall(fact.value))
        has_digit = any(run.isdigit() for run in runs)
        if fact.kind is Kind.IDENTIFIER and (not has_digit or sum(map(len, runs)) < 4):
            continue
        if runs and len("".join(runs)) > 2:
            yield runs, fact.kind, fact.value
        if fact.kind is Kind.ADDRESS and "," in fact.value:
            street = tuple(run.lower() for run in RUN.findall(fact.value.partition(",")[0]))
            if street and any(run.isdigit() for run in street):
                yield street, fact.kind, fact.value
        if fact.kind is Kind.IDENTIFIER and not runs[0].isdigit():
            core = runs[next(at for at, run in enumerate(runs) if run.isdigit()) :]
            if sum(map(len, core)) >= 5:
                yield core, fact.kind, fact.value


_CUES = frozenset(listed("DNR DNRO NR OCR REF ID NO"))


def _has_another_prefix(flat: str, said: Sequence[Token], at: int, value: str) -> bool:
    """`MN 2026-123` is not `BN 2026-123` without its prefix."""
    if at == 0 or RUN.findall(value)[0].lower() == said[at].lower:
        return False
    before = said[at - 1]
    return (
        before.text.isupper()
        and before.text.isalpha()
        and len(before.text) < 7
        and before.text not in _CUES
        and flat[before.end : said[at].start] in (" ", "-", "")
    )


def _stands(flat: str, said: Sequence[Token], at: int, name: tuple[tuple[str, ...], Kind, str], language: str) -> bool:
    runs, kind, value = name
    if at + len(runs) > len(said):
        return False
    part = said[at : at + len(runs)]
    if any(token.lower != run for token, run in zip(part[:-1], runs[:-1], strict=True)):
        return False
    last = runs[-1]
    if not (part[-1].lower == last or (last.isalpha() and inflected(last, part[-1].lower, language))):
        return False
    if any(flat[one.end : other.start] not in _JOINTS for one, other in pairwise(part)):
        return False
    if kind is Kind.PERSON:
        return part[0].text[0].isupper() and not _goes_on_as_name(flat, part[-1].end)
    if kind is not Kind.IDENTIFIER:
        return True
    return not (_goes_on_as_number(flat, part[0].start, part[-1].end) or _has_another_prefix(flat, said, at, value))


_JOINTS = frozenset(["", " ", "\n", "-", "\u2011", "\u2013", "/", ":", ".", ", ", ",\n", "'", "\u2019", " & ", " / "])
"""What may stand between the parts of one name or number."""


def _goes_on_as_number(flat: str, start: int, end: int) -> bool:
    """`2026-118342` within `2026-118342-7` or `12026-…` is another number."""
    after, before = flat[end : end + 2], flat[max(0, start - 2) : start]
    goes_on = len(after) == 2 and after[0] in "-/:" and after[1].isdigit()
    comes_from = len(before) == 2 and before[1] in "-/:." and before[0].isdigit()
    return goes_on or comes_from or flat[end : end + 1].isalnum() or (before[-1:].isalnum())


def _goes_on_as_name(flat: str, end: int) -> bool:
    """`Anna Berg` within `Anna Berg-Lund` or `Anna Berg Lund` is another person."""
    return flat[end : end + 1] in ("-", "\u2011", " ") and flat[end + 1 : end + 2].isupper()


_CAPITALISED = re.compile(
    r"(?<![\w@./-])[A-ZÅÄÖÆØÉ][a-zåäöæøéüáíóúñ]+(?:[-'’][A-ZÅÄÖÆØÉ]?[a-zåäöæøéü]+)?"
    r"(?: (?:[A-ZÅÄÖÆØÉ][a-zåäöæøéüáíóúñ]+(?:[-'’][A-ZÅÄÖÆØÉ]?[a-zåäöæøéü]+)?|AB|Oy|AS|ApS)){1,4}(?!\w)"
)


def unknown_names(flat: str, start: int, end: int) -> Iterator[Found]:
    """Two or more capitalised words in a row: somebody's or something's name. A greeting word before it is left out."""
    for match in _CAPITALISED.finditer(flat, start, end):
        name = match[0].split()
        while name and name[0].lower() in GREETING_WORDS:
            name = name[1:]
        if len(name) < 2:
            continue
        length = len(" ".join(name))
        kind = Kind.UNIT if any(word.lower() in ORGANISATION_WORDS for word in name) else Kind.PERSON
        text = match[0][-length:]
        yield Found(match.end() - length, match.end(), kind, words(text))


def parts_of_persons(facts: Iterable[Fact]) -> dict[str, set[str]]:
    """First and last names alone, each with the full names it may stand for."""
    parts: dict[str, set[str]] = defaultdict(set)
    for fact in facts:
        if fact.kind is Kind.PERSON:
            for run in RUN.findall(fact.value):
                if len(run) > 2:
                    parts[run.lower()].add(fact.value)
    return parts


def lone_names(flat: str, said: Sequence[Token], language: str, facts: Iterable[Fact]) -> Iterator[Found]:
    """A first or last name that stands alone, capitalised, for a person of the evidence."""
    parts = parts_of_persons(facts)
    by_start: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        by_start[part[:3]].append(part)
    for at, token in enumerate(said):
        if not token.text[0].isupper() or token.lower[:3] not in by_start or _beside_a_name(flat, said, at):
            continue
        for part in by_start[token.lower[:3]]:
            if inflected(part, token.lower, language):
                full = min(parts[part])
                yield Found(token.start, token.end, Kind.PERSON, words(full))
                break


def _beside_a_name(flat: str, said: Sequence[Token], at: int) -> bool:
    """Another capitalised word stands right before or after: together they are somebody else's name."""
    beside = [(other, said[at]) for other in said[max(0, at - 1) : at] if other.lower not in GREETING_WORDS]
    beside += [(said[at], other) for other in said[at + 1 : at + 2]]
    return any(
        one.text[0].isupper() and other.text[0].isupper() and flat[one.end : other.start] in (" ", "-")
        for one, other in beside
    )
