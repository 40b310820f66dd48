"""One reply on its way out through Microsoft Graph: the finished MIME becomes a draft, and the draft is sent, once.

Until `send` is asked for nothing can leave, so everything before it may fail without harm and is cleared away.
"""

from __future__ import annotations

import base64
from contextlib import closing, suppress
from dataclasses import dataclass
from email import policy
from email.message import MIMEPart
from email.parser import BytesParser

import httpx

from connectors.addressees import recipients_without_header
from connectors.base import Envelope
from connectors.errors import ConnectorError, Permanent, Transient, Unclear
from connectors.graph.api import Gone, Graph, path_of, refusal
from connectors.graph.search import copies, has_left
from connectors.https import NEVER_LEFT, reaching_http, retry_after_s

# A request may have 4 MiB, and base64 makes four bytes out of three.
_LARGEST_MIME_BYTES = 3_000_000
_LARGEST_PLAIN_ATTACHMENT_BYTES = 3_000_000  # larger ones go by upload session, smaller ones must not
_UPLOAD_CHUNK_BYTES = 10 * 320 * 1024  # at most 4 MB, in steps of 320 KiB
_NOT_KNOWN = "Microsoft 365 gave no clear answer to the reply: look for it in Sent before sending again."
# Nobody knows what became of it: the draft is gone (404), someone else had it (409, 412), or time ran out (408).
_UNCLEAR_STATUSES = frozenset({404, 408, 409, 412})


@dataclass(frozen=True)
class Attachment:
    name: str
    content_type: str
    content: bytes


def prepare(graph: Graph, raw: bytes, message_id: str, envelope: Envelope) -> str:
    """Put the reply into Drafts and return its path. Nothing is sent, and nothing stays behind after a failure."""
    hidden = recipients_without_header(raw, envelope)
    mime, attachments = (raw, []) if len(raw) <= _LARGEST_MIME_BYTES else without_attachments(raw)
    clear_away(graph, message_id)
    try:
        draft = _draft(graph, mime, message_id)
        if hidden:
            graph.change("PATCH", draft, json={"bccRecipients": [_recipient(one) for one in hidden]})
        for attachment in attachments:
            _attach(graph, draft, attachment)
    except ConnectorError:
        tidy(graph, message_id)
        raise
    return draft


def send(graph: Graph, draft: str) -> None:
    """The one request after which the reply may have left. 202 is final, whatever comes with it."""
    request = graph.request("POST", f"{draft}/send", content=b"")
    with reaching_http(request.url):
        try:
            response = graph.http.send(request, stream=True)
        except NEVER_LEFT:
            raise
        except httpx.HTTPError:
            raise Unclear(_NOT_KNOWN) from None
    with closing(response):
        if response.status_code == 401:
            graph.application.forget_token()
        if not response.is_success:
            with suppress(httpx.HTTPError):
                response.read()
            raise _not_accepted(response)


def _not_accepted(response: httpx.Response) -> ConnectorError:
    """Transient only where Microsoft documents that it has not begun: a 503 or 504 came for mail that did leave."""
    if response.status_code == 401:
        return Transient("Microsoft 365 wants a new token: nothing was sent.")
    if response.status_code == 429:
        wait_s = retry_after_s(response)
        return Transient("Microsoft 365 takes no more mail for now: nothing was sent.", retry_after_s=wait_s)
    if response.status_code < 400 or response.status_code >= 500 or response.status_code in _UNCLEAR_STATUSES:
        return Unclear(_NOT_KNOWN)
    return refusal(response, "Mail.Send")


def tidy(graph: Graph, message_id: str) -> None:
    """Best effort: staff could send a draft that stayed from Outlook. The next attempt clears it away anyhow."""
    with suppress(ConnectorError):
        clear_away(graph, message_id)


def clear_away(graph: Graph, message_id: str) -> None:
    """Delete the drafts of attempts that broke off before anything was sent."""
    for mail in list(copies(graph, "mailFolders/drafts/", message_id)):
        if has_left(mail):
            raise Unclear("The same reply is on its way already: look for it in Sent before sending again.")
        try:
            graph.change("DELETE", path_of(mail["id"]))
        except Gone:  # in this very moment, and a draft goes by being sent
            raise Unclear(_NOT_KNOWN) from None


def without_attachments(raw: bytes) -> tuple[bytes, list[Attachment]]:
    """The mail without the files on its outermost level, which then travel on their own."""
    mail = BytesParser(policy=policy.SMTP.clone(refold_source="none")).parsebytes(raw)
    parts = list(mail.iter_parts()) if mail.get_content_type() == "multipart/mixed" else []
    files = [part for part in parts if part.is_attachment()]
    if files:
        mail.set_payload([part for part in parts if part not in files])
    small = mail.as_bytes()
    if len(small) > _LARGEST_MIME_BYTES:
        raise Permanent("The text of the reply is larger than Microsoft 365 takes: nothing was sent.")
    return small, [_attachment(part) for part in files]


def _draft(graph: Graph, mime: bytes, message_id: str) -> str:
    made = graph.change("POST", "messages", content=base64.b64encode(mime), headers={"Content-Type": "text/plain"})
    if made.get("internetMessageId") != message_id:
        with suppress(ConnectorError):
            graph.change("DELETE", path_of(made.get("id")))
        raise Permanent("Microsoft 365 would give the reply another Message-ID: nothing was sent.")
    # An ordinary id ends when the draft is sent or deleted, so a request that comes late finds nothing to send.
    return path_of(made.get("id"))


def _recipient(address: str) -> dict[str, dict[str, str]]:
    return {"emailAddress": {"address": address}}


def _attachment(part: MIMEPart) -> Attachment:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):  # a mail as an attachment has parts, not bytes
        content = b"".join(inner.as_bytes() for inner in part.iter_parts())
    return Attachment(part.get_filename() or "attachment", part.get_content_type(), content)


def _attach(graph: Graph, draft: str, file: Attachment) -> None:
    if len(file.content) < _LARGEST_PLAIN_ATTACHMENT_BYTES:
        whole = {
            "@odata.type": "#microsoft.graph.fileAttachment",
            "name": file.name,
            "contentType": file.content_type,
            "contentBytes": base64.b64encode(file.content).decode(),
        }
        graph.change("POST", f"{draft}/attachments", json=whole)
        return
    announced = {
        "attachmentType": "file",
        "name": file.name,
        "contentType": file.content_type,
        "size": len(file.content),
    }
    path = f"{draft}/attachments/createUploadSession"
    session = graph.change("POST", path, json={"AttachmentItem": announced})
    _upload(graph.http, str(session.get("uploadUrl", "")), file.content)


def _upload(http: httpx.Client, url: str, content: bytes) -> None:
    """The address lets in whoever knows it, and it is not Graph's own: our token is not for it."""
    if not url.startswith("https://"):
        raise Transient("Microsoft 365 named no place to put an attachment: nothing was sent.")
    for start in range(0, len(content), _UPLOAD_CHUNK_BYTES):
        chunk = content[start : start + _UPLOAD_CHUNK_BYTES]
        span = f"bytes {start}-{start + len(chunk) - 1}/{len(content)}"
        with reaching_http(url):
            response = http.put(url, content=chunk, headers={"Content-Range": span})
        if not response.is_success:
            raise refusal(response, "Mail.ReadWrite")
