"""What the sender wrote, in five languages and the styles of the common mail programs."""

from __future__ import annotations

import pytest

from rules.quoting import reply_text
from tests.budget import taking_at_most

WROTE = {
    "sv gmail": "Den ons 4 nov. 2026 kl 10:12 skrev Info <info@kommun.example>:",
    "sv apple": "4 nov. 2026 kl. 10:12 skrev Info <info@kommun.example>:",
    "sv thunderbird": "Den 2026-11-04 kl. 10:12, skrev Info:",
    "sv ours": "Anna Berg skrev den 4 november 2026 kl. 10.12:",
    "sv k9": "Info <info@kommun.example> skrev: (4 november 2026 10:12:13 CET)",
    "sv-FI gmail": "ons 4 nov. 2026 kl. 10:12 skrev Info (info@kommun.example):",
    "sv yahoo": "På onsdag 4 november 2026 kl. 10:12:13 CET skrev Info <info@kommun.example>:",
    "fi gmail": "ke 4. marrask. 2026 klo 10.12 Info (info@kommun.example) kirjoitti:",
    "fi apple": "Info <info@kommun.example> kirjoitti 4.11.2026 kello 10.12:",
    "fi ours": "Anna Virtanen kirjoitti 4.11.2026 klo 10.12:",
    "nb gmail": "ons. 4. nov. 2026 kl. 10:12 skrev Info <info@kommun.example>:",
    "nb ours": "Kari Nordmann skrev 4. november 2026 kl. 10.12:",
    "nn gmail": "Den ons. 4. nov. 2026 kl. 10:12 skreiv Info <info@kommun.example>:",
    "nn ours": "Kari Nordmann skreiv 4. november 2026 kl. 10.12:",
    "da gmail": "Den ons. 4. nov. 2026 kl. 10.12 skrev Info <info@kommun.example>:",
    "da ours": "Anna Jensen skrev den 4. november 2026 kl. 10.12:",
    "en gmail": "On Wed, 4 Nov 2026 at 10:12, Info <info@kommun.example> wrote:",
    "en apple": "On 4 Nov 2026, at 10:12, Info <info@kommun.example> wrote:",
    "gmail wrapped": "On Wed, 4 Nov 2026 at 10:12, Kommunens gemensamma inkorg <\ninfo@kommun.example> wrote:",
    "wrapped twice": "Den ons 4 nov. 2026 kl 10:12 skrev\nKommunens gemensamma inkorg\n<info@kommun.example>:",
}

BLOCKS = {
    "sv": "Från: Info <info@kommun.example>\nSkickat: den 4 november 2026\nTill: A\nKopia: Bo\nÄmne: SV: Soptunnan",
    "sv bold": "*Från:* Info\n*Skickat:* den 4 november 2026 10:12\n*Till:* Anna\n*Ämne:* SV: Soptunnan",
    "sv-FI": "Från: Info <i@kommun.example>\nDatum: ons 4 november 2026 kl. 10.12\nTill: Anna\nÄmne: VS: Soptunnan",
    "fi": "Lähettäjä: Info <i@kommun.example>\nLähetetty: 4. marraskuuta 2026 10.12\nVastaanottaja: A\nAihe: VS: Asia",
    "fi date": "Lähettäjä: Info\nPäiväys: 4.11.2026 10.12\nVastaanottaja: Anna\nKopio: Bo\nAihe: Asia",
    "nb": "Fra: Info <info@kommun.example>\nSendt: onsdag 4. november 2026\nTil: Kari\nKopi: Ola\nEmne: SV: Søppel",
    "nn": "Frå: Info <info@kommun.example>\nSendt: onsdag 4. november 2026 10:12\nTil: Kari\nEmne: SV: Søppel",
    "da": "Fra: Info <info@kommun.example>\nSendt: 4. november 2026 10:12\nTil: Anna\nCc: Bo\nEmne: SV: Affald",
    "en": "From: Info <info@kommun.example>\nSent: Wednesday, November 4, 2026 10:12\nTo: Anna\nSubject: RE: Bin",
    "en apart": "From: Info\n\nSent: Wednesday, November 4, 2026 10:12\n\nTo: Anna\n\nSubject: RE: Bin",
}

SEPARATORS = [
    "-----Ursprungligt meddelande-----",
    "-------- Originalmeddelande --------",
    "---------- Vidarebefordrat meddelande ---------",
    "Vidarebefordrat brev:",
    "-----Alkuperäinen viesti-----",
    "---------- Välitetty viesti ---------",
    "-----Opprinnelig melding-----",
    "---------- Videresendt melding ---------",
    "-----Opphavleg melding-----",
    "-----Opphaveleg melding-----",
    "-----Oprindelig meddelelse-----",
    "-------- Oprindelig besked --------",
    "---------- Videresendt besked ----------",
    "-----Original Message-----",
    "---------- Forwarded message ---------",
    "Begin forwarded message:",
]


@pytest.mark.parametrize("line", WROTE.values(), ids=WROTE)
@pytest.mark.parametrize("mark", ["> ", ">", ""])
def test_quotation_below_its_line_is_cut(line: str, mark: str) -> None:
    quoted = "\n".join(f"{mark}{words}" for words in ("Hej Anna,", "vilken adress gäller det?"))
    assert reply_text(f"Ekvägen 4.\nPasserar ni där?\n\n{line}\n\n{quoted}\n") == "Ekvägen 4.\nPasserar ni där?"


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("above", ["", "________________________________\n", "-----\n"])
def test_mail_below_a_header_block_is_cut(block: str, above: str) -> None:
    assert reply_text(f"Ekvägen 4.\n\n{above}{block}\n\nHej Anna,\nvilken adress?\n") == "Ekvägen 4."


