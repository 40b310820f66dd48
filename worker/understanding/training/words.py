"""Fits the linear scorer: a support vector machine for every output, over words and pieces of words.

scikit-learn is needed here and nowhere in service.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rules.values import LANGUAGES
from worker.understanding import features, language
from worker.understanding.corpus import Example
from worker.understanding.features import Floats
from worker.understanding.linear import Linear, Outputs
from worker.understanding.training import batches
from worker.understanding.training.batches import LEARNED_REASONS

FIRMNESS = 1.0
"""The inverse of regularisation (C) for every output (docs/model.md)."""
COMMON_IN = 4
"""A word that stands in so many mails is common."""

Flags = NDArray[np.bool_]


def fit(examples: Sequence[Example], intents: Sequence[str], common_from: Sequence[Example] | None = None) -> Linear:
    """`common_from`: the mails whose common words are kept as they are written, when not all. Only invented ones: a
    name that stands in four mails of residents could be read out of the file."""
    counts = features.counted(batches.texts(examples))
    rarity = features.rarity_of(counts)
    weights, bias = _machines(features.weighted(counts, rarity), _targets(examples, intents))
    common = {code: _common_words(examples if common_from is None else common_from, code) for code in LANGUAGES}
    return Linear.of(Outputs(tuple(intents), LEARNED_REASONS, LANGUAGES, common), rarity, weights, bias)


def _targets(examples: Sequence[Example], intents: Sequence[str]) -> Flags:
    """One column an output, in the order of `linear.Outputs`."""
    of_intents = [[one.intent == intent for one in examples] for intent in intents]
    of_languages = [[one.language == code for one in examples] for code in LANGUAGES]
    of_reasons = batches.reason_flags(examples).astype(bool).T
    return np.vstack([np.array(of_intents, bool), of_reasons, np.array(of_languages, bool)]).T


def _machines(rows: features.Rows, targets: Flags) -> tuple[Floats, Floats]:
    """One against the rest, for every output."""
    from sklearn.svm import LinearSVC

    matrix = features.as_matrix(rows)
    weights = np.zeros((features.BUCKETS, targets.shape[1]), np.float32)
    bias = np.full(targets.shape[1], -1, np.float32)
    for number, flags in enumerate(targets.T):
        if flags.any() and not flags.all():
            machine = LinearSVC(C=FIRMNESS, random_state=0).fit(matrix, flags)
            weights[:, number], bias[number] = machine.coef_[0], machine.intercept_[0]
    return weights, bias


def _common_words(examples: Sequence[Example], code: str) -> list[str]:
    of_language = [one for one in examples if one.language == code]
    seen_in = Counter(word for text in batches.texts(of_language) for word in set(language.words_of(text)))
    return sorted(word for word, count in seen_in.items() if count >= COMMON_IN)
