"""A winmail.dat is opened like any other mail: its text, its files, and what is wrong with it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules import rich_text, tnef
from rules.message import attachment, read
from rules.parts import read_tree
from tests import winmail as wm
from tests.budget import taking_at_most

DAMAGED = "The winmail.dat is damaged; what could be read of it was kept."
RTF = rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fswiss Arial;}}{\*\generator X;}\f0 "


def test_plain_text_of_a_winmail_is_the_text_of_the_mail() -> None:
    message = read(wm.mail(wm.tnef(wm.plain("Hej! När töms kärlet på Ekvägen 4?"))))
    assert message.text == message.reply_text == "Hej! När töms kärlet på Ekvägen 4?"
    assert (message.attachments, message.defects, message.html_present) == ((), (), False)


@pytest.mark.parametrize(
    ("kind", "html", "code_page"),
    [
        (wm.BINARY, "<p>Hej på dig</p>".encode(), 65001),
        (wm.BINARY, "<p>Hej på dig</p>".encode("latin-1"), 28591),
        (wm.BINARY, "<p>Hej på dig</p>".encode("cp1252"), 1252),
        (wm.STRING, "<p>Hej på dig</p>", 0),
        (wm.UNICODE, "<p>Hej på dig</p>", 65001),
    ],
)
def test_html_of_a_winmail_is_read_in_its_charset(kind: int, html: bytes | str, code_page: int) -> None:
    message = read(
        wm.mail(wm.tnef(wm.body(wm.value(wm.CODE_PAGE, wm.INTEGER, code_page), wm.value(wm.HTML, kind, html))))
    )
    assert (message.text, message.html_present, message.defects) == ("Hej på dig", True, ())


def test_text_in_another_code_page_is_read() -> None:
    message = read(wm.mail(wm.tnef(wm.plain("Żółw", "cp1250"), code_page=1250)))
    assert message.text == "Żółw"


def test_unicode_text_and_named_properties_are_read() -> None:
    held = wm.body(wm.named_value("keywords", 7), wm.value(wm.BODY, wm.UNICODE, "Tömning 😀"))
    assert read(wm.mail(wm.tnef(held))).text == "Tömning 😀"


def test_hidden_text_in_the_html_of_a_winmail_is_set_aside() -> None:
    html = b"<p>Synligt</p><p style='display:none'>Osynligt</p>"
    message = read(wm.mail(wm.tnef(wm.body(wm.value(wm.HTML, wm.BINARY, html)))))
    assert (message.text, message.hidden_text) == ("Synligt", "Osynligt")


@pytest.mark.parametrize("content_type", ["application/ms-tnef", "application/vnd.ms-tnef", "application/octet-stream"])
def test_a_winmail_is_known_by_its_type_or_its_name(content_type: str) -> None:
    raw = wm.mail(wm.tnef(wm.plain("Hej")), content_type=content_type, name="Winmail.dat")
    assert read(raw).text == "Hej"


def test_a_mail_that_is_nothing_but_a_winmail_is_read() -> None:
    head = wm.HEADER + b"Content-Type: application/ms-tnef\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    assert read(head + wm.tnef(wm.plain("Hej"))).text == "Hej"


def test_text_of_the_mail_itself_comes_before_that_of_its_winmail() -> None:
    raw = wm.mail(wm.tnef(wm.plain("Inuti"), wm.file("karta.pdf", b"%PDF")), text="Utanpå")
    message = read(raw)
    assert message.text == "Utanpå"
    assert [part.name for part in message.attachments] == ["karta.pdf"]


# --- files ---


def test_files_of_a_winmail_are_listed_as_attachments() -> None:
    picture = wm.file(
        "bild.png", b"png", wm.value(wm.MIME_TYPE, wm.STRING, "image/png"), wm.value(wm.CONTENT_ID, wm.STRING, "x")
    )
    raw = wm.mail(wm.tnef(wm.plain("Hej"), wm.file("Ritning över å.pdf", b"%PDF\0\0"), picture))
    listed = read(raw).attachments
    assert [(part.name, part.content_type, part.size, part.inline) for part in listed] == [
        ("Ritning över å.pdf", "application/octet-stream", 6, False),
        ("bild.png", "image/png", 3, True),
    ]
    fetched = attachment(raw, 0)
    assert fetched is not None
    assert fetched[1] == b"%PDF\0\0"


def test_a_file_says_nothing_of_where_it_goes_and_is_never_the_text() -> None:
    page = wm.file("..\\..\\hem/sida\u202e.html", b"<p>Betala</p>", wm.value(wm.MIME_TYPE, wm.STRING, "text/html"))
    message = read(wm.mail(wm.tnef(page)))
    assert [(part.name, part.content_type) for part in message.attachments] == [("sida.html", "text/html")]
    assert "The mail has no readable text." in message.defects


def test_a_message_inside_a_winmail_is_kept_closed_and_told() -> None:
    inner = wm.tnef(wm.plain("Annans ord"), wm.embedded("innerst", wm.tnef(wm.plain("Än annans ord"))))
    message = read(wm.mail(wm.tnef(wm.plain("Se bifogat"), wm.embedded("SV: Ärende", inner))))
    assert message.text == "Se bifogat"
    assert [(a.name, a.content_type, a.size) for a in message.attachments] == [
        ("SV: Ärende", "application/ms-tnef", len(inner))
    ]
    assert "The winmail.dat holds another message, which was not opened." in message.defects


def test_messages_nested_a_thousand_deep_take_no_longer() -> None:
    inner = wm.tnef(wm.plain("Innerst"))
    for _ in range(1_000):
        inner = wm.tnef(wm.embedded("x", inner))
    with taking_at_most(2):
        assert len(read(wm.mail(inner)).attachments) == 1


# --- rich text ---


def mail_of_rtf(rtf: bytes) -> bytes:
    return wm.mail(wm.tnef(wm.body(wm.value(wm.RTF, wm.BINARY, wm.packed_rtf(rtf)))))


# The examples of MS-OXRTFCP, 3.
PACKED = {
    "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0": b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n",
    "1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0": b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}",
    "190000000d0000004d454c41000000007b5c72746631205669207d0d0a": b"{\\rtf1 Vi }\r\n",
}


@pytest.mark.parametrize(("packed", "rtf"), PACKED.items())
def test_rtf_is_unpacked_as_the_format_says(packed: str, rtf: bytes) -> None:
    defects: list[str] = []
    assert rich_text.unpacked(bytes.fromhex(packed), defects) == rtf
    assert defects == []


TEXTS = {
    rb"Hej p\'e5 dig\par Andra raden\line Tredje}": "Hej på dig\nAndra raden\nTredje",
    rb"\u8221?s\u229\'e5 h\u228 a\u8221?}": "”så hä”",
    rb"\uc0\u55357\u56832  hej}": "😀 hej",
    rb"{\uc2\u229 xxr} \lquote a\rquote \emdash b\tab c}": "år ‘a’—b\tc",
    rb"\{a\} \\b \~c}": "{a} \\b  c",
    rb"{\pict\wmetafile8 0123}{\*\unknown {\b x}}{\object{\*\objclass Y}{\result visas}}}": "visas",
    rb"{\bin5 {}}{}a}": "a",
    b"{\\*\r\n\\unknown x}a\r\nb}": "ab",
    rb'{\field{\*\fldinst HYPERLINK "https://x.example"}{\fldrslt l\u228?nk}}}': "länk",
    rb"Den andra} efter": "Den andra efter",
    rb"Aldrig slut": "Aldrig slut",
    rb"\trowd a\cell b\cell\row c}": "a\tb\t\nc",
}


@pytest.mark.parametrize(("rtf", "text"), TEXTS.items())
def test_rich_text_is_read_as_its_reader_sees_it(rtf: bytes, text: str) -> None:
    message = read(mail_of_rtf(RTF + rtf))
    assert (message.text, message.hidden_text) == (text, "")


def test_letters_are_read_in_the_charset_of_their_font() -> None:
    fonts = rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}{\f2\fcharset128 C;}}"
    message = read(mail_of_rtf(fonts + rb"\f0 \'e5{\f1 \'cf\'f0}\f2 \'83e\plain \'e4}"))
    assert message.text == "åПрテä"


@pytest.mark.parametrize(
    "hiding", [rb"\v ", rb"\fs2 ", rb"\cf2 ", rb"\deleted "], ids=["hidden", "tiny", "white", "deleted"]
)
def test_text_that_rtf_hides_is_set_aside(hiding: bytes) -> None:
    colours = rb"{\colortbl;\red0\green0\blue0;\red255\green255\blue255;}"
    message = read(mail_of_rtf(RTF + colours + rb"\cf1 Syn{" + hiding + rb"osynligt}ligt}"))
    assert (message.text, message.hidden_text) == ("Synligt", "osynligt")
    assert "The rich text hides text from the reader; that text was set aside." in message.defects


def test_white_letters_on_a_dark_ground_are_read() -> None:
    colours = rb"{\colortbl;\red0\green0\blue0;\red255\green255\blue255;}"
    assert read(mail_of_rtf(RTF + colours + rb"{\cf2\highlight1 Rubrik}\par Text}")).text == "Rubrik\nText"


def test_html_that_was_made_into_rtf_is_read_as_html() -> None:
    encapsulated = (
        rb"{\rtf1\ansi\ansicpg1252\fromhtml1 \deff0{\fonttbl{\f0\fswiss Arial;}}{\*\htmltag64}"
        rb"\htmlrtf {\htmlrtf0 {\*\htmltag84 <p>}H\'e4r{\*\htmltag84 &nbsp;}\htmlrtf \'a0\htmlrtf0 bor du &amp; jag"
        rb"{\*\htmltag92 </p>}\htmlrtf\par}\htmlrtf0 {\*\htmltag84 <p style='display:none'>}Dolt{\*\htmltag92 </p>}}"
    )
    message = read(mail_of_rtf(encapsulated))
    assert (message.text, message.hidden_text) == ("Här bor du & jag", "Dolt")


def test_plain_text_is_preferred_to_the_rich_text_beside_it() -> None:
    rich = wm.body(wm.value(wm.RTF, wm.BINARY, wm.packed_rtf(RTF + rb"Fet}")))
    assert read(wm.mail(wm.tnef(wm.plain("Enkel"), rich))).text == "Enkel"
    assert read(wm.mail(wm.tnef(wm.plain(" "), rich))).text == "Fet"


# --- damage and malice ---


def whole() -> bytes:
    html = wm.value(wm.HTML, wm.BINARY, b"<p>Hej</p>")
    rich = wm.value(wm.RTF, wm.BINARY, wm.packed_rtf(RTF + rb"Hej}"))
    texts = wm.body(wm.value(wm.BODY, wm.UNICODE, "Hej"), html, rich, wm.named_value("x", 1))
    return wm.tnef(wm.plain("Hej"), texts, wm.file("a.pdf", b"%PDF" * 10), wm.embedded("b", wm.tnef(wm.plain("x"))))


def test_a_winmail_cut_anywhere_is_read_as_far_as_it_goes() -> None:
    raw = whole()
    unnoticed = 0
    for end in range(len(raw)):
        message = read(wm.mail(raw[:end], text="Utanpå"))
        assert message.text == "Utanpå"
        assert not any("could not be read (" in defect for defect in message.defects)
        unnoticed += DAMAGED not in message.defects
    # The format has no end mark: a cut between two of its ten attributes, or within the signature, cannot be seen.
    assert unnoticed <= 10 + 4


def test_a_damaged_winmail_stays_beside_what_could_be_read() -> None:
    raw = wm.tnef(wm.plain("Hej"), wm.file("a.pdf", b"%PDF"), wm.file("b.pdf", b"%PDF"))
    message = read(wm.mail(raw[:-30]))
    assert [part.name for part in message.attachments] == ["a.pdf", "b.pdf", "winmail.dat"]
    assert DAMAGED in message.defects


def test_a_changed_letter_is_noticed() -> None:
    assert DAMAGED in read(wm.mail(wm.tnef(wm.plain("1000 kr")).replace(b"1000", b"9000"))).defects


def test_what_only_calls_itself_winmail_is_kept_as_a_file() -> None:
    message = read(wm.mail(b"MZ nothing of Outlook's", text="Hej"))
    assert [part.name for part in message.attachments] == ["winmail.dat"]
    assert "The mail holds a winmail.dat that is not in Outlook's format; it was not opened." in message.defects


BOMBS = {
    "a count of four thousand million properties": wm.tnef(wm.attribute(1, 0x9003, b"\xff" * 4)),
    "a property with four thousand million values": wm.tnef(
        wm.attribute(1, 0x9003, struct.pack("<IHHI", 1, 0x1000 | wm.STRING, wm.BODY, 0xFFFFFFFF))
    ),
    "values of nothing": wm.tnef(wm.attribute(1, 0x9003, struct.pack("<IHHI", 1, 0x1001, 7, 0xFFFFFFFF))),
    "a million empty attributes": wm.tnef(wm.attribute(1, 0x8006, b"") * 1_000_000),
    "a hundred thousand files": wm.tnef(wm.attribute(2, 0x9002, b"") * 100_000),
    "a million properties": wm.tnef(wm.attribute(1, 0x9003, b"\xff" * 4 + wm.value(7, wm.INTEGER, 7) * 1_000_000)),
    "rich text without end": wm.tnef(wm.body(wm.value(wm.RTF, wm.BINARY, wm.rtf_bomb(8_000_000)))),
    "two million braces": wm.tnef(wm.body(wm.value(wm.RTF, wm.BINARY, wm.packed_rtf(RTF + b"{" * 2_000_000)))),
    "a million words": wm.tnef(wm.body(wm.value(wm.RTF, wm.BINARY, wm.packed_rtf(RTF + rb"\f1\v" * 400_000)))),
    "a million letters": wm.tnef(wm.body(wm.value(wm.RTF, wm.BINARY, wm.packed_rtf(RTF + rb"\u9?" * 500_000)))),
    "raw data": wm.tnef(wm.body(wm.value(wm.RTF, wm.BINARY, wm.packed_rtf(RTF + rb"\bin999999999 x")))),
}


@pytest.mark.parametrize("raw", BOMBS.values(), ids=BOMBS)
def test_a_bomb_in_a_winmail_is_read_in_bounded_time(raw: bytes) -> None:
    packed = wm.mail(raw)
    with taking_at_most(5):
        message = read(packed)
    assert len(message.text) <= 1_000_000
    assert message.defects
    assert not any("could not be read (" in defect for defect in message.defects)


def test_a_hundred_bombs_cost_no_more_than_one() -> None:
    bomb = wm.tnef(wm.body(wm.value(wm.RTF, wm.BINARY, wm.rtf_bomb(200_000))))
    part = b"--b\r\nContent-Type: application/ms-tnef\r\nContent-Transfer-Encoding: binary\r\n\r\n" + bomb + b"\r\n"
    with taking_at_most(5):
        read(wm.HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 100 + b"--b--")


def test_a_hundred_winmails_of_a_thousand_files_stay_closed_after_the_second() -> None:
    full = wm.tnef(wm.attribute(2, 0x9002, b"") * 1_000, wm.plain("Hej"))
    part = b"--b\r\nContent-Type: application/ms-tnef\r\nContent-Transfer-Encoding: binary\r\n\r\n" + full + b"\r\n"
    raw = wm.HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 100 + b"--b--"
    assert len(read_tree(raw, []).leaves) < 2 * 1_000 + 200
    message = read(raw)
    assert (message.text, len(message.attachments)) == ("Hej", 1_000)
    assert "The mail holds more nested parts than any mail needs; the innermost were left closed." in message.defects


def test_files_beyond_a_thousand_do_not_write_over_the_last() -> None:
    files = [wm.file(f"{number}.txt", str(number).encode()) for number in range(1_001)]
    message = read(wm.mail(wm.tnef(*files), text="Hej"))
    assert "The winmail.dat holds more files than any mail needs; the rest are not listed." in message.defects
    assert message.attachments[999].size == 3


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200))
def test_any_bytes_behind_the_signature_are_opened(data: bytes) -> None:
    found = tnef.opened(b"\x78\x9f\x3e\x22\0\0" + data)
    assert found.whole or found.defects


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300))
def test_any_bytes_are_read_as_rich_text(data: bytes) -> None:
    defects: list[str] = []
    rich_text.read(rich_text.unpacked(wm.with_rtf_head(data, 5_000), defects), defects)
    rich_text.read(RTF + data, defects)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 255)), min_size=1, max_size=12))
def test_a_winmail_with_changed_bytes_is_read(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(whole())
    for place, byte in changes:
        raw[place % len(raw)] = byte
    message = read(wm.mail(bytes(raw), text="Utanpå"))
    assert message.text == "Utanpå"
    assert not any("could not be read (" in defect for defect in message.defects)
