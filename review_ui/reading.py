"""A resident's mail as the screen shows it: text only, with national ids masked and look-up words marked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from review_ui import words
from rules.masking import masked
from rules.national_ids import find
from rules.values import Attachment, Message

LONGEST_SHOWN = 60_000
"""More text than this is nobody's letter; what is left out is said."""
MOST_MARKS = 200


@dataclass(frozen=True, slots=True)
class Sender:
    name: str
    address: str
    proof: str
    """`good`, `unproven` or `false`: chooses the shield."""
    says: str
    reason: str
    suspicious: tuple[str, ...]

    @property
    def icon(self) -> str:
        return {"good": "shield", "unproven": "shieldhalf", "false": "shieldno"}[self.proof]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the mail. `mark` is empty, `ent` for a word used in a look-up, or `mask`."""

    text: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class File:
    number: int
    name: str
    size: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Original:
    """The mail's own column."""

    sender: Sender
    to: str
    subject: str
    text: tuple[Piece, ...]
    cut_off: bool
    whole: str
    """With quoted history and signature; empty when that says nothing more."""
    hidden: str
    files: tuple[File, ...]
    defects: tuple[str, ...]
    has_ids: bool
    looked_up: bool


def without_ids(text: str) -> str:
    return masked(text, find(text))


def sender_of(message: Message) -> Sender:
    proven = message.sender
    proof = "false" if proven.suspicious else "good" if proven.verified else "unproven"
    says = {"good": _("Sender proven"), "unproven": _("Sender not proven"), "false": _("Sender looks false")}[proof]
    address = message.sender_address
    name = without_ids(address.name or address.address) or _("No sender")
    return Sender(name, address.address, proof, says, proven.reason, proven.suspicious)


def original(message: Message, look_ups: Iterable[str]) -> Original:
    written = message.reply_text[:LONGEST_SHOWN]
    values = [value for value in look_ups if value.strip()]
    pieces = tuple(marked(written, values))
    whole = message.text[:LONGEST_SHOWN].strip()
    return Original(
        sender=sender_of(message),
        to=", ".join(box.address for box in (*message.to, *message.cc)[:20]),
        subject=without_ids(message.subject) or _("(no subject)"),
        text=pieces,
        cut_off=len(message.reply_text) > LONGEST_SHOWN,
        whole=without_ids(whole) if whole != written.strip() else "",
        hidden=without_ids(message.hidden_text[:2_000]),
        files=tuple(_file(number, found) for number, found in enumerate(message.attachments)),
        defects=message.defects,
        has_ids=any(piece.mark == "mask" for piece in pieces),
        looked_up=any(piece.mark == "ent" for piece in pieces),
    )


def _file(number: int, found: Attachment) -> File:
    name = without_ids(found.name) or _("attachment %(number)s") % {"number": number + 1}
    return File(number, name, words.size(found.size), found.content_type)


def marked(text: str, look_ups: Iterable[str]) -> Iterator[Piece]:
    """The text in pieces. A masked number wins over a word that was looked up."""
    ids = {(one.start, one.end): one.masked for one in find(text)}
    taken = sorted(ids)
    for start, end in _places(text, look_ups):
        if not any(start < other_end and other_start < end for other_start, other_end in taken):
            taken = sorted([*taken, (start, end)])
    position = 0
    for start, end in taken:
        if start < position:
            continue
        yield Piece(text[position:start])
        yield Piece(ids[start, end], "mask") if (start, end) in ids else Piece(text[start:end], "ent")
        position = end
    yield Piece(text[position:])


def _places(text: str, look_ups: Iterable[str]) -> Iterator[tuple[int, int]]:
    wanted = sorted(set(look_ups), key=len, reverse=True)
    if wanted:
        pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, wanted))})(?!\w)", re.IGNORECASE)
        yield from (match.span() for _, match in zip(range(MOST_MARKS), pattern.finditer(text), strict=False))
