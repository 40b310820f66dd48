"""The mail calls of Exchange Web Services, as the tests' Exchange Server answers them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

from tests.ews_store import FOLDERS, OWN, ROOT, SHARED, EwsServer, Item, Refused, Subscription

NAMESPACES = {
    "s": "http://schemas.xmlsoap.org/soap/envelope/",
    "m": "http://schemas.microsoft.com/exchange/services/2006/messages",
    "t": "http://schemas.microsoft.com/exchange/services/2006/types",
    "e": "http://schemas.microsoft.com/exchange/services/2006/errors",
}
_DECLARED = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in NAMESPACES.items())
HEAD = (
    f'<?xml version="1.0" encoding="utf-8"?><s:Envelope {_DECLARED}><s:Header><t:ServerVersionInfo MajorVersion="15" '
    'MinorVersion="2" MajorBuildNumber="1748" MinorBuildNumber="10" Version="V2017_07_11"/></s:Header><s:Body>'
)
TAIL = "</s:Body></s:Envelope>"
_SEARCHED: dict[str, Callable[[Item], str]] = {
    "message:InternetMessageId": lambda item: item.message_id,
    "item:InReplyTo": lambda item: item.in_reply_to,
}


class Call:
    """One request, with the rights of the one who asks."""

    def __init__(self, server: EwsServer, envelope: etree._Element, by_application: bool) -> None:
        self.server = server
        (self.body,) = envelope.find("s:Body", NAMESPACES)
        self.name = etree.QName(self.body).localname
        self.version = envelope.find("s:Header/t:RequestServerVersion", NAMESPACES).get("Version")
        acting_for = envelope.find("s:Header/t:ExchangeImpersonation/t:ConnectingSID/t:PrimarySmtpAddress", NAMESPACES)
        self.acting_for = None if acting_for is None else str(acting_for.text)
        self.by_application = by_application
        self.at_the_right_server = True
        self.refused = False

    def answer(self) -> list[str | bytes]:
        if self.by_application and self.acting_for is None:
            raise Refused("ErrorImpersonationDenied")
        if self.acting_for is not None and self.acting_for not in self.server.may_impersonate:
            raise Refused("ErrorImpersonateUserDenied")
        if self.name in self.server.refusals:
            raise Refused(self.server.refusals[self.name])
        handler: Callable[[], list[str | bytes]] = getattr(self, f"_{self.name}")
        return handler()

    # ------------------------------------------------------------ folders

    def _GetFolder(self) -> list[str | bytes]:  # noqa: N802 - EWS calls it so
        mailbox, folder = self._place(self.find("m:FolderIds")[0])
        rights = "".join(
            f"<t:{right}>{'false' if folder in self.server.read_only_folders else 'true'}</t:{right}>"
            for right in ("CreateAssociated", "CreateContents", "CreateHierarchy", "Delete", "Modify")
        )
        held = len(self.server.in_folder(folder, mailbox))
        return self.success(
            f'<m:Folders><t:Folder><t:FolderId Id="F{folder}" ChangeKey="A"/><t:FolderClass>IPF.Note</t:FolderClass>'
            f"<t:DisplayName>{FOLDERS[folder]}</t:DisplayName><t:TotalCount>{held}</t:TotalCount>"
            f"<t:EffectiveRights>{rights}<t:Read>true</t:Read></t:EffectiveRights></t:Folder></m:Folders>"
        )

    def _FindFolder(self) -> list[str | bytes]:  # noqa: N802
        assert self.body.get("Traversal") == "Shallow"
        assert self.find("m:Restriction/t:IsEqualTo/t:FieldURI").get("FieldURI") == "folder:DisplayName"
        name = self.find("m:Restriction/t:IsEqualTo/t:FieldURIOrConstant/t:Constant").get("Value")
        pages = []
        for place in self.find("m:ParentFolderIds"):
            _, parent = self._place(place)
            held = {folder: called for folder, (within, called) in self.server.made_folders.items() if within == parent}
            held |= FOLDERS if parent == ROOT else {}
            found = "".join(
                f'<t:Folder><t:FolderId Id="F{folder}" ChangeKey="A"/><t:DisplayName>{escape(called)}</t:DisplayName>'
                "</t:Folder>"
                for folder, called in held.items()
                if called.lower() == name.lower()
            )
            pages.append(
                f'<m:RootFolder TotalItemsInView="{found.count("<t:Folder>")}" IndexedPagingOffset="1" '
                f'IncludesLastItemInRange="true"><t:Folders>{found}</t:Folders></m:RootFolder>'
            )
        return self.success(*pages)

    # ------------------------------------------------------------ reading

    def _SyncFolderItems(self) -> list[str | bytes]:  # noqa: N802
        mailbox, folder = self._place(self.find("m:SyncFolderId")[0])
        state = self.find("m:SyncState")
        epoch, start = (self.server.epoch, 0) if state is None else _state(str(state.text))
        if epoch != self.server.epoch:
            raise Refused("ErrorInvalidSyncStateData")
        log = self.server.log if (mailbox, folder) == (SHARED, "inbox") else []
        most = min(int(str(self.find("m:MaxChangesReturned").text)), self.server.most_a_page)
        page = log[start : start + most]
        end = start + len(page)
        new_state = base64.b64encode(f"{epoch}:{end}".encode()).decode()
        changes = "".join(self._change(*entry) for entry in reversed(page))  # no order is promised
        return self.success(
            f"<m:SyncState>{new_state}</m:SyncState>"
            f"<m:IncludesLastItemInRange>{str(end == len(log)).lower()}</m:IncludesLastItemInRange>"
            f"<m:Changes>{changes}</m:Changes>"
        )

    def _change(self, kind: str, number: int) -> str:
        item = self.server.named(number)
        if kind == "Delete":
            return f'<t:Delete><t:ItemId Id="AAMk{number:06d}=" ChangeKey="A"/></t:Delete>'
        if item is None:
            return ""
        if kind == "ReadFlagChange":
            return f"<t:ReadFlagChange>{_item_id(item)}<t:IsRead>true</t:IsRead></t:ReadFlagChange>"
        return f"<t:{kind}>{_message(item)}</t:{kind}>"

    def _GetItem(self) -> list[str | bytes]:  # noqa: N802
        item = self._item(self.find("m:ItemIds")[0])
        if item.unreadable:
            raise Refused("ErrorMimeContentConversionFailed")
        asked = self.find("m:ItemShape/t:AdditionalProperties")
        names = set() if asked is None else {one.get("FieldURI") or one.get("PropertyTag") for one in asked}
        mime: list[str | bytes] = []
        if "item:MimeContent" in names:
            mime = ['<t:MimeContent CharacterSet="UTF-8">', base64.b64encode(item.raw), "</t:MimeContent>"]
        rest = _item_id(item)
        if "item:Categories" in names and item.categories:
            rest += f"<t:Categories>{''.join(f'<t:String>{escape(one)}</t:String>' for one in item.categories)}</t:Categories>"
        for tag, value in (item.sender.properties if item.sender else {}).items():
            if hex(tag) in names:
                rest += _property(tag, "String", value)
        before, after = self.success("\0")[0].split("\0")  # type: ignore[arg-type]
        return [before, f"<m:Items><t:{item.element}>", *mime, rest, f"</t:{item.element}></m:Items>", after]

    def _FindItem(self) -> list[str | bytes]:  # noqa: N802
        wanted = self.body.find("m:Restriction/t:IsEqualTo", NAMESPACES)
        text, looked_at = "", None
        if wanted is not None:
            looked_at = _SEARCHED[wanted.find("t:FieldURI", NAMESPACES).get("FieldURI")]
            text = wanted.find("t:FieldURIOrConstant/t:Constant", NAMESPACES).get("Value")
        view = self.find("m:IndexedPageItemView")
        start, most = int(view.get("Offset")), int(view.get("MaxEntriesReturned"))
        pages = []
        for place in self.find("m:ParentFolderIds"):
            mailbox, folder = self._place(place)
            held = self.server.in_folder(folder, mailbox)
            # Exchange compares text without regard to case.
            found = [item for item in held if looked_at is None or looked_at(item).lower() == text.lower()]
            found.sort(key=lambda item: item.received_at, reverse=True)
            page = found[start : start + most]
            last = start + most >= len(found)
            pages.append(
                f'<m:RootFolder TotalItemsInView="{len(found)}" IndexedPagingOffset="{start + len(page)}" '
                f'IncludesLastItemInRange="{str(last).lower()}"><t:Items>{"".join(map(_message, page))}</t:Items>'
                "</m:RootFolder>"
            )
        return self.success(*pages)

    # ------------------------------------------------------------ writing

    def _CreateItem(self) -> list[str | bytes]:  # noqa: N802
        mailbox, folder = self._place(self.find("m:SavedItemFolderId")[0])
        self._must_be_writable(folder)
        (message,) = self.find("m:Items")
        raw = base64.b64decode(str(message.findtext("t:MimeContent", namespaces=NAMESPACES)))
        sender = message.findtext("t:From/t:Mailbox/t:EmailAddress", "", NAMESPACES)
        more = [str(one.text) for one in message.findall("t:BccRecipients/t:Mailbox/t:EmailAddress", NAMESPACES)]
        if self.body.get("MessageDisposition") != "SaveOnly":
            self.server.submit(raw, self.acting_for or OWN, mailbox, sender, more)
            return self.success("<m:Items/>")
        flags = message.findtext("t:ExtendedProperty/t:Value", "8", NAMESPACES)
        item = self.server.save(raw, mailbox, folder, int(flags))
        item.is_read, item.author = message.findtext("t:IsRead", "false", NAMESPACES) == "true", sender
        return self.success(f"<m:Items><t:{item.element}>{_item_id(item)}</t:{item.element}></m:Items>")

    def leave_half_way(self) -> None:
        raw = base64.b64decode(str(self.body.findtext("m:Items/t:Message/t:MimeContent", namespaces=NAMESPACES)))
        self.server.save(raw, SHARED, "drafts", 0x01 | 0x08)

    def _UpdateItem(self) -> list[str | bytes]:  # noqa: N802
        (change,) = self.find("m:ItemChanges")
        named = change.find("t:ItemId", NAMESPACES)
        item = self._item(named)
        self._must_be_writable(item.folder)
        if self.body.get("ConflictResolution") == "AutoResolve" and not named.get("ChangeKey"):
            raise Refused("ErrorChangeKeyRequired")
        assert self.body.get("MessageDisposition") == "SaveOnly"
        assert self.body.get("SuppressReadReceipts") == "true", "a mark must not tell the sender that the mail was read"
        fields = [
            update.find("t:FieldURI", NAMESPACES).get("FieldURI") for update in change.find("t:Updates", NAMESPACES)
        ]
        self.server.written.append(fields)
        assert fields == ["item:Categories"]
        categories = change.findall(f"t:Updates/t:SetItemField/t:{item.element}/t:Categories/t:String", NAMESPACES)
        self.server.change(item, [str(one.text) for one in categories])
        return self.success(f"<m:Items><t:{item.element}>{_item_id(item)}</t:{item.element}></m:Items>")

    def _MoveItem(self) -> list[str | bytes]:  # noqa: N802
        try:
            mailbox, folder = self._place(self.find("m:ToFolderId")[0])
        except Refused:
            raise Refused("ErrorToFolderNotFound") from None
        item = self._item(self.find("m:ItemIds")[0])
        assert item.mailbox == mailbox
        self._must_be_writable(item.folder)
        self.server.move(item, folder)
        return self.success(f"<m:Items><t:{item.element}>{_item_id(item)}</t:{item.element}></m:Items>")

    def _DeleteItem(self) -> list[str | bytes]:  # noqa: N802
        found = [self._item(item_id) for item_id in self.find("m:ItemIds")]
        for item in found:
            self._must_be_writable(item.folder)
            self.server.remove(item, self.body.get("DeleteType"))
        return self.success(*("" for _ in found))

    # ------------------------------------------------------------ notices

    def _Subscribe(self) -> list[str | bytes]:  # noqa: N802
        (place,) = self.find("m:StreamingSubscriptionRequest/t:FolderIds")
        kinds = self.body.findall("m:StreamingSubscriptionRequest/t:EventTypes/t:EventType", NAMESPACES)
        name = f"JgBzb2w{len(self.server.asked):04d}"
        self.server.subscriptions[name] = Subscription(*self._place(place), frozenset(str(kind.text) for kind in kinds))
        return self.success(f"<m:SubscriptionId>{name}</m:SubscriptionId>")

    def _Unsubscribe(self) -> list[str | bytes]:  # noqa: N802
        subscription = str(self.find("m:SubscriptionId").text)
        if subscription not in self.server.subscriptions or not self.at_the_right_server:
            raise Refused("ErrorSubscriptionNotFound")
        del self.server.subscriptions[subscription]
        return self.success("")

    def _GetStreamingEvents(self) -> list[str | bytes]:  # noqa: N802
        """The first of the documents that the open answer is made of."""
        if self.subscription not in self.server.subscriptions or not self.at_the_right_server:
            raise Refused("ErrorSubscriptionNotFound")
        if not 1 <= self.minutes <= 30:
            raise Refused("ErrorInvalidArgument")
        if self.server.streams >= self.server.most_streams:
            raise Refused("ErrorExceededConnectionCount")
        return self.status("OK")

    @property
    def subscription(self) -> str:
        return str(self.find("m:SubscriptionIds")[0].text)

    @property
    def minutes(self) -> int:
        return int(str(self.find("m:ConnectionTimeout").text))

    def status(self, status: str) -> list[str | bytes]:
        return self.success(f"<m:ConnectionStatus>{status}</m:ConnectionStatus>")

    def notice(self, kind: str, item_id: str) -> list[str | bytes]:
        return self.success(
            f"<m:Notifications><m:Notification><t:SubscriptionId>{self.subscription}</t:SubscriptionId><t:{kind}>"
            f'<t:TimeStamp>2026-11-21T08:00:00Z</t:TimeStamp><t:ItemId Id="{item_id}" ChangeKey="A"/>'
            f'<t:ParentFolderId Id="Finbox" ChangeKey="A"/></t:{kind}></m:Notification></m:Notifications>'
        )

    # ------------------------------------------------------------ what all calls have in common

    def find(self, path: str) -> Any:
        return self.body.find(path, NAMESPACES)

    def success(self, *contents: str) -> list[str | bytes]:
        return [self._messages("Success", "NoError", contents)]

    def refusal(self, code: str) -> list[str | bytes]:
        state = "<m:SyncState/><m:IncludesLastItemInRange>true</m:IncludesLastItemInRange>"
        content = f"<m:MessageText>{SHARED} may not.</m:MessageText>", state if "Sync" in self.name else ""
        return [self._messages("Error", code, ("",), *content)]

    def _messages(self, outcome: str, code: str, contents: Any, text: str = "", rest: str = "") -> str:
        messages = "".join(
            f'<m:{self.name}ResponseMessage ResponseClass="{outcome}">{text}<m:ResponseCode>{code}</m:ResponseCode>'
            f"{rest}{content}</m:{self.name}ResponseMessage>"
            for content in contents
        )
        inner = f"<m:ResponseMessages>{messages}</m:ResponseMessages>"
        return f"{HEAD}<m:{self.name}Response>{inner}</m:{self.name}Response>{TAIL}"

    def _place(self, folder_id: etree._Element) -> tuple[str, str]:
        """A folder by its name in the protocol is the caller's own, unless the mailbox is named, as Exchange has it."""
        folder = str(folder_id.get("Id"))
        if etree.QName(folder_id).localname == "FolderId":
            if folder.removeprefix("F") not in self.server.made_folders:
                raise Refused("ErrorItemNotFound")
            return SHARED, folder.removeprefix("F")
        named = folder_id.findtext("t:Mailbox/t:EmailAddress", None, NAMESPACES)
        mailbox = named or self.acting_for or OWN
        if mailbox not in (SHARED, OWN):
            raise Refused("ErrorNonExistentMailbox")
        if mailbox != self.acting_for and mailbox not in self.server.may_open:
            raise Refused("ErrorAccessDenied")
        if folder in self.server.hidden_folders:
            raise Refused("ErrorItemNotFound")
        return mailbox, folder

    def _item(self, item_id: etree._Element) -> Item:
        found = [item for item in self.server.items if item.item_id == item_id.get("Id")]
        if not found:
            raise Refused("ErrorItemNotFound")
        return found[0]

    def _must_be_writable(self, folder: str) -> None:
        if folder in self.server.read_only_folders:
            raise Refused("ErrorAccessDenied")


