"""The linear classifier that ships with the product: one file of small integers, read without pickle, served by NumPy.

Fitting is in `training`; here is only what a worker needs. The file holds weights of hashed features, so no word of any
mail can be read out of it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rules.values import ModelVersion
from worker.understanding.classifier import Prediction, Thresholds
from worker.understanding.features import BUCKETS, Floats, Rows, counted, weighted

SHIPPED = Path(__file__).parent / "model" / "linear.npz"
NAME, VERSION = "linear", "1"


@dataclass(frozen=True, slots=True)
class Card:
    """Everything in the file but the weights."""

    corpus_sha256: str
    mails: int
    intents: tuple[str, ...]
    reasons: tuple[str, ...]
    languages: tuple[str, ...]
    intent_temperature: float
    slopes: tuple[float, ...]
    """Of the logistic curves that turn scores into probabilities: one for each reason, the last for any reason."""
    offsets: tuple[float, ...]
    thresholds: Thresholds
    common_words: dict[str, list[str]]
    """By language: words so common that they say nothing of anybody; they tell a known language from an unknown one."""

    @property
    def outputs(self) -> int:
        return len(self.intents) + len(self.reasons) + 1 + len(self.languages)


@dataclass(frozen=True)
class Model:
    """Weights (bucket x output) and bias: intents, then reasons, then any reason, then languages."""

    card: Card
    rarity: Floats
    weights: Floats
    bias: Floats
    sha256: str = ""
    """Of the file; empty when there is none yet."""

    @cached_property
    def common_words(self) -> dict[str, frozenset[str]]:
        return {language: frozenset(words) for language, words in self.card.common_words.items()}

    def scores(self, rows: Rows) -> Floats:
        rows = weighted(rows, self.rarity)
        return np.array([self._score(rows, n) for n in range(len(rows))], np.float32).reshape(-1, self.card.outputs)

    def _score(self, rows: Rows, number: int) -> Floats:
        stretch = slice(rows.starts[number], rows.starts[number + 1])
        product: Floats = rows.values[stretch] @ self.weights[rows.buckets[stretch]] + self.bias
        return product


def softmax(scores: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float64]:
    scaled = scores.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def logistic(
    scores: NDArray[np.floating[Any]], slopes: Sequence[float], offsets: Sequence[float]
) -> NDArray[np.float64]:
    lines = scores.astype(np.float64) * np.array(slopes) + np.array(offsets)
    return np.asarray(1 / (1 + np.exp(-np.clip(lines, -50, 50))))


class LinearClassifier:
    """A `Classifier` over words and pieces of words."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def version(self) -> ModelVersion:
        return ModelVersion(NAME, VERSION, self.model.sha256)

    @property
    def thresholds(self) -> Thresholds:
        return self.model.card.thresholds

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        return list(predictions(self.model.card, self.model.scores(counted(texts))))


def predictions(card: Card, scores: Floats) -> Iterator[Prediction]:
    intents, reasons = len(card.intents), len(card.reasons)
    of_intents = softmax(scores[:, :intents], card.intent_temperature)
    of_reasons = logistic(scores[:, intents : intents + reasons + 1], card.slopes, card.offsets)
    for by_intent, by_reason in zip(of_intents.tolist(), of_reasons.tolist(), strict=True):
        yield Prediction(
            dict(zip(card.intents, by_intent, strict=True)),
            dict(zip(card.reasons, by_reason[:-1], strict=True)),
            by_reason[-1],
        )


@lru_cache(maxsize=2)
def load(path: Path = SHIPPED) -> Model:
    """Raises OSError when there is no such file and ValueError when it is not a model. Read once a process."""
    content = path.read_bytes()
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        try:
            card = _card(json.loads(arrays["card"].tobytes()))
            weights = arrays["weights"].astype(np.float32) * arrays["scale"].astype(np.float32)
            rarity, bias = arrays["rarity"].astype(np.float32), arrays["bias"].astype(np.float32)
        except KeyError as error:
            raise ValueError(f"{path.name} is not a model of this version: {error} is missing") from None
    if weights.shape != (BUCKETS, card.outputs):
        raise ValueError(f"{path.name} is not a model of this version: it has {weights.shape} weights")
    return Model(card, rarity, weights, bias, hashlib.sha256(content).hexdigest())


def save(path: Path, card: Card, rarity: Floats, weights: Floats, bias: Floats) -> None:
    """Weights as integers of eight bits with one scale an output; the same input gives the same bytes."""
    scale = np.maximum(np.abs(weights).max(axis=0), 1e-9) / 127
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        card=np.frombuffer(json.dumps(asdict(card), ensure_ascii=False, sort_keys=True).encode(), np.uint8),
        rarity=rarity.astype(np.float16),
        weights=np.rint(weights / scale).astype(np.int8),
        scale=scale.astype(np.float32),
        bias=bias.astype(np.float32),
    )


def _card(content: dict[str, Any]) -> Card:
    lists = {name: tuple(content[name]) for name in ("intents", "reasons", "languages", "slopes", "offsets")}
    return Card(**{**content, **lists, "thresholds": Thresholds(**content["thresholds"])})
