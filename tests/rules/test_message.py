"""Each awkward mail in tests/mails is read as its .json twin says."""

from __future__ import annotations

import base64
import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from rules.drafting import situation
from rules.message import attachment, parsed, read
from rules.policy import decide
from rules.values import Language, MailKind, Message, ModelVersion, ReplyKind, Understanding
from tests import winmail
from tests.budget import taking_at_most
from worker import packs

MAILS = Path(__file__).parent.parent / "mails"
NAMES = sorted(path.stem for path in MAILS.glob("*.eml"))
SWEDISH = Language("sv", 0.9)

HEADER = b"From: anna@post.example\r\nMessage-ID: <1@post.example>\r\nDate: Wed, 4 Nov 2026 10:12:00 +0100\r\n"


def contains(whole: Any, part: Any) -> bool:
    """`part` is a subset of `whole`: named fields of objects, lists item by item."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and contains(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return len(whole) == len(part) and all(contains(one, other) for one, other in zip(whole, part, strict=True))
    return bool(whole == part)


def read_fixture(name: str) -> tuple[Message, dict[str, Any]]:
    twin = json.loads((MAILS / f"{name}.json").read_text(encoding="utf-8"))
    return read((MAILS / f"{name}.eml").read_bytes(), **twin.get("given", {})), twin


@pytest.mark.parametrize("name", NAMES)
def test_awkward_mail_is_read_as_its_twin_says(name: str) -> None:
    message, twin = read_fixture(name)
    seen = parsed(message, SWEDISH)
    for field, expected in twin["expect"].items():
        assert contains(seen[field], expected), (field, seen[field], seen["defects"])
    assert all(words in message.text for words in twin.get("text_contains", [])), message.text
    assert not any(words in message.text for words in twin.get("text_lacks", [])), message.text
    assert all(words in message.hidden_text for words in twin.get("hidden_contains", [])), message.hidden_text
    assert not any(words in message.text for words in twin.get("hidden_contains", [])), message.text
    for field in ("reply_text", "hidden_text"):
        assert getattr(message, field) == twin.get(field, getattr(message, field))
    assert list(message.sender.suspicious) == twin.get("suspicious", list(message.sender.suspicious))
    types = [part.content_type for part in message.attachments]
    assert types == twin.get("attachment_types", types)


@pytest.mark.parametrize("name", NAMES)
def test_every_value_can_be_stored_and_sent_as_json(name: str) -> None:
    message, _ = read_fixture(name)
    stored = json.dumps(parsed(message, SWEDISH), ensure_ascii=False).encode("utf-8")
    assert b"\\u0000" not in stored


def test_every_mail_has_a_twin_and_every_twin_a_mail() -> None:
    assert sorted(path.stem for path in MAILS.glob("*.json")) == NAMES
    assert len(NAMES) >= 30


def test_parsed_holds_exactly_the_fields_of_the_contract() -> None:
    seen = parsed(read(HEADER + b"\r\nHej"), SWEDISH)
    assert list(seen) == [
        "message_id",
        "in_reply_to",
        "references",
        "date",
        "from",
        "reply_to",
        "to",
        "cc",
        "subject",
        "text",
        "reply_text",
        "html_present",
        "attachments",
        "language",
        "auto_submitted",
        "kind",
        "reply_allowed",
        "reply_blocked_by",
        "sender",
        "defects",
        "sha256",
    ]
    assert seen["from"] == {"name": "", "address": "anna@post.example"}
    assert list(seen["sender"]) == ["verified", "method", "reason"]
    assert seen["language"] == {"code": "sv", "confidence": 0.9}


def test_the_hash_is_of_the_raw_bytes() -> None:
    raw = HEADER + b"\r\nHej\0\xff"
    assert read(raw).sha256 == hashlib.sha256(raw).hexdigest()


def test_defects_quote_nothing_of_the_mail() -> None:
    head = b"From: hemlig@post.example, inte en adress\r\nDate: hemlig\r\nContent-Type: hemlig; charset=hemlig\r\n"
    raw = head + b"\r\n\xff hemlig"
    assert read(raw).defects
    assert not any("hemlig" in defect for defect in read(raw).defects)


def nested(levels: int, kind: bytes = b"multipart/mixed") -> bytes:
    opened = b"".join(
        b"Content-Type: %s; boundary=b%d\r\n\r\n--b%d\r\n" % (kind, level, level) for level in range(levels)
    )
    closed = b"".join(b"\r\n--b%d--\r\n" % level for level in reversed(range(levels)))
    return HEADER + opened + b"Content-Type: text/plain\r\n\r\nInnerst" + closed


@pytest.mark.parametrize("levels", [1, 50, 1_500])
@pytest.mark.parametrize("kind", [b"multipart/mixed", b"multipart/alternative"])
def test_text_is_found_however_deep_it_is_nested(levels: int, kind: bytes) -> None:
    assert read(nested(levels, kind)).text == "Innerst"


def test_nesting_beyond_any_measure_is_told_not_followed() -> None:
    message = read(nested(3_000))
    assert "The mail holds more nested parts than any mail needs; the innermost were left closed." in message.defects
    assert [part.content_type for part in message.attachments] == ["multipart/mixed"]


@pytest.mark.parametrize(
    "raw",
    [
        HEADER + b"\r\n" + b"a" * 5_000_000,
        HEADER + b"Subject: " + b"=?" * 2_500_000 + b"\r\n\r\nHej",
        HEADER + b"Cc: " + b"(" * 5_000_000 + b"\r\n\r\nHej",
        HEADER + b"Cc: " + b"a@b.example," * 400_000 + b"\r\n\r\nHej",
        HEADER + b"X: y\r\n" * 500_000 + b"\r\nHej",
        HEADER + b"Content-Type: text/plain; " + b'a="' * 20_000 + b"\r\n\r\nHej",
        HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 300_000,
        HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b" * 1_500_000,
        HEADER + b"Content-Type: text/html\r\n\r\n" + b"<div>" * 100_000 + b"Hej",
        HEADER + b"Content-Type: text/html\r\n\r\n" + b"<table><tr><td>" * 3_000 + b"Hej",
        HEADER + b"Content-Type: text/html\r\n\r\n" + b"<b>x</b><br>" * 100_000,
        HEADER + b"Content-Type: text/html\r\n\r\n<p style='margin-top:99999999em'>Hej",
        HEADER
        + b"Content-Type: text/html\r\n\r\n<table><tr><td>"
        + b"w" * 200_000
        + b"</td></tr>"
        + b"<tr><td>x</td></tr>" * 3_000,
        HEADER
        + b"Content-Type: text/html\r\n\r\n"
        + b"<table><tr><td>" * 300
        + b"w" * 50_000
        + b"<tr><td>x</td></tr></table>" * 300,
        HEADER + b"Content-Type: text/html\r\n\r\n<style>" + b"/*" * 100_000 + b"</style>Hej",
        HEADER + b"Content-Type: text/html\r\n\r\n<style>" + b".a{" * 60_000 + b"</style>Hej",
        HEADER + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\t " * 1_500_000 + b"Hej",
        HEADER + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"SGVq" * 1_000_000,
    ],
    ids=lambda raw: f"{len(raw)}-{hashlib.sha256(raw).hexdigest()[:6]}",
)
def test_huge_or_twisted_mail_is_read_in_bounded_time(raw: bytes) -> None:
    with taking_at_most(10):
        message = read(raw)
    assert message.text
    assert len(message.text) <= 1_000_000
    assert not any("could not be read (" in defect for defect in message.defects)


def test_body_is_never_silently_empty() -> None:
    for body in (b"", b" \r\n\r\n", b"\0\0"):
        assert "The mail has no readable text." in read(HEADER + b"\r\n" + body).defects
    hidden = read(HEADER + b"Content-Type: text/html\r\n\r\n<p style='display:none'>Hej</p>")
    assert "All text of the HTML is hidden from the reader." in hidden.defects


MALFORMED_TYPES = [
    b"",
    b";",
    b"/",
    b"text",
    b"text/",
    b"text/plain; charset",
    b"text/plain; charset=",
    b'text/plain; charset="utf-8',
    b"text/plain; =utf-8; ;;",
    b"text/plain; charset*=x'y",
    b"text/plain; charset*0*=utf-8''%; charset*1=\xe5",
    b"text/plain; charset*9999999999999999999=x",
    b"\xff\xfe/\x80; \xe5=\xe4",
    b"=?utf-8?q?text/plain?=",
    b"text/plain\r\n\t;\r\n\tcharset=no-such-charset",
    b"text/plain; charset=unicode_escape",
    b"text/plain; charset=rot13",
    b"multipart/mixed",
    b'multipart/mixed; boundary=""',
    b"multipart/mixed; boundary=" + b"b" * 5_000,
    b"message/rfc822; charset=1252",
]


@pytest.mark.parametrize("content_type", MALFORMED_TYPES)
def test_malformed_content_type_is_data_not_a_crash(content_type: bytes) -> None:
    message = read(HEADER + b"Content-Type: " + content_type + b"\r\n\r\nHej")
    assert message.text == "Hej" or [part.size for part in message.attachments] == [3]
    parts = b"--b\r\n\r\nHej\r\n--b\r\nContent-Type: " + content_type + b"; name=fil\r\n\r\n\xe5\r\n--b--"
    assert "Hej" in read(HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + parts).text


ODD_HEADERS = [
    (b"From: <>", ""),
    (b"From:", ""),
    (b"From: Anna", ""),
    (b"From: =?1252?q?=C5sa?= <a@post.example>", "a@post.example"),
    (b"From: =?utf-8?b?!!?= <a@post.example>", "a@post.example"),
    (b"From: =?utf-8?q?Anna <a@post.example>", "a@post.example"),
    (b"From: \xc5sa \xff <a@post.example>", "a@post.example"),
    (b"From: \xe5sa@post.example", "åsa@post.example"),
    (b'From: "Anna <a@post.example>', "a@post.example"),
    (b"From: a@post.example (((", "a@post.example"),
    (b"From: a@b@c", ""),
    (b"From: group:;", ""),
    (b"From: a@post.example\r\nSubject: =?x-unknown?b?SGVq?=\r\nTo: ,,;<<>>", "a@post.example"),
    (b"From: a@post.example\r\nDate: Thu, 32 Foo 99999 99:99:99 +9999", "a@post.example"),
    (b"From: a@post.example\r\nMessage-ID: <[\r\nReferences: <\r\n\t\r\n", "a@post.example"),
    (b"From: a@post.example\r\nno header at all\r\nTo: b@post.example", "a@post.example"),
    (b"From: a@post.example\r\nSubject: " + b"=?utf-8?q?" + b"=C3" * 3_000 + b"?=", "a@post.example"),
]


@pytest.mark.parametrize(("head", "address"), ODD_HEADERS)
def test_odd_headers_fall_back_never_raise(head: bytes, address: str) -> None:
    message = read(head + b"\r\n\r\nHej")
    assert (message.sender_address.address, message.text) == (address, "Hej")
    assert message.defects
    json.dumps(parsed(message, SWEDISH), ensure_ascii=False).encode("utf-8")


def test_a_mail_without_date_from_and_message_id_is_read_and_told() -> None:
    message = read(b"Subject: Soptunnan\r\n\r\nHej")
    assert (message.date, message.message_id, message.sender_address.address) == (None, None, "")
    assert (message.text, message.reply_blocked_by, message.needs_nobody) == ("Hej", "no_sender", False)
    told = {"The mail has no date.", "The mail has no Message-ID.", "The mail names no sender."}
    assert told <= set(message.defects)


def test_a_message_id_used_twice_does_not_make_two_mails_one() -> None:
    one, other = read(HEADER + b"\r\nHej"), read(HEADER + b"\r\nHej igen")
    assert one.message_id == other.message_id
    assert one.sha256 != other.sha256


def test_an_attachment_of_25_mb_is_read_in_bounded_time_and_memory() -> None:
    content = bytes(range(256)) * 100_000
    packed = base64.encodebytes(content).replace(b"\n", b"\r\n")
    file = b"--b\r\nContent-Type: application/pdf; name=karta.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + packed
    raw = HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHej\r\n" + file + b"--b--\r\n"
    with taking_at_most(5):
        message = read(raw)
    assert (message.text, [part.size for part in message.attachments]) == ("Hej", [len(content)])
    tracemalloc.start()
    found = attachment(raw, 0)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert found[1] == content
    assert most < 8 * len(raw)


@pytest.mark.parametrize("letter", [b"a", b"\xe5", b"\0", b"<", b"> ", b"=", "å".encode()])
@pytest.mark.parametrize("content_type", [b"text/plain", b"text/html"])
def test_a_line_of_5_mb_is_read_in_bounded_time(letter: bytes, content_type: bytes) -> None:
    line = letter * (5_000_000 // len(letter))
    with taking_at_most(20):
        message = read(HEADER + b"Content-Type: " + content_type + b"; charset=utf-8\r\n\r\nHej " + line)
    assert message.text.startswith("Hej")
    assert len(message.text) <= 1_000_000


@pytest.mark.parametrize("levels", [1, 2, 300])
def test_a_forwarded_mail_is_a_file_whatever_it_holds_and_not_the_senders_words(levels: int) -> None:
    inner = HEADER + b"\r\nAnnans ord"
    for _ in range(levels):
        parts = b"--b\r\n\r\nEgna ord\r\n--b\r\nContent-Type: message/rfc822; name=vb.eml\r\n\r\n" + inner
        inner = HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + parts + b"\r\n--b--"
    # All of them use the same boundary, as a program does that numbers each mail's parts anew.
    message = read(inner)
    assert message.text.startswith("Egna ord")
    assert any(part.content_type == "message/rfc822" for part in message.attachments)
    distinct = inner.replace(b"boundary=b\r", b"boundary=a\r", 1).replace(b"--b", b"--a", 2)
    outermost = read(distinct[: -len(b"--b--")] + b"--a--")
    assert (outermost.text, [part.content_type for part in outermost.attachments]) == ("Egna ord", ["message/rfc822"])


def test_attachment_count_equals_source_count() -> None:
    names = [f"fil {number}.txt" for number in range(40)]
    inside = winmail.mail(winmail.tnef(*(winmail.file(name, name.encode()) for name in names)), text="Hej")
    assert [part.name for part in read(inside).attachments] == names
    assert [(attachment(inside, place) or ("", b""))[1] for place in range(40)] == [name.encode() for name in names]
    head = HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHej\r\n"
    part = b"--b\r\nContent-Type: %b\r\n\r\nx\r\n"
    for content_type in (b"image/png", b"text/plain; name=a.txt", b"message/rfc822", b"x/y; name=winmail.dat"):
        raw = head + part % content_type * 1_000 + b"--b--"
        assert len(read(raw).attachments) == 1_000
        assert attachment(raw, 999) is not None
        assert attachment(raw, 1_000) is None


NOTHING_UNDERSTOOD = Understanding(
    language=Language("sv", 0.9),
    intent="waste_collection",
    confidence=0.9,
    alternatives=(),
    abstained=False,
    secondary=(),
    reasons=(),
    entities={},
    national_ids=(),
    model=ModelVersion("", "", ""),
    rules_fired=(),
)


@pytest.mark.parametrize("name", ["smime_encrypted", "pgp_encrypted", "pgp_encrypted_inline"])
def test_encrypted_mail_is_kept_marked_and_handed_to_a_person(name: str) -> None:
    message, _ = read_fixture(name)
    assert message.kind is MailKind.ENCRYPTED
    assert "The mail is encrypted; its text cannot be read here." in message.defects
    assert message.attachments or "BEGIN PGP MESSAGE" in message.text
    pack = packs.read(packs.shipped())
    assert decide(pack, situation(message, NOTHING_UNDERSTOOD, (), ())).reply is ReplyKind.PERSON


@pytest.mark.parametrize("name", ["smime_signed_clear", "smime_signed_opaque", "pgp_clear_signed"])
def test_signed_mail_is_read_as_any_other(name: str) -> None:
    message, _ = read_fixture(name)
    assert message.kind is MailKind.MAIL
    assert message.reply_text


def test_plain_text_that_says_something_else_than_the_html_is_told() -> None:
    html = b"<p>" + b"Betala fakturan genast till det nya kontot tack" + b"</p>"
    plain = b"Nyheter om biblioteket"
    parts = b"--b\r\n\r\n%b\r\n--b\r\nContent-Type: text/html\r\n\r\n%b\r\n--b--" % (plain, html)
    message = read(HEADER + b"Content-Type: multipart/alternative; boundary=b\r\n\r\n" + parts)
    assert message.text.startswith("Betala")
    assert "The plain text and the HTML differ; the HTML was read." in message.defects


HIDING = [
    "display:none",
    "DISPLAY : NONE !important",
    "visibility:hidden",
    "opacity:0",
    "opacity:.01",
    "font-size:0",
    "font-size:0px",
    "font-size:1px",
    "font:0/0 a",
    "color:#ffffff",
    "color:white",
    "color:rgb(255, 255, 255)",
    "color:rgba(0,0,0,0)",
    "color:transparent",
    "color:#010101;background:#000",
    "max-height:0;overflow:hidden",
    "width:1px;height:1px;overflow:hidden",
    "position:absolute;left:-9999px",
    "text-indent:-9999px",
    "position:absolute;clip:rect(0,0,0,0)",
    "clip-path:inset(50%)",
    "transform:scale(0)",
]
SHOWING = [
    "",
    "color:black",
    "color:#333",
    "color:white;background:#003366",
    "color:white;background-image:url(cid:x)",
    "font-size:9px",
    "font:bold 12px/0 arial",
    "font:700 11pt arial",
    "opacity:1",
    "opacity:0.8",
    "display:block",
    "height:0",
    "left:-9999px",
    "text-indent:-18pt",
    "color:#ggg",
    "width:100%;overflow:hidden",
]


def html_mail(body: str) -> Message:
    return read(HEADER + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + body.encode())


@pytest.mark.parametrize("style", HIDING)
def test_text_hidden_by_style_is_set_aside(style: str) -> None:
    for body in (
        f'<p>Synligt</p><p style="{style}">Osynligt</p>',
        f"<style>.h{{{style}}}</style><p>Synligt</p><i class=h>Osynligt</i>",
    ):
        message = html_mail(body)
        assert (message.text, message.hidden_text) == ("Synligt", "Osynligt")


@pytest.mark.parametrize("style", SHOWING)
def test_text_with_an_ordinary_style_is_read(style: str) -> None:
    message = html_mail(f'<p>Ett</p><p style="{style}">Två</p>')
    assert message.text.split() == ["Ett", "Två"]
    assert message.hidden_text == ""


def test_size_and_colour_can_be_set_anew_inside() -> None:
    message = html_mail(
        '<div style="font-size:0;color:#fff">Dolt<span style="font-size:14px;color:#000">Synligt</span>Dolt igen</div>'
    )
    assert (message.text, message.hidden_text) == ("Synligt", "Dolt\nDolt igen")


def test_what_hides_only_on_small_screens_is_read() -> None:
    message = html_mail("<style>@media (max-width:600px){.a{display:none}.b{color:red}}</style><p class=a>Synligt</p>")
    assert message.text == "Synligt"


def test_mail_that_nobody_could_foresee_still_comes_before_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("hemlig@post.example")

    monkeypatch.setattr("rules.message.read_tree", fails)
    message = read(HEADER + b"\r\nHej")
    assert message.defects == ("The mail could not be read (RuntimeError).",)
    assert not message.reply_allowed
