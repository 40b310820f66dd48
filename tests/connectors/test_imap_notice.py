"""Waiting for mail on an IMAP server: who says that mail has come, what is no mail, and a server that falls silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connectors.base import Notifies
from connectors.errors import Transient
from connectors.imap import notice as imap_notice
from connectors.imap.mailbox import ImapMailbox
from tests import imap_relay, servers
from tests.imap_relay import Relay

MAIL = b"Message-ID: <1@post.example>\r\nSubject: mail\r\n\r\nHej!\r\n"


def mailbox(server: servers.Dovecot, **changes: Any) -> ImapMailbox:
    facts = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
    return ImapMailbox(**{**facts, "ca_file": server.ca_file, "timeout_s": 10.0, **changes})


@pytest.fixture
def line(inbox: servers.Dovecot) -> Iterator[Relay]:
    with imap_relay.relay(inbox) as running:
        yield running


@pytest.fixture(scope="module")
def old_server() -> Iterator[servers.Dovecot]:
    with servers.short_folder() as folder, servers.dovecot(folder, capability="IMAP4rev1 STARTTLS") as running:
        yield running


def while_waiting(box: Notifies, at_most_s: float, happens: Callable[[], object]) -> tuple[bool, float]:
    """What the wait says and how long it took, when this happens half a second after its beginning."""
    later = threading.Timer(0.5, happens)
    began = time.monotonic()
    later.start()
    try:
        return box.wait_for_mail(at_most_s), time.monotonic() - began
    finally:
        later.join()


@pytest.mark.parametrize("tls", ["starttls", "tls", "none"])
def test_mail_is_heard_of_at_once(inbox: servers.Dovecot, tls: str) -> None:
    port = inbox.tls_port if tls == "tls" else inbox.port
    heard, took_s = while_waiting(mailbox(inbox, port=port, tls=tls), 60, lambda: inbox.deliver(MAIL))
    assert heard
    assert took_s < 30


def test_silence_lasts_no_longer_than_asked(inbox: servers.Dovecot) -> None:
    began = time.monotonic()
    assert not mailbox(inbox).wait_for_mail(1.0)
    assert time.monotonic() - began < 20


def test_flags_and_deletions_are_no_mail(inbox: servers.Dovecot) -> None:
    inbox.deliver(MAIL)
    inbox.deliver(MAIL)

    def tidy_up() -> None:
        with inbox.colleague() as program:
            program.select_folder("INBOX")
            first, second = program.search()
            program.add_flags([first], [rb"\Seen"])
            program.delete_messages([second])
            program.expunge()

    assert while_waiting(mailbox(inbox), 2.5, tidy_up)[0] is False


def test_a_mail_that_comes_while_another_goes_is_heard_of(inbox: servers.Dovecot) -> None:
    inbox.deliver(MAIL)

    def exchange() -> None:
        with inbox.colleague() as program:
            program.select_folder("INBOX")
            program.delete_messages(program.search())
            inbox.deliver(MAIL)
            program.expunge()

    heard, took_s = while_waiting(mailbox(inbox), 60, exchange)
    assert heard
    assert took_s < 30, "before the question at the end of the round"


def test_idle_has_a_deadline_and_polling_behind_it(
    inbox: servers.Dovecot, line: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose IDLE never says a word is asked at the end of each round."""
    monkeypatch.setattr(imap_notice, "ROUND_S", 0.8)
    idling = False

    def deaf(said: bytes) -> bytes:
        nonlocal idling
        idling = (idling or said.startswith(b"+ idling")) and b" OK " not in said
        return b"" if idling and b"EXISTS" in said else said

    line.to_us = deaf
    heard, took_s = while_waiting(mailbox(inbox, port=line.port, tls="none"), 60, lambda: inbox.deliver(MAIL))
    assert heard
    assert took_s < 30
    assert line.since_signing_in()[:3] == ["EXAMINE", "IDLE", "EXAMINE"]


def test_a_server_that_falls_silent_is_given_up_at_the_end_of_the_round(inbox: servers.Dovecot, line: Relay) -> None:
    """Office 365, after an hour or two: not even DONE is answered."""
    silent = False

    def fall_silent(said: bytes) -> bytes:
        nonlocal silent
        silent = silent or said.startswith(b"+ idling")
        return b"" if silent else said

    line.to_us = fall_silent
    line.to_server = lambda asked: b"" if silent else asked
    began = time.monotonic()
    with pytest.raises(Transient, match="did not answer in time"):
        mailbox(inbox, port=line.port, tls="none", timeout_s=10.0).wait_for_mail(1.0)
    assert time.monotonic() - began < 20, "the goodbye is not waited for as well"


def test_what_comes_in_one_packet_with_the_answer_to_idle_is_heard(inbox: servers.Dovecot, line: Relay) -> None:
    line.to_us = lambda said: said + b"* 7 EXISTS\r\n" if said.startswith(b"+ idling") else said
    began = time.monotonic()
    assert mailbox(inbox, port=line.port, tls="none").wait_for_mail(60)
    assert time.monotonic() - began < 30


def test_a_server_that_refuses_idle_is_asked_instead(
    inbox: servers.Dovecot, line: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_notice, "ASK_EVERY_S", 0.3)
    line.to_server = lambda asked: asked.replace(b" IDLE\r\n", b" IDLX\r\n")
    assert while_waiting(mailbox(inbox, port=line.port, tls="none"), 10, lambda: inbox.deliver(MAIL))[0]
    assert line.commands.count("IDLE") == 1


def test_a_server_without_idle_is_asked(old_server: servers.Dovecot, monkeypatch: pytest.MonkeyPatch) -> None:
    old_server.empty()
    monkeypatch.setattr(imap_notice, "ASK_EVERY_S", 0.3)
    box = mailbox(old_server)
    assert not box.wait_for_mail(1.0)
    assert while_waiting(box, 10, lambda: old_server.deliver(MAIL))[0]


@pytest.mark.parametrize("last_words", [b"* BYE Shutting down\r\n", b"x" * 100_000, b""])
def test_a_connection_that_dies_is_transient(inbox: servers.Dovecot, line: Relay, last_words: bytes) -> None:
    dying = False

    def die(said: bytes) -> bytes | None:
        nonlocal dying
        if dying:
            return None
        dying = said.startswith(b"+ idling")
        return said + last_words if dying else said

    line.to_us = die
    with pytest.raises(Transient):
        while_waiting(mailbox(inbox, port=line.port, tls="none"), 20, lambda: inbox.deliver(MAIL))


def test_nothing_but_examining_and_waiting_happens(inbox: servers.Dovecot, line: Relay) -> None:
    inbox.deliver(MAIL)
    before = inbox.flags()
    mailbox(inbox, port=line.port, tls="none").wait_for_mail(0.5)
    assert line.since_signing_in() == ["EXAMINE", "IDLE", "EXAMINE", "LOGOUT"]
    assert inbox.flags() == before
