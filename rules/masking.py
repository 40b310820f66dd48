"""Hides national identity numbers, wherever text leaves the sealed original."""

from __future__ import annotations

from collections.abc import Iterable

from rules.values import NationalId


def masked(text: str, ids: Iterable[NationalId]) -> str:
    """`text` with each number of `ids` (offsets in this text) replaced by its mask."""
    pieces: list[str] = []
    position = 0
    for found in sorted(ids, key=lambda one: one.start):
        if found.start < position:
            continue
        pieces += [text[position : found.start], found.masked]
        position = found.end
    return "".join([*pieces, text[position:]])
