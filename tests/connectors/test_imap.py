"""What only IMAP can do wrong: names, passwords, certificates, folders, UIDs, and a server that goes away."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from imapclient import IMAPClient  # type: ignore[import-untyped]

from connectors import imap
from connectors.base import Fetched
from connectors.errors import ConnectorError, Permanent, Refused, Transient
from connectors.imap import ImapMailbox
from tests import servers

MAIL = b"Message-ID: <%d@post.example>\r\nSubject: mail %d\r\n\r\nHej!\r\n"


def mailbox(server: servers.Dovecot, **changes: Any) -> ImapMailbox:
    facts = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
    return ImapMailbox(**{**facts, "ca_file": server.ca_file, "timeout_s": 10.0, **changes})


def subjects(found: Iterator[object]) -> list[str]:
    return [mail.raw.split(b"\r\n")[1].decode() for mail in found if isinstance(mail, Fetched)]


@pytest.fixture
def three(inbox: servers.Dovecot) -> servers.Dovecot:
    for number in (1, 2, 3):
        inbox.deliver(MAIL % (number, number))
    return inbox


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes the connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"host": "nosuch.invalid"}, Transient, "The host name nosuch.invalid cannot be found"),
        ({"host": "a" * 70 + ".example"}, Permanent, "is not a host name"),
        ({"port": 1}, Transient, "Nothing listens on localhost:1"),
        ({"password": "fel"}, Refused, "does not accept our name and password"),
        ({"password": "ascii-only"}, Refused, "does not accept our name and password"),
        ({"user": "nobody@solkommun.example"}, Refused, "does not accept our name and password"),
        ({"folder": "Finns inte"}, Permanent, "The folder Finns inte does not exist"),
        ({"host": "127.0.0.1"}, Permanent, "The certificate of 127.0.0.1:.* is not accepted .IP address mismatch"),
        ({"ca_file": None}, Permanent, "is not accepted .self-signed certificate"),
        ({"ca_file": Path("/nowhere.pem")}, Permanent, "/nowhere.pem holds no readable certificate"),
        ({"tls": "tls"}, Permanent, "does not speak TLS the way the settings say"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(
    inbox: servers.Dovecot, changes: dict[str, Any], kind: type[ConnectorError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence) as caught:
        list(mailbox(inbox, **changes).fetch_since({}))
    assert type(caught.value) is kind
    assert "\n" not in caught.value.sentence
    assert inbox.user not in caught.value.sentence
    assert not all(finding.ok for finding in mailbox(inbox, **changes).check())


@pytest.mark.parametrize("tls", ["starttls", "tls", "none"])
def test_each_way_of_connecting_works(three: servers.Dovecot, tls: str) -> None:
    port = three.tls_port if tls == "tls" else three.port
    assert len(list(mailbox(three, port=port, tls=tls).fetch_since({}))) == 3


def test_a_silent_server_is_given_up(inbox: servers.Dovecot, silent_port: int) -> None:
    with pytest.raises(Transient, match="did not answer in time"):
        list(mailbox(inbox, port=silent_port, timeout_s=0.3).fetch_since({}))


def test_a_server_that_speaks_no_imap_is_told_apart(inbox: servers.Dovecot) -> None:
    with servers.smtp_server() as smtp, pytest.raises(Transient, match="speaks no IMAP"):
        list(mailbox(inbox, port=smtp.port).fetch_since({}))


def test_another_uidvalidity_makes_everything_be_read_again(three: servers.Dovecot) -> None:
    before = list(mailbox(three).fetch_since({}))
    three.renumber()
    after = list(mailbox(three).fetch_since(before[-1].cursor))
    assert subjects(iter(after)) == ["Subject: mail 1", "Subject: mail 2", "Subject: mail 3"]
    assert not {mail.remote_id for mail in before} & {mail.remote_id for mail in after}


def test_mail_from_before_the_first_day_is_left_alone(three: servers.Dovecot) -> None:
    today = datetime.now(UTC).date()
    assert len(list(mailbox(three, since=today - timedelta(days=1)).fetch_since({}))) == 3
    assert list(mailbox(three, since=today + timedelta(days=2)).fetch_since({})) == []


def test_a_mail_deleted_while_reading_is_passed_over(three: servers.Dovecot) -> None:
    reading = mailbox(three).fetch_since({})
    next(reading)
    with IMAPClient(three.host, three.port, ssl=False) as colleague:
        colleague.plain_login(three.user, three.password)
        colleague.select_folder("INBOX")
        second = sorted(colleague.search())[1]
        colleague.delete_messages([second])
        colleague.expunge()
    assert subjects(reading) == ["Subject: mail 3"]


def test_a_long_list_of_uids_is_asked_for_in_pieces(three: servers.Dovecot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "_UIDS_A_SEARCH", 2)
    found = list(mailbox(three).fetch_since({}))
    assert subjects(iter(found)) == ["Subject: mail 1", "Subject: mail 2", "Subject: mail 3"]
    assert subjects(mailbox(three).fetch_since(found[0].cursor)) == ["Subject: mail 2", "Subject: mail 3"]


def test_several_unreadable_mails_do_not_stop_the_last(inbox: servers.Dovecot) -> None:
    for number in range(3):
        inbox.spoil(inbox.deliver(MAIL % (number, number)))
    inbox.deliver(MAIL % (9, 9))
    assert subjects(mailbox(inbox).fetch_since({})) == ["Subject: mail 9"]


def test_a_server_that_goes_away_while_reading_is_transient() -> None:
    with servers.short_folder() as folder, servers.dovecot(folder) as server:
        server.deliver(MAIL % (1, 1))
        server.deliver(MAIL % (2, 2))
        reading = mailbox(server).fetch_since({})
        assert isinstance(next(reading), Fetched)
        server.stop()
        with pytest.raises(Transient):
            next(reading)


def test_the_time_of_arrival_is_the_servers(inbox: servers.Dovecot) -> None:
    with IMAPClient(inbox.host, inbox.port, ssl=False) as colleague:
        colleague.plain_login(inbox.user, inbox.password)
        colleague.append("INBOX", MAIL % (1, 1), msg_time=datetime(2026, 3, 1, 8, 30, tzinfo=UTC))
    (found,) = mailbox(inbox).fetch_since({})
    assert isinstance(found, Fetched)
    assert found.received_at == datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


def test_sent_is_found_under_its_finnish_name_and_the_copy_counts_as_read(inbox: servers.Dovecot) -> None:
    mailbox(inbox).file_sent(MAIL % (1, 1))
    with IMAPClient(inbox.host, inbox.port, ssl=False) as colleague:
        colleague.plain_login(inbox.user, inbox.password)
        colleague.select_folder(servers.SENT_FOLDER, readonly=True)
        assert colleague.search(["SEEN"]) != []


def test_our_copy_in_the_inbox_proves_that_a_reply_left(inbox: servers.Dovecot) -> None:
    assert not mailbox(inbox).was_sent("<5@post.example>")
    inbox.deliver(MAIL % (5, 5))
    assert mailbox(inbox).was_sent("<5@post.example>")


def test_a_sent_folder_that_does_not_exist_is_named(inbox: servers.Dovecot) -> None:
    with pytest.raises(Permanent, match="The folder Skickat does not exist"):
        mailbox(inbox, sent_folder="Skickat").file_sent(MAIL % (1, 1))


def test_neither_mail_nor_password_reaches_the_log_or_a_printed_mailbox(
    three: servers.Dovecot, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        list(mailbox(three).fetch_since({}))
    assert "Hej!" not in caplog.text
    assert three.user not in caplog.text
    assert three.password not in repr(mailbox(three))
