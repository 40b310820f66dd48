"""What only Exchange can do wrong: sign-in, rights, lost states, back-off, and answers that never come."""

from __future__ import annotations

import logging
import random
import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import connectors
from connectors.base import Fetched, Mark, Unreadable
from connectors.errors import ConnectorError, Permanent, Refused, Transient, Unclear
from connectors.exchange.mailbox import AppRegistration, ExchangeMailbox
from tests.connectors.on_exchange import ENVELOPE, RESIDENT, as_application, mail, mailbox, reply, reply_id, subjects
from tests.ews_server import (
    CLIENT_ID,
    OWN,
    PASSWORD,
    SECRET,
    SHARED,
    TENANT,
    USER,
    EwsServer,
    Fault,
    StreamFault,
    ews_server,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EwsServer]:
    with ews_server(tmp_path) as running:
        yield running


# ---------------------------------------------------------------- settings, sign-in and rights


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"host": "nosuch.invalid"}, Transient, "The host name nosuch.invalid cannot be found"),
        ({"port": 1}, Transient, "Nothing listens on localhost:1"),
        ({"host": "127.0.0.1"}, Permanent, "The certificate of 127.0.0.1:.* is not accepted .IP address mismatch"),
        ({"ca_file": None}, Permanent, "is not accepted .self-signed certificate"),
        ({"ca_file": Path("/nowhere.pem")}, Permanent, "/nowhere.pem holds no readable certificate"),
        ({"password": "fel"}, Refused, "does not accept our name and password: correct user, password and auth"),
        ({"password": "fel", "auth": "ntlm"}, Refused, "does not accept our name and password"),
        ({"user": "SOL\\nobody", "auth": "ntlm"}, Refused, "does not accept our name and password"),
        ({"mailbox": "nobody@solkommun.example"}, Permanent, "has no mailbox with this address: correct mailbox"),
        (
            {"mailbox": OWN, "access": "impersonation"},
            Refused,
            "may not act for this mailbox: give it the role ApplicationImpersonation",
        ),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(
    server: EwsServer, changes: dict[str, Any], kind: type[ConnectorError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence) as caught:
        list(mailbox(server, **changes).fetch_since({}))
    assert type(caught.value) is kind
    assert "\n" not in caught.value.sentence
    assert "@" not in caught.value.sentence
    assert not all(finding.ok for finding in mailbox(server, **changes).check())


@pytest.mark.parametrize(
    ("rights", "sentence"),
    [
        ({"may_open": set()}, "The login has no right to the mailbox or to one of its folders: give it full access"),
        ({"hidden_folders": {"sentitems"}}, "The login cannot see the folder SentItems of the mailbox"),
        ({"hidden_folders": {"outbox"}}, "The login cannot see the folder Outbox of the mailbox"),
        ({"read_only_folders": {"sentitems"}}, "The folder Skickat may not be written to: nothing can be sent"),
        ({"refusals": {"GetFolder": "ErrorPasswordExpired"}}, "The password of the login has expired"),
        ({"refusals": {"GetFolder": "ErrorMailboxMoveInProgress"}}, "could not do what it was asked"),
    ],
)
def test_the_check_says_which_right_is_missing(server: EwsServer, rights: dict[str, Any], sentence: str) -> None:
    for name, value in rights.items():
        setattr(server, name, value)
    assert [finding.what for finding in mailbox(server).check() if not finding.ok and sentence in finding.what]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"user": None}, "An exchange mailbox needs user and password, or app, and not both"),
        ({"app": {"tenant": "t", "client_id": "c", "client_secret": "hemligt"}}, "or app, and not both"),
        ({"user": None, "app": {"tenant": "t", "client_id": "c"}}, "needs client_secret or certificate"),
        ({"auth": "kerberos"}, "auth: input should be 'ntlm' or 'basic'"),
        ({"auth": "basic", "password": "hemligt✓"}, "set auth to ntlm"),
        ({"host": "mail.example/EWS"}, "host: string should match pattern"),
        ({"adress": "x"}, "adress: there is no such option"),
    ],
)
def test_settings_that_cannot_be_are_refused_without_repeating_them(options: dict[str, Any], sentence: str) -> None:
    sound = {"host": "mail.solkommun.example", "mailbox": SHARED, "user": USER, "password": "hemligt"}
    with pytest.raises(Permanent) as caught:
        connectors.open_mailbox("exchange", {**sound, **options})
    assert sentence in caught.value.sentence
    assert "hemligt" not in caught.value.sentence


