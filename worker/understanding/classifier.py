"""What every classifier is given and gives, whatever is inside it: probabilities per intent and per reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rules.values import ModelVersion

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a classifier may see of a mail: `features.readable` of it, and the language that it was found to be in."""

    text: str
    language: str
    words: Numbers | None = field(default=None, compare=False, repr=False)
    """What the linear scorer says of the text, where it has been asked already (for the language)."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Calibrated probabilities for one mail."""

    intents: Mapping[str, float]
    reasons: Mapping[str, float]
    must_verify: float
    """That there is any reason at all; asked on its own, since it is the surer question."""
    is_strange: bool = False
    """Farther from everything learnt than nearly all mail is. What is said of it rests on nothing."""
    place: Numbers | None = field(default=None, compare=False, repr=False)
    """Where the mail lies among all mails; None when the encoder was not asked."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Chosen on mails that the model had not seen (docs/evaluation.md)."""

    sure: float
    """From this probability on, the intent was right in 95 of 100 mails; below it the classifier abstains."""
    secondary: float
    must_verify: float
    reasons: Mapping[str, float]


class Classifier(Protocol):
    @property
    def version(self) -> ModelVersion: ...

    @property
    def thresholds(self) -> Thresholds: ...

    def predict(self, batch: Sequence[Reading]) -> list[Prediction]: ...
