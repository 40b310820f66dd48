"""Every kind of mailbox, each with a way to put mail into it from the outside."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from connectors.base import LARGEST_MAIL_BYTES, Mailbox
from connectors.exchange import ExchangeMailbox
from connectors.folder import FolderMailbox
from connectors.graph import GraphMailbox
from connectors.imap import ImapMailbox
from connectors.smtp import Smtp
from tests import ews_server, graph_server, servers


class Kind(Protocol):
    @property
    def mailbox(self) -> Mailbox: ...

    def deliver(self, raw: bytes) -> None: ...

    def deliver_unreadable(self) -> None: ...

    def state(self) -> object:
        """Everything about the inbox that reading must leave alone."""
        ...

    def sent(self) -> list[bytes]: ...


@dataclass
class OnDisk:
    """A folder of .eml files or a Maildir: `inbox` is where new files go."""

    root: Path
    inbox: Path
    suffix: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def mailbox(self) -> Mailbox:
        return FolderMailbox(self.root / "in", sent_path=self.root / "out")

    def deliver(self, raw: bytes) -> None:
        self._next_path().write_bytes(raw)

    def deliver_unreadable(self) -> None:
        _make_huge(self._next_path())

    def state(self) -> object:
        files = [(path, path.stat()) for path in sorted((self.root / "in").rglob("*"))]
        return [(path, facts.st_mode, facts.st_ino, facts.st_size, facts.st_ctime_ns) for path, facts in files]

    def sent(self) -> list[bytes]:
        return [path.read_bytes() for path in (self.root / "out").iterdir()]

    def _next_path(self) -> Path:
        return self.inbox / f"{next(self._numbers):04d}{self.suffix}"


@dataclass
class Mbox:
    root: Path

    @property
    def mailbox(self) -> Mailbox:
        return FolderMailbox(self._file, sent_path=self.root / "out")

    @property
    def _file(self) -> Path:
        return self.root / "inbox"

    def deliver(self, raw: bytes) -> None:
        with self._file.open("ab") as file:
            file.write(b"From resident@post.example Sat Nov 21 10:00:00 2026\n" + raw + b"\n")

    def deliver_unreadable(self) -> None:
        self.deliver(b"Subject: huge\r\n")
        _make_huge(self._file)
        with self._file.open("ab") as file:
            file.write(b"\n\n")

    def state(self) -> object:
        return self._file.read_bytes(), self._file.stat().st_mtime_ns

    def sent(self) -> list[bytes]:
        return [path.read_bytes() for path in (self.root / "out").iterdir()]


@dataclass
class Imap:
    server: servers.Dovecot
    smtp: servers.SmtpServer

    @property
    def mailbox(self) -> Mailbox:
        inbox, smtp = self.server, self.smtp
        outgoing = Smtp(smtp.host, smtp.port, timeout_s=10, ca_file=inbox.ca_file)
        return ImapMailbox(
            inbox.host, inbox.port, inbox.user, inbox.password, smtp=outgoing, timeout_s=10, ca_file=inbox.ca_file
        )

    def deliver(self, raw: bytes) -> None:
        self.server.deliver(raw)

    def deliver_unreadable(self) -> None:
        self.server.spoil(self.server.deliver(b"Subject: spoilt\r\n\r\n"))

    def state(self) -> object:
        return self.server.flags()

    def sent(self) -> list[bytes]:
        return [raw.replace(b"\n", b"\r\n") for raw in self.server.sent()]


@dataclass
class Exchange:
    server: ews_server.EwsServer

    @property
    def mailbox(self) -> Mailbox:
        server = self.server
        return ExchangeMailbox(
            "localhost",
            ews_server.SHARED,
            user=ews_server.USER,
            password=server.password,
            auth="basic",
            port=server.port,
            timeout_s=10,
            ca_file=server.ca_file,
        )

    def deliver(self, raw: bytes) -> None:
        self.server.deliver(raw)

    def deliver_unreadable(self) -> None:
        self.server.deliver(b"Subject: spoilt\r\n\r\n", unreadable=True)

    def state(self) -> object:
        return [(item.item_id, item.folder, item.raw) for item in self.server.items], list(self.server.log)

    def sent(self) -> list[bytes]:
        return [item.raw for item in self.server.in_folder("sentitems")]


@dataclass
class Graph:
    server: graph_server.GraphServer

    @property
    def mailbox(self) -> Mailbox:
        server = self.server
        return GraphMailbox(
            graph_server.TENANT,
            graph_server.CLIENT_ID,
            graph_server.MAILBOX,
            client_secret=server.secret,
            authority=server.authority,
            base_url=server.base_url,
            timeout_s=10,
            ca_file=server.ca_file,
        )

    def deliver(self, raw: bytes) -> None:
        self.server.deliver(raw)

    def deliver_unreadable(self) -> None:
        self.server.deliver(b"Subject: spoilt\r\n\r\n", unreadable=True)

    def state(self) -> object:
        return [(item.immutable_id, item.folder, item.raw) for item in self.server.items], list(self.server.log)

    def sent(self) -> list[bytes]:
        return [item.raw for item in self.server.in_folder("sentitems")]


def eml_folder(root: Path) -> Kind:
    (root / "in").mkdir(exist_ok=True)
    return OnDisk(root, root / "in", ".eml")


def maildir(root: Path) -> Kind:
    for part in ("new", "cur", "tmp"):
        (root / "in" / part).mkdir(parents=True)
    return OnDisk(root, root / "in" / "new", ".M1.test")


def mbox(root: Path) -> Kind:
    (root / "inbox").touch()
    return Mbox(root)


@contextmanager
def imap(server: servers.Dovecot) -> Iterator[Kind]:
    with servers.smtp_server(inbox=server, certificate_in=server.root) as smtp:
        yield Imap(server, smtp)


@contextmanager
def exchange(root: Path) -> Iterator[Kind]:
    with ews_server.ews_server(root) as server:
        yield Exchange(server)


@contextmanager
def graph(root: Path) -> Iterator[Kind]:
    with graph_server.graph_server(root) as server:
        yield Graph(server)


def _make_huge(path: Path) -> None:
    """A hole in a file costs nothing on disk."""
    with path.open("ab") as file:
        file.truncate(file.tell() + LARGEST_MAIL_BYTES + 1)
