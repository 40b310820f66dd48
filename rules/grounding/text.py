"""A draft as grounding reads it: cleaned, with the way back to the original offsets, and cut into sentences.

Invisible characters are dropped, so that nothing can hide from the rules what a reader would see.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from rules.grounding.words import (
    ABBREVIATIONS,
    ASSERTING,
    CLOSING,
    COURTESY,
    FUNCTION_WORDS,
    GREETED,
    GREETING_WORDS,
    POLARITY,
)

PARAGRAPH = "\f"
_INVISIBLE_CHARACTERS = r"\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\x00"
_INVISIBLE = re.compile(f"[{_INVISIBLE_CHARACTERS}]")
_UNSEEN = re.compile(rf"[\s{_INVISIBLE_CHARACTERS}]+")
_CLUSTER = re.compile(r"[\s\S][\u0300-\u036f]*")


@dataclass(frozen=True, slots=True)
class Reading:
    """`flat` has one character of white space between words: a space, a newline, or a form feed for a blank line."""

    flat: str
    starts: list[int]
    ends: list[int]

    def original(self, start: int, end: int) -> tuple[int, int]:
        return self.starts[start], self.ends[end - 1]


def read(text: str) -> Reading:
    reading = _Reader(text)
    position = 0
    for space in _UNSEEN.finditer(text):
        reading.take_visible(position, space.start())
        reading.take_space(space)
        position = space.end()
    reading.take_visible(position, len(text))
    return Reading("".join(reading.flat), reading.starts, reading.ends)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.composed = unicodedata.is_normalized("NFC", text)
        self.flat: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    def take_visible(self, start: int, end: int) -> None:
        if self.composed:
            self.flat.append(self.text[start:end])
            self.starts += range(start, end)
            self.ends += range(start + 1, end + 1)
            return
        for cluster in _CLUSTER.finditer(self.text, start, end):
            self.take(unicodedata.normalize("NFC", cluster[0]), cluster)

    def take_space(self, space: re.Match[str]) -> None:
        blank = _INVISIBLE.sub("", space[0])
        if blank:
            self.take(_blank(blank), space)

    def take(self, characters: str, place: re.Match[str]) -> None:
        """All of `characters` stand for one stretch of the original."""
        self.flat.append(characters)
        self.starts += [place.start()] * len(characters)
        self.ends += [place.end()] * len(characters)


def one_line(flat: str) -> str:
    return flat.replace("\n", " ").replace(PARAGRAPH, " ")


def flatten(text: str) -> str:
    """The flat form alone, on one line: for phrases and passages, which are compared and not pointed into."""
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", text)).split())


def _blank(blank: str) -> str:
    lines = len(blank.replace("\r\n", "\n").splitlines()) if "\n" in blank or "\r" in blank else 0
    ends_line = blank[-1] in "\r\n"
    breaks = lines if ends_line else lines - 1
    return " " if breaks <= 0 else "\n" if breaks == 1 else PARAGRAPH


class Shape(Enum):
    STATEMENT = auto()
    QUESTION = auto()
    GREETING = auto()
    CLOSING = auto()
    SIGNATURE = auto()
    HEADING = auto()


@dataclass(frozen=True, slots=True)
class Sentence:
    start: int
    end: int
    paragraph: int
    shape: Shape


_END = re.compile(r"[.!?…:]+[\"”’»')\]]*(?=\s)|[\n\f]")
_BULLET = re.compile(r"(?:[-*•–·]|\d{1,2}[.)])\s+")
_LAST_WORD = re.compile(r"[^\s(\"”«»]{1,12}\Z")


def sentences(flat: str, language: str, inside_value: Callable[[int], bool]) -> list[Sentence]:
    """Every line and sentence, bullets and white space cut off. `inside_value` forbids a cut within a value."""
    found: list[Sentence] = []
    start = paragraph = 0
    closed = False
    for end, following in _cuts(flat, language, inside_value):
        sentence = _trimmed(flat, start, end, inside_value)
        if sentence:
            shape = shape_of(flat[sentence[0] : sentence[1]], language, alone=_alone(flat, *sentence), closed=closed)
            closed = closed or shape is Shape.CLOSING
            found.append(Sentence(*sentence, paragraph, shape))
        if PARAGRAPH in flat[max(start, end - 1) : following]:
            paragraph += 1
        start = following
    return found


def _cuts(flat: str, language: str, inside_value: Callable[[int], bool]) -> Iterator[tuple[int, int]]:
    """Where a sentence ends and where the next begins."""
    line_start = 0
    for match in _END.finditer(flat):
        at = match.end()
        mark = match[0]
        if mark in "\n\f":
            previous, line_start = flat[line_start : match.start()], at
            if mark == PARAGRAPH or _ends_line(previous, flat[at : at + 8], language):
                yield match.start(), at
        elif not inside_value(at) and _ends_sentence(flat, match.start(), at, mark):
            yield at, at
    yield len(flat), len(flat)


def _ends_line(line: str, following: str, language: str) -> bool:
    """A line that was wrapped goes on in the next one; a short line or one before a bullet does not."""
    if _BULLET.match(following) or _is_courteous(line):
        return True
    last = line.rpartition(" ")[2].lower()
    if following[:1].islower() or last in FUNCTION_WORDS[language] or last in POLARITY[language]:
        return False
    return len(line) < (30 if following[:1].isdigit() else 50)


def _ends_sentence(flat: str, start: int, end: int, mark: str) -> bool:
    following = flat[end + 1 : end + 2]
    if flat[end] == PARAGRAPH or not following:
        return True
    if mark[0] == ":":
        return flat[end] == "\n"
    if following.islower() or (following in ",;)"):
        return False
    if mark[0] != ".":
        return True
    word = _LAST_WORD.search(flat, max(0, start - 12), start)
    last = word[0] if word else ""
    initial = len(last) == 1 and last.isupper()
    bullet = last.isdigit() and (start == len(last) or flat[start - len(last) - 1] in "\n\f")
    return not initial and not bullet and last.lower() not in ABBREVIATIONS


def _trimmed(flat: str, start: int, end: int, inside_value: Callable[[int], bool]) -> tuple[int, int] | None:
    while start < end and flat[start].isspace():
        start += 1
    bullet = _BULLET.match(flat, start, end)
    if bullet and not inside_value(bullet.end() - 1):
        start = bullet.end()
    while end > start and flat[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else None


def _alone(flat: str, start: int, end: int) -> bool:
    """The sentence fills its line or lines."""
    before = flat[max(0, start - 4) : start]
    return (start == 0 or not before.strip() or any(c in before for c in "\n\f")) and (
        end == len(flat) or flat[end : end + 1] in "\n\f"
    )


_CLOSING = re.compile(rf"(?:{CLOSING})\W*", re.IGNORECASE)
_COURTESY = re.compile(rf"(?:{COURTESY})\s*[.!]?", re.IGNORECASE)


def shape_of(sentence: str, language: str, *, alone: bool, closed: bool) -> Shape:
    """What sort of line this is. When in doubt it is a statement, which has to be supported."""
    short = len(sentence) <= 120
    if short and _CLOSING.fullmatch(sentence):
        return Shape.CLOSING
    if short and (_COURTESY.fullmatch(sentence) or _greets(sentence)):
        return Shape.GREETING
    if sentence.rstrip("\"”’»')]").endswith("?"):
        return Shape.QUESTION
    if short and alone and _bare(sentence, language):
        return Shape.SIGNATURE if closed else Shape.HEADING
    return Shape.STATEMENT


def _is_courteous(line: str) -> bool:
    return len(line) <= 120 and bool(_CLOSING.fullmatch(line) or _greets(line))


def _greets(line: str) -> bool:
    """A greeting word, then at most four names or words such as `alla`; nothing that could say more."""
    first, *rest = re.findall(r"[\w'-]+", line[:120]) or [""]
    addressed = all(word.lower() in GREETED or (word[:1].isupper() and word.isalpha()) for word in rest)
    marks = set(re.sub(r"[\w\s'-]", "", line))
    if first.lower() in ("god", "hyvää") and rest and rest[0].lower() in ("morgon", "dag", "eftermiddag", "kväll"):
        return len(rest) == 1
    return first.lower() in GREETING_WORDS and len(rest) <= 4 and addressed and marks <= set(",!.") and len(line) < 80


def _bare(line: str, language: str) -> bool:
    """A heading or a line of a signature: short, unpunctuated, without a verb or pronoun that makes it say more."""
    if line[-1] in ".!;…" or len(line.split()) > 8:
        return False
    return ASSERTING[language].isdisjoint(re.findall(r"[^\W\d_]+", line.lower()))
