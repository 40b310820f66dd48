"""The answered mail below a reply: written in each language's form, safe to send, and cut again when it comes back."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules import quotation
from rules.message import read
from rules.quoting import reply_text
from rules.values import LANGUAGES, Mailbox, MailKind, Message

STOCKHOLM = ZoneInfo("Europe/Stockholm")
HELSINKI = ZoneInfo("Europe/Helsinki")
LATE = datetime(2026, 11, 3, 23, 5, tzinfo=UTC)
MAIL = read(b"From: Anna Berg <anna@post.example>\r\nDate: Wed, 4 Nov 2026 10:12:00 +0100\r\n\r\nHej")


def mail(words: str = "Hej", *, name: str = "Anna Berg", date: datetime | None = MAIL.date) -> Message:
    return replace(MAIL, reply_text=words, text=words, sender_address=Mailbox(name, "anna@post.example"), date=date)


def introduction(message: Message, language: str) -> str:
    return quotation.of(message, language, STOCKHOLM).split("\n")[0]


INTRODUCTIONS = [
    ("sv", "Anna Berg", MAIL.date, "Anna Berg skrev den 4 november 2026 kl. 10.12:"),
    ("fi", "Anna Virtanen", MAIL.date, "Anna Virtanen kirjoitti 4.11.2026 klo 10.12:"),
    ("nb", "Kari Nordmann", MAIL.date, "Kari Nordmann skrev 4. november 2026 kl. 10.12:"),
    ("da", "Anna Jensen", MAIL.date, "Anna Jensen skrev den 4. november 2026 kl. 10.12:"),
    ("en", "Anna Berg", MAIL.date, "On Wed, 4 Nov 2026 at 10:12, Anna Berg wrote:"),
    ("sv", "", MAIL.date, "Du skrev den 4 november 2026 kl. 10.12:"),
    ("fi", "", MAIL.date, "Kirjoitit 4.11.2026 klo 10.12:"),
    ("nb", "", MAIL.date, "Du skrev 4. november 2026 kl. 10.12:"),
    ("da", "", MAIL.date, "Du skrev den 4. november 2026 kl. 10.12:"),
    ("en", "", MAIL.date, "On Wed, 4 Nov 2026 at 10:12, you wrote:"),
    ("sv", "Anna Berg", None, "Anna Berg skrev:"),
    ("fi", "Anna Virtanen", None, "Anna Virtanen kirjoitti:"),
    ("en", "Anna Berg", None, "Anna Berg wrote:"),
    ("fi", "", None, "Kirjoitit:"),
    ("en", "", None, "You wrote:"),
]


@pytest.mark.parametrize(("language", "name", "date", "line"), INTRODUCTIONS)
def test_a_quotation_is_introduced_as_the_language_does_it(
    language: str, name: str, date: datetime | None, line: str
) -> None:
    assert introduction(mail(name=name, date=date), language) == line


def test_the_time_is_the_local_one() -> None:
    assert introduction(mail(date=LATE), "sv").endswith("den 4 november 2026 kl. 0.05:")
    assert quotation.of(mail(date=LATE), "fi", HELSINKI).startswith("Anna Berg kirjoitti 4.11.2026 klo 1.05:")


def test_without_a_date_of_its_sender_the_time_of_arrival_is_told() -> None:
    arrived = replace(mail(date=None), received_at=MAIL.date)
    assert introduction(arrived, "sv") == "Anna Berg skrev den 4 november 2026 kl. 10.12:"


@pytest.mark.parametrize("year", [1970, 9999])
def test_a_date_at_the_edge_of_the_calendar_does_no_harm(year: int) -> None:
    moment = datetime(year, 12, 31, 23, 59, tzinfo=UTC)
    assert "Anna Berg skrev" in introduction(mail(date=moment), "sv")


NAMES = [
    ("Anna\r\nBcc: eve@mail.example", "Du skrev"),
    ("anna@post.example", "Du skrev"),
    ("<anna>", "Du skrev"),
    ("Betala på https://x.example", "Du skrev"),
    ("www.x.example", "Du skrev"),
    ("...", "Du skrev"),
    ("Anna\u202e greB\0", "Anna greB skrev"),
    ("Anna\n\nBerg", "Anna Berg skrev"),
    ('"Berg, Anna"', "Berg, Anna skrev"),
    ("{name} {0}", "{name} {0} skrev"),
    ("Anna 19900101-0017", "Anna [personnummer borttaget] skrev"),
    ("A" * 70 + " 19900101-0017", "A" * 70 + " [personnu… skrev"),
    ("A" * 300, "A" * 80 + "… skrev"),
]


@pytest.mark.parametrize(("name", "begins"), NAMES)
def test_only_a_name_stands_in_the_introduction(name: str, begins: str) -> None:
    line = introduction(mail(name=name), "sv")
    assert line == f"{begins} den 4 november 2026 kl. 10.12:"


def test_every_line_is_marked_as_quoted() -> None:
    text = quotation.of(mail("Hej!\n\nNär töms kärlet?  \n> Den 5.\n-- \nAnna"), "sv", STOCKHOLM)
    assert text.split("\n")[1:] == ["> Hej!", ">", "> När töms kärlet?", ">> Den 5.", "> --", "> Anna"]


NUMBERS = {
    "sv": "19900101-0017",
    "fi": "131052-308T",
    "nb": "15108695088",
    "da": "070761-4285",
    "en": "19900101-0017",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_national_id_is_taken_out_with_its_birth_date(language: str) -> None:
    number = NUMBERS[language]
    text = quotation.of(mail(f"Personnummer {number}, CPR-nummer {number}.\nTack"), language, STOCKHOLM)
    assert number[:6] not in text
    assert text.count("[") == 2


def test_hidden_text_and_older_quotations_are_not_quoted() -> None:
    html = "<p>Synligt</p><p style='display:none'>Osynligt</p><blockquote type=cite>Gammalt</blockquote>"
    raw = b"From: a@post.example\r\nContent-Type: text/html\r\n\r\n" + html.encode()
    text = quotation.of(read(raw), "sv", STOCKHOLM)
    assert text.split("\n")[1:] == ["> Synligt"]


@pytest.mark.parametrize("words", ["", " \n\t\n", "\n\n", "\u200b"])
def test_nothing_is_quoted_of_an_empty_mail(words: str) -> None:
    assert quotation.of(mail(words), "sv", STOCKHOLM) == ""


def test_nothing_is_quoted_of_an_encrypted_mail() -> None:
    encrypted = replace(mail("-----BEGIN PGP MESSAGE-----"), kind=MailKind.ENCRYPTED)
    assert quotation.of(encrypted, "sv", STOCKHOLM) == ""


SHORTENED = {"sv": "förkortat", "fi": "lyhennetty", "nb": "forkortet", "da": "forkortet", "en": "shortened"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "words", ["rad\n" * 61, "a" * 4_001, "ord " * 2_000, "rad\n" * 500_000, ("a" * 99 + "\n") * 50]
)
def test_a_long_mail_is_quoted_shortened_and_says_so(language: str, words: str) -> None:
    _, *lines = quotation.of(mail(words), language, STOCKHOLM).split("\n")
    assert len(lines) <= quotation.MOST_LINES + 1
    assert len("\n".join(line.removeprefix("> ") for line in lines[:-1])) <= quotation.MOST_CHARACTERS
    assert lines[-1].startswith("> … (")
    assert SHORTENED[language] in lines[-1]


def test_a_mail_of_just_the_length_is_quoted_whole() -> None:
    for words in ("rad\n" * 59 + "rad", "a" * 4_000, ("a" * 99 + "\n") * 39 + "a" * 99):
        lines = quotation.of(mail(words), "sv", STOCKHOLM).split("\n")[1:]
        assert [line.removeprefix("> ") for line in lines] == words.split("\n")


def test_a_number_across_the_end_of_what_is_quoted_is_taken_out() -> None:
    text = quotation.of(mail("a" * 3_990 + " 19900101-0017 " + "b" * 9_000), "sv", STOCKHOLM)
    assert "1990" not in text


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=400), st.text(max_size=60), st.sampled_from(LANGUAGES))
def test_whatever_was_written_every_line_but_the_first_is_quoted(words: str, name: str, language: str) -> None:
    text = quotation.of(mail(words, name=name), language, STOCKHOLM)
    assert all(line.startswith(">") for line in text.split("\n")[1:])
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)


# --- the way back: the resident answers above our reply ---

REPLIES = {
    "sv": "Hej!\n\nKärlet töms torsdag 5 november 2026.\n\nMed vänlig hälsning\nNorrviks kommun",
    "fi": "Hei!\n\nAstia tyhjennetään 5.11.2026.\n\nYstävällisin terveisin\nNorrvikin kunta",
    "nb": "Hei!\n\nDunken tømmes 5. november 2026.\n\nVennlig hilsen\nNorrvik kommune",
    "da": "Hej!\n\nSpanden tømmes den 5. november 2026.\n\nVenlig hilsen\nNorrvik Kommune",
    "en": "Hello,\n\nYour bin is emptied on 5 November 2026.\n\nKind regards\nNorrvik",
}
ABOVE = {
    "gmail": {
        "sv": "Den tors 5 nov. 2026 kl 08:00 skrev Norrvik <kundcenter@norrvik.example>:",
        "fi": "to 5. marrask. 2026 klo 8.00 Norrvik (kundcenter@norrvik.example) kirjoitti:",
        "nb": "tor. 5. nov. 2026 kl. 08:00 skrev Norrvik <kundcenter@norrvik.example>:",
        "da": "Den tors. 5. nov. 2026 kl. 08.00 skrev Norrvik <kundcenter@norrvik.example>:",
        "en": "On Thu, 5 Nov 2026 at 08:00, Norrvik <kundcenter@norrvik.example> wrote:",
    },
    "apple": {
        "sv": "5 nov. 2026 kl. 08:00 skrev Norrvik <kundcenter@norrvik.example>:",
        "fi": "Norrvik <kundcenter@norrvik.example> kirjoitti 5.11.2026 kello 8.00:",
        "nb": "5. nov. 2026 kl. 08:00 skrev Norrvik <kundcenter@norrvik.example>:",
        "da": "Den 5. nov. 2026 kl. 08.00 skrev Norrvik <kundcenter@norrvik.example>:",
        "en": "On 5 Nov 2026, at 08:00, Norrvik <kundcenter@norrvik.example> wrote:",
    },
    "outlook": {
        "sv": "Från: Norrvik <k@norrvik.example>\nSkickat: den 5 november 2026 08:00\nTill: Anna\nÄmne: SV: Kärl",
        "fi": "Lähettäjä: Norrvik <k@norrvik.example>\nLähetetty: 5. marraskuuta 2026 8.00\nVastaanottaja: A\nAihe: VS: Astia",
        "nb": "Fra: Norrvik <k@norrvik.example>\nSendt: torsdag 5. november 2026 08:00\nTil: Kari\nEmne: SV: Dunk",
        "da": "Fra: Norrvik <k@norrvik.example>\nSendt: 5. november 2026 08:00\nTil: Anna\nEmne: SV: Spand",
        "en": "From: Norrvik <k@norrvik.example>\nSent: Thursday, November 5, 2026 08:00\nTo: Anna\nSubject: RE: Bin",
    },
}


def quoted_back(program: str, language: str, ours: str) -> str:
    above = ABOVE[program][language]
    if program == "outlook":
        return f"________________________________\n{above}\n\n{ours}\n"
    return above + "\n\n" + "\n".join(f">{line}" if line.startswith(">") else f"> {line}" for line in ours.split("\n"))


NEW_WORDS = [
    "Tack!",
    "Tack för svaret.\n\nMen kärlet är fortfarande fullt?",
    "Kiitos!\nMilloin tulette?",
    "Takk. Den 4 november skrev dere noe annet:\nat den blir tømt.",
    "Thanks.\n\n- the blue bin\n- the green bin",
]
OLD_WORDS = [
    "Hej\nNär töms kärlet?",
    "Hej!\n\nMvh\nAnna",
    "Från: Anna\nTill: er\nÄmne: kärl\nDatum: i dag",
    "> redan citerat\nsvar",
    "Tack.\n\nDen 4 maj 2026 skrev ni:\nJa.",
    "a" * 5_000,
    "rad\n\n" * 80,
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("program", ABOVE)
@pytest.mark.parametrize("name", ["Anna Berg", "", "Berg, Anna (Växjö)"])
def test_our_quotation_is_cut_again_when_the_resident_answers_above_it(program: str, language: str, name: str) -> None:
    for old in OLD_WORDS:
        ours = f"{REPLIES[language]}\n\n{quotation.of(mail(old, name=name), language, STOCKHOLM)}"
        for new in NEW_WORDS:
            assert reply_text(f"{new}\n\n{quoted_back(program, language, ours)}") == new


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["Anna Berg", ""])
def test_our_quotation_alone_is_cut_too(language: str, name: str) -> None:
    """Some residents delete our words and answer above their own."""
    for old in OLD_WORDS:
        assert reply_text(f"Tack!\n\n{quotation.of(mail(old, name=name), language, STOCKHOLM)}\n") == "Tack!"


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(NEW_WORDS),
    st.text(max_size=300),
    st.text(max_size=40),
    st.sampled_from(LANGUAGES),
    st.sampled_from(sorted(ABOVE)),
)
def test_the_new_words_are_what_comes_back_whatever_was_quoted(
    new: str, old: str, name: str, language: str, program: str
) -> None:
    ours = f"{REPLIES[language]}\n\n{quotation.of(mail(old, name=name), language, STOCKHOLM)}"
    assert reply_text(f"{new}\n\n{quoted_back(program, language, ours)}") == new
