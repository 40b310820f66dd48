"""The mailbox that the tests' own Microsoft 365 keeps in memory, what staff do in it, and how it may misbehave."""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.parser import BytesHeaderParser
from email.utils import parseaddr
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any

from tests import servers

SECRET = "blå~hemlighet.7"
MAILBOX = servers.INBOX_ADDRESS
TENANT = "solkommun.example"
CLIENT_ID = "5d1c0f6e-0000-4000-8000-00000000c11e"
WELL_KNOWN = {
    "inbox": "Inkorgen",
    "drafts": "Utkast",
    "outbox": "Utkorgen",
    "sentitems": "Skickat",
    "deleteditems": "Borttaget",
}


class Fault(Enum):
    """One answer that goes wrong. What follows `AFTER` has been done all the same."""

    THROTTLED = "429 with Retry-After, nothing done"
    BUSY = "503 with Retry-After, nothing done"
    BUSY_AFTER = "503 with Retry-After, done"
    GATEWAY_TIMEOUT = "504, nothing done"
    GATEWAY_TIMEOUT_AFTER = "504, done"
    DROPPED = "hangs up, nothing done"
    DROPPED_AFTER = "hangs up, done"
    SILENT_AFTER = "says nothing more, done"
    CUT_JSON_AFTER = "whole by its length, but the JSON ends in the middle"
    SHORT_AFTER = "fewer bytes than its length says"
    TOKEN_EXPIRED = "401"
    RESET = "410 syncStateNotFound"
    RESET_AS_400 = "400 syncStateNotFound"
    NO_LINK = "a page of the list without any link"
    NOT_FOUND = "404 although it is there"
    STUMBLES = "500"
    CONFLICT = "412 because Exchange itself was writing"
    NO_SUCH_MAILBOX = "404 ErrorInvalidUser at random"


STATUS: Mapping[Fault, tuple[int, str]] = {
    Fault.THROTTLED: (429, "TooManyRequests"),
    Fault.BUSY: (503, "serviceNotAvailable"),
    Fault.BUSY_AFTER: (503, "serviceNotAvailable"),
    Fault.GATEWAY_TIMEOUT: (504, "UnknownError"),
    Fault.GATEWAY_TIMEOUT_AFTER: (504, "UnknownError"),
    Fault.TOKEN_EXPIRED: (401, "InvalidAuthenticationToken"),
    Fault.RESET: (410, "syncStateNotFound"),
    Fault.RESET_AS_400: (400, "syncStateNotFound"),
    Fault.NOT_FOUND: (404, "ErrorItemNotFound"),
    Fault.STUMBLES: (500, "ErrorInternalServerError"),
    Fault.CONFLICT: (412, "ErrorIrresolvableConflict"),
    Fault.NO_SUCH_MAILBOX: (404, "ErrorInvalidUser"),
}
DONE = {
    Fault.BUSY_AFTER,
    Fault.GATEWAY_TIMEOUT_AFTER,
    Fault.DROPPED_AFTER,
    Fault.SILENT_AFTER,
    Fault.CUT_JSON_AFTER,
    Fault.SHORT_AFTER,
    Fault.NO_LINK,
}


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


@dataclass
class Item:
    number: int
    raw: bytes
    folder: str
    received_at: datetime
    is_draft: bool = False
    submitted: bool = False
    unreadable: bool = False
    account: str = ""
    """Who handed the mail in, signed in at Exchange; empty for mail from outside."""
    conversation: int = 0
    is_read: bool = False
    categories: list[str] = field(default_factory=list)
    bcc: list[str] = field(default_factory=list)
    files: list[tuple[str, bytes]] = field(default_factory=list)
    changes: int = 0

    @property
    def ordinary_id(self) -> str:
        return f"AAMk{self.number}-{self.folder}="

    @property
    def immutable_id(self) -> str:
        return f"AAkA{self.number:06d}AAA="

    @property
    def change_key(self) -> str:
        return f"CQAAABYA{self.number}/{self.changes}"

    @property
    def headers(self) -> Any:
        return BytesHeaderParser(policy=policy.compat32).parsebytes(self.raw.partition(b"\r\n\r\n")[0])

    @property
    def message_id(self) -> str:
        return str(self.headers["Message-ID"] or f"<made-up-{self.number}@outlook.example>").strip()

    @property
    def extended(self) -> dict[str, str]:
        """MAPI properties, each under its name as Graph writes it: without leading zeros, in lower case."""
        author = parseaddr(str(self.headers["From"] or ""))[1]
        held = {
            "Integer 0xe07": str(1 | 4 * self.submitted | 8 * self.is_draft),
            "String 0x1042": str(self.headers["In-Reply-To"] or "").strip(),
            "String 0xc1e": "EX" if self.account else "SMTP",
            "String 0x5d01": self.account or author,
        }
        return {name: value for name, value in held.items() if value}

    def rename(self, message_id: str) -> None:
        self.raw = re.sub(rb"(?m)^Message-ID: .*?\r$", f"Message-ID: {message_id}\r".encode(), self.raw)


