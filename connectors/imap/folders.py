"""Where mail lies on an IMAP server and how it is found, marked, moved and removed there, one mail at a time.

It must never touch a mail whose number may mean another one by now, nor remove what somebody else has marked deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Annotated, Any

from imapclient import ANSWERED, DELETED, IMAPClient  # type: ignore[import-untyped]
from pydantic import Field

from connectors.base import Mark
from connectors.errors import Permanent
from connectors.imap.session import examine, open_for_writing, refused
from connectors.message_id import headers_of

# An atom (RFC 3501, section 9), so that it can never be a flag of the server's own.
Keyword = Annotated[str, Field(pattern=r'^[^\x00-\x20\x7f-\U0010ffff(){%*"\\\]]{1,100}$')]
KEYWORDS: Mapping[Mark, Keyword] = {
    Mark.TRIAGED: "KommunpostTriaged",
    Mark.WAITING: "KommunpostWaiting",
    Mark.ANSWERED: "KommunpostAnswered",
}
_ANSWERED = ANSWERED.decode()
_REMOTE_ID = re.compile(r"(?P<folder>.+)/(?P<uidvalidity>\d+)/(?P<uid>\d+)", re.DOTALL)
_ANY_MESSAGE_ID = re.compile(r"<[^<>\s]+>")
_MAILS_A_FETCH = 200


def found_or_named(client: IMAPClient, named: str | None, kind: bytes) -> str | None:
    """The folder the settings name, or the one the server marks as being of this kind (RFC 6154)."""
    found: str | None = named or client.find_special_folder(kind)
    return found


def holds(client: IMAPClient, folder: str, message_id: str) -> bool:
    examine(client, folder)
    return any(headers_with(client, "Message-ID", message_id))


def answers_in(client: IMAPClient, folder: str, message_id: str) -> Iterator[str]:
    """Message-IDs of the mails in a folder that answer this one."""
    examine(client, folder)
    for _, headers in headers_with(client, "In-Reply-To", message_id):
        yield str(headers["Message-ID"] or "").strip()


def headers_with(client: IMAPClient, name: str, message_id: str, *more: str) -> Iterator[tuple[int, Message]]:
    """Newest first: UID and ids of each mail with exactly this id in a header of the open folder. SEARCH finds more,
    since it looks for it anywhere in the header, and some servers (Exchange, Gmail) for its words only."""
    uids = sorted(client.search([*more, "HEADER", name, message_id]), reverse=True)
    for start in range(0, len(uids), _MAILS_A_FETCH):
        piece = uids[start : start + _MAILS_A_FETCH]
        for uid, facts in client.fetch(piece, ["BODY.PEEK[HEADER.FIELDS (MESSAGE-ID IN-REPLY-TO)]"]).items():
            headers = headers_of(next((value for key, value in facts.items() if key.startswith(b"BODY[")), b""))
            if message_id in _ANY_MESSAGE_ID.findall(str(headers[name] or "")):
                yield uid, headers


class Lying:
    """A mail in an open folder, found by the remote id that it was read under."""

    def __init__(self, client: IMAPClient, opened: Mapping[bytes, Any], folder: str, uid: int, flags: set[str]) -> None:
        self._client, self._opened, self._folder, self._uid, self._flags = client, opened, folder, uid, flags

    def mark(self, mark: Mark | None, keywords: Mapping[Mark, str]) -> None:
        r"""+FLAGS and -FLAGS leave \Seen and the flags of others alone, whoever changes them meanwhile."""
        ours = set(keywords.values())
        if _among(keywords[Mark.ANSWERED], self._flags):
            ours.add(_ANSWERED)  # ours as well: without our keyword, a colleague has answered
        wanted = {keywords[mark]} if mark is not None else set()
        if mark is Mark.ANSWERED:
            wanted.add(_ANSWERED)
        self._add([flag for flag in wanted if not _among(flag, self._flags)])
        outdated = [flag for flag in ours - wanted if _among(flag, self._flags)]
        if outdated:
            self._client.remove_flags([self._uid], sorted(outdated), silent=True)

    def move(self, to: str) -> None:
        try:
            if self._client.has_capability("MOVE"):
                self._client.move([self._uid], to)
                return
            self._client.copy([self._uid], to)
        except IMAPClient.AbortError:
            raise
        except IMAPClient.Error as refusal:
            remedy = "create it, or give the login the right to it."
            raise refused(refusal, f"The folder {to} does not exist or takes no mail: {remedy}") from None
        remove(self._client, self._uid)

    def _add(self, flags: list[str]) -> None:
        if not flags:
            return
        if not keeps_keywords(self._opened, flags):
            raise Permanent(no_keywords_in(self._folder))
        self._client.add_flags([self._uid], sorted(flags), silent=True)


def lying_at(client: IMAPClient, remote_id: str, folder: str) -> Lying | None:
    """None when the mail is not in this folder any more, or its number may mean another one."""
    place = _REMOTE_ID.fullmatch(remote_id)
    if place is None or place["folder"] != folder:
        return None
    opened, uid = open_for_writing(client, folder), int(place["uid"])
    if opened.get(b"UIDVALIDITY") != int(place["uidvalidity"]):
        return None
    flags = client.fetch(uid, ["FLAGS"]).get(uid, {}).get(b"FLAGS")
    if flags is None or DELETED in flags:
        return None
    return Lying(client, opened, folder, uid, {flag.decode(errors="replace") for flag in flags})


def keeps_keywords(opened: Mapping[bytes, Any], keywords: list[str]) -> bool:
    r"""`\*` allows new ones; a server that says nothing of it keeps all (RFC 3501, 7.1)."""
    kept = {flag.decode(errors="replace") for flag in opened.get(b"PERMANENTFLAGS", (rb"\*", ANSWERED))}
    return r"\*" in kept or all(_among(keyword, kept) for keyword in keywords)


def no_keywords_in(folder: str) -> str:
    return f"The mail server keeps no keywords of ours in the folder {folder}: allow them, or leave mails unmarked."


def remove(client: IMAPClient, uid: int) -> None:
    """Without UIDPLUS it stays marked as deleted: a plain EXPUNGE would remove what others have marked as well."""
    client.add_flags([uid], [DELETED], silent=True)
    if client.has_capability("UIDPLUS"):
        client.uid_expunge([uid])


def beside(client: IMAPClient, inbox: str, name: str) -> str:
    """The full name of a folder on the inbox's own level: some servers have all folders below `INBOX.`."""
    if inbox.upper() == "INBOX":
        personal = client.namespace().personal if client.has_capability("NAMESPACE") else None
        level = str(personal[0][0]) if personal else ""
    else:
        listed = client.list_folders("", inbox)
        delimiter = listed[0][1].decode() if listed and listed[0][1] else "/"
        level = inbox[: inbox.rfind(delimiter) + 1]
    return name if name.startswith(level) else level + name


def _among(flag: str, flags: set[str]) -> bool:
    return flag.casefold() in {known.casefold() for known in flags}
