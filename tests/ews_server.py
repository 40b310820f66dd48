"""An Exchange Server of the tests' own: the mail calls of Exchange Web Services, over real HTTPS on loopback.

It keeps two mailboxes in memory, counts what it has really accepted for sending, and misbehaves when told to.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import spnego
from lxml import etree

from tests import servers

SHARED = servers.INBOX_ADDRESS
OWN = "robot@solkommun.example"
"""The mailbox of the login itself, which nobody wants to read."""
USER = "SOL\\robot"
PASSWORD = servers.PASSWORD
TENANT = "solkommun.example"
CLIENT_ID = "6e2d1a7f-0000-4000-8000-00000000e1e5"
SECRET = "grön~hemlighet.3"
FOLDERS = {
    "inbox": "Inkorgen",
    "drafts": "Utkast",
    "outbox": "Utkorgen",
    "sentitems": "Skickat",
    "deleteditems": "Borttaget",
}
NAMESPACES = {
    "s": "http://schemas.xmlsoap.org/soap/envelope/",
    "m": "http://schemas.microsoft.com/exchange/services/2006/messages",
    "t": "http://schemas.microsoft.com/exchange/services/2006/types",
    "e": "http://schemas.microsoft.com/exchange/services/2006/errors",
}
_DECLARED = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in NAMESPACES.items())
_HEAD = (
    f'<?xml version="1.0" encoding="utf-8"?><s:Envelope {_DECLARED}><s:Header><t:ServerVersionInfo MajorVersion="15" '
    'MinorVersion="2" MajorBuildNumber="1748" MinorBuildNumber="10" Version="V2017_07_11"/></s:Header><s:Body>'
)
_TAIL = "</s:Body></s:Envelope>"


class Fault(Enum):
    """One answer that goes wrong. What ends in `AFTER` has been done all the same."""

    BUSY = "ErrorServerBusy as a SOAP fault with BackOffMilliseconds, nothing done"
    BUSY_IN_ANSWER = "ErrorServerBusy as the answer's code, nothing done"
    THROTTLED = "429 with Retry-After, nothing done"
    UNAVAILABLE = "503, nothing done"
    UNAVAILABLE_AFTER = "503, done"
    UNAVAILABLE_AND_CLOSED_AFTER = "503 with Connection: close, done"
    GATEWAY_TIMEOUT_AFTER = "504, done"
    STUMBLES_AFTER = "ErrorInternalServerTransientError, done"
    HALF_WAY = "503, and the mail lies unsent in Drafts"
    DROPPED = "hangs up, nothing done"
    DROPPED_AFTER = "hangs up, done"
    SILENT_AFTER = "says nothing for a while and hangs up, done"
    CUT_XML_AFTER = "whole by its length, but the XML ends in the middle, done"
    SHORT_AFTER = "fewer bytes than its length says, done"
    LOGIN_PAGE_AFTER = "200 with a page of HTML, done"
    ODD_AFTER = "sound XML that says nothing, done"
    UNAUTHORIZED = "401, nothing done"


_STATUS = {
    Fault.THROTTLED: 429,
    Fault.UNAVAILABLE: 503,
    Fault.UNAVAILABLE_AFTER: 503,
    Fault.UNAVAILABLE_AND_CLOSED_AFTER: 503,
    Fault.GATEWAY_TIMEOUT_AFTER: 504,
    Fault.HALF_WAY: 503,
    Fault.UNAUTHORIZED: 401,
}


class Refused(Exception):
    """The code of a response message."""


@dataclass
class Item:
    number: int
    mailbox: str
    folder: str
    raw: bytes
    received_at: datetime
    flags: int = 0x01
    unreadable: bool = False
    size_bytes: int = 0

    @property
    def item_id(self) -> str:
        return f"AAMk{self.number:06d}="

    @property
    def is_draft(self) -> bool:
        return bool(self.flags & 0x08)

    @property
    def message_id(self) -> str:
        return str(_headers(self.raw)["Message-ID"] or "").strip()


@dataclass(frozen=True)
class Accepted:
    """A mail that has left: nothing takes it back."""

    message_id: str
    raw: bytes
    sender: str
    recipients: frozenset[str]


@dataclass
class EwsServer:
    port: int
    folder: Path
    password: str = PASSWORD
    secret: str = SECRET
    may_open: set[str] = field(default_factory=lambda: {SHARED, OWN})
    """Mailboxes that the login has full access to."""
    may_impersonate: set[str] = field(default_factory=lambda: {SHARED})
    hidden_folders: set[str] = field(default_factory=set)
    read_only_folders: set[str] = field(default_factory=set)
    refusals: dict[str, str] = field(default_factory=dict)
    """What is refused every time, by the name of the call."""
    most_a_page: int = 512
    filing_takes_s: float = 0
    """How long an accepted mail stays in the Outbox, as on a busy server."""
    items: list[Item] = field(default_factory=list)
    log: list[tuple[str, int]] = field(default_factory=list)
    """What happened in the shared inbox: created, read or deleted, and the number of the mail."""
    epoch: int = 1
    accepted: list[Accepted] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    faults: dict[str, deque[Fault | None]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _on_their_way: list[tuple[float, Item]] = field(default_factory=list)

    @property
    def ca_file(self) -> Path:
        return self.folder / "cert.pem"

    def deliver(
        self,
        raw: bytes,
        *,
        mailbox: str = SHARED,
        received_at: datetime | None = None,
        unreadable: bool = False,
        size_bytes: int = 0,
    ) -> Item:
        item = self._keep(raw, mailbox, "inbox")
        item.received_at = received_at or item.received_at
        item.unreadable, item.size_bytes = unreadable, size_bytes or len(raw)
        if mailbox == SHARED:
            self.log.append(("Create", item.number))
        return item

    def mark_read(self, item: Item) -> None:
        self.log.append(("ReadFlagChange", item.number))

    def delete(self, item: Item) -> None:
        self.items.remove(item)
        self.log.append(("Delete", item.number))

    def lose_states(self) -> None:
        """As after a mailbox was moved or restored: old states mean nothing any more."""
        self.epoch += 1

    def in_folder(self, folder: str, mailbox: str = SHARED) -> list[Item]:
        self._file_what_is_due()
        return [item for item in self.items if (item.mailbox, item.folder) == (mailbox, folder)]

    def misbehave(self, call: str, *faults: Fault | None) -> None:
        """The next answers to this call go wrong in this order; None is a sound one."""
        self.faults.setdefault(call, deque()).extend(faults)

    def next_fault(self, call: str) -> Fault | None:
        waiting = self.faults.get(call)
        return waiting.popleft() if waiting else None

    def named(self, number: int) -> Item | None:
        return next((item for item in self.items if item.number == number), None)

    def _keep(self, raw: bytes, mailbox: str, folder: str) -> Item:
        item = Item(next(self._numbers), mailbox, folder, raw, datetime.now(UTC), size_bytes=len(raw))
        self.items.append(item)
        return item

    def save(self, raw: bytes, mailbox: str, folder: str, flags: int) -> None:
        self._keep(raw, mailbox, folder).flags = flags

    def submit(self, raw: bytes, login: str, mailbox: str, folder: str, sender: str, more: list[str]) -> None:
        headers = _headers(raw)
        named = getaddresses([str(value) for name in ("To", "Cc", "Bcc") for value in headers.get_all(name, [])])
        recipients = frozenset(address for _, address in named) | frozenset(more)
        if not recipients:
            raise Refused("ErrorInvalidRecipients")
        written = [address for _, address in getaddresses([str(headers["From"] or "")]) if address]
        sender = sender or (written or [login])[0]
        self.accepted.append(Accepted(str(headers["Message-ID"]).strip(), raw, sender, recipients))
        item = self._keep(raw, mailbox, "outbox")
        item.flags = 0x01 | 0x04 | 0x08
        self._on_their_way.append((time.monotonic() + self.filing_takes_s, item))
        self._file_what_is_due()

    def _file_what_is_due(self) -> None:
        for due, item in list(self._on_their_way):
            if due <= time.monotonic():
                item.folder, item.flags = "sentitems", 0x01
                self._on_their_way.remove((due, item))


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

    def answer(self) -> list[str | bytes]:
        if self.by_application and self.acting_for is None:
            raise Refused("ErrorImpersonationDenied")
        if self.acting_for is not None and self.acting_for not in self.server.may_impersonate:
            raise Refused("ErrorImpersonateUserDenied")
        if self.name in self.server.refusals:
            raise Refused(self.server.refusals[self.name])
        handler: Callable[[], list[str | bytes]] = getattr(self, f"_{self.name}")
        return handler()

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
            return (
                f'<t:ReadFlagChange><t:ItemId Id="{item.item_id}" ChangeKey="A"/><t:IsRead>true</t:IsRead>'
                "</t:ReadFlagChange>"
            )
        return f"<t:{kind}>{_message(item)}</t:{kind}>"

    def _GetItem(self) -> list[str | bytes]:  # noqa: N802
        item = self._item(self.find("m:ItemIds")[0])
        if item.unreadable:
            raise Refused("ErrorMimeContentConversionFailed")
        head = '<m:Items><t:Message><t:MimeContent CharacterSet="UTF-8">'
        tail = f'</t:MimeContent><t:ItemId Id="{item.item_id}" ChangeKey="A"/></t:Message></m:Items>'
        before, after = self.success("\0")[0].split("\0")  # type: ignore[arg-type]
        return [before, head, base64.b64encode(item.raw), tail, after]

    def _FindItem(self) -> list[str | bytes]:  # noqa: N802
        wanted = self.body.find("m:Restriction/t:IsEqualTo", NAMESPACES)
        message_id = ""
        if wanted is not None:
            assert wanted.find("t:FieldURI", NAMESPACES).get("FieldURI") == "message:InternetMessageId"
            message_id = wanted.find("t:FieldURIOrConstant/t:Constant", NAMESPACES).get("Value")
        view = self.find("m:IndexedPageItemView")
        start, most = int(view.get("Offset")), int(view.get("MaxEntriesReturned"))
        pages = []
        for place in self.find("m:ParentFolderIds"):
            mailbox, folder = self._place(place)
            held = self.server.in_folder(folder, mailbox)
            # Exchange compares text without regard to case.
            found = [item for item in held if not message_id or item.message_id.lower() == message_id.lower()]
            found.sort(key=lambda item: item.received_at, reverse=True)
            page = found[start : start + most]
            last = start + most >= len(found)
            pages.append(
                f'<m:RootFolder TotalItemsInView="{len(found)}" IndexedPagingOffset="{start + len(page)}" '
                f'IncludesLastItemInRange="{str(last).lower()}"><t:Items>{"".join(map(_message, page))}</t:Items>'
                "</m:RootFolder>"
            )
        return self.success(*pages)

    def _CreateItem(self) -> list[str | bytes]:  # noqa: N802
        mailbox, folder = self._place(self.find("m:SavedItemFolderId")[0])
        if folder in self.server.read_only_folders:
            raise Refused("ErrorAccessDenied")
        (message,) = self.find("m:Items")
        raw = base64.b64decode(str(message.findtext("t:MimeContent", namespaces=NAMESPACES)))
        sender = message.findtext("t:From/t:Mailbox/t:EmailAddress", "", NAMESPACES)
        more = [str(one.text) for one in message.findall("t:BccRecipients/t:Mailbox/t:EmailAddress", NAMESPACES)]
        if self.body.get("MessageDisposition") == "SaveOnly":
            flags = message.findtext("t:ExtendedProperty/t:Value", "8", NAMESPACES)
            self.server.save(raw, mailbox, folder, int(flags))
        else:
            self.server.submit(raw, self.acting_for or OWN, mailbox, folder, sender, more)
        return self.success("<m:Items/>")

    def leave_half_way(self) -> None:
        raw = base64.b64decode(str(self.body.findtext("m:Items/t:Message/t:MimeContent", namespaces=NAMESPACES)))
        self.server.save(raw, SHARED, "drafts", 0x01 | 0x08)

    def _DeleteItem(self) -> list[str | bytes]:  # noqa: N802
        found = [self._item(item_id) for item_id in self.find("m:ItemIds")]
        for item in found:
            self.server.items.remove(item)
        return self.success(*("" for _ in found))

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
        return f"{_HEAD}<m:{self.name}Response>{inner}</m:{self.name}Response>{_TAIL}"

    def _place(self, folder_id: etree._Element) -> tuple[str, str]:
        """A folder without a mailbox is the caller's own, as Exchange has it."""
        folder = str(folder_id.get("Id"))
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


