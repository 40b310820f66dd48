"""A shared inbox in Microsoft 365, read and sent from through Microsoft Graph by an application of its own.

It must never let one mail that cannot be fetched stop the next, and never ask twice for a reply to be sent.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import httpx
from pydantic import Field
from pydantic.dataclasses import dataclass

from connectors import graph_draft
from connectors.base import LARGEST_MAIL_BYTES, SETTINGS, Cursor, Envelope, Fetched, Finding, Unreadable
from connectors.entra import Application
from connectors.errors import ConnectorError, Permanent, Refused, Transient, Unclear
from connectors.graph_api import IMMUTABLE_IDS, BrokenOff, Graph, answer_in, code_of, path_of, refusal
from connectors.https import connected
from connectors.message_id import checked, message_id_of

_DELTA = "mailFolders/inbox/messages/delta"
# `changeType`: else each mail would come again whenever somebody marks it as read. No `$filter` on the date: with one,
# Graph lists 5,000 mails and says nothing about the others (delta-query-messages, November 2024).
_FIRST_ROUND: Mapping[str, str] = {"changeType": "created", "$select": "receivedDateTime"}
_MAILS_A_PAGE = 200
# A sent reply may show up seconds after it was accepted.
_FILING_WAITS_S = (0.0, 1.0, 2.0, 4.0)
# Where a reply may be that has been accepted; last anywhere, in case somebody has moved it already.
_PLACES = ("mailFolders/sentitems/", "mailFolders/outbox/", "mailFolders/drafts/", "")
_LAST = datetime.max.replace(tzinfo=UTC)
# Tried on a mail that does not exist: who lacks the permission is told so before Graph looks for the mail.
_RIGHTS = (
    ("Mail.ReadWrite", "PATCH", "messages/none", "Drafts can be made"),
    ("Mail.Send", "POST", "messages/none/send", "Replies can be sent"),
)

HttpsAddress = Annotated[str, Field(pattern=r"^https://[A-Za-z0-9.-]+(:\d+)?(/[A-Za-z0-9._-]+)*$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")]


@dataclass(frozen=True, config=SETTINGS)
class GraphMailbox:
    tenant: Identifier
    client_id: Identifier
    mailbox: Annotated[str, Field(min_length=1)]
    """The user principal name or the object id of the shared mailbox."""
    _: KW_ONLY
    client_secret: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    """Instead of a secret: private key and certificate, both as PEM, one behind the other."""
    since: date | None = None
    """Mail that reached the mailbox before this day (UTC) is left alone."""
    authority: HttpsAddress = "https://login.microsoftonline.com"
    base_url: HttpsAddress = "https://graph.microsoft.com/v1.0"
    proxy: str | None = field(default=None, repr=False)
    timeout_s: float = 30.0
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if (self.client_secret is None) == (self.certificate is None):
            raise Permanent("A graph mailbox needs client_secret or certificate, and not both.")

    def fetch_since(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        with self._connected() as graph:
            yield from _Inbox(self, graph).mails_after(cursor)

    def send(self, raw: bytes, envelope: Envelope) -> None:
        message_id = message_id_of(raw)
        with self._connected() as graph:
            draft = graph_draft.prepare(graph, raw, message_id, envelope)
            try:
                graph_draft.send(graph, draft)
            except Unclear:  # the draft, or its absence, will tell what became of the reply
                raise
            except ConnectorError:
                graph_draft.tidy(graph, message_id)
                raise

    def file_sent(self, raw: bytes) -> None:
        """Microsoft 365 files what it sends by itself; a copy of our own would be a second one. So only look."""
        message_id = message_id_of(raw)
        with self._connected() as graph:
            for wait_s in _FILING_WAITS_S:
                time.sleep(wait_s)
                if any(graph_draft.copies(graph, "mailFolders/sentitems/", message_id)):
                    return
        raise Transient("Microsoft 365 has not put the reply into Sent yet.")

    def was_sent(self, message_id: str) -> bool:
        wanted = checked(message_id)
        with self._connected() as graph:
            found = (mail for place in _PLACES for mail in graph_draft.copies(graph, place, wanted))
            return any(graph_draft.has_left(mail) for mail in found)

    def check(self) -> Iterator[Finding]:
        try:
            with self._connected() as graph:
                yield from self._check_inbox(_Inbox(self, graph))
                sent = graph.read("mailFolders/sentitems", {"$select": "displayName"})
                yield Finding(True, f"Microsoft 365 files replies in the folder {sent.get('displayName')}.")
                yield from (_check_right(graph, *right) for right in _RIGHTS)
        except ConnectorError as error:
            yield Finding(False, error.sentence)

    def _check_inbox(self, inbox: _Inbox) -> Iterator[Finding]:
        count = inbox.count()
        yield Finding(True, f"Signed in at {self._application.server}; the inbox holds {count} mails.")
        newest = inbox.newest()
        if isinstance(newest, Fetched):
            yield Finding(True, "The newest mail can be read.")
        elif newest is not None:
            yield Finding(False, f"The newest mail cannot be read. {newest.sentence}", "Open it in Outlook.")

    @contextmanager
    def _connected(self) -> Iterator[Graph]:
        with connected(self.base_url, self.timeout_s, self.ca_file, self.proxy) as http:
            yield Graph(http, self._application, self.mailbox)

    @property
    def _application(self) -> Application:
        return Application(
            tenant=self.tenant,
            client_id=self.client_id,
            client_secret=self.client_secret,
            certificate=self.certificate,
            authority=self.authority,
            resource="/".join(self.base_url.split("/")[:3]),
            timeout_s=self.timeout_s,
            ca_file=self.ca_file,
            proxy=self.proxy,
        )


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


class _Inbox:
    """The folder that residents write to. A link is kept without base_url, so our token never goes elsewhere."""

    def __init__(self, mailbox: GraphMailbox, graph: Graph) -> None:
        self._mailbox = mailbox
        self._graph = graph
        self._started_over = False

    def mails_after(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        page = self._page(str(cursor.get("link", "")))
        # A page that lists other mails than before is read from its beginning: no gap, and the store knows the rest.
        read = int(cursor.get("read", 0)) if page.fingerprint == cursor.get("mails") else 0
        while True:
            yield from self._mails_on(page, read)
            if page.next_link is None:
                raise Transient("Microsoft 365 broke off its list of mails without a link to the rest.")
            if page.ends_round:
                return
            page, read = self._page(page.next_link), 0

    def count(self) -> int:
        return int(self._graph.read("mailFolders/inbox", {"$select": "totalItemCount"}).get("totalItemCount", 0))

    def newest(self) -> Fetched | Unreadable | None:
        newest_first = {"$top": "1", "$orderby": "receivedDateTime desc", "$select": "receivedDateTime"}
        answer = self._graph.read("mailFolders/inbox/messages", newest_first, Prefer=IMMUTABLE_IDS)
        listed = _listed(answer)
        return self.mail(listed[0], {}) if listed else None

    def mail(self, listed: _Listed, cursor: Cursor) -> Fetched | Unreadable | None:
        """None when the mail has been deleted meanwhile."""
        for _ in range(2):
            try:
                return self._fetched(listed, cursor)
            except BrokenOff:
                self.count()  # raises when it is not this mail that is at fault
        return _unreadable(listed, "Microsoft 365 breaks off whenever this mail is fetched.", cursor)

    def _mails_on(self, page: _Page, read: int) -> Iterator[Fetched | Unreadable]:
        for number, listed in enumerate(page.mails[read:], read + 1):
            mail = self.mail(listed, page.cursor_after(number)) if self._is_wanted(listed) else None
            if mail is not None:
                yield mail

    def _page(self, link: str) -> _Page:
        prefer = f"{IMMUTABLE_IDS}, odata.maxpagesize={_MAILS_A_PAGE}"
        path, params = (link, None) if link else (_DELTA, _FIRST_ROUND)
        with self._graph.reading(path, params, Prefer=prefer) as response:
            response.read()
        if response.is_success:
            return self._understood(link, answer_in(response))
        if not _is_reset(response):
            raise refusal(response, "Mail.ReadWrite")
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
        if not link.startswith(f"{self._mailbox.base_url}/"):
            raise Permanent("Microsoft 365 names a place outside base_url: correct base_url.")
        return link.removeprefix(self._mailbox.base_url)

    def _is_wanted(self, listed: _Listed) -> bool:
        first_day = self._mailbox.since
        if first_day is None:
            return True
        # A change that Graph reports beyond what was asked for may come without the date.
        received_at = listed.received_at or self._received_at(listed.remote_id)
        return received_at is not None and received_at.date() >= first_day

    def _received_at(self, remote_id: str) -> datetime | None:
        """None when the mail has been deleted meanwhile."""
        asked = {"$select": "receivedDateTime"}
        with self._graph.reading(path_of(remote_id), asked, Prefer=IMMUTABLE_IDS) as response:
            response.read()
        if response.status_code == 404:
            return None
        if not response.is_success:
            raise refusal(response, "Mail.ReadWrite")
        return _time(answer_in(response).get("receivedDateTime"))

    def _fetched(self, listed: _Listed, cursor: Cursor) -> Fetched | Unreadable | None:
        with self._graph.reading(f"{path_of(listed.remote_id)}/$value", Prefer=IMMUTABLE_IDS) as response:
            if response.is_success:
                raw = _body(response)
            elif response.status_code == 404:
                return None
            else:
                response.read()
                return _not_handed_over(listed, response, cursor)
        if raw is None:
            return _unreadable(listed, "The mail is too large to be read.", cursor)
        return Fetched(listed.remote_id, raw, listed.received_at, cursor)


def _check_right(graph: Graph, permission: str, method: str, path: str, what: str) -> Finding:
    response = graph.attempt(method, path, json={})
    if response.status_code == 403:
        return Finding(False, refusal(response, permission).sentence)
    if response.status_code in (401, 429) or response.status_code >= 500:
        raise refusal(response, permission)
    return Finding(True, f"{what} ({permission}).")


def _body(response: httpx.Response) -> bytes | None:
    """None when it is larger than any mail we read."""
    raw = bytearray()
    for chunk in response.iter_bytes():
        raw += chunk
        if len(raw) > LARGEST_MAIL_BYTES:
            return None
    return bytes(raw)


def _not_handed_over(listed: _Listed, response: httpx.Response, cursor: Cursor) -> Unreadable:
    """Exchange answers 500 for a mail that it cannot turn into MIME, and for its own troubles too."""
    if response.status_code == 500:
        raise BrokenOff("Microsoft 365 stumbled over a mail.")
    error = refusal(response, "Mail.ReadWrite")
    if not isinstance(error, Permanent) or isinstance(error, Refused):
        raise error
    return _unreadable(listed, "Microsoft 365 does not hand this mail over.", cursor)


def _unreadable(listed: _Listed, sentence: str, cursor: Cursor) -> Unreadable:
    arrived = f" (received {listed.received_at:%Y-%m-%d %H:%M} UTC)" if listed.received_at else ""
    return Unreadable(listed.remote_id, f"{sentence} Open it in Outlook{arrived}.", cursor)


def _is_reset(response: httpx.Response) -> bool:
    """410, or 400 with syncStateNotFound or syncStateInvalid: the link is older than Graph's memory."""
    return response.status_code == 410 or code_of(response).casefold().startswith("syncstate")


def _listed(answer: Mapping[str, Any]) -> tuple[_Listed, ...]:
    mails = answer.get("value")
    if not isinstance(mails, list):
        raise Transient("Microsoft 365 gave an answer that cannot be read.")
    latest = {str(mail["id"]): mail for mail in mails if isinstance(mail, dict) and mail.get("id")}
    present = {remote_id: mail for remote_id, mail in latest.items() if "@removed" not in mail}
    listed = [_Listed(remote_id, _time(mail.get("receivedDateTime"))) for remote_id, mail in present.items()]
    return tuple(sorted(listed, key=lambda mail: (mail.received_at or _LAST, mail.remote_id)))


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return None
