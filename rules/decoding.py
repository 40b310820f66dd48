"""Bytes to text when a mail's own words about its encoding are missing, wrong or made up.

Every repair is told as a sentence; nothing here raises, and every step is linear in the length of what it is given.
"""

from __future__ import annotations

import binascii
import codecs
import quopri
import re
from collections.abc import Callable
from typing import NamedTuple


class Decoded(NamedTuple):
    text: str
    defect: str | None = None


class Unpacked(NamedTuple):
    data: bytes
    defect: str | None = None


# Labels seen in real mail that Python does not know, or knows as a smaller set than mailers mean by them:
# Outlook says iso-8859-1 and sends Windows' quotation marks, and gb2312 when it sends GB 18030.
_MEANT = {
    "ansi": "cp1252",
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso-8859-8-i": "iso8859-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "utf8mb4": "utf-8",
    "utf-8mb4": "utf-8",
    "unicode": "utf-16",
}
# Text codecs of Python that are no charsets: a mail that names one gets no say in how its bytes are run through it.
_NOT_CHARSETS = frozenset({"idna", "punycode", "unicode-escape", "unicode_escape", "raw-unicode-escape", "undefined"})
_NOT_ASCII_BASED = frozenset({"utf-7", "hz", "cp037", "cp500", "cp1140"})
_MANY_BYTES = ("utf", "gb", "big5", "cp932", "cp949", "cp950", "euc", "iso2022", "shift", "johab", "hz")


def charset(label: str) -> str | None:
    """The codec a label stands for, or None when no charset goes by that name."""
    wanted = label.strip().strip("\"'").split(";")[0].strip().lower()[:40]
    wanted = _MEANT.get(wanted, f"cp{wanted}" if wanted.isdigit() else wanted)
    try:
        codec = codecs.lookup(wanted)
    except (LookupError, ValueError):
        return None
    if codec.name in _NOT_CHARSETS or not getattr(codec, "_is_text_encoding", True):
        return None
    return _MEANT.get(codec.name, codec.name)


def decode(data: bytes, declared: str | None) -> Decoded:
    """Text of `data`: as declared where that holds, else as the bytes themselves suggest."""
    codec = charset(declared) if declared else None
    if declared and codec is None:
        return Decoded(_guess(data), "The declared charset is unknown; the text was read as the bytes suggest.")
    if codec is None:
        guessed = None if data.isascii() else "No charset is declared; the text was read as the bytes suggest."
        return Decoded(_guess(data), guessed)
    if _declared_wrongly(data, codec):
        return Decoded(_guess(data), "The declared charset is wrong; the text was read as the bytes suggest.")
    try:
        return Decoded(data.decode(codec))
    except (UnicodeError, ValueError):
        return _decode_damaged(data, codec)


def _declared_wrongly(data: bytes, codec: str) -> bool:
    if codec.startswith(("utf-16", "utf-32")):
        return len(data) > 1 and b"\0" not in data and data[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if data.isascii() or codec in _NOT_ASCII_BASED or codec.startswith(_MANY_BYTES):
        return False
    # Letters in a one-byte charset almost never form valid UTF-8 by chance.
    return _is_utf8(data)


def _decode_damaged(data: bytes, codec: str) -> Decoded:
    if codec in ("utf-8", "utf-8-sig"):
        return Decoded(
            _guess(data), "Some bytes do not fit the declared charset; they were read as well as they can be."
        )
    try:
        text = data.decode(codec, "replace")
    except (UnicodeError, ValueError):
        text = _guess(data)
    return Decoded(text, "Some bytes do not fit the declared charset and were replaced.")


def _guess(data: bytes) -> str:
    """UTF-8 where most of it is, else Windows' Western letters: what Nordic mail without a label turns out to be."""
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return data.decode("utf-16", "replace")
    text = data.decode("utf-8-sig", "replace")
    damaged = text.count("\ufffd")
    if not damaged:
        return text
    sound = sum(1 for character in text if character > "\x7f") - damaged
    return text if sound > damaged else data.decode("cp1252", "replace")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


_SPACE = b" \t\r\n"
_BASE64_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_OTHER_THAN_BASE64 = bytes(set(range(256)) - set(_BASE64_ALPHABET))
_BROKEN_QUOTED = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]{0,80}(?:\r|\n|\Z))")


