"""The folder of an Exchange mailbox that residents write to, read in the order in which mail came.

It must never let one mail that cannot be fetched stop the next, and never change what it reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from email.utils import getaddresses
from typing import NamedTuple

from exchangelib import Account, ExtendedProperty, Message, errors  # type: ignore[import-untyped]
from exchangelib.errors import EWSError  # type: ignore[import-untyped]
from exchangelib.folders import Inbox  # type: ignore[import-untyped]
from exchangelib.items import ID_ONLY  # type: ignore[import-untyped]
from exchangelib.properties import ItemId  # type: ignore[import-untyped]

from connectors.base import LARGEST_MAIL_BYTES, Cursor, Fetched, Unreadable
from connectors.errors import Transient
from connectors.exchange.ews import GetOnce
from connectors.exchange.folders import facts, folder, paths
from connectors.exchange.refusals import explained, meaning_of
from connectors.message_id import headers_of

_MOST_CHANGES = 512  # MaxChangesReturned may be no more
SPOILT = (
    errors.ErrorMimeContentConversionFailed,
    errors.ErrorContentConversionFailed,
    errors.ErrorCorruptData,
    errors.ErrorItemCorrupt,
    errors.ErrorMessageSizeExceeded,
)
"""What is wrong with one mail and no other."""


class _SenderAddressType(ExtendedProperty):  # type: ignore[misc]
    """Who handed the mail in: EX for an entry of the directory, SMTP for an address from anywhere."""

    property_tag = 0x0C1E
    property_type = "String"


class _SenderSmtpAddress(ExtendedProperty):  # type: ignore[misc]
    property_tag = 0x5D01
    property_type = "String"


class _RepresentedAddressType(ExtendedProperty):  # type: ignore[misc]
    """In whose name. The same one, unless somebody writes on behalf of another."""

    property_tag = 0x0064
    property_type = "String"


class _RepresentedSmtpAddress(ExtendedProperty):  # type: ignore[misc]
    property_tag = 0x5D02
    property_type = "String"


_SENDER = {
    "sender_address_type": _SenderAddressType,
    "sender_smtp_address": _SenderSmtpAddress,
    "represented_address_type": _RepresentedAddressType,
    "represented_smtp_address": _RepresentedSmtpAddress,
}
for _name, _property in _SENDER.items():
    Message.register(_name, _property)


class Listed(NamedTuple):
    """A mail by what Exchange says about it in a list. In this order mails are read."""

    received: str
    remote_id: str
    size_bytes: int

    @property
    def received_at(self) -> datetime | None:
        return datetime.fromisoformat(self.received) if self.received else None


class Reading:
    """Exchange lists changes since a state in no order that one could rely on, and a new state only at the end of the
    list. So a list is read to its end (ids only), sorted, and the cursor names both states until its last mail.
    """

    def __init__(self, account: Account, since: date | None, *, directory: bool) -> None:
        self._account = account
        self._since = since
        self._directory = directory

    def mails_after(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        state = str(cursor.get("state", ""))
        if "before" in cursor:
            # Listed anew from the same state. What has come since sorts anywhere, and follows with the next state.
            before, read = str(cursor["before"]), (str(cursor["received"]), str(cursor["id"]))
            listed, _ = self._listed_since(before)
            yield from self._mails([mail for mail in listed if mail[:2] > read], before, state)
        listed, newest = self._listed_since(state)
        yield from self._mails(listed, state, newest)

    def newest(self) -> Fetched | Unreadable | None:
        found = folder(self._account, Inbox).all().order_by("-datetime_received").only("datetime_received", "size")
        return next((self._mail(_listed(item), {}) for item in found[:1]), None)

    def _listed_since(self, state: str) -> tuple[list[Listed], str]:
        inbox = folder(self._account, Inbox)
        fields = ["datetime_received", "size"]
        changes = inbox.sync_items(state or None, only_fields=fields, max_changes_returned=_MOST_CHANGES)
        listed = []
        try:
            for change in changes:
                if isinstance(change, Exception):
                    raise change
                # A mark, or a mail that staff have read, is a change of another kind.
                if change[0] == "create" and self._is_wanted(mail := _listed(change[1])):
                    listed.append(mail)
        except errors.ErrorInvalidSyncStateData:
            if not state:
                raise
            return self._listed_since("")  # a restored or moved mailbox: all is read again, and known by its content
        if not inbox.item_sync_state:
            raise Transient("The Exchange server lists the inbox without saying where the list ends.")
        return sorted(listed), inbox.item_sync_state

    def _is_wanted(self, mail: Listed) -> bool:
        return self._since is None or mail.received_at is None or mail.received_at.date() >= self._since

    def _mails(self, listed: list[Listed], before: str, after: str) -> Iterator[Fetched | Unreadable]:
        for mail in listed:
            cursor: Cursor = {"state": after}
            if mail is not listed[-1]:
                cursor |= {"before": before, "received": mail.received, "id": mail.remote_id}
            found = self._mail(mail, cursor)
            if found is not None:
                yield found

    def _mail(self, mail: Listed, cursor: Cursor) -> Fetched | Unreadable | None:
        """None when the mail has been moved or deleted meanwhile."""
        if mail.size_bytes > LARGEST_MAIL_BYTES:
            return _unreadable(mail, "The mail is too large to be read.", cursor)
        for _ in range(2):
            try:
                return self._fetched(mail, cursor)
            except Transient as failure:
                if failure.retry_after_s is not None:
                    raise
                facts(self._account, Inbox)  # if the server is away altogether, it is not this mail's fault
        return _unreadable(mail, "Exchange fails whenever this mail is fetched.", cursor)

    def _fetched(self, mail: Listed, cursor: Cursor) -> Fetched | Unreadable | None:
        with explained():
            (item,) = GetOnce(account=self._account).call(
                items=[ItemId(mail.remote_id)],
                additional_fields=paths(Message, "mime_content", *(_SENDER if self._directory else ())),
                shape=ID_ONLY,
            )
        if isinstance(item, errors.ErrorItemNotFound):
            return None
        if isinstance(item, SPOILT):
            return _unreadable(mail, f"Exchange does not hand this mail over ({type(item).__name__}).", cursor)
        if isinstance(item, EWSError):
            raise meaning_of(item)
        if not item.mime_content:
            return _unreadable(mail, "Exchange hands over this mail without its content.", cursor)
        known = self._directory and _is_from_directory(item, item.mime_content)
        return Fetched(mail.remote_id, item.mime_content, mail.received_at, cursor, known)


def _is_from_directory(item: Message, raw: bytes) -> bool:
    """Handed in by an entry of the directory, in its own name, after signing in, and shown as being from there.

    The type of the address alone is not enough: Exchange looks addresses of any mail up in its address book, and takes
    an address in IMCEA encapsulation for an entry ([MS-OXCMAIL] 2.2.3.1.1). AuthAs says whether the sender signed in.
    """
    headers = headers_of(raw)
    addresses = getaddresses([str(field) for field in headers.get_all("From", [])])
    shown = [address.casefold() for _, address in addresses if address]
    signed_in_as = [str(field).strip() for field in headers.get_all("X-MS-Exchange-Organization-AuthAs", [])]
    sender = [str(getattr(item, name, None) or "").casefold() for name in _SENDER]
    return len(shown) == 1 and sender == ["ex", *shown] * 2 and signed_in_as == ["Internal"]


def _listed(item: Message) -> Listed:
    received = item.datetime_received
    when = datetime.fromtimestamp(received.timestamp(), UTC).isoformat() if received else ""
    return Listed(when, item.id, item.size or 0)


def _unreadable(mail: Listed, sentence: str, cursor: Cursor) -> Unreadable:
    when = f"received {mail.received}" if mail.received else "without a date"
    return Unreadable(mail.remote_id, f"{sentence} Open it in Outlook ({when}).", cursor)
