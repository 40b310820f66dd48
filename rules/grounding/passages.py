"""Whether one passage supports a sentence: word for word, or with the same content words in nearly the same order.

The draft may leave out and move parts of a sentence, never add a word, change a value or turn its sense.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise

from rules.grounding.comparing import same, told_by
from rules.grounding.dates import periods
from rules.grounding.finding import find
from rules.grounding.meaning import Found, Meaning, Words
from rules.grounding.text import one_line, read, sentences
from rules.grounding.words import FUNCTION_WORDS, POLARITY, PREPOSITIONS, listed
from rules.values import Passage

LEAST_KEPT = 0.9
"""How much a sentence must keep of the clauses it draws on. Chosen on tests/rules/grounding_cases.jsonl."""


@dataclass(frozen=True, slots=True)
class Item:
    """A content word or a value, with the preposition or conjunction that says which part it plays."""

    said: str | Meaning
    preposition: str = ""


Clause = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a sentence says, apart from function words: its clauses, and what turns its sense."""

    clauses: tuple[Clause, ...]
    turns: frozenset[tuple[str, int]]
    words: frozenset[str]

    @classmethod
    def of(cls, clauses: Iterable[Clause], turns: Counter[str]) -> Profile:
        clauses = tuple(clause for clause in clauses if clause)
        words = (item.said for clause in clauses for item in clause)
        return cls(clauses, frozenset(turns.items()), frozenset(word for word in words if isinstance(word, str)))

    def and_then(self, other: Profile) -> Profile:
        return Profile.of(self.clauses + other.clauses, Counter(dict(self.turns)) + Counter(dict(other.turns)))


@dataclass(frozen=True, slots=True)
class _Read:
    """A passage as it is compared."""

    flat: str
    line: str
    starts: frozenset[int]
    ends: frozenset[int]
    words: frozenset[str]
    values: tuple[Meaning, ...]
    windows: tuple[Profile, ...]
    """Each sentence, and each with the one after it."""


_CLAUSE_END = re.compile(r"[,;:()–—]\s|\s[–—]\s")
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*(?: [A-HJ-ZÅÄÖÆØ](?!\w))?")
"""A word, with the capital letter after it that makes it another: `zone A`."""
_CONJUNCTIONS = frozenset(listed("och eller men samt ja tai mutta sekä og and or but"))


def profile(flat: str, language: str, values: Sequence[Found]) -> Profile:
    """`values` are those found in `flat`."""
    clauses: list[list[Item]] = [[]]
    turning: list[str] = []
    preposition = ""
    ends = [match.start() for match in _CLAUSE_END.finditer(flat)]
    typed = [value for value in values if not isinstance(value.meaning, Words)]
    for start, said in _items(flat, typed):
        while ends and ends[0] < start:
            ends.pop(0)
            clauses.append([])
        if isinstance(said, str):
            if said in _CONJUNCTIONS:
                clauses.append([])
            turn = POLARITY[language].get(said)
            if turn:
                turning.append(turn)
            if said in PREPOSITIONS[language] or turn:
                preposition = said if said in PREPOSITIONS[language] or turn in ("when", "who") else ""
            if said in FUNCTION_WORDS[language] or said in POLARITY[language] or said in _CONJUNCTIONS:
                continue
        clauses[-1].append(Item(said, preposition))
        preposition = ""
    return Profile.of(map(tuple, clauses), Counter(turning))


def _items(flat: str, values: Sequence[Found]) -> Iterator[tuple[int, str | Meaning]]:
    position = 0
    for value in [*values, None]:
        for match in _WORD.finditer(flat, position, value.start if value else len(flat)):
            yield match.start(), match[0].lower()
        if value is not None:
            yield value.start, value.meaning
            position = value.end


@lru_cache(maxsize=2048)
def _read(text: str, language: str) -> _Read:
    """Articles are public and the same for every draft, so reading them once is enough."""
    flat = read(text).flat
    values = periods(flat, find(flat, language))
    parts = sentences(flat, language, lambda at: any(v.start < at < v.end for v in values))
    profiles = [
        profile(flat[p.start : p.end], language, [v.moved(-p.start) for v in values if p.start <= v.start < p.end])
        for p in parts
    ]
    return _Read(
        flat=flat,
        line=one_line(flat),
        starts=frozenset(p.start for p in parts),
        ends=frozenset(p.end - len(_full_stop(flat[: p.end])) for p in parts),
        words=frozenset().union(*(p.words for p in profiles)),
        values=tuple(value.meaning for value in values),
        windows=(*profiles, *(one.and_then(other) for one, other in pairwise(profiles))),
    )