def test_settings_as_json_become_a_mailbox() -> None:
    app = {
        "tenant": TENANT,
        "client_id": CLIENT_ID,
        "client_secret": "x",
    }
    opened = connectors.open_mailbox(
        "exchange", {"host": "mail.solkommun.example", "mailbox": SHARED, "app": app, "since": "2026-11-01"}
    )
    assert isinstance(opened, ExchangeMailbox)
    assert opened.app == AppRegistration(**app)


@pytest.mark.parametrize("auth", ["ntlm", "basic"])
@pytest.mark.parametrize("access", ["delegate", "impersonation"])
def test_each_way_of_signing_in_reads_and_sends(server: EwsServer, auth: str, access: str) -> None:
    server.deliver(mail(1))
    ours = mailbox(server, auth=auth, access=access)
    assert subjects(ours.fetch_since({})) == ["Subject: mail 1"]
    ours.send(reply(), ENVELOPE)
    assert [sent.sender for sent in server.accepted] == [SHARED]
    assert all(finding.ok for finding in ours.check())


def test_an_application_signs_in_by_token_and_acts_for_the_mailbox_only(server: EwsServer) -> None:
    server.deliver(mail(1))
    ours = as_application(server)
    assert subjects(ours.fetch_since({})) == ["Subject: mail 1"]
    server.tokens.clear()
    with pytest.raises(Transient, match="does not accept our token: compare tenant, authority and host"):
        list(ours.fetch_since({}))
    assert subjects(ours.fetch_since({})) == ["Subject: mail 1"]
    server.tokens.clear()
    with pytest.raises(Transient):
        ours.send(reply(), ENVELOPE)
    ours.send(reply(), ENVELOPE)
    assert [sent.sender for sent in server.accepted] == [SHARED]


def test_a_wrong_client_secret_is_named(server: EwsServer) -> None:
    (finding,) = as_application(server, secret="fel").check()
    assert "The client secret is wrong" in finding.what


def test_delegate_read_returns_the_right_mailbox(server: EwsServer) -> None:
    server.deliver(mail(1), mailbox=OWN)
    server.deliver(mail(2))
    assert subjects(mailbox(server).fetch_since({})) == ["Subject: mail 2"]


def test_missing_sent_folder_is_found_before_go_live(server: EwsServer) -> None:
    server.hidden_folders = {"sentitems"}
    with pytest.raises(Refused, match="cannot see the folder SentItems"):
        mailbox(server).send(reply(), ENVELOPE)
    with pytest.raises(ConnectorError):
        mailbox(server).was_sent(reply_id())
    assert server.accepted == []


