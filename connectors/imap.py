"""A shared inbox on an IMAP server: reads it without leaving a trace, and files replies in its Sent folder.

It must never open the inbox for writing, and never let one mail that cannot be fetched stop the next.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from imapclient import SEEN, IMAPClient  # type: ignore[import-untyped]
from imapclient.exceptions import CapabilityError, LoginError  # type: ignore[import-untyped]
from imapclient.imapclient import SENT  # type: ignore[import-untyped]
from pydantic.dataclasses import dataclass

from connectors.base import LARGEST_MAIL_BYTES, SETTINGS, Cursor, Envelope, Fetched, Finding, Unreadable
from connectors.errors import ConnectorError, Permanent, Refused, Transient
from connectors.message_id import checked, message_id_of
from connectors.network import Tls, only_on_this_machine, reaching, tls_context
from connectors.smtp import Smtp

# At DEBUG imapclient logs what it says and hears: names, addresses, mail.
logging.getLogger("imapclient").setLevel(logging.WARNING)

# imaplib gives up on a line of more than 1,000,000 bytes; this many UIDs with their spaces stay well below.
_UIDS_A_SEARCH = 50_000
# RFC 5530, and the words of Exchange Online when it throttles.
_TRY_LATER = re.compile(r"\[(UNAVAILABLE|INUSE|LIMIT)\]|Server Unavailable|throttled", re.IGNORECASE)


@dataclass(frozen=True, config=SETTINGS)
class ImapMailbox:
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    _: KW_ONLY
    tls: Tls = "starttls"
    folder: str = "INBOX"
    sent_folder: str | None = None
    """Where replies are filed. None: the folder that the server itself marks as Sent (RFC 6154)."""
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

    def fetch_since(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        with ExitStack() as connection:
            inbox = _Inbox(self, connection)
            # Another UIDVALIDITY means that the old UIDs say nothing any more (RFC 3501, 2.3.1.1).
            known = int(cursor["uid"]) if cursor.get("uidvalidity") == inbox.uidvalidity else 0
            for uid in inbox.uids_after(known):
                mail = inbox.mail(uid)
                if mail is not None:
                    yield mail

    def send(self, raw: bytes, envelope: Envelope) -> None:
        if self.smtp is None:
            raise Permanent("No outgoing mail server is set for this mailbox: set smtp.")
        self.smtp.send(raw, with_copy_to_ourselves(envelope) if self.copy_to_ourselves else envelope)

    def file_sent(self, raw: bytes) -> None:
        message_id = message_id_of(raw)
        with self.signed_in() as client:
            sent = self._find_sent(client)
            if sent is None:
                raise Permanent("The mailbox has no folder marked as Sent: set sent_folder.")
            if not _holds(client, sent, message_id):
                client.append(sent, raw, flags=[SEEN])

    def was_sent(self, message_id: str) -> bool:
        wanted = checked(message_id)
        with self.signed_in() as client:
            folders = [folder for folder in (self._find_sent(client), self.folder) if folder is not None]
            return any(_holds(client, folder, wanted) for folder in folders)

    def check(self) -> Iterator[Finding]:
        try:
            with ExitStack() as connection:
                yield from self._check_inbox(_Inbox(self, connection))
            with self.signed_in() as client:
                yield self._check_sent(client)
        except ConnectorError as error:
            yield Finding(False, error.sentence)
        if self.smtp is None:
            yield Finding(False, "No outgoing mail server is set: nothing can be sent.", "Set smtp.")
        else:
            yield from self.smtp.check()

    def _check_inbox(self, inbox: _Inbox) -> Iterator[Finding]:
        yield Finding(True, f"Signed in to {self.host}:{self.port}; {self.folder} holds {inbox.mails} mails.")
        newest = inbox.newest()
        if isinstance(newest, Fetched):
            yield Finding(True, "The newest mail can be read.")
        elif newest is not None:
            yield Finding(False, f"The newest mail cannot be read. {newest.sentence}", "Open it in a mail program.")

    def _check_sent(self, client: IMAPClient) -> Finding:
        sent = self._find_sent(client)
        if sent is None:
            return Finding(False, "No folder is marked as Sent: replies cannot be filed.", "Name it in sent_folder.")
        _examine(client, sent)
        return Finding(True, f"Replies are filed in the folder {sent}.")

    @contextmanager
    def signed_in(self) -> Iterator[IMAPClient]:
        server = f"{self.host}:{self.port}"
        with reaching(self.host, self.port):
            try:
                with self._connected() as client:
                    self._sign_in(client)
                    yield client
            except CapabilityError:
                raise Permanent(f"{server} does not offer STARTTLS: compare port and tls.") from None
            except IMAPClient.AbortError:
                raise Transient(
                    f"{server} broke off the connection or speaks no IMAP: look at server and port."
                ) from None
            except IMAPClient.Error as refusal:
                raise _refused(
                    refusal, f"{server} gave an answer that is not IMAP, or refused a command: look into its log."
                ) from None

    def _connected(self) -> IMAPClient:
        context = tls_context(self.ca_file) if self.tls == "tls" else None
        client = IMAPClient(
            self.host, self.port, ssl=self.tls == "tls", ssl_context=context, timeout=self.timeout_s, use_uid=True
        )
        client.normalise_times = False  # so that INTERNALDATE stays aware
        client._imap.debug = 0  # imaplib would copy each body into a debug line: twice the memory, half the speed
        return client

    def _sign_in(self, client: IMAPClient) -> None:
        if self.tls == "starttls":
            client.starttls(tls_context(self.ca_file))
        try:
            if (self.user + self.password).isascii():
                client.login(self.user, self.password)
            else:  # LOGIN is ASCII only; PLAIN carries UTF-8 (RFC 4616), and a password may well hold an å
                client.plain_login(self.user, self.password)
        except LoginError as refusal:
            if _TRY_LATER.search(str(refusal)):
                raise Transient(
                    f"{self.host}:{self.port} cannot let anyone sign in for now: wait, it is tried again."
                ) from None
            raise Refused(
                f"{self.host}:{self.port} does not accept our name and password: correct user and password, and have "
                "IMAP allowed for the account."
            ) from None

    def _find_sent(self, client: IMAPClient) -> str | None:
        found: str | None = self.sent_folder or client.find_special_folder(SENT)
        return found


class _Inbox:
    """The folder that residents write to, opened read-only; opened anew when a mail breaks the connection."""

    def __init__(self, mailbox: ImapMailbox, connection: ExitStack) -> None:
        self._mailbox = mailbox
        self._connection = connection
        self._open()
        self.uidvalidity = int(self._opened.get(b"UIDVALIDITY", 0))
        self.mails = int(self._opened[b"EXISTS"])

    def uids_after(self, known: int) -> Iterator[int]:
        since = ["SINCE", self._mailbox.since] if self._mailbox.since else []
        for uids in self._windows(known):
            found = self._client.search(["UID", uids, *since])
            # `5:*` also names the last mail of a folder when its UID is below 5 (RFC 3501, 6.4.8).
            yield from sorted(uid for uid in found if uid > known)

    def newest(self) -> Fetched | Unreadable | None:
        uids = self._client.search(["UID", "*"])
        return self.mail(max(uids)) if uids else None

    def mail(self, uid: int) -> Fetched | Unreadable | None:
        """None when the mail has been moved or deleted meanwhile."""
        for _ in range(2):
            try:
                return self._fetched(uid)
            except (IMAPClient.AbortError, OSError):
                # Dovecot hangs up on a mail that it cannot read itself; so may a bad network, hence once more.
                self._open_again()
        return self._unreadable(uid, "The mail server breaks off the connection whenever this mail is fetched.")

    def _open(self) -> None:
        self._connection.close()
        self._client = self._connection.enter_context(self._mailbox.signed_in())
        self._opened = _examine(self._client, self._mailbox.folder)

    def _open_again(self) -> None:
        self._open()
        if self._opened.get(b"UIDVALIDITY", 0) != self.uidvalidity:
            raise Transient(f"The folder {self._mailbox.folder} was numbered anew while it was read.")

    def _windows(self, known: int) -> Iterator[str]:
        """UID ranges that cover everything after `known`."""
        first, last = known + 1, self._opened.get(b"UIDNEXT")
        while last is not None and first + _UIDS_A_SEARCH < last:
            yield f"{first}:{first + _UIDS_A_SEARCH - 1}"
            first += _UIDS_A_SEARCH
        yield f"{first}:*"

    def _fetched(self, uid: int) -> Fetched | Unreadable | None:
        try:
            facts = self._client.fetch(uid, ["RFC822.SIZE", "INTERNALDATE"]).get(uid)
            if facts is not None and facts.get(b"RFC822.SIZE", 0) > LARGEST_MAIL_BYTES:
                return self._unreadable(uid, "The mail is too large to be read.")
            body = self._client.fetch(uid, ["BODY.PEEK[]"]).get(uid)
        except IMAPClient.AbortError:
            raise
        except IMAPClient.Error as refusal:
            if _TRY_LATER.search(str(refusal)):
                raise
            if "[EXPUNGEISSUED]" in str(refusal):  # RFC 5530: deleted a moment ago
                return None
            return self._unreadable(uid, "The mail server does not hand this mail over.")
        if facts is None or body is None:
            return None
        raw = body.get(b"BODY[]")
        if not isinstance(raw, bytes):
            return self._unreadable(uid, "The mail server hands over this mail without its content.")
        arrived: datetime | None = facts.get(b"INTERNALDATE")
        return Fetched(self._remote_id(uid), raw, arrived and arrived.astimezone(UTC), self._cursor(uid))

    def _unreadable(self, uid: int, sentence: str) -> Unreadable:
        return Unreadable(self._remote_id(uid), f"{sentence} Open it in a mail program (UID {uid}).", self._cursor(uid))

    def _remote_id(self, uid: int) -> str:
        return f"{self._mailbox.folder}/{self.uidvalidity}/{uid}"

    def _cursor(self, uid: int) -> Cursor:
        return {"uidvalidity": self.uidvalidity, "uid": uid}


def _examine(client: IMAPClient, folder: str) -> dict[bytes, Any]:
    try:
        opened: dict[bytes, Any] = client.select_folder(folder, readonly=True)
    except IMAPClient.AbortError:
        raise
    except IMAPClient.Error as refusal:
        remedy = "correct its name, or give the login the right to it."
        raise _refused(refusal, f"The folder {folder} does not exist or may not be opened: {remedy}") from None
    return opened


def _holds(client: IMAPClient, folder: str, message_id: str) -> bool:
    _examine(client, folder)
    return bool(client.search(["HEADER", "Message-ID", message_id]))


def _refused(refusal: Exception, sentence: str) -> ConnectorError:
    if _TRY_LATER.search(str(refusal)):
        return Transient("The mail server is too busy for now: wait, it is tried again.")
    return Permanent(sentence)


def with_copy_to_ourselves(envelope: Envelope) -> Envelope:
    if not envelope.recipients:
        return envelope
    return Envelope(envelope.sender, tuple(dict.fromkeys((*envelope.recipients, envelope.sender))))
