"""A mail's MIME tree laid flat: its leaves in reading order, whatever the sender's software did to the tree.

The standard library's parser recurses per level and asks every open boundary about every line; fifteen hundred nested
parts bring it down. Here the tree is walked with a stack, and the bytes looked at are counted, so that the time is
bounded whatever the mail holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rules import decoding, signed, tnef
from rules.headers import Headers, decoded_words, one_line, read_block, structured

_MAX_PARTS = 2_000
_MAX_BYTES_LOOKED_AT = 400_000_000
_MEDIA_TYPE = re.compile(r"[a-z0-9][\w.+-]{0,80}/[a-z0-9][\w.+-]{0,80}", re.ASCII)
_MADE_UP_BOUNDARY = re.compile(rb"[\r\n]--(\S{1,70})[ \t]{0,8}\r?\nContent-", re.IGNORECASE)
_WINMAIL = ("application/ms-tnef", "application/vnd.ms-tnef")


@dataclass(frozen=True, slots=True)
class Part:
    """One leaf. `alternative` numbers the outermost multipart/alternative it stands in, if any; `stands_in` is true of
    the text inside a winmail.dat, which is read when the mail has no other and is never an attachment."""

    headers: Headers
    content_type: str
    parameters: dict[str, str]
    disposition: str
    name: str
    packed: bytes = field(repr=False)
    alternative: int | None = None
    stands_in: bool = False

    def content(self, defects: list[str]) -> bytes:
        unpacked = decoding.unpack(self.packed, self.headers.first("content-transfer-encoding"))
        if unpacked.defect:
            defects.append(unpacked.defect)
        return unpacked.data


@dataclass(frozen=True, slots=True)
class Tree:
    headers: Headers
    content_type: str
    parameters: dict[str, str]
    leaves: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    """A stretch of bytes that holds one entity: header block and body."""

    raw: bytes = field(repr=False)
    start: int
    end: int
    default_type: str = "text/plain"
    alternative: int | None = None


@dataclass(frozen=True, slots=True)
class _Entity:
    headers: Headers
    content_type: str
    parameters: dict[str, str]
    body_start: int


def read_tree(raw: bytes, defects: list[str]) -> Tree:
    """The top headers and every leaf. A forwarded message/rfc822 is a leaf: its text is not the sender's own."""
    top = _Section(raw, _start_of_mail(raw, defects), len(raw))
    first = _read_entity(top, defects)
    waiting, leaves, looked_at, opened = [top], list[Part](), 0, 0
    while waiting:
        section = waiting.pop()
        entity = first if section is top else _read_entity(section, defects)
        looked_at += section.end - section.start
        exhausted = opened >= _MAX_PARTS or looked_at >= _MAX_BYTES_LOOKED_AT
        children = [] if exhausted else _children(section, entity, opened, defects)
        if exhausted and (entity.content_type.startswith("multipart/") or entity.content_type in _WINMAIL):
            defects.append("The mail holds more nested parts than any mail needs; the innermost were left closed.")
        opened += len(children)
        waiting += reversed(children)
        if not children:
            leaf = _leaf(section, entity, exhausted, defects)
            unwrapped = [leaf] if exhausted else _unwrapped(leaf, len(leaves), defects)
            opened += len(unwrapped) - 1
            leaves += unwrapped
    return Tree(first.headers, first.content_type, first.parameters, tuple(leaves))


def _start_of_mail(raw: bytes, defects: list[str]) -> int:
    start = 3 if raw.startswith(b"\xef\xbb\xbf") else 0
    first_line = re.compile(rb"[\r\n \t]*").match(raw, start)
    skipped = first_line.end() if first_line else start
    if skipped:
        defects.append("The mail begins with empty lines or a byte order mark; they were left out.")
    return skipped


def _read_entity(section: _Section, defects: list[str]) -> _Entity:
    block = read_block(section.raw, section.start, section.end, defects)
    content = structured(block.headers, "content-type")
    content_type = content.value
    if not _MEDIA_TYPE.fullmatch(content_type):
        if content_type and content_type != "text":
            defects.append("A content type could not be read; the part was taken as plain text.")
        content_type = "text/plain" if content_type else section.default_type
    return _Entity(block.headers, content_type, content.parameters, block.body_start)


def _children(section: _Section, entity: _Entity, opened: int, defects: list[str]) -> list[_Section]:
    if entity.content_type in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        return _signed_child(section, entity)
    boundary = _boundary(section, entity, defects)
    if boundary is None:
        return []
    default_type = "message/rfc822" if entity.content_type == "multipart/digest" else "text/plain"
    alternative = section.alternative
    if alternative is None and entity.content_type == "multipart/alternative":
        alternative = opened
    return [
        _Section(section.raw, start, end, default_type, alternative)
        for start, end in _cut(section.raw, entity.body_start, section.end, boundary, defects)
    ]


def _signed_child(section: _Section, entity: _Entity) -> list[_Section]:
    transfer_encoding = entity.headers.first("content-transfer-encoding")
    wrapped = decoding.unpack(section.raw[entity.body_start : section.end], transfer_encoding).data
    inner = signed.content(wrapped)
    return [_Section(inner, 0, len(inner), alternative=section.alternative)] if inner else []


