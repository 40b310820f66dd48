"""How a draft is laid out: which stretches become numbered claims, and that nothing that may not leave is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_ui.letter import Letter, Proof, lay_out
from rules.values import Kind, Span, Verdict

BODY = "Hej!\n\nFakturan är på 4 386 kr och förfaller den 15 december. Du får dela upp den.\n\nHälsningar"
PROOFS = {
    "amount": Proof("Source: invoice, amount."),
    "due": Proof("Source: invoice, due."),
    "a#p1": Proof("Article.", article=True),
}
SENTENCE, SECOND = BODY[6:62], BODY[63:85]
AMOUNT, DUE = "4 386 kr", "den 15 december"


def span(
    text: str, verdict: Verdict = Verdict.SUPPORTED, source: str | None = "phrase", kind: Kind = Kind.STATEMENT
) -> Span:
    start = BODY.index(text)
    return Span(start, start + len(text), text, kind, None, verdict, source, f"Why: {verdict}.")


def value(text: str, source: str | None, verdict: Verdict = Verdict.SUPPORTED) -> Span:
    return span(text, verdict, source, Kind.AMOUNT)


def texts(letter: Letter) -> list[str]:
    return [BODY[claim.start : claim.end] for claim in letter.claims]


def test_a_phrase_speaks_through_its_values() -> None:
    letter = lay_out(BODY, [span(SENTENCE), value(AMOUNT, "amount"), value(DUE, "due")], PROOFS)
    assert texts(letter) == [AMOUNT, DUE]
    assert [claim.target for claim in letter.claims] == ["s1", "s2"]
    assert letter.phrases == 1


def test_a_sentence_cited_from_an_article_is_one_claim_with_its_values_inside() -> None:
    letter = lay_out(BODY, [span(SENTENCE, source="a#p1"), value(AMOUNT, "a#p1")], PROOFS)
    assert texts(letter) == [SENTENCE]
    assert letter.claims[0].style == "art"


def test_a_sentence_that_nothing_supports_is_shown_whole() -> None:
    letter = lay_out(BODY, [span(SENTENCE, Verdict.UNSUPPORTED, None), value(AMOUNT, "amount")], PROOFS)
    assert texts(letter) == [SENTENCE]
    assert letter.gaps == letter.claims
    assert letter.claims[0].target == "gap-1"


@pytest.mark.parametrize("verdict", [Verdict.UNSUPPORTED, Verdict.CONFLICTING, Verdict.WITHHELD, Verdict.STALE])
def test_a_value_that_may_not_leave_shows_in_a_sentence_that_may(verdict: Verdict) -> None:
    for source in ("phrase", "a#p1"):
        letter = lay_out(BODY, [span(SENTENCE, source=source), value(AMOUNT, "amount", verdict)], PROOFS)
        assert texts(letter) == [AMOUNT]
        assert letter.claims[0].sentence == SENTENCE, "what is cut is the sentence, not the bare value"


def test_a_value_that_the_gate_holds_back_can_be_cut_and_not_owned() -> None:
    letter = lay_out(BODY, [value(AMOUNT, None, Verdict.WITHHELD)], PROOFS)
    assert letter.claims[0].gap
    assert not letter.claims[0].may_be_owned


def test_a_fixed_value_in_an_approved_phrase_has_no_row_and_gets_no_number() -> None:
    assert not lay_out(BODY, [span(SENTENCE), value(AMOUNT, "phrase")], PROOFS).claims


def test_claims_on_one_source_lead_to_one_row() -> None:
    letter = lay_out(BODY, [span(SENTENCE), value(AMOUNT, "amount"), value(DUE, "amount")], PROOFS)
    assert [claim.target for claim in letter.claims] == ["s1", "s1"]


def test_paragraphs_keep_every_word() -> None:
    letter = lay_out(BODY, [span(SENTENCE), value(AMOUNT, "amount")], PROOFS)
    assert ["".join(s.text for s in p.segments) for p in letter.paragraphs] == BODY.split("\n\n")


def test_the_last_word_stays_with_its_number() -> None:
    letter = lay_out(BODY, [value(DUE, "due")], PROOFS)
    segment = next(s for p in letter.paragraphs for s in p.segments if s.claim)
    assert (segment.head, segment.tail) == ("den 15 ", "december")


@st.composite
def any_spans(draw: st.DrawFn) -> list[Span]:
    edges = st.integers(0, len(BODY) - 1)
    made = []
    for _ in range(draw(st.integers(0, 8))):
        start, other = draw(edges), draw(edges)
        start, end = min(start, other), max(start, other) + 1
        verdict, source = (
            draw(st.sampled_from(Verdict)),
            draw(st.sampled_from([None, "phrase", "amount", "a#p1", "gone"])),
        )
        kind = draw(st.sampled_from([Kind.STATEMENT, Kind.DATE, Kind.AMOUNT]))
        made.append(Span(start, end, BODY[start:end], kind, None, verdict, source, "why"))
    return made


@given(any_spans())
def test_whatever_may_not_leave_is_always_in_sight(spans: list[Span]) -> None:
    claims = lay_out(BODY, spans, PROOFS).claims
    for bad in (s for s in spans if not s.verdict.may_leave):
        assert any(not c.verdict.may_leave and c.start < bad.end and bad.start < c.end for c in claims)


@given(any_spans())
def test_no_word_is_lost_and_no_claim_overlaps_another(spans: list[Span]) -> None:
    letter = lay_out(BODY, spans, PROOFS)
    written = "".join(s.text for p in letter.paragraphs for s in p.segments)
    assert written.split() == BODY.split() or "".join(written.split()) == "".join(BODY.split())
    assert all(one.end <= other.start for one, other in zip(letter.claims, letter.claims[1:], strict=False))
