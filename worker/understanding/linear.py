"""The linear scorer: one file of small integers, read without pickle, served by NumPy.

It says what the words of a mail speak for, and which language they are of. Fitting is in `training.words`; here is only
what a worker needs. The file holds weights of hashed features, and the common words of the corpus. The shipped
one is invented, and of corrections no word is kept: nothing of a resident's mail can be read out of it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.understanding.features import BUCKETS, Floats, Rows, counted, weighted


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the columns of the weights stand for: intents, reasons, any reason, languages."""

    intents: tuple[str, ...]
    reasons: tuple[str, ...]
    languages: tuple[str, ...]
    common_words: dict[str, list[str]]
    """By language: words so common that they say nothing of anybody; they tell a known language from an unknown one."""

    @property
    def count(self) -> int:
        return len(self.intents) + len(self.reasons) + 1 + len(self.languages)


@dataclass(frozen=True)
class Linear:
    """Weights (bucket x output) of eight bits, what a step of each output's is worth, and bias."""

    outputs: Outputs
    rarity: Floats
    weights: NDArray[np.int8]
    scale: Floats
    bias: Floats

    @classmethod
    def of(cls, outputs: Outputs, rarity: Floats, weights: Floats, bias: Floats) -> Linear:
        """Rounds: what was fitted is no finer than what is kept."""
        scale = np.maximum(np.abs(weights).max(axis=0), 1e-9) / 127
        kept = rarity.astype(np.float16).astype(np.float32)
        return cls(outputs, kept, np.rint(weights / scale).astype(np.int8), scale.astype(np.float32), bias)

    @cached_property
    def common_words(self) -> dict[str, frozenset[str]]:
        return {language: frozenset(words) for language, words in self.outputs.common_words.items()}

    def scores(self, texts: Sequence[str]) -> Floats:
        """One row a text (from `features.readable`), one column an output."""
        rows = weighted(counted(texts), self.rarity)
        found = [self._score(rows, number) for number in range(len(rows))]
        return np.array(found, np.float32).reshape(-1, self.outputs.count)

    def _score(self, rows: Rows, number: int) -> Floats:
        stretch = slice(rows.starts[number], rows.starts[number + 1])
        product: Floats = rows.values[stretch] @ self.weights[rows.buckets[stretch]].astype(np.float32)
        return product * self.scale + self.bias


def load(path: Path) -> Linear:
    """Raises OSError when there is no such file and ValueError when it is not a model."""
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
        try:
            described = json.loads(arrays["outputs"].tobytes())
            weights, scale, bias = arrays["weights"], arrays["scale"], arrays["bias"]
            rarity = arrays["rarity"].astype(np.float32)
        except KeyError as error:
            raise ValueError(f"{path.name} is not a model of this version: {error} is missing") from None
    lists = {name: tuple(described[name]) for name in ("intents", "reasons", "languages")}
    outputs = Outputs(**lists, common_words=described["common_words"])
    if weights.shape != (BUCKETS, outputs.count):
        raise ValueError(f"{path.name} is not a model of this version: it has {weights.shape} weights")
    return Linear(outputs, rarity, weights, scale, bias)


def save(path: Path, model: Linear) -> None:
    """The same model gives the same bytes."""
    described = json.dumps(asdict(model.outputs), ensure_ascii=False, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        outputs=np.frombuffer(described.encode(), np.uint8),
        rarity=model.rarity.astype(np.float16),
        weights=model.weights,
        scale=model.scale,
        bias=model.bias,
    )
