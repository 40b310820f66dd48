"""Reads an mbox file mail by mail, however large the file, and says where each mail begins."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from connectors.base import LARGEST_MAIL_BYTES

# RFC 4155: "From ", an address, a date. A paragraph of the mail that begins with "From " has no time of day in it.
_SEPARATOR = re.compile(rb"From .{0,120}\d\d:\d\d.{0,40}\d{4}")
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """One mail of the file. `raw` is None when the mail is larger than LARGEST_MAIL_BYTES."""

    start: int
    raw: bytes | None
    sha256: str


def parts(file: BinaryIO, start: int = 0) -> Iterator[Part]:
    """Yield the mails from the byte `start` on, which must be the beginning of a mail."""
    file.seek(start)
    part: _Growing | None = None
    for offset, line, may_separate in _lines(file, start):
        if may_separate and _SEPARATOR.match(line):
            if part is not None:
                yield part.finished()
            part = _Growing(offset)
        elif part is not None:
            part.add(line)
    if part is not None:
        yield part.finished()


def _lines(file: BinaryIO, offset: int) -> Iterator[tuple[int, bytes, bool]]:
    """Lines, a very long one in pieces, each with the word whether a new mail may begin there."""
    at_line_start = after_blank = True
    while line := file.readline(_PIECE_BYTES):
        yield offset, line, at_line_start and after_blank
        offset += len(line)
        after_blank = at_line_start and line in (b"\n", b"\r\n")
        at_line_start = line.endswith(b"\n")


class _Growing:
    """A mail while its lines come in. A blank line at its end belongs to the file, so it waits for a next line."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._blank_line = b""
        self._raw = bytearray()
        self._size = 0
        self._hash = hashlib.sha256()

    def add(self, line: bytes) -> None:
        if line in (b"\n", b"\r\n"):
            line, self._blank_line = self._blank_line, line
        else:
            line, self._blank_line = self._blank_line + line, b""
        self._size += len(line)
        self._hash.update(line)
        if self._size <= LARGEST_MAIL_BYTES:
            self._raw += line
        else:
            self._raw.clear()

    def finished(self) -> Part:
        raw = bytes(self._raw) if self._size <= LARGEST_MAIL_BYTES else None
        return Part(self._start, raw, self._hash.hexdigest())
