"""What only IMAP can do wrong: names, passwords, certificates, folders, UIDs, and a server that goes away."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from imapclient import SEEN  # type: ignore[import-untyped]

from connectors import open_mailbox
from connectors.base import Cursor, Fetched, Unreadable
from connectors.errors import ConnectorError, Permanent, Refused, Transient
from connectors.imap import inbox as imap_inbox
from connectors.imap.mailbox import ImapMailbox
from tests import servers
from tests.connectors.on_imap import mail, mailbox, over, subjects
from tests.imap_relay import Relay


@pytest.fixture
def three(inbox: servers.Dovecot) -> servers.Dovecot:
    for number in (1, 2, 3):
        inbox.deliver(mail(number))
    return inbox


def last_cursor(box: ImapMailbox) -> Cursor:
    return [mail.cursor for mail in box.fetch_since({})][-1]


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
    with three.colleague() as colleague:
        colleague.select_folder("INBOX")
        second = sorted(colleague.search())[1]
        colleague.delete_messages([second])
        colleague.expunge()
    assert subjects(reading) == ["Subject: mail 3"]


def test_a_long_list_of_uids_is_asked_for_in_pieces(three: servers.Dovecot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_inbox, "UIDS_A_SEARCH", 2)
    found = list(mailbox(three).fetch_since({}))
    assert subjects(iter(found)) == ["Subject: mail 1", "Subject: mail 2", "Subject: mail 3"]
    assert subjects(mailbox(three).fetch_since(found[0].cursor)) == ["Subject: mail 2", "Subject: mail 3"]


def test_several_unreadable_mails_do_not_stop_the_last(inbox: servers.Dovecot) -> None:
    for number in range(3):
        inbox.spoil(inbox.deliver(mail(number)))
    inbox.deliver(mail(9))
    assert subjects(mailbox(inbox).fetch_since({})) == ["Subject: mail 9"]


def test_vanished_uid_is_skipped_not_an_empty_mail(three: servers.Dovecot, line: Relay) -> None:
    line.to_us = lambda said: b"" if said.startswith(b"* 2 FETCH") else said
    assert subjects(over(line, three).fetch_since({})) == ["Subject: mail 1", "Subject: mail 3"]


def test_fetch_error_on_one_uid_leaves_the_others(three: servers.Dovecot, line: Relay) -> None:
    line.to_us = lambda said: b'* 2 FETCH (UID ((( "\r\n' if said.startswith(b"* 2 FETCH") else said
    first, second, third = over(line, three).fetch_since({})
    assert subjects(iter([first, third])) == ["Subject: mail 1", "Subject: mail 3"]
    assert isinstance(second, Unreadable)
    assert "does not hand this mail over" in second.sentence


def test_read_flag_is_not_the_work_list(three: servers.Dovecot) -> None:
    with three.colleague() as colleague:
        colleague.select_folder("INBOX")
        colleague.add_flags(colleague.search(), [SEEN])
    assert len(list(mailbox(three).fetch_since({}))) == 3


def test_reading_only_ever_examines(three: servers.Dovecot, line: Relay) -> None:
    list(over(line, three).fetch_since({}))
    assert set(line.since_signing_in()) <= {"LIST", "STATUS", "EXAMINE", "UID SEARCH", "UID FETCH", "LOGOUT"}


# ---------------------------------------------------------------- UIDs and what is unchanged


def test_reused_uid_is_a_new_mail(inbox: servers.Dovecot) -> None:
    """The folder is made anew, and its server gives it another UIDVALIDITY."""
    seen = []
    for number in (1, 2):
        time.sleep(number - 1)  # UIDVALIDITY is a time in whole seconds
        with inbox.colleague() as colleague:
            colleague.create_folder("Kundcenter")
            colleague.append("Kundcenter", mail(number))
            seen += list(mailbox(inbox, folder="Kundcenter").fetch_since(seen[-1].cursor if seen else {}))
            colleague.delete_folder("Kundcenter")
    assert subjects(iter(seen)) == ["Subject: mail 1", "Subject: mail 2"]
    assert len({mail.remote_id for mail in seen}) == 2
    assert [mail.remote_id.rsplit("/", 1)[1] for mail in seen] == ["1", "1"]


def test_reused_uid_under_the_same_uidvalidity_is_a_new_mail(inbox: servers.Dovecot, line: Relay) -> None:
    """A server that begins again at UID 1 in an emptied folder, and says so by UIDNEXT only."""
    inbox.restart_uids()
    inbox.deliver(mail(1))
    inbox.deliver(mail(2))
    before = list(mailbox(inbox).fetch_since({}))
    for _ in range(2):
        inbox.restart_uids()
        assert list(mailbox(inbox).fetch_since(before[-1].cursor)) == []
        inbox.deliver(mail(3))
        after = list(mailbox(inbox).fetch_since(before[-1].cursor))
        assert subjects(iter(after)) == ["Subject: mail 3"]
        assert not {mail.remote_id for mail in before} & {mail.remote_id for mail in after}
        assert list(mailbox(inbox).fetch_since(after[-1].cursor)) == []
        inbox.deliver(mail(4))
        assert subjects(mailbox(inbox).fetch_since(after[-1].cursor)) == ["Subject: mail 4"]
        before += list(mailbox(inbox).fetch_since(after[-1].cursor))


def test_a_uidnext_that_is_too_small_has_nothing_read_twice(three: servers.Dovecot, line: Relay) -> None:
    cursor = last_cursor(mailbox(three))
    three.deliver(mail(4))
    line.to_us = lambda said: re.sub(rb"UIDNEXT \d+", b"UIDNEXT 1", said)
    assert subjects(over(line, three).fetch_since(cursor)) == ["Subject: mail 4"]


def test_unknown_uidvalidity_prefers_no_double(three: servers.Dovecot, line: Relay) -> None:
    before = list(mailbox(three).fetch_since({}))
    three.deliver(mail(4))
    line.to_us = lambda said: b"" if b"[UIDVALIDITY" in said else said
    (after,) = over(line, three).fetch_since(before[-1].cursor)
    assert subjects(iter([after])) == ["Subject: mail 4"]
    assert after.remote_id.split("/")[1] == before[0].remote_id.split("/")[1]


def test_an_unchanged_mailbox_costs_one_question(three: servers.Dovecot, line: Relay) -> None:
    cursor = last_cursor(mailbox(three))
    assert list(over(line, three).fetch_since(cursor)) == []
    assert line.since_signing_in() == ["STATUS", "LOGOUT"]


def test_a_changed_flag_costs_two_more_and_is_no_new_mail(three: servers.Dovecot, line: Relay) -> None:
    cursor = last_cursor(mailbox(three))
    with three.colleague() as colleague:
        colleague.select_folder("INBOX")
        colleague.add_flags(colleague.search(), [SEEN])
    assert list(over(line, three).fetch_since(cursor)) == []
    assert line.since_signing_in() == ["STATUS", "EXAMINE", "UID SEARCH", "LOGOUT"]


def test_an_old_cursor_goes_on_where_it_stopped(three: servers.Dovecot) -> None:
    cursor = last_cursor(mailbox(three))
    old: Cursor = {name: cursor[name] for name in ("uidvalidity", "uid")}
    assert list(mailbox(three).fetch_since(old)) == []
    three.deliver(mail(4))
    assert subjects(mailbox(three).fetch_since(old)) == ["Subject: mail 4"]


def test_only_behind_the_last_mail_is_all_of_it_known_to_be_read(three: servers.Dovecot) -> None:
    assert ["modseq" in mail.cursor for mail in mailbox(three).fetch_since({})] == [False, False, True]


@pytest.mark.parametrize("lie", [b"UIDNEXT", b"HIGHESTMODSEQ", b"MESSAGES"])
@pytest.mark.parametrize("always", [b"0", b"1", b"4", b"4294967295"])
def test_one_number_that_lies_loses_no_mail(three: servers.Dovecot, line: Relay, lie: bytes, always: bytes) -> None:
    line.to_us = lambda said: re.sub(lie + rb" \d+", lie + b" " + always, said) if b"* STATUS" in said else said
    cursor = last_cursor(over(line, three))
    three.deliver(mail(4))
    assert subjects(over(line, three).fetch_since(cursor)) == ["Subject: mail 4"]


# ---------------------------------------------------------------- Sent


@pytest.mark.parametrize(
    "options",
    [
        {"folder": "Skickat", "sent_folder": "Skickat"},
        {"folder": "INBOX", "sent_folder": "Inbox"},
        {"folder": "Utkast", "drafts_folder": "Utkast"},
    ],
)
def test_sent_folder_is_never_an_inbox(inbox: servers.Dovecot, options: dict[str, str]) -> None:
    with pytest.raises(Permanent, match="folder is the one that residents write to"):
        open_mailbox("imap", {"host": inbox.host, "port": 993, "user": "info", "password": "x", **options})


def test_sent_folder_is_never_an_inbox_whatever_its_name(inbox: servers.Dovecot) -> None:
    wrong = mailbox(inbox, folder=servers.SENT_FOLDER)
    with pytest.raises(Permanent, match="is where the mailbox keeps what it has sent: set folder to its inbox"):
        list(wrong.fetch_since({}))
    assert "keeps what it has sent" in next(wrong.check()).what


def test_a_server_that_searches_loosely_misleads_nobody(inbox: servers.Dovecot, line: Relay) -> None:
    """Exchange and Gmail look for the words of an id; IMAP itself for a text anywhere in the header."""
    asked = b"<question@post.example>"
    in_reply_to = {1: asked, 2: b"<other@post.example>\r\n " + asked, 3: b"<a-question@post.example>", 4: b"question"}
    with inbox.colleague() as colleague:
        for number, value in in_reply_to.items():
            colleague.append(servers.SENT_FOLDER, b"In-Reply-To: " + value + b"\r\n" + mail(number))
        colleague.append(servers.SENT_FOLDER, b"In-Reply-To: " + asked + b"\r\nSubject: no Message-ID\r\n\r\n")
        colleague.select_folder(servers.SENT_FOLDER, readonly=True)
        every_mail = b"* SEARCH " + b" ".join(b"%d" % uid for uid in colleague.search()) + b"\r\n"
    line.to_us = lambda said: every_mail if said.startswith(b"* SEARCH") else said
    assert over(line, inbox).replies_to(asked.decode()) == {"<1@post.example>", "<2@post.example>"}
    assert over(line, inbox).was_sent("<3@post.example>")
    assert not over(line, inbox).was_sent("<@post.example>")


def test_a_server_that_goes_away_while_reading_is_transient() -> None:
    with servers.short_folder() as folder, servers.dovecot(folder) as server:
        server.deliver(mail(1))
        server.deliver(mail(2))
        reading = mailbox(server).fetch_since({})
        assert isinstance(next(reading), Fetched)
        server.stop()
        with pytest.raises(Transient):
            next(reading)


def test_the_time_of_arrival_is_the_servers(inbox: servers.Dovecot) -> None:
    with inbox.colleague() as colleague:
        colleague.append("INBOX", mail(1), msg_time=datetime(2026, 3, 1, 8, 30, tzinfo=UTC))
    (found,) = mailbox(inbox).fetch_since({})
    assert isinstance(found, Fetched)
    assert found.received_at == datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


def test_sent_is_found_under_its_finnish_name_and_the_copy_counts_as_read(inbox: servers.Dovecot) -> None:
    mailbox(inbox).file_sent(mail(1))
    with inbox.colleague() as colleague:
        colleague.select_folder(servers.SENT_FOLDER, readonly=True)
        assert colleague.search(["SEEN"]) != []


def test_our_copy_in_the_inbox_proves_that_a_reply_left(inbox: servers.Dovecot) -> None:
    assert not mailbox(inbox).was_sent("<5@post.example>")
    inbox.deliver(mail(5))
    assert mailbox(inbox).was_sent("<5@post.example>")


def test_a_sent_folder_that_does_not_exist_is_named(inbox: servers.Dovecot) -> None:
    with pytest.raises(Permanent, match="The folder Skickat does not exist"):
        mailbox(inbox, sent_folder="Skickat").file_sent(mail(1))


def test_neither_mail_nor_password_reaches_the_log_or_a_printed_mailbox(
    three: servers.Dovecot, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        list(mailbox(three).fetch_since({}))
    assert "Hej!" not in caplog.text
    assert three.user not in caplog.text
    assert three.password not in repr(mailbox(three))
