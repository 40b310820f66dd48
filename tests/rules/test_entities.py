from __future__ import annotations

import pytest

from rules import national_ids
from rules.entities import find, is_phone
from tests.budget import taking_at_most
from worker import packs

PACK = packs.read(packs.shipped())


def values(kind: str, language: str, text: str) -> list[str]:
    return list(find(PACK, text, language, national_ids.find(text)).get(kind, ()))


@pytest.mark.parametrize(
    ("kind", "language", "text", "expected"),
    [
        ("case_no", "sv", "Ang. ärende NV-2026-04817, svar önskas", ["NV-2026-04817"]),
        ("case_no", "sv", "Dnr 2026-0456 och KS 2026/123", ["2026-0456", "KS 2026/123"]),
        ("case_no", "da", "sagsnr. 26/01234", ["26/01234"]),
        ("case_no", "nb", "sak 78/26 på møtet", []),
        ("case_no", "fi", "päätöksestä NV-2026-02764.", ["NV-2026-02764"]),
        ("invoice_no", "fi", "Laskulla 2026-121977 oli vielä", ["2026-121977"]),
        ("invoice_no", "sv", "faktura nr 11834200 från maj", ["11834200"]),
        ("invoice_no", "da", "1. 2026-116701: betalt, 2026-116702", ["2026-116701", "2026-116702"]),
        ("invoice_no", "nb", "KID 2026119640041", []),
        ("property_id", "sv", "Gäller Norrvik Björken 1:12.", ["Norrvik Björken 1:12"]),
        ("property_id", "sv", "fastigheten norrvik björken 1:12", ["norrvik björken 1:12"]),
        ("property_id", "sv", "Start 01:00, Idag 12:30", []),
        ("property_id", "fi", "tontille 123-5-22-9 tulisi", ["123-5-22-9"]),
        ("property_id", "nb", "på gnr. 8 bnr. 77 fnr. 3, ved sjøen", ["gnr. 8 bnr. 77 fnr. 3"]),
        ("property_id", "nb", "grensa mellom 11/46 og 11/47", ["11/46", "11/47"]),
        ("property_id", "da", "grunden matr.nr. 12b ligger", ["matr.nr. 12b"]),
        ("meter_no", "fi", "mittari M-448120 näyttää", ["M-448120"]),
        ("meter_no", "sv", "mätare nr 12345678", ["12345678"]),
        ("date", "sv", "den 3 november 2026 kl. 14.30", ["3 november 2026"]),
        ("date", "sv", "före 15.11.2026, senast 2026-12-01", ["15.11.2026", "2026-12-01"]),
        ("date", "sv", "möte 5/12 och öppet 24/7", ["5/12"]),
        ("date", "fi", "9.11. klo 9.46 tai 12.11. asti", ["9.11.", "12.11."]),
        (
            "date",
            "fi",
            "1.3.–31.8.2026 ja 19.–23.10. sekä 3. marraskuuta",
            ["1.3.", "31.8.2026", "19.–23.10.", "3. marraskuuta"],
        ),
        ("date", "nb", "11. og 12. desember", ["11. og 12. desember"]),
        (
            "date",
            "en",
            "before the first of December, or on November 3, 2026",
            ["first of December", "November 3, 2026"],
        ),
        ("amount", "sv", "på 1 688 kr, inte 2 349,00 SEK", ["1 688 kr", "2 349,00 SEK"]),
        ("amount", "da", "der står 18.640 kr. for fire", ["18.640 kr."]),
        ("amount", "nb", "kr 4 386,- eller 6 400,-", ["kr 4 386,-", "6 400,-"]),
        ("amount", "fi", "641 eurosta 698 euroon, 347,60e", ["641 eurosta", "698 euroon", "347,60e"]),
        ("amount", "en", "for 2026 4 200 000 kr, €214.60", ["4 200 000 kr", "€214.60"]),
        ("phone", "sv", "070-174 06 05, 0470-12 34 56", ["070-174 06 05", "0470-12 34 56"]),
        ("phone", "fi", "040 555 7719 tai +358 40 555 8080", ["040 555 7719", "+358 40 555 8080"]),
        ("phone", "nb", "912 34 650 og org.nr. 987 654 322", ["912 34 650"]),
        ("phone", "da", "CVR 14 02 77 31, tlf. 20 12 34 72", ["20 12 34 72"]),
        ("phone", "da", "ring på 20123472", ["20123472"]),
        ("phone", "fi", "Y-tunnus 0948216-7, OVT 003719844072", []),
        ("email", "sv", "Till <bygg@norrvik.example>, tack", ["bygg@norrvik.example"]),
        ("address", "sv", "Jag bor på Norra Kungsgatan 12B.", ["Norra Kungsgatan 12B"]),
        ("address", "sv", "banan vid Hamngatan 40? Två personer", ["Hamngatan 40"]),
        ("address", "fi", "Naapurisi Koivukujalla 12 säästi", ["Koivukujalla 12"]),
        ("address", "nb", "terrasse på Strandveien 14, i Nedre Vangen 4", ["Strandveien 14", "Nedre Vangen 4"]),
        ("address", "da", "H.C. Andersens Vej 12 og Fjordparken 6", ["H.C. Andersens Vej 12", "Fjordparken 6"]),
        ("address", "en", "green bin at Hamngatan 31 not emptied", ["Hamngatan 31"]),
        ("address", "sv", "Julia 15 år och väg 40", []),
    ],
)
def test_values_are_taken_as_written(kind: str, language: str, text: str, expected: list[str]) -> None:
    assert sorted(values(kind, language, text)) == sorted(expected)


def test_repetitions_are_said_once_and_in_order_of_appearance() -> None:
    assert values("case_no", "sv", "NV-2026-00002, NV-2026-00001, NV-2026-00002") == ["NV-2026-00002", "NV-2026-00001"]


@pytest.mark.parametrize(
    "number", ["19900909-2397", "9009092397", "911066-2393", "131196-9079", "06924508726", "0206083591"]
)
@pytest.mark.parametrize("language", ["sv", "fi", "nb", "da", "en"])
def test_a_national_id_is_nothing_else(number: str, language: str) -> None:
    assert find(PACK, f"cpr {number}", language, national_ids.find(f"cpr {number}")) == {}


def test_what_nobody_sees_is_left_out_of_a_value() -> None:
    assert values("case_no", "sv", "NV-2026-\u200b04817") == ["NV-2026-04817"]


@pytest.mark.parametrize(
    ("number", "exists"), [("070-174 06 05", True), ("+44 7700 900 412", True), ("000471920033", False), ("12", False)]
)
def test_a_phone_number_must_exist_somewhere(number: str, exists: bool) -> None:
    assert is_phone(number) is exists


@pytest.mark.parametrize(
    "text", ["A" * 100_000, "070 " * 30_000, "1.1." * 30_000, "a@a." * 30_000, "Norra " * 20_000, "12/11 og " * 10_000]
)
def test_hostile_text_takes_bounded_time(text: str) -> None:
    with taking_at_most(10):
        find(PACK, text, "nb", ())