def test_neither_mail_nor_password_reaches_the_log_or_a_printed_mailbox(
    server: EwsServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.deliver(mail(1))
    server.misbehave("CreateItem", Fault.DROPPED_AFTER, Fault.LOGIN_PAGE_AFTER)
    with caplog.at_level(logging.DEBUG):
        list(mailbox(server, auth="ntlm").fetch_since({}))
        list(as_application(server).fetch_since({}))
        for number in (1, 2):
            with pytest.raises(Unclear):
                mailbox(server).send(reply(number), ENVELOPE)
        mailbox(server).put_draft(reply(3), "")
        mailbox(server).mark(server.in_folder("inbox")[0].item_id, Mark.WAITING)
        mailbox(server, auth="ntlm").wait_for_mail(0.1)
        server.stream_fault = StreamFault.DROPPED
        with pytest.raises(Transient):
            mailbox(server).wait_for_mail(10)
    for word in ("Hej!", SHARED, RESIDENT, PASSWORD, SECRET, *server.tokens, "svar+1", "TlRMTVNT"):
        assert word not in caplog.text
    assert PASSWORD not in repr(mailbox(server))
    assert SECRET not in repr(as_application(server))


# ---------------------------------------------------------------- reading

MORNING = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize("most_a_page", [1, 2, 512])
def test_mail_comes_page_by_page_oldest_first_and_each_cursor_goes_on_where_it_was(
    server: EwsServer, most_a_page: int
) -> None:
    server.most_a_page = most_a_page
    for number in (3, 1, 2, 5, 4):
        server.deliver(mail(number), received_at=MORNING + timedelta(minutes=number))
    found = list(mailbox(server).fetch_since({}))
    assert subjects(iter(found)) == [f"Subject: mail {number}" for number in (1, 2, 3, 4, 5)]
    for read, arrived in enumerate(found, start=1):
        rest = mailbox(server).fetch_since(arrived.cursor)
        assert [one.remote_id for one in rest] == [one.remote_id for one in found[read:]]


def test_what_comes_while_a_reading_is_broken_off_is_never_skipped(server: EwsServer) -> None:
    """Also when it sorts before what has been read: staff move an old mail back into the inbox."""
    for number in (1, 2, 3):
        server.deliver(mail(number), received_at=MORNING + timedelta(minutes=number))
    reading = mailbox(server).fetch_since({})
    next(reading)
    cursor = next(reading).cursor
    server.deliver(mail(0), received_at=MORNING)
    found = list(mailbox(server).fetch_since(cursor))
    assert subjects(iter(found)) == ["Subject: mail 3", "Subject: mail 0"]
    assert subjects(mailbox(server).fetch_since(found[-1].cursor)) == []


def test_mails_of_the_same_second_are_each_read_once_after_a_break(server: EwsServer) -> None:
    for number in range(5):
        server.deliver(mail(number), received_at=MORNING)
    cursor: Any = {}
    read = []
    while (found := next(mailbox(server).fetch_since(cursor), None)) is not None:
        read.append(found.remote_id)
        cursor = found.cursor
    assert len(read) == len(set(read)) == 5


def test_mail_from_before_the_first_day_is_left_alone(server: EwsServer) -> None:
    server.deliver(mail(1), received_at=MORNING - timedelta(days=1))
    server.deliver(mail(2), received_at=MORNING)
    assert subjects(mailbox(server, since=date(2026, 11, 21)).fetch_since({})) == ["Subject: mail 2"]


def test_what_staff_read_and_delete_in_outlook_brings_no_mail_again(server: EwsServer) -> None:
    first, second = server.deliver(mail(1)), server.deliver(mail(2))
    cursor = list(mailbox(server).fetch_since({}))[-1].cursor
    server.mark_read(first)
    server.delete(second)
    assert list(mailbox(server).fetch_since(cursor)) == []


def test_a_mail_deleted_while_reading_is_passed_over(server: EwsServer) -> None:
    _, second, _ = (server.deliver(mail(number)) for number in (1, 2, 3))
    reading = mailbox(server).fetch_since({})
    next(reading)
    server.delete(second)
    assert subjects(reading) == ["Subject: mail 3"]


def test_a_lost_state_makes_everything_be_read_again(server: EwsServer) -> None:
    for number in (1, 2):
        server.deliver(mail(number))
    first, last = mailbox(server).fetch_since({})
    server.lose_states()
    assert len(subjects(mailbox(server).fetch_since(last.cursor))) == 2
    assert subjects(mailbox(server).fetch_since(first.cursor))[-2:] == ["Subject: mail 1", "Subject: mail 2"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault.BUSY,
        Fault.BUSY_IN_ANSWER,
        Fault.THROTTLED,
        Fault.UNAVAILABLE,
        Fault.UNAVAILABLE_AND_CLOSED_AFTER,
        Fault.STUMBLES_AFTER,
        Fault.DROPPED,
        Fault.CUT_XML_AFTER,
        Fault.SHORT_AFTER,
        Fault.ODD_AFTER,
    ],
)
def test_a_passing_fault_stops_the_reading_and_the_next_one_goes_on_without_a_gap(
    server: EwsServer, fault: Fault
) -> None:
    for number in (1, 2, 3):
        server.deliver(mail(number))
    server.misbehave("SyncFolderItems", fault)
    with pytest.raises(Transient):
        list(mailbox(server).fetch_since({}))
    assert len(subjects(mailbox(server).fetch_since({}))) == 3