def soap_fault(code: str, back_off_ms: int) -> list[str | bytes]:
    return [
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope {_DECLARED}><s:Body><s:Fault>'
        f"<faultcode>a:{code}</faultcode><faultstring>The server cannot service this request right now.</faultstring>"
        f"<detail><e:ResponseCode>{code}</e:ResponseCode><e:Message>Try again later.</e:Message><t:MessageXml>"
        f'<t:Value Name="BackOffMilliseconds">{back_off_ms}</t:Value></t:MessageXml></detail></s:Fault>{TAIL}'
    ]


def _state(text: str) -> tuple[int, int]:
    epoch, _, position = base64.b64decode(text).decode().partition(":")
    return int(epoch), int(position)


def _item_id(item: Item) -> str:
    return f'<t:ItemId Id="{item.item_id}" ChangeKey="{item.change_key}"/>'


def _property(tag: int, kind: str, value: str) -> str:
    return (
        f'<t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="{tag:#x}" PropertyType="{kind}"/>'
        f"<t:Value>{escape(value)}</t:Value></t:ExtendedProperty>"
    )


def _message(item: Item) -> str:
    return (
        f"<t:{item.element}>{_item_id(item)}<t:Size>{item.size_bytes}</t:Size>"
        f"<t:DateTimeReceived>{item.received_at:%Y-%m-%dT%H:%M:%SZ}</t:DateTimeReceived>"
        f"<t:IsDraft>{str(item.is_draft).lower()}</t:IsDraft>{_property(0x0E07, 'Integer', str(item.flags))}"
        f"<t:InReplyTo>{escape(item.in_reply_to)}</t:InReplyTo>"
        f"<t:InternetMessageId>{escape(item.message_id)}</t:InternetMessageId></t:{item.element}>"
    )
