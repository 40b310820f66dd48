"""A mail's text as classifiers may see it, and as the linear one counts it: words, pairs of words, pieces of words.

Nothing here learns. National identity numbers are hidden before anything is read or counted, and what a reader cannot
see is left out, so a mail can neither leak through a model nor hide from it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from rules.national_ids import find
from rules.plain_text import plain_text

WORD_BUCKETS = 1 << 15
PIECE_BUCKETS = 1 << 16
BUCKETS = WORD_BUCKETS + PIECE_BUCKETS
PIECE_LENGTHS = (2, 3, 4, 5)

HIDDEN_ID = "idnumber"
"""Stands for a national identity number."""

_FIRST, _LAST = 8_000, 4_000
"""Characters that are read from both ends of a long mail. The rules of the pack read it all."""
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")
_LONGEST_WORD = 40

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Rows:
    """Sparse rows, one a mail: buckets and values between `starts[i]` and `starts[i + 1]`."""

    buckets: Integers
    values: Floats
    starts: Integers

    def __len__(self) -> int:
        return len(self.starts) - 1


def readable(subject: str, text: str) -> str:
    """What a model may see of a mail."""
    whole = f"{subject}\n{text}"
    if len(whole) > _FIRST + _LAST:
        whole = f"{whole[:_FIRST]}\n{whole[-_LAST:]}"
    plain = plain_text(whole).text
    position, pieces = 0, []
    for one in find(plain):
        pieces += [plain[position : one.start], f" {HIDDEN_ID} "]
        position = one.end
    return "".join([*pieces, plain[position:]]).strip()


def folded(readable_text: str) -> str:
    """Digits lose their value and letters their case: the linear model has seen too little to tell them apart."""
    return _DIGIT.sub("0", readable_text.lower())


def counted(texts: Iterable[str]) -> Rows:
    """How often each bucket occurs (1 + the logarithm), for texts from `readable`."""
    buckets: list[int] = []
    values: list[float] = []
    starts = [0]
    for text in texts:
        counts = Counter(_buckets(folded(text)))
        buckets += counts.keys()
        values += (1 + math.log(count) for count in counts.values())
        starts.append(len(buckets))
    return Rows(np.array(buckets, np.int32), np.array(values, np.float32), np.array(starts, np.int32))


def _buckets(text: str) -> Iterator[int]:
    words = [word[:_LONGEST_WORD] for word in _WORD.findall(text)]
    for word in words:
        yield crc32(word.encode()) % WORD_BUCKETS
    for first, second in pairwise(words):
        yield crc32(f"{first} {second}".encode()) % WORD_BUCKETS
    for piece in _pieces(text):
        yield WORD_BUCKETS + crc32(piece.encode("utf-8", "replace")) % PIECE_BUCKETS


def _pieces(text: str) -> Iterator[str]:
    for word in text.split():
        padded = f" {word[:_LONGEST_WORD]} "
        for length in PIECE_LENGTHS:
            for start in range(max(1, len(padded) - length + 1)):
                yield padded[start : start + length]


def weighted(rows: Rows, rarity: Floats) -> Rows:
    """Rare buckets count more; words and pieces of words each have length one, so a long mail weighs no more."""
    values = rows.values * rarity[rows.buckets]
    row_of = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
    is_piece = rows.buckets >= WORD_BUCKETS
    group = 2 * row_of + is_piece
    lengths = np.sqrt(np.bincount(group, values**2, minlength=2 * len(rows)))
    scale = 1 / np.maximum(lengths, 1e-9)
    return Rows(rows.buckets, (values * scale[group]).astype(np.float32), rows.starts)


def rarity_of(rows: Rows) -> Floats:
    """The smoothed inverse document frequency of every bucket."""
    seen_in = np.bincount(rows.buckets, minlength=BUCKETS)
    return (np.log((1 + len(rows)) / (1 + seen_in)) + 1).astype(np.float32)


def as_matrix(rows: Rows) -> Any:
    """For fitting and multiplying: a SciPy matrix with the same content."""
    from scipy.sparse import csr_matrix

    return csr_matrix((rows.values, rows.buckets, rows.starts), shape=(len(rows), BUCKETS))


def picked(rows: Rows, numbers: Sequence[int]) -> Rows:
    """Only these rows, in this order."""
    pieces = [slice(rows.starts[n], rows.starts[n + 1]) for n in numbers]
    lengths = [piece.stop - piece.start for piece in pieces]
    return Rows(
        np.concatenate([rows.buckets[piece] for piece in pieces]),
        np.concatenate([rows.values[piece] for piece in pieces]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
    )
