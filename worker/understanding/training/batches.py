"""Labelled mails in numbers: what an encoder is to say of them, and batches of about one length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rules.pack import REASONS
from worker.understanding.corpus import Example
from worker.understanding.encoder import language_number
from worker.understanding.features import readable

LEARNED_REASONS = tuple(reason for reason in REASONS if reason != "national_id")
"""A national id is found, not guessed."""

ENOUGH = 5_000
"""Mails for means and first weights: more cost minutes and say little more."""

_POOL = 800
"""Mails that are drawn together before they are sorted by length."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    rows: Integers
    """Which mails, by number."""
    ids: Integers
    mask: Integers


def drawn(examples: Sequence[Example], most: int = ENOUGH) -> Sequence[Example]:
    """At most so many of them, evenly."""
    return examples[:: max(1, -(-len(examples) // most))]


def drawn_of_each_intent(examples: Sequence[Example], most: int = ENOUGH) -> Sequence[Example]:
    """About so many, of each intent the same number, or all where there are fewer."""
    of_intent: dict[str, list[Example]] = {}
    for one in examples:
        of_intent.setdefault(one.intent, []).append(one)
    return [one for each in of_intent.values() for one in drawn(each, most // len(of_intent))]


def texts(examples: Sequence[Example]) -> list[str]:
    return [readable(one.subject, one.own_words) for one in examples]


def intents_of(examples: Sequence[Example]) -> tuple[str, ...]:
    return tuple(sorted({one.intent for one in examples}))


def intent_numbers(examples: Sequence[Example], intents: Sequence[str]) -> Integers:
    number_of = {intent: number for number, intent in enumerate(intents)}
    return np.array([number_of[one.intent] for one in examples], np.int64)


def intent_shares(examples: Sequence[Example], intents: Sequence[str], secondary_weight: float) -> Floats:
    """Rows that add up to one: a second matter gets a part of the first one's."""
    shares = np.zeros((len(examples), len(intents)), np.float32)
    for row, one in enumerate(examples):
        seconds = [intents.index(intent) for intent in one.secondary if intent in intents and intent != one.intent]
        for number in seconds:
            shares[row, number] += secondary_weight / len(seconds)
        shares[row, intents.index(one.intent)] = 1 - shares[row].sum()
    return shares


def reason_flags(examples: Sequence[Example]) -> Floats:
    """One column a learned reason, last whether there is any reason at all."""
    rows = [(*(reason in one.reasons for reason in LEARNED_REASONS), one.must_verify) for one in examples]
    return np.array(rows, np.float32).reshape(-1, len(LEARNED_REASONS) + 1)


def languages(examples: Sequence[Example]) -> Integers:
    return np.array([language_number(one.language) for one in examples], np.int64)


def batches(
    tokens: Sequence[Sequence[int]], room: int, padding: int, chance: np.random.Generator | None = None
) -> Iterator[Batch]:
    """Mails of about one length together, with their padding at most `room` tokens a batch (or one mail): as many short
    ones cost what a few long ones do. With `chance` in random order, without it the longest first."""
    order = np.arange(len(tokens)) if chance is None else chance.permutation(len(tokens))
    pool = len(tokens) if chance is None else _POOL
    rows = [batch for stretch in _sorted_pools(order, tokens, pool or 1) for batch in _filled(stretch, tokens, room)]
    if chance is not None:
        chance.shuffle(rows)
    return (_padded(numbers, tokens, padding) for numbers in rows)


def _sorted_pools(order: Integers, tokens: Sequence[Sequence[int]], pool: int) -> Iterator[list[int]]:
    for start in range(0, len(order), pool):
        yield sorted(order[start : start + pool].tolist(), key=lambda number: -len(tokens[number]))


def _filled(numbers: Sequence[int], tokens: Sequence[Sequence[int]], room: int) -> Iterator[list[int]]:
    """`numbers` have the longest mail first, which says how wide its batch is."""
    batch: list[int] = []
    for number in numbers:
        if batch and (len(batch) + 1) * len(tokens[batch[0]]) > room:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _padded(numbers: Sequence[int], tokens: Sequence[Sequence[int]], padding: int) -> Batch:
    longest = max(len(tokens[number]) for number in numbers)
    ids = np.full((len(numbers), longest), padding, np.int64)
    mask = np.zeros_like(ids)
    for row, number in enumerate(numbers):
        ids[row, : len(tokens[number])] = tokens[number]
        mask[row, : len(tokens[number])] = 1
    return Batch(np.array(numbers, np.int64), ids, mask)
