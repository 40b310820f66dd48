"""Outlook's own wrapping of a mail, winmail.dat (MS-OXTNEF): its text and its files.

It never raises and never follows one message into another. What is damaged is told in a sentence, and the time is
linear in the length of what it is given.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from rules import decoding

COMPRESSED_RTF = "application/x-compressed-rtf"
_DAMAGED = "The winmail.dat is damaged; what could be read of it was kept."
_SIGNATURE = b"\x78\x9f\x3e\x22"
_FIRST_ATTRIBUTE = 6

_MAX_FILES = 1_000
_MAX_ENTRIES = 100_000
"""Attributes of one winmail.dat and properties of one attribute; Outlook writes some dozens."""

_BODY, _CODE_PAGE, _PROPERTIES = 0x800C, 0x9007, 0x9003
_FILE_BEGINS, _FILE_TITLE, _FILE_DATA, _FILE_PROPERTIES = 0x9002, 0x8010, 0x800F, 0x9005

_TEXT, _HTML, _RTF, _INTERNET_CODE_PAGE = 0x1000, 0x1013, 0x1009, 0x3FDE
_DATA, _NAME, _SHORT_NAME, _DISPLAY_NAME = 0x3701, 0x3707, 0x3704, 0x3001
_MIME_TYPE, _CONTENT_ID = 0x370E, 0x3712

_STRING, _UNICODE, _OBJECT, _BINARY = 0x001E, 0x001F, 0x000D, 0x0102
_VARIABLE = (_STRING, _UNICODE, _OBJECT, _BINARY)
_MANY, _NAMED = 0x1000, 0x8000
# Types of a fixed length in bytes; each stands on a boundary of four.
_FIXED = {0x0002: 4, 0x000B: 4, 0x0003: 4, 0x0004: 4, 0x000A: 4, 0x0001: 0} | dict.fromkeys((5, 6, 7, 0x14, 0x40), 8)
_FIXED[0x0048] = 16
_MESSAGE = bytes.fromhex("0703020000000000c000000000000046")  # the interface IMessage
_OBJECT_HEAD = 16

# Windows' numbers for charsets that are not "cp" and the number (MS-UCODEREF); 1252 and its like are.
_CHARSETS = {65001: "utf-8", 20127: "us-ascii", 1200: "utf-16-le", 20866: "koi8-r", 21866: "koi8-u"} | {
    28590 + number: f"iso-8859-{number}" for number in range(1, 16)
}


class Body(NamedTuple):
    content_type: str
    charset: str | None
    data: bytes


@dataclass(slots=True)
class File:
    name: str = ""
    content_type: str = "application/octet-stream"
    content_id: bool = False
    data: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class Opened:
    """`bodies` say the same thing in several forms. `whole` is False when something of it may be missing here."""

    bodies: list[Body] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    whole: bool = True

    def damaged(self, defect: str = _DAMAGED) -> None:
        self.defects.append(defect)
        self.whole = False


class _Attribute(NamedTuple):
    name: int
    data: memoryview


class _Property(NamedTuple):
    name: int
    kind: int
    data: memoryview


def opened(raw: bytes) -> Opened:
    found = Opened()
    if not raw.startswith(_SIGNATURE):
        found.damaged("The mail holds a winmail.dat that is not in Outlook's format; it was not opened.")
        return found
    code_page: int | None = None
    text = b""
    try:
        for name, data in _attributes(memoryview(raw), found):
            if name == _CODE_PAGE:
                code_page = _number(data, 0)
            elif name == _BODY:
                text = bytes(data)
            elif name == _PROPERTIES:
                _read_bodies(data, code_page, found)
            elif name == _FILE_BEGINS and len(found.files) == _MAX_FILES:
                found.damaged("The winmail.dat holds more files than any mail needs; the rest are not listed.")
                break
            elif name == _FILE_BEGINS:
                found.files.append(File())
            elif found.files:
                _read_of_file(found.files[-1], name, data, code_page, found)
    except struct.error:
        found.damaged()
    found.bodies.append(Body("text/plain", charset(code_page), text.rstrip(b"\0")))
    found.bodies = _best(found.bodies)
    return found


def _best(bodies: list[Body]) -> list[Body]:
    """One of each form; RTF only where there is no other, since Outlook makes the others from it."""
    by_form = {body.content_type: body for body in reversed(bodies) if body.data.strip()}
    rtf = by_form.pop(COMPRESSED_RTF, None)
    return list(by_form.values()) or ([rtf] if rtf else [])


def charset(code_page: int | None) -> str | None:
    return _CHARSETS.get(code_page, str(code_page)) if code_page else None


def _attributes(raw: memoryview, found: Opened) -> Iterator[_Attribute]:
    position = _FIRST_ATTRIBUTE
    if position >= len(raw):
        found.damaged()
    for _ in range(_MAX_ENTRIES):
        if position >= len(raw):
            return
        _level, name, _type, length = struct.unpack_from("<BHHI", raw, position)
        data = raw[position + 9 : position + 9 + length]
        position += 9 + length + 2
        if position > len(raw) or sum(data) & 0xFFFF != _short(raw, position - 2):
            found.damaged()
        yield _Attribute(name, data)
    found.damaged()


def _read_bodies(data: memoryview, code_page: int | None, found: Opened) -> None:
    internet: int | None = None
    html: Body | None = None
    for one in _properties(data, found):
        if one.name == _INTERNET_CODE_PAGE and len(one.data) >= 4:
            internet = _number(one.data, 0)
        elif one.name == _TEXT and one.kind in (_STRING, _UNICODE):
            found.bodies.append(Body("text/plain", _charset_of(one, code_page), _without_end(one)))
        elif one.name == _HTML and one.kind in (_STRING, _UNICODE, _BINARY):
            declared = None if one.kind == _BINARY else _charset_of(one, code_page)
            html = Body("text/html", declared, _without_end(one))
        elif one.name == _RTF and one.kind == _BINARY:
            found.bodies.append(Body(COMPRESSED_RTF, None, bytes(one.data)))
    if html:
        found.bodies.append(html._replace(charset=html.charset or charset(internet)))


def _read_of_file(file: File, name: int, data: memoryview, code_page: int | None, found: Opened) -> None:
    if name == _FILE_TITLE:
        file.name = file.name or _decoded(bytes(data), charset(code_page))
    elif name == _FILE_DATA:
        file.data = bytes(data)
    elif name == _FILE_PROPERTIES:
        held = {one.name: one for one in _properties(data, found)}
        texts = {key: _text(one, code_page) for key, one in held.items() if one.kind in (_STRING, _UNICODE)}
        titles = (texts.get(_NAME), file.name, texts.get(_SHORT_NAME), texts.get(_DISPLAY_NAME))
        file.name = next(filter(None, titles), "")
        file.content_type = texts.get(_MIME_TYPE, "").lower() or file.content_type
        file.content_id = bool(texts.get(_CONTENT_ID))
        if _DATA in held:
            _take_content(file, held[_DATA], found)


def _take_content(file: File, held: _Property, found: Opened) -> None:
    if held.kind == _BINARY:
        file.data = bytes(held.data)
    elif held.kind == _OBJECT:
        file.data = bytes(held.data[_OBJECT_HEAD:])
        if held.data[:_OBJECT_HEAD] == _MESSAGE:
            # As with a forwarded message/rfc822: its text is not the sender's own.
            file.content_type = "application/ms-tnef"
            found.defects.append("The winmail.dat holds another message, which was not opened.")


def _properties(data: memoryview, found: Opened) -> Iterator[_Property]:
    """The values one after the other (MS-OXTNEF 2.1.3.4); the counts in them are believed no further than the data."""
    position = 4
    for _ in range(min(_number(data, 0), _MAX_ENTRIES)):
        if position >= len(data):
            found.damaged()
            return
        kind, name = struct.unpack_from("<HH", data, position)
        position += 4
        if name >= _NAMED:
            position = _after_name(data, position)
        kind, many = kind & ~_MANY, bool(kind & _MANY)
        if kind in _FIXED:
            count = _counted(data, position) if many else 1
            position += 4 * many
            yield _Property(name, kind, data[position : position + _FIXED[kind]])
            position += count * _FIXED[kind]
        elif kind in _VARIABLE:
            values, position = _values(data, position, found)
            yield from (_Property(name, kind, one) for one in values)
        else:
            found.damaged()
            return


def _after_name(data: memoryview, position: int) -> int:
    """A property of a program's own carries a GUID and a number, or a GUID and a text with its length."""
    named_by_text = _number(data, position + 16)
    return position + 24 + (_padded(_number(data, position + 20)) if named_by_text else 0)


