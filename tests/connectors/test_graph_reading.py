"""How an inbox in Microsoft 365 is read: pages without order, lost places, mails that break off, senders it knows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import httpx
import pytest

from connectors import https
from connectors.base import Fetched, Unreadable
from connectors.errors import Permanent, Transient
from connectors.graph import inbox as graph_inbox
from tests.connectors.on_graph import mail, mailbox, subjects
from tests.graph_server import Fault, GraphServer, graph_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GraphServer]:
    with graph_server(tmp_path) as running:
        yield running


@pytest.mark.parametrize("most_a_page", [1, 2, 3, 1000])
def test_mail_comes_page_by_page_and_each_cursor_goes_on_where_it_was(server: GraphServer, most_a_page: int) -> None:
    server.most_a_page = most_a_page
    for number in range(5):
        server.deliver(mail(number))
    found = list(mailbox(server).fetch_since({}))
    assert subjects(iter(found)) == [f"Subject: mail {number}" for number in range(5)]
    for number, one in enumerate(found):
        rest = subjects(mailbox(server).fetch_since(one.cursor))
        assert rest == [f"Subject: mail {later}" for later in range(number + 1, 5)]


def test_a_page_that_has_changed_is_read_from_its_beginning(server: GraphServer) -> None:
    for number in (1, 2, 3):
        server.deliver(mail(number), received_at=datetime(2026, 11, number, tzinfo=UTC))
    cursor = next(iter(mailbox(server).fetch_since({}))).cursor
    server.deliver(mail(0), received_at=datetime(2026, 10, 1, tzinfo=UTC))
    found = subjects(mailbox(server).fetch_since(cursor))
    assert found == [f"Subject: mail {number}" for number in range(4)]


def test_mail_from_before_the_first_day_is_left_alone(server: GraphServer) -> None:
    server.deliver(mail(1), received_at=datetime(2026, 10, 31, 23, 59, tzinfo=UTC))
    server.deliver(mail(2), received_at=datetime(2026, 11, 1, tzinfo=UTC))
    found = list(mailbox(server, since=date(2026, 11, 1)).fetch_since({}))
    assert subjects(iter(found)) == ["Subject: mail 2"]
    assert found[0].received_at == datetime(2026, 11, 1, tzinfo=UTC)
    assert server.asked.count("mime") == 1


def test_a_change_reported_without_its_date_is_looked_up_before_old_mail_is_taken_in(server: GraphServer) -> None:
    server.lists_dates = False
    server.deliver(mail(1), received_at=datetime(2026, 10, 31, tzinfo=UTC))
    server.deliver(mail(2), received_at=datetime(2026, 11, 2, tzinfo=UTC))
    server.misbehave("message", None, Fault.NOT_FOUND)
    assert subjects(mailbox(server, since=date(2026, 11, 1)).fetch_since({})) == []
    assert subjects(mailbox(server, since=date(2026, 11, 1)).fetch_since({})) == ["Subject: mail 2"]


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.RESET_AS_400])
def test_a_forgotten_place_makes_everything_be_read_again_under_the_same_ids(server: GraphServer, fault: Fault) -> None:
    server.deliver(mail(1))
    server.deliver(mail(2))
    before = list(mailbox(server).fetch_since({}))
    server.misbehave("delta", fault)
    after = list(mailbox(server).fetch_since(before[-1].cursor))
    assert [one.remote_id for one in after] == [one.remote_id for one in before]
    server.misbehave("delta", fault, fault)
    with pytest.raises(Transient, match="loses its place"):
        list(mailbox(server).fetch_since(before[-1].cursor))


def test_a_list_without_a_link_to_the_rest_is_asked_for_again(server: GraphServer) -> None:
    server.most_a_page = 2
    for number in range(3):
        server.deliver(mail(number))
    server.misbehave("delta", Fault.NO_LINK)
    reading = mailbox(server).fetch_since({})
    first, second = next(reading), next(reading)
    with pytest.raises(Transient, match="without a link to the rest"):
        next(reading)
    assert subjects(mailbox(server).fetch_since(second.cursor)) == ["Subject: mail 2"]
    assert subjects(mailbox(server).fetch_since(first.cursor)) == ["Subject: mail 1", "Subject: mail 2"]


def test_restored_mail_is_not_a_new_case_for_it_keeps_its_id(server: GraphServer) -> None:
    kept, gone = server.deliver(mail(1)), server.deliver(mail(2))
    (first, _) = mailbox(server).fetch_since({})
    server.delete(gone)
    server.move(kept, "deleteditems")
    server.move(kept, "inbox")
    (again,) = mailbox(server).fetch_since(first.cursor)
    assert again.remote_id == first.remote_id


def test_a_mail_deleted_while_reading_is_passed_over(server: GraphServer) -> None:
    for number in (1, 2, 3):
        server.deliver(mail(number))
    server.misbehave("mime", None, Fault.NOT_FOUND)
    assert subjects(mailbox(server).fetch_since({})) == ["Subject: mail 1", "Subject: mail 3"]


def test_a_mail_moved_while_reading_is_read_all_the_same(server: GraphServer) -> None:
    server.deliver(mail(1))
    second = server.deliver(mail(2))
    reading = mailbox(server).fetch_since({})
    next(reading)
    server.move(second, "deleteditems")
    assert subjects(reading) == ["Subject: mail 2"]


@pytest.mark.parametrize(
    ("call", "fault", "wait_s"),
    [
        ("delta", Fault.THROTTLED, 7.0),
        ("delta", Fault.BUSY, 7.0),
        ("delta", Fault.GATEWAY_TIMEOUT, None),
        ("delta", Fault.DROPPED, None),
        ("delta", Fault.CUT_JSON_AFTER, None),
        ("delta", Fault.SHORT_AFTER, None),
        ("mime", Fault.THROTTLED, 7.0),
        ("mime", Fault.BUSY, 7.0),
        ("mime", Fault.GATEWAY_TIMEOUT, None),
        ("discovery", Fault.BUSY, 7.0),
        ("token", Fault.DROPPED, None),
    ],
)
def test_a_passing_fault_stops_the_reading_and_the_next_one_goes_on(
    server: GraphServer, call: str, fault: Fault, wait_s: float | None
) -> None:
    server.deliver(mail(1))
    server.misbehave(call, fault)
    with pytest.raises(Transient) as caught:
        list(mailbox(server).fetch_since({}))
    assert caught.value.retry_after_s == wait_s
    assert subjects(mailbox(server).fetch_since({})) == ["Subject: mail 1"]


@pytest.mark.parametrize("fault", [Fault.DROPPED, Fault.SHORT_AFTER, Fault.STUMBLES])
def test_a_mail_that_breaks_off_is_tried_once_more_and_then_named(server: GraphServer, fault: Fault) -> None:
    server.deliver(mail(1), received_at=datetime(2026, 11, 2, 8, 5, tzinfo=UTC))
    server.deliver(mail(2))
    server.misbehave("mime", fault)
    assert subjects(mailbox(server).fetch_since({})) == ["Subject: mail 1", "Subject: mail 2"]
    server.misbehave("mime", fault, fault)
    bad, good = mailbox(server).fetch_since({})
    assert isinstance(bad, Unreadable)
    assert bad.sentence.endswith("Open it in Outlook (received 2026-11-02 08:05 UTC).")
    assert isinstance(good, Fetched)


def test_it_is_not_the_mails_fault_when_microsoft_365_is_gone(server: GraphServer) -> None:
    server.deliver(mail(1))
    server.misbehave("mime", Fault.DROPPED)
    server.misbehave("folder", Fault.DROPPED)
    with pytest.raises(Transient):
        list(mailbox(server).fetch_since({}))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("120", 120.0), ("", None), ("soon", None), ("Sat, 21 Nov 2020 10:00:00 GMT", 0.0), ("-5", None)],
)
def test_the_servers_wait_is_obeyed_in_seconds_or_as_a_date(said: str, seconds: float | None) -> None:
    assert https.retry_after_s(httpx.Response(429, headers={"RETRY-AFTER": said})) == seconds


def test_a_mail_larger_than_any_is_not_read(server: GraphServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_inbox, "LARGEST_MAIL_BYTES", 1000)
    server.deliver(b"Subject: x\r\n\r\n" + b"x" * 2000)
    (found,) = mailbox(server).fetch_since({})
    assert isinstance(found, Unreadable)
    assert "too large" in found.sentence


def test_our_token_follows_no_link_to_another_server(server: GraphServer) -> None:
    server.deliver(mail(1))
    server.links_lead_to = "https://elsewhere.example/v1.0"
    with pytest.raises(Permanent, match="names a place outside base_url"):
        list(mailbox(server).fetch_since({}))


def test_a_mailbox_with_old_mail_only_is_not_listed_anew_each_time(server: GraphServer) -> None:
    server.most_a_page = 2
    for day in range(1, 8):
        server.deliver(mail(day), received_at=datetime(2026, 10, day, tzinfo=UTC))
    new_only = mailbox(server, since=date(2026, 11, 1))
    assert list(new_only.fetch_since({})) == []
    assert server.asked.count("delta") == 4
    assert list(new_only.fetch_since({})) == []
    assert server.asked.count("delta") == 5
    server.deliver(mail(8), received_at=datetime(2026, 11, 1, tzinfo=UTC))
    assert subjects(new_only.fetch_since({})) == ["Subject: mail 8"]
    assert subjects(new_only.fetch_since({})) == ["Subject: mail 8"], "not stored yet, so it comes again"
    from_october = mailbox(server, since=date(2026, 10, 1))
    assert len(list(from_october.fetch_since({}))) == 8


def test_a_quiet_end_that_graph_has_forgotten_is_found_again(server: GraphServer) -> None:
    server.deliver(mail(1), received_at=datetime(2026, 10, 1, tzinfo=UTC))
    new_only = mailbox(server, since=date(2026, 11, 1))
    assert list(new_only.fetch_since({})) == []
    server.deliver(mail(2), received_at=datetime(2026, 11, 2, tzinfo=UTC))
    server.misbehave("delta", Fault.RESET)
    assert subjects(new_only.fetch_since({})) == ["Subject: mail 2"]


def test_item_attachments_do_not_break_graph_intake(server: GraphServer) -> None:
    outer, inner = EmailMessage(policy=SMTP), EmailMessage(policy=SMTP)
    inner["Subject"] = "vidarebefordrat"
    inner.set_content("Hej!")
    outer["Subject"] = "yttre"
    outer.set_content("Se bifogat.")
    outer.add_attachment(inner)
    server.deliver(outer.as_bytes())
    server.deliver(mail(2))
    assert [one.raw for one in mailbox(server).fetch_since({}) if isinstance(one, Fetched)] == [
        outer.as_bytes(),
        mail(2),
    ]


def test_headers_are_requested_and_matched_without_case(server: GraphServer) -> None:
    """Every header is in the MIME that we fetch. This server writes its own in lower case, as HTTP/2 does."""
    automatic = b"AUTO-submitted: auto-replied\r\nX-AUTO-response-suppress: All\r\n" + mail(1)
    server.deliver(automatic)
    (found,) = mailbox(server).fetch_since({})
    assert isinstance(found, Fetched)
    assert found.raw == automatic


# ---------------------------------------------------------------- who is a colleague

CLERK = "elin.vikar@solkommun.example"


@pytest.mark.parametrize(
    ("author", "account", "known"),
    [
        pytest.param(f"Elin <{CLERK}>", CLERK, True, id="signed in as the address in From"),
        pytest.param(f"Elin <{CLERK.upper()}>", CLERK, True, id="addresses have no case"),
        pytest.param(f"Elin <{CLERK}>", "", False, id="from outside with a colleague's address"),
        pytest.param("Elin <resident@post.example>", "", False, id="from outside"),
        pytest.param("Mayor <mayor@solkommun.example>", CLERK, False, id="sent as somebody else"),
        pytest.param(f"Elin <{CLERK}>, mayor@solkommun.example", CLERK, False, id="two authors"),
        pytest.param("", CLERK, False, id="no author"),
    ],
)
def test_only_exchange_itself_says_who_is_a_colleague(
    server: GraphServer, author: str, account: str, known: bool
) -> None:
    server.deliver(f"From: {author}\r\n".encode() + mail(1), account=account)
    (believing,) = mailbox(server, directory=True).fetch_since({})
    assert isinstance(believing, Fetched)
    assert believing.from_directory is known


def test_unless_told_to_nobody_is_asked_who_is_a_colleague(server: GraphServer) -> None:
    server.deliver(f"From: {CLERK}\r\n".encode() + mail(1), account=CLERK)
    (cautious,) = mailbox(server).fetch_since({})
    assert isinstance(cautious, Fetched)
    assert not cautious.from_directory
    assert "message" not in server.asked


@pytest.mark.parametrize("fault", [Fault.NOT_FOUND, Fault.STUMBLES])
def test_a_mail_whose_sender_cannot_be_asked_for_comes_all_the_same(server: GraphServer, fault: Fault) -> None:
    server.deliver(f"From: {CLERK}\r\n".encode() + mail(1), account=CLERK)
    server.misbehave("message", fault)
    (found,) = mailbox(server, directory=True).fetch_since({})
    assert isinstance(found, Fetched)
    assert found.from_directory is (fault is Fault.STUMBLES), "asked once more after a 500"
