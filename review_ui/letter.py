"""A draft as the reviewer reads it: paragraphs in which every claim is numbered and bound to its proof.

Pure layout: what the evidence says stands in the spans, and a span that may not leave is never left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rules.values import Kind, Span, Verdict


@dataclass(frozen=True, slots=True)
class Proof:
    """Where a claim's value was read, in words."""

    says: str
    article: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement, or a value in one, that the reviewer can follow to its source."""

    number: int
    start: int
    end: int
    verdict: Verdict
    source: str | None
    why: str
    sentence: str
    """What is cut, or what somebody takes responsibility for."""
    says: str
    article: bool
    row: int
    """The first claim with the same source: the row among the sources is named after it."""

    @property
    def target(self) -> str:
        return f"gap-{self.number}" if self.gap else f"s{self.row}"

    @property
    def style(self) -> str:
        """The class that draws it: solid for a register, dotted for an article, wavy for nothing."""
        match self.verdict:
            case Verdict.SUPPORTED:
                return "art" if self.article else ""
            case Verdict.OWNED:
                return "mine"
            case Verdict.STALE:
                return "aged art" if self.article else "aged"
            case _:
                return "none"

    @property
    def gap(self) -> bool:
        """It may not leave as it stands, and reading the source again would not help."""
        return self.style == "none"

    @property
    def may_be_owned(self) -> bool:
        """What the gate holds back stays back, whoever would answer for it."""
        return self.gap and self.verdict is not Verdict.WITHHELD


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text. `tail` is its last word, which the claim's number must not be parted from."""

    text: str
    claim: Claim | None = None

    @property
    def head(self) -> str:
        return self.text[: len(self.text) - len(self.tail)]

    @property
    def tail(self) -> str:
        return re.split(r"\s", self.text)[-1]


@dataclass(frozen=True, slots=True)
class Paragraph:
    segments: tuple[Segment, ...]

    @property
    def gaps(self) -> tuple[Claim, ...]:
        return tuple(segment.claim for segment in self.segments if segment.claim and segment.claim.gap)


@dataclass(frozen=True, slots=True)
class Letter:
    paragraphs: tuple[Paragraph, ...]
    claims: tuple[Claim, ...]
    phrases: int
    """Sentences that the rule pack has approved word for word."""

    @property
    def gaps(self) -> tuple[Claim, ...]:
        return tuple(claim for claim in self.claims if claim.gap)

    @property
    def aged(self) -> tuple[Claim, ...]:
        return tuple(claim for claim in self.claims if claim.verdict is Verdict.STALE)

    @property
    def proven(self) -> int:
        return sum(claim.verdict.may_leave for claim in self.claims)


def lay_out(body: str, spans: Sequence[Span], proofs: Mapping[str, Proof]) -> Letter:
    statements = [span for span in spans if span.kind is Kind.STATEMENT]
    shown = sorted(_shown(statements, spans, proofs), key=lambda span: span.start)
    rows: dict[str, int] = {}
    claims = tuple(
        _claim(number, rows.setdefault(span.source or f"claim {number}", number), span, statements, body, proofs)
        for number, span in enumerate(shown, 1)
    )
    paragraphs = tuple(Paragraph(tuple(_segments(body, claims, *edges))) for edges in _paragraphs(body, claims))
    phrases = sum(s.verdict is Verdict.SUPPORTED and s.source not in proofs for s in statements)
    return Letter(paragraphs, claims, phrases)


def _shown(statements: Sequence[Span], spans: Sequence[Span], proofs: Mapping[str, Proof]) -> list[Span]:
    """The spans that become claims. None overlaps another, and together they cover all that may not leave."""
    values = [span for span in spans if span.kind is not Kind.STATEMENT and _has_a_row(span, proofs)]
    wanted: list[Span] = []
    for statement in statements:
        inside = [value for value in values if _overlap(statement, value)]
        wanted += inside if _speaks_through(statement, inside) else [statement]
    loose = [value for value in values if not any(_overlap(value, statement) for statement in statements)]
    shown: list[Span] = []
    # What may not leave comes first, then the longer, so that nothing alarming hides behind something harmless.
    for span in sorted(dict.fromkeys(wanted + loose), key=lambda s: (s.verdict.may_leave, s.start - s.end, s.start)):
        if not any(_overlap(span, other) for other in shown):
            shown.append(span)
    return shown


def _speaks_through(statement: Span, inside: Sequence[Span]) -> bool:
    """Whether the values in a sentence say where it comes from better than the sentence as a whole.

    An approved phrase does; a sentence cited from an article only when a value in it may not leave; one that nothing
    supports only when the fault lies in its values.
    """
    faulty = any(not value.verdict.may_leave for value in inside)
    if not statement.verdict.may_leave:
        return any(value.verdict is statement.verdict for value in inside) and statement.verdict is Verdict.STALE
    return faulty or (statement.source in (None, "phrase") and statement.verdict is not Verdict.OWNED)


def _has_a_row(span: Span, proofs: Mapping[str, Proof]) -> bool:
    """A value that is part of an approved phrase, such as a fixed deadline, is proven but has no record to show."""
    return span.verdict is not Verdict.SUPPORTED or span.source in proofs


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def _claim(
    number: int, row: int, span: Span, statements: Sequence[Span], body: str, proofs: Mapping[str, Proof]
) -> Claim:
    around = next((s for s in statements if s.start <= span.start and span.end <= s.end), span)
    proof = proofs.get(span.source or "")
    return Claim(
        number=number,
        start=span.start,
        end=span.end,
        verdict=span.verdict,
        source=span.source if proof else None,
        why=span.why,
        sentence=body[around.start : around.end],
        says=proof.says if proof and span.verdict is Verdict.SUPPORTED else span.why,
        article=bool(proof and proof.article),
        row=row,
    )


_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")


def _paragraphs(body: str, claims: Sequence[Claim]) -> Iterator[tuple[int, int]]:
    cuts = [
        m.span() for m in _BLANK_LINE.finditer(body) if not any(c.start < m.end() and m.start() < c.end for c in claims)
    ]
    for (_, start), (end, _) in pairwise([(0, 0), *cuts, (len(body), len(body))]):
        if body[start:end].strip():
            yield start, end


def _segments(body: str, claims: Sequence[Claim], start: int, end: int) -> Iterator[Segment]:
    for claim in claims:
        if start <= claim.start and claim.end <= end:
            if start < claim.start:
                yield Segment(body[start : claim.start])
            yield Segment(body[claim.start : claim.end], claim)
            start = claim.end
    if start < end:
        yield Segment(body[start:end])
