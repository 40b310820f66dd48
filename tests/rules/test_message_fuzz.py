"""Whatever the bytes, `read` gives a Message and stays within bounds.

Mails that once were right are bent, cut and glued. KOMMUNPOST_FUZZ=10000 makes a night's work of it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.message import parsed, read
from rules.values import Language, Message
from tests import winmail
from tests.budget import taking_at_most

SEEDS = [path.read_bytes() for path in sorted((Path(__file__).parent.parent / "mails").glob("*.eml"))]
EXAMPLES = int(os.environ.get("KOMMUNPOST_FUZZ", "500"))
MAX_SECONDS = 5

BITS = [
    b"\0",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"--gr",
    b"--gr--",
    b"=?",
    b"?=",
    b"=?utf-8?b?/w==?=",
    b"=?x?q?=ZZ?=",
    b";",
    b'"',
    b"(",
    b"<",
    b">",
    b",",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xf3\xa0\x81\x81",
    b"Content-Type: multipart/mixed; boundary=gr\r\n",
    b"Content-Type: text/html; charset=utf-16\r\n",
    b"Content-Type: text/plain; charset*0*=x''%; charset*1=y\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: x-uuencode\r\n",
    b"Date: Thu, 32 Foo 99999 99:99:99 +9999\r\n",
    b"Message-ID: <[\r\n",
    b"From: a@b@c, <>, (((\r\n",
    b"<table><td style='color:#fff;font:0'>",
    b"<blockquote type=cite>",
    b"<style>@media{.a{",
]

RICH = (
    rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 A;}{\f1\fcharset204 B;}}{\colortbl;\red255\green255\blue255;}"
    rb"\f0 Hej p\'e5 dig {\cf1 vitt} {\v dolt} \u8221?\par{\*\unknown x}{\pict 00}\b fet\b0}"
)
HTML_IN_RICH = (
    rb"{\rtf1\ansi\fromhtml1{\*\htmltag84 <p>}Hej \htmlrtf\par\htmlrtf0{\*\htmltag92 </p>}"
    rb"{\*\htmltag <p style='display:none'>}dolt}"
)
# Where a mail holds one of these, the winmail.dat inside is bent rather than its base64.
WINMAILS = [
    winmail.tnef(winmail.plain("Hej på dig"), winmail.file("karta å.pdf", b"%PDF" * 30)),
    winmail.tnef(
        winmail.body(
            winmail.value(winmail.CODE_PAGE, winmail.INTEGER, 65001),
            winmail.value(winmail.HTML, winmail.BINARY, "<p>Hej på dig</p>".encode()),
            winmail.named_value("x", 1),
        ),
        winmail.embedded("annan", winmail.tnef(winmail.plain("inuti"))),
    ),
    winmail.tnef(winmail.body(winmail.value(winmail.RTF, winmail.BINARY, winmail.packed_rtf(RICH)))),
    winmail.tnef(winmail.body(winmail.value(winmail.RTF, winmail.BINARY, winmail.packed_rtf(HTML_IN_RICH)))),
    winmail.tnef(winmail.body(winmail.value(winmail.RTF, winmail.BINARY, winmail.rtf_bomb(2_000)))),
]
WINMAIL_BITS = [
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x78\x9f\x3e\x22",
    b"\x01\x03\x90\x06\x00",
    b"\x02\x05\x90\x06\x00",
    b"\x02\x02\x90\x06\x00",
    b"\x1f\x10\x00\x10",
    b"\x02\x01\x09\x10",
    b"LZFu",
    b"MELA",
    b"{\\*\\htmltag",
    b"\\bin999999999 ",
    b"\\u-1?",
    b"\\uc8",
    b"\\'",
    b"{" * 50,
    b"}" * 50,
]

mutation = st.one_of(
    st.tuples(st.just("insert"), st.integers(0, 10_000), st.sampled_from(BITS)),
    st.tuples(st.just("insert"), st.integers(0, 10_000), st.binary(max_size=20)),
    st.tuples(st.just("cut"), st.integers(0, 10_000), st.integers(1, 200)),
    st.tuples(st.just("repeat"), st.integers(0, 10_000), st.integers(2, 50)),
)


winmail_mutation = st.one_of(
    st.tuples(st.just("insert"), st.integers(0, 10_000), st.sampled_from(WINMAIL_BITS)),
    st.tuples(
        st.just("replace"), st.integers(0, 10_000), st.one_of(st.sampled_from(WINMAIL_BITS), st.binary(max_size=4))
    ),
    st.tuples(st.just("cut"), st.integers(0, 10_000), st.integers(1, 200)),
    st.tuples(st.just("repeat"), st.integers(0, 10_000), st.integers(2, 50)),
)


def mutated(seed: bytes, mutations: list[tuple[str, int, bytes | int]]) -> bytes:
    raw = seed
    for what, where, argument in mutations:
        place = where % (len(raw) + 1)
        if isinstance(argument, bytes):
            raw = raw[:place] + argument + raw[place + (len(argument) if what == "replace" else 0) :]
        elif what == "cut":
            raw = raw[:place] + raw[place + argument :]
        else:
            raw = raw[:place] + raw[place : place + 40] * argument + raw[place:]
    return raw


def check(raw: bytes) -> Message:
    with taking_at_most(MAX_SECONDS):
        message = read(raw, authserv_ids=("mx.kommun.example",), own_addresses=("info@kommun.example",))
    assert not any(defect.startswith("The mail could not be read (") for defect in message.defects)
    assert message.text.strip() == "" or message.reply_text.strip()
    assert message.reply_allowed is (message.reply_blocked_by is None)
    stored = json.dumps(parsed(message, Language("sv", 1.0)), ensure_ascii=False).encode("utf-8")
    assert b"\\u0000" not in stored
    return message


quick = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES <= 500,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@quick
@given(st.sampled_from(SEEDS), st.lists(mutation, min_size=1, max_size=8))
def test_bent_mail_is_read(seed: bytes, mutations: list[tuple[str, int, bytes | int]]) -> None:
    check(mutated(seed, mutations))


@quick
@given(st.sampled_from(WINMAILS), st.lists(winmail_mutation, min_size=1, max_size=8), st.sampled_from(["", "Hej"]))
def test_bent_winmail_is_read(seed: bytes, mutations: list[tuple[str, int, bytes | int]], text: str) -> None:
    check(winmail.mail(mutated(seed, mutations), text=text))


@quick
@given(st.sampled_from([RICH, HTML_IN_RICH]), st.lists(winmail_mutation, min_size=1, max_size=8))
def test_bent_rich_text_is_read(seed: bytes, mutations: list[tuple[str, int, bytes | int]]) -> None:
    packed = winmail.packed_rtf(mutated(seed, mutations))
    check(winmail.mail(winmail.tnef(winmail.body(winmail.value(winmail.RTF, winmail.BINARY, packed)))))


@quick
@given(st.lists(st.one_of(st.sampled_from(BITS), st.binary(max_size=60)), max_size=40))
def test_any_bytes_are_read(pieces: list[bytes]) -> None:
    check(b"".join(pieces))


@quick
@given(st.sampled_from(SEEDS), st.sampled_from(SEEDS), st.integers(0, 10_000), st.integers(0, 10_000))
def test_two_mails_glued_together_are_read(one: bytes, other: bytes, cut_one: int, cut_other: int) -> None:
    check(one[: cut_one % (len(one) + 1)] + other[cut_other % (len(other) + 1) :])


@settings(quick, max_examples=max(50, EXAMPLES // 10))
@given(st.sampled_from(SEEDS), st.integers(0, 10_000))
def test_the_same_bytes_are_always_read_alike(seed: bytes, cut: int) -> None:
    raw = seed[: cut % (len(seed) + 1)]
    assert read(raw) == read(raw)
