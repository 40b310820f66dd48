"""Whose fact it is: a true value of another invoice, property or person is no support.

A record is named by its identifiers, addresses, people and units. Within a clause the record named there counts,
else the one named nearest in the sentence; a sentence that names none speaks of what its paragraph or draft names.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rules.grounding.meaning import Found
from rules.grounding.names import NAME_KINDS
from rules.values import Fact, Kind

_CLAUSE_END = re.compile(r"[,;:](?=\s)|\s(?:och|ja|og|and|men|mutta|but|medan|kun|while|sekä)\s")


@dataclass(frozen=True, slots=True)
class Naming:
    """A place where a draft names one or more subjects."""

    start: int
    subjects: frozenset[str]
    labels: frozenset[str]
    of_record: bool
    """A unit's name does not bind what else is said to that unit."""


@dataclass(frozen=True, slots=True)
class About:
    """What a value is said of. `strict` when the sentence itself says so; else it follows from what came before."""

    subjects: frozenset[str] = frozenset()
    strict: bool = False
    labels: frozenset[str] = frozenset()


class Records:
    def __init__(self, facts: Sequence[Fact]) -> None:
        self._labels: dict[str, set[str]] = defaultdict(set)
        self._identified: set[str] = set()
        for fact in facts:
            self._labels[fact.subject].add(fact.label)
            if fact.kind is Kind.IDENTIFIER and any(c.isdigit() for c in fact.value):
                self._identified.add(fact.subject)

    def foreign(self, fact: Fact, about: About) -> bool:
        """The fact is of another record than the one spoken of. A unit's phone, say, is of no record."""
        if not about.subjects or not fact.subject or fact.subject in about.subjects:
            return False
        if fact.kind in NAME_KINDS and fact.label in about.labels:
            return False
        has_its_own = any(fact.label in self._labels[subject] for subject in about.subjects)
        return has_its_own or (about.strict and fact.subject in self._identified)


def naming(value: Found, facts: Iterable[Fact]) -> Naming | None:
    facts = [fact for fact in facts if fact.kind in NAME_KINDS and fact.subject]
    if value.kind not in NAME_KINDS or not facts:
        return None
    return Naming(
        value.start, frozenset(f.subject for f in facts), frozenset(f.label for f in facts), value.kind is not Kind.UNIT
    )


def spoken_of(value: Found, flat: str, start: int, end: int, named: Sequence[Naming], before: frozenset[str]) -> About:
    """What the sentence from `start` to `end` says the value of; `before` is what was named earlier."""
    others = [one for one in named if one.start != value.start]
    if not others:
        return About() if any(one.start == value.start for one in named) else About(before)
    left, right = _clause(flat, start, end, value.start)
    near = [one for one in others if left <= one.start < right]
    if not near:
        earlier = [one for one in others if one.start < value.start]
        near = [earlier[-1]] if earlier else others[:1]
    return About(
        _common(one.subjects for one in near), strict=True, labels=frozenset().union(*(o.labels for o in near))
    )


def _common(subjects: Iterable[frozenset[str]]) -> frozenset[str]:
    """An address that belongs to two records is narrowed down by the invoice number beside it."""
    every = list(subjects)
    return frozenset.intersection(*every) or frozenset().union(*every)


def _clause(flat: str, start: int, end: int, at: int) -> tuple[int, int]:
    left, right = start, end
    for match in _CLAUSE_END.finditer(flat, start, end):
        if match.end() <= at:
            left = match.end()
        elif match.start() > at:
            return left, match.start()
    return left, right