@dataclass(frozen=True)
class Accepted:
    """A mail that has left: nothing takes it back."""

    message_id: str
    raw: bytes
    recipients: frozenset[str]
    files: tuple[tuple[str, bytes], ...]


@dataclass
class GraphServer:
    port: int
    root: Path
    secret: str = SECRET
    certificate: bytes | None = None
    """The PEM certificate of the app registration, when one has been uploaded."""
    token_faults: dict[str, Any] = field(default_factory=dict)
    refusals: dict[str, Refused] = field(default_factory=dict)
    """What is refused every time, by the name of the call."""
    most_a_page: int = 1000
    filing_takes_s: float = 0
    """How long an accepted mail still looks like a draft, as on a busy server."""
    rewrites_message_ids: bool = False
    heeds_if_match: bool = True
    """Nowhere promised for mail."""
    lists_dates: bool = True
    links_lead_to: str = ""
    """Another server, as a forged answer would name it."""
    items: list[Item] = field(default_factory=list)
    folders: dict[str, tuple[str, str]] = field(default_factory=lambda: {k: (v, "") for k, v in WELL_KNOWN.items()})
    """Name on screen and parent of each folder; a parent without a name is the top of the mailbox."""
    log: list[tuple[str, int]] = field(default_factory=list)
    """What happened in the inbox: created, updated or removed, and the number of the mail."""
    accepted: list[Accepted] = field(default_factory=list)
    leaving: list[Item] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    faults: dict[str, deque[Fault | None]] = field(default_factory=dict)
    interruptions: dict[str, deque[Callable[[], None]]] = field(default_factory=dict)
    uploads: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def ca_file(self) -> Path:
        return self.root / "cert.pem"

    @property
    def authority(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def base_url(self) -> str:
        return f"https://localhost:{self.port}/v1.0"

    def deliver(
        self, raw: bytes, *, unreadable: bool = False, received_at: datetime | None = None, account: str = ""
    ) -> Item:
        number = next(self.numbers)
        at = received_at or datetime.now(UTC)
        item = Item(number, raw, "inbox", at, unreadable=unreadable, account=account, conversation=number)
        self.items.append(item)
        self.log.append(("created", number))
        return item

    def staff_sent(self, raw: bytes) -> None:
        self.items.append(Item(next(self.numbers), raw, "sentitems", datetime.now(UTC), account=MAILBOX))

    def make_folder(self, name: str, *, inside: str = "") -> str:
        key = f"folder{next(self.numbers)}"
        self.folders[key] = (name, inside)
        return key

    def move(self, item: Item, folder: str) -> None:
        """What staff do in Outlook: the ordinary id ends, the immutable one stays."""
        was, item.folder = item.folder, folder
        item.changes += 1
        if "inbox" in (was, folder):
            self.log.append(("created" if folder == "inbox" else "removed", item.number))

    def touch(self, item: Item) -> None:
        item.changes += 1
        if item.folder == "inbox":
            self.log.append(("updated", item.number))

    def delete(self, item: Item) -> None:
        self.items.remove(item)
        if item.folder == "inbox":
            self.log.append(("removed", item.number))

    def in_folder(self, folder: str) -> list[Item]:
        self.settle()
        return [item for item in self.items if item.folder == folder]

    def misbehave(self, call: str, *faults: Fault | None) -> None:
        """The next answers to this call go wrong in this order; None is a sound one."""
        self.faults.setdefault(call, deque()).extend(faults)

    def meanwhile(self, call: str, does: Callable[[], None]) -> None:
        """What a colleague does in the moment before the next such call takes effect."""
        self.interruptions.setdefault(call, deque()).append(does)

    def withdraw_tokens(self) -> None:
        self.tokens.clear()

    def numbered(self, number: int) -> Item | None:
        at = bisect_left(self.items, number, key=lambda item: item.number)
        return self.items[at] if at < len(self.items) and self.items[at].number == number else None

    def submit(self, item: Item) -> None:
        item.submitted, item.received_at = True, datetime.now(UTC)
        item.changes += 1
        self.leaving.append(item)
        self.settle()

    def settle(self) -> None:
        """Accepted mail goes from Drafts to Sent when its time has come."""
        with self.lock:
            for item in list(self.leaving):
                if (datetime.now(UTC) - item.received_at).total_seconds() >= self.filing_takes_s:
                    item.folder, item.is_draft, item.submitted = "sentitems", False, False
                    self.leaving.remove(item)
