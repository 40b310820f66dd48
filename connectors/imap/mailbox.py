"""A shared inbox on an IMAP server: reads it without leaving a trace, files replies in its Sent folder and, where that
is wanted, shows on the mail itself what became of it.

It must never open the inbox for writing in order to read it, and never let one mail that cannot be fetched stop the
next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import KW_ONLY, field
from datetime import date
from pathlib import Path
from typing import Literal

from imapclient import SEEN, IMAPClient  # type: ignore[import-untyped]
from imapclient.imapclient import DRAFTS, SENT  # type: ignore[import-untyped]
from pydantic.dataclasses import dataclass

from connectors.base import SETTINGS, Cursor, Envelope, Fetched, Finding, Mark, PutDraft, Unreadable
from connectors.errors import ConnectorError, Permanent
from connectors.imap import drafts
from connectors.imap.folders import (
    KEYWORDS,
    Keyword,
    answers_in,
    beside,
    found_or_named,
    holds,
    keeps_keywords,
    lying_at,
    no_keywords_in,
)
from connectors.imap.inbox import Inbox
from connectors.imap.notice import Listener
from connectors.imap.session import Login, examine, open_for_writing, signed_in
from connectors.imap.smtp import Smtp
from connectors.message_id import checked, message_id_of
from connectors.network import Tls, only_on_this_machine
from connectors.oauth import OAuth


@dataclass(frozen=True, config=SETTINGS)
class ImapMailbox:
    host: str
    port: int
    user: str
    password: str | None = field(default=None, repr=False)
    _: KW_ONLY
    oauth: OAuth | None = None
    """An application signs in with a token in place of the password, and opens the mailbox named in user."""
    tls: Tls = "starttls"
    folder: str = "INBOX"
    sent_folder: str | None = None
    """Where replies are filed. None: the folder that the server itself marks as Sent (RFC 6154)."""
    drafts_folder: str | None = None
    """Where drafts for staff are put. None: the folder that the server itself marks as Drafts."""
    keywords: Mapping[Mark, Keyword] = field(default_factory=dict)
    """Which IMAP keyword stands for which mark; for those not named here, KommunpostTriaged and its like."""
    since: date | None = None
    """Mail that reached the server before this day is left alone."""
    smtp: Smtp | None = None
    copy_to_ourselves: bool = True
    """SMTP keeps no copy. The mailbox itself as one more envelope recipient leaves one in the inbox, by which a reply
    whose fate is unclear can be found. Kommunpost knows it by its Message-ID and takes it for no new mail."""
    timeout_s: float = 30.0
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        only_on_this_machine(self.host, self.tls)
        if (self.password is None) == (self.oauth is None):
            raise ValueError("an imap mailbox needs password or oauth, and not both")
        if any(_same_folder(self.folder, other) for other in (self.sent_folder, self.drafts_folder)):
            raise ValueError(
                "folder is the one that residents write to: it can be neither sent_folder nor drafts_folder"
            )
        keywords = [keyword.casefold() for keyword in self._keywords.values()]
        if len(set(keywords)) < len(keywords):
            raise ValueError("keywords must be unlike each other")

    def fetch_since(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        with ExitStack() as connection:
            inbox = Inbox(self._login, self.folder, self.since, connection)
            if not cursor:
                self._refuse_sent(inbox.client)
            yield from inbox.mails_after(cursor)

    def send(self, raw: bytes, envelope: Envelope) -> None:
        if self.smtp is None:
            raise Permanent("No outgoing mail server is set for this mailbox: set smtp.")
        self.smtp.send(raw, with_copy_to_ourselves(envelope) if self.copy_to_ourselves else envelope)

    def file_sent(self, raw: bytes) -> None:
        message_id = message_id_of(raw)
        with self._signed_in() as client:
            sent = self._sent(client)
            if not holds(client, sent, message_id):
                client.append(sent, raw, flags=[SEEN])

    def was_sent(self, message_id: str) -> bool:
        wanted = checked(message_id)
        with self._signed_in() as client:
            sent = found_or_named(client, self.sent_folder, SENT)
            return any(holds(client, folder, wanted) for folder in (sent, self.folder) if folder is not None)

    def replies_to(self, message_id: str) -> frozenset[str]:
        wanted = checked(message_id)
        with self._signed_in() as client:
            return frozenset(answer for answer in answers_in(client, self._sent(client), wanted) if answer)

    def mark(self, remote_id: str, mark: Mark | None) -> bool:
        with self._signed_in() as client:
            mail = lying_at(client, remote_id, self.folder)
            if mail is not None:
                mail.mark(mark, self._keywords)
            return mail is not None

    def put_draft(self, raw: bytes, answers: str) -> PutDraft:
        """In-Reply-To in the draft itself is what puts it into the thread: `answers` is not needed."""
        with self._signed_in() as client:
            return drafts.put(client, self._drafts(client), raw)

    def take_back(self, draft: PutDraft) -> bool:
        with self._signed_in() as client:
            return drafts.take_back(client, draft)

    def move(self, remote_id: str, folder: str) -> bool:
        with self._signed_in() as client:
            mail = lying_at(client, remote_id, self.folder)
            if mail is not None:
                mail.move(beside(client, self.folder, folder))
            return mail is not None

    def wait_for_mail(self, at_most_s: float) -> bool:
        until = time.monotonic() + at_most_s
        with self._signed_in() as client:
            return Listener(client, self.folder, self.timeout_s).hears_of_mail(until)

    def check(self) -> Iterator[Finding]:
        try:
            with ExitStack() as connection:
                yield from self._check_inbox(Inbox(self._login, self.folder, self.since, connection))
            with self._signed_in() as client:
                yield from self._check_the_rest(client)
        except ConnectorError as error:
            yield Finding(False, error.sentence)
        if self.smtp is None:
            yield Finding(False, "No outgoing mail server is set: nothing can be sent.", "Set smtp.", "send")
        else:
            yield from self.smtp.check()

    def _check_inbox(self, inbox: Inbox) -> Iterator[Finding]:
        self._refuse_sent(inbox.client)
        server = f"{self.host}:{self.port}"
        yield Finding(True, f"Signed in to {server}; {self.folder} holds {inbox.count()} mails.")
        newest = inbox.newest()
        if isinstance(newest, Fetched):
            yield Finding(True, "The newest mail can be read.")
        elif newest is not None:
            yield Finding(False, f"The newest mail cannot be read. {newest.sentence}", "Open it in a mail program.")

    def _check_the_rest(self, client: IMAPClient) -> Iterator[Finding]:
        looks: tuple[tuple[Literal["write back", "send"], Callable[[IMAPClient], Finding]], ...] = (
            ("write back", self._check_keywords),
            ("write back", self._check_drafts),
            ("send", self._check_sent),
        )
        for needed_to, look in looks:
            try:
                yield look(client)
            except ConnectorError as error:
                yield Finding(False, error.sentence, needed_to=needed_to)

    def _check_keywords(self, client: IMAPClient) -> Finding:
        """The one look for which the inbox is opened for writing: a folder opened read-only keeps no keyword."""
        if not keeps_keywords(open_for_writing(client, self.folder), list(self._keywords.values())):
            raise Permanent(no_keywords_in(self.folder))
        return Finding(True, f"Mails can be marked in the folder {self.folder}.", needed_to="write back")

    def _check_drafts(self, client: IMAPClient) -> Finding:
        drafts = self._drafts(client)
        open_for_writing(client, drafts)
        return Finding(True, f"Drafts for staff are put into the folder {drafts}.", needed_to="write back")

    def _check_sent(self, client: IMAPClient) -> Finding:
        sent = found_or_named(client, self.sent_folder, SENT)
        if sent is None:
            nothing = "No folder is marked as Sent: replies cannot be filed."
            return Finding(False, nothing, "Name it in sent_folder.", "send")
        examine(client, sent)
        return Finding(True, f"Replies are filed in the folder {sent}.", needed_to="send")

    def _refuse_sent(self, client: IMAPClient) -> None:
        """Read as an inbox, Sent would make a case of each of our own replies."""
        if _same_folder(self.folder, found_or_named(client, self.sent_folder, SENT)):
            raise Permanent(f"{self.folder} is where the mailbox keeps what it has sent: set folder to its inbox.")

    def _sent(self, client: IMAPClient) -> str:
        sent = found_or_named(client, self.sent_folder, SENT)
        if sent is None:
            raise Permanent("The mailbox has no folder marked as Sent: set sent_folder.")
        return sent

    def _drafts(self, client: IMAPClient) -> str:
        drafts = found_or_named(client, self.drafts_folder, DRAFTS)
        if drafts is None:
            raise Permanent("The mailbox has no folder marked as Drafts: set drafts_folder.")
        return drafts

    def _signed_in(self) -> AbstractContextManager[IMAPClient]:
        return signed_in(self._login)

    @property
    def _keywords(self) -> Mapping[Mark, str]:
        return {**KEYWORDS, **self.keywords}

    @property
    def _login(self) -> Login:
        return Login(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            oauth=self.oauth,
            tls=self.tls,
            timeout_s=self.timeout_s,
            ca_file=self.ca_file,
        )


def with_copy_to_ourselves(envelope: Envelope) -> Envelope:
    if not envelope.recipients:
        return envelope
    return Envelope(envelope.sender, tuple(dict.fromkeys((*envelope.recipients, envelope.sender))))


def _same_folder(one: str, other: str | None) -> bool:
    """Only INBOX is the same in small letters (RFC 3501, 5.1)."""
    return one == other or (other is not None and one.upper() == other.upper() == "INBOX")
