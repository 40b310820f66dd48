"""A text as the rules read it: no invisible characters, no look-alike letters, with the way back to the original.

What a reader sees must be what the rules see; nothing hidden in a mail may keep a reason, a number or an address away.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_MARKS = r"\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0"
_ORDINARY = "\\t\\n\\r -~À-ÖØ-öø-ÿ"
_UNUSUAL = re.compile(f"(?:[^{_ORDINARY}][{_MARKS}]*|[{_ORDINARY}][{_MARKS}]+)+")
_CLUSTER = re.compile(f"[\\s\\S][{_MARKS}]*")
_LEFT_OVER = re.compile(f"[{_MARKS}]+")
_LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏ]")
_OF_ANOTHER_ALPHABET = re.compile(r"[\u0370-\u03ff\u0400-\u04ff\u0530-\u058f]")
_OVERRIDDEN = re.compile("\u202e([^\u202a-\u202e\u2066-\u2069\n]{0,2000})")

# Format and control characters, fillers and variation selectors: drawn as nothing, or turning the text around.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

_DASHES = {ord(dash): "-" for dash in "\u02d7\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212"}
_QUOTES = {ord("\u2019"): "'", ord("\u02bc"): "'"}
_LOOK_ALIKES = str.maketrans(
    "аеорсухіјѕԁһӏԛԝвкмнтАВЕКМНОРСТУХІЈЅԌԚԜοαειρυνκτχΑΒΕΖΗΙΚΜΝΟΡΤΥΧօսոհցզ",
    "aeopcyxijsdhlqwbkmhtABEKMHOPCTYXIJSGQWoaeipuvktxABEZHIKMNOPTYXounhgq",
)
"""Cyrillic, Greek and Armenian letters that pass for Latin ones (the common part of Unicode's confusables)."""
_DRAWN_OTHERWISE = str.maketrans("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɑɡı", "abcdefghijklmnoprstuvwyzagi")
"""Letters of phonetic alphabets, and the i without a dot: Latin, but not those of the word they stand in."""


@dataclass(frozen=True, slots=True)
class PlainText:
    """`text` is what the rules search; `original` what was written. Offsets of the one lead back to the other."""

    text: str
    original: str
    pieces: tuple[tuple[int, int, int, int], ...]
    """(start, end) in `text` and (start, end) in `original`, in order, without gaps."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where `text[start:end]` stands in the original."""
        first, last = self._piece(start), self._piece(end - 1)
        return _forward(first, start), _forward(last, end, from_the_end=True)

    def written(self, start: int, end: int) -> str:
        """`text[start:end]` as it was written, without what nobody can see."""
        original_start, original_end = self.span(start, end)
        return _UNSEEN.sub("", self.original[original_start:original_end])

    def _piece(self, position: int) -> tuple[int, int, int, int]:
        return self.pieces[bisect_right(self.pieces, position, key=lambda piece: piece[0]) - 1]


def _forward(piece: tuple[int, int, int, int], position: int, *, from_the_end: bool = False) -> int:
    start, end, original_start, original_end = piece
    if end - start == original_end - original_start:
        return original_start + position - start
    return original_end if from_the_end else original_start


def as_drawn(text: str) -> str:
    """What a right-to-left override turns around is put in the order in which a reader sees it."""
    return _OVERRIDDEN.sub(lambda found: found[1][::-1], text) if "\u202e" in text else text


def lines_drawn_otherwise(text: str) -> str:
    """The lines that a right-to-left override makes a reader see in another order than they are written in."""
    return "\n".join(as_drawn(line) for line in text.split("\n") if "\u202e" in line) if "\u202e" in text else ""


def plain_text(text: str) -> PlainText:
    plain: list[str] = []
    pieces: list[tuple[int, int, int, int]] = []
    position = 0
    for characters, start, end in _pieces(text):
        if characters:
            pieces.append((position, position + len(characters), start, end))
            plain.append(characters)
            position += len(characters)
    return PlainText(_latin("".join(plain)), text, tuple(pieces) or ((0, 0, 0, 0),))


def _pieces(text: str) -> Iterator[tuple[str, int, int]]:
    """Stretches that stay as they are, and between them the clusters that change."""
    unchanged_from = 0
    for unusual in _UNUSUAL.finditer(text):
        if _plain(unusual[0]) == unusual[0]:
            continue
        yield text[unchanged_from : unusual.start()], unchanged_from, unusual.start()
        for cluster in _CLUSTER.finditer(text, unusual.start(), unusual.end()):
            yield _plain_cluster(cluster[0][:64]), cluster.start(), cluster.end()
        unchanged_from = unusual.end()
    yield text[unchanged_from:], unchanged_from, len(text)


@lru_cache(maxsize=8192)
def _plain_cluster(cluster: str) -> str:
    return _plain(cluster)


def _plain(characters: str) -> str:
    normal = unicodedata.normalize("NFKC", _UNSEEN.sub("", characters)).translate(_DASHES).translate(_QUOTES)
    if normal.isascii():
        return normal
    # A stroke or a frame over a letter makes no other letter of it; å, ä and ö are whole letters by now.
    normal = _LEFT_OVER.sub("", normal).translate(_DRAWN_OTHERWISE)
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in normal)


def _latin(text: str) -> str:
    """Look-alikes become Latin where the text is mainly Latin; a mail in Russian or Greek stays what it is."""
    others = len(_OF_ANOTHER_ALPHABET.findall(text))
    return text.translate(_LOOK_ALIKES) if 0 < others < len(_LATIN.findall(text)) else text
