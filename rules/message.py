"""Raw bytes of one mail to a Message: addresses, readable text, the sender's own words, attachments, kind, sender.

It never raises, whatever the bytes; every repair and everything unreadable is a sentence in `defects`, which quotes
nothing of the mail. What a mail says of itself is read here and believed nowhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

from rules import decoding, loops, rich_text, sender
from rules.headers import Headers, addresses, date, decoded_words, message_ids, received_at
from rules.html_text import Readable, read_html
from rules.parts import Part, Tree, read_tree
from rules.plain_text import lines_drawn_otherwise
from rules.quoting import reply_text
from rules.tnef import COMPRESSED_RTF
from rules.values import Attachment, Language, Mailbox, MailKind, Message, Sender, SenderMethod

_MAX_TEXT = 1_000_000
_MAX_SUBJECT = 1_000
_MAX_ATTACHMENTS = 1_000
_MAX_DEFECTS = 50
_NOBODY = Mailbox("", "")


def read(
    raw: bytes,
    *,
    authserv_ids: Sequence[str] = (),
    own_addresses: Collection[str] = (),
    from_directory: bool = False,
) -> Message:
    try:
        return _read(raw, authserv_ids, own_addresses, from_directory)
    # A mail that cannot be read must come before a person, not stop the queue.
    except Exception as error:
        return _unreadable(raw, type(error).__name__)


def parsed(message: Message, language: Language) -> dict[str, Any]:
    """The object that `kommunpost parse` prints for a mail (see the contract of the commands)."""
    return {
        "message_id": message.message_id,
        "in_reply_to": message.in_reply_to,
        "references": list(message.references),
        "date": message.date.isoformat() if message.date else None,
        "from": _named(message.sender_address),
        "reply_to": [_named(mailbox) for mailbox in message.reply_to],
        "to": [_named(mailbox) for mailbox in message.to],
        "cc": [_named(mailbox) for mailbox in message.cc],
        "subject": message.subject,
        "text": message.text,
        "reply_text": message.reply_text,
        "html_present": message.html_present,
        "attachments": [
            {"name": part.name, "content_type": part.content_type, "size": part.size, "inline": part.inline}
            for part in message.attachments
        ],
        "language": {"code": language.code, "confidence": language.confidence},
        "auto_submitted": message.auto_submitted,
        "kind": message.kind.value,
        "reply_allowed": message.reply_allowed,
        "reply_blocked_by": message.reply_blocked_by,
        "sender": {
            "verified": message.sender.verified,
            "method": message.sender.method.value,
            "reason": message.sender.reason,
        },
        "defects": list(message.defects),
        "sha256": message.sha256,
    }


def _named(mailbox: Mailbox) -> dict[str, str]:
    return {"name": mailbox.name, "address": mailbox.address}


def _read(raw: bytes, authserv_ids: Sequence[str], own_addresses: Collection[str], from_directory: bool) -> Message:
    defects: list[str] = []
    tree = read_tree(raw, defects)
    headers = tree.headers
    senders = addresses(headers, "from", defects)
    reply_to = addresses(headers, "reply-to", defects)
    body, hidden, html_present = _body(tree, defects)
    from_address = senders[0] if senders else _NOBODY
    kind = loops.kind(tree, from_address, body, own_addresses)
    blocked_by = loops.reply_blocked_by(kind, tree, from_address, reply_to, own_addresses)
    _note_what_is_missing(headers, senders, body, kind, defects)
    return Message(
        message_id=next(iter(message_ids(headers, "message-id")), None),
        in_reply_to=next(iter(message_ids(headers, "in-reply-to")), None),
        references=message_ids(headers, "references"),
        date=date(headers, defects),
        received_at=received_at(headers),
        sender_address=from_address,
        reply_to=reply_to,
        to=addresses(headers, "to", defects),
        cc=addresses(headers, "cc", defects),
        subject=decoded_words(headers.first("subject"), defects)[:_MAX_SUBJECT],
        text=body,
        reply_text=reply_text(body),
        hidden_text=hidden,
        html_present=html_present,
        attachments=tuple(_attachments(tree, defects)),
        kind=kind,
        auto_submitted=loops.auto_submitted(kind, headers),
        reply_allowed=blocked_by is None,
        reply_blocked_by=blocked_by,
        sender=sender.prove(
            headers.all("authentication-results"),
            senders,
            from_fields=len(headers.all("from")),
            reply_to=reply_to,
            authserv_ids=authserv_ids,
            own_addresses=own_addresses,
            from_directory=from_directory,
        ),
        defects=tuple(dict.fromkeys(defects))[:_MAX_DEFECTS],
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def _note_what_is_missing(
    headers: Headers, senders: Sequence[Mailbox], body: str, kind: MailKind, defects: list[str]
) -> None:
    notes = (
        (not headers.fields, "The mail has no header."),
        (not senders, "The mail names no sender."),
        (len(headers.all("from")) > 1 or len(senders) > 1, "The mail names more than one sender; the first is shown."),
        (not message_ids(headers, "message-id"), "The mail has no Message-ID."),
        (len(headers.all("message-id")) > 1, "The mail has more than one Message-ID; the first is used."),
        (len(headers.all("subject")) > 1, "The mail has more than one subject; the first is used."),
        (kind is MailKind.ENCRYPTED, "The mail is encrypted; its text cannot be read here."),
        (not body.strip() and kind is not MailKind.ENCRYPTED, "The mail has no readable text."),
    )
    defects.extend(sentence for applies, sentence in notes if applies)


def _unreadable(raw: bytes, what_failed: str) -> Message:
    return Message(
        message_id=None,
        in_reply_to=None,
        references=(),
        date=None,
        received_at=None,
        sender_address=_NOBODY,
        reply_to=(),
        to=(),
        cc=(),
        subject="",
        text="",
        reply_text="",
        hidden_text="",
        html_present=False,
        attachments=(),
        kind=MailKind.MAIL,
        auto_submitted=False,
        reply_allowed=False,
        reply_blocked_by="no_sender",
        sender=Sender(False, SenderMethod.NONE, "The mail could not be read."),
        defects=(f"The mail could not be read ({what_failed}).",),
        sha256=hashlib.sha256(raw).hexdigest(),
    )


# --- the body ---

_PLAIN = ("text/plain", "text/enriched")
_BODY_TYPES = (*_PLAIN, "text/html")
_WORD = re.compile(r"[^\W_]{2,}")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s|\n")
_LINK = re.compile(r"<?\bhttps?://\S{1,500}", re.IGNORECASE)
_MAX_SENTENCE = 10_000


def _body(tree: Tree, defects: list[str]) -> tuple[str, str, bool]:
    """Visible text, hidden text, and whether there is an HTML body."""
    parts = list(_body_parts(tree))
    text, hidden = _read_parts(parts, defects)
    if not text:
        # A mail may hold many winmail.dat, as forwarded ones do; only the first can be the mail itself.
        inside = next(_said_once([part for part in tree.leaves if part.stands_in]), [])
        text, hidden_inside = _read_parts(inside, defects)
        parts, hidden = parts + inside, hidden + hidden_inside
    text = text or _invitation(tree, defects)
    if len(text) > _MAX_TEXT:
        defects.append("The text is longer than any letter; the rest of it was left out.")
    return text[:_MAX_TEXT], "\n".join(hidden), any(part.content_type == "text/html" for part in parts)


def _read_parts(parts: list[Part], defects: list[str]) -> tuple[str, list[str]]:
    pieces: list[str] = []
    hidden: list[str] = []
    for group in _said_once(parts):
        read_parts = [(part.content_type == "text/html", _readable(part, defects)) for part in group]
        hidden += [readable.hidden for _, readable in read_parts if readable.hidden]
        plain = _joined([readable.visible for is_html, readable in read_parts if not is_html])
        html = _joined([readable.visible for is_html, readable in read_parts if is_html])
        shown, unshown = _better(plain, html, defects)
        pieces.append(shown)
        hidden += [unshown] if unshown else []
    return _joined(pieces), hidden


def _said_once(parts: list[Part]) -> Iterator[list[Part]]:
    """Parts of one multipart/alternative say the same thing; parts beside each other follow one another."""
    for alternative, group in groupby(parts, lambda part: part.alternative):
        together = list(group)
        yield from [[part] for part in together] if alternative is None else [together]


def _body_parts(tree: Tree) -> Iterator[Part]:
    """The parts a reader sees as the mail itself; where every text has a file name, as web forms do it, the first."""
    texts = [part for part in tree.leaves if part.content_type in _BODY_TYPES and _may_be_body(part)]
    unnamed = [part for part in texts if not part.name]
    yield from unnamed or texts[:1]


def _may_be_body(part: Part) -> bool:
    return part.disposition != "attachment" and not part.stands_in


def _joined(texts: Sequence[str]) -> str:
    return "\n\n".join(dict.fromkeys(text.strip("\n") for text in texts if text.strip()))


def _better(plain: str, html: str, defects: list[str]) -> tuple[str, str]:
    """What is read, and the other if it says something else: the plain text, unless the HTML says more. What a sender
    saw when writing is the HTML, and what most readers see."""
    if not plain.strip() or not html.strip():
        return (plain if plain.strip() else html), ""
    if not _says_more(html, plain):
        return plain, ""
    defects.append("The plain text and the HTML differ; the HTML was read.")
    return html, plain if _says_more(plain, html) else ""


def _says_more(text: str, other: str) -> bool:
    """Whether the other says less than half of some sentence of `text`. Breaks and links may differ."""
    said = set(pairwise(_WORD.findall(other.lower())))
    return any(_is_news(sentence, said) for sentence in _SENTENCE_END.split(text))


def _is_news(sentence: str, said: Collection[tuple[str, str]]) -> bool:
    pairs = list(pairwise(_WORD.findall(_LINK.sub(" ", sentence[:_MAX_SENTENCE]).lower())))
    return 2 * sum(pair in said for pair in pairs) < len(pairs)


def _readable(part: Part, defects: list[str]) -> Readable:
    data = part.content(defects)
    if part.content_type == COMPRESSED_RTF:
        return _readable_rtf(data, defects)
    declared = part.parameters.get("charset") or (_declared_in_html(data) if part.content_type == "text/html" else None)
    decoded = decoding.decode(data[: _MAX_TEXT * 4], declared)
    if decoded.defect:
        defects.append(decoded.defect)
    text = _unwrapped(decoded.text) if _is_flowed(part) else decoded.text
    return _clean(read_html(text, defects) if part.content_type == "text/html" else Readable(text, ""), defects)


def _readable_rtf(data: bytes, defects: list[str]) -> Readable:
    rich = rich_text.read(rich_text.unpacked(data, defects), defects)
    return _clean(read_html(rich.text, defects) if rich.is_html else Readable(rich.text, rich.hidden), defects)


def _clean(readable: Readable, defects: list[str]) -> Readable:
    visible = readable.visible
    hidden = "\n".join(filter(None, (readable.hidden, decoding.smuggled(visible), lines_drawn_otherwise(visible))))
    return Readable(decoding.clean(visible, defects), decoding.clean(hidden, []))


_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w:.-]{1,40})", re.IGNORECASE)


def _declared_in_html(data: bytes) -> str | None:
    match = _META_CHARSET.search(data[:4_096])
    return match[1].decode("ascii") if match else None


def _is_flowed(part: Part) -> bool:
    return part.parameters.get("format", "").lower() == "flowed"


def _unwrapped(text: str) -> str:
    """RFC 3676: a line that ends in a space goes on in the next line of the same quotation depth."""
    flowed: list[str] = []
    open_depth = -1
    for line in text.replace("\r\n", "\n").split("\n"):
        depth = len(line) - len(line.lstrip(">"))
        words = line[depth:].removeprefix(" ") if depth else line.removeprefix(" ")
        if depth == open_depth:
            flowed[-1] += words
        else:
            flowed.append(">" * depth + (" " if depth else "") + words)
        open_depth = depth if words.endswith(" ") and words != "-- " else -1
    return "\n".join(flowed)


_CALENDAR_LINE = re.compile(r"(SUMMARY|LOCATION|DTSTART|DESCRIPTION)(?:;[^:\n]{0,200})?:(.*)")


def _invitation(tree: Tree, defects: list[str]) -> str:
    """What an invitation without any other text says, so that nobody opens an empty mail (RFC 5545)."""
    part = next((part for part in tree.leaves if part.content_type == "text/calendar"), None)
    if part is None:
        return ""
    text = decoding.decode(part.content(defects)[:100_000], part.parameters.get("charset") or "utf-8").text
    unfolded = re.sub(r"\r?\n[ \t]", "", text)
    found = [match[2] for line in unfolded.splitlines() if (match := _CALENDAR_LINE.match(line))]
    return decoding.clean("\n".join(re.sub(r"\\([nN,;\\])", _unescaped, value).strip() for value in found), defects)


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] in "nN" else match[1]


# --- attachments ---


def attachment(raw: bytes, number: int) -> tuple[Attachment, bytes] | None:
    """The attachment that stands at this place in `read(raw).attachments`, with its content."""
    try:
        part = dict(enumerate(_attached(read_tree(raw, [])))).get(number)
        return (_described(part, []), part.content([])) if part else None
    # As in `read`: whatever the bytes are, the person who asked gets an answer.
    except Exception:
        return None


def _attachments(tree: Tree, defects: list[str]) -> Iterator[Attachment]:
    others = _attached(tree)
    if len(others) > _MAX_ATTACHMENTS:
        defects.append("The mail holds more attachments than any mail needs; the rest are not listed.")
    return (_described(part, defects) for part in others[:_MAX_ATTACHMENTS])


def _attached(tree: Tree) -> list[Part]:
    body = {id(part) for part in _body_parts(tree)}
    return [part for part in tree.leaves if id(part) not in body and not part.stands_in]


def _described(part: Part, defects: list[str]) -> Attachment:
    inline = part.disposition == "inline" or (part.disposition != "attachment" and part.headers.has("content-id"))
    return Attachment(part.name, part.content_type, len(part.content(defects)), inline)
