"""A mailbox during a pilot: it is read, and nothing whatever is written to it or sent from it."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.base import Cursor, Envelope, Fetched, Finding, Mailbox, Unreadable
from connectors.errors import Permanent

_NOTHING = "This mailbox is read-only: nothing is written to it and nothing is sent from it."


class ReadOnly:
    """Any mailbox behind a door that opens one way. It has nothing of `WritesBack`, so nobody can ask for it."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def fetch_since(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        return self._mailbox.fetch_since(cursor)

    def was_sent(self, message_id: str) -> bool:
        return self._mailbox.was_sent(message_id)

    def replies_to(self, message_id: str) -> frozenset[str]:
        return self._mailbox.replies_to(message_id)

    def check(self) -> Iterator[Finding]:
        return self._mailbox.check()

    def send(self, raw: bytes, envelope: Envelope) -> None:
        raise Permanent(_NOTHING)

    def file_sent(self, raw: bytes) -> None:
        raise Permanent(_NOTHING)
