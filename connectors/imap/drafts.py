"""Our drafts in the mailbox's own Drafts folder. They are put there and taken back, and nothing is ever sent.

It must never remove a draft that somebody has changed: from then on it is theirs.
"""

from __future__ import annotations

import hashlib
import re

from imapclient import DRAFT, SEEN, IMAPClient  # type: ignore[import-untyped]

from connectors.base import LARGEST_MAIL_BYTES, PutDraft
from connectors.errors import Transient
from connectors.imap.folders import headers_with, remove
from connectors.imap.session import examine, open_for_writing
from connectors.message_id import message_id_of

_APPENDED = re.compile(rb"\[APPENDUID (\d+) (\d+)\]")  # RFC 4315
_LINE_END = re.compile(rb"\r\n|\r|\n")


def put(client: IMAPClient, folder: str, raw: bytes) -> PutDraft:
    message_id = message_id_of(raw)
    opened = examine(client, folder)
    lying = _uids_of(client, message_id)
    if lying:  # from an attempt that broke off; what it should look like tells later whether somebody changed it
        return PutDraft(f"{folder}/{opened.get(b'UIDVALIDITY', 0)}/{lying[0]}", _version(raw, message_id))
    said = _APPENDED.search(client.append(folder, raw, flags=[DRAFT, SEEN]))
    opened = examine(client, folder)
    uid = int(said[2]) if said else max(_uids_of(client, message_id), default=0)
    content = _content(client, uid) if uid else None
    if content is None:
        raise Transient(f"The mail server does not show the new draft in {folder} yet: wait, it is tried again.")
    # Exchange writes a mail anew when it takes it, so what counts is what lies there now.
    return PutDraft(f"{folder}/{opened.get(b'UIDVALIDITY', 0)}/{uid}", _version(content, message_id))


def take_back(client: IMAPClient, draft: PutDraft) -> bool:
    """A mail in IMAP never changes: a mail program puts a new one in its place, most often with our Message-ID."""
    folder = draft.remote_id.rsplit("/", 2)[0]
    message_id = draft.version.partition(" ")[2]
    open_for_writing(client, folder)
    changed = False
    for uid in _uids_of(client, message_id):
        content = _content(client, uid)
        if content is not None and _version(content, message_id) == draft.version:
            remove(client, uid)
        else:
            changed = True
    return not changed


def _uids_of(client: IMAPClient, message_id: str) -> list[int]:
    """Without those that a mail program has only marked as deleted."""
    return [uid for uid, _ in headers_with(client, "Message-ID", message_id, "UNDELETED")]


def _content(client: IMAPClient, uid: int) -> bytes | None:
    facts = client.fetch(uid, ["RFC822.SIZE"]).get(uid)
    if facts is None or facts.get(b"RFC822.SIZE", 0) > LARGEST_MAIL_BYTES:
        return None
    content: bytes | None = client.fetch(uid, ["BODY.PEEK[]"]).get(uid, {}).get(b"BODY[]")
    return content


def _version(raw: bytes, message_id: str) -> str:
    """What the draft says, apart from its Date: another attempt at the same draft has another."""
    head, _, body = _LINE_END.sub(b"\n", raw).partition(b"\n\n")
    lasting = [line for line in head.split(b"\n") if not line.lower().startswith(b"date:")]
    digest = hashlib.sha256(b"\n".join([*lasting, b"", body])).hexdigest()[:32]
    return f"{digest} {message_id}"