@pytest.mark.parametrize("separator", SEPARATORS)
def test_mail_below_a_separator_is_cut(separator: str) -> None:
    assert reply_text(f"Se nedan.\n\n{separator}\nDet gamla mejlet\n") == "Se nedan."


def test_answers_between_quotations_are_kept() -> None:
    text = "Hei!\n\nInfo kirjoitti 4.11.2026 klo 10.12:\n> Mikä osoite?\nKoivutie 3\n> Milloin?\n>> ennen\n\nHuomenna\n"
    assert reply_text(text) == "Hei!\n\nKoivutie 3\n\nHuomenna"


def test_a_line_right_above_the_introduction_is_kept() -> None:
    text = "Vi ses 5.11.2026.\nInfo kirjoitti 4.11.2026 klo 10.12:\n> Milloin?\n"
    assert reply_text(text) == "Vi ses 5.11.2026."


def test_answer_below_the_quotation_is_kept() -> None:
    assert (
        reply_text("On 4 Nov 2026 at 10:12, Info <i@k.example> wrote:\n> Which?\n\nThe green one.") == "The green one."
    )


SIGNATURES = [
    "-- \nAnna Berg\nEkvägen 4, 352 30 Växjö",
    "--\nAnna Berg\n070-000 00 00",
    "Med vänlig hälsning\nAnna Berg\nEkvägen 4",
    "Med vänliga hälsningar,\n\nAnna Berg\n0470-00 00 00",
    "Mvh Anna",
    "mvh\n/Anna",
    "Vänligen\nAnna Berg",
    "Hälsningar från Anna",
    "Ystävällisin terveisin\nMatti Virtanen",
    "Terveisin Matti Virtanen",
    "T. Matti",
    "Yst. terv. Matti",
    "Vennlig hilsen\nKari Nordmann\nTlf. 00 00 00 00",
    "Med vennlig hilsen Kari",
    "Venleg helsing\nKari Nordmann",
    "Helsing Kari",
    "Med venlig hilsen\nAnna Jensen\nHovedgaden 1, 2. tv.",
    "Vh Anna",
    "Kind regards,\nAnna Berg",
    "Best regards\n\nAnna Berg\nCEO, Berg AB\nThis e-mail is confidential and intended only for its addressee, who m.",
    "Skickat från min iPhone",
    "Hanki Outlook for Android<https://aka.example/x>",
    "Lähetetty iPhonesta",
    "Sendt fra min iPhone",
    "Sendt frå Outlook for iOS",
    "Hent Outlook til iOS",
    "Sent from my Galaxy",
]


@pytest.mark.parametrize("signature", SIGNATURES)
def test_signature_is_cut(signature: str) -> None:
    assert reply_text(f"När töms kärlet?\n\n{signature}\n") == "När töms kärlet?"


OWN_WORDS = [
    "Hej\nTak for sidst, men skraldespanden er ikke tømt.\nHvornår kommer I?",
    "Hi\nThank you, but my bin was not emptied.\nPlease come.",
    "Hej\nTaksten på vejen er forkert.\nHvad gør vi?",
    "Hej! Jag vill:\n- byta kärl\n- flytta det\nKan ni svara?",
    "Den 4 maj 2026 skrev ni följande i ert beslut:\nNi får tillstånd.\nStämmer det?",
    "Ni skrev till mig:\nVi kommer på fredag.\nIngen kom.",
    "Vänligen återkom i dag\nDet luktar.",
    "Från: 1 juni\nTill: 5 juni\nKan jag hyra salen då?",
    "Hilsen til alle i kommunen. Kan I hjælpe?\nAnna",
    "Mvh Anna\nPS. Glömde fråga: när öppnar ni?",
    "Hälsningar\nHar ni fått min anmälan? Jag väntar fortfarande.",
    "Matter one\n--\nMatter two is about the road. Can you fix it?",
    "Från: Anna\nDatum: 4 november 2026\nÄmne: Hål i vägen\nMeddelande: Det är ett hål i vägen.",
    "Jag skrev: snälla kom.\nIngen kom.",
]


@pytest.mark.parametrize("text", OWN_WORDS)
def test_own_words_that_look_like_more_are_kept(text: str) -> None:
    assert reply_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "> bara citat\n> inget eget",
        "-----Ursprungligt meddelande-----\nFrån: Info\nHej",
        "Fra: Info\nSendt: i går\nTil: Kari\nEmne: x\n\nHei",
        "--\nAnna",
        "Mvh Anna",
        "Skickat från min iPhone",
    ],
)
def test_reply_is_never_empty_when_the_text_is_not(text: str) -> None:
    assert reply_text(text) == text


def test_no_text_gives_no_reply() -> None:
    assert reply_text("") == ""


@pytest.mark.parametrize(
    "text",
    [
        "On a " * 60_000,
        "Den 4 " * 60_000,
        "skrev \n" * 19_000,
        "From: x\n" * 19_000,
        "Mvh\n" * 19_000,
        "> x\n" * 19_000,
        "1.11 skrev:\n" * 19_000,
        ("med vänliga " * 30 + "\n") * 2_000,
        ("-" * 390 + "\n") * 2_000,
        "a\n" * 400_000,
    ],
    ids=range(10),
)
def test_time_is_bounded(text: str) -> None:
    with taking_at_most(2):
        reply_text(text)
