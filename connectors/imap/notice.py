"""Waits in a folder until its server says that mail has come: by IDLE (RFC 2177), or by asking where there is none.

It must never wait without a deadline: Office 365 stops answering after an hour or two, even to the end of IDLE
(mjs/imapclient 349, 403, 565).
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from socket import socket

from imapclient import IMAPClient  # type: ignore[import-untyped]

from connectors.imap.session import examine

# Gateways drop a connection on which nothing is said, some after ten minutes; RFC 2177 allows 29.
ROUND_S = 9 * 60.0
ASK_EVERY_S = 30.0
_LONGEST_LINE = 2**16
_CHANGE = re.compile(rb"\* (\d+) (EXISTS|EXPUNGE)\s*", re.IGNORECASE)


class Listener:
    def __init__(self, client: IMAPClient, folder: str, timeout_s: float) -> None:
        self._client, self._folder, self._timeout_s = client, folder, timeout_s
        self._idles = client.has_capability("IDLE")
        self._mails = self._next_uid = 0
        self._ask()
        self._rest = b""

    def hears_of_mail(self, until: float) -> bool:
        """Whether mail came before `until`, by the monotonic clock. Each round ends with a plain question, because
        some servers say nothing in IDLE."""
        while (left_s := until - time.monotonic()) > 0:
            if not self._idles:
                time.sleep(min(left_s, ASK_EVERY_S))
            elif self._idle(time.monotonic() + min(left_s, ROUND_S)):
                return True
            if self._ask():
                return True
        return False

    def _ask(self) -> bool:
        """Open the folder anew and compare. A NOOP would leave out what has once been said and was lost."""
        opened = examine(self._client, self._folder)
        before = self._mails, self._next_uid
        self._mails, self._next_uid = int(opened[b"EXISTS"]), int(opened.get(b"UIDNEXT", 0))
        return self._mails > before[0] or self._next_uid > before[1]

    def _idle(self, until: float) -> bool:
        connection: socket | ssl.SSLSocket = self._client.socket()
        tag: bytes = self._client._imap._new_tag()
        try:
            connection.sendall(tag + b" IDLE\r\n")
            came = False
            for line in self._lines(connection, until):
                if line.startswith(tag):  # refused
                    self._idles = False
                    return False
                if self._tells_of_mail(line):
                    came = True
                    break
            return self._end(connection, tag) or came
        finally:
            connection.settimeout(self._timeout_s)

    def _end(self, connection: socket, tag: bytes) -> bool:
        connection.settimeout(self._timeout_s)
        connection.sendall(b"DONE\r\n")
        came = False
        for line in self._lines(connection, time.monotonic() + self._timeout_s):
            if line.startswith(tag):
                return came
            came = self._tells_of_mail(line) or came
        raise TimeoutError

    def _lines(self, connection: socket, until: float) -> Iterator[bytes]:
        """Whole lines, until then. Read from the socket itself: imapclient's idle_check overlooks what came in one
        packet with the answer to IDLE, and takes a broken connection for silence."""
        while (left_s := until - time.monotonic()) > 0:
            *lines, self._rest = self._rest.split(b"\n")
            yield from lines
            connection.settimeout(left_s)
            try:
                part = connection.recv(4096)
            except TimeoutError:
                return
            if not part or len(self._rest) > _LONGEST_LINE:
                raise ConnectionError
            self._rest += part

    def _tells_of_mail(self, line: bytes) -> bool:
        """EXPUNGE and flags are no mail; a mail that came while another went is."""
        change = _CHANGE.fullmatch(line)
        if change is None:
            return False
        before = self._mails
        self._mails = int(change[1]) if change[2].upper() == b"EXISTS" else before - 1
        return self._mails > before
