"""Every kind of mailbox, each with a way to put mail into it from the outside."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from imapclient import DRAFT, SEEN, IMAPClient  # type: ignore[import-untyped]

from connectors.base import LARGEST_MAIL_BYTES, Mailbox, Mark
from connectors.categories import named
from connectors.exchange.mailbox import ExchangeMailbox
from connectors.folder.mailbox import FolderMailbox
from connectors.graph.mailbox import GraphMailbox
from connectors.imap.folders import KEYWORDS
from connectors.imap.mailbox import ImapMailbox
from connectors.imap.smtp import Smtp
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

    def staff_sent(self, raw: bytes) -> None:
        """A colleague has sent a mail of their own from the mailbox."""
        ...


class OfStaff(Kind, Protocol):
    """A mailbox that staff have open in a mail program of their own."""

    def marks(self, subject: str, folder: str = "inbox") -> set[Mark]:
        """Our marks on the mail with this subject."""
        ...

    def labels(self, subject: str) -> set[str]:
        """Every category or keyword on a mail in the inbox."""
        ...

    def label(self, subject: str, label: str) -> None: ...

    def is_read(self, subject: str) -> bool: ...

    def delete(self, subject: str) -> None: ...

    def make_folder(self, name: str) -> None: ...

    def subjects(self, folder: str) -> list[str]: ...

    def drafts(self) -> list[bytes]:
        """What lies in Drafts, with CRLF line ends."""
        ...

    def edit_draft(self, text: bytes) -> None:
        """A colleague replaces the text of the only draft, as their mail program does it."""
        ...


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

    def staff_sent(self, raw: bytes) -> None:
        _put_into(self.root / "out", raw)

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

    def staff_sent(self, raw: bytes) -> None:
        _put_into(self.root / "out", raw)


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

    def staff_sent(self, raw: bytes) -> None:
        with self.server.colleague() as program:
            program.append(servers.SENT_FOLDER, raw, flags=[SEEN])

    def marks(self, subject: str, folder: str = "inbox") -> set[Mark]:
        names = {name: mark for mark, name in KEYWORDS.items()}
        return {names[label] for label in self._flags(subject, folder) if label in names}

    def labels(self, subject: str) -> set[str]:
        return {flag for flag in self._flags(subject) if not flag.startswith("\\")}

    def label(self, subject: str, label: str) -> None:
        with self._opened("inbox") as program:
            program.add_flags(program.search(["SUBJECT", subject]), [label])

    def is_read(self, subject: str) -> bool:
        return "\\Seen" in self._flags(subject)

    def delete(self, subject: str) -> None:
        with self._opened("inbox") as program:
            _expunge(program, program.search(["SUBJECT", subject]))

    def make_folder(self, name: str) -> None:
        with self.server.colleague() as program:
            program.create_folder(name)

    def subjects(self, folder: str) -> list[str]:
        with self._opened(folder) as program:
            mails = program.fetch(program.search(), ["ENVELOPE"]) if program.search() else {}
            return [mail[b"ENVELOPE"].subject.decode() for mail in mails.values()]

    def drafts(self) -> list[bytes]:
        return [raw.replace(b"\n", b"\r\n") for raw in self.server.drafts()]

    def edit_draft(self, text: bytes) -> None:
        """No mail changes in IMAP: a mail program puts another in its place."""
        with self._opened(servers.DRAFTS_FOLDER) as program:
            (uid,) = program.search()
            head = program.fetch(uid, ["BODY.PEEK[HEADER]"])[uid][b"BODY[HEADER]"]
            program.append(servers.DRAFTS_FOLDER, head + text + b"\r\n", flags=[DRAFT, SEEN])
            _expunge(program, [uid])

    def _flags(self, subject: str, folder: str = "inbox") -> set[str]:
        with self._opened(folder) as program:
            (uid,) = program.search(["SUBJECT", subject])
            return {flag.decode() for flag in program.get_flags(uid)[uid]}

    @contextmanager
    def _opened(self, folder: str) -> Iterator[IMAPClient]:
        with self.server.colleague() as program:
            program.select_folder(folder)
            yield program


def _expunge(program: IMAPClient, uids: list[int]) -> None:
    program.delete_messages(uids)
    program.uid_expunge(uids)


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

    def staff_sent(self, raw: bytes) -> None:
        self.server.save(raw, ews_server.SHARED, "sentitems", 0x01)

    def marks(self, subject: str, folder: str = "inbox") -> set[Mark]:
        item = self._mail(subject, self.server.place_of(folder))
        return {mark for mark, name in named({}).items() if name in item.categories}

    def labels(self, subject: str) -> set[str]:
        return set(self._mail(subject).categories)

    def label(self, subject: str, label: str) -> None:
        item = self._mail(subject)
        self.server.change(item, [*item.categories, label])

    def is_read(self, subject: str) -> bool:
        return self._mail(subject).is_read

    def delete(self, subject: str) -> None:
        self.server.delete(self._mail(subject))

    def make_folder(self, name: str) -> None:
        self.server.make_folder(name)

    def subjects(self, folder: str) -> list[str]:
        return [item.header("Subject") for item in self.server.in_folder(self.server.place_of(folder))]

    def drafts(self) -> list[bytes]:
        return [item.raw for item in self.server.in_folder("drafts")]

    def edit_draft(self, text: bytes) -> None:
        (draft,) = self.server.in_folder("drafts")
        self.server.edit(draft, draft.raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + text + b"\r\n")

    def _mail(self, subject: str, folder: str = "inbox") -> ews_server.Item:
        (found,) = (item for item in self.server.in_folder(folder) if item.header("Subject") == subject)
        return found


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
        items = [(item.immutable_id, item.folder, item.raw, item.change_key) for item in self.server.items]
        return items, list(self.server.log)

    def sent(self) -> list[bytes]:
        return [item.raw for item in self.server.in_folder("sentitems")]

    def staff_sent(self, raw: bytes) -> None:
        self.server.staff_sent(raw)

    def marks(self, subject: str, folder: str = "inbox") -> set[Mark]:
        ours = {
            "Kommunpost: triaged": Mark.TRIAGED,
            "Kommunpost: waiting for review": Mark.WAITING,
            "Kommunpost: answered": Mark.ANSWERED,
        }
        return {ours[name] for name in self._item(subject, folder).categories if name in ours}

    def labels(self, subject: str) -> set[str]:
        return set(self._item(subject).categories)

    def label(self, subject: str, label: str) -> None:
        item = self._item(subject)
        item.categories = [*item.categories, label]
        self.server.touch(item)

    def is_read(self, subject: str) -> bool:
        return self._item(subject).is_read

    def delete(self, subject: str) -> None:
        self.server.delete(self._item(subject))

    def make_folder(self, name: str) -> None:
        self.server.make_folder(name)

    def subjects(self, folder: str) -> list[str]:
        return [str(item.headers["Subject"]) for item in self._items(folder)]

    def drafts(self) -> list[bytes]:
        return [item.raw for item in self.server.in_folder("drafts")]

    def edit_draft(self, text: bytes) -> None:
        (draft,) = self.server.in_folder("drafts")
        draft.raw = draft.raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + text + b"\r\n"
        self.server.touch(draft)

    def _item(self, subject: str, folder: str = "inbox") -> graph_server.Item:
        (item,) = [item for item in self._items(folder) if item.headers["Subject"] == subject]
        return item

    def _items(self, folder: str) -> list[graph_server.Item]:
        keys = [key for key, (shown, _) in self.server.folders.items() if folder in (key, shown)]
        return [item for key in keys for item in self.server.in_folder(key)]


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
def imap(server: servers.Dovecot) -> Iterator[OfStaff]:
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


def _put_into(folder: Path, raw: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"by-hand-{sum(1 for _ in folder.iterdir())}.eml").write_bytes(raw)


def _make_huge(path: Path) -> None:
    """A hole in a file costs nothing on disk."""
    with path.open("ab") as file:
        file.truncate(file.tell() + LARGEST_MAIL_BYTES + 1)
