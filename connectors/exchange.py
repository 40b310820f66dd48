"""A shared inbox on an Exchange Server of one's own or a hybrid one, read and sent from through EWS.

It must never let one mail that cannot be fetched stop the next, and never ask twice for a reply to be sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from exchangelib import Account, ExtendedProperty, Mailbox, Message, Q, errors  # type: ignore[import-untyped]
from exchangelib.errors import EWSError  # type: ignore[import-untyped]
from exchangelib.fields import FieldPath  # type: ignore[import-untyped]
from exchangelib.folders import (  # type: ignore[import-untyped]
    DeletedItems,
    Drafts,
    Folder,
    FolderCollection,
    Inbox,
    Outbox,
    Root,
    SentItems,
)
from exchangelib.items import (  # type: ignore[import-untyped]
    HARD_DELETE,
    ID_ONLY,
    SAVE_ONLY,
    SEND_AND_SAVE_COPY,
    SEND_TO_NONE,
    SHALLOW,
)
from exchangelib.properties import DistinguishedFolderId, ItemId  # type: ignore[import-untyped]
from exchangelib.restriction import Restriction  # type: ignore[import-untyped]
from exchangelib.services import FindItem  # type: ignore[import-untyped]
from pydantic import Field
from pydantic.dataclasses import dataclass

from connectors.addressees import recipients_without_header
from connectors.base import LARGEST_MAIL_BYTES, SETTINGS, Cursor, Envelope, Fetched, Finding, Unreadable
from connectors.entra import Application
from connectors.errors import ConnectorError, Permanent, Refused, Transient, Unclear
from connectors.ews import CreateOnce, GetOnce, Login, NotTaken, explained, is_refusal, meaning_of, signed_in
from connectors.message_id import checked, message_id_of

_MOST_CHANGES = 512  # MaxChangesReturned may be no more
_NOT_KNOWN = "Exchange gave no clear answer to the reply: look for it in Sent before sending again."
# Where a reply may be that has been accepted, or half made; last, in case somebody has deleted it already.
_PLACES = (SentItems, Outbox, Drafts, DeletedItems)
_READ, _SUBMITTED = 0x01, 0x04  # mfRead and mfSubmitted, [MS-OXCMSG] 2.2.1.6
_SPOILT = (
    errors.ErrorMimeContentConversionFailed,
    errors.ErrorContentConversionFailed,
    errors.ErrorCorruptData,
    errors.ErrorItemCorrupt,
    errors.ErrorMessageSizeExceeded,
)

HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")]
Address = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]


class _MessageFlags(ExtendedProperty):  # type: ignore[misc]
    property_tag = 0x0E07
    property_type = "Integer"


Message.register("message_flags", _MessageFlags)


@dataclass(frozen=True, config=SETTINGS)
class AppRegistration:
    """Hybrid modern authentication: an application signs in, and no person."""

    tenant: str
    client_id: str
    _: KW_ONLY
    client_secret: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    """Instead of a secret: private key and certificate, both as PEM, one behind the other."""
    authority: Annotated[str, Field(pattern=r"^https://")] = "https://login.microsoftonline.com"


@dataclass(frozen=True, config=SETTINGS)
class ExchangeMailbox:
    host: HostName
    mailbox: Address
    """The primary address of the shared mailbox: what is read, and the sender of every reply."""
    _: KW_ONLY
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    auth: Literal["ntlm", "basic"] = "ntlm"
    app: AppRegistration | None = None
    access: Literal["delegate", "impersonation"] = "delegate"
    port: int = 443
    since: date | None = None
    """Mail that reached the mailbox before this day (UTC) is left alone."""
    timeout_s: float = 30.0
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if (self.app is None) == (self.user is None or self.password is None):
            raise Permanent("An exchange mailbox needs user and password, or app, and not both.")
        if self.app is not None and (self.app.client_secret is None) == (self.app.certificate is None):
            raise Permanent("The app of an exchange mailbox needs client_secret or certificate, and not both.")
        if self.auth == "basic" and not _is_latin_1(f"{self.user}{self.password}"):
            raise Permanent("Basic authentication cannot carry the letters of this name or password: set auth to ntlm.")

    def fetch_since(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        with self.signed_in() as account:
            yield from _Inbox(account, self.since).mails_after(cursor)

    def send(self, raw: bytes, envelope: Envelope) -> None:
        hidden = recipients_without_header(raw, envelope)
        message_id = message_id_of(raw)
        if envelope.sender.casefold() != self.mailbox.casefold():
            raise Permanent("The reply is not from the address of this mailbox: nothing was sent.")
        with self.signed_in() as account:
            if not _facts(account, SentItems).effective_rights.create_contents:
                raise Permanent("The login may not write into the folder Sent: nothing was sent.")
            _clear_away(account, message_id)
            reply = Message(
                mime_content=raw,
                author=Mailbox(email_address=self.mailbox),  # else the login could be the sender
                bcc_recipients=[Mailbox(email_address=address) for address in hidden] or None,
                is_read=True,
            )
            _send_once(account, reply)

    def file_sent(self, raw: bytes) -> None:
        """Exchange files what it sends by itself. Until it has, the reply is in the Outbox or in Drafts."""
        message_id = message_id_of(raw)
        with self.signed_in() as account:
            if not any(_copies(account, message_id)):
                copy = Message(mime_content=raw, is_read=True, message_flags=_READ)  # else it would be a draft
                _create(account, copy, SAVE_ONLY)

    def was_sent(self, message_id: str) -> bool:
        wanted = checked(message_id)
        with self.signed_in() as account:
            return any(_has_left(copy) for copy in _copies(account, wanted))

    def check(self) -> Iterator[Finding]:
        try:
            with self.signed_in() as account:
                yield from self._check_inbox(_Inbox(account, self.since))
                yield from (_check_folder(account, kind) for kind in _PLACES)
        except ConnectorError as error:
            yield Finding(False, error.sentence)

    def _check_inbox(self, inbox: _Inbox) -> Iterator[Finding]:
        count = inbox.count()
        yield Finding(True, f"Signed in to {self.host}:{self.port}; the inbox holds {count} mails.")
        newest = inbox.newest()
        if isinstance(newest, Fetched):
            yield Finding(True, "The newest mail can be read.")
        elif newest is not None:
            yield Finding(False, f"The newest mail cannot be read. {newest.sentence}", "Open it in Outlook.")

    @contextmanager
    def signed_in(self) -> Iterator[Account]:
        login = Login(
            host=self.host,
            port=self.port,
            user=self.user or "",
            password=self.password or "",
            auth=self.auth,
            application=self._application,
            timeout_s=self.timeout_s,
            ca_file=self.ca_file,
        )
        # An application has no mailbox of its own to look into others from.
        impersonating = self.access == "impersonation" or self.app is not None
        with signed_in(login, self.mailbox, impersonating=impersonating) as account:
            yield account

    @property
    def _application(self) -> Application | None:
        if self.app is None:
            return None
        return Application(
            tenant=self.app.tenant,
            client_id=self.app.client_id,
            client_secret=self.app.client_secret,
            certificate=self.app.certificate,
            authority=self.app.authority,
            resource=f"https://{self.host}",
            timeout_s=self.timeout_s,
            ca_file=self.ca_file,
            proxy=None,
        )


class _Listed(NamedTuple):
    """A mail by what Exchange says about it in a list. In this order mails are read."""

    received: str
    remote_id: str
    size_bytes: int

    @property
    def received_at(self) -> datetime | None:
        return datetime.fromisoformat(self.received) if self.received else None


class _Inbox:
    """The folder that residents write to.

    Exchange lists changes since a state in no order that one could rely on, and a new state only at the end of the
    list. So a list is read to its end (ids only), sorted, and the cursor names both states until its last mail.
    """

    def __init__(self, account: Account, since: date | None) -> None:
        self._account = account
        self._since = since

    def mails_after(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        state = str(cursor.get("state", ""))
        if "before" in cursor:
            # Listed anew from the same state. What has come since sorts anywhere, and follows with the next state.
            before, read = str(cursor["before"]), (str(cursor["received"]), str(cursor["id"]))
            listed, _ = self._listed_since(before)
            yield from self._mails([mail for mail in listed if mail[:2] > read], before, state)
        listed, newest = self._listed_since(state)
        yield from self._mails(listed, state, newest)

    def count(self) -> int:
        return int(_facts(self._account, Inbox).total_count or 0)

    def newest(self) -> Fetched | Unreadable | None:
        found = _folder(self._account, Inbox).all().order_by("-datetime_received").only("datetime_received", "size")
        return next((self._mail(_listed(item), {}) for item in found[:1]), None)

    def _listed_since(self, state: str) -> tuple[list[_Listed], str]:
        inbox = _folder(self._account, Inbox)
        fields = ["datetime_received", "size"]
        changes = inbox.sync_items(state or None, only_fields=fields, max_changes_returned=_MOST_CHANGES)
        listed = []
        try:
            for change in changes:
                if isinstance(change, Exception):
                    raise change
                if change[0] == "create" and self._is_wanted(mail := _listed(change[1])):
                    listed.append(mail)
        except errors.ErrorInvalidSyncStateData:
            if not state:
                raise
            return self._listed_since("")  # a restored or moved mailbox: all is read again, and known by its content
        if not inbox.item_sync_state:
            raise Transient("The Exchange server lists the inbox without saying where the list ends.")
        return sorted(listed), inbox.item_sync_state

    def _is_wanted(self, mail: _Listed) -> bool:
        return self._since is None or mail.received_at is None or mail.received_at.date() >= self._since

    def _mails(self, listed: list[_Listed], before: str, after: str) -> Iterator[Fetched | Unreadable]:
        for mail in listed:
            cursor: Cursor = {"state": after}
            if mail is not listed[-1]:
                cursor |= {"before": before, "received": mail.received, "id": mail.remote_id}
            found = self._mail(mail, cursor)
            if found is not None:
                yield found

    def _mail(self, mail: _Listed, cursor: Cursor) -> Fetched | Unreadable | None:
        """None when the mail has been moved or deleted meanwhile."""
        if mail.size_bytes > LARGEST_MAIL_BYTES:
            return _unreadable(mail, "The mail is too large to be read.", cursor)
        for _ in range(2):
            try:
                return self._fetched(mail, cursor)
            except Transient as failure:
                if failure.retry_after_s is not None:
                    raise
                _facts(self._account, Inbox)  # if the server is away altogether, it is not this mail's fault
        return _unreadable(mail, "Exchange fails whenever this mail is fetched.", cursor)

    def _fetched(self, mail: _Listed, cursor: Cursor) -> Fetched | Unreadable | None:
        with explained():
            (item,) = GetOnce(account=self._account).call(
                items=[ItemId(mail.remote_id)],
                additional_fields=_paths(Message, "mime_content"),
                shape=ID_ONLY,
            )
        if isinstance(item, errors.ErrorItemNotFound):
            return None
        if isinstance(item, _SPOILT):
            return _unreadable(mail, f"Exchange does not hand this mail over ({type(item).__name__}).", cursor)
        if isinstance(item, EWSError):
            raise meaning_of(item)
        if not item.mime_content:
            return _unreadable(mail, "Exchange hands over this mail without its content.", cursor)
        return Fetched(mail.remote_id, item.mime_content, mail.received_at, cursor)


def _listed(item: Message) -> _Listed:
    received = item.datetime_received
    when = datetime.fromtimestamp(received.timestamp(), UTC).isoformat() if received else ""
    return _Listed(when, item.id, item.size or 0)


def _is_latin_1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(mail: _Listed, sentence: str, cursor: Cursor) -> Unreadable:
    when = f"received {mail.received}" if mail.received else "without a date"
    return Unreadable(mail.remote_id, f"{sentence} Open it in Outlook ({when}).", cursor)


def _folder(account: Account, kind: type[Folder]) -> Folder:
    """By its name in the protocol, with the mailbox: else a delegate would get the folder of their own mailbox."""
    mailbox = Mailbox(email_address=account.primary_smtp_address)
    name = DistinguishedFolderId(id=kind.DISTINGUISHED_FOLDER_ID, mailbox=mailbox)
    return kind(root=Root(account=account), _distinguished_id=name)


def _facts(account: Account, kind: type[Folder]) -> Folder:
    wanted = _paths(Folder, "total_count", "effective_rights")
    (folder,) = FolderCollection(account, [_folder(account, kind)]).get_folders(additional_fields=wanted)
    if isinstance(folder, (errors.ErrorItemNotFound, errors.ErrorFolderNotFound)):
        raise Refused(
            f"The login cannot see the folder {kind.__name__} of the mailbox: give it full access to the mailbox."
        )
    if isinstance(folder, EWSError):
        raise meaning_of(folder)
    return folder


def _paths(kind: type[Folder] | type[Message], *names: str) -> set[FieldPath]:
    return {FieldPath(field=kind.get_field_by_fieldname(name)) for name in names}


def _copies(account: Account, message_id: str) -> Iterator[Message]:
    """Mails with exactly this Message-ID, wherever Exchange keeps what it is sending or has sent."""
    places = [_folder(account, kind) for kind in _PLACES]
    wanted = Restriction(Q(message_id=message_id), folders=places, applies_to=Restriction.ITEMS)
    for item in FindItem(account=account).call(
        folders=places,
        additional_fields=_paths(Message, "message_id", "is_draft", "message_flags"),
        restriction=wanted,
        order_fields=None,
        shape=ID_ONLY,
        query_string=None,
        depth=SHALLOW,
        calendar_view=None,
        max_items=None,
        offset=0,
    ):
        if isinstance(item, EWSError):
            raise meaning_of(item)
        if item.message_id == message_id:
            yield item


def _has_left(copy: Message) -> bool:
    """A sent mail is no draft; one on its way may still look like one, but is marked as submitted."""
    return copy.is_draft is False or bool((copy.message_flags or 0) & _SUBMITTED)


def _clear_away(account: Account, message_id: str) -> None:
    """Delete what an attempt that broke off before sending has left in Drafts: staff could send it from there."""
    copies = list(_copies(account, message_id))
    if any(_has_left(copy) for copy in copies):
        raise Unclear("The same reply has left already, or is on its way: look for it in Sent.")
    deleted = account.bulk_delete(copies, delete_type=HARD_DELETE) if copies else []
    for _, result in zip(copies, deleted, strict=True):
        if isinstance(result, errors.ErrorItemNotFound):
            raise Unclear(_NOT_KNOWN)  # it has gone in this very moment, and a draft goes by being sent
        if isinstance(result, EWSError):
            raise meaning_of(result)


def _send_once(account: Account, reply: Message) -> None:
    """The one request after which the reply may have left."""
    try:
        _create(account, reply, SEND_AND_SAVE_COPY)
    except NotTaken:
        raise
    except EWSError as failure:
        if is_refusal(failure):
            raise
        raise Unclear(_NOT_KNOWN) from None
    except Exception:  # whatever it was, the request may have gone out
        raise Unclear(_NOT_KNOWN) from None


def _create(account: Account, mail: Message, disposition: str) -> None:
    sent = _folder(account, SentItems)
    CreateOnce(account=account).get(
        items=[mail], folder=sent, message_disposition=disposition, send_meeting_invitations=SEND_TO_NONE
    )


def _check_folder(account: Account, kind: type[Folder]) -> Finding:
    try:
        folder = _facts(account, kind)
    except ConnectorError as error:
        return Finding(False, error.sentence)
    if kind is not SentItems:
        return Finding(True, f"The folder {folder.name} can be looked into for replies on their way.")
    if not folder.effective_rights.create_contents:
        return Finding(
            False,
            f"The folder {folder.name} may not be written to: nothing can be sent.",
            "Give the login full access to the mailbox.",
        )
    return Finding(True, f"Replies are filed in the folder {folder.name} of the shared mailbox.")
