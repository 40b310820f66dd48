"""The folders of one Exchange mailbox by their names in the protocol, and the mails in them that carry an id.

It must never ask for a folder without its mailbox: a delegate would be given the folder of their own mailbox.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exchangelib import Account, ExtendedProperty, Mailbox, Message, Q, errors  # type: ignore[import-untyped]
from exchangelib.errors import EWSError  # type: ignore[import-untyped]
from exchangelib.fields import FieldPath  # type: ignore[import-untyped]
from exchangelib.folders import Folder, FolderCollection, Inbox, MsgFolderRoot, Root  # type: ignore[import-untyped]
from exchangelib.items import ID_ONLY, SHALLOW  # type: ignore[import-untyped]
from exchangelib.properties import DistinguishedFolderId  # type: ignore[import-untyped]
from exchangelib.restriction import Restriction  # type: ignore[import-untyped]
from exchangelib.services import FindFolder, FindItem  # type: ignore[import-untyped]

from connectors.errors import Permanent, Refused
from connectors.exchange.refusals import meaning_of

_GONE = (errors.ErrorItemNotFound, errors.ErrorFolderNotFound)


class _MessageFlags(ExtendedProperty):  # type: ignore[misc]
    property_tag = 0x0E07
    property_type = "Integer"


Message.register("message_flags", _MessageFlags)


def folder(account: Account, kind: type[Folder]) -> Folder:
    mailbox = Mailbox(email_address=account.primary_smtp_address)
    name = DistinguishedFolderId(id=kind.DISTINGUISHED_FOLDER_ID, mailbox=mailbox)
    return kind(root=Root(account=account), _distinguished_id=name)


def facts(account: Account, kind: type[Folder]) -> Folder:
    """The folder with its name, how much it holds, and what the login may do in it."""
    wanted = paths(Folder, "total_count", "effective_rights")
    (found,) = FolderCollection(account, [folder(account, kind)]).get_folders(additional_fields=wanted)
    if isinstance(found, _GONE):
        raise Refused(
            f"The login cannot see the folder {kind.__name__} of the mailbox: give it full access to the mailbox."
        )
    if isinstance(found, EWSError):
        raise meaning_of(found)
    return found


def paths(kind: type[Folder] | type[Message], *names: str) -> set[FieldPath]:
    return {FieldPath(field=kind.get_field_by_fieldname(name)) for name in names}


def mails_with(account: Account, kinds: Sequence[type[Folder]], fields: set[FieldPath], wanted: Q) -> Iterator[Message]:
    """Exchange compares text without regard to case: whoever means one mail exactly compares once more."""
    places = [folder(account, kind) for kind in kinds]
    for item in FindItem(account=account).call(
        folders=places,
        additional_fields=fields,
        restriction=Restriction(wanted, folders=places, applies_to=Restriction.ITEMS),
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
        yield item


def copies(account: Account, message_id: str, kinds: Sequence[type[Folder]]) -> Iterator[Message]:
    """Mails with exactly this Message-ID."""
    fields = paths(Message, "message_id", "is_draft", "message_flags")
    for item in mails_with(account, kinds, fields, Q(message_id=message_id)):
        if item.message_id == message_id:
            yield item


def folder_called(account: Account, name: str) -> Folder:
    """A folder that staff have made below the inbox, or else beside it."""
    places = [folder(account, Inbox), folder(account, MsgFolderRoot)]
    for found in FindFolder(account=account).call(
        folders=places,
        additional_fields=paths(Folder, "name"),
        restriction=Restriction(Q(name=name), folders=places, applies_to=Restriction.FOLDERS),
        shape=ID_ONLY,
        depth=SHALLOW,
        max_items=None,
        offset=0,
    ):
        if isinstance(found, EWSError):
            raise meaning_of(found)
        return found
    raise Permanent(f"The mailbox has no folder {name} below its inbox or beside it: make one, or correct the name.")
