"""When a whole sentence is supported: approved phrases, cited passages, owned sentences, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from rules.grounding import ground, supported
from rules.values import Evidence, Fact, Kind, Owned, Passage, Span, Verdict
from tests.rules.test_ground_values import NOW, fact

INVOICE_A, INVOICE_B = "2026-118342", "2026-118343"


def invoice(number: str, amount: str, due: str, status: str = "unpaid") -> tuple[Fact, ...]:
    return (
        fact(Kind.IDENTIFIER, number, label="invoice_no", subject=number),
        fact(Kind.AMOUNT, amount, label="amount", subject=number),
        fact(Kind.DATE, due, label="due_date", subject=number),
        fact(Kind.STATUS, status, label="status", subject=number),
    )


FACTS = (
    *invoice(INVOICE_A, "4386.00 SEK", "2026-12-15"),
    *invoice(INVOICE_B, "500.00 SEK", "2026-12-22"),
    fact(Kind.IDENTIFIER, "BN 2026-123", label="case_no", subject="BN 2026-123"),
    fact(Kind.STATUS, "refused", label="case_status", subject="BN 2026-123"),
    fact(Kind.PHONE, "+46470123456", label="phone", subject="contact"),
    fact(Kind.UNIT, "Ekonomienheten", label="unit", subject="contact"),
)
PHRASES = (
    "Fakturan {invoice_no} är på {amount} och förfaller den {due_date}.",
    "Beloppet är {amount}.",
    "Frågor om faktura {invoice_no} besvarar {unit} på {phone}.",
    "Ansökan {case_no} har beviljats.",
    "Ansökan {case_no} har avslagits.",
    "Fakturan {invoice_no} är betald.",
    "Du får betala senast den {due_date}. Betala till kontot som står på fakturan.",
    "Vi har läst, kontrollerat och godkänt svaret.",
)
EVIDENCE = Evidence(facts=FACTS, phrases=PHRASES)


def statements(text: str, evidence: Evidence = EVIDENCE, language: str = "sv") -> list[Span]:
    return [span for span in ground(text, language, evidence, NOW) if span.kind is Kind.STATEMENT]


def is_supported(text: str, evidence: Evidence = EVIDENCE) -> bool:
    return supported(ground(text, "sv", evidence, NOW))


@pytest.mark.parametrize(
    "text",
    [
        "Fakturan 2026-118342 är på 4 386 kronor och förfaller den 15 december 2026.",
        "Fakturan 2026-118342 är på 4386,00 kr och förfaller den 15 dec.",
        "Fakturan 2026-118342 är på\n4 386 kronor och förfaller\nden 15 december 2026.",
        "- Fakturan 2026-118342 är på 4 386 kronor och förfaller den 15 december 2026",
        "Hej,\nfakturan 2026-118342 är på 4 386 kronor och förfaller den 15 december 2026.",
        "Frågor om faktura 2026-118342 besvarar Ekonomienheten på 0470-12 34 56.",
        "Du får betala senast den 22 december 2026. Betala till kontot som står på fakturan.",
        "Fakturan 2026-118342 är på 4 386 kronor och förfaller den 15 december 2026. Beloppet är 4 386 kronor.",
        "Ansökan BN 2026-123 har avslagits.",
        "Vi har läst, kontrollerat och godkänt svaret.",
    ],
)
def test_an_approved_phrase_filled_with_facts_is_supported(text: str) -> None:
    assert is_supported(text)
    assert all(span.source == "phrase" for span in statements(text))


@pytest.mark.parametrize(
    "text",
    [
        "Fakturan 2026-118342 är på 500 kronor och förfaller den 15 december 2026.",
        "Fakturan 2026-118342 är på 4 386 kronor och förfaller den 22 december 2026.",
        "Fakturan 2026-118342 är på 4 386 kronor och förfaller senast den 15 december 2026.",
        "Fakturan 2026-118342 är på 4 386 kronor och förfaller den 15 december 2026, om du vill.",
        "Fakturan 2026-118342 är på 4 386 kronor och förfaller inte den 15 december 2026.",
        "Fakturan 2026-118342 är på 4 386 kronor och förfaller den 15 december 2026. Beloppet är 500 kronor.",
        "Ansökan BN 2026-123 har beviljats.",
        "Ansökan BN 2026-123 har inte avslagits.",
        "Fakturan 2026-118342 är betald.",
        "Du får betala senast den 22 december 2026.",
        "Vi betalar tillbaka pengarna.",
    ],
)
def test_anything_else_is_not(text: str) -> None:
    assert not is_supported(text)


def test_a_status_that_no_record_states_is_not_supported_by_a_phrase_alone() -> None:
    no_status = Evidence(tuple(f for f in FACTS if f.kind is not Kind.STATUS), phrases=PHRASES)
    assert not is_supported("Ansökan BN 2026-123 har beviljats.", no_status)


def test_slots_take_values_of_one_record_and_say_whose_the_other_is() -> None:
    text = "Fakturan 2026-118342 är på 500 kronor och förfaller den 15 december 2026."
    spans = ground(text, "sv", EVIDENCE, NOW)
    (wrong,) = [span for span in spans if span.verdict is Verdict.UNSUPPORTED and span.kind is not Kind.STATEMENT]
    assert wrong.text == "500 kronor"
    assert INVOICE_B in wrong.why


def test_values_of_a_phrase_name_their_facts() -> None:
    text = "Fakturan 2026-118342 är på 4 386 kronor och förfaller den 15 december 2026."
    sources = [span.source for span in ground(text, "sv", EVIDENCE, NOW)]
    assert sources == ["phrase", f"invoice_no/{INVOICE_A}", "amount/4386.00 SEK", "due_date/2026-12-15"]


def test_a_free_sentence_may_not_give_one_invoice_the_amount_of_another() -> None:
    spans = ground("Faktura 2026-118342 gäller 500 kr, och faktura 2026-118343 gäller 500 kr.", "sv", EVIDENCE, NOW)
    amounts = [span.verdict for span in spans if span.kind is Kind.AMOUNT]
    assert amounts == [Verdict.UNSUPPORTED, Verdict.SUPPORTED]


def test_a_slot_with_a_withheld_stale_or_disputed_fact_taints_its_statement() -> None:
    text = "Beloppet är 500 kronor."
    amount = fact(Kind.AMOUNT, "500.00 SEK", label="amount", subject="A")
    old = fact(Kind.AMOUNT, "500.00 SEK", label="amount", subject="A", read_at=NOW - timedelta(2), max_age_s=60)
    other = fact(Kind.AMOUNT, "600.00 SEK", label="amount", subject="A")
    for evidence, verdict in (
        (Evidence(withheld=(amount,), phrases=PHRASES), Verdict.WITHHELD),
        (Evidence((old,), phrases=PHRASES), Verdict.STALE),
        (Evidence((amount, other), phrases=PHRASES), Verdict.CONFLICTING),
    ):
        assert {span.verdict for span in ground(text, "sv", evidence, NOW)} == {verdict}


def test_an_owned_sentence_may_leave_but_not_what_the_gate_forbids_in_it() -> None:
    owned = (Owned("Vi betalar tillbaka  500 kr.", "Kim Ek", "agreed by phone"),)
    text = "Vi betalar tillbaka 500 kr."
    assert {span.verdict for span in ground(text, "sv", Evidence(owned=owned), NOW)} == {Verdict.OWNED}
    assert is_supported(text, Evidence(owned=owned))
    assert not is_supported("Vi betalar tillbaka 600 kr.", Evidence(owned=owned))
    secret = Evidence(owned=owned, withheld=(fact(Kind.AMOUNT, "500.00 SEK"),))
    assert [span.verdict for span in ground(text, "sv", secret, NOW)] == [Verdict.OWNED, Verdict.WITHHELD]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("sv", "Hej Anna!\n\nTack för ditt mejl.\n\nMed vänlig hälsning\nAnna Berg\nHandläggare, Ekonomienheten"),
        ("fi", "Hyvä Anna Virtanen\n\nKiitos viestistäsi.\n\nYstävällisin terveisin\nRakennusvalvonta"),
        ("nb", "Hei, Kari Nordmann\n\nTakk for e-posten din.\n\nVennlig hilsen\nByggesak"),
        ("da", "Kære Anna Jensen\n\nTak for din mail.\n\nMed venlig hilsen\nBorgerservice"),
        ("en", "Dear Anna Berg,\n\nThank you for your email.\n\nKind regards\nBuilding control"),
        ("sv", "Öppettider\n\nVill du veta mer?"),
    ],
)
def test_greetings_thanks_closings_signatures_headings_and_questions_state_nothing(language: str, text: str) -> None:
    assert not statements(text, Evidence(), language)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("sv", "Vi betalar allt"),
        ("sv", "Hej Anna, du får pengarna i morgon."),
        ("sv", "Med vänlig hälsning\nAnna Berg\n\nPS. Du slipper avgiften."),
        ("en", "Thank you for your email, you will be paid."),
        ("fi", "Saat rahat huomenna"),
    ],
)
def test_a_promise_is_a_statement_wherever_it_hides(language: str, text: str) -> None:
    assert [span.verdict for span in statements(text, Evidence(), language)] == [Verdict.UNSUPPORTED]


CASES = [json.loads(line) for line in (Path(__file__).parent / "grounding_cases.jsonl").read_text("utf-8").splitlines()]


def decided(case: dict[str, object]) -> bool:
    passages = tuple(Passage(f"p{n}", "a", str(text)) for n, text in enumerate(case["passages"]))  # type: ignore[arg-type]
    return supported(ground(str(case["sentence"]), str(case["language"]), Evidence(passages=passages), NOW))


def test_passage_support_is_precise_on_the_labelled_set() -> None:
    """Measured: precision 1.00 and recall 0.96 on these 305 sentences, on which the rules and the threshold were also
    chosen. On each of three later sets, when it was first seen, precision was 0.81 to 0.85."""
    counted = Counter((bool(case["supported"]), decided(case)) for case in CASES)
    assert len(CASES) >= 120
    assert counted[False, True] == 0
    assert counted[True, True] / (counted[True, True] + counted[True, False]) >= 0.95


@pytest.mark.parametrize("case", [case for case in CASES if case["how"] == "cite"], ids=lambda case: case["sentence"])
def test_a_sentence_cited_word_for_word_is_always_supported(case: dict[str, object]) -> None:
    assert decided(case)


def test_two_half_passages_do_not_add_up_nor_does_half_a_sentence() -> None:
    halves = (Passage("a", "a", "Bygglov krävs inte för friggebodar."), Passage("b", "b", "Du får elda. Om du vill."))
    assert not is_supported("Bygglov krävs.", Evidence(passages=halves))
    assert not is_supported("Krävs inte för friggebodar.", Evidence(passages=halves))


def test_a_stale_passage_makes_its_statement_stale() -> None:
    passage = Passage("a", "a", "Hallen stänger kl. 20.", read_at=NOW - timedelta(days=2), max_age_s=86_400)
    assert {s.verdict for s in ground("Hallen stänger kl. 20.", "sv", Evidence(passages=(passage,)), NOW)} == {
        Verdict.STALE
    }


def test_a_case_worker_may_write_a_cited_sentence_after_a_bullet_and_across_lines() -> None:
    passage = Passage("a", "a", "Du får lämna tre påsar grovavfall om året utan att betala för det.")
    assert is_supported(
        "- Du får lämna tre påsar grovavfall\nom året utan att betala för det", Evidence(passages=(passage,))
    )