def _boundary(section: _Section, entity: _Entity, defects: list[str]) -> bytes | None:
    multipart = entity.content_type.startswith("multipart/")
    if not multipart and entity.headers.has("content-type"):
        return None
    declared = entity.parameters.get("boundary", "").strip().encode("utf-8", "replace") if multipart else b""
    if declared and section.raw.find(b"--" + declared, entity.body_start, section.end) >= 0:
        return declared
    made_up = _MADE_UP_BOUNDARY.search(
        section.raw, max(0, entity.body_start - 1), min(section.end, entity.body_start + 4_096)
    )
    if multipart:
        defects.append("The boundary between the parts is missing or wrong.")
    if made_up and not multipart:
        defects.append("The mail is made of parts but does not say so.")
    return made_up[1] if made_up else None


def _cut(raw: bytes, start: int, end: int, boundary: bytes, defects: list[str]) -> list[tuple[int, int]]:
    """The stretches between the lines that are exactly this boundary."""
    delimiter = b"--" + boundary
    stretches: list[tuple[int, int]] = []
    open_at: int | None = None
    position = raw.find(delimiter, start, end)
    while position >= 0:
        tail_end = _line_end(raw, position, end)
        tail = raw[position + len(delimiter) : tail_end].strip()
        if tail in (b"", b"--") and (position == start or raw[position - 1] in b"\r\n"):
            if open_at is not None:
                stretches.append((open_at, max(open_at, _before_line_end(raw, position))))
            open_at = None if tail else _after_line_end(raw, tail_end, end)
            if tail == b"--" or len(stretches) >= _MAX_PARTS:
                break
        position = raw.find(delimiter, tail_end, end)
    if open_at is not None:
        defects.append("The last part is not closed; the mail may have been cut off.")
        stretches.append((open_at, end))
    return stretches


def _line_end(raw: bytes, position: int, end: int) -> int:
    # A boundary has at most 70 characters (RFC 2046); a line that goes on for long is none.
    stretch = raw[position : min(end, position + 400)]
    ends = [found for found in (stretch.find(b"\n"), stretch.find(b"\r")) if found >= 0]
    return position + (min(ends) if ends else len(stretch))


def _after_line_end(raw: bytes, position: int, end: int) -> int:
    return min(end, position + (2 if raw[position : position + 2] == b"\r\n" else 1))


def _before_line_end(raw: bytes, position: int) -> int:
    return position - (2 if raw[position - 2 : position] == b"\r\n" else 1)


def _leaf(section: _Section, entity: _Entity, left_closed: bool, defects: list[str]) -> Part:
    disposition = structured(entity.headers, "content-disposition")
    content_type = entity.content_type
    name = disposition.parameters.get("filename") or entity.parameters.get("name") or ""
    if content_type.startswith("multipart/") and not left_closed:
        # No boundary was found in it, so whatever it holds is shown as it stands rather than lost.
        content_type = "text/plain"
    return Part(
        headers=entity.headers,
        content_type=content_type,
        parameters=entity.parameters,
        disposition=disposition.value,
        name=_file_name(name, defects),
        packed=section.raw[entity.body_start : section.end],
        alternative=section.alternative,
    )


def _unwrapped(leaf: Part, number: int, defects: list[str]) -> list[Part]:
    """A winmail.dat gives way to the texts and files in it; when it is damaged, it stays beside what could be read."""
    if leaf.content_type not in _WINMAIL and leaf.name.lower() != "winmail.dat":
        return [leaf]
    winmail = tnef.opened(leaf.content(defects))
    defects += dict.fromkeys(winmail.defects)
    texts = [_text_of_winmail(body, number) for body in winmail.bodies]
    files = [_file_of_winmail(file, defects) for file in winmail.files]
    return [*texts, *files, *([] if winmail.whole else [leaf])]


def _text_of_winmail(body: tnef.Body, number: int) -> Part:
    parameters = {"charset": body.charset} if body.charset else {}
    return Part(Headers(), body.content_type, parameters, "", "", body.data, alternative=-1 - number, stands_in=True)


def _file_of_winmail(file: tnef.File, defects: list[str]) -> Part:
    content_type = file.content_type if _MEDIA_TYPE.fullmatch(file.content_type) else "application/octet-stream"
    # A picture with an id stands in the text; a text that claims to must not become the mail's own words.
    disposition = "inline" if file.content_id and content_type.startswith("image/") else "attachment"
    return Part(Headers(), content_type, {}, disposition, _last_piece(one_line(file.name, defects)), file.data)


def _file_name(name: str, defects: list[str]) -> str:
    return _last_piece(decoded_words(name, defects))


def _last_piece(name: str) -> str:
    """Of a path the last piece: a mail never says where on a disk something goes."""
    clear = name.replace("\\", "/").rpartition("/")[2].strip()
    return clear if len(clear) <= 200 else clear[:150] + "…" + clear[-40:]
