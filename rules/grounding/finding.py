"""Finds typed values in running text: the table of all patterns, in order of precedence.

Every pattern is bounded, so hostile text costs no more than its length.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache

from rules.grounding.dates import date_finders, time_finders
from rules.grounding.meaning import Found
from rules.grounding.numbers import MONEY_FINDERS, quantity_finders
from rules.grounding.pattern import Finder
from rules.grounding.places import IDENTIFIER_FINDERS, LAW_FINDERS, REACH_FINDERS


@lru_cache(maxsize=8)
def _finders(language: str) -> tuple[Finder, ...]:
    """What an earlier one takes, a later one leaves: `2026-12-15` is no phone, and `14.30 kr` no time."""
    return (
        *REACH_FINDERS,
        *date_finders(language),
        *LAW_FINDERS,
        *MONEY_FINDERS,
        *time_finders(language),
        *IDENTIFIER_FINDERS,
        *quantity_finders(language),
    )


def find(flat: str, language: str, taken: Iterable[Found] = ()) -> list[Found]:
    """Values of the text, in order, none over another; what is `taken` keeps its place."""
    found = Occupied(taken)
    for finder in _finders(language):
        if finder.needs and not any(mark in flat for mark in finder.needs):
            continue
        for match in finder.pattern.finditer(flat):
            start, end = match.span(finder.group)
            if found.free(start, end) and (value := finder.meaning(match, language)) is not None:
                found.add(Found(start, end, finder.kind, value))
    return found.values


class Occupied:
    """Values sorted by place; asks quickly whether a stretch is still free."""

    def __init__(self, values: Iterable[Found]) -> None:
        self.values = sorted(values, key=lambda value: value.start)
        self._starts = [value.start for value in self.values]

    def free(self, start: int, end: int) -> bool:
        at = bisect_right(self._starts, start)
        overlaps_before = at > 0 and self.values[at - 1].end > start
        overlaps_after = at < len(self.values) and self.values[at].start < end
        return not (overlaps_before or overlaps_after)

    def add(self, value: Found) -> None:
        at = bisect_right(self._starts, value.start)
        self.values.insert(at, value)
        self._starts.insert(at, value.start)
