"""Handing a reply to Exchange, and looking for what has left the mailbox.

It must never ask twice for a reply to be sent, and never send a reply that may have left already.
"""

from __future__ import annotations

from exchangelib import Account, Mailbox, Message, Q, errors  # type: ignore[import-untyped]
from exchangelib.errors import EWSError  # type: ignore[import-untyped]
from exchangelib.folders import DeletedItems, Drafts, Outbox, SentItems  # type: ignore[import-untyped]
from exchangelib.items import (  # type: ignore[import-untyped]
    HARD_DELETE,
    SAVE_ONLY,
    SEND_AND_SAVE_COPY,
    SEND_TO_NONE,
)

from connectors.errors import Permanent, Unclear
from connectors.exchange.ews import CreateOnce
from connectors.exchange.folders import copies, facts, folder, mails_with, paths
from connectors.exchange.refusals import NotTaken, is_refusal, meaning_of

PLACES = (SentItems, Outbox, Drafts, DeletedItems)
"""Where a reply may be that has been accepted, or half made; last, in case somebody has deleted it already."""

_NOT_KNOWN = "Exchange gave no clear answer to the reply: look for it in Sent before sending again."
_READ, _SUBMITTED = 0x01, 0x04  # mfRead and mfSubmitted, [MS-OXCMSG] 2.2.1.6


def send(account: Account, raw: bytes, message_id: str, hidden: list[str]) -> None:
    """`hidden`: recipients whom no header names."""
    if not facts(account, SentItems).effective_rights.create_contents:
        raise Permanent("The login may not write into the folder Sent: nothing was sent.")
    _clear_away(account, message_id)
    reply = Message(
        mime_content=raw,
        author=Mailbox(email_address=account.primary_smtp_address),  # else the login could be the sender
        bcc_recipients=[Mailbox(email_address=address) for address in hidden] or None,
        is_read=True,
    )
    _send_once(account, reply)


def file_sent(account: Account, raw: bytes, message_id: str) -> None:
    """Exchange files what it sends by itself. Until it has, the reply is in the Outbox or in Drafts."""
    if not any(copies(account, message_id, PLACES)):
        copy = Message(mime_content=raw, is_read=True, message_flags=_READ)  # else it would be a draft
        _create(account, copy, SAVE_ONLY)


def has_left(account: Account, message_id: str) -> bool:
    return any(_has_left(copy) for copy in copies(account, message_id, PLACES))


def replies_to(account: Account, message_id: str) -> frozenset[str]:
    fields = paths(Message, "message_id", "in_reply_to")
    found = mails_with(account, [SentItems], fields, Q(in_reply_to=message_id))
    return frozenset(reply.message_id for reply in found if reply.in_reply_to == message_id and reply.message_id)


def _has_left(copy: Message) -> bool:
    """A sent mail is no draft; one on its way may still look like one, but is marked as submitted."""
    return copy.is_draft is False or bool((copy.message_flags or 0) & _SUBMITTED)


def _clear_away(account: Account, message_id: str) -> None:
    """Delete what an attempt that broke off before sending has left in Drafts: staff could send it from there."""
    found = list(copies(account, message_id, PLACES))
    if any(_has_left(copy) for copy in found):
        raise Unclear("The same reply has left already, or is on its way: look for it in Sent.")
    deleted = account.bulk_delete(found, delete_type=HARD_DELETE) if found else []
    for _, result in zip(found, deleted, strict=True):
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
    CreateOnce(account=account).get(
        items=[mail],
        folder=folder(account, SentItems),
        message_disposition=disposition,
        send_meeting_invitations=SEND_TO_NONE,
    )
