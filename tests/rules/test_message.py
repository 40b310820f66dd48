"""Each awkward mail in tests/mails is read as its .json twin says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from rules.message import parsed, read
from rules.values import Language, Message

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
@pytest.mark.timeout(10)
def test_huge_or_twisted_mail_is_read_in_bounded_time(raw: bytes) -> None:
    message = read(raw)
    assert message.text
    assert len(message.text) <= 1_000_000
    assert not any("could not be read (" in defect for defect in message.defects)


def test_body_is_never_silently_empty() -> None:
    for body in (b"", b" \r\n\r\n", b"\0\0"):
        assert "The mail has no readable text." in read(HEADER + b"\r\n" + body).defects
    hidden = read(HEADER + b"Content-Type: text/html\r\n\r\n<p style='display:none'>Hej</p>")
    assert "All text of the HTML is hidden from the reader." in hidden.defects


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
