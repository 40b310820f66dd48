"""The protocols that every mailbox and every register keeps, and the values they give and take.

A mailbox speaks bytes in and bytes out: reading MIME is the business of `rules.message`. A connector gets its
settings as arguments, never reads the environment and knows nothing of Django.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

from pydantic import ConfigDict

Cursor = dict[str, str | int]
"""Where reading stopped, as small JSON that only the connector that wrote it understands. Empty at first."""

LARGEST_MAIL_BYTES = 100 * 2**20
"""A larger mail becomes Unreadable: no mail server of a municipality takes one, and it would fill the memory."""

SETTINGS = ConfigDict(extra="forbid", hide_input_in_errors=True)
"""How every connector takes its settings: a misspelt name is an error, and an error never shows what was given."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One mail as the mailbox keeps it."""

    remote_id: str
    """Unlike any other in this mailbox, and never reused: folder, UIDVALIDITY and UID for IMAP, a path for a folder."""
    raw: bytes
    received_at: datetime | None
    """When the mailbox's server took it (INTERNALDATE), aware; None where the mailbox does not know."""
    cursor: Cursor
    """Store this together with the mail, in one transaction: reading then goes on behind it."""
    from_directory: bool = False
    """The mailbox's server says that an account of its own directory handed this mail in, signed in as the address in
    From. Never deduced from a header: whoever writes from outside could have written it."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One mail that the mailbox could not hand over. It is shown to staff and never stops the next one."""

    remote_id: str
    sentence: str
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Envelope:
    """To whom the mail server is told to deliver: header recipients and nobody else (no hidden copies)."""

    sender: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `connectors check`: what was tried, whether it went well, and the remedy when not."""

    ok: bool
    what: str
    remedy: str = ""
    needed_to: Literal["read", "write back", "send"] = "read"
    """What does not work as long as this is not in order. A pilot that only reads can do without the rest."""


class Mailbox(Protocol):
    """A shared inbox. Reading leaves the mail as it is: nothing is marked read, moved or deleted."""

    def fetch_since(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        """Yield mail that came after `cursor`, oldest first, one at a time. Raises Transient, Refused or Permanent."""
        ...

    def send(self, raw: bytes, envelope: Envelope) -> None:
        """Hand one finished reply to the mail server, once, without any retry of its own.

        Raises Transient only when it is certain that nothing was accepted, Permanent when the reply was refused,
        Unclear for everything else.
        """
        ...

    def file_sent(self, raw: bytes) -> None:
        """Put a copy into the mailbox's Sent folder, unless one with the same Message-ID is there already."""
        ...

    def was_sent(self, message_id: str) -> bool:
        """Ask the mailbox whether a mail with this Message-ID left (Sent folder, or our own copy in the inbox)."""
        ...

    def replies_to(self, message_id: str) -> frozenset[str]:
        """The Message-IDs of what was sent from this mailbox in answer to a mail (In-Reply-To), by us or by staff."""
        ...

    def check(self) -> Iterator[Finding]:
        """Try what is configured: sign in, list, read one, find Sent, greet the outgoing server."""
        ...


class Mark(StrEnum):
    """How far a mail has come, as staff see it on the mail itself in Outlook or Thunderbird."""

    TRIAGED = "triaged"
    WAITING = "waiting"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class PutDraft:
    """Our draft in the mailbox's own Drafts folder, and what it looked like when we put it there."""

    remote_id: str
    version: str
    """Another one as soon as somebody has changed the draft."""


@runtime_checkable
class WritesBack(Protocol):
    """A mailbox in which staff see on the mail itself what became of it. What others wrote there stays as it is."""

    def mark(self, remote_id: str, mark: Mark | None) -> bool:
        """Put this mark in place of any other of ours; None takes ours away. False when the mail is not there."""
        ...

    def put_draft(self, raw: bytes, answers: str) -> PutDraft:
        """Put a reply into Drafts, in the thread of the mail with the remote id `answers`. Sends nothing.

        A draft with the same Message-ID that is there already is kept as it is, and returned.
        """
        ...

    def take_back(self, draft: PutDraft) -> bool:
        """Remove our draft unless somebody has changed it since: then it is theirs, stays, and False is returned."""
        ...

    def move(self, remote_id: str, folder: str) -> bool:
        """Move a mail to a folder below the inbox's own level, by its name. False when the mail is not there.

        Raises Permanent when there is no such folder.
        """
        ...


@runtime_checkable
class Notifies(Protocol):
    """A mailbox that can say at once that mail has come. Polling goes on beside it: a notice only wakes the reader."""

    def wait_for_mail(self, at_most_s: float) -> bool:
        """True as soon as the server says that mail may have come, False when `at_most_s` went by in silence.

        Raises Transient, Refused or Permanent; never waits longer than `at_most_s` and its own time-out together.
        """
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What a register is asked. The key comes from a validated entity, the sender's address or the intent's plan."""

    keyed_on: str
    value: str
    language: str = ""
    """When given, only records in this language are asked for."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the register holds it: every field as text, None where the register has no value."""

    key: str
    fields: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Answer:
    register: str
    query: str
    """The name of the configured query that was run."""
    records: tuple[Record, ...]
    read_at: datetime


class Register(Protocol):
    """A municipal register that is only ever read."""

    @property
    def name(self) -> str: ...

    def ask(self, question: Question) -> Answer:
        """Records that match. Raises Transient when the register is down or too slow, Permanent or Refused else."""
        ...

    def check(self) -> Iterator[Finding]: ...