def _full_stop(text: str) -> str:
    return "." if text.endswith(".") else ""


def citing(sentence: str, among: Iterable[Passage], language: str) -> Passage | None:
    """The passage in which `sentence` stands, from the beginning to the end of one or more of its sentences."""
    bare = one_line(sentence.removesuffix("."))
    return next((passage for passage in among if _cites(bare, _read(passage.text, passage.language or language))), None)


def _cites(bare: str, held: _Read) -> bool:
    at = held.line.find(bare) if bare else -1
    while at >= 0:
        if at in held.starts and at + len(bare) in held.ends:
            return True
        at = held.line.find(bare, at + 1)
    return False


def support(said: Profile, passage: Passage, language: str, now: datetime) -> float:
    """How much one or two neighbouring sentences of the passage support what is said: the share of their clauses that
    is kept, or 0 when a word, a value or the sense is not theirs."""
    held = _read(passage.text, passage.language or language)
    if not said.words or not said.words <= held.words:
        return 0.0
    return max((_kept(said, window, language, now) for window in held.windows), default=0.0)


def _kept(said: Profile, held: Profile, language: str, now: datetime) -> float:
    if not said.words <= held.words or said.turns != held.turns:
        return 0.0
    sources = [_source(clause, held, language, now) for clause in said.clauses]
    used = {source for source in sources if source is not None}
    if None in sources:
        return 0.0
    return min(1.0, sum(map(len, said.clauses)) / sum(map(len, used)))


def _source(clause: Clause, held: Profile, language: str, now: datetime) -> Clause | None:
    """The one clause of the passage that says all this. Two clauses that say half each do not add up."""
    for other in held.clauses:
        says_all = all(any(_same(item, another, now) for another in other) for item in clause)
        if says_all and not _confused(clause, other) and (language == "fi" or _in_order(clause, other)):
            return other
    return None


def _same(item: Item, other: Item, now: datetime) -> bool:
    if item.preposition != other.preposition:
        return False
    if isinstance(item.said, str) or isinstance(other.said, str):
        return item.said == other.said
    return same(item.said, other.said, now)


def _confused(clause: Clause, held: Clause) -> bool:
    """Where a clause holds several values of a sort, or several parts with one preposition, each must follow or precede
    a word that it follows or precedes there: `in zone A` and `in zone B` are easily exchanged."""
    sorts = Counter(sort for item in held if (sort := _sort(item)))
    beside = {(one.said, other.said) for one, other in pairwise(held)}
    near = [(one, other) for one, other in pairwise(clause)]
    contested = [item for item in clause if sorts[_sort(item)] > 1] if len(clause) > 1 else []
    return any(
        not any((one.said, other.said) in beside for one, other in near if item in (one, other)) for item in contested
    )


def _sort(item: Item) -> str:
    return item.preposition if isinstance(item.said, str) else type(item.said).__name__


def _in_order(clause: Clause, held: Clause) -> bool:
    """Parts with a preposition and values may move. Of the other words only two neighbours may, as subject and verb do
    when something else comes first; more would exchange who does what to whom."""
    places = {item.said: at for at, item in reversed(list(enumerate(held)))}
    order = [places[item.said] for item in clause if not item.preposition and isinstance(item.said, str)]
    moved_to_front = bool(clause[0].preposition) or not isinstance(clause[0].said, str)
    starts = range(len(order)) if moved_to_front else range(1)
    return not order or any(_swaps(order[at:] + order[:at]) <= 1 for at in starts)


def _swaps(order: Sequence[int]) -> int:
    return sum(one > other for at, one in enumerate(order) for other in order[at + 1 :])


def holds(passage: Passage, value: Found, written: str, language: str, now: datetime) -> bool:
    """The value stands in the passage."""
    held = _read(passage.text, passage.language or language)
    if isinstance(value.meaning, Words):
        return written in held.line and re.search(rf"(?<!\w){re.escape(written)}(?!\w)", held.line) is not None
    return any(told_by(value.meaning, other, now) for other in held.values)
