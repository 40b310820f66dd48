"""The calls that the tests' own Microsoft 365 answers: Entra ID's sign-in and Microsoft Graph's mail, as documented."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import getaddresses
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography import x509

from tests.graph_mailbox import CLIENT_ID, MAILBOX, TENANT, Accepted, GraphServer, Item, Refused

_MARGIN_BYTES = 4 * 2**20


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
    token = f"token-{next(server.numbers)}"
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


def _folder_id(key: str) -> str:
    return f"AQMkA-{key}="


def _folder_key(server: GraphServer, named: str) -> str:
    """A folder is named by its id or, if it has one, by its well-known name."""
    key = named.removeprefix("AQMkA-").removesuffix("=")
    if key not in server.folders:
        raise Refused(404, "ErrorItemNotFound")
    return key


def _folder(server: GraphServer, asked: Asked, named: str) -> Any:
    key = _folder_key(server, named)
    return {
        "id": _folder_id(key),
        "displayName": server.folders[key][0],
        "totalItemCount": len(server.in_folder(key)),
    }


def _folders(server: GraphServer, asked: Asked, parent: str = "") -> Any:
    """Ten of them unless asked otherwise; filtered by name without regard to case."""
    wanted = re.fullmatch(r"displayName eq '(.+)'", asked.query["$filter"])
    assert wanted
    name = wanted[1].replace("''", "'").casefold()
    found = [key for key, (shown, above) in server.folders.items() if above == parent and shown.casefold() == name]
    return {"value": [_folder(server, asked, key) for key in found[:10]]}


def _messages(server: GraphServer, asked: Asked, folder: str = "") -> Any:
    """Newest first, at most $top; or those that a filter fits, without regard to case as Exchange compares."""
    found = list(server.in_folder(_folder_key(server, folder)) if folder else server.items)
    if "$filter" in asked.query:
        found = [item for item in found if _fits(item, asked.query["$filter"])]
    found.sort(key=lambda item: item.received_at, reverse=True)
    return {"value": [_shown(item, asked) for item in found[: int(asked.query.get("$top", "10"))]]}


def _fits(item: Item, condition: str) -> bool:
    by_id = re.fullmatch(r"internetMessageId eq '(.+)'", condition)
    by_property = re.fullmatch(
        r"singleValueExtendedProperties/Any\(ep: ep/id eq '([^']+)' and ep/value eq '(.+)'\)", condition
    )
    if by_id:
        held, wanted = item.message_id, by_id[1]
    elif by_property:
        held, wanted = item.extended.get(_property(by_property[1]), ""), by_property[2]
    else:
        raise Refused(400, "ErrorInvalidUrlQueryFilter")
    return held.casefold() == wanted.replace("''", "'").casefold()


def _delta(server: GraphServer, asked: Asked) -> Any:
    start = int(asked.query.get("$skiptoken") or asked.query.get("$deltatoken") or 0)
    if "$skiptoken" not in asked.query and "$deltatoken" not in asked.query:
        assert asked.query["changeType"] == "created", "else each mail that somebody marks comes again"
    if "$expand" in asked.query:
        raise Refused(500, "InternalServerError", "Value cannot be null.")
    prefer = re.search(r"odata\.maxpagesize=(\d+)", asked.headers.get("prefer", ""))
    size = min(int(prefer[1]) if prefer else 10, server.most_a_page)
    part = server.log[start : start + size]
    end = start + len(part)
    kind, token = ("nextLink", "skiptoken") if end < len(server.log) else ("deltaLink", "deltatoken")
    link = f"{server.links_lead_to or server.base_url}/users/{MAILBOX}/mailFolders/inbox/messages/delta?${token}={end}"
    changed = [_changed(server, asked, *entry) for entry in part if entry[0] != "updated"]
    return {"value": changed, f"@odata.{kind}": link}


def _changed(server: GraphServer, asked: Asked, what: str, number: int) -> dict[str, Any]:
    item = server.numbered(number)
    if what == "removed" or item is None or item.folder != "inbox":
        return {"id": f"AAkA{number:06d}AAA=", "@removed": {"reason": "deleted"}}
    return _shown(item, asked) if server.lists_dates else {"id": item.immutable_id}


def _shown(item: Item, asked: Asked) -> dict[str, Any]:
    shown = {
        "internetMessageId": item.message_id,
        "isDraft": item.is_draft,
        "isRead": item.is_read,
        "categories": item.categories,
        "changeKey": item.change_key,
        "parentFolderId": _folder_id(item.folder),
        "receivedDateTime": item.received_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    selected = asked.query.get("$select", ",".join(shown)).split(",")
    expanded = [_property(name) for name in re.findall(r"id eq '([^']+)'", asked.query.get("$expand", ""))]
    properties = [{"id": name, "value": value} for name, value in item.extended.items() if name in expanded]
    return {
        "@odata.etag": _etag(item),
        "id": item.immutable_id if asked.immutable else item.ordinary_id,
        **{name: value for name, value in shown.items() if name in selected},
        **({"singleValueExtendedProperties": properties} if properties else {}),
    }


def _etag(item: Item) -> str:
    return f'W/"{item.change_key}"'


def _property(asked_for: str) -> str:
    """Graph gives a property's name back in its own spelling."""
    kind, number = asked_for.split()
    return f"{kind} {int(number, 16):#x}"


def _message(server: GraphServer, asked: Asked, item_id: str) -> Any:
    return _shown(_item(server, asked, item_id), asked)


