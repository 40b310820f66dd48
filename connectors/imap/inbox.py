"""Reads the folder that residents write to, oldest mail first, and leaves no trace in it.

It must never open the folder for writing, and never let one mail that cannot be fetched stop the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime
from typing import Any

from imapclient import IMAPClient  # type: ignore[import-untyped]

from connectors.base import LARGEST_MAIL_BYTES, Cursor, Fetched, Unreadable
from connectors.errors import Transient
from connectors.imap.session import Login, examine, is_busy, signed_in

# imaplib gives up on a line of more than 1,000,000 bytes; this many UIDs with their spaces stay well below.
UIDS_A_SEARCH = 50_000
# What STATUS says of a folder in which nothing has happened is the same as before (RFC 7162, 3.1.2).
_WITNESSES = {b"UIDVALIDITY": "uidvalidity", b"UIDNEXT": "uidnext", b"HIGHESTMODSEQ": "modseq", b"MESSAGES": "mails"}


class Inbox:
    """Signed in when it is made; opened read-only when it is read, and anew when a mail breaks the connection."""

    def __init__(self, login: Login, folder: str, since: date | None, connection: ExitStack) -> None:
        self._login, self._folder, self._since, self._connection = login, folder, since, connection
        self._sign_in()
        self._uidvalidity = self._restarts = 0

    def mails_after(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        witnesses = self._witnesses()
        if witnesses and witnesses.items() <= cursor.items():
            return
        uids = self._uids_after(self._open(cursor))
        for uid, is_last in _with_last(uids):
            # Only behind the last mail is everything read that was there when the witnesses were asked.
            mail = self._mail(uid, {**witnesses, **self._cursor(uid)} if is_last else self._cursor(uid))
            if mail is not None:
                yield mail

    def count(self) -> int:
        self._open({})
        return int(self._opened[b"EXISTS"])

    def newest(self) -> Fetched | Unreadable | None:
        uid = self._highest()
        return self._mail(uid, self._cursor(uid)) if uid else None

    @property
    def client(self) -> IMAPClient:
        return self._client

    def _sign_in(self) -> None:
        self._connection.close()
        self._client = self._connection.enter_context(signed_in(self._login))

    def _witnesses(self) -> dict[str, int]:
        """Several numbers that would all have to be wrong before a new mail went unseen; none without CONDSTORE."""
        if not self._client.has_capability("CONDSTORE"):
            return {}
        try:
            status = self._client.folder_status(self._folder, list(_WITNESSES))
        except IMAPClient.AbortError:
            raise
        except IMAPClient.Error as refusal:
            if is_busy(refusal):
                raise
            return {}  # opening it will say what is wrong with it
        told = {name: int(status[key]) for key, name in _WITNESSES.items() if key in status}
        # HIGHESTMODSEQ 0: this folder keeps none.
        return told if len(told) == len(_WITNESSES) and told["modseq"] else {}

    def _open(self, cursor: Cursor) -> int:
        """Open the folder. Returns the UID behind which reading goes on."""
        self._opened: dict[bytes, Any] = examine(self._client, self._folder)
        before = int(cursor.get("uidvalidity", 0))
        # A server that for once does not tell it must not have everything read a second time.
        self._uidvalidity = int(self._opened.get(b"UIDVALIDITY", before))
        if self._uidvalidity != before:  # the old UIDs say nothing any more (RFC 3501, 2.3.1.1)
            return 0
        self._restarts, known = int(cursor.get("restarts", 0)), int(cursor.get("uid", 0))
        if not self._counts_anew(known):
            return known
        self._restarts += 1
        return 0

    def _counts_anew(self, known: int) -> bool:
        """Some servers begin again at UID 1 in an emptied folder and do not say so by another UIDVALIDITY."""
        next_uid = int(self._opened.get(b"UIDNEXT", known + 1))
        return next_uid <= known and self._highest() < next_uid

    def _highest(self) -> int:
        return max(self._client.search(["UID", "*"]), default=0)

    def _open_again(self) -> None:
        self._sign_in()
        self._opened = examine(self._client, self._folder)
        if self._opened.get(b"UIDVALIDITY", self._uidvalidity) != self._uidvalidity:
            raise Transient(f"The folder {self._folder} was numbered anew while it was read.")

    def _uids_after(self, known: int) -> Iterator[int]:
        since = ["SINCE", self._since] if self._since else []
        for uids in self._windows(known):
            found = self._client.search(["UID", uids, *since])
            # `5:*` also names the last mail of a folder when its UID is below 5 (RFC 3501, 6.4.8).
            yield from sorted(uid for uid in found if uid > known)

    def _windows(self, known: int) -> Iterator[str]:
        """UID ranges that cover everything after `known`."""
        first, last = known + 1, self._opened.get(b"UIDNEXT")
        while last is not None and first + UIDS_A_SEARCH < last:
            yield f"{first}:{first + UIDS_A_SEARCH - 1}"
            first += UIDS_A_SEARCH
        yield f"{first}:*"

    def _mail(self, uid: int, cursor: Cursor) -> Fetched | Unreadable | None:
        """None when the mail has been moved or deleted meanwhile."""
        for _ in range(2):
            try:
                return self._fetched(uid, cursor)
            except (IMAPClient.AbortError, OSError):
                # Dovecot hangs up on a mail that it cannot read itself; so may a bad network, hence once more.
                self._open_again()
        return self._unreadable(uid, cursor, "The mail server breaks off the connection whenever this mail is fetched.")

    def _fetched(self, uid: int, cursor: Cursor) -> Fetched | Unreadable | None:
        try:
            facts = self._client.fetch(uid, ["RFC822.SIZE", "INTERNALDATE"]).get(uid)
            if facts is not None and facts.get(b"RFC822.SIZE", 0) > LARGEST_MAIL_BYTES:
                return self._unreadable(uid, cursor, "The mail is too large to be read.")
            body = self._client.fetch(uid, ["BODY.PEEK[]"]).get(uid)
        except IMAPClient.AbortError:
            raise
        except IMAPClient.Error as refusal:
            if is_busy(refusal):
                raise
            if "[EXPUNGEISSUED]" in str(refusal):  # RFC 5530: deleted a moment ago
                return None
            return self._unreadable(uid, cursor, "The mail server does not hand this mail over.")
        if facts is None or body is None:
            return None
        raw = body.get(b"BODY[]")
        if not isinstance(raw, bytes):
            return self._unreadable(uid, cursor, "The mail server hands over this mail without its content.")
        arrived: datetime | None = facts.get(b"INTERNALDATE")
        return Fetched(self._remote_id(uid), raw, arrived and arrived.astimezone(UTC), cursor)

    def _unreadable(self, uid: int, cursor: Cursor, sentence: str) -> Unreadable:
        return Unreadable(self._remote_id(uid), f"{sentence} Open it in a mail program (UID {uid}).", cursor)

    def _remote_id(self, uid: int) -> str:
        numbering = f"{self._uidvalidity}.{self._restarts}" if self._restarts else self._uidvalidity
        return f"{self._folder}/{numbering}/{uid}"

    def _cursor(self, uid: int) -> Cursor:
        restarts: Cursor = {"restarts": self._restarts} if self._restarts else {}
        return {"uidvalidity": self._uidvalidity, "uid": uid, **restarts}


def _with_last(uids: Iterator[int]) -> Iterator[tuple[int, bool]]:
    ahead = next(uids, None)
    while ahead is not None:
        uid, ahead = ahead, next(uids, None)
        yield uid, ahead is None
