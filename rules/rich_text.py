"""A mail's text in RTF, as Outlook packs it in winmail.dat: unpacked, and read as text or as the HTML it was made from.

It never raises, its output is bounded, and what a reader would not see is kept apart as `html_text` does it.
"""

from __future__ import annotations

import re
import struct
import zlib
from enum import Enum, auto
from typing import NamedTuple

from rules import decoding

_MAX_RTF = 1_000_000
_DAMAGED = "The text in the winmail.dat is damaged; what could be read was kept."

# --- unpacking (MS-OXRTFCP) ---

_WINDOW = 4_096
_KNOWN_BEFORE = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans Serif"
    rb"SymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    + b"\r\n"
    + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


def unpacked(data: bytes, defects: list[str]) -> bytes:
    """The RTF in `data`, as far as a letter may be long: two bytes of it can stand for seventeen."""
    if len(data) < 16:
        defects.append(_DAMAGED)
        return b""
    packed_size, size, form, checksum = struct.unpack_from("<II4sI", data)
    packed = data[16 : packed_size + 4]
    if form == b"MELA":
        return packed[: min(size, _MAX_RTF)]
    if form != b"LZFu" or zlib.crc32(packed, 0xFFFFFFFF) ^ 0xFFFFFFFF != checksum:
        defects.append(_DAMAGED)
    if form != b"LZFu":
        return b""
    if size > _MAX_RTF:
        defects.append("The text in the winmail.dat is longer than any letter; the rest of it was left out.")
    return _inflated(packed, min(size, _MAX_RTF))