@pytest.mark.parametrize(("fault", "seconds"), [(Fault.BUSY, 9.0), (Fault.THROTTLED, 7.0)])
@pytest.mark.parametrize("call", ["SyncFolderItems", "GetItem", "CreateItem"])
def test_the_servers_back_off_is_handed_on(server: EwsServer, call: str, fault: Fault, seconds: float) -> None:
    server.deliver(mail(1))
    server.misbehave(call, fault)
    with pytest.raises(Transient) as caught:
        list(mailbox(server).fetch_since({}))
        mailbox(server).send(reply(), ENVELOPE)
    assert caught.value.retry_after_s == seconds
    assert server.asked.count(call) == 1
    assert server.accepted == []


@pytest.mark.parametrize(
    "fault", [Fault.DROPPED, Fault.CUT_XML_AFTER, Fault.SHORT_AFTER, Fault.STUMBLES_AFTER, Fault.UNAVAILABLE]
)
def test_a_mail_that_breaks_off_is_tried_once_more_and_then_named(server: EwsServer, fault: Fault) -> None:
    for number in (1, 2, 3):
        server.deliver(mail(number))
    server.misbehave("GetItem", fault, None, fault, fault)
    first, second, third = mailbox(server).fetch_since({})
    assert isinstance(first, Fetched)
    assert first.raw == mail(1)
    assert isinstance(second, Unreadable)
    assert isinstance(third, Fetched)


def test_it_is_not_the_mails_fault_when_the_server_is_gone(server: EwsServer) -> None:
    server.deliver(mail(1))
    server.misbehave("GetItem", Fault.UNAVAILABLE)
    server.misbehave("GetFolder", Fault.UNAVAILABLE)
    with pytest.raises(Transient):
        list(mailbox(server).fetch_since({}))
    assert len(subjects(mailbox(server).fetch_since({}))) == 1


def test_a_right_taken_away_while_reading_makes_no_mail_unreadable(server: EwsServer) -> None:
    server.deliver(mail(1))
    server.refusals["GetItem"] = "ErrorAccessDenied"
    with pytest.raises(Refused):
        list(mailbox(server).fetch_since({}))


def test_a_mail_larger_than_any_is_not_fetched(server: EwsServer) -> None:
    server.deliver(mail(1), size_bytes=2**30)
    (found,) = mailbox(server).fetch_since({})
    assert isinstance(found, Unreadable)
    assert "GetItem" not in server.asked


def test_a_mail_of_25_mb_comes_through(server: EwsServer) -> None:
    raw = b"Subject: plans\r\n\r\n" + random.Random(1).randbytes(25 * 2**20)
    server.deliver(raw)
    (found,) = mailbox(server).fetch_since({})
    assert isinstance(found, Fetched)
    assert found.raw == raw


def test_a_silent_server_is_given_up(server: EwsServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(Transient, match="did not answer in time"):
        list(mailbox(server, port=listener.getsockname()[1], timeout_s=0.3).fetch_since({}))
