"""Waiting for mail on an IMAP server: who says that mail has come, what is no mail, and a server that falls silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from connectors.base import Notifies
from connectors.errors import Transient
from connectors.imap import notice as imap_notice
from tests import servers
from tests.connectors.on_imap import mail, mailbox, over
from tests.imap_relay import Relay

WhileWaiting = Callable[[Notifies, float, Callable[[], object]], tuple[bool, float]]


@pytest.fixture
def while_waiting(monkeypatch: pytest.MonkeyPatch) -> WhileWaiting:
    """What the wait says and how long it took, when this happens after its first look at the folder."""
    looked = threading.Event()
    look = imap_notice.examine

    def seen_looking(*at: Any) -> Any:
        found = look(*at)
        looked.set()
        return found

    def wait(box: Notifies, at_most_s: float, happens: Callable[[], object]) -> tuple[bool, float]:
        def later() -> None:
            assert looked.wait(60)
            time.sleep(0.2)  # and most likely while it waits
            happens()

        looked.clear()
        meanwhile = threading.Thread(target=later)
        began = time.monotonic()
        meanwhile.start()
        try:
            return box.wait_for_mail(at_most_s), time.monotonic() - began
        finally:
            meanwhile.join()

    monkeypatch.setattr(imap_notice, "examine", seen_looking)
    return wait


@pytest.mark.parametrize("tls", ["starttls", "tls", "none"])
def test_mail_is_heard_of_at_once(inbox: servers.Dovecot, tls: str, while_waiting: WhileWaiting) -> None:
    port = inbox.tls_port if tls == "tls" else inbox.port
    heard, took_s = while_waiting(mailbox(inbox, port=port, tls=tls), 60, lambda: inbox.deliver(mail(1)))
    assert heard
    assert took_s < 30


def test_silence_lasts_no_longer_than_asked(inbox: servers.Dovecot) -> None:
    began = time.monotonic()
    assert not mailbox(inbox).wait_for_mail(1.0)
    assert time.monotonic() - began < 20


def test_flags_and_deletions_are_no_mail(inbox: servers.Dovecot, while_waiting: WhileWaiting) -> None:
    inbox.deliver(mail(1))
    inbox.deliver(mail(1))

    def tidy_up() -> None:
        with inbox.colleague() as program:
            program.select_folder("INBOX")
            first, second = program.search()
            program.add_flags([first], [rb"\Seen"])
            program.delete_messages([second])
            program.expunge()

    assert while_waiting(mailbox(inbox), 2.5, tidy_up)[0] is False


def test_a_mail_that_comes_while_another_goes_is_heard_of(inbox: servers.Dovecot, while_waiting: WhileWaiting) -> None:
    inbox.deliver(mail(1))

    def exchange() -> None:
        with inbox.colleague() as program:
            program.select_folder("INBOX")
            program.delete_messages(program.search())
            inbox.deliver(mail(1))
            program.expunge()

    heard, took_s = while_waiting(mailbox(inbox), 60, exchange)
    assert heard
    assert took_s < 30, "before the question at the end of the round"


def test_idle_has_a_deadline_and_polling_behind_it(
    inbox: servers.Dovecot, line: Relay, monkeypatch: pytest.MonkeyPatch, while_waiting: WhileWaiting
) -> None:
    """A server whose IDLE never says a word is asked at the end of each round."""
    monkeypatch.setattr(imap_notice, "ROUND_S", 0.8)
    idling = False

    def deaf(said: bytes) -> bytes:
        nonlocal idling
        idling = (idling or said.startswith(b"+ idling")) and b" OK " not in said
        return b"" if idling and b"EXISTS" in said else said

    line.to_us = deaf
    heard, took_s = while_waiting(over(line, inbox), 60, lambda: inbox.deliver(mail(1)))
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
        over(line, inbox, timeout_s=10.0).wait_for_mail(1.0)
    assert time.monotonic() - began < 20, "the goodbye is not waited for as well"


def test_what_comes_in_one_packet_with_the_answer_to_idle_is_heard(inbox: servers.Dovecot, line: Relay) -> None:
    line.to_us = lambda said: said + b"* 7 EXISTS\r\n" if said.startswith(b"+ idling") else said
    began = time.monotonic()
    assert over(line, inbox).wait_for_mail(60)
    assert time.monotonic() - began < 30


def test_a_server_that_refuses_idle_is_asked_instead(
    inbox: servers.Dovecot, line: Relay, monkeypatch: pytest.MonkeyPatch, while_waiting: WhileWaiting
) -> None:
    monkeypatch.setattr(imap_notice, "ASK_EVERY_S", 0.3)
    line.to_server = lambda asked: asked.replace(b" IDLE\r\n", b" IDLX\r\n")
    assert while_waiting(over(line, inbox), 10, lambda: inbox.deliver(mail(1)))[0]
    assert line.commands.count("IDLE") == 1


def test_a_server_without_idle_is_asked(
    old_server: servers.Dovecot, monkeypatch: pytest.MonkeyPatch, while_waiting: WhileWaiting
) -> None:
    monkeypatch.setattr(imap_notice, "ASK_EVERY_S", 0.3)
    box = mailbox(old_server)
    assert not box.wait_for_mail(1.0)
    assert while_waiting(box, 10, lambda: old_server.deliver(mail(1)))[0]


@pytest.mark.parametrize("last_words", [b"* BYE Shutting down\r\n", b"x" * 100_000, b""])
def test_a_connection_that_dies_is_transient(
    inbox: servers.Dovecot, line: Relay, last_words: bytes, while_waiting: WhileWaiting
) -> None:
    dying = False

    def die(said: bytes) -> bytes | None:
        nonlocal dying
        if dying:
            return None
        dying = said.startswith(b"+ idling")
        return said + last_words if dying else said

    line.to_us = die
    with pytest.raises(Transient):
        while_waiting(over(line, inbox), 20, lambda: inbox.deliver(mail(1)))


def test_nothing_but_examining_and_waiting_happens(inbox: servers.Dovecot, line: Relay) -> None:
    inbox.deliver(mail(1))
    before = inbox.flags()
    over(line, inbox).wait_for_mail(0.5)
    assert line.since_signing_in() == ["EXAMINE", "IDLE", "EXAMINE", "LOGOUT"]
    assert inbox.flags() == before
