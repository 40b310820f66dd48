"""What the tests' Exchange Server holds: two mailboxes in memory, who may do what in them, and what has been sent."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any

from tests import servers

SHARED = servers.INBOX_ADDRESS
OWN = "robot@solkommun.example"
"""The mailbox of the login itself, which nobody wants to read."""
USER = "SOL\\robot"
PASSWORD = servers.PASSWORD
TENANT = "solkommun.example"
CLIENT_ID = "6e2d1a7f-0000-4000-8000-00000000e1e5"
SECRET = "grön~hemlighet.3"
FOLDERS = {
    "inbox": "Inkorgen",
    "drafts": "Utkast",
    "outbox": "Utkorgen",
    "sentitems": "Skickat",
    "deleteditems": "Borttaget",
}
ROOT = "msgfolderroot"


class Fault(Enum):
    """One answer that goes wrong. What ends in `AFTER` has been done all the same."""

    BUSY = "ErrorServerBusy as a SOAP fault with BackOffMilliseconds, nothing done"
    BUSY_IN_ANSWER = "ErrorServerBusy as the answer's code, nothing done"
    THROTTLED = "429 with Retry-After, nothing done"
    UNAVAILABLE = "503, nothing done"
    UNAVAILABLE_AFTER = "503, done"
    UNAVAILABLE_AND_CLOSED_AFTER = "503 with Connection: close, done"
    GATEWAY_TIMEOUT_AFTER = "504, done"
    STUMBLES_AFTER = "ErrorInternalServerTransientError, done"
    HALF_WAY = "503, and the mail lies unsent in Drafts"
    DROPPED = "hangs up, nothing done"
    DROPPED_AFTER = "hangs up, done"
    SILENT_AFTER = "says nothing more, done"
    CUT_XML_AFTER = "whole by its length, but the XML ends in the middle, done"
    SHORT_AFTER = "fewer bytes than its length says, done"
    LOGIN_PAGE_AFTER = "200 with a page of HTML, done"
    ODD_AFTER = "sound XML that says nothing, done"
    UNAUTHORIZED = "401, nothing done"


class StreamFault(Enum):
    """What becomes of an answer that stays open, after it has begun well."""

    DROPPED = "hangs up"
    SILENT = "says nothing more, not even that all is well"
    CLOSED = "ends the connection before its time, as when the server is restarted"
    TRICKLES = "a byte now and then, and never a whole document"
    ENDLESS = "a document without an end, as fast as it can"
    LOGIN_PAGE = "a page of HTML, whole, and hangs up a moment later without a look at what was asked meanwhile"


class Refused(Exception):
    """The code of a response message."""


@dataclass(frozen=True)
class Sender:
    """What Exchange keeps of who handed a mail in, and in whose name."""

    address: str
    type: str = "EX"
    on_behalf_of: str = ""
    on_behalf_of_type: str = "EX"

    @property
    def properties(self) -> dict[int, str]:
        represented = self.on_behalf_of or self.address
        represented_type = self.on_behalf_of_type if self.on_behalf_of else self.type
        return {0x0C1E: self.type, 0x5D01: self.address, 0x0064: represented_type, 0x5D02: represented}


@dataclass
class Item:
    number: int
    mailbox: str
    folder: str
    raw: bytes
    received_at: datetime
    flags: int = 0x01
    unreadable: bool = False
    size_bytes: int = 0
    is_read: bool = False
    categories: list[str] = field(default_factory=list)
    version: int = 1
    sender: Sender | None = None
    element: str = "Message"
    """What kind of item it is; an inbox holds invitations too."""
    author: str = ""
    """The address that a draft is to leave from, where it was named besides the MIME."""

    @property
    def item_id(self) -> str:
        return f"AAMk{self.number:06d}="

    @property
    def change_key(self) -> str:
        return f"CQAA{self.number:06d}{self.version:04d}"

    @property
    def is_draft(self) -> bool:
        return bool(self.flags & 0x08)

    @property
    def message_id(self) -> str:
        return self.header("Message-ID")

    @property
    def in_reply_to(self) -> str:
        return self.header("In-Reply-To")

    def header(self, name: str) -> str:
        return str(headers(self.raw)[name] or "").strip()


@dataclass(frozen=True)
class Accepted:
    """A mail that has left: nothing takes it back."""

    message_id: str
    raw: bytes
    sender: str
    recipients: frozenset[str]


@dataclass
class Subscription:
    mailbox: str
    folder: str
    kinds: frozenset[str]
    waiting: deque[tuple[str, str]] = field(default_factory=deque)
    """Kind of event and id of the item, not yet told."""


@dataclass
class EwsServer:
    port: int
    folder: Path
    password: str = PASSWORD
    secret: str = SECRET
    may_open: set[str] = field(default_factory=lambda: {SHARED, OWN})
    """Mailboxes that the login has full access to."""
    may_impersonate: set[str] = field(default_factory=lambda: {SHARED})
    hidden_folders: set[str] = field(default_factory=set)
    read_only_folders: set[str] = field(default_factory=set)
    made_folders: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Folders that staff have made: the folder they lie in, and their name."""
    refusals: dict[str, str] = field(default_factory=dict)
    """What is refused every time, by the name of the call."""
    most_a_page: int = 512
    filing_takes_s: float = 0
    """How long an accepted mail stays in the Outbox, as on a busy server."""
    heartbeat_s: float = 0.05
    """How often an open connection says that all is well; a real server takes far longer."""
    minute_s: float = 60.0
    most_streams: int = 3
    """HangingConnectionLimit."""
    items: list[Item] = field(default_factory=list)
    log: list[tuple[str, int]] = field(default_factory=list)
    """What happened in the shared inbox: created, changed, read or deleted, and the number of the mail."""
    epoch: int = 1
    accepted: list[Accepted] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    written: list[list[str]] = field(default_factory=list)
    """The fields that each change of an item named."""
    deleted: list[tuple[str, Item]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    faults: dict[str, deque[Fault | None]] = field(default_factory=dict)
    stream_fault: StreamFault | None = None
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    streams: int = 0
    """Connections that stand open."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    closing: threading.Event = field(default_factory=threading.Event)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _on_their_way: list[tuple[float, Item]] = field(default_factory=list)

    @property
    def ca_file(self) -> Path:
        return self.folder / "cert.pem"

    # ------------------------------------------------------------ what people do

    def deliver(
        self,
        raw: bytes,
        *,
        mailbox: str = SHARED,
        received_at: datetime | None = None,
        unreadable: bool = False,
        size_bytes: int = 0,
        sender: Sender | None = None,
        auth_as: str = "",
    ) -> Item:
        """`auth_as`: what Exchange writes into the header of how the sender signed in, Internal or Anonymous."""
        stamp = f"X-MS-Exchange-Organization-AuthAs: {auth_as}\r\n".encode() if auth_as else b""
        with self.lock:
            item = self.keep(stamp + raw, mailbox, "inbox")
            item.received_at = received_at or item.received_at
            item.unreadable, item.size_bytes, item.sender = unreadable, size_bytes or len(raw), sender
            self._note("Create", item)
            self.tell("NewMailEvent", item.mailbox, item.folder, item.item_id)
        return item

    def mark_read(self, item: Item) -> None:
        item.is_read = True
        self._note("ReadFlagChange", item)

    def delete(self, item: Item) -> None:
        self.items.remove(item)
        self._note("Delete", item)

    def edit(self, item: Item, raw: bytes) -> None:
        """Outlook saves an open draft: the same item, another version."""
        item.raw, item.version = raw, item.version + 1

    def make_folder(self, name: str, *, within: str = ROOT) -> None:
        self.made_folders[f"made{len(self.made_folders)}"] = (within, name)

    def place_of(self, name: str) -> str:
        named = {FOLDERS[folder]: folder for folder in FOLDERS}
        named |= {called: folder for folder, (_, called) in self.made_folders.items()}
        return named.get(name, name)

    def in_folder(self, folder: str, mailbox: str = SHARED) -> list[Item]:
        self._file_what_is_due()
        return [item for item in self.items if (item.mailbox, item.folder) == (mailbox, folder)]

    # ------------------------------------------------------------ what the server does

    def lose_states(self) -> None:
        """As after a mailbox was moved or restored: old states mean nothing any more."""
        self.epoch += 1

    def misbehave(self, call: str, *faults: Fault | None) -> None:
        """The next answers to this call go wrong in this order; None is a sound one."""
        self.faults.setdefault(call, deque()).extend(faults)

    def next_fault(self, call: str) -> Fault | None:
        waiting = self.faults.get(call)
        return waiting.popleft() if waiting else None

    def named(self, number: int) -> Item | None:
        return next((item for item in self.items if item.number == number), None)

    def tell(self, kind: str, mailbox: str, folder: str, item_id: str) -> None:
        for subscription in self.subscriptions.values():
            if (subscription.mailbox, subscription.folder) == (mailbox, folder) and kind in subscription.kinds:
                subscription.waiting.append((kind, item_id))

    def keep(self, raw: bytes, mailbox: str, folder: str) -> Item:
        item = Item(next(self._numbers), mailbox, folder, raw, datetime.now(UTC), size_bytes=len(raw))
        self.items.append(item)
        return item

    def save(self, raw: bytes, mailbox: str, folder: str, flags: int) -> Item:
        item = self.keep(raw, mailbox, folder)
        item.flags = flags
        return item

    def change(self, item: Item, categories: list[str]) -> None:
        item.categories, item.version = categories, item.version + 1
        self._note("Update", item)
        self.tell("ModifiedEvent", item.mailbox, item.folder, item.item_id)

    def move(self, item: Item, folder: str) -> None:
        """A mail in another folder has another id."""
        self._note("Delete", item)
        self.tell("MovedEvent", item.mailbox, item.folder, item.item_id)
        item.folder, item.number = folder, next(self._numbers)
        self._note("Create", item)
        self.tell("MovedEvent", item.mailbox, item.folder, item.item_id)

    def remove(self, item: Item, delete_type: str) -> None:
        self.deleted.append((delete_type, item))
        if delete_type == "MoveToDeletedItems":
            self.move(item, "deleteditems")
        else:
            self.delete(item)

    def submit(self, raw: bytes, login: str, mailbox: str, sender: str, more: list[str]) -> None:
        written = headers(raw)
        named = getaddresses([str(value) for name in ("To", "Cc", "Bcc") for value in written.get_all(name, [])])
        recipients = frozenset(address for _, address in named) | frozenset(more)
        if not recipients:
            raise Refused("ErrorInvalidRecipients")
        named_as_sender = [address for _, address in getaddresses([str(written["From"] or "")]) if address]
        sender = sender or (named_as_sender or [login])[0]
        self.accepted.append(Accepted(str(written["Message-ID"]).strip(), raw, sender, recipients))
        item = self.keep(raw, mailbox, "outbox")
        item.flags = 0x01 | 0x04 | 0x08
        self._on_their_way.append((time.monotonic() + self.filing_takes_s, item))
        self._file_what_is_due()

    def _note(self, kind: str, item: Item) -> None:
        if (item.mailbox, item.folder) == (SHARED, "inbox"):
            self.log.append((kind, item.number))

    def _file_what_is_due(self) -> None:
        for due, item in list(self._on_their_way):
            if due <= time.monotonic():
                item.folder, item.flags = "sentitems", 0x01
                self._on_their_way.remove((due, item))


def headers(raw: bytes) -> Any:
    return BytesHeaderParser(policy=policy.compat32).parsebytes(raw.partition(b"\r\n\r\n")[0])
