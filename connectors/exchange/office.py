"""What staff see in Outlook of a mail's way: a category on it, a draft in Drafts, a folder for what is done.

It must never change what a person has written, and never mark a mail as read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from exchangelib import Account, Mailbox, Message, errors  # type: ignore[import-untyped]
from exchangelib.errors import EWSError  # type: ignore[import-untyped]
from exchangelib.folders import Drafts  # type: ignore[import-untyped]
from exchangelib.items import (  # type: ignore[import-untyped]
    ALL_OCCURRENCES,
    AUTO_RESOLVE,
    ID_ONLY,
    SAVE_ONLY,
    SEND_TO_NONE,
    SOFT_DELETE,
)
from exchangelib.properties import ItemId  # type: ignore[import-untyped]

from connectors.base import Mark, PutDraft
from connectors.errors import Permanent
from connectors.exchange.ews import CreateOnce, DeleteOnce, GetOnce, MoveOnce, UpdateOnce
from connectors.exchange.folders import copies, folder, folder_called, paths
from connectors.exchange.inbox import SPOILT
from connectors.exchange.refusals import meaning_of

# A mail has another id as soon as it lies in another folder, and after a move to another database.
_GONE = (errors.ErrorItemNotFound, errors.ErrorInvalidIdMalformed)


def mark(account: Account, remote_id: str, wanted: Mark | None, names: Mapping[Mark, str]) -> bool:
    mail = _got(account, remote_id, "categories")
    if mail is None:
        return False
    categories = _with_mark(mail.categories or [], wanted, names)
    if categories == (mail.categories or []):
        return True
    mail.categories = categories
    changed = UpdateOnce(account=account).call(
        items=[(mail, ["categories"])],
        conflict_resolution=AUTO_RESOLVE,
        message_disposition=SAVE_ONLY,
        send_meeting_invitations_or_cancellations=SEND_TO_NONE,
        suppress_read_receipts=True,
    )
    return _there(changed) is not None


def _with_mark(categories: list[str], wanted: Mark | None, names: Mapping[Mark, str]) -> list[str]:
    """Outlook takes two categories that differ in case for one."""
    ours = {name.casefold() for name in names.values()}
    kept = [name for name in categories if name.casefold() not in ours]
    shown = [name for name in categories if name.casefold() in ours]
    if wanted is None:
        return kept
    if [name.casefold() for name in shown] == [names[wanted].casefold()]:
        return categories
    return [*kept, names[wanted]]


def put_draft(account: Account, raw: bytes, message_id: str) -> PutDraft:
    for lying in copies(account, message_id, [Drafts]):
        return PutDraft(lying.id, lying.changekey)
    draft = Message(
        mime_content=raw,
        author=Mailbox(email_address=account.primary_smtp_address),  # else it would leave from whoever sends it
        is_read=True,
    )
    put = CreateOnce(account=account).get(
        items=[draft],
        folder=folder(account, Drafts),
        message_disposition=SAVE_ONLY,
        send_meeting_invitations=SEND_TO_NONE,
    )
    return PutDraft(put.id, put.changekey)


def take_back(account: Account, draft: PutDraft) -> bool:
    """DeleteItem does not compare change keys, so we do. What it deletes softly can be got back by staff for as long
    as the server keeps deleted items, should somebody have begun to write in this very moment."""
    lying = _got(account, draft.remote_id)
    if lying is None:
        return True
    if lying.changekey != draft.version:
        return False
    _there(
        DeleteOnce(account=account).call(
            items=[ItemId(lying.id, lying.changekey)],
            delete_type=SOFT_DELETE,
            send_meeting_cancellations=SEND_TO_NONE,
            affected_task_occurrences=ALL_OCCURRENCES,
            suppress_read_receipts=True,
        )
    )
    return True


def move(account: Account, remote_id: str, name: str) -> bool:
    to_folder = folder_called(account, name)
    moved = MoveOnce(account=account).call(items=[ItemId(remote_id)], to_folder=to_folder)
    return _there(moved) is not None


def _got(account: Account, remote_id: str, *names: str) -> Message | None:
    fields = paths(Message, *names)
    return _there(GetOnce(account=account).call(items=[ItemId(remote_id)], additional_fields=fields, shape=ID_ONLY))


def _there(answers: Iterable[Any]) -> Any:
    """What was said of the one mail that was asked about; None when it is not there."""
    (answer,) = answers
    if isinstance(answer, _GONE):
        return None
    if isinstance(answer, SPOILT):
        raise Permanent(f"Exchange cannot change this mail ({type(answer).__name__}): look at it in Outlook.")
    if isinstance(answer, EWSError):
        raise meaning_of(answer)
    return answer
