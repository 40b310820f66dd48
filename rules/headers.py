"""The header block of a mail or of one of its parts: fields, encoded words, addresses, parameters, dates.

Written for headers as they arrive, not as RFC 5322 wants them. It must never raise and never take an address from
anywhere but the field that was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import Message as _StdlibMessage
from email.utils import collapse_rfc2231_value, parsedate_to_datetime

from rules import decoding
from rules.values import Mailbox

_MAX_FIELDS = 1_000
_MAX_VALUE = 65_536
_MAX_STRUCTURED = 8_192
_MAX_ADDRESSES = 500
_MAX_REFERENCES = 200

_FIELD = re.compile(rb"([!-9;-~]{1,100})[ \t]*:")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_EMPTY_LINE = re.compile(rb"\n\r?\n|\r\r")
# After a line that is no header, only these show that the header block goes on; a word and a colon in the text do not.
_UNMISTAKABLE = re.compile(
    rb"(?:from|to|cc|subject|date|reply-to|message-id|mime-version|received|return-path|references|in-reply-to"
    rb"|content-type|content-transfer-encoding|content-disposition|authentication-results|dkim-signature):",
    re.IGNORECASE,
)
# What the standard library's parameter parsing has been seen to raise on hostile values.
_PARSE_ERRORS = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError, MessageError)


@dataclass(frozen=True, slots=True)
class Headers:
    """Fields in their order, names in lower case, values unfolded but with encoded words still encoded."""

    fields: tuple[tuple[str, str], ...] = ()

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(value for field, value in self.fields if field == name)

    def first(self, name: str) -> str:
        return next((value for field, value in self.fields if field == name), "")

    def has(self, name: str) -> bool:
        return any(field == name for field, _ in self.fields)


@dataclass(frozen=True, slots=True)
class HeaderBlock:
    headers: Headers
    body_start: int


def read_block(raw: bytes, start: int, end: int, defects: list[str]) -> HeaderBlock:
    """The header fields from `start`, and where the body begins."""
    fields: list[tuple[str, list[bytes]]] = []
    for line_start, line_end, following in _lines(raw, start, end):
        if line_start == line_end:
            return HeaderBlock(_decoded(fields, defects), following)
        if len(fields) > _MAX_FIELDS:
            return HeaderBlock(_decoded(fields, defects), _after_empty_line(raw, line_start, end))
        line = raw[line_start : min(line_end, line_start + _MAX_VALUE + 200)]
        field = _FIELD.match(line)
        if line[:1] in (b" ", b"\t"):
            if fields:
                fields[-1][1].append(line)
        elif field:
            fields.append((field[1].decode("ascii").lower(), [line[field.end() :]]))
        elif _UNMISTAKABLE.match(raw, following, end):
            defects.append("A line in the header is no header field and was left out.")
        elif not line.startswith((b"From ", b">From ")):
            defects.append("The header does not end with an empty line.")
            return HeaderBlock(_decoded(fields, defects), line_start)
    return HeaderBlock(_decoded(fields, defects), end)


def _after_empty_line(raw: bytes, start: int, end: int) -> int:
    match = _EMPTY_LINE.search(raw, start, end)
    return match.end() if match else end


def _lines(raw: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    while start < end:
        match = _LINE_END.search(raw, start, end)
        line_end, following = match.span() if match else (end, end)
        yield start, line_end, following
        start = following


def _decoded(fields: list[tuple[str, list[bytes]]], defects: list[str]) -> Headers:
    if len(fields) > _MAX_FIELDS:
        defects.append("The header holds more fields than any mail needs; the rest were left out.")
    return Headers(tuple((name, _value(lines, defects)) for name, lines in fields[:_MAX_FIELDS]))


def _value(lines: list[bytes], defects: list[str]) -> str:
    raw = b" ".join(line.strip() for line in lines)
    if len(raw) > _MAX_VALUE:
        defects.append("A header is longer than any mail needs; the rest of it was left out.")
        raw = raw[:_MAX_VALUE]
    if not raw.isascii():
        defects.append("A header holds raw 8-bit characters; they were read as the bytes suggest.")
    return decoding.decode(raw, None).text


_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")


def decoded_words(value: str, defects: list[str]) -> str:
    """`value` with its RFC 2047 encoded words in clear, cleaned and on one line."""
    clear: list[str] = []
    pending, pending_charset, position = b"", "", 0
    for word in _ENCODED_WORD.finditer(value):
        between, charset = value[position : word.start()], word[1].split("*")[0].lower()
        follows = position > 0 and not between.strip()
        # Some mailers cut a letter's bytes across two words, so words of one charset are joined before decoding.
        if pending and not (follows and charset == pending_charset):
            clear.append(_in_clear(pending, pending_charset, defects))
            pending = b""
        if not follows:
            clear.append(between)
        pending, pending_charset, position = pending + _word_bytes(word, defects), charset, word.end()
    if pending:
        clear.append(_in_clear(pending, pending_charset, defects))
    return one_line("".join(clear) + value[position:], defects)


def _word_bytes(word: re.Match[str], defects: list[str]) -> bytes:
    data = word[3].encode("utf-8", "replace")
    unpacked = (
        decoding.from_base64(data) if word[2] in "bB" else decoding.from_quoted_printable(data.replace(b"_", b" "))
    )
    if unpacked.defect:
        defects.append("An encoded word in a header is damaged; what could be read was kept.")
    return unpacked.data


def _in_clear(data: bytes, charset: str, defects: list[str]) -> str:
    decoded = decoding.decode(data, charset)
    if decoded.defect:
        defects.append("An encoded word in a header has a wrong or unknown charset; it was read as the bytes suggest.")
    return decoded.text


def one_line(text: str, defects: list[str]) -> str:
    return " ".join(decoding.clean(text, defects).split())


# --- addresses ---

_ADDRESS = re.compile(
    r'(?:"[^"\s]{1,64}"|[^\s"<>(),;:@\[\]\\]{1,64})@(?:[^\s"<>(),;:@\[\]\\]{1,255}|\[[0-9a-fA-F:.]{2,60}\])'
)
_ANGLED = re.compile(r"<([^<>\s]{1,330})>")
_MARK = re.compile(r'[^"\\(),;:<>]+|\\.|.', re.DOTALL)


def addresses(headers: Headers, name: str, defects: list[str]) -> tuple[Mailbox, ...]:
    """Every address of every field called `name`; what is no address is told in `defects`, not guessed at."""
    found: list[Mailbox] = []
    for value in headers.all(name):
        found += _mailboxes(value, name, defects)
    if len(found) > _MAX_ADDRESSES:
        defects.append(f"The field {name} holds more addresses than any mail needs; the rest were left out.")
    return tuple(found[:_MAX_ADDRESSES])


def _mailboxes(value: str, name: str, defects: list[str]) -> list[Mailbox]:
    items = list(_items(value))
    found = [mailbox for mailbox in (_mailbox(item, defects) for item in items) if mailbox]
    if not found and "=?" in value:
        # Some web forms encode the whole field, address and all, as one encoded word.
        clear = decoded_words(value, defects)
        found = [mailbox for mailbox in (_mailbox(item, defects) for item in _items(clear)) if mailbox]
    if not found and (angled := _ANGLED.findall(value)):
        found = [Mailbox("", address) for address in angled if _ADDRESS.fullmatch(address)]
    if len(found) != len(items):
        defects.append(f"An address in the field {name} could not be read as it stands.")
    return found


def _items(value: str) -> Iterator[str]:
    """The address list cut at its commas; a semicolon ends a group, or parts addresses as Outlook does it."""
    item: list[str] = []
    quoted, angled, comments = False, False, 0
    for mark in _MARK.findall(value):
        if mark == '"' and not comments:
            quoted = not quoted
        elif not quoted:
            comments = max(0, comments + (mark == "(") - (mark == ")"))
            angled = (angled or mark == "<") and mark != ">"
            if not comments and not angled and mark in ",;:":
                # A colon outside quotes ends the name of a group, which is no address.
                if mark != ":" and "".join(item).strip():
                    yield "".join(item).strip()
                item = []
                continue
        item.append(mark)
    if "".join(item).strip():
        yield "".join(item).strip()


def _mailbox(item: str, defects: list[str]) -> Mailbox | None:
    bare, comments = _without_comments(item)
    before, angle, rest = bare.rpartition("<")
    address = rest.partition(">")[0].strip() if angle else bare.strip()
    # RFC 5322 once let a route stand before the address: <@relay.example:anna@post.example>.
    address = address.rpartition(":")[2] if address.startswith("@") else address
    if not _ADDRESS.fullmatch(address):
        return None
    name = before if angle else comments
    return Mailbox(decoded_words(_unquoted(name), defects)[:200], one_line(address, defects))


def _without_comments(item: str) -> tuple[str, str]:
    outside: list[str] = []
    inside: list[str] = []
    quoted, depth = False, 0
    for mark in _MARK.findall(item):
        if mark == '"' and not depth:
            quoted = not quoted
        if not quoted and mark == ")" and depth:
            depth -= 1
            continue
        if not quoted and mark == "(":
            depth += 1
            continue
        (inside if depth else outside).append(mark)
    return "".join(outside), "".join(inside)


def _unquoted(name: str) -> str:
    return re.sub(r'\\(.)|"', lambda match: match[1] or "", name.strip())


# --- the other structured fields ---

_MESSAGE_ID = re.compile(r"<[^<>\s]{1,500}>")


def message_ids(headers: Headers, name: str) -> tuple[str, ...]:
    """Message-IDs with their angle brackets, oldest first; of a very long thread the newest are kept."""
    found: list[str] = []
    for value in headers.all(name):
        bare = value.strip()
        found += _MESSAGE_ID.findall(value) or ([bare[:500]] if bare and not re.search(r"\s", bare) else [])
    return tuple(decoding.clean(found_id, []) for found_id in found[-_MAX_REFERENCES:])


def date(headers: Headers, defects: list[str]) -> datetime | None:
    if not headers.has("date"):
        defects.append("The mail has no date.")
        return None
    sent_at = _moment(headers.first("date"))
    if sent_at is None:
        defects.append("The date could not be read.")
    return sent_at


def received_at(headers: Headers) -> datetime | None:
    """When our own server took the mail: the time of the topmost Received, which the last server on the way writes
    (RFC 5321 4.4). The sender's Date says nothing of it."""
    return _moment(headers.first("received").rpartition(";")[2])


def _moment(written: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(written.strip()[:200])
    except (*_PARSE_ERRORS, OverflowError):
        return None
    if moment.year < 1970:
        return None
    # RFC 5322 3.3: "-0000" is a time in UTC from a sender who does not tell the own zone.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Structured:
    """A field like Content-Type: its value in lower case and its parameters, as they stand, by lower-case name."""

    value: str
    parameters: dict[str, str]


def structured(headers: Headers, name: str) -> Structured:
    field = headers.first(name)[:_MAX_STRUCTURED]
    message = _StdlibMessage()
    try:
        message[name] = field
        found = message.get_params(failobj=[], header=name)
        parameters = {key.strip().lower(): collapse_rfc2231_value(value) for key, value in reversed(found[1:])}
    except _PARSE_ERRORS:
        parameters = {}
    return Structured(field.split(";")[0].strip().strip("\"'").lower(), parameters)
