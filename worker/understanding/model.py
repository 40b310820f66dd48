"""A version of the model: a folder of files, what its parts say together, and who it is.

`model.json` is its card: labels, calibration and where it comes from. A part is a scorer; a *classifier* is a choice of
parts with a calibration of its own, by name: `linear`, `transformer`, `ensemble`, `cascade`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from rules.values import ModelVersion
from worker.understanding import calibration, linear
from worker.understanding.calibration import Calibration, Floats, Labels
from worker.understanding.classifier import Prediction, Reading, Thresholds
from worker.understanding.encoder import ENCODER, HEADS, TOKENIZER, Encoder, Read, each
from worker.understanding.encoder import load as load_encoder
from worker.understanding.linear import Linear
from worker.understanding.versions import KIND, MANIFEST, SHIPPED, sha256

LINEAR = "linear.npz"


class Skip(BaseModel):
    """When the cascade rests content with what the linear scorer says and does not ask the encoder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sure: float
    """From this probability of the intent on."""
    clear: float
    """And up to this probability of any reason."""


class Card(BaseModel):
    """What a version says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    labels: Labels
    classifiers: dict[str, Calibration]
    skip: Skip | None = None
    prefix: str = ""
    """What the encoder wants in front of every text."""
    strange_below: float = -1.0
    """Nearer than this to no intent (cosine): such a mail resembles nothing that was learnt."""
    nearness_temperature: float = 0.1
    """Of the nearest-centroid classifier that knows intents by examples alone (`neighbours`)."""
    corpus_sha256: str
    mails: int
    made: dict[str, Any] = {}
    """How: base encoder, settings, seeds."""


@dataclass(frozen=True, eq=False)
class Model:
    """A `Classifier`. `choice` names which of the card's classifiers speaks."""

    card: Card
    linear: Linear
    encoder: Encoder | None
    choice: str
    sha256: str

    @property
    def version(self) -> ModelVersion:
        return ModelVersion(f"{self.card.name}-{self.choice}", self.card.version, self.sha256)

    @property
    def thresholds(self) -> Thresholds:
        return self._calibration.thresholds

    @cached_property
    def by_words_alone(self) -> Model:
        """The same version without its encoder: twenty times as quick, and blunter."""
        return replace(self, choice="linear")

    @property
    def _calibration(self) -> Calibration:
        return self.card.classifiers["ensemble" if self.choice == "cascade" else self.choice]

    def predict(self, batch: Sequence[Reading]) -> list[Prediction]:
        if self.choice == "cascade":
            return self._in_two_steps(batch)
        return self._together(batch)

    def _in_two_steps(self, batch: Sequence[Reading]) -> list[Prediction]:
        said = self.by_words_alone.predict(batch)
        open_still = [number for number, one in enumerate(said) if not self._is_settled(one)]
        for number, one in zip(open_still, self._together([batch[n] for n in open_still]), strict=True):
            said[number] = one
        return said

    def _is_settled(self, said: Prediction) -> bool:
        skip = self.card.skip
        return skip is not None and max(said.intents.values()) >= skip.sure and said.must_verify <= skip.clear

    def _together(self, batch: Sequence[Reading]) -> list[Prediction]:
        if not batch:
            return []
        scores: dict[str, Floats] = {}
        read: Read | None = None
        if "linear" in self._calibration.scorers:
            scores["linear"] = self._words(batch)
        if "transformer" in self._calibration.scorers:
            read = self._encoder.read(batch)
            scores["transformer"] = read.scores
        said = list(calibration.predictions(self.card.labels, self._calibration, scores))
        return said if read is None else self._with_strangeness(said, read)

    def _words(self, batch: Sequence[Reading]) -> Floats:
        said = [self.linear.scores([one.text])[0] if one.words is None else one.words for one in batch]
        return np.array(said, np.float32)

    @property
    def _encoder(self) -> Encoder:
        if self.encoder is None:
            raise ValueError(f"This version of the model has no encoder, which `{self.choice}` needs.")
        return self.encoder

    def _with_strangeness(self, said: list[Prediction], read: Read) -> list[Prediction]:
        nearest = each(read.places, self._encoder.heads.centroids).max(axis=1)
        return [
            replace(one, is_strange=bool(near < self.card.strange_below), place=place)
            for one, near, place in zip(said, nearest.tolist(), read.places, strict=True)
        ]


# --- files ------------------------------------------------------------------------------------------------------------


def load(folder: Path = SHIPPED, choice: str = "") -> Model:
    """Read once a process. `choice`: the classifier; empty for the best that the version has.

    Raises OSError when a file is missing and ValueError when one is not a model of this version.
    """
    return _load(folder, choice)


@lru_cache(maxsize=1)  # one takes most of a worker's memory; after a change of version the old one must go
def _load(folder: Path, choice: str) -> Model:
    card = read_card(folder)
    choice = _known(card, choice)
    try:
        encoder = None if choice == "linear" else load_encoder(folder, card.prefix, len(card.labels.intents))
        return Model(card, linear.load(folder / LINEAR), encoder, choice, sha256(folder))
    except (OSError, ValueError, ImportError):
        raise
    except Exception as error:  # the libraries that read these files have a dozen kinds of their own
        raise ValueError(f"{folder} holds a file of the model that cannot be read ({type(error).__name__})") from None


def _known(card: Card, choice: str) -> str:
    choice = choice or best(card)
    known = [*card.classifiers, *(["cascade"] if card.skip else [])]
    if choice not in known:
        raise ValueError(f"This version of the model has no classifier `{choice}`, only {', '.join(known)}.")
    return choice


def check(folder: Path, choice: str = "") -> None:
    """Whether what is needed is there, without reading it all. Raises as `load` does."""
    card = read_card(folder)
    files = [LINEAR] if _known(card, choice) == "linear" else [LINEAR, ENCODER, TOKENIZER, HEADS]
    for name in files:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing")


def best(card: Card) -> str:
    if card.skip is not None:
        return "cascade"
    return next(name for name in ("ensemble", "transformer", "linear") if name in card.classifiers)


def read_card(folder: Path) -> Card:
    try:
        card = Card.model_validate_json((folder / MANIFEST).read_bytes())
    except ValidationError as error:
        place = "→".join(map(str, error.errors()[0]["loc"]))
        raise ValueError(f"{folder / MANIFEST} is not the card of a model: see {place}") from None
    if card.version != KIND:
        raise ValueError(f"{folder} holds a model of kind {card.version}, this program reads kind {KIND}: train anew")
    return card


def write_card(folder: Path, card: Card) -> None:
    content = json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False, sort_keys=True)
    (folder / MANIFEST).write_text(content + "\n", encoding="utf-8")


def places(model: Model, batch: Sequence[Reading]) -> Floats:
    """Where mails lie among all mails, for neighbours; none without an encoder."""
    if model.encoder is None or not batch:
        return np.zeros((len(batch), 0), np.float32)
    return model.encoder.read(batch).places
