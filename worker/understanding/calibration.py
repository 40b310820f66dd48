"""Turns the raw scores of one or more scorers into probabilities, and draws the lines between yes and no.

Both are chosen by `training.calibrate` on mails that no scorer has learnt from. Applying them is arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from worker.understanding.classifier import Prediction, Thresholds

Floats = NDArray[np.float32]
Numbers = NDArray[np.float64]


class Calibration(BaseModel):
    """How scores are weighed. One scorer's share of a sum is its slope; a scorer that is not asked has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    intents: dict[str, float]
    """By scorer: what its intent scores are multiplied with before the softmax (the inverse of a temperature)."""
    reasons: dict[str, tuple[float, ...]]
    """By scorer: the slope of each reason's logistic curve, last that of any reason."""
    offsets: tuple[float, ...]
    sure: float
    secondary: float
    must_verify: float
    of_reason: dict[str, float]

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self.sure, self.secondary, self.must_verify, self.of_reason)

    @property
    def scorers(self) -> tuple[str, ...]:
        return tuple(self.intents)


class Labels(BaseModel):
    """The outputs of every scorer of a model, in order: intents, then reasons, then any reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    intents: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def outputs(self) -> int:
        return len(self.intents) + len(self.reasons) + 1


def predictions(labels: Labels, calibration: Calibration, scores: dict[str, Floats]) -> Iterator[Prediction]:
    """One prediction a row; `scores` has a matrix (mails x outputs) for each scorer of the calibration."""
    of_intents, of_reasons = probabilities(labels, calibration, scores)
    for by_intent, by_reason in zip(of_intents.tolist(), of_reasons.tolist(), strict=True):
        yield Prediction(
            dict(zip(labels.intents, by_intent, strict=True)),
            dict(zip(labels.reasons, by_reason[:-1], strict=True)),
            by_reason[-1],
        )


def probabilities(labels: Labels, calibration: Calibration, scores: dict[str, Floats]) -> tuple[Numbers, Numbers]:
    count = len(labels.intents)
    lines = np.array(calibration.offsets) + sum(
        scores[name][:, count : labels.outputs] * np.array(slopes) for name, slopes in calibration.reasons.items()
    )
    together = sum(scores[name][:, :count] * slope for name, slope in calibration.intents.items())
    return softmax(np.asarray(together)), logistic(np.asarray(lines))


def softmax(scores: NDArray[np.floating[Any]], temperature: float = 1.0) -> Numbers:
    scaled = scores.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def logistic(lines: NDArray[np.floating[Any]]) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-np.clip(lines.astype(np.float64), -50, 50))))


def likeliest(said: Sequence[Prediction]) -> list[tuple[str, float]]:
    return [max(one.intents.items(), key=lambda item: item[1]) for one in said]
