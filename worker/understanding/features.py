"""A mail's text as classifiers may see it, and as the linear one counts it: words, pairs of words, pieces of words.

Nothing here learns. National identity numbers are hidden before anything is read or counted, and what a reader cannot
see is left out, so a mail can neither leak through a model nor hide from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from rules.national_ids import find
from rules.plain_text import plain_text

WORD_BUCKETS = 1 << 18
PIECE_BUCKETS = 1 << 17
BUCKETS = WORD_BUCKETS + PIECE_BUCKETS
PIECE_LENGTHS = (2, 3, 4, 5)

HIDDEN_ID = "idnumber"
"""Stands for a national identity number."""

_FIRST, _LAST = 8_000, 4_000
"""Characters that are read from both ends of a long mail. The rules of the pack read it all."""
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")
_LONGEST_WORD = 40
_SPACE = np.uint64(ord(" "))
_FACTOR, _MIX = np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
_TOP = np.uint64(47)
"""The upper 17 bits of the product are a bucket (Fibonacci hashing): they depend on every letter."""

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
    rows = [np.unique(_buckets(folded(text)), return_counts=True) for text in texts]
    starts = np.cumsum([0, *(len(row) for row, _ in rows)])
    values = 1 + np.log(_joined(counts for _, counts in rows))
    return Rows(_joined(row for row, _ in rows).astype(np.int32), values.astype(np.float32), starts.astype(np.int32))


def _joined(numbers: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *numbers])


def _buckets(text: str) -> NDArray[np.int64]:
    words = [word[:_LONGEST_WORD] for word in _WORD.findall(text)]
    pairs = (f"{first} {second}" for first, second in pairwise(words))
    of_words = [crc32(phrase.encode()) % WORD_BUCKETS for phrase in (*words, *pairs)]
    return np.concatenate([np.array(of_words, np.int64), *_pieces(text)])


def _pieces(text: str) -> Iterator[NDArray[np.int64]]:
    """A bucket for every piece of every word, all of one length at a time. A piece holds a space where its word begins
    or ends; one with a space inside would be of two words."""
    letters = _letters(" ".join(["", *(word[:_LONGEST_WORD] for word in text.split()), ""]))
    is_space = letters == _SPACE
    for length in PIECE_LENGTHS:
        count = max(0, len(letters) - length + 1)
        number = np.full(count, length, np.uint64)
        is_one_word = np.ones(count, bool)
        for place in range(length):
            number = number * _FACTOR + letters[place : place + count]
            if 0 < place < length - 1:
                is_one_word &= ~is_space[place : place + count]
        yield WORD_BUCKETS + ((number[is_one_word] * _MIX) >> _TOP).astype(np.int64)


def _letters(text: str) -> NDArray[np.uint64]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)


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
