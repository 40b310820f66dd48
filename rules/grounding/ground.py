"""Says of every value and statement in a draft what the evidence says about it. A function of the text alone.

Nothing here repairs or rewrites; a draft that is not supported goes to a person as it stands.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol, TypeVar

from rules.grounding import names, passages, status, whose
from rules.grounding.dates import periods
from rules.grounding.finding import Occupied, find
from rules.grounding.judging import APPROVED, Judge, Ruling, worst
from rules.grounding.meaning import Found, Words
from rules.grounding.phrases import Match, Slot, matches
from rules.grounding.text import Reading, Sentence, Shape, one_line, read, sentences
from rules.values import Evidence, Fact, Kind, Passage, Span, Verdict

UNSAID = Ruling(Verdict.UNSUPPORTED, None, "No approved phrase and no single passage says this.")

LOOK_AROUND = 500
"""How far from a value the name of its record is looked for, in characters. No sentence that people write is longer."""


def ground(text: str, language: str, evidence: Evidence, now: datetime) -> tuple[Span, ...]:
    """Spans sorted by place, a statement before the values in it; offsets are those of `text`."""
    reading = read(text)
    spans = _Draft(reading.flat, language, evidence, now).spans()
    placed = {_placed(span, text, reading) for span in spans}
    return tuple(sorted(placed, key=lambda span: (span.start, -span.end, span.kind is not Kind.STATEMENT)))


def supported(spans: Iterable[Span]) -> bool:
    return all(span.verdict.may_leave for span in spans)


def _placed(span: Span, text: str, reading: Reading) -> Span:
    start, end = reading.original(span.start, span.end)
    return replace(span, start=start, end=end, text=text[start:end])


class _Draft:
    """One draft being read. Offsets are those of the flat text."""

    def __init__(self, flat: str, language: str, evidence: Evidence, now: datetime) -> None:
        self.flat, self.language, self.evidence, self.now = flat, language, evidence, now
        self.line = one_line(flat)
        self.judge = Judge(language, evidence, now)
        self.parts = self._parts()
        self.values = periods(flat, self.parts)
        self.sentences = sentences(flat, language, self._inside_value)
        named = (whose.naming(value, self.judge.supporting(value.meaning)) for value in self.values)
        self.named = [one for one in named if one is not None]
        self.named_anywhere = frozenset[str]().union(*(one.subjects for one in self.named))
        self.named_in_paragraph = frozenset[str]()
        self._filled: dict[tuple[str, int], Mapping[int, tuple[Fact, ...]]] = {}

    def _parts(self) -> list[Found]:
        """Values as they stand, dates not yet joined to periods: two slots of a phrase may be filled with them."""
        facts = (*self.judge.naming_facts, *self.evidence.withheld)
        tokens = names.tokens(self.flat)
        found = find(self.flat, self.language, names.known_values(self.flat, tokens, self.language, facts))
        return _beside(found, names.lone_names(self.flat, tokens, self.language, facts))

    def _inside_value(self, at: int) -> bool:
        before = bisect_left(self.values, at, key=lambda value: value.start) - 1
        return before >= 0 and self.values[before].end > at

    def spans(self) -> Iterator[Span]:
        paragraph = -1
        rest = self.sentences[::-1]
        while rest:
            sentence = rest.pop()
            if sentence.paragraph != paragraph:
                paragraph, self.named_in_paragraph = sentence.paragraph, frozenset()
            end, spans = self._owned(sentence) or self._phrase(sentence) or self._sentence(sentence)
            yield from spans
            here = (one.subjects for one in _within(self.named, sentence.start, end))
            self.named_in_paragraph = self.named_in_paragraph.union(*here)
            _go_on_after(end, sentence, rest)

    # What a person or the pack answers for

    def _owned(self, sentence: Sentence) -> tuple[int, list[Span]] | None:
        for owned in self.evidence.owned:
            braced = owned.text.replace("{", "(").replace("}", ")")
            match = next(matches(self.flat, self.line, sentence.start, (braced,), lambda label, at: {}), None)
            if match is not None:
                why = f"{owned.person} took responsibility for this sentence: {owned.reason}"
                return match.end, self._owned_spans(match, Ruling(Verdict.OWNED, None, why))
        return None

    def _owned_spans(self, match: Match, ruling: Ruling) -> list[Span]:
        values = _beside(_within(self.values, match.start, match.end), self._claims(match.start, match.end))
        told = [_value(value, self.judge.unless_withheld(value.meaning, ruling)) for value in values]
        return [_statement(one, ruling) for one in self._asserting(match.start, match.end)] + told

    def _phrase(self, sentence: Sentence) -> tuple[int, list[Span]] | None:
        """The sentence, and perhaps those after it, when they are an approved phrase."""
        first: tuple[int, list[Span]] | None = None
        for match in matches(self.flat, self.line, sentence.start, self.evidence.phrases, self._fillings):
            found = match.end, self._phrase_spans(match)
            if supported(found[1]):
                return found
            first = first or found
        return first

    def _fillings(self, label: str, at: int) -> Mapping[int, tuple[Fact, ...]]:
        """Asked again and again for the same place, since many phrases begin alike."""
        if (label, at) not in self._filled:
            found = (*_within(self.parts, at, at + 1), *_within(self.values, at, at + 1))
            self._filled[label, at] = self.judge.fillings(label, self.flat, at, found)
        return self._filled[label, at]

    def _phrase_spans(self, match: Match) -> list[Span]:
        names_record = any(fact.kind in names.NAME_KINDS for slot in match.slots for fact in slot.facts)
        before = frozenset[str]() if names_record else self._before()
        meant = self.judge.one_record(match.slots, before)
        rulings = [(_slot(slot), self.judge.of_slot(slot, facts)) for slot, facts in meant.items()]
        for value in _within(self.values, match.start, match.end):
            rulings.append((value, APPROVED))
        for claim in self._claims(match.start, match.end):
            rulings.append((claim, self.judge.of_claim(claim.meaning, meant, before)))
        values = _beside([], (value for value, _ in rulings))
        whole = worst([APPROVED, *(ruling for _, ruling in rulings)])
        if whole.verdict is not Verdict.UNSUPPORTED:
            whole = replace(whole, source="phrase")
        said = [_statement(one, whole) for one in self._asserting(match.start, match.end)]
        return said + [_value(value, dict(rulings)[value]) for value in values]

    def _before(self) -> frozenset[str]:
        return self.named_in_paragraph or self.named_anywhere

    # Any other sentence

    def _sentence(self, sentence: Sentence) -> tuple[int, list[Span]]:
        values = _within(self.values, sentence.start, sentence.end)
        if sentence.shape in (Shape.STATEMENT, Shape.QUESTION, Shape.GREETING):
            values = _beside(values, names.unknown_names(self.flat, sentence.start, sentence.end))
        passage = self._passage(sentence, values)
        values = _beside(values, self._claims(sentence.start, sentence.end))
        spans = [_value(value, self._ruling(value, sentence, passage)) for value in values]
        if sentence.shape is Shape.STATEMENT:
            spans.append(_statement(sentence, self.judge.of_passage(passage) if passage else UNSAID))
        return sentence.end, spans

    def _ruling(self, value: Found, sentence: Sentence, passage: Passage | None) -> Ruling:
        start = max(sentence.start, value.start - LOOK_AROUND)
        end = min(sentence.end, value.end + LOOK_AROUND)
        about = whose.spoken_of(value, self.flat, start, end, _within(self.named, start, end), self._before())
        return self.judge.of_value(value, self.flat[value.start : value.end], about, passage)

    def _passage(self, sentence: Sentence, values: Sequence[Found]) -> Passage | None:
        """The passage that the sentence is taken from, word for word or nearly."""
        said = self.flat[sentence.start : sentence.end]
        cited = passages.citing(said, self.evidence.passages, self.language)
        if cited is not None:
            return cited
        profile = passages.profile(said, self.language, [value.moved(-sentence.start) for value in values])
        for passage in self.evidence.passages:
            if passages.support(profile, passage, self.language, self.now) >= passages.LEAST_KEPT:
                return passage
        return None

    def _asserting(self, start: int, end: int) -> Iterator[Sentence]:
        """The statements of a stretch, cut to it."""
        for one in _reaching(self.sentences, start, end):
            if one.shape is Shape.STATEMENT:
                yield replace(one, start=max(one.start, start), end=min(one.end, end))

    def _claims(self, start: int, end: int) -> Iterator[status.Claim]:
        for one in _reaching(self.sentences, start, end):
            yield from status.states(self.flat, max(one.start, start), min(one.end, end), self.language)


class _Placed(Protocol):
    @property
    def start(self) -> int: ...


P = TypeVar("P", bound=_Placed)


def _within(places: Sequence[P], start: int, end: int) -> list[P]:
    """Those that begin in the stretch."""

    def place(one: P) -> int:
        return one.start

    return list(places[bisect_left(places, start, key=place) : bisect_left(places, end, key=place)])


def _reaching(parts: Sequence[Sentence], start: int, end: int) -> list[Sentence]:
    """Sentences that share something with the stretch."""
    first = max(0, bisect_left(parts, start, key=lambda one: one.start) - 1)
    last = bisect_left(parts, end, key=lambda one: one.start)
    return [one for one in parts[first:last] if one.end > start]


def _beside(values: Sequence[Found], more: Iterable[Found]) -> list[Found]:
    """`values` and what of `more` does not lie over another."""
    found = Occupied(values)
    for one in more:
        if found.free(one.start, one.end):
            found.add(one)
    return found.values


def _go_on_after(end: int, sentence: Sentence, rest: list[Sentence]) -> None:
    """Drops the sentences that a phrase has covered and keeps what is left of a sentence it ended in."""
    last = sentence
    while rest and rest[-1].start < end:
        last = rest.pop()
    if end + 1 < last.end:
        rest.append(replace(last, start=end + 1))


def _slot(slot: Slot) -> Found:
    fact = slot.facts[0]
    return Found(slot.start, slot.end, fact.kind, Words((slot.label,), fact.value))


def _statement(sentence: Sentence, ruling: Ruling) -> Span:
    return Span(sentence.start, sentence.end, "", Kind.STATEMENT, None, ruling.verdict, ruling.source, ruling.why)


def _value(value: Found, ruling: Ruling) -> Span:
    said = ruling.value or str(value.meaning)
    return Span(value.start, value.end, "", value.kind, said, ruling.verdict, ruling.source, ruling.why)