def _values(data: memoryview, position: int, found: Opened) -> tuple[list[memoryview], int]:
    values: list[memoryview] = []
    count, position = _counted(data, position), position + 4
    for _ in range(count):
        length, position = _number(data, position), position + 4
        if position + length > len(data):
            found.damaged()
        values.append(data[position : position + length])
        position += _padded(length)
        if position > len(data):
            break
    return values, position


def _counted(data: memoryview, position: int) -> int:
    """How many values follow; each takes four bytes or more, so a larger number is a lie."""
    return min(_number(data, position), (len(data) - position) // 4)


def _number(data: memoryview, position: int) -> int:
    return int(struct.unpack_from("<I", data, position)[0])


def _short(data: memoryview, position: int) -> int:
    return int(struct.unpack_from("<H", data, position)[0])


def _padded(length: int) -> int:
    return -(-length // 4) * 4


def _charset_of(one: _Property, code_page: int | None) -> str | None:
    return "utf-16-le" if one.kind == _UNICODE else charset(code_page)


def _without_end(one: _Property) -> bytes:
    data = bytes(one.data)
    if one.kind == _UNICODE:
        return data[:-2] if data.endswith(b"\0\0") else data
    return data.rstrip(b"\0")


def _text(one: _Property, code_page: int | None) -> str:
    return _decoded(_without_end(one), _charset_of(one, code_page))


def _decoded(data: bytes, label: str | None) -> str:
    return decoding.decode(data[:2_000], label).text.strip("\0")
