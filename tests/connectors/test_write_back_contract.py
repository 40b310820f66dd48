"""What every mailbox promises in which staff see on the mail itself what became of it, asked of each kind alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.base import Fetched, Mark, WritesBack
from connectors.errors import Permanent
from tests.connectors import kinds

OVER_HTTP = {"exchange": kinds.exchange, "graph": kinds.graph}
DRAFT = (
    b"From: kundcenter@norrvik.example\r\nTo: resident@post.example\r\nSubject: SV: first\r\n"
    b"Message-ID: <draft@norrvik.example>\r\nIn-Reply-To: <first@post.example>\r\n"
    b"References: <first@post.example>\r\n\r\nHej!\r\n"
)


@pytest.fixture(params=[*OVER_HTTP, "imap"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[kinds.OfStaff]:
    if request.param in OVER_HTTP:
        with OVER_HTTP[request.param](tmp_path) as over_http:
            yield over_http
    else:
        with kinds.imap(request.getfixturevalue("inbox")) as over_imap:
            yield over_imap


def mail(subject: str) -> bytes:
    return f"Message-ID: <{subject}@post.example>\r\nSubject: {subject}\r\n\r\nHej, {subject}!\r\n".encode()


def office(kind: kinds.OfStaff) -> WritesBack:
    mailbox = kind.mailbox
    assert isinstance(mailbox, WritesBack)
    return mailbox


def fetched(kind: kinds.OfStaff) -> list[Fetched]:
    return [found for found in kind.mailbox.fetch_since({}) if isinstance(found, Fetched)]


@pytest.fixture
def remote_id(kind: kinds.OfStaff) -> str:
    kind.deliver(mail("first"))
    kind.deliver(mail("second"))
    return fetched(kind)[0].remote_id


def test_a_mail_shows_one_mark_at_a_time(kind: kinds.OfStaff, remote_id: str) -> None:
    for mark in (Mark.TRIAGED, Mark.WAITING, Mark.ANSWERED):
        assert office(kind).mark(remote_id, mark)
        assert kind.marks("first") == {mark}
    assert kind.marks("second") == set()


def test_marking_again_changes_nothing(kind: kinds.OfStaff, remote_id: str) -> None:
    assert office(kind).mark(remote_id, Mark.WAITING)
    assert office(kind).mark(remote_id, Mark.WAITING)
    assert kind.marks("first") == {Mark.WAITING}


def test_a_mark_can_be_taken_away(kind: kinds.OfStaff, remote_id: str) -> None:
    office(kind).mark(remote_id, Mark.WAITING)
    assert office(kind).mark(remote_id, None)
    assert kind.marks("first") == set()


def test_what_staff_have_written_on_a_mail_stays(kind: kinds.OfStaff, remote_id: str) -> None:
    kind.label("first", "Elin")
    office(kind).mark(remote_id, Mark.WAITING)
    office(kind).mark(remote_id, None)
    assert kind.labels("first") == {"Elin"}


def test_marking_leaves_the_mail_unread_and_is_no_new_mail(kind: kinds.OfStaff, remote_id: str) -> None:
    cursor = fetched(kind)[-1].cursor
    office(kind).mark(remote_id, Mark.WAITING)
    assert not kind.is_read("first")
    assert list(kind.mailbox.fetch_since(cursor)) == []


def test_a_mail_that_staff_have_deleted_cannot_be_marked_or_moved(kind: kinds.OfStaff, remote_id: str) -> None:
    kind.delete("first")
    assert not office(kind).mark(remote_id, Mark.WAITING)
    kind.make_folder("Besvarat")
    assert not office(kind).move(remote_id, "Besvarat")


def test_a_draft_lies_in_drafts_and_nothing_is_sent(kind: kinds.OfStaff, remote_id: str) -> None:
    office(kind).put_draft(DRAFT, remote_id)
    (lying,) = kind.drafts()
    assert b"Hej!" in lying
    assert b"In-Reply-To: <first@post.example>" in lying
    assert kind.sent() == []
    assert not kind.mailbox.was_sent("<draft@norrvik.example>")
    assert kind.mailbox.replies_to("<first@post.example>") == frozenset()


def test_a_draft_put_twice_lies_there_once(kind: kinds.OfStaff, remote_id: str) -> None:
    once = office(kind).put_draft(DRAFT, remote_id)
    assert office(kind).put_draft(DRAFT, remote_id) == once
    assert len(kind.drafts()) == 1


def test_a_draft_is_taken_back(kind: kinds.OfStaff, remote_id: str) -> None:
    draft = office(kind).put_draft(DRAFT, remote_id)
    assert office(kind).take_back(draft)
    assert kind.drafts() == []
    assert office(kind).take_back(draft), "what is gone already need not be taken back"


def test_a_draft_that_staff_have_changed_is_theirs(kind: kinds.OfStaff, remote_id: str) -> None:
    draft = office(kind).put_draft(DRAFT, remote_id)
    kind.edit_draft(b"Hej, jag ringer i morgon.")
    assert not office(kind).take_back(draft)
    (lying,) = kind.drafts()
    assert b"jag ringer" in lying


def test_an_answered_mail_moves_to_a_folder(kind: kinds.OfStaff, remote_id: str) -> None:
    kind.make_folder("Besvarat")
    assert office(kind).move(remote_id, "Besvarat")
    assert kind.subjects("Besvarat") == ["first"]
    assert [found.raw for found in fetched(kind)] == [mail("second")]


def test_a_mail_keeps_its_mark_when_it_moves(kind: kinds.OfStaff, remote_id: str) -> None:
    kind.make_folder("Besvarat")
    office(kind).mark(remote_id, Mark.ANSWERED)
    office(kind).move(remote_id, "Besvarat")
    assert kind.marks("first", "Besvarat") == {Mark.ANSWERED}


def test_a_folder_that_is_not_there_is_named(kind: kinds.OfStaff, remote_id: str) -> None:
    with pytest.raises(Permanent, match="Besvarat"):
        office(kind).move(remote_id, "Besvarat")
    assert len(fetched(kind)) == 2
