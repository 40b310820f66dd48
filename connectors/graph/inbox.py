"""Reading the inbox of a mailbox in Microsoft 365, page by page and one mail at a time.

It must never let one mail that cannot be fetched stop the next, nor send our token to an address of Graph's choosing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from email.utils import getaddresses
from typing import Any, NamedTuple

import httpx

from connectors.base import LARGEST_MAIL_BYTES, Cursor, Fetched, Unreadable
from connectors.entra import Application
from connectors.errors import Permanent, Refused, Transient
from connectors.graph.api import IMMUTABLE_IDS, BrokenOff, Gone, Graph, answer_in, code_of, listed_in, path_of, refusal
from connectors.graph.search import expanded, property_of
from connectors.message_id import headers_of

_DELTA = "mailFolders/inbox/messages/delta"
# `changeType`: else each mail would come again whenever somebody, or we ourselves, mark it. No `$filter` on the date:
# with one, Graph lists 5,000 mails and says nothing of the others (delta-query-messages, November 2024). No `$expand`:
# the delta query answers 500 when asked for extended properties (microsoft-graph-docs#1993, #2270).
_FIRST_ROUND: Mapping[str, str] = {"changeType": "created", "$select": "receivedDateTime"}
_MAILS_A_PAGE = 200
_LAST = datetime.max.replace(tzinfo=UTC)
# PidTagSenderAddressType and PidTagSenderSmtpAddress. Exchange turns a sender into an account of its own directory (EX)
# only if it was signed in; what came unsigned stays SMTP, whatever stands in From (Microsoft KB 828770).
_SENDER_TYPE, _SENDER_ADDRESS = "String 0x0C1E", "String 0x5D01"
# The cursor with which a round began that brought no mail, and where it ended. Without a mail there is nothing to store
# the new place with, so it is kept in this process: else each reading lists anew all that came before `since`.
_QUIET_ROUNDS: dict[tuple[Application, str, date | None], tuple[Cursor, str]] = {}


class _Listed(NamedTuple):
    remote_id: str
    received_at: datetime | None


class _Page(NamedTuple):
    """Part of a round of the delta query, oldest first. Graph promises no order from page to page."""

    link: str
    mails: tuple[_Listed, ...]
    next_link: str | None
    ends_round: bool

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(mail.remote_id for mail in self.mails).encode()).hexdigest()[:16]

    def cursor_after(self, read: int) -> Cursor:
        if read == len(self.mails) and self.next_link is not None:
            return {"link": self.next_link}
        return {"link": self.link, "mails": self.fingerprint, "read": read}


class Inbox:
    """The folder that residents write to. A link is kept without base_url, so our token never goes elsewhere."""

    def __init__(self, graph: Graph, base_url: str, since: date | None, directory: bool) -> None:
        self._graph = graph
        self._base_url = base_url
        self._since = since
        self._directory = directory
        self._started_over = False
        self._quiet = True

    def mails_after(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        page, read = self._resumed(cursor)
        while True:
            yield from self._mails_on(page, read)
            if page.next_link is None:
                raise Transient("Microsoft 365 broke off its list of mails without a link to the rest.")
            if page.ends_round:
                if self._quiet:
                    _QUIET_ROUNDS[self._whose] = (dict(cursor), page.next_link)
                return
            page, read = self._page(page.next_link), 0

    def count(self) -> int:
        return int(self._graph.read("mailFolders/inbox", {"$select": "totalItemCount"}).get("totalItemCount", 0))

    def newest(self) -> Fetched | Unreadable | None:
        newest_first = {"$top": "1", "$orderby": "receivedDateTime desc", "$select": "receivedDateTime"}
        answer = self._graph.read("mailFolders/inbox/messages", newest_first, Prefer=IMMUTABLE_IDS)
        listed = _listed(answer)
        return self._mail(listed[0], {}) if listed else None

    @property
    def _whose(self) -> tuple[Application, str, date | None]:
        return self._graph.application, self._graph.mailbox, self._since

    def _resumed(self, cursor: Cursor) -> tuple[_Page, int]:
        """The first page to read from, and how many mails on it are read already."""
        began_with, end = _QUIET_ROUNDS.get(self._whose, ({}, ""))
        if end and began_with == cursor:
            return self._page(end), 0
        page = self._page(str(cursor.get("link", "")))
        # A page that lists other mails than before is read from its beginning: no gap, and the store knows the rest.
        return page, int(cursor.get("read", 0)) if page.fingerprint == cursor.get("mails") else 0

    def _page(self, link: str) -> _Page:
        prefer = f"{IMMUTABLE_IDS}, odata.maxpagesize={_MAILS_A_PAGE}"
        path, params = (link, None) if link else (_DELTA, _FIRST_ROUND)
        with self._graph.reading(path, params, Prefer=prefer) as response:
            response.read()
        if response.is_success:
            return self._understood(link, answer_in(response))
        if not _is_reset(response):
            raise refusal(response, "Mail.Read")
        if self._started_over or not link:
            raise Transient("Microsoft 365 loses its place in the list of mails.")
        self._started_over = True
        return self._page("")

    def _understood(self, link: str, answer: Mapping[str, Any]) -> _Page:
        onward = answer.get("@odata.nextLink")
        end = answer.get("@odata.deltaLink")
        next_link = onward or end
        return _Page(link, _listed(answer), self._below_base_url(next_link), ends_round=not onward)

    def _below_base_url(self, link: object) -> str | None:
        if not isinstance(link, str) or not link:
            return None
        if not link.startswith(f"{self._base_url}/"):
            raise Permanent("Microsoft 365 names a place outside base_url: correct base_url.")
        return link.removeprefix(self._base_url)

    def _mails_on(self, page: _Page, read: int) -> Iterator[Fetched | Unreadable]:
        for number, listed in enumerate(page.mails[read:], read + 1):
            mail = self._mail(listed, page.cursor_after(number)) if self._is_wanted(listed) else None
            if mail is not None:
                yield mail

    def _is_wanted(self, listed: _Listed) -> bool:
        # A change that Graph reports beyond what was asked for may come without the date.
        received_at = listed.received_at or (self._received_at(listed.remote_id) if self._since else None)
        is_old = self._since is not None and received_at is not None and received_at.date() < self._since
        self._quiet = self._quiet and is_old
        return not is_old and (self._since is None or received_at is not None)

    def _received_at(self, remote_id: str) -> datetime | None:
        try:
            mail = self._graph.read(path_of(remote_id), {"$select": "receivedDateTime"}, Prefer=IMMUTABLE_IDS)
        except Gone:
            return None
        return _time(mail.get("receivedDateTime"))

    def _mail(self, listed: _Listed, cursor: Cursor) -> Fetched | Unreadable | None:
        """None when the mail has been deleted meanwhile."""
        for _ in range(2):
            try:
                return self._fetched(listed, cursor)
            except BrokenOff:
                self.count()  # raises when it is not this mail that is at fault
        return _unreadable(listed, "Microsoft 365 breaks off whenever this mail is fetched.", cursor)

    def _fetched(self, listed: _Listed, cursor: Cursor) -> Fetched | Unreadable | None:
        with self._graph.reading(f"{path_of(listed.remote_id)}/$value", Prefer=IMMUTABLE_IDS) as response:
            if response.is_success:
                raw = _body(response)
            elif response.status_code == 404:
                return None
            else:
                response.read()
                _raise_unless_about_this_mail(response)
                return _unreadable(listed, "Microsoft 365 does not hand this mail over.", cursor)
        if raw is None:
            return _unreadable(listed, "The mail is too large to be read.", cursor)
        from_directory = self._directory and self._is_from_directory(listed, raw)
        return Fetched(listed.remote_id, raw, listed.received_at, cursor, from_directory)

    def _is_from_directory(self, listed: _Listed, raw: bytes) -> bool:
        asked = {"$select": "id", "$expand": expanded(_SENDER_TYPE, _SENDER_ADDRESS)}
        with self._graph.reading(path_of(listed.remote_id), asked, Prefer=IMMUTABLE_IDS) as response:
            response.read()
        if not response.is_success:
            _raise_unless_about_this_mail(response)
            return False
        mail = answer_in(response)
        signed_in_as = property_of(mail, _SENDER_ADDRESS).casefold()
        return property_of(mail, _SENDER_TYPE) == "EX" and _authors(raw) == [signed_in_as]


def _authors(raw: bytes) -> list[str]:
    fields = [str(value) for value in headers_of(raw).get_all("From", [])]
    return [address.casefold() for _, address in getaddresses(fields)]


def _body(response: httpx.Response) -> bytes | None:
    """None when it is larger than any mail we read."""
    raw = bytearray()
    for chunk in response.iter_bytes():
        raw += chunk
        if len(raw) > LARGEST_MAIL_BYTES:
            return None
    return bytes(raw)


def _raise_unless_about_this_mail(response: httpx.Response) -> None:
    """Exchange answers 500 for a mail that it cannot turn into MIME, and for its own troubles too."""
    if response.status_code == 500:
        raise BrokenOff("Microsoft 365 stumbled over a mail.")
    error = refusal(response, "Mail.Read")
    if not isinstance(error, Permanent) or isinstance(error, Refused):
        raise error


def _unreadable(listed: _Listed, sentence: str, cursor: Cursor) -> Unreadable:
    arrived = f" (received {listed.received_at:%Y-%m-%d %H:%M} UTC)" if listed.received_at else ""
    return Unreadable(listed.remote_id, f"{sentence} Open it in Outlook{arrived}.", cursor)


def _is_reset(response: httpx.Response) -> bool:
    """410, or 400 with syncStateNotFound or syncStateInvalid: the link is older than Graph's memory."""
    return response.status_code == 410 or code_of(response).casefold().startswith("syncstate")


def _listed(answer: Mapping[str, Any]) -> tuple[_Listed, ...]:
    latest = {str(mail["id"]): mail for mail in listed_in(answer) if mail.get("id")}
    present = {remote_id: mail for remote_id, mail in latest.items() if "@removed" not in mail}
    listed = [_Listed(remote_id, _time(mail.get("receivedDateTime"))) for remote_id, mail in present.items()]
    return tuple(sorted(listed, key=lambda mail: (mail.received_at or _LAST, mail.remote_id)))


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return None