def _mime(server: GraphServer, asked: Asked, item_id: str) -> Any:
    item = _item(server, asked, item_id)
    if item.unreadable:
        raise Refused(500, "ErrorMimeContentConversionFailed")
    return item.raw


def _create(server: GraphServer, asked: Asked) -> Any:
    return _shown(_new_draft(server, asked, next(server.numbers)), asked)


def _create_reply(server: GraphServer, asked: Asked, item_id: str) -> Any:
    """The MIME's own subject and recipients, in the conversation of what is answered."""
    return _shown(_new_draft(server, asked, _item(server, asked, item_id).conversation), asked)


def _new_draft(server: GraphServer, asked: Asked, conversation: int) -> Item:
    assert asked.headers["content-type"] == "text/plain"
    if len(asked.body) > _MARGIN_BYTES:
        raise Refused(413, "RequestEntityTooLarge")
    try:
        raw = base64.b64decode(asked.body, validate=True)
    except binascii.Error:
        raise Refused(400, "ErrorMimeContentInvalidBase64String") from None
    number, now = next(server.numbers), datetime.now(UTC)
    item = Item(number, raw, "drafts", now, is_draft=True, is_read=True, conversation=conversation)
    if server.rewrites_message_ids:
        item.rename(f"<other{number}@outlook.example>")
    server.items.append(item)
    return item


def _alter(server: GraphServer, asked: Asked, item_id: str) -> Any:
    item = _item(server, asked, item_id)
    _demand_match(server, asked, item)
    wanted = asked.json
    if "internetMessageId" in wanted and not item.is_draft:
        raise Refused(400, "ErrorInvalidPropertySet", "Message is not draft.")
    if "internetMessageId" in wanted:
        item.rename(wanted["internetMessageId"])
    if "bccRecipients" in wanted:
        item.bcc = [one["emailAddress"]["address"] for one in wanted["bccRecipients"]]
    item.categories = wanted.get("categories", item.categories)
    server.touch(item)
    return _shown(item, asked)


def _discard(server: GraphServer, asked: Asked, item_id: str) -> Any:
    item = _item(server, asked, item_id)
    _demand_match(server, asked, item)
    server.move(item, "deleteditems")


def _move(server: GraphServer, asked: Asked, item_id: str) -> Any:
    item = _item(server, asked, item_id)
    server.move(item, _folder_key(server, asked.json["destinationId"]))
    return _shown(item, asked)


def _demand_match(server: GraphServer, asked: Asked, item: Item) -> None:
    if server.heeds_if_match and asked.headers.get("if-match", "*") not in ("*", _etag(item)):
        raise Refused(412, "ErrorIrresolvableConflict")


def _send(server: GraphServer, asked: Asked, item_id: str) -> Any:
    item = _item(server, asked, item_id)
    if not item.is_draft or item.submitted:
        raise Refused(400, "ErrorInvalidOperation")
    named = [str(value) for name in ("To", "Cc", "Bcc") for value in item.headers.get_all(name, [])]
    recipients = frozenset(address for _, address in getaddresses(named)) | frozenset(item.bcc)
    if not recipients:
        raise Refused(400, "ErrorInvalidRecipients")
    server.accepted.append(Accepted(item.message_id, item.raw, recipients, tuple(item.files)))
    server.submit(item)
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
    key = str(next(server.numbers))
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
    number = re.fullmatch(r"AAkA(\d+)AAA=" if asked.immutable else r"AAMk(\d+)-\w+=", item_id)
    item = server.numbered(int(number[1])) if number else None
    if item is None or item_id not in (item.immutable_id, item.ordinary_id):
        raise Refused(404, "ErrorItemNotFound")
    return item


# Name of the call, method, path, status when it goes well, and what does it.
CALLS: tuple[tuple[str, str, str, int, Callable[..., Any]], ...] = (
    ("discovery", "GET", r"/[^/]+/v2\.0/\.well-known/openid-configuration", 200, _discovery),
    ("token", "POST", rf"/{re.escape(TENANT)}/oauth2/v2\.0/token", 200, _token),
    ("upload", "PUT", r"/upload/(\d+)", 201, _upload),
    ("delta", "GET", r"~/mailFolders/inbox/messages/delta", 200, _delta),
    ("find", "GET", r"~/mailFolders/(\w+)/messages", 200, _messages),
    ("find", "GET", r"~/messages", 200, _messages),
    ("folder", "GET", r"~/mailFolders/([^/]+)", 200, _folder),
    ("folders", "GET", r"~/mailFolders", 200, _folders),
    ("folders", "GET", r"~/mailFolders/([^/]+)/childFolders", 200, _folders),
    ("mime", "GET", r"~/messages/([^/]+)/\$value", 200, _mime),
    ("message", "GET", r"~/messages/([^/]+)", 200, _message),
    ("create", "POST", r"~/messages", 201, _create),
    ("alter", "PATCH", r"~/messages/([^/]+)", 200, _alter),
    ("discard", "DELETE", r"~/messages/([^/]+)", 204, _discard),
    ("send", "POST", r"~/messages/([^/]+)/send", 202, _send),
    ("reply", "POST", r"~/messages/([^/]+)/createReply", 201, _create_reply),
    ("move", "POST", r"~/messages/([^/]+)/move", 201, _move),
    ("attach", "POST", r"~/messages/([^/]+)/attachments", 201, _attach),
    ("session", "POST", r"~/messages/([^/]+)/attachments/createUploadSession", 201, _upload_session),
)
SIGNED_OUT = {"discovery", "token", "upload"}
