"""Finding mails by what their headers say. Exchange compares without regard to case, so we compare once more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.graph.api import Graph, listed_in, quoted

# MAPI properties that Graph has no name for ([MS-OXPROPS]).
_IN_REPLY_TO = "String 0x1042"  # PidTagInReplyToId
_MESSAGE_FLAGS = "Integer 0x0E07"  # PidTagMessageFlags
_SUBMITTED = 0x04  # mfSubmitted, [MS-OXCMSG] 2.2.1.6
_MOST_ANSWERS = 100


def copies(graph: Graph, place: str, message_id: str, **headers: str) -> Iterator[dict[str, Any]]:
    """Mails with exactly this Message-ID in a folder of the mailbox, or anywhere in it."""
    asked = {
        "$filter": f"internetMessageId eq {quoted(message_id)}",
        "$select": "id,internetMessageId,isDraft,changeKey",
        "$expand": expanded(_MESSAGE_FLAGS),
    }
    found = listed_in(graph.read(f"{place}messages", asked, **headers))
    yield from (mail for mail in found if mail.get("internetMessageId") == message_id)


def has_left(mail: Mapping[str, Any]) -> bool:
    """A sent mail is no draft; one on its way may still look like one, but is marked as submitted."""
    flags = property_of(mail, _MESSAGE_FLAGS)
    return mail.get("isDraft") is False or bool(flags.isdecimal() and int(flags) & _SUBMITTED)


def answers_to(graph: Graph, message_id: str) -> frozenset[str]:
    """The Message-IDs of what was sent with this Message-ID in In-Reply-To."""
    same = f"ep/id eq '{_IN_REPLY_TO}' and ep/value eq {quoted(message_id)}"
    asked = {
        "$filter": f"singleValueExtendedProperties/Any(ep: {same})",
        "$select": "internetMessageId",
        "$expand": expanded(_IN_REPLY_TO),
        "$top": str(_MOST_ANSWERS),
    }
    found = listed_in(graph.read("mailFolders/sentitems/messages", asked))
    answers = (mail for mail in found if property_of(mail, _IN_REPLY_TO).strip() == message_id)
    return frozenset(str(mail["internetMessageId"]) for mail in answers if mail.get("internetMessageId"))


def expanded(*properties: str) -> str:
    wanted = " or ".join(f"id eq '{name}'" for name in properties)
    return f"singleValueExtendedProperties($filter={wanted})"


def property_of(mail: Mapping[str, Any], name: str) -> str:
    """Empty when the mail has none. Graph writes the names its own way: 0x0E07 comes back as 0xe07."""
    for one in mail.get("singleValueExtendedProperties") or ():
        if _number(str(one.get("id"))) == _number(name):
            return str(one.get("value"))
    return ""


def _number(name: str) -> str:
    return name.rpartition("0x")[2].lstrip("0").casefold()
