"""Writes winmail.dat (MS-OXTNEF) and compressed RTF (MS-OXRTFCP) as Outlook does, for the tests that read them."""

from __future__ import annotations

import base64
import struct
import zlib

HEADER = b"From: anna@post.example\r\nMessage-ID: <1@post.example>\r\nDate: Wed, 4 Nov 2026 10:12:00 +0100\r\n"
MESSAGE_INTERFACE = bytes.fromhex("0703020000000000c000000000000046")

STRING, UNICODE, BINARY, OBJECT, INTEGER, BOOLEAN = 0x001E, 0x001F, 0x0102, 0x000D, 0x0003, 0x000B
BODY, HTML, RTF, CODE_PAGE = 0x1000, 0x1013, 0x1009, 0x3FDE
DATA, LONG_NAME, MIME_TYPE, CONTENT_ID = 0x3701, 0x3707, 0x370E, 0x3712


def attribute(level: int, name: int, data: bytes) -> bytes:
    return struct.pack("<BHHI", level, name, 6, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def value(name: int, kind: int, data: bytes | str | int) -> bytes:
    """One property. Text is written in the charset of its kind, with the zero that ends it."""
    head = struct.pack("<HH", kind, name)
    if isinstance(data, int):
        return head + struct.pack("<I", data)
    if isinstance(data, str):
        data = (data + "\0").encode("utf-16-le" if kind == UNICODE else "cp1252")
    return head + struct.pack("<II", 1, len(data)) + data + bytes(-len(data) % 4)


def named_value(name: str, data: int) -> bytes:
    label = (name + "\0").encode("utf-16-le")
    head = struct.pack("<HH16sII", INTEGER, 0x8001, b"guid" * 4, 1, len(label))
    return head + label + bytes(-len(label) % 4) + struct.pack("<I", data)


def values(*properties: bytes) -> bytes:
    return struct.pack("<I", len(properties)) + b"".join(properties)


def file(name: str, data: bytes, *properties: bytes) -> bytes:
    """A file as its attributes: rendering, title, content, properties."""
    title = (name + "\0").encode("cp1252", "replace")
    held = values(value(LONG_NAME, UNICODE, name), *properties)
    parts = ((0x9002, b"\1\0" + bytes(12)), (0x8010, title), (0x800F, data), (0x9005, held))
    return b"".join(attribute(2, number, part) for number, part in parts)


def embedded(name: str, inner: bytes) -> bytes:
    held = values(value(0x3001, UNICODE, name), value(DATA, OBJECT, MESSAGE_INTERFACE + inner))
    return attribute(2, 0x9002, b"\1\0" + bytes(12)) + attribute(2, 0x9005, held)


def tnef(*attributes: bytes, code_page: int = 1252) -> bytes:
    version = attribute(1, 0x9006, struct.pack("<I", 0x10000))
    return struct.pack("<IH", 0x223E9F78, 1) + version + code_page_of(code_page) + b"".join(attributes)


def code_page_of(number: int) -> bytes:
    return attribute(1, 0x9007, struct.pack("<II", number, 0))


def body(*properties: bytes) -> bytes:
    return attribute(1, 0x9003, values(*properties))


def plain(text: str, charset: str = "cp1252") -> bytes:
    return attribute(1, 0x800C, (text + "\0").encode(charset))


def packed_rtf(rtf: bytes) -> bytes:
    """Compressed as plainly as the format allows: letters only, then the reference that ends the text."""
    pieces = [rtf[start : start + 8] for start in range(0, len(rtf), 8)]
    tail = pieces.pop() if pieces and len(pieces[-1]) < 8 else b""
    end = ((207 + len(rtf)) % 4096 << 4).to_bytes(2, "big")
    packed = b"".join(b"\0" + piece for piece in pieces) + bytes([1 << len(tail)]) + tail + end
    return with_rtf_head(packed, len(rtf))


def with_rtf_head(packed: bytes, size: int) -> bytes:
    checksum = zlib.crc32(packed, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return struct.pack("<II4sI", len(packed) + 12, size, b"LZFu", checksum) + packed


def rtf_bomb(packed_size: int) -> bytes:
    """Every two bytes stand for seventeen: `{\\rtf1 ` and then nothing but references."""
    start = b"\0{\\rtf1 a"
    references = (b"\xff" + b"\x00\xdf" * 8) * (packed_size // 17)
    return with_rtf_head(start + references, 0x7FFFFFFF)


def mail(
    winmail: bytes, *, text: str = "", name: str = "winmail.dat", content_type: str = "application/ms-tnef"
) -> bytes:
    """A mail that carries it, as base64, below a plain text."""
    words = f"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n".encode() if text else b""
    head = f'--b\r\nContent-Type: {content_type}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'.encode()
    top = HEADER + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    return top + words + head + base64.encodebytes(winmail).replace(b"\n", b"\r\n") + b"--b--\r\n"
