"""What the evidence says of one value: which facts hold it, and are they fresh, agreed, allowed and meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rules.grounding import meaning, passages, status
from rules.grounding.comparing import same, told_by
from rules.grounding.formats import write
from rules.grounding.meaning import Found, Meaning, State
from rules.grounding.names import NAME_KINDS
from rules.grounding.phrases import Slot
from rules.grounding.places import law_reference
from rules.grounding.text import flatten, one_line
from rules.grounding.whose import About, Records
from rules.values import Evidence, Fact, Kind, Passage, Verdict


@dataclass(frozen=True, slots=True)
class Ruling:
    verdict: Verdict
    source: str | None
    why: str
    value: str | None = None


APPROVED = Ruling(Verdict.SUPPORTED, "phrase", "An approved phrase says this.")
UNHELD = Ruling(Verdict.UNSUPPORTED, None, "No fact and no passage holds this.")

_WORST_FIRST = (
    Verdict.UNSUPPORTED,
    Verdict.WITHHELD,
    Verdict.CONFLICTING,
    Verdict.STALE,
    Verdict.OWNED,
    Verdict.SUPPORTED,
)


def worst(rulings: Iterable[Ruling]) -> Ruling:
    return min(rulings, key=lambda ruling: _WORST_FIRST.index(ruling.verdict))


@dataclass(frozen=True, slots=True)
class _Held:
    fact: Fact
    meaning: Meaning
    written: tuple[str, ...]
    """How a template writes it, and as it stands; both flat."""


class Judge:
    def __init__(self, language: str, evidence: Evidence, now: datetime) -> None:
        self.language, self.evidence, self.now = language, evidence, now
        self.records = Records(evidence.facts)
        self._told = [self._held(fact) for fact in evidence.facts]
        self._withheld = [self._held(fact) for fact in evidence.withheld]
        self._record_keys = [self._held(fact) for fact in _record_keys(evidence.facts)]
        self._by_label: dict[str, list[_Held]] = defaultdict(list)
        for held in (*self._told, *self._withheld):
            self._by_label[held.fact.label].append(held)
        self._supporting: dict[Meaning, tuple[Fact, ...]] = {}
        self._disputed = self._find_disputed()

    def _held(self, fact: Fact) -> _Held:
        read = meaning.read(fact.kind, fact.value)
        if fact.kind is Kind.LEGAL_REFERENCE:
            read = law_reference(fact.value, self.language)
        plain = flatten(fact.value)
        written = () if fact.kind is Kind.STATUS else (flatten(write(fact.kind, fact.value, self.language)), plain)
        return _Held(fact, read or meaning.words(plain), tuple(dict.fromkeys(filter(None, written))))

    def _find_disputed(self) -> dict[tuple[str, str], bool]:
        """Labels of a subject for which the sources disagree."""
        groups: dict[tuple[str, str], list[_Held]] = defaultdict(list)
        for held in self._told:
            groups[held.fact.label, held.fact.subject].append(held)
        return {key: any(not self._agree(group[0], other) for other in group[1:]) for key, group in groups.items()}

    def _agree(self, one: _Held, other: _Held) -> bool:
        return same(one.meaning, other.meaning, self.now) or same(other.meaning, one.meaning, self.now)

    @property
    def naming_facts(self) -> tuple[Fact, ...]:
        """Facts by which a draft can name a record."""
        return tuple(h.fact for h in (*self._told, *self._record_keys) if h.fact.kind in NAME_KINDS)

    def supporting(self, said: Meaning) -> tuple[Fact, ...]:
        """Every fact that may be told and holds this value, whomever it is about."""
        if said not in self._supporting:
            told = (*self._told, *self._record_keys)
            self._supporting[said] = tuple(h.fact for h in told if self._says(said, h))
        return self._supporting[said]

    def _says(self, said: Meaning, held: _Held) -> bool:
        return told_by(said, held.meaning, self.now) or self._is(said, held)

    def _is(self, said: Meaning, held: _Held) -> bool:
        if isinstance(said, State) and isinstance(held.meaning, State):
            return status.agrees(said, held.meaning)
        return same(said, held.meaning, self.now)

    def of_value(self, value: Found, written: str, about: About, cited: Passage | None) -> Ruling:
        """A value outside approved phrases; `cited` is the passage that supports its sentence."""
        if cited is not None and self._holds(cited, value, written):
            return self.of_passage(cited)
        facts = self.supporting(value.meaning)
        meant = [fact for fact in facts if not self.records.foreign(fact, about)]
        if meant:
            return self.of_facts(meant)
        if facts:
            return self._foreign(facts[0], about)
        passage = next((p for p in self.evidence.passages if self._holds(p, value, written)), None)
        if passage is not None and not isinstance(value.meaning, State):
            return self.of_passage(passage)
        return self.unless_withheld(value.meaning, UNHELD)

    def _holds(self, passage: Passage, value: Found, written: str) -> bool:
        if isinstance(value.meaning, State):
            return written.lower() in passage.text.lower()
        return passages.holds(passage, value, written, self.language, self.now)

    def _foreign(self, fact: Fact, about: About) -> Ruling:
        named = ", ".join(sorted(about.subjects))
        return Ruling(
            Verdict.UNSUPPORTED, None, f"This value belongs to {fact.subject}, but the text speaks of {named}."
        )

    def unless_withheld(self, said: Meaning, ruling: Ruling) -> Ruling:
        for held in self._withheld:
            if self._says(said, held):
                return self._not_to_be_told(held.fact)
        return ruling

    def _not_to_be_told(self, fact: Fact) -> Ruling:
        return Ruling(Verdict.WITHHELD, fact.id, "This is true, but this sender may not be told it.", fact.value)

    def of_passage(self, passage: Passage) -> Ruling:
        if self._too_old(passage.read_at, passage.max_age_s):
            return Ruling(Verdict.STALE, passage.id, "The passage was read longer ago than is allowed.")
        return Ruling(Verdict.SUPPORTED, passage.id, "One cited passage says this.")

    def of_facts(self, facts: Sequence[Fact]) -> Ruling:
        """Facts that all hold the value and are about the right record."""
        told = [fact for fact in facts if fact not in self.evidence.withheld]
        if not told:
            return self._not_to_be_told(facts[0]) if facts else UNHELD
        fresh = [fact for fact in told if not self._too_old(fact.read_at, fact.max_age_s)]
        if not fresh:
            return Ruling(Verdict.STALE, told[0].id, "The source was read longer ago than is allowed.", told[0].value)
        agreed = [fact for fact in fresh if not self._disputed.get((fact.label, fact.subject))]
        if not agreed:
            return Ruling(Verdict.CONFLICTING, fresh[0].id, "The sources disagree about this.", fresh[0].value)
        return Ruling(Verdict.SUPPORTED, agreed[0].id, "The register says this.", agreed[0].value)

    def _too_old(self, read_at: datetime, max_age_s: float | None) -> bool:
        return max_age_s is not None and (self.now - read_at).total_seconds() > max_age_s

    # Slots of phrases

    def fillings(self, label: str, flat: str, at: int, found: Iterable[Found]) -> Mapping[int, tuple[Fact, ...]]:
        """Where a value of a fact with this label may end that begins here, and which facts it is."""
        ends: dict[int, list[Fact]] = defaultdict(list)
        found = list(found)
        for held in self._by_label.get(label, ()):
            as_written = {at + len(text) for text in held.written if _stands(flat, at, text)}
            in_meaning = {value.end for value in found if self._is(value.meaning, held)}
            for end in as_written | in_meaning:
                ends[end].append(held.fact)
        return {end: tuple(facts) for end, facts in sorted(ends.items(), reverse=True)}

    def one_record(self, slots: Sequence[Slot], before: frozenset[str]) -> dict[Slot, tuple[Fact, ...]]:
        """For each slot the facts of one and the same record; none where the slots cannot be of one record."""
        subjects = dict.fromkeys(fact.subject for slot in slots for fact in slot.facts)
        best: dict[Slot, tuple[Fact, ...]] = dict.fromkeys(slots, ())
        for subject in sorted(subjects, key=lambda one: one not in before):
            about = (About(frozenset({subject}) - {""}, strict=True), About(before))
            chosen = {
                slot: tuple(f for f in slot.facts if not any(self.records.foreign(f, one) for one in about))
                for slot in slots
            }
            if all(chosen.values()):
                return chosen
            if sum(map(bool, chosen.values())) > sum(map(bool, best.values())):
                best = chosen
        return best

    def of_slot(self, slot: Slot, meant: Sequence[Fact]) -> Ruling:
        if meant:
            return self.of_facts(meant)
        whose = ", ".join(sorted({fact.subject for fact in slot.facts}))
        return Ruling(Verdict.UNSUPPORTED, None, f"This value belongs to {whose}, not to the record spoken of here.")

    def of_claim(self, said: State, meant: Mapping[Slot, Sequence[Fact]], before: frozenset[str]) -> Ruling:
        """A status that the words of an approved phrase claim: the record itself must not say otherwise."""
        filled = [fact for facts in meant.values() for fact in facts]
        about = About(frozenset(fact.subject for fact in filled if fact.subject) or before)
        known = [h for h in self._told if isinstance(h.meaning, State) and not self.records.foreign(h.fact, about)]
        known = [h for h in known if not about.subjects or h.fact.subject in about.subjects]
        agreeing = [held.fact for held in known if self._says(said, held)]
        if agreeing:
            return self.of_facts(agreeing)
        if said.status == "received" or (said.status not in status.NEEDS_RECORD and not filled):
            return APPROVED
        if known:
            return Ruling(Verdict.UNSUPPORTED, None, f"The register says {known[0].fact.value}.")
        hidden = [h for h in self._withheld if isinstance(h.meaning, State) and h.fact.subject in about.subjects]
        if hidden:
            agreed = next((h.fact for h in hidden if self._says(said, h)), None)
            return self._not_to_be_told(agreed) if agreed else UNHELD
        dated = any(fact.kind in (Kind.DATE, Kind.PERIOD) for fact in filled)
        return APPROVED if dated or said.status not in status.NEEDS_RECORD else UNHELD


def _stands(flat: str, at: int, text: str) -> bool:
    """`text` begins here and does not go on as a longer word or number."""
    end = at + len(text)
    if one_line(flat[at:end]) != text:
        return False
    return not (text[-1].isalnum() and flat[end : end + 1].isalnum())


def _record_keys(facts: Sequence[Fact]) -> Iterable[Fact]:
    """A record's key names it, also where no field repeats it."""
    named = {(fact.subject, fact.value) for fact in facts if fact.kind in NAME_KINDS}
    for subject in dict.fromkeys(fact.subject for fact in facts):
        if len(subject) > 3 and any(c.isdigit() for c in subject) and (subject, subject) not in named:
            first = next(fact for fact in facts if fact.subject == subject)
            yield replace(first, kind=Kind.IDENTIFIER, label="", value=subject, max_age_s=None)
