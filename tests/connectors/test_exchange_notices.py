"""Waiting for mail over an answer that stays open: told at once, given up in time, and left behind tidily."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from connectors.base import Fetched, Mark, Notifies
from connectors.errors import ConnectorError, Permanent, Refused, Transient
from connectors.exchange import ews
from connectors.exchange.mailbox import ExchangeMailbox
from tests.connectors.on_exchange import as_application, mail, mailbox
from tests.ews_server import OWN, SHARED, EwsServer, Fault, StreamFault, ews_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EwsServer]:
    with ews_server(tmp_path) as running:
        yield running


class Waiting:
    """Somebody waits, and meanwhile something happens."""

    def __init__(self, server: EwsServer, ours: ExchangeMailbox, at_most_s: float) -> None:
        self._ours, self._at_most_s = ours, at_most_s
        self._told: bool | ConnectorError | None = None
        before = server.asked.count("GetStreamingEvents")
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()
        until(lambda: server.asked.count("GetStreamingEvents") > before)

    def _wait(self) -> None:
        try:
            self._told = self._ours.wait_for_mail(self._at_most_s)
        except ConnectorError as error:
            self._told = error

    def told(self) -> bool:
        self._thread.join(60)
        if isinstance(self._told, ConnectorError):
            raise self._told
        assert self._told is not None, "still waiting"
        return self._told


def until(condition: object) -> None:
    assert callable(condition)
    gives_up_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < gives_up_at
        time.sleep(0.005)


def took_s(started_at: float) -> float:
    return time.monotonic() - started_at


@pytest.mark.parametrize("changes", [{"auth": "ntlm"}, {"auth": "basic"}, {"access": "impersonation"}, {"app": True}])
def test_whoever_waits_is_told_at_once(server: EwsServer, changes: dict[str, object]) -> None:
    ours = as_application(server) if "app" in changes else mailbox(server, **changes)
    assert isinstance(ours, Notifies)
    waiting = Waiting(server, ours, 60)
    time.sleep(0.3)  # some words that all is well
    delivered_at = time.monotonic()
    server.deliver(mail(1))
    assert waiting.told()
    assert took_s(delivered_at) < 30
    assert len(list(ours.fetch_since({}))) == 1


def test_silence_ends_when_the_time_is_over(server: EwsServer) -> None:
    started_at = time.monotonic()
    assert not mailbox(server).wait_for_mail(0.6)
    assert 0.6 <= took_s(started_at) < 20


@pytest.mark.parametrize("at_most_s", [1.0, 60.0, 540.0, 1e6])
def test_exchange_is_asked_for_as_many_minutes_as_it_grants(server: EwsServer, at_most_s: float) -> None:
    waiting = Waiting(server, mailbox(server), at_most_s)
    server.deliver(mail(1))
    assert waiting.told()


def test_nothing_stays_open_or_subscribed(server: EwsServer) -> None:
    mailbox(server).wait_for_mail(0.2)
    waiting = Waiting(server, mailbox(server), 60)
    server.deliver(mail(1))
    waiting.told()
    until(lambda: server.streams == 0)
    assert server.subscriptions == {}
    until(lambda: not any(isinstance(thread, threading.Timer) for thread in threading.enumerate()))


def test_mail_that_is_moved_in_wakes_and_a_mark_of_ours_does_not(server: EwsServer) -> None:
    server.make_folder("Skräp")
    lying = server.deliver(mail(1))
    waiting = Waiting(server, mailbox(server), 60)
    mailbox(server).mark(lying.item_id, Mark.WAITING)
    server.mark_read(lying)
    server.deliver(mail(2), mailbox=OWN)
    time.sleep(0.3)
    assert server.streams == 1
    server.move(lying, server.place_of("Skräp"))
    assert waiting.told()


def test_delegate_listens_at_the_right_mailbox(server: EwsServer) -> None:
    server.may_open = {SHARED}
    waiting = Waiting(server, mailbox(server), 60)
    (subscription,) = server.subscriptions.values()
    assert (subscription.mailbox, subscription.folder) == (SHARED, "inbox")
    server.deliver(mail(1))
    assert waiting.told()


def test_notifications_only_wake_the_poller(server: EwsServer) -> None:
    """Notices are lost, doubled, late and wrong; what is read is the same."""
    chance = random.Random(3)
    ours = mailbox(server)
    cursor, read = {}, []
    for number in range(12):
        waiting = Waiting(server, ours, 0.5)
        with server.lock:
            server.deliver(mail(number))
            for subscription in server.subscriptions.values():
                if chance.random() < 0.4:
                    subscription.waiting.clear()
                elif chance.random() < 0.5:
                    subscription.waiting.extend([*subscription.waiting, ("NewMailEvent", "AAMk999999=")])
        waiting.told()
        for found in ours.fetch_since(cursor):
            assert isinstance(found, Fetched)
            read.append(found.raw)
            cursor = found.cursor
    assert read == [mail(number) for number in range(12)]


def test_not_found_after_a_notice_is_tried_later(server: EwsServer) -> None:
    """A notice may come before the mail itself can be seen, or name one that is never found."""
    ours = mailbox(server)
    waiting = Waiting(server, ours, 60)
    with server.lock:
        server.tell("NewMailEvent", SHARED, "inbox", "AAMk999999=")
    assert waiting.told()
    assert list(ours.fetch_since({})) == []
    server.deliver(mail(1))
    assert len(list(ours.fetch_since({}))) == 1


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("auth", ["ntlm", "basic"])
@pytest.mark.parametrize("fault", [StreamFault.SILENT, StreamFault.TRICKLES])
def test_a_server_that_says_nothing_more_is_given_up_in_time(server: EwsServer, fault: StreamFault, auth: str) -> None:
    server.stream_fault = fault
    started_at = time.monotonic()
    assert not mailbox(server, timeout_s=2.0, auth=auth).wait_for_mail(2.2), "longer than one answer may take"
    assert 2.2 <= took_s(started_at) < 20


def test_a_half_open_connection_is_given_up_in_time(server: EwsServer) -> None:
    """The way to the server breaks without a word, as when a firewall forgets the connection."""
    with Relay(server.port) as relay:
        ours = mailbox(server, port=relay.port, timeout_s=6.0)
        waiting = Waiting(server, ours, 1.0)
        started_at = time.monotonic()
        relay.holds_back = True
        with suppress(Transient):  # when it breaks before the answer has begun
            assert not waiting.told()
        assert took_s(started_at) < 20


def test_causes_that_lead_back_to_each_other_end() -> None:
    """A thread searched such a chain for ever, and what it waited for was never given up."""
    failure, cause = requests.ConnectionError(), BrokenPipeError()
    failure.__context__, cause.__context__ = cause, failure
    assert ews._as_os_error(failure) is cause


@pytest.mark.parametrize(
    "fault", [StreamFault.DROPPED, StreamFault.CLOSED, StreamFault.ENDLESS, StreamFault.LOGIN_PAGE]
)
def test_an_answer_that_ends_or_goes_wrong_too_early_is_transient(server: EwsServer, fault: StreamFault) -> None:
    """So that whoever waits asks again after a pause, and not at once, over and over."""
    server.stream_fault = fault
    started_at = time.monotonic()
    with pytest.raises(Transient):
        mailbox(server).wait_for_mail(30)
    assert took_s(started_at) < 25
    assert server.subscriptions == {}


@pytest.mark.parametrize("call", ["Subscribe", "GetStreamingEvents"])
@pytest.mark.parametrize(
    ("fault", "kind", "seconds"),
    [
        (Fault.BUSY, Transient, 9.0),
        (Fault.BUSY_IN_ANSWER, Transient, None),
        (Fault.THROTTLED, Transient, 7.0),
        (Fault.UNAVAILABLE, Transient, None),
        (Fault.DROPPED, Transient, None),
        (Fault.CUT_XML_AFTER, Transient, None),
        (Fault.SHORT_AFTER, Transient, None),
        (Fault.ODD_AFTER, Transient, None),
        (Fault.UNAUTHORIZED, Refused, None),
    ],
)
def test_a_refusal_is_handed_on_and_nothing_is_repeated(
    server: EwsServer, call: str, fault: Fault, kind: type[ConnectorError], seconds: float | None
) -> None:
    server.misbehave(call, fault)
    with pytest.raises(kind) as caught:
        mailbox(server).wait_for_mail(30)
    assert type(caught.value) is kind
    assert caught.value.retry_after_s == seconds
    assert server.asked.count(call) == 1
    assert call == "Subscribe" or server.subscriptions == {}


@pytest.mark.parametrize(
    ("call", "code", "kind", "sentence"),
    [
        ("GetStreamingEvents", "ErrorExceededConnectionCount", Transient, "has too many connections to the Exchange"),
        ("Subscribe", "ErrorExceededSubscriptionCount", Transient, "has too many connections to the Exchange"),
        ("GetStreamingEvents", "ErrorServerBusy", Transient, "too busy for now"),
        ("GetStreamingEvents", "ErrorSubscriptionNotFound", Transient, "ErrorSubscriptionNotFound"),
        ("Subscribe", "ErrorAccessDenied", Refused, "give it full access to the mailbox"),
        ("Subscribe", "ErrorNonExistentMailbox", Permanent, "has no mailbox with this address"),
    ],
)
def test_a_code_of_exchange_says_why(
    server: EwsServer, call: str, code: str, kind: type[ConnectorError], sentence: str
) -> None:
    server.refusals[call] = code
    with pytest.raises(kind, match=sentence) as caught:
        mailbox(server).wait_for_mail(30)
    assert type(caught.value) is kind
    assert server.asked.count(call) == 1


def test_too_many_open_connections_are_not_answered_with_more(server: EwsServer) -> None:
    server.most_streams = 1
    waiting = Waiting(server, mailbox(server), 60)
    with pytest.raises(Transient, match="too many connections"):
        mailbox(server).wait_for_mail(30)
    server.deliver(mail(1))
    assert waiting.told()
    assert server.asked.count("GetStreamingEvents") == 2


def test_a_subscription_lost_while_waiting_is_transient(server: EwsServer) -> None:
    failed: list[ConnectorError] = []

    def wait() -> None:
        try:
            mailbox(server).wait_for_mail(30)
        except ConnectorError as error:
            failed.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: server.streams)
    with server.lock:
        server.subscriptions.clear()  # as when the server is restarted
    thread.join(60)
    assert [type(error) for error in failed] == [Transient]


def test_a_farewell_that_fails_takes_nothing_from_what_was_told(server: EwsServer) -> None:
    server.refusals["Unsubscribe"] = "ErrorInternalServerError"
    waiting = Waiting(server, mailbox(server), 60)
    server.deliver(mail(1))
    assert waiting.told()


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = ExchangeMailbox(
            "localhost", SHARED, user="x", password="y", auth="basic", port=listener.getsockname()[1], timeout_s=0.3
        )
        with pytest.raises(Transient, match="did not answer in time"):
            nobody.wait_for_mail(30)


class Relay:
    """A way to the server on which bytes can be held back."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.holds_back = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not self.holds_back:
                    target.sendall(data)