def _state(text: str) -> tuple[int, int]:
    epoch, _, position = base64.b64decode(text).decode().partition(":")
    return int(epoch), int(position)


def _message(item: Item) -> str:
    return (
        f'<t:Message><t:ItemId Id="{item.item_id}" ChangeKey="A"/><t:Size>{item.size_bytes}</t:Size>'
        f"<t:DateTimeReceived>{item.received_at:%Y-%m-%dT%H:%M:%SZ}</t:DateTimeReceived>"
        f"<t:IsDraft>{str(item.is_draft).lower()}</t:IsDraft>"
        '<t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="0xe07" PropertyType="Integer"/>'
        f"<t:Value>{item.flags}</t:Value></t:ExtendedProperty>"
        f"<t:InternetMessageId>{escape(item.message_id)}</t:InternetMessageId></t:Message>"
    )


def _headers(raw: bytes) -> Any:
    return BytesHeaderParser(policy=policy.compat32).parsebytes(raw.partition(b"\r\n\r\n")[0])


def _soap_fault(code: str, back_off_ms: int) -> list[str | bytes]:
    return [
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope {_DECLARED}><s:Body><s:Fault>'
        f"<faultcode>a:{code}</faultcode><faultstring>The server cannot service this request right now.</faultstring>"
        f"<detail><e:ResponseCode>{code}</e:ResponseCode><e:Message>Try again later.</e:Message><t:MessageXml>"
        f'<t:Value Name="BackOffMilliseconds">{back_off_ms}</t:Value></t:MessageXml></detail></s:Fault>{_TAIL}'
    ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    exchange: EwsServer
    signing_in: Any = None
    signed_in = False

    def do_GET(self) -> None:
        """What Entra ID says about itself."""
        at = f"https://localhost:{self.exchange.port}/{TENANT}/oauth2"
        facts = {"issuer": at, "authorization_endpoint": f"{at}/authorize", "token_endpoint": f"{at}/token"}
        self._say(200, [json.dumps(facts)], **{"Content-Type": "application/json"})

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/oauth2/token"):
            self._give_token(parse_qs(content.decode()))
        elif self.path != "/EWS/Exchange.asmx":
            self._say(404, ["<html>Not found</html>"])
        elif self._is_signed_in():
            with self.exchange.lock:
                self._answer(content)

    def _answer(self, content: bytes) -> None:
        envelope = etree.fromstring(content, etree.XMLParser(huge_tree=True))
        call = Call(self.exchange, envelope, self.headers.get("Authorization", "").startswith("Bearer"))
        fault = self.exchange.next_fault(call.name)
        self.exchange.asked.append(call.name)
        if fault is Fault.HALF_WAY:
            call.leave_half_way()
        answer: list[str | bytes] = []
        if fault is None or fault.name.endswith("AFTER"):
            try:
                answer = call.answer()
            except Refused as refused:
                answer = call.refusal(str(refused))
        if fault is None:
            self._say(200, answer)
        else:
            self._misbehave(fault, call, answer)

    def _misbehave(self, fault: Fault, call: Call, answer: list[str | bytes]) -> None:
        if fault in _STATUS:
            headers = {"Retry-After": "7"} if fault is Fault.THROTTLED else {}
            if fault is Fault.UNAVAILABLE_AND_CLOSED_AFTER:
                headers["Connection"] = "close"
            self._say(_STATUS[fault], ["<html>no</html>"], **headers)
        elif fault is Fault.BUSY:
            self._say(500, _soap_fault("ErrorServerBusy", 9000))
        elif fault is Fault.BUSY_IN_ANSWER:
            self._say(200, call.refusal("ErrorServerBusy"))
        elif fault is Fault.STUMBLES_AFTER:
            self._say(200, call.refusal("ErrorInternalServerTransientError"))
        elif fault is Fault.ODD_AFTER:
            self._say(200, [f"{_HEAD}<m:{call.name}Response><m:ResponseMessages/></m:{call.name}Response>{_TAIL}"])
        elif fault is Fault.LOGIN_PAGE_AFTER:
            self._say(200, ["<html>Sign in</html>"])
        else:
            self._break_off(fault, answer)

    def _break_off(self, fault: Fault, answer: list[str | bytes]) -> None:
        whole = b"".join(_as_bytes(part) for part in answer)
        if fault is Fault.CUT_XML_AFTER:
            self._say(200, [whole[: whole.index(b"</m:ResponseMessages>") - 60]])
            return
        if fault is Fault.SHORT_AFTER:
            self._say(200, [whole[:-40]], **{"Content-Length": str(len(whole))})
        if fault is Fault.SILENT_AFTER:
            time.sleep(1.0)
        self.close_connection = True

    def _is_signed_in(self) -> bool:
        said = self.headers.get("Authorization", "")
        kind, _, proof = said.partition(" ")
        if kind == "Basic":
            allowed = base64.b64decode(proof).decode("latin-1") == f"{USER}:{self.exchange.password}"
        elif kind == "Bearer":
            allowed = proof in self.exchange.tokens
        elif kind == "NTLM":
            return self._ntlm(base64.b64decode(proof))
        else:  # Exchange knows a connection again that has signed in by NTLM
            allowed = self.signed_in
        if not allowed:
            self._say(401, [], **{"WWW-Authenticate": "NTLM"})
        return allowed

    def _ntlm(self, token: bytes) -> bool:
        # Where pyspnego looks for passwords.
        with suppress(spnego.exceptions.SpnegoError), _environment(NTLM_USER_FILE=str(self.exchange.folder / "ntlm")):
            if self.signing_in is None:
                self.signing_in = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
            challenge = self.signing_in.step(token)
            if self.signing_in.complete:
                self.signed_in = True
                return True
            self._say(401, [], **{"WWW-Authenticate": f"NTLM {base64.b64encode(challenge).decode()}"})
            return False
        self.signing_in = None
        self._say(401, [], **{"WWW-Authenticate": "NTLM"})
        return False

    def _give_token(self, form: Mapping[str, list[str]]) -> None:
        if (form["client_id"], form["client_secret"]) != ([CLIENT_ID], [self.exchange.secret]):
            refusal = {"error": "invalid_client", "error_codes": [7000215]}
            self._say(401, [json.dumps(refusal)], **{"Content-Type": "application/json"})
            return
        assert form["scope"] == ["https://localhost/.default"]
        token = f"token-{len(self.exchange.tokens)}"
        self.exchange.tokens.add(token)
        given = {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
        self._say(200, [json.dumps(given)], **{"Content-Type": "application/json"})

    def _say(self, status: int, parts: list[Any], **headers: str) -> None:
        """Part by part: a mail of many megabytes is not copied."""
        chunks = [_as_bytes(part) for part in parts]
        length = str(sum(len(chunk) for chunk in chunks))
        self.send_response(status)
        for name, value in {"Content-Type": "text/xml; charset=utf-8", "Content-Length": length, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(chunk)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _as_bytes(part: str | bytes) -> bytes:
    return part.encode() if isinstance(part, str) else part


@contextmanager
def _environment(**settings: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is none of the server's business; a fault of the server's own is to be seen."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


@contextmanager
def ews_server(root: Path, *, name: str = "localhost") -> Iterator[EwsServer]:
    servers.certificate(root, name)
    domain, user = USER.split("\\")
    (root / "ntlm").write_text(f"{domain}:{user}:{PASSWORD}\n", encoding="utf-8")
    handler = type("Handler", (_Handler,), {})
    http = _Server(("127.0.0.1", 0), handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(root / "cert.pem", root / "key.pem")
    http.socket = tls.wrap_socket(http.socket, server_side=True)
    handler.exchange = server = EwsServer(http.server_address[1], root)  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
