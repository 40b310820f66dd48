"""What staff see of our work in Outlook: categories on a mail, a draft in its conversation, an answered mail put away.

It must never undo what a person has written there, and it sends nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from connectors.base import PutDraft
from connectors.errors import ConnectorError, Permanent, Transient
from connectors.graph.api import IMMUTABLE_IDS, Gone, Graph, Overtaken, listed_in, path_of, quoted
from connectors.graph.search import copies
from connectors.message_id import message_id_of

_DRAFTS = "mailFolders/drafts"
_PREFER = {"Prefer": IMMUTABLE_IDS}


def put_category(graph: Graph, remote_id: str, name: str | None, ours: Collection[str]) -> bool:
    """Have this one, or none, of the categories that are ours on a mail. False when the mail is not there."""
    try:
        try:
            _replace_category(graph, remote_id, name, ours)
        except Overtaken:  # once more, on top of what a colleague has just written
            _replace_category(graph, remote_id, name, ours)
    except Gone:
        return False
    return True


def _replace_category(graph: Graph, remote_id: str, name: str | None, ours: Collection[str]) -> None:
    mail = graph.read(path_of(remote_id), {"$select": "categories"}, Prefer=IMMUTABLE_IDS)
    present = [str(one) for one in mail.get("categories") or ()]
    known = {one.casefold() for one in ours}
    of_others = [one for one in present if one.casefold() not in known]
    wanted = [*of_others, name] if name else of_others
    if sorted(wanted) != sorted(present):
        _write(graph, "PATCH", path_of(remote_id), str(mail.get("@odata.etag", "*")), json={"categories": wanted})


def put_draft(graph: Graph, raw: bytes, answers: str) -> PutDraft:
    """A draft that lies there already, by its Message-ID, is kept as it is."""
    message_id = message_id_of(raw)
    lying = next(copies(graph, f"{_DRAFTS}/", message_id, Prefer=IMMUTABLE_IDS), None)
    return _named(lying or _created_draft(graph, raw, message_id, answers))


def _created_draft(graph: Graph, raw: bytes, message_id: str, answers: str) -> dict[str, Any]:
    path, headers = f"{path_of(answers)}/createReply", {"Content-Type": "text/plain", **_PREFER}
    try:
        made = graph.change("POST", path, content=base64.b64encode(raw), headers=headers)
    except Gone:
        raise Permanent("The mail is not in the mailbox any more: no draft was put into Drafts.") from None
    if made.get("internetMessageId") == message_id:
        return made
    # Nowhere is it promised that createReply keeps the Message-ID, but a draft's may be set (message-update).
    path = path_of(made.get("id"))
    try:
        made = graph.change("PATCH", path, json={"internetMessageId": message_id}, headers=_PREFER)
        if made.get("internetMessageId") != message_id:
            raise Permanent("Microsoft 365 would give the draft another Message-ID: no draft was put into Drafts.")
        return made
    except ConnectorError:
        with suppress(ConnectorError):
            graph.change("DELETE", path, headers=_PREFER)
        raise


def _named(draft: dict[str, Any]) -> PutDraft:
    if not (draft.get("id") and draft.get("changeKey")):
        raise Transient("Microsoft 365 gave an answer that cannot be read.")
    return PutDraft(str(draft["id"]), str(draft["changeKey"]))


def take_back(graph: Graph, draft: PutDraft) -> bool:
    """False when somebody has changed the draft: then it is theirs. What has left Drafts need not be taken back."""
    path = path_of(draft.remote_id)
    try:
        lying = graph.read(path, {"$select": "changeKey,parentFolderId"}, Prefer=IMMUTABLE_IDS)
        if lying.get("parentFolderId") != _folder_id(graph, _DRAFTS):
            return True
        if lying.get("changeKey") != draft.version:
            return False
        _write(graph, "DELETE", path, f'W/"{draft.version}"')
    except Overtaken:
        return False
    except Gone:
        return True
    return True


def move(graph: Graph, remote_id: str, folder: str) -> bool:
    """Out of the inbox into a folder. False when the mail is not there, or staff have put it away themselves."""
    path = path_of(remote_id)
    try:
        lying = graph.read(path, {"$select": "parentFolderId"}, Prefer=IMMUTABLE_IDS)
        if lying.get("parentFolderId") != _folder_id(graph, "mailFolders/inbox"):
            return False
        graph.change("POST", f"{path}/move", json={"destinationId": _folder_named(graph, folder)}, headers=_PREFER)
    except Gone:
        return False
    return True


def _folder_id(graph: Graph, path: str) -> str:
    return str(graph.read(path, {"$select": "id"}).get("id"))


def _folder_named(graph: Graph, name: str) -> str:
    """Beside the inbox or, failing that, in it. In one place Exchange allows no two that differ by case only."""
    asked = {"$filter": f"displayName eq {quoted(name)}", "$select": "id,displayName"}
    for place in ("mailFolders", "mailFolders/inbox/childFolders"):
        for found in listed_in(graph.read(place, asked)):
            if str(found.get("displayName")).casefold() == name.casefold():
                return str(found.get("id"))
    raise Permanent(f"There is no folder {name} beside or in the inbox: create it in Outlook, or correct the name.")


def _write(graph: Graph, method: str, path: str, etag: str, **content: Any) -> None:
    """Only while the item is as we have just seen it. Graph promises to heed If-Match for other things than mail, but
    says 412 where Exchange itself notices that the change key is an old one (microsoft-graph-docs#2256)."""
    graph.change(method, path, headers={**_PREFER, "If-Match": etag}, **content)
