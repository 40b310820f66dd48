"""Approved phrases with slots, matched exactly: every literal word as it stands, every slot filled by a fact."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from rules.grounding.text import flatten
from rules.values import Fact

_SLOT = re.compile(r"\{([A-Za-z_][\w.]*)\}")
MOST_WAYS = 200
"""In how many ways one phrase may be tried at one place."""


@dataclass(frozen=True, slots=True)
class Slot:
    label: str
    start: int
    end: int
    facts: tuple[Fact, ...]
    """All facts with that label that are written here."""


@dataclass(frozen=True, slots=True)
class Match:
    start: int
    end: int
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Phrase:
    literals: tuple[str, ...]
    """What stands before, between and after the slots."""
    labels: tuple[str, ...]


FillsAt = Callable[[str, int], Mapping[int, tuple[Fact, ...]]]
"""For a label and a place: where a value of a fact with that label may end, and which facts it is."""


@lru_cache(maxsize=32)
def compiled(phrases: tuple[str, ...]) -> Mapping[str, tuple[Phrase, ...]]:
    """Phrases by their first letter in small; those that begin with a slot under an empty string."""
    by_start: dict[str, list[Phrase]] = defaultdict(list)
    for text in dict.fromkeys(phrases):
        parts = _SLOT.split(flatten(text))
        phrase = Phrase(tuple(parts[::2]), tuple(parts[1::2]))
        if any(literal.strip() for literal in phrase.literals):
            by_start[phrase.literals[0][:1].lower()].append(phrase)
    return {start: tuple(sorted(found, key=_length, reverse=True)) for start, found in by_start.items()}


def _length(phrase: Phrase) -> int:
    return sum(map(len, phrase.literals))


def matches(flat: str, line: str, at: int, phrases: tuple[str, ...], fills: FillsAt) -> Iterator[Match]:
    """Every phrase that stands in the text from `at` to the end of a sentence. `line` is `flat` without line breaks."""
    by_start = compiled(phrases)
    for phrase in (*by_start.get(line[at : at + 1].lower(), ()), *by_start.get("", ())):
        if line.startswith(phrase.literals[0][1:], at + 1):
            for end, slots in _Ways(line, phrase, fills).from_literal(0, at, ()):
                if (stop := _stop(flat, end)) is not None:
                    yield Match(at, stop, slots)


class _Ways:
    """Tries the ways in which a phrase may be filled; gives up after `MOST_WAYS`."""

    def __init__(self, line: str, phrase: Phrase, fills: FillsAt) -> None:
        self.line, self.phrase, self.fills = line, phrase, fills
        self.left = MOST_WAYS

    def from_literal(self, number: int, at: int, slots: tuple[Slot, ...]) -> Iterator[tuple[int, tuple[Slot, ...]]]:
        end = self.literal_end(number, at)
        if end is None:
            return
        if number == len(self.phrase.labels):
            yield end, slots
            return
        label = self.phrase.labels[number]
        for slot_end, facts in self.fills(label, end).items():
            self.left -= 1
            if self.left > 0:
                yield from self.from_literal(number + 1, slot_end, (*slots, Slot(label, end, slot_end, facts)))

    def literal_end(self, number: int, at: int) -> int | None:
        """Where the literal ends. The case of the first letter is free, since it may follow `Hej,`. A full stop is not
        written again after a value that ends in one, such as `kr.`, and may be missing at the very end."""
        literal, line = self.phrase.literals[number], self.line
        if line.startswith(literal, at) or (number == 0 and line.startswith(literal[1:], at + 1)):
            return at + len(literal)
        if literal[:1] == line[at - 1 : at] == "." and line.startswith(literal[1:], at):
            return at + len(literal) - 1
        if number == len(self.phrase.labels) and literal[-1:] == "." and line.startswith(literal[:-1], at):
            return at + len(literal) - 1
        return None


def _stop(flat: str, end: int) -> int | None:
    """The phrase must be all that its last sentence says: nothing but a full stop may follow."""
    if flat[end : end + 1] == "." and flat[end - 1 : end] not in ".!?:":
        end += 1
    if end == len(flat) or flat[end] in "\n\f":
        return end
    return end if flat[end] == " " and flat[end - 1] in ".!?:…" else None
