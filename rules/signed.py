"""The mail inside an S/MIME signature of the opaque kind (RFC 8551, smime-type=signed-data), so that signed mail can be
read. It checks no signature and proves nothing about the sender.
"""

from __future__ import annotations

from typing import NamedTuple

_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")  # OID 1.2.840.113549.1.7.2
_DATA = bytes.fromhex("06092a864886f70d010701")  # OID 1.2.840.113549.1.7.1
_OCTETS, _OCTETS_IN_PIECES, _EXPLICIT_0 = 0x04, 0x24, 0xA0
_MAX_PIECES = 100_000
_MAX_DEPTH = 3


class _Element(NamedTuple):
    tag: int
    start: int
    end: int | None
    """None: the element is ended by two zero bytes (BER's indefinite length, as Outlook and OpenSSL stream it)."""


def content(wrapped: bytes) -> bytes | None:
    """The bytes that were signed, or None when this is not signed data with its content inside."""
    if _SIGNED_DATA not in wrapped[:64]:
        return None
    found = wrapped.find(_DATA, 0, 4_096)
    if found < 0:
        return None
    explicit = _element(wrapped, found + len(_DATA))
    if explicit is None or explicit.tag != _EXPLICIT_0:
        return None
    octets = _element(wrapped, explicit.start)
    return _octets(wrapped, octets, _MAX_DEPTH) if octets else None


def _octets(data: bytes, element: _Element, depth: int) -> bytes | None:
    if element.tag == _OCTETS and element.end is not None:
        return data[element.start : element.end]
    if element.tag != _OCTETS_IN_PIECES or not depth:
        return None
    pieces: list[bytes] = []
    position, end = element.start, len(data) if element.end is None else element.end
    while position < end and len(pieces) < _MAX_PIECES:
        piece = _element(data, position)
        if piece is None or piece.end is None or piece.tag != _OCTETS:
            break
        pieces.append(data[piece.start : piece.end])
        position = piece.end
    return b"".join(pieces)


def _element(data: bytes, position: int) -> _Element | None:
    if position + 2 > len(data):
        return None
    tag, length, start = data[position], data[position + 1], position + 2
    if length == 0x80:
        return _Element(tag, start, None)
    if length > 0x80:
        count = length - 0x80
        if count > 4:
            return None
        length, start = int.from_bytes(data[start : start + count], "big"), start + count
    return _Element(tag, start, min(len(data), start + length))