def from_base64(data: bytes) -> Unpacked:
    packed = data.translate(None, _SPACE)
    letters = packed.translate(None, _OTHER_THAN_BASE64)
    strange = len(packed) - len(letters)
    if strange * 20 > len(packed):
        return Unpacked(data, "The text is declared as base64 but is not; it was read as it stands.")
    # What follows the padding was added later, often by a mailing list, and is not part of the encoded text.
    filled = letters.partition(b"=")[0]
    # A single letter left over holds six bits and can never be a whole byte.
    whole = filled[: len(filled) - 1] if len(filled) % 4 == 1 else filled
    padded = whole + b"=" * (-len(whole) % 4)
    broken = bool(strange) or padded != letters
    return Unpacked(
        binascii.a2b_base64(padded), "The base64 encoding is damaged; what could be read was kept." if broken else None
    )


def from_quoted_printable(data: bytes) -> Unpacked:
    broken = _BROKEN_QUOTED.search(data) is not None
    defect = "The quoted-printable encoding is damaged; what could be read was kept." if broken else None
    return Unpacked(quopri.decodestring(data), defect)


def _from_uuencode(data: bytes) -> Unpacked:
    lines = data.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(b"begin ")]
    if not starts:
        return Unpacked(data, "The text is declared as uuencoded but is not; it was read as it stands.")
    unpacked = bytearray()
    for line in lines[starts[0] + 1 :]:
        if line.strip() in (b"end", b"`", b""):
            break
        try:
            unpacked += binascii.a2b_uu(line)
        except binascii.Error:
            return Unpacked(bytes(unpacked), "The uuencoding is damaged; what could be read was kept.")
    return Unpacked(bytes(unpacked))


_UNPACKERS: dict[str, Callable[[bytes], Unpacked]] = {
    "base64": from_base64,
    "quoted-printable": from_quoted_printable,
    "uuencode": _from_uuencode,
    "x-uuencode": _from_uuencode,
    "x-uue": _from_uuencode,
}


def unpack(data: bytes, transfer_encoding: str) -> Unpacked:
    """`data` freed of its Content-Transfer-Encoding."""
    name = transfer_encoding.split(";", maxsplit=1)[0].strip().strip("\"'").lower()
    if name in ("", "7bit", "8bit", "binary"):
        return Unpacked(data)
    unpacker = _UNPACKERS.get(name)
    if unpacker is None:
        return Unpacked(data, "The transfer encoding is unknown; the text was read as it stands.")
    return unpacker(data)


_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
# Direction overrides and isolates, zero-width spaces and joiners, soft hyphens, invisible operators, the tag block
# and the supplementary variation selectors: they carry no word, but they hide or turn words around. The zero-width
# joiner stays between emoji, which it binds into one.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0"
    "\U000e0000-\U000e0fff]|\u200d(?![\u2600-\u27ff\U0001f000-\U0001faff])"
)
_TAGS = re.compile("[\U000e0020-\U000e007e]+")
_LINE_ENDS = re.compile("\r\n|[\r\x85\u2028\u2029]")


def clean(text: str, defects: list[str]) -> str:
    """`text` without characters that no reader sees and that databases, terminals and people stumble on."""
    text = _LINE_ENDS.sub("\n", text)
    text, controls = _CONTROLS.subn("", text)
    text, invisible = _INVISIBLE.subn("", text)
    if controls:
        defects.append("Control characters were removed from the text.")
    if invisible:
        defects.append("Invisible or direction-changing characters were removed from the text.")
    return text.replace("\xa0", " ")


def smuggled(text: str) -> str:
    """ASCII written in Unicode's invisible tag characters: unseen by a reader, read by a language model."""
    runs = _TAGS.findall(text)
    return "\n".join("".join(chr(ord(character) - 0xE0000) for character in run) for run in runs)
