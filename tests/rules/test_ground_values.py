"""Which values of a text a fact supports, language by language."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rules.grounding import ground, write
from rules.values import Evidence, Fact, Kind, Passage, Source, Span, Verdict

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def fact(kind: Kind, value: str, *, label: str = "it", subject: str = "", **more: object) -> Fact:
    given = {"read_at": NOW, **more}
    return Fact(f"{label}/{value}", kind, label, value, subject, Source("register", subject, label), **given)  # type: ignore[arg-type]


def value_spans(text: str, language: str, evidence: Evidence) -> list[Span]:
    return [span for span in ground(text, language, evidence, NOW) if span.kind is not Kind.STATEMENT]


def only_span(text: str, language: str, evidence: Evidence) -> Span:
    (span,) = value_spans(text, language, evidence)
    return span


SUPPORTED = [
    ("sv", "Det är den 3 oktober 2026.", Kind.DATE, "2026-10-03"),
    ("sv", "Det är den 3 okt 2026.", Kind.DATE, "2026-10-03"),
    ("sv", "Det är lördag 3 oktober.", Kind.DATE, "2026-10-03"),
    ("sv", "Det är lördagen den 3 oktober.", Kind.DATE, "2026-10-03"),
    ("sv", "Det är 2026-10-03.", Kind.DATE, "2026-10-03"),
    ("sv", "Det är 3/10 2026.", Kind.DATE, "2026-10-03"),
    ("fi", "Se on 3.10.2026.", Kind.DATE, "2026-10-03"),
    ("fi", "Se on lauantaina 3.10.", Kind.DATE, "2026-10-03"),
    ("fi", "Se on 3. lokakuuta 2026.", Kind.DATE, "2026-10-03"),
    ("nb", "Det er 3. oktober 2026.", Kind.DATE, "2026-10-03"),
    ("nb", "Det er 03.10.2026.", Kind.DATE, "2026-10-03"),
    ("da", "Det er den 3. oktober 2026.", Kind.DATE, "2026-10-03"),
    ("da", "Det er lørdag den 3. oktober.", Kind.DATE, "2026-10-03"),
    ("en", "It is 3 October 2026.", Kind.DATE, "2026-10-03"),
    ("en", "It is Saturday, 3rd October.", Kind.DATE, "2026-10-03"),
    ("en", "It is October 3, 2026.", Kind.DATE, "2026-10-03"),
    ("sv", "Det är kl. 14.", Kind.TIME, "14:00"),
    ("sv", "Det är klockan 14.00.", Kind.TIME, "14:00"),
    ("fi", "Se on klo 14.00.", Kind.TIME, "14:00"),
    ("nb", "Det er kl. 14:00.", Kind.TIME, "14:00"),
    ("da", "Det er kl. 14.", Kind.TIME, "14:00"),
    ("en", "It is at 2pm.", Kind.TIME, "14:00"),
    ("en", "It is at 14:00.", Kind.TIME, "14:00"),
    ("sv", "Det är kl. 9–12.", Kind.TIME, "09:00/12:00"),
    ("en", "It is 9am to midday.", Kind.TIME, "09:00/12:00"),
    ("sv", "Det är 4–7 november 2026.", Kind.PERIOD, "2026-11-04/2026-11-07"),
    ("sv", "Det är den 1 juli till den 30 september 2026.", Kind.PERIOD, "2026-07-01/2026-09-30"),
    ("sv", "Det är juli–september 2026.", Kind.PERIOD, "2026-07-01/2026-09-30"),
    ("fi", "Se on 4.–7.11.2026.", Kind.PERIOD, "2026-11-04/2026-11-07"),
    ("fi", "Se on heinä–syyskuussa 2026.", Kind.PERIOD, "2026-07-01/2026-09-30"),
    ("nb", "Det er 4.–7. november 2026.", Kind.PERIOD, "2026-11-04/2026-11-07"),
    ("da", "Det er 4.-7. november 2026.", Kind.PERIOD, "2026-11-04/2026-11-07"),
    ("en", "It is 4 to 7 November 2026.", Kind.PERIOD, "2026-11-04/2026-11-07"),
    ("en", "It is between 1 July and 30 September 2026.", Kind.PERIOD, "2026-07-01/2026-09-30"),
    ("sv", "Det är 1 234,50 kr.", Kind.AMOUNT, "1234.50 SEK"),
    ("sv", "Det är 1\u00a0234,50\u00a0kronor.", Kind.AMOUNT, "1234.50 SEK"),
    ("sv", "Det är 1.234,50 kr.", Kind.AMOUNT, "1234.50 SEK"),
    ("sv", "Det är 500:-.", Kind.AMOUNT, "500.00 SEK"),
    ("fi", "Se on 1234,50 €.", Kind.AMOUNT, "1234.50 EUR"),
    ("fi", "Se on 1 234,50 euroa.", Kind.AMOUNT, "1234.50 EUR"),
    ("nb", "Det er kr 1 234,50.", Kind.AMOUNT, "1234.50 NOK"),
    ("da", "Det er 1.234,50 kr.", Kind.AMOUNT, "1234.50 DKK"),
    ("da", "Det er 4.386 kr.", Kind.AMOUNT, "4386.00 DKK"),
    ("en", "It is SEK 1,234.50.", Kind.AMOUNT, "1234.50 SEK"),
    ("en", "It is €49.50.", Kind.AMOUNT, "49.50 EUR"),
    ("sv", "Det är 240 liter.", Kind.QUANTITY, "240 l"),
    ("sv", "Det är två veckor.", Kind.QUANTITY, "2 weeks"),
    ("sv", "Det är 14 dagar.", Kind.QUANTITY, "2 weeks"),
    ("fi", "Kesto on kaksi viikkoa.", Kind.QUANTITY, "14 d"),
    ("en", "It is three bins or 3.", Kind.QUANTITY, "3"),
    ("sv", "Det är två veckor.", Kind.PERIOD, "2026-12-01/2026-12-15"),
    ("nb", "Det er to uker.", Kind.PERIOD, "2026-12-01/2026-12-14"),
    ("sv", "Det är 25 procent.", Kind.PERCENTAGE, "25 %"),
    ("fi", "Se on 25 %.", Kind.PERCENTAGE, "25 %"),
    ("en", "It is 25%.", Kind.PERCENTAGE, "25 %"),
    ("sv", "Det är BN 2026-123.", Kind.IDENTIFIER, "BN 2026-123"),
    ("sv", "Det är dnr BN-2026-123.", Kind.IDENTIFIER, "BN 2026-123"),
    ("nb", "Det er sak 2026/123.", Kind.IDENTIFIER, "2026/123"),
    ("sv", "Det är Norrvik Lärkan 2:7.", Kind.IDENTIFIER, "Norrvik Lärkan 2:7"),
    ("sv", "Hon heter Anna Berg.", Kind.PERSON, "Anna Berg"),
    ("sv", "Det är Anna Bergs ärende.", Kind.PERSON, "Anna Berg"),
    ("fi", "Se on Matti Virtasen asia.", Kind.PERSON, "Matti Virtanen"),
    ("fi", "Soita Matti Virtaselle.", Kind.PERSON, "Matti Virtanen"),
    ("fi", "Asiaa hoitaa Rakennusvalvonnan väki.", Kind.UNIT, "Rakennusvalvonta"),
    ("sv", "Fråga tekniska förvaltningens kundtjänst.", Kind.UNIT, "Tekniska förvaltningen"),
    ("sv", "Vi ses på Storgatan 1.", Kind.ADDRESS, "Storgatan 1, 352 30 Växjö"),
    ("fi", "Osoite on Kauppapuistikko 1 A 2, 65100 Vaasa.", Kind.ADDRESS, "Kauppapuistikko 1 A 2, 65100 Vaasa"),
    ("sv", "Ring 0470-12 34 56.", Kind.PHONE, "+46470123456"),
    ("sv", "Ring 0470 123 456.", Kind.PHONE, "+46470123456"),
    ("en", "Call +46 470 12 34 56.", Kind.PHONE, "+46470123456"),
    ("fi", "Soita 040 123 4567.", Kind.PHONE, "+358401234567"),
    ("nb", "Ring 22 22 22 22.", Kind.PHONE, "+4722222222"),
    ("da", "Ring på 12 34 56 78.", Kind.PHONE, "+4512345678"),
    ("sv", "Skriv till bygg@norrvik.example.", Kind.EMAIL, "bygg@norrvik.example"),
    ("sv", "Se https://norrvik.example/bygg.", Kind.LINK, "https://norrvik.example/bygg"),
    ("sv", "Se norrvik.example/bygg.", Kind.LINK, "https://norrvik.example/bygg"),
    ("sv", "Det står i 11 § förvaltningslagen.", Kind.LEGAL_REFERENCE, "11 § förvaltningslagen"),
    ("sv", "Det står i § 11.", Kind.LEGAL_REFERENCE, "11 § förvaltningslagen"),
    ("sv", "Det står i 2 kap. 18 §.", Kind.LEGAL_REFERENCE, "2 kap. 18 §"),
    ("fi", "Se on hallintolain 9 §:n mukaan.", Kind.LEGAL_REFERENCE, "hallintolain 9 §"),
    ("nb", "Det står i offentleglova § 3.", Kind.LEGAL_REFERENCE, "offentleglova § 3"),
    ("da", "Det står i forvaltningslovens § 9, stk. 1.", Kind.LEGAL_REFERENCE, "forvaltningslovens § 9, stk. 1"),
    ("en", "It is in section 9 of the Administrative Procedure Act.", Kind.LEGAL_REFERENCE, "section 9"),
]


@pytest.mark.parametrize(("language", "text", "kind", "value"), SUPPORTED)
def test_a_value_is_known_however_it_is_written(language: str, text: str, kind: Kind, value: str) -> None:
    evidence = Evidence(facts=(fact(kind, value),))
    spans = [span for span in value_spans(text, language, evidence) if span.verdict is Verdict.SUPPORTED]
    assert [span.source for span in spans] == [f"it/{value}"]


UNSUPPORTED = [
    ("sv", "Det är den 4 oktober 2026.", Kind.DATE, "2026-10-03"),
    ("sv", "Det är fredag 3 oktober 2026.", Kind.DATE, "2026-10-03"),
    ("sv", "Det är fredag den 3 oktober.", Kind.DATE, "2026-10-03"),
    ("sv", "Det är den 3 oktober 2025.", Kind.DATE, "2026-10-03"),
    ("sv", "Det är den 3 oktober.", Kind.DATE, "2024-10-03"),
    ("fi", "Se on 10.3.2026.", Kind.DATE, "2026-10-03"),
    ("en", "It is 3 November 2026.", Kind.DATE, "2026-10-03"),
    ("sv", "Det är kl. 15.", Kind.TIME, "14:00"),
    ("en", "It is at 2am.", Kind.TIME, "14:00"),
    ("sv", "Det är kl. 9–13.", Kind.TIME, "09:00/12:00"),
    ("sv", "Det är 4–8 november 2026.", Kind.PERIOD, "2026-11-04/2026-11-07"),
    ("sv", "Det är juli–augusti 2026.", Kind.PERIOD, "2026-07-01/2026-09-30"),
    ("sv", "Det är 1 234,51 kr.", Kind.AMOUNT, "1234.50 SEK"),
    ("sv", "Det är 1234,50 €.", Kind.AMOUNT, "1234.50 SEK"),
    ("en", "It is NOK 1,234.50.", Kind.AMOUNT, "1234.50 SEK"),
    ("sv", "Det är 4 386 miljoner kronor.", Kind.AMOUNT, "4386.00 SEK"),
    ("sv", "Det är 240 kg.", Kind.QUANTITY, "240 l"),
    ("sv", "Det är tre veckor.", Kind.QUANTITY, "2 weeks"),
    ("sv", "Det är tre veckor.", Kind.PERIOD, "2026-12-01/2026-12-15"),
    ("sv", "Det är 20 procent.", Kind.PERCENTAGE, "25 %"),
    ("sv", "Det är MN 2026-123.", Kind.IDENTIFIER, "BN 2026-123"),
    ("sv", "Det är BN 2026-1234.", Kind.IDENTIFIER, "BN 2026-123"),
    ("sv", "Det är BN 2026-123-7.", Kind.IDENTIFIER, "BN 2026-123"),
    ("sv", "Hon heter Anna Lindberg.", Kind.PERSON, "Anna Berg"),
    ("sv", "Hon heter Anna Berg Lund.", Kind.PERSON, "Anna Berg"),
    ("sv", "Hon heter Anna Berg-Lund.", Kind.PERSON, "Anna Berg"),
    ("sv", "Vi ses på Storgatan 2.", Kind.ADDRESS, "Storgatan 1, 352 30 Växjö"),
    ("sv", "Ring 0470-12 34 57.", Kind.PHONE, "+46470123456"),
    ("en", "Call +47 470 12 34 56.", Kind.PHONE, "+46470123456"),
    ("sv", "Skriv till bygg@norvik.example.", Kind.EMAIL, "bygg@norrvik.example"),
    ("sv", "Se https://norrvik.example/bygga.", Kind.LINK, "https://norrvik.example/bygg"),
    ("sv", "Det står i 12 § förvaltningslagen.", Kind.LEGAL_REFERENCE, "11 § förvaltningslagen"),
    ("sv", "Det står i 11 § kommunallagen.", Kind.LEGAL_REFERENCE, "11 § förvaltningslagen"),
    ("sv", "Det står i 3 kap. 18 §.", Kind.LEGAL_REFERENCE, "2 kap. 18 §"),
    ("da", "Det står i forvaltningslovens § 9, stk. 2.", Kind.LEGAL_REFERENCE, "forvaltningslovens § 9, stk. 1"),
]


@pytest.mark.parametrize(("language", "text", "kind", "value"), UNSUPPORTED)
def test_another_value_is_not_supported(language: str, text: str, kind: Kind, value: str) -> None:
    spans = value_spans(text, language, Evidence(facts=(fact(kind, value),)))
    assert spans
    assert all(span.verdict is Verdict.UNSUPPORTED for span in spans)


STATUS = [
    ("sv", "Ansökan har beviljats.", "granted", "refused"),
    ("sv", "Ansökan är inte beviljad.", "refused", "granted"),
    ("sv", "Ansökan om bygglov har avslagits.", "refused", "granted"),
    ("sv", "Fakturan är betald.", "paid", "unpaid"),
    ("sv", "Fakturan är inte betald.", "unpaid", "paid"),
    ("sv", "Ärendet är avslutat.", "closed", "open"),
    ("sv", "Ärendet är öppet.", "open", "closed"),
    ("sv", "Bokningen är avbokad.", "cancelled", "open"),
    ("fi", "Lupa on myönnetty.", "granted", "refused"),
    ("fi", "Lupaa ei ole myönnetty.", "refused", "granted"),
    ("fi", "Hakemus on hylätty.", "refused", "granted"),
    ("fi", "Lasku on maksettu.", "paid", "unpaid"),
    ("fi", "Lasku on maksamatta.", "unpaid", "paid"),
    ("fi", "Hakemus on käsittelyssä.", "in_progress", "closed"),
    ("nb", "Søknaden er innvilget.", "granted", "refused"),
    ("nb", "Søknaden er ikke innvilget.", "refused", "granted"),
    ("nb", "Søknaden om barnehageplass er avslått.", "refused", "granted"),
    ("nb", "Fakturaen er ikke betalt.", "unpaid", "paid"),
    ("da", "Ansøgningen er bevilget.", "granted", "refused"),
    ("da", "Ansøgningen er afslået.", "refused", "granted"),
    ("da", "Ansøgningen er ikke imødekommet.", "refused", "granted"),
    ("da", "Sagen er afsluttet.", "closed", "open"),
    ("en", "Your application was granted.", "granted", "refused"),
    ("en", "Your application to build a garage has not been granted.", "refused", "granted"),
    ("en", "The invoice is unpaid.", "unpaid", "paid"),
    ("en", "We have received your application.", "received", "cancelled"),
    ("en", "Your case is closed.", "closed", "open"),
]


@pytest.mark.parametrize(("language", "text", "true", "false"), STATUS)
def test_a_status_is_supported_by_a_record_that_says_so_and_by_no_other(
    language: str, text: str, true: str, false: str
) -> None:
    assert only_span(text, language, Evidence(facts=(fact(Kind.STATUS, true),))).verdict is Verdict.SUPPORTED
    assert only_span(text, language, Evidence(facts=(fact(Kind.STATUS, false),))).verdict is Verdict.UNSUPPORTED


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("sv", "Du kan överklaga om ansökan har avslagits."),
        ("sv", "Har ansökan avslagits kan du överklaga."),
        ("sv", "Fakturan ska vara betald då."),
        ("fi", "Jos hakemus on hylätty, voit valittaa."),
        ("nb", "Hvis søknaden er avslått, kan du klage."),
        ("da", "Fakturaen skal være betalt da."),
        ("en", "The invoice must be paid then."),
        ("en", "If the application was refused, you can appeal."),
        ("en", "The library is closed."),
        ("sv", "Biblioteket är öppet."),
    ],
)
def test_wishes_duties_conditions_and_doors_claim_no_status(language: str, text: str) -> None:
    assert not value_spans(text, language, Evidence(facts=(fact(Kind.STATUS, "pending"),)))


def test_sources_that_disagree_are_conflicting() -> None:
    facts = (fact(Kind.AMOUNT, "500.00 SEK", subject="A"), fact(Kind.AMOUNT, "600.00 SEK", subject="A"))
    assert only_span("Det är 500 kr.", "sv", Evidence(facts=facts)).verdict is Verdict.CONFLICTING


def test_sources_that_agree_support() -> None:
    facts = (fact(Kind.AMOUNT, "500.00 SEK", subject="A"), fact(Kind.AMOUNT, "500 SEK", subject="A"))
    assert only_span("Det är 500 kr.", "sv", Evidence(facts=facts)).verdict is Verdict.SUPPORTED


def test_a_fact_that_is_too_old_is_stale_until_it_is_read_again() -> None:
    old = fact(Kind.AMOUNT, "500.00 SEK", read_at=NOW - timedelta(seconds=61), max_age_s=60)
    fresh = fact(Kind.AMOUNT, "500.00 SEK", label="again", read_at=NOW - timedelta(seconds=59), max_age_s=60)
    assert only_span("Det är 500 kr.", "sv", Evidence(facts=(old,))).verdict is Verdict.STALE
    assert only_span("Det är 500 kr.", "sv", Evidence(facts=(old, fresh))).verdict is Verdict.SUPPORTED


def test_what_the_gate_forbids_is_withheld_also_when_true() -> None:
    evidence = Evidence(withheld=(fact(Kind.PERSON, "Karin Holm"), fact(Kind.STATUS, "granted")))
    spans = value_spans("Karin Holm har sökt. Ansökan har beviljats.", "sv", evidence)
    assert [span.verdict for span in spans] == [Verdict.WITHHELD, Verdict.WITHHELD]
    assert value_spans("Hej Karin!", "sv", evidence)[0].verdict is Verdict.WITHHELD


def test_a_value_that_may_be_told_from_another_source_is_not_withheld() -> None:
    evidence = Evidence((fact(Kind.DATE, "2026-12-15"),), withheld=(fact(Kind.DATE, "2026-12-15", label="secret"),))
    assert only_span("Det är den 15 december 2026.", "sv", evidence).verdict is Verdict.SUPPORTED


def test_a_passage_supports_the_values_that_stand_in_it() -> None:
    evidence = Evidence(passages=(Passage("a#p1", "a", "Avgiften är 1 250 kronor. Ring 0470-12 34 56."),))
    right = only_span("Vad betyder 1250 kr?", "sv", evidence)
    wrong = only_span("Vad betyder 1251 kr?", "sv", evidence)
    assert (right.verdict, right.source) == (Verdict.SUPPORTED, "a#p1")
    assert wrong.verdict is Verdict.UNSUPPORTED


def test_values_are_checked_where_no_statement_is_made() -> None:
    text = "Hej Olle Ek!\n\nAvgift: 500 kr\n\nHar du fått faktura 2026-118342?\n\nMed vänlig hälsning\nTelefon 0470-12 34 56"
    spans = ground(text, "sv", Evidence(), NOW)
    assert [span.text for span in spans] == ["Olle Ek", "500 kr", "2026-118342", "0470-12 34 56"]
    assert all(span.verdict is Verdict.UNSUPPORTED for span in spans)


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        (Kind.DATE, "2026-12-15", ("15 december 2026", "15.12.2026", "15. desember 2026", "15. december 2026", "15 December 2026")),
        (Kind.TIME, "14:30", ("14.30", "14.30", "14.30", "14.30", "2:30pm")),
        (Kind.PERIOD, "2026-11-04/2026-11-07", ("4–7 november 2026", "4.–7.11.2026", "4.–7. november 2026", "4.-7. november 2026", "4 to 7 November 2026")),
        (Kind.AMOUNT, "4386.00 SEK", ("4 386 kronor", "4 386 Ruotsin kruunua", "4 386 svenske kroner", "4.386 svenske kroner", "SEK 4,386")),
        (Kind.AMOUNT, "49.50 EUR", ("49,50 euro", "49,50 euroa", "49,50 euro", "49,50 euro", "€49.50")),
        (Kind.AMOUNT, "4386.00 DKK", ("4 386 danska kronor", "4 386 Tanskan kruunua", "4 386 danske kroner", "4.386 kr.", "DKK 4,386")),
        (Kind.QUANTITY, "2 weeks", ("2 veckor", "2 viikkoa", "2 uker", "2 uger", "2 weeks")),
        (Kind.PERCENTAGE, "5 %", ("5 procent", "5 prosenttia", "5 prosent", "5 procent", "5%")),
        (Kind.PHONE, "+46470123456", ("0470-12 34 56", "+46 470 12 34 56", "+46 470 12 34 56", "+46 470 12 34 56", "+46 470 12 34 56")),
        (Kind.STATUS, "granted", ("granted",) * 5),
    ],
)  # fmt: skip
def test_values_are_written_as_each_language_writes_them(kind: Kind, value: str, written: tuple[str, ...]) -> None:
    assert (
        tuple(write(kind, value, language).replace("\u00a0", " ") for language in ("sv", "fi", "nb", "da", "en"))
        == written
    )


def test_numbers_do_not_break_at_a_line_end() -> None:
    assert write(Kind.AMOUNT, "4386.00 SEK", "sv") == "4\u00a0386\u00a0kronor"
