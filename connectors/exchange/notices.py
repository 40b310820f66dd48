"""Waiting until Exchange says that mail may have come: one answer that stays open, read until a notice or the deadline.

It must never outlast its deadline, whatever the server does, and never say what has come: the inbox is asked for that.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import requests
from exchangelib import Account  # type: ignore[import-untyped]
from exchangelib.errors import EWSError  # type: ignore[import-untyped]
from exchangelib.folders import Inbox  # type: ignore[import-untyped]
from exchangelib.properties import Notification, StatusEvent  # type: ignore[import-untyped]
from exchangelib.services import GetStreamingEvents, SubscribeToStreaming, Unsubscribe  # type: ignore[import-untyped]
from exchangelib.services.common import EWSAccountService  # type: ignore[import-untyped]
from exchangelib.util import DummyResponse  # type: ignore[import-untyped]

from connectors.errors import ConnectorError, Transient
from connectors.exchange.ews import Once, reading_from
from connectors.exchange.folders import folder
from connectors.exchange.refusals import explained

_EVENTS = ("NewMailEvent", "CreatedEvent", "MovedEvent")  # delivered; copied or restored; moved by a person or a rule
_LONGEST_WAIT_S = 29 * 60.0  # ConnectionTimeout may be 30 minutes at most
_LARGEST_DOCUMENT_BYTES = 2**20
_END_OF_DOCUMENT = re.compile(rb"</(?:\w{1,20}:)?Envelope\s{0,9}>")
_LONGEST_END = 40
_A_MOMENT_S = 0.02
_STEPS = 4  # of a request: to connect, and up to three answers of a sign-in by NTLM


class _Subscribing(Once, SubscribeToStreaming):  # type: ignore[misc]
    pass


class _Unsubscribing(Once, Unsubscribe):  # type: ignore[misc]
    pass


def wait_for_mail(account: Account, at_most_s: float, timeout_s: float) -> bool:
    ends_at = time.monotonic() + min(at_most_s, _LONGEST_WAIT_S)
    inbox = folder(account, Inbox)
    subscription = _Subscribing(account=account).get(folders=[inbox], event_types=_EVENTS)
    try:
        return time.monotonic() < ends_at and _was_told(account, subscription, ends_at, timeout_s)
    finally:
        _unsubscribe(account, subscription, timeout_s)


def _was_told(account: Account, subscription: str, ends_at: float, timeout_s: float) -> bool:
    notices = _Notices(account, ends_at, timeout_s)
    try:
        return any(_is_news(notice) for notice in notices.about(subscription))
    finally:
        notices.stop_streaming()


def _is_news(notice: Notification | EWSError) -> bool:
    if isinstance(notice, EWSError):
        raise notice
    return any(not isinstance(event, StatusEvent) for event in notice.events)


def _unsubscribe(account: Account, subscription: str, at_most_s: float) -> None:
    """Otherwise the server keeps it for half an hour, and counts it."""
    step_s = at_most_s / _STEPS
    with suppress(ConnectorError), explained():
        list(_Unsubscribing(account=account, timeout=(step_s, step_s)).call(subscription_id=subscription))


class _Notices(Once, GetStreamingEvents):  # type: ignore[misc]
    """The library would read byte by byte, and wait a minute longer than it has asked for."""

    def __init__(self, account: Account, ends_at: float, timeout_s: float) -> None:
        super().__init__(account=account)
        self._ends_at = ends_at
        self._timeout_s = timeout_s

    @property
    def _left_s(self) -> float:
        return max(0.0, self._ends_at - time.monotonic())

    def about(self, subscription: str) -> Iterator[Notification | EWSError]:
        minutes = int(self._left_s // 60) + 1
        notices = self.call([subscription], minutes)
        # While nothing happens Exchange says so only now and then: between two bytes all of the time may pass.
        self.timeout = (self._timeout_s, self._left_s + _A_MOMENT_S)
        yield from notices

    def stop_streaming(self) -> None:
        """Its connection is not used again: the server may be closing it, and would not read what is asked over it."""
        session = self._streaming_session
        super().stop_streaming()
        if session is not None:
            session.close()

    def _get_soap_messages(self, body: requests.Response) -> Iterator[object]:
        for document in self._documents(body):
            _, inner = EWSAccountService._get_soap_parts(DummyResponse(content=document))
            yield from EWSAccountService._get_soap_messages(self, inner)
            if self.connection_status == self.CLOSED:
                break
        if self._left_s:
            raise Transient("The Exchange server has ended the connection for notices: it is opened again.")

    def _documents(self, answer: requests.Response) -> Iterator[bytes]:
        """The answer is one document after the other; it ends, without an error, when the time is over."""
        held = b""
        with self._until_the_deadline(answer):
            for part in answer.iter_content():
                seen = max(0, len(held) - _LONGEST_END)
                held += part
                while end := _END_OF_DOCUMENT.search(held, seen):
                    yield held[: end.end()]
                    held, seen = held[end.end() :], 0
                if len(held) > _LARGEST_DOCUMENT_BYTES:
                    raise Transient("The Exchange server sends a notice without an end.")

    @contextmanager
    def _until_the_deadline(self, answer: requests.Response) -> Iterator[None]:
        """Reading waits for a byte, and a server may send one now and then: so it is cut off from outside."""
        alarm = threading.Timer(self._left_s + _A_MOMENT_S, _cut_off, [answer])
        alarm.daemon = True
        alarm.start()
        try:
            with reading_from(answer):
                yield
        except ConnectorError:
            if self._left_s:
                raise
        finally:
            alarm.cancel()


def _cut_off(answer: requests.Response) -> None:
    with suppress(OSError, RuntimeError, ValueError):  # it has ended by itself
        answer.raw.shutdown()
