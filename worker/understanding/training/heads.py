"""Where fine-tuning begins: logistic regressions over the vectors of the encoder as it came, and intents' centroids."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.understanding.corpus import Example
from worker.understanding.encoder import OTHER, Heads, unit
from worker.understanding.training import batches
from worker.understanding.training.batches import Floats, Integers

INTENT_FIRMNESS, REASON_FIRMNESS = 10.0, 3.0
"""C of the regressions over vectors of length one whose language's mean was taken away."""


def fit(vectors: Floats, examples: Sequence[Example], intents: Sequence[str]) -> Heads:
    languages = batches.languages(examples)
    means, scale = centre(vectors, languages)
    features = (vectors - means[languages]) * scale
    # C is meant for vectors that are not stretched.
    numbers = batches.intent_numbers(examples, intents)
    weights, bias = _intents(features, numbers, len(intents), INTENT_FIRMNESS / scale**2)
    flags = batches.reason_flags(examples).astype(bool)
    rows = [_reason(features, column, REASON_FIRMNESS / scale**2) for column in flags.T]
    return Heads(
        means,
        scale,
        np.vstack([weights, *(row for row, _ in rows)]).astype(np.float32),
        np.concatenate([bias, [offset for _, offset in rows]]).astype(np.float32),
        centroids(unit(features), numbers, len(intents)),
    )


def centre(vectors: Floats, languages: Integers) -> tuple[Floats, float]:
    """The mean vector of each language, and what stretches the rest to about one a feature."""
    means = np.tile(vectors.mean(axis=0), (OTHER + 1, 1))
    for number in np.unique(languages[languages != OTHER]):
        means[number] = vectors[languages == number].mean(axis=0)
    means[OTHER] = means[:OTHER].mean(axis=0)
    spread = float((vectors - means[languages]).std())
    return means.astype(np.float32), 1 / max(spread, 1e-6)


def centroids(places: Floats, numbers: Integers, count: int) -> Floats:
    """The direction in which the mails of each intent lie."""
    return unit(np.array([places[numbers == number].mean(axis=0) for number in range(count)], np.float32))


def _intents(features: Floats, right: Integers, count: int, firmness: float) -> tuple[Floats, Floats]:
    found = _regression(features, right, firmness, balanced=False)
    weights, bias = np.zeros((count, features.shape[1]), np.float32), np.full(count, -10, np.float32)
    weights[found.classes_], bias[found.classes_] = found.coef_, found.intercept_
    return weights, bias


def _reason(features: Floats, flags: NDArray[np.bool_], firmness: float) -> tuple[Floats, float]:
    if not flags.any() or flags.all():
        return np.zeros(features.shape[1], np.float32), -5.0 if not flags.any() else 5.0
    found = _regression(features, flags, firmness, balanced=True)
    return found.coef_[0], float(found.intercept_[0])


def _regression(features: Floats, right: NDArray[Any], firmness: float, *, balanced: bool) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        weighing = "balanced" if balanced else None
        return LogisticRegression(C=firmness, max_iter=1000, tol=1e-3, class_weight=weighing).fit(features, right)
