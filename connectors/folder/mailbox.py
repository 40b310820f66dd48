"""A mailbox on disk: a folder of .eml files, a Maildir, an mbox file or one single mail; for trials and development.

It must never change or move what it reads. What it sends it only writes down as a file.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import KW_ONLY
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pydantic.dataclasses import dataclass

from connectors.base import LARGEST_MAIL_BYTES, SETTINGS, Cursor, Envelope, Fetched, Finding, Unreadable
from connectors.errors import ConnectorError, Permanent, Transient
from connectors.folder import mbox
from connectors.message_id import checked, message_id_of

# Linux stamps files in ticks of up to 10 ms. What is younger than this when reading starts waits for the next
# reading, because a file of the same tick could still come in behind the cursor.
_SETTLING_S = 0.05


class _File(NamedTuple):
    """The time of its last change (ctime) is when a file came: unlike mtime it is also new after `cp -p` and `mv`."""

    changed_ns: int
    name: str
    path: Path


@dataclass(frozen=True, config=SETTINGS)
class FolderMailbox:
    path: Path
    _: KW_ONLY
    sent_path: Path | None = None

    def fetch_since(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        try:
            yield from self._mbox_since(cursor) if self._is_mbox() else self._files_since(cursor)
        except FileNotFoundError:
            raise Permanent(f"{self.path} does not exist: correct path.") from None
        except OSError as failure:
            raise Transient(f"{self.path} cannot be read ({failure.strerror}): let this user read it.") from None

    def send(self, raw: bytes, envelope: Envelope) -> None:
        if self.sent_path is None:
            raise Permanent("This folder is only read, nothing is sent from it: set sent_path.")
        if not envelope.recipients:
            raise Permanent("The reply has no recipient: nothing was sent.")
        # The time keeps two sendings of one reply apart, as two residents' mailboxes would.
        name = f"{_file_stem(message_id_of(raw))}-{time.time_ns()}.eml"
        try:
            _write_atomically(self.sent_path / name, raw)
        except OSError as failure:
            raise Transient(f"{self.sent_path} cannot be written to ({failure.strerror}).") from None

    def file_sent(self, raw: bytes) -> None:
        """Nothing to do: `send` has put the reply where sent mail is kept."""

    def was_sent(self, message_id: str) -> bool:
        stem = _file_stem(checked(message_id))
        return self.sent_path is not None and any(self.sent_path.glob(f"{stem}-*.eml"))

    def replies_to(self, message_id: str) -> frozenset[str]:
        wanted = checked(message_id)
        if self.sent_path is None:
            return frozenset()
        return frozenset(answer for path in self.sent_path.glob("*.eml") for answer in _answers(path, wanted))

    def check(self) -> Iterator[Finding]:
        try:
            first = next(self.fetch_since({}), None)
        except ConnectorError as error:
            yield Finding(False, error.sentence)
        else:
            yield _finding_on(first, self.path)
        if self.sent_path is None:
            yield Finding(True, "Nothing is sent from here: sent_path is not set.", needed_to="send")
        elif os.access(_nearest_existing(self.sent_path), os.W_OK):
            yield Finding(True, f"Replies are written to {self.sent_path}.", needed_to="send")
        else:
            remedy = "Give this user the right to write there."
            yield Finding(False, f"{self.sent_path} may not be written to.", remedy, needed_to="send")

    def _is_mbox(self) -> bool:
        if self.path.is_dir() or self.path.suffix.lower() == ".eml":
            return False
        with self.path.open("rb") as file:
            return file.read(5) in (b"From ", b"")

    def _mbox_since(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        with self.path.open("rb") as file:
            last_read = next(mbox.parts(file, int(cursor["start"])), None) if cursor else None
            # A file that was rewritten meanwhile is read from its beginning: its mails are new, or known by content.
            unchanged = last_read is not None and last_read.sha256 == cursor["sha256"]
            parts = mbox.parts(file, last_read.start if last_read and unchanged else 0)
            for part in islice(parts, 1 if unchanged else 0, None):
                yield self._mail_in_mbox(part)

    def _mail_in_mbox(self, part: mbox.Part) -> Fetched | Unreadable:
        remote_id = f"{self.path.name}:{part.start}:{part.sha256[:16]}"
        here: Cursor = {"start": part.start, "sha256": part.sha256}
        if part.raw is None:
            return Unreadable(remote_id, f"The mail at byte {part.start} of the file is too large to be read.", here)
        return Fetched(remote_id, part.raw, None, here)

    def _files_since(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        read_up_to = (int(cursor.get("changed_ns", 0)), str(cursor.get("name", "")))
        for file in sorted(self._settled_files()):
            if (file.changed_ns, file.name) > read_up_to:
                mail = self._mail_in_file(file)
                if mail is not None:
                    yield mail

    def _settled_files(self) -> list[_File]:
        if not self.path.is_dir():
            return [_File(self.path.stat().st_ctime_ns, self.path.name, self.path)]
        started_ns = time.time_ns()
        time.sleep(_SETTLING_S)
        found = (_file(path) for path in self._paths())
        return [file for file in found if file is not None and file.changed_ns <= started_ns]

    def _paths(self) -> list[Path]:
        if self._is_maildir():
            return [path for folder in ("new", "cur") for path in (self.path / folder).iterdir() if path.name[0] != "."]
        return [path for path in self.path.iterdir() if path.suffix.lower() == ".eml" and path.name[0] != "."]

    def _is_maildir(self) -> bool:
        return (self.path / "new").is_dir() and (self.path / "cur").is_dir()

    def _mail_in_file(self, file: _File) -> Fetched | Unreadable | None:
        here: Cursor = {"changed_ns": file.changed_ns, "name": file.name}
        unreadable_id = f"{file.name}:{file.changed_ns}"
        try:
            facts = file.path.stat()
            if not stat.S_ISREG(facts.st_mode):  # opening a pipe would wait for ever
                return Unreadable(unreadable_id, f"{file.name} is not a file.", here)
            if facts.st_size > LARGEST_MAIL_BYTES:
                return Unreadable(unreadable_id, f"{file.name} is too large to be read.", here)
            raw = file.path.read_bytes()
        except FileNotFoundError:  # moved or deleted meanwhile
            return None
        except OSError as failure:
            return Unreadable(unreadable_id, f"{file.name} cannot be read ({failure.strerror}).", here)
        # Servers that keep a Maildir set mtime to the time of delivery; elsewhere it says nothing.
        received_at = datetime.fromtimestamp(facts.st_mtime, UTC) if self._is_maildir() else None
        return Fetched(f"{file.name}:{hashlib.sha256(raw).hexdigest()[:16]}", raw, received_at, here)


def _file(path: Path) -> _File | None:
    try:
        changed_ns = path.stat().st_ctime_ns
    except FileNotFoundError:
        return None
    # A name need not be text: what is not would be refused by whoever stores the cursor.
    name = os.fsencode(path.name).decode("utf-8", "replace")
    return _File(changed_ns, name.partition(":")[0], path)


def _finding_on(first: Fetched | Unreadable | None, path: Path) -> Finding:
    if isinstance(first, Unreadable):
        return Finding(False, f"{path} opens, but its oldest mail does not: {first.sentence}", "Repair or remove it.")
    if first is None:
        return Finding(True, f"{path} opens and holds no mail.")
    return Finding(True, f"{path} opens and its oldest mail can be read.")


def _file_stem(message_id: str) -> str:
    return hashlib.sha256(message_id.encode()).hexdigest()[:24]


def _answers(path: Path, message_id: str) -> Iterator[str]:
    """The Message-ID of a sent mail that answers the one we look for."""
    with path.open("rb") as file:
        headers = BytesHeaderParser().parse(file)
    if str(headers.get("In-Reply-To", "")).strip() == message_id:
        yield str(headers.get("Message-ID", "")).strip()


def _write_atomically(target: Path, raw: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", suffix=".part") as draft:
        draft.write(raw)
        draft.flush()
        os.fsync(draft.fileno())
        os.link(draft.name, target)
    target.chmod(0o640)


def _nearest_existing(path: Path) -> Path:
    return next(candidate for candidate in (path, *path.parents) if candidate.exists())
