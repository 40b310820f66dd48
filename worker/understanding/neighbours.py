"""Intents that a municipality has added to its pack and that no model has learnt yet.

Their description and some examples are read by the encoder; a mail that lies nearer to them than to the intents that
were learnt gets them, by the share that a nearest-centroid classifier would give. With `kommunpost train` and labelled
mail they become intents like the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from rules.pack import RulePack
from worker.understanding import language
from worker.understanding.calibration import Floats, softmax
from worker.understanding.classifier import Prediction, Reading
from worker.understanding.encoder import each, unit
from worker.understanding.features import readable
from worker.understanding.model import Model, places


@dataclass(frozen=True)
class Newcomers:
    """The intents that only examples speak for; `centroids` has one row each."""

    intents: tuple[str, ...]
    centroids: Floats

    def join(self, model: Model, batch: Sequence[Reading], said: Sequence[Prediction]) -> list[Prediction]:
        """What was said, with the newcomers' share taken from all others alike."""
        if not self.intents or model.encoder is None:
            return list(said)
        everywhere = np.vstack([model.encoder.heads.centroids, self.centroids])
        nearness = each(_of_all(model, batch, said), everywhere)
        of_new = softmax(nearness, model.card.nearness_temperature)[:, -len(self.intents) :].tolist()
        nearest = nearness[:, -len(self.intents) :].max(axis=1).tolist()
        return [
            _joined(one, dict(zip(self.intents, row, strict=True)), is_known=near >= model.card.strange_below)
            for one, row, near in zip(said, of_new, nearest, strict=True)
        ]


def _of_all(model: Model, batch: Sequence[Reading], said: Sequence[Prediction]) -> Floats:
    """Where each mail lies; only mails that the encoder has not read yet are read for it."""
    unread = [reading for reading, one in zip(batch, said, strict=True) if one.place is None]
    found = iter(places(model, unread))
    return np.array([next(found) if one.place is None else one.place for one in said], np.float32)


def _joined(said: Prediction, new: Mapping[str, float], *, is_known: bool) -> Prediction:
    """`is_known`: it lies near enough to a newcomer's examples not to be strange, whatever the others say."""
    left = 1 - sum(new.values())
    intents = {**{intent: p * left for intent, p in said.intents.items()}, **new}
    return replace(said, intents=intents, is_strange=said.is_strange and not is_known)


@lru_cache(maxsize=1)  # its key holds the model, and of those only one is to stay in memory
def _of(pack_sha256: str, intents: tuple[tuple[str, tuple[str, ...]], ...], model: Model) -> Newcomers:
    found = [unit(_places(model, texts).mean(axis=0, keepdims=True)) for _, texts in intents]
    return Newcomers(tuple(name for name, _ in intents), np.vstack(found) if found else np.zeros((0, 0), np.float32))


def _places(model: Model, texts: Sequence[str]) -> Floats:
    read = language.read_all([readable("", text) for text in texts], model.linear)
    return places(model, [reading for reading, _ in read])


def newcomers(pack: RulePack, model: Model) -> Newcomers:
    """Of this pack for this model. Read once: ten examples cost the encoder about as much as ten mails."""
    unknown = tuple(
        (name, (f"{intent.title}: {intent.about}", *intent.examples))
        for name, intent in pack.intents.items()
        if name not in model.card.labels.intents and intent.examples and model.encoder is not None
    )
    return _of(pack.sha256, unknown, model)