def _inflated(packed: bytes, size: int) -> bytes:
    # The window begins with words known before, preceded by blanks; a place in it is a distance back from the end.
    text = bytearray(b" " * (_WINDOW - len(_KNOWN_BEFORE)) + _KNOWN_BEFORE)
    start, end = len(_KNOWN_BEFORE), size + _WINDOW
    position = 0
    while position < len(packed) and len(text) < end:
        control, position = packed[position], position + 1
        if not control:
            text += packed[position : position + 8]
            position += 8
            continue
        for bit in range(8):
            if not control >> bit & 1:
                text += packed[position : position + 1]
                position += 1
                continue
            reference = int.from_bytes(packed[position : position + 2], "big")
            position += 2
            distance = (start + len(text) - (reference >> 4)) % _WINDOW
            if not distance or position > len(packed):
                return bytes(text[_WINDOW:end])
            length = (reference & 15) + 2
            copied_from = len(text) - distance
            piece = text[copied_from : copied_from + length]
            # A piece may reach into what it writes itself: "ab" copied for five letters is "ababa".
            text += (piece * (length // len(piece) + 1))[:length]
    return bytes(text[_WINDOW:end])


# --- reading (Rich Text Format 1.9.1; MS-OXRTFEX for the HTML inside) ---


class RichText(NamedTuple):
    text: str
    hidden: str
    is_html: bool


class _To(Enum):
    TEXT = auto()
    TAG = auto()
    FONTS = auto()
    COLOURS = auto()
    NOWHERE = auto()


_TOKEN = re.compile(
    r"\\(?:'(?P<hex>[0-9a-fA-F]{2})|(?P<word>[a-zA-Z]{1,32})(?P<number>-?[0-9]{1,9})? ?|(?P<symbol>[\s\S])?)"
    r"|(?P<brace>[{}])|[\r\n\0]+|(?P<plain>[^\\{}\r\n\0]+)"
)
_FROM_HTML = re.compile(r"\\fromhtml1?\b")
_CHARACTERS = (
    dict.fromkeys(("par", "line", "row", "nestrow", "\n", "\r"), "\n")
    | dict.fromkeys(("sect", "page"), "\n\n")
    | dict.fromkeys(("tab", "cell", "nestcell"), "\t")
    | dict.fromkeys(("emspace", "enspace", "qmspace"), " ")
    | {"emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”"}
    | {"~": "\xa0", "_": "-", "{": "{", "}": "}", "\\": "\\"}
)
_DESTINATIONS = (
    {"fonttbl": _To.FONTS, "colortbl": _To.COLOURS, "htmltag": _To.TAG}
    | dict.fromkeys(("stylesheet", "info", "pict", "nonshppict", "objdata", "template"), _To.NOWHERE)
    | dict.fromkeys(("header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf"), _To.NOWHERE)
    | dict.fromkeys(("footnote", "fldinst", "mhtmltag", "xe", "tc", "txe", "rxe"), _To.NOWHERE)
)
_FONT_CHARSETS = (
    {77: "mac-roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030", 136: "big5", 161: "cp1253"}
    | {162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874"}
    | {238: "cp1250", 255: "cp850"}
)
_TINY = 3  # half points
_WHITE = 240


class _Look(NamedTuple):
    """What holds until the brace closes."""

    to: _To = _To.TEXT
    font: int = -1
    colour: int = 0
    backed: bool = False
    size: int = 24
    veiled: bool = False
    only_rtf: bool = False
    after_unicode: int = 1


def read(rtf: bytes, defects: list[str]) -> RichText:
    if not rtf.lstrip().startswith(b"{\\rtf"):
        defects.append(_DAMAGED)
    rich = _Reader(rtf[:_MAX_RTF].decode("latin-1")).read()
    if rich.hidden:
        defects.append("The rich text hides text from the reader; that text was set aside.")
    return rich


class _Reader:
    def __init__(self, rtf: str) -> None:
        self.rtf = rtf
        self.is_html = _FROM_HTML.search(rtf, 0, 1_000) is not None
        self.look = _Look()
        self.outer: list[_Look] = []
        self.charset = "cp1252"
        self.default_font = 0
        self.fonts: dict[int, str] = {}
        self.white: set[int] = set()
        self.colour: list[int] = []
        self.colours = 0
        self.skip = 0
        self.may_be_skipped = False
        self.seen: list[str] = []
        self.unseen: list[str] = []
        self.waiting = bytearray()
        self.waiting_for: tuple[bool, str] = (False, "")

    def read(self) -> RichText:
        position = 0
        while match := _TOKEN.match(self.rtf, position):
            position = match.end() + self.token(match)
        self.flush()
        return RichText("".join(self.seen), "".join(self.unseen).strip(), self.is_html)

    def token(self, match: re.Match[str]) -> int:
        """Reads one token; says how many characters of raw data to pass over after it."""
        if match.lastgroup is None:
            return 0
        if match["plain"]:
            skipped = min(self.skip, len(match["plain"]))
            self.skip -= skipped
            self.write(match["plain"][skipped:].encode("latin-1"))
        elif match["hex"]:
            self.write(bytes.fromhex(match["hex"]))
        elif match["brace"]:
            self.brace(match["brace"])
        elif match["word"]:
            number = int(match["number"]) if match["number"] else None
            if match["word"] == "bin":
                return max(0, number or 0)
            self.word(match["word"], number)
        elif match["symbol"] == "*":
            self.may_be_skipped = True
            return 0
        elif match["symbol"] in _CHARACTERS:
            self.say(_CHARACTERS[match["symbol"]])
        self.may_be_skipped = False
        return 0

    def brace(self, brace: str) -> None:
        self.skip = 0
        if brace == "{":
            self.outer.append(self.look)
        elif self.outer:
            self.look = self.outer.pop()

    def word(self, word: str, number: int | None) -> None:
        if word in _DESTINATIONS:
            self.look = self.look._replace(to=_DESTINATIONS[word])
        elif self.may_be_skipped:
            self.look = self.look._replace(to=_To.NOWHERE)
        elif word in _CHARACTERS:
            self.say(_CHARACTERS[word])
        elif word == "u" and number is not None:
            self.write((number & 0xFFFF).to_bytes(2, "little"), "utf-16-le")
            self.skip = self.look.after_unicode
        elif word in ("ansicpg", "deff", "fcharset", "red", "green", "blue"):
            self.define(word, number or 0)
        else:
            self.change(word, number)

    def define(self, word: str, number: int) -> None:
        if word == "ansicpg":
            self.charset = decoding.charset("utf-8" if number == 65001 else str(number)) or self.charset
        elif word == "deff":
            self.default_font = number
        elif word == "fcharset" and self.look.to is _To.FONTS:
            self.fonts[self.look.font] = _FONT_CHARSETS.get(number, "")
        elif self.look.to is _To.COLOURS:
            self.colour.append(number)

    def change(self, word: str, number: int | None) -> None:
        on = number != 0
        match word:
            case "f":
                self.look = self.look._replace(font=number or 0)
            case "cf":
                self.look = self.look._replace(colour=number or 0)
            case "cb" | "highlight" | "chcbpat":
                self.look = self.look._replace(backed=on)
            case "fs":
                self.look = self.look._replace(size=24 if number is None else number)
            case "v" | "deleted":
                self.look = self.look._replace(veiled=on)
            case "htmlrtf":
                self.look = self.look._replace(only_rtf=on)
            case "uc":
                self.look = self.look._replace(after_unicode=min(max(number or 0, 0), 8))
            case "plain":
                self.look = self.look._replace(font=-1, colour=0, backed=False, size=24, veiled=False)

    def say(self, text: str) -> None:
        self.skip = 0
        self.write(text.encode("utf-8"), "utf-8")

    def write(self, data: bytes, charset: str = "") -> None:
        if not data:
            return
        if self.skip and len(data) == 1 and not charset:
            self.skip -= 1
        elif self.look.to is _To.COLOURS:
            self.end_colour(data)
        elif self.is_told():
            self.wait(data, charset or self.charset_of_font())

    def wait(self, data: bytes, charset: str) -> None:
        """Bytes of one charset wait for each other: a letter may be written half as \\'xx and half as it stands."""
        where = (self.is_unseen(), charset)
        if where != self.waiting_for:
            self.flush()
            self.waiting_for = where
        self.waiting += data

    def flush(self) -> None:
        unseen, charset = self.waiting_for
        if self.waiting:
            (self.unseen if unseen else self.seen).append(self.waiting.decode(charset, "replace"))
            self.waiting.clear()

    def end_colour(self, data: bytes) -> None:
        for _ in range(data.count(b";")):
            if self.colour and min(self.colour) >= _WHITE:
                self.white.add(self.colours)
            self.colours += 1
            self.colour = []

    def charset_of_font(self) -> str:
        if self.look.to is _To.TAG:
            return self.charset
        font = self.default_font if self.look.font < 0 else self.look.font
        return self.fonts.get(font) or self.charset

    def is_told(self) -> bool:
        """Of text that was HTML, the tags and what stands between them; what was added for readers of RTF is not."""
        if self.is_html and self.look.to is _To.TAG:
            return True
        return self.look.to is _To.TEXT and not (self.is_html and self.look.only_rtf)

    def is_unseen(self) -> bool:
        look = self.look
        white = look.colour in self.white and not look.backed
        return not self.is_html and (look.veiled or look.size <= _TINY or white)
