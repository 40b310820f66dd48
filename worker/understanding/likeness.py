"""How alike labelled mails are. Mail that nearly repeats another flatters every figure when one is learnt from and the
other is asked about.

Likeness is Jaccard's: the share of the pieces of five characters that two mails have in common. It is counted exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from worker.understanding.corpus import Example, part_of

LENGTH = 5
BLOCK = 500
ALIKE, SOMEWHAT_ALIKE = 0.6, 0.45


@dataclass(frozen=True, slots=True)
class Pair:
    first: str
    second: str
    likeness: float
    across: bool
    """They are in different parts of the split."""


def pairs(examples: Sequence[Example], least: float = SOMEWHAT_ALIKE) -> list[Pair]:
    """Every pair of mails in one language that is at least so alike, the likest first."""
    found: list[Pair] = []
    for language in sorted({one.language for one in examples}):
        mails = [one for one in examples if one.language == language]
        found += (_pair(mails[a], mails[b], likeness) for a, b, likeness in _alike(mails, least))
    return sorted(found, key=lambda pair: (-pair.likeness, pair.first, pair.second))


def _pair(first: Example, second: Example, likeness: float) -> Pair:
    return Pair(first.id, second.id, likeness, part_of(first.group) != part_of(second.group))


def counts(found: Sequence[Pair]) -> list[tuple[str, str, str]]:
    """Rows for a table: the limit, pairs on one side of the split, pairs across it."""
    rows = []
    for limit in (ALIKE, SOMEWHAT_ALIKE):
        alike = [pair for pair in found if pair.likeness >= limit]
        across = sum(pair.across for pair in alike)
        rows.append((f"at least {limit}", str(len(alike) - across), str(across)))
    return rows


def pieces(text: str) -> frozenset[str]:
    flat = " ".join(text.lower().split())
    return frozenset(flat[start : start + LENGTH] for start in range(max(1, len(flat) - LENGTH + 1)))


def _alike(mails: Sequence[Example], least: float) -> Iterator[tuple[int, int, float]]:
    """All mails against all, a block of rows at a time: one sparse product counts what each pair has in common."""
    import numpy as np

    texts = [pieces(one.body) for one in mails]
    matrix = _matrix(texts)
    sizes = np.array([len(text) for text in texts])
    for first in range(0, len(texts), BLOCK):
        common = (matrix[first : first + BLOCK] @ matrix[first:].T).tocoo()
        rows, columns = common.row + first, common.col + first
        likeness = common.data / (sizes[rows] + sizes[columns] - common.data)
        wanted = (rows < columns) & (likeness >= least)
        yield from zip(rows[wanted].tolist(), columns[wanted].tolist(), likeness[wanted].tolist(), strict=True)


def _matrix(texts: Sequence[frozenset[str]]) -> Any:
    import numpy as np
    from scipy.sparse import csr_matrix

    places = {piece: place for place, piece in enumerate(sorted(set().union(*texts)))}
    columns = np.array([places[piece] for text in texts for piece in sorted(text)], np.int32)
    starts = np.cumsum([0, *(len(text) for text in texts)])
    return csr_matrix((np.ones(len(columns), np.float32), columns, starts), shape=(len(texts), len(places)))
