"""Splitting an mbox file, for any mails whatever."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from connectors.folder import mbox

SEPARATOR = b"From resident@post.example Sat Nov 21 10:00:00 2026\n"
ENDS = st.sampled_from([b"\n", b"\r\n"])
LINES = st.binary(max_size=40).filter(lambda line: not {10, 13} & set(line) and not line.startswith(b"From "))
MAILS = st.builds(lambda lines, end: b"".join(line + end for line in lines), st.lists(LINES, max_size=6), ENDS)


@given(st.lists(MAILS, max_size=5))
def test_what_was_put_together_comes_apart_again(mails: list[bytes]) -> None:
    file = io.BytesIO(b"".join(SEPARATOR + raw + b"\n" for raw in mails))
    assert [part.raw for part in mbox.parts(file)] == mails


@given(st.lists(MAILS, min_size=1, max_size=5))
def test_a_part_can_be_read_again_from_where_it_starts(mails: list[bytes]) -> None:
    file = io.BytesIO(b"".join(SEPARATOR + raw + b"\n" for raw in mails))
    for part in list(mbox.parts(file)):
        assert next(mbox.parts(file, part.start)) == part


@given(st.binary())
def test_no_file_makes_it_fail(content: bytes) -> None:
    list(mbox.parts(io.BytesIO(content)))


def test_an_appended_mail_does_not_change_the_one_before() -> None:
    alone = next(mbox.parts(io.BytesIO(SEPARATOR + b"Subject: a\n\nHej\n")))
    followed = next(mbox.parts(io.BytesIO(SEPARATOR + b"Subject: a\n\nHej\n\n" + SEPARATOR)))
    assert alone == followed


def test_a_paragraph_that_begins_with_from_does_not_split_a_mail() -> None:
    raw = b"Subject: a\n\nHej\n\nFrom Monday on the office is closed.\n"
    (part,) = mbox.parts(io.BytesIO(SEPARATOR + raw))
    assert part.raw == raw


def test_a_separator_in_the_middle_of_a_very_long_line_is_none() -> None:
    raw = b"Subject: a\n\n" + b"x" * 65536 + SEPARATOR
    (part,) = mbox.parts(io.BytesIO(SEPARATOR + raw))
    assert part.raw == raw
