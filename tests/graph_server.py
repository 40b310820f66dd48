"""A Microsoft 365 of the tests' own: Entra ID's sign-in and Microsoft Graph's mail calls, over real HTTPS on loopback.

It keeps one mailbox in memory, counts what it has really accepted for sending, and misbehaves when told to.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
from cryptography import x509

from tests import servers

MAILBOX = servers.INBOX_ADDRESS
TENANT = "solkommun.example"
CLIENT_ID = "5d1c0f6e-0000-4000-8000-00000000c11e"
SECRET = "blå~hemlighet.7"
FOLDERS = {
    "inbox": "Inkorgen",
    "drafts": "Utkast",
    "outbox": "Utkorgen",
    "sentitems": "Skickat",
    "deleteditems": "Borttaget",
}
_MARGIN_BYTES = 4 * 2**20


class Fault(Enum):
    """One answer that goes wrong. What follows `AFTER` has been done all the same."""

    THROTTLED = "429 with Retry-After, nothing done"
    BUSY = "503 with Retry-After, nothing done"
    BUSY_AFTER = "503 with Retry-After, done"
    GATEWAY_TIMEOUT = "504, nothing done"
    GATEWAY_TIMEOUT_AFTER = "504, done"
    DROPPED = "hangs up, nothing done"
    DROPPED_AFTER = "hangs up, done"
    SILENT_AFTER = "says nothing for a while and hangs up, done"
    CUT_JSON_AFTER = "whole by its length, but the JSON ends in the middle"
    SHORT_AFTER = "fewer bytes than its length says"
    TOKEN_EXPIRED = "401"
    RESET = "410 syncStateNotFound"
    RESET_AS_400 = "400 syncStateNotFound"
    NO_LINK = "a page of the list without any link"
    NOT_FOUND = "404 although it is there"
    STUMBLES = "500"


_STATUS: Mapping[Fault, tuple[int, str]] = {
    Fault.THROTTLED: (429, "TooManyRequests"),
    Fault.BUSY: (503, "serviceNotAvailable"),
    Fault.BUSY_AFTER: (503, "serviceNotAvailable"),
    Fault.GATEWAY_TIMEOUT: (504, "UnknownError"),
    Fault.GATEWAY_TIMEOUT_AFTER: (504, "UnknownError"),
    Fault.TOKEN_EXPIRED: (401, "InvalidAuthenticationToken"),
    Fault.RESET: (410, "syncStateNotFound"),
    Fault.RESET_AS_400: (400, "syncStateNotFound"),
    Fault.NOT_FOUND: (404, "ErrorItemNotFound"),
    Fault.STUMBLES: (500, "ErrorInternalServerError"),
}
_DONE = {
    Fault.BUSY_AFTER,
    Fault.GATEWAY_TIMEOUT_AFTER,
    Fault.DROPPED_AFTER,
    Fault.SILENT_AFTER,
    Fault.CUT_JSON_AFTER,
    Fault.SHORT_AFTER,
    Fault.NO_LINK,
}


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


@dataclass
class Item:
    number: int
    raw: bytes
    folder: str
    received_at: datetime
    is_draft: bool = False
    submitted: bool = False
    unreadable: bool = False
    bcc: list[str] = field(default_factory=list)
    files: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def ordinary_id(self) -> str:
        return f"AAMk{self.number}-{self.folder}="

    @property
    def immutable_id(self) -> str:
        return f"AAkA{self.number:06d}AAA="

    @property
    def headers(self) -> Any:
        return BytesHeaderParser(policy=policy.compat32).parsebytes(self.raw.partition(b"\r\n\r\n")[0])

    @property
    def message_id(self) -> str:
        return str(self.headers["Message-ID"] or f"<made-up-{self.number}@outlook.example>").strip()


@dataclass(frozen=True)
class Accepted:
    """A mail that has left: nothing takes it back."""

    message_id: str
    raw: bytes
    recipients: frozenset[str]
    files: tuple[tuple[str, bytes], ...]


@dataclass
class GraphServer:
    port: int
    folder: Path
    secret: str = SECRET
    certificate: bytes | None = None
    """The PEM certificate of the app registration, when one has been uploaded."""
    token_faults: dict[str, Any] = field(default_factory=dict)
    refusals: dict[str, Refused] = field(default_factory=dict)
    """What is refused every time, by the name of the call."""
    most_a_page: int = 1000
    filing_takes_s: float = 0
    """How long an accepted mail still looks like a draft, as on a busy server."""
    rewrites_message_ids: bool = False
    lists_dates: bool = True
    links_lead_to: str = ""
    """Another server, as a forged answer would name it."""
    items: list[Item] = field(default_factory=list)
    log: list[tuple[str, int]] = field(default_factory=list)
    """What happened in the inbox, as the delta query tells it: created or removed, and the number of the mail."""
    accepted: list[Accepted] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    faults: dict[str, deque[Fault | None]] = field(default_factory=dict)
    uploads: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def ca_file(self) -> Path:
        return self.folder / "cert.pem"

    @property
    def authority(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def base_url(self) -> str:
        return f"https://localhost:{self.port}/v1.0"

    def deliver(self, raw: bytes, *, unreadable: bool = False, received_at: datetime | None = None) -> Item:
        number = next(self._numbers)
        item = Item(number, raw, "inbox", received_at or datetime.now(UTC), unreadable=unreadable)
        self.items.append(item)
        self.log.append(("created", number))
        return item

    def move(self, item: Item, folder: str) -> None:
        """What staff do in Outlook: the ordinary id ends, the immutable one stays."""
        was, item.folder = item.folder, folder
        if "inbox" in (was, folder):
            self.log.append(("created" if folder == "inbox" else "removed", item.number))

    def delete(self, item: Item) -> None:
        self.items.remove(item)
        if item.folder == "inbox":
            self.log.append(("removed", item.number))

    def in_folder(self, folder: str) -> list[Item]:
        self.settle()
        return [item for item in self.items if item.folder == folder]

    def misbehave(self, call: str, *faults: Fault | None) -> None:
        """The next answers to this call go wrong in this order; None is a sound one."""
        self.faults.setdefault(call, deque()).extend(faults)

    def withdraw_tokens(self) -> None:
        self.tokens.clear()

    def settle(self) -> None:
        """Accepted mail goes from Drafts to Sent when its time has come."""
        with self.lock:
            for item in self.items:
                if item.submitted and (datetime.now(UTC) - item.received_at).total_seconds() >= self.filing_takes_s:
                    item.folder, item.is_draft, item.submitted = "sentitems", False, False


# ---------------------------------------------------------------- Entra ID


def _discovery(server: GraphServer, asked: Asked) -> Any:
    if asked.path.split("/")[1] != TENANT:
        _entra_says(90002, "invalid_tenant")
    base = f"{server.authority}/{TENANT}"
    return {
        "issuer": f"{base}/v2.0",
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "token_endpoint": f"{base}/oauth2/v2.0/token",
    }


def _token(server: GraphServer, asked: Asked) -> Any:
    form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    if server.token_faults:
        _entra_says(**server.token_faults)
    if form["client_id"] != CLIENT_ID:
        _entra_says(700016, "unauthorized_client")
    if form["scope"].split()[0] != f"{server.authority}/.default":
        _entra_says(500011, "invalid_resource")
    _prove(server, form)
    token = f"token-{next(server._numbers)}"
    server.tokens.add(token)
    return {"token_type": "Bearer", "expires_in": 3599, "access_token": token}


def _prove(server: GraphServer, form: Mapping[str, str]) -> None:
    if "client_assertion" not in form:
        if form.get("client_secret") != server.secret:
            _entra_says(7000215, "invalid_client")
        return
    if server.certificate is None:
        _entra_says(700027, "invalid_client")
    else:
        key: Any = x509.load_pem_x509_certificate(server.certificate).public_key()
        audience = f"{server.authority}/{TENANT}/oauth2/v2.0/token"
        jwt.decode(form["client_assertion"], key, algorithms=["PS256"], audience=audience, issuer=CLIENT_ID)


def _entra_says(number: int, error: str) -> None:
    raise Refused(400, error, f"AADSTS{number}: in the administrator's language")


# ---------------------------------------------------------------- Graph


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def immutable(self) -> bool:
        return 'idtype="immutableid"' in self.headers.get("prefer", "").casefold()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def _folder(server: GraphServer, asked: Asked, folder: str) -> Any:
    return {"displayName": FOLDERS[folder], "totalItemCount": len(server.in_folder(folder))}


def _messages(server: GraphServer, asked: Asked, folder: str = "") -> Any:
    """Newest first, at most $top; or those with one Message-ID, without regard to case as Exchange compares."""
    found = list(server.in_folder(folder) if folder else server.items)
    wanted = re.fullmatch(r"internetMessageId eq '(.+)'", asked.query.get("$filter", ""))
    if wanted:
        message_id = wanted[1].replace("''", "'").casefold()
        found = [item for item in found if item.message_id.casefold() == message_id]
    found.sort(key=lambda item: item.received_at, reverse=True)
    return {"value": [_shown(item, asked) for item in found[: int(asked.query.get("$top", "10"))]]}


def _delta(server: GraphServer, asked: Asked) -> Any:
    start = int(asked.query.get("$skiptoken") or asked.query.get("$deltatoken") or 0)
    if "$skiptoken" not in asked.query and "$deltatoken" not in asked.query:
        assert asked.query["changeType"] == "created"
    prefer = re.search(r"odata\.maxpagesize=(\d+)", asked.headers.get("prefer", ""))
    size = min(int(prefer[1]) if prefer else 10, server.most_a_page)
    part = server.log[start : start + size]
    end = start + len(part)
    kind, token = ("nextLink", "skiptoken") if end < len(server.log) else ("deltaLink", "deltatoken")
    link = f"{server.links_lead_to or server.base_url}/users/{MAILBOX}/mailFolders/inbox/messages/delta?${token}={end}"
    return {"value": [_changed(server, asked, *entry) for entry in part], f"@odata.{kind}": link}


def _changed(server: GraphServer, asked: Asked, what: str, number: int) -> dict[str, Any]:
    item = next((item for item in server.items if item.number == number), None)
    if what == "removed" or item is None or item.folder != "inbox":
        return {"id": f"AAkA{number:06d}AAA=", "@removed": {"reason": "deleted"}}
    return _shown(item, asked) if server.lists_dates else {"id": item.immutable_id}


def _shown(item: Item, asked: Asked) -> dict[str, Any]:
    return {
        "id": item.immutable_id if asked.immutable else item.ordinary_id,
        "internetMessageId": item.message_id,
        "isDraft": item.is_draft,
        "receivedDateTime": item.received_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "singleValueExtendedProperties": [
            {"id": "Integer 0xe07", "value": str(1 | 4 * item.submitted | 8 * item.is_draft)}
        ],
    }


def _message(server: GraphServer, asked: Asked, item_id: str) -> Any:
    return _shown(_item(server, asked, item_id), asked)


def _mime(server: GraphServer, asked: Asked, item_id: str) -> Any:
    item = _item(server, asked, item_id)
    if item.unreadable:
        raise Refused(500, "ErrorMimeContentConversionFailed")
    return item.raw


def _create(server: GraphServer, asked: Asked) -> Any:
    assert asked.headers["content-type"] == "text/plain"
    if len(asked.body) > _MARGIN_BYTES:
        raise Refused(413, "RequestEntityTooLarge")
    raw = base64.b64decode(asked.body, validate=True)
    if server.rewrites_message_ids:
        raw = re.sub(rb"(?m)^Message-ID: .*?\r$", b"Message-ID: <other@outlook.example>\r", raw)
    item = Item(next(server._numbers), raw, "drafts", datetime.now(UTC), is_draft=True)
    server.items.append(item)
    return _shown(item, asked)


def _alter(server: GraphServer, asked: Asked, item_id: str) -> Any:
    item = _item(server, asked, item_id)
    item.bcc = [one["emailAddress"]["address"] for one in asked.json.get("bccRecipients", [])]
    return _shown(item, asked)


def _discard(server: GraphServer, asked: Asked, item_id: str) -> Any:
    server.move(_item(server, asked, item_id), "deleteditems")


def _send(server: GraphServer, asked: Asked, item_id: str) -> Any:
    item = _item(server, asked, item_id)
    if not item.is_draft or item.submitted:
        raise Refused(400, "ErrorInvalidOperation")
    named = [str(value) for name in ("To", "Cc", "Bcc") for value in item.headers.get_all(name, [])]
    recipients = frozenset(address for _, address in getaddresses(named)) | frozenset(item.bcc)
    if not recipients:
        raise Refused(400, "ErrorInvalidRecipients")
    server.accepted.append(Accepted(item.message_id, item.raw, recipients, tuple(item.files)))
    item.submitted, item.received_at = True, datetime.now(UTC)
    server.settle()
    return None


def _attach(server: GraphServer, asked: Asked, item_id: str) -> Any:
    content = base64.b64decode(asked.json["contentBytes"])
    if len(content) > 3 * 2**20:
        raise Refused(413, "RequestEntityTooLarge")
    _item(server, asked, item_id).files.append((asked.json["name"], content))
    return {"id": "attached"}


def _upload_session(server: GraphServer, asked: Asked, item_id: str) -> Any:
    wanted = asked.json["AttachmentItem"]
    if wanted["size"] < 3_000_000:
        raise Refused(400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize")
    key = str(next(server._numbers))
    item = _item(server, asked, item_id)
    server.uploads[key] = {"item": item, "name": wanted["name"], "size": wanted["size"], "content": b""}
    return {"uploadUrl": f"{server.authority}/upload/{key}", "nextExpectedRanges": ["0-"]}


def _upload(server: GraphServer, asked: Asked, key: str) -> Any:
    assert "authorization" not in asked.headers, "the token is not for the place of the upload"
    assert len(asked.body) <= _MARGIN_BYTES
    upload = server.uploads[key]
    start = len(upload["content"])
    assert asked.headers["content-range"] == f"bytes {start}-{start + len(asked.body) - 1}/{upload['size']}"
    upload["content"] += asked.body
    if len(upload["content"]) == upload["size"]:
        upload["item"].files.append((upload["name"], upload["content"]))
    return {}


def _item(server: GraphServer, asked: Asked, item_id: str) -> Item:
    server.settle()
    if item_id == "none":
        raise Refused(400, "ErrorInvalidIdMalformed")
    for item in server.items:
        if item_id == (item.immutable_id if asked.immutable else item.ordinary_id):
            return item
    raise Refused(404, "ErrorItemNotFound")


# Name of the call, method, path, status when it goes well, and what does it.
_CALLS: tuple[tuple[str, str, str, int, Callable[..., Any]], ...] = (
    ("discovery", "GET", r"/[^/]+/v2\.0/\.well-known/openid-configuration", 200, _discovery),
    ("token", "POST", rf"/{re.escape(TENANT)}/oauth2/v2\.0/token", 200, _token),
    ("upload", "PUT", r"/upload/(\d+)", 201, _upload),
    ("delta", "GET", r"~/mailFolders/inbox/messages/delta", 200, _delta),
    ("find", "GET", r"~/mailFolders/(\w+)/messages", 200, _messages),
    ("find", "GET", r"~/messages", 200, _messages),
    ("folder", "GET", r"~/mailFolders/(\w+)", 200, _folder),
    ("mime", "GET", r"~/messages/([^/]+)/\$value", 200, _mime),
    ("message", "GET", r"~/messages/([^/]+)", 200, _message),
    ("create", "POST", r"~/messages", 201, _create),
    ("alter", "PATCH", r"~/messages/([^/]+)", 200, _alter),
    ("discard", "DELETE", r"~/messages/([^/]+)", 204, _discard),
    ("send", "POST", r"~/messages/([^/]+)/send", 202, _send),
    ("attach", "POST", r"~/messages/([^/]+)/attachments", 201, _attach),
    ("session", "POST", r"~/messages/([^/]+)/attachments/createUploadSession", 201, _upload_session),
)
_SIGNED_OUT = {"discovery", "token", "upload"}


# ---------------------------------------------------------------- HTTP


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go separately, and would wait 40 ms for each other
    timeout = 20
    graph: GraphServer

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server calls them so

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        headers = {name.casefold(): value for name, value in self.headers.items()}
        asked = Asked(self.command, unquote(url.path), query, headers, body)
        for name, method, pattern, status, does in _CALLS:
            place = pattern.replace("~", re.escape(f"/v1.0/users/{MAILBOX}"), 1)
            found = re.fullmatch(place, asked.path)
            if found and method == asked.method:
                self._perform(name, status, asked, lambda: does(self.graph, asked, *found.groups()))  # noqa: B023
                return
        known = asked.path.startswith(f"/v1.0/users/{MAILBOX}/") or not asked.path.startswith("/v1.0/")
        self._say(404, {"error": {"code": "ResourceNotFound" if known else "ErrorInvalidUser", "message": ""}})

    def _perform(self, name: str, status: int, asked: Asked, does: Callable[[], Any]) -> None:
        graph = self.graph
        with graph.lock:
            graph.asked.append(name)
            queued = graph.faults.get(name)
            fault = queued.popleft() if queued else None
            try:
                if name in graph.refusals:
                    raise graph.refusals[name]
                self._check_token(name, asked)
                if fault in _STATUS and fault not in _DONE:
                    raise Refused(*_STATUS[fault])
                answer = does() if fault is None or fault in _DONE else None
            except Refused as refused:
                self._refuse(name, refused)
                return
        if fault is None:
            self._say(status, answer)
        else:
            self._misbehave(fault, status, answer)

    def _check_token(self, name: str, asked: Asked) -> None:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if name not in _SIGNED_OUT and token not in self.graph.tokens:
            raise Refused(401, "InvalidAuthenticationToken")

    def _refuse(self, name: str, refused: Refused) -> None:
        if name in ("discovery", "token") and refused.status < 429:
            number = int(refused.message.removeprefix("AADSTS").partition(":")[0])
            said = {"error": refused.code, "error_description": refused.message, "error_codes": [number]}
            self._say(refused.status, said)
        else:
            said = {"error": {"code": refused.code, "message": refused.message}}
            self._say(refused.status, said, waits=refused.status in (429, 503))

    def _misbehave(self, fault: Fault, status: int, answer: Any) -> None:
        whole = b"" if answer is None else answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        if fault in _STATUS:
            self._refuse("", Refused(*_STATUS[fault]))
        elif fault is Fault.NO_LINK:
            self._say(status, {"value": answer["value"]})
        elif fault is Fault.CUT_JSON_AFTER:
            self._say(status, whole[: len(whole) // 2])
        else:
            if fault is Fault.SILENT_AFTER:
                time.sleep(1.5)
            if fault is Fault.SHORT_AFTER:
                self._say(status, whole[: len(whole) // 2], length=len(whole) + 1)
            self.close_connection = True
            self.connection.close()

    def _say(self, status: int, answer: Any, *, waits: bool = False, length: int | None = None) -> None:
        body = b"" if answer is None else answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        # Lower case, as HTTP/2 gateways write it: nobody may count on capitals.
        self.send_header("content-length", str(len(body) if length is None else length))
        if waits:
            self.send_header("retry-after", "7")
        if status == 202:
            self.send_header("retry-after", "3")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext, handler: type[_Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.complaints: list[str] = []
        self._context = context

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        connection.settimeout(20)
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust us, or hangs up, is none of our business; a wrong request is."""
        failure = sys.exc_info()[1]
        if not isinstance(failure, OSError):
            self.complaints.append(repr(failure))


@contextmanager
def graph_server(folder: Path) -> Iterator[GraphServer]:
    servers.certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    handler = type("Handler", (_Handler,), {})
    running = _Server(context, handler)
    handler.graph = GraphServer(running.server_address[1], folder)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield handler.graph
    finally:
        running.shutdown()
        running.server_close()
        thread.join()
    if running.complaints:
        raise AssertionError(running.complaints)
