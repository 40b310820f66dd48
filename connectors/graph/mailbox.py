"""A shared inbox in Microsoft 365, read and sent from through Microsoft Graph by an application of its own.

It must never let one mail that cannot be fetched stop the next, and never ask twice for a reply to be sent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, field
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from connectors.base import SETTINGS, Cursor, Envelope, Fetched, Finding, Mark, PutDraft, Unreadable
from connectors.categories import Category, named
from connectors.entra import Application
from connectors.errors import ConnectorError, Permanent, Transient, Unclear
from connectors.graph import office, search, sending
from connectors.graph.api import Graph, refusal
from connectors.graph.inbox import Inbox
from connectors.https import connected
from connectors.message_id import checked, message_id_of

# A sent reply may show up seconds after it was accepted.
_FILING_WAITS_S = (0.0, 1.0, 2.0, 4.0)
# Where a reply may be that has been accepted; last anywhere, in case somebody has moved it already.
_PLACES = ("mailFolders/sentitems/", "mailFolders/outbox/", "mailFolders/drafts/", "")
# Asked of a mail that does not exist: who lacks the permission is told so before Graph looks for the mail.
_NO_MAIL = "messages/none"

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
    categories: Mapping[Mark, Category] = field(default_factory=dict)
    """Under which Outlook category staff see a mark; what is not named keeps its English name."""
    directory: bool = False
    """Believe Exchange Online that a sender is a signed-in account of its directory. One more request for each mail."""
    authority: HttpsAddress = "https://login.microsoftonline.com"
    base_url: HttpsAddress = "https://graph.microsoft.com/v1.0"
    proxy: str | None = field(default=None, repr=False)
    timeout_s: float = 30.0
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if (self.client_secret is None) == (self.certificate is None):
            raise Permanent("A graph mailbox needs client_secret or certificate, and not both.")
        named(self.categories)

    def fetch_since(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        with self._connected() as graph:
            yield from self._inbox(graph).mails_after(cursor)

    def send(self, raw: bytes, envelope: Envelope) -> None:
        message_id = message_id_of(raw)
        with self._connected() as graph:
            draft = sending.prepare(graph, raw, message_id, envelope)
            try:
                sending.send(graph, draft)
            except Unclear:  # the draft, or its absence, will tell what became of the reply
                raise
            except ConnectorError:
                sending.tidy(graph, message_id)
                raise

    def file_sent(self, raw: bytes) -> None:
        """Microsoft 365 files what it sends by itself; a copy of our own would be a second one. So only look."""
        message_id = message_id_of(raw)
        with self._connected() as graph:
            for wait_s in _FILING_WAITS_S:
                time.sleep(wait_s)
                if any(search.copies(graph, "mailFolders/sentitems/", message_id)):
                    return
        raise Transient("Microsoft 365 has not put the reply into Sent yet.")

    def was_sent(self, message_id: str) -> bool:
        wanted = checked(message_id)
        with self._connected() as graph:
            found = (mail for place in _PLACES for mail in search.copies(graph, place, wanted))
            return any(search.has_left(mail) for mail in found)

    def replies_to(self, message_id: str) -> frozenset[str]:
        wanted = checked(message_id)
        with self._connected() as graph:
            return search.answers_to(graph, wanted)

    def mark(self, remote_id: str, mark: Mark | None) -> bool:
        names = named(self.categories)
        with self._connected() as graph:
            return office.put_category(graph, remote_id, names[mark] if mark else None, names.values())

    def put_draft(self, raw: bytes, answers: str) -> PutDraft:
        with self._connected() as graph:
            return office.put_draft(graph, raw, answers)

    def take_back(self, draft: PutDraft) -> bool:
        with self._connected() as graph:
            return office.take_back(graph, draft)

    def move(self, remote_id: str, folder: str) -> bool:
        with self._connected() as graph:
            return office.move(graph, remote_id, folder)

    def check(self) -> Iterator[Finding]:
        needed_to: Literal["read", "send"] = "read"
        try:
            with self._connected() as graph:
                yield from self._check_inbox(self._inbox(graph))
                yield _check_writing(graph)
                needed_to = "send"
                yield from _check_sending(graph)
        except ConnectorError as error:
            yield Finding(False, error.sentence, needed_to=needed_to)

    def _check_inbox(self, inbox: Inbox) -> Iterator[Finding]:
        count = inbox.count()
        yield Finding(True, f"Signed in at {self._application.server}; the inbox holds {count} mails.")
        newest = inbox.newest()
        if isinstance(newest, Fetched):
            yield Finding(True, "The newest mail can be read.")
        elif newest is not None:
            yield Finding(False, f"The newest mail cannot be read. {newest.sentence}", "Open it in Outlook.")

    def _inbox(self, graph: Graph) -> Inbox:
        return Inbox(graph, self.base_url, self.since, self.directory)

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


def _check_writing(graph: Graph) -> Finding:
    what = "Categories and drafts can be written (Mail.ReadWrite)."
    return _finding(graph, "PATCH", _NO_MAIL, "Mail.ReadWrite", what, "write back")


def _check_sending(graph: Graph) -> Iterator[Finding]:
    sent = graph.read("mailFolders/sentitems", {"$select": "displayName"})
    yield Finding(True, f"Microsoft 365 files replies in the folder {sent.get('displayName')}.", needed_to="send")
    yield _finding(graph, "POST", f"{_NO_MAIL}/send", "Mail.Send", "Replies can be sent (Mail.Send).", "send")


def _finding(
    graph: Graph, method: str, path: str, permission: str, what: str, needed_to: Literal["write back", "send"]
) -> Finding:
    response = graph.attempt(method, path, json={})
    if response.status_code == 403:
        return Finding(False, refusal(response, permission).sentence, needed_to=needed_to)
    if response.status_code in (401, 429) or response.status_code >= 500:
        raise refusal(response, permission)
    return Finding(True, what, needed_to=needed_to)
