from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.masking import masked
from rules.national_ids import find
from tests.budget import taking_at_most

FOUND = [
    ("se.personnummer", "19900909-2397", "19900909-****"),
    ("se.personnummer", "900909-2397", "900909-****"),
    ("se.personnummer", "9009092397", "900909****"),
    ("se.personnummer", "199009092397", "19900909****"),
    ("se.personnummer", "19900909 2397", "19900909 ****"),
    ("se.personnummer", "1990-09-09-2397", "1990-09-09-****"),
    ("se.personnummer", "160909+2398", "160909+****"),  # a hundred years old
    ("se.samordningsnummer", "911066-2393", "911066-****"),
    ("se.samordningsnummer", "19911066-2393", "19911066-****"),
    ("fi.hetu", "131196-9079", "131196-****"),
    ("fi.hetu", "030113A926Y", "030113A****"),
    ("fi.hetu", "030113a926y", "030113a****"),
    ("fi.hetu", "131196Y9079", "131196Y****"),  # separators since 2023
    ("fi.hetu", "030113F926Y", "030113F****"),
    ("no.fodselsnummer", "119190 04403", "119190 *****"),
    ("no.fodselsnummer", "06924508726", "069245*****"),
    ("no.fodselsnummer", "15108695088", "151086*****"),
    ("no.dnummer", "55887536049", "558875*****"),
    ("no.dnummer", "578664 31959", "578664 *****"),
    ("dk.cpr", "170103-2906", "170103-****"),
    ("dk.cpr", "2003063359", "200306****"),
    ("dk.cpr", "211062-5629", "211062-****"),
    ("dk.cpr", "020204-0776", "020204-****"),  # no modulus 11 since 2007
]


def test_what_the_sentence_before_speaks_of_says_nothing_about_a_number() -> None:
    assert find("Jeg betalte på biblioteket. 050402-0622")
    assert find("har ik nogen regning, mit nr er 101101-2600")
    assert not find("Betaling, reference: 0504020622")


@pytest.mark.parametrize(("kind", "number", "mask"), FOUND)
@pytest.mark.parametrize("around", ["{}", "Mitt nummer är {}.", "({})", "Anna,\n{}\nRing mig", "cpr/pnr: {}, tack"])
def test_a_number_is_found_and_masked(kind: str, number: str, mask: str, around: str) -> None:
    if kind.startswith("se") and number.isdigit() and len(number) == 10 and "cpr" in around:
        pytest.skip("a word says that these ten digits are Danish")
    text = around.format(number)
    (one,) = find(text)
    assert text[one.start : one.end] == number
    assert one.masked == mask
    if "cpr" not in around:
        assert one.kind == kind


@pytest.mark.parametrize(
    "text",
    [
        "mit cpr er 0206083591",
        "cpr 020608 3591",
        "personnummer: 0206083591",
        "the number on it is 0206083591",
    ],
)
def test_a_danish_number_without_check_digit_needs_a_word_before_it(text: str) -> None:
    assert [one.kind for one in find(text)] == ["dk.cpr"]
    assert find("0206083591") == ()


@pytest.mark.parametrize(
    "text",
    [
        "org.nr 559000-1238",
        "Brf Skogsbrynet 769600-2237",
        "Y-tunnus 2745913-6",
        "CVR 14 02 77 31",
        "org.nr. 987 654 322",
        "konto 1234 56 78901",
        "KID 2026119640041",
        "OCR 7731004588210",
        "OCR-nummer 9009092397",
        "kundenr 1302063423",
        "EAN 5798009120447",
        "Bank 9071 0004418220",
        "viitenumero 1013 55278 40016",
        "IBAN FI37 8000 2600 0471 18",
        "RF41 1000 2345 6672",
        "faktura 2026-118342",
        "NV-2026-04817",
        "070-174 06 05",
        "0701740605",
        "ring 0701740613",
        "+46 70 174 06 50",
        "+4520123472",
        "912 34 650",
        "123-412-3-17",
        "den 24-10-2026 1400",
        "2026-10-24 14:00",
        "9.11.2026 14.33",
        "900909-2398",  # wrong check digit
        "901309-2397",  # no thirteenth month
        "310213-9079",
        "119190 04404",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert find(text) == ()


def test_ten_digits_that_are_right_in_two_countries_belong_to_the_country_of_the_text() -> None:
    assert [one.kind for one in find("Mitt barn har nummer 1302063423, på förskolan")] == ["se.personnummer"]
    assert [one.kind for one in find("Mit barn har nummer 1302063423, på skolen Ærø")] == ["dk.cpr"]
    assert [one.kind for one in find("mit cpr 1302063423")] == ["dk.cpr"]


def test_several_numbers_come_in_order() -> None:
    text = "Jag, 900909-2397, och min son 20090702-2388 samt 131196-9079"
    assert [text[one.start : one.end] for one in find(text)] == ["900909-2397", "20090702-2388", "131196-9079"]


@pytest.mark.parametrize("hidden", ["9009\u200b09-2397", "900909\u20112397", "９００９０９-2397", "900909\u00ad-2397"])
def test_a_number_cannot_hide(hidden: str) -> None:
    text = f"Mitt nummer {hidden} tack"
    (one,) = find(text)
    assert text[one.start : one.end] == hidden
    assert "2397" not in masked(text, [one])


@pytest.mark.parametrize(
    "text", ["900909-2397 " * 20_000, "0" * 500_000, "01 " * 200_000, "900909-" * 70_000, "ocr " * 100_000]
)
def test_hostile_text_takes_bounded_time(text: str) -> None:
    with taking_at_most(10):
        find(text)


@given(st.text(alphabet="0123456789 -+AB\u200b", max_size=80))
def test_no_mask_shows_the_last_digits(text: str) -> None:
    for one in find(text):
        assert one.masked.endswith("****") or one.masked.endswith("*** **")
        assert text[one.start : one.end].strip()
