"""What every mailbox promises, asked of each kind in the same words."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.base import Cursor, Envelope, Fetched, Unreadable
from connectors.errors import Permanent
from tests import servers
from tests.connectors import kinds

ON_DISK = {"eml folder": kinds.eml_folder, "maildir": kinds.maildir, "mbox": kinds.mbox}

OVER_HTTP = {"exchange": kinds.exchange, "graph": kinds.graph}


@pytest.fixture(params=[*ON_DISK, *OVER_HTTP, "imap"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[kinds.Kind]:
    if request.param in ON_DISK:
        yield ON_DISK[request.param](tmp_path)
    elif request.param in OVER_HTTP:
        with OVER_HTTP[request.param](tmp_path) as over_http:
            yield over_http
    else:
        with kinds.imap(request.getfixturevalue("inbox")) as over_imap:
            yield over_imap


def mail(subject: str, message_id: str = "") -> bytes:
    return (
        f"Message-ID: <{message_id or subject}@post.example>\r\nSubject: {subject}\r\n\r\nHej, {subject}!\r\n".encode()
    )


REPLY = mail("reply")
ENVELOPE = Envelope(servers.INBOX_ADDRESS, ("resident@post.example",))


def fetched(kind: kinds.Kind, cursor: Cursor | None = None) -> list[Fetched]:
    return [found for found in kind.mailbox.fetch_since(cursor or {}) if isinstance(found, Fetched)]


def test_an_empty_mailbox_has_nothing_to_say(kind: kinds.Kind) -> None:
    assert list(kind.mailbox.fetch_since({})) == []


def test_mails_come_oldest_first_and_byte_for_byte(kind: kinds.Kind) -> None:
    mails = [mail(subject) for subject in ("first", "second", "third")]
    for raw in mails:
        kind.deliver(raw)
    assert [found.raw for found in fetched(kind)] == mails


def test_reading_goes_on_behind_the_cursor(kind: kinds.Kind) -> None:
    kind.deliver(mail("first"))
    kind.deliver(mail("second"))
    cursor = fetched(kind)[-1].cursor
    assert fetched(kind, cursor) == []
    kind.deliver(mail("third"))
    assert [found.raw for found in fetched(kind, cursor)] == [mail("third")]


def test_reading_that_broke_off_goes_on_where_it_stopped(kind: kinds.Kind) -> None:
    for subject in ("first", "second", "third"):
        kind.deliver(mail(subject))
    reading = kind.mailbox.fetch_since({})
    cursor = next(reading).cursor
    assert [found.raw for found in fetched(kind, cursor)] == [mail("second"), mail("third")]


def test_the_cursor_is_small_json(kind: kinds.Kind) -> None:
    kind.deliver(mail("first"))
    (found,) = fetched(kind)
    assert json.loads(json.dumps(found.cursor)) == found.cursor
    assert len(json.dumps(found.cursor)) < 200


def test_remote_ids_stay_and_are_unlike_any_other_even_for_equal_mails(kind: kinds.Kind) -> None:
    kind.deliver(mail("same"))
    kind.deliver(mail("same"))
    once, again = fetched(kind), fetched(kind)
    assert [found.remote_id for found in once] == [found.remote_id for found in again]
    assert len({found.remote_id for found in once}) == 2


def test_reading_leaves_the_mailbox_as_it_is(kind: kinds.Kind) -> None:
    kind.deliver(mail("first"))
    before = kind.state()
    fetched(kind)
    list(kind.mailbox.check())
    assert kind.state() == before


def test_a_mail_that_cannot_be_read_is_named_and_the_rest_comes(kind: kinds.Kind) -> None:
    kind.deliver(mail("first"))
    kind.deliver_unreadable()
    kind.deliver(mail("third"))
    first, bad, third = kind.mailbox.fetch_since({})
    assert isinstance(first, Fetched)
    assert isinstance(bad, Unreadable)
    assert isinstance(third, Fetched)
    assert bad.sentence.endswith((".", ")."))
    assert len({first.remote_id, bad.remote_id, third.remote_id}) == 3
    assert [found.remote_id for found in kind.mailbox.fetch_since(bad.cursor)] == [third.remote_id]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"Subject: one long line\r\n\r\n" + b"x" * 5_000_000 + b"\r\n", id="a line of 5 MB"),
        pytest.param(
            b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1500)),
            id="1,500 nested parts",
        ),
        pytest.param(b"Subject: \xff\xfe\x80 raw bytes\r\n\r\n\xe5\xe4\xf6\r\n", id="raw 8-bit headers"),
        pytest.param(b"no headers at all\r\n", id="no headers"),
        pytest.param(b"Subject: no body\r\n\r\n", id="no body"),
        pytest.param(b"Subject: \r\nFrom nobody\r\n\r\nFrom here on\r\n\r\nFrom there\r\n", id="lines with From"),
        pytest.param(b'Subject: ) {3}\r\n\r\n* 1 FETCH (UID 9 BODY[] "x")\r\n)\r\n', id="IMAP in the body"),
    ],
)
def test_awkward_mail_comes_through_untouched(kind: kinds.Kind, raw: bytes) -> None:
    kind.deliver(raw)
    kind.deliver(mail("next"))
    assert [found.raw for found in fetched(kind)] == [raw, mail("next")]


def test_nul_bytes_stop_nothing(kind: kinds.Kind) -> None:
    kind.deliver(b"Subject: a\0b\r\n\r\n\0\0\r\n")  # Dovecot hands them over as \x80: IMAP has no NUL
    kind.deliver(mail("next"))
    first, second = fetched(kind)
    assert len(first.raw) == 20
    assert second.raw == mail("next")


def test_mails_are_held_in_memory_one_at_a_time(kind: kinds.Kind) -> None:
    for _ in range(12):
        kind.deliver(b"Subject: large\r\n\r\n" + (b"x" * 1022 + b"\r\n") * 2048)
    tracemalloc.start()
    assert sum(len(found.raw) for found in kind.mailbox.fetch_since({}) if isinstance(found, Fetched)) > 24 * 2**20
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 12 * 2**20


def test_the_time_of_arrival_is_aware_or_unknown(kind: kinds.Kind) -> None:
    kind.deliver(mail("first"))
    (found,) = fetched(kind)
    assert found.received_at is None or found.received_at.utcoffset() == timedelta(0)


def test_a_sent_reply_is_found_by_its_message_id(kind: kinds.Kind) -> None:
    assert not kind.mailbox.was_sent("<reply@post.example>")
    kind.mailbox.send(REPLY, ENVELOPE)
    kind.mailbox.file_sent(REPLY)
    assert kind.mailbox.was_sent("<reply@post.example>")
    assert not kind.mailbox.was_sent("<eply@post.example>")
    assert kind.sent() == [REPLY]


def test_filing_a_reply_again_makes_no_second_copy(kind: kinds.Kind) -> None:
    kind.mailbox.send(REPLY, ENVELOPE)
    kind.mailbox.file_sent(REPLY)
    kind.mailbox.file_sent(REPLY)
    assert kind.sent() == [REPLY]


def test_what_was_sent_in_answer_to_a_mail_is_found_ours_and_staffs(kind: kinds.Kind) -> None:
    answered = b"In-Reply-To: <question@post.example>\r\n"
    assert kind.mailbox.replies_to("<question@post.example>") == frozenset()
    kind.staff_sent(answered + mail("by-hand"))
    kind.mailbox.send(answered + REPLY, ENVELOPE)
    kind.mailbox.file_sent(answered + REPLY)
    kind.staff_sent(mail("something-else"))
    found = kind.mailbox.replies_to("<question@post.example>")
    assert found == {"<by-hand@post.example>", "<reply@post.example>"}
    assert kind.mailbox.replies_to("<uestion@post.example>") == frozenset()


@pytest.mark.parametrize("message_id", ["", "<>", "x", '<a"b>\r\nA1 LOGOUT', "<å@post.example>"])
def test_only_a_message_id_is_looked_for(kind: kinds.Kind, message_id: str) -> None:
    with pytest.raises(Permanent, match="no usable Message-ID"):
        kind.mailbox.was_sent(message_id)


def test_a_reply_without_recipients_is_not_sent(kind: kinds.Kind) -> None:
    with pytest.raises(Permanent, match="no recipient"):
        kind.mailbox.send(REPLY, Envelope(servers.INBOX_ADDRESS, ()))


def test_a_sound_mailbox_passes_its_check(kind: kinds.Kind) -> None:
    kind.deliver(mail("first"))
    findings = list(kind.mailbox.check())
    assert findings
    assert all(finding.ok and finding.what.endswith(".") for finding in findings)
