"""Fits the linear classifier: scores on mails it has not seen, calibration, thresholds, and the file that ships.

scikit-learn is needed here and nowhere else. Whatever is chosen, is chosen on out-of-fold predictions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rules import reasons as reason_rules
from rules.national_ids import find
from rules.pack import REASONS, RulePack
from rules.values import LANGUAGES
from worker.understanding import corpus, features, linear
from worker.understanding import language as language_model
from worker.understanding.classifier import Prediction, Thresholds
from worker.understanding.corpus import Example
from worker.understanding.linear import Card, Model

FOLDS = 5
FIRMNESS = 0.5
"""The inverse of regularisation (C) for every output; 0.3 and 1.0 came out alike in cross-validation."""
PRECISION_WHEN_SURE = 0.95
MUST_VERIFY_RECALL = 0.95
COMMON_IN = 4
"""A word that stands in the mails of so many groups is common."""

LEARNED_REASONS = tuple(reason for reason in REASONS if reason != "national_id")
"""A national id is found, not guessed."""

Scores = NDArray[np.float32]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model and what it said of the mails it learnt from when it had not seen them."""

    model: Model
    unseen: list[Prediction]


def train(folder: Path, output: Path | None, corrections: list[dict[str, Any]]) -> Iterator[str]:
    """Measure on held-out mails, then fit on all and save. Yields lines for the user."""
    from worker import packs
    from worker.understanding import evaluation

    examples = corpus.read_folder(folder)
    taught = [corpus.example(one, f"correction {number}") for number, one in enumerate(corrections, 1)]
    pack = packs.read(packs.shipped())
    yield f"{len(examples)} labelled mails and {len(taught)} corrections."
    learn, held_out = corpus.split(examples)
    trial = fit([*learn, *taught], pack, corpus_sha256="")
    yield f"Learnt from {len(learn) + len(taught)} mails, measured on {len(held_out)} others:"
    yield evaluation.as_text(evaluation.report(held_out, pack, trial.model))
    final = fit([*examples, *taught], pack, corpus.sha256(folder))
    yield f"Fitted on all; cross-validated on {FOLDS} folds:"
    yield evaluation.summary_of_unseen([*examples, *taught], final.unseen, final.model.card.thresholds)
    path = output or linear.SHIPPED
    linear.save(path, final.model.card, final.model.rarity, final.model.weights, final.model.bias)
    linear.load.cache_clear()
    yield f"Saved to {path} ({path.stat().st_size / 1e6:.1f} MB, sha256 {linear.load(path).sha256})."


def fit(examples: Sequence[Example], pack: RulePack, corpus_sha256: str) -> Fitted:
    intents = tuple(sorted({one.intent for one in examples}))
    counts = features.counted(features.masked_input(one.subject, one.own_words) for one in examples)
    targets = _targets(examples, intents)
    unseen = _out_of_fold(counts, targets, corpus.folds(examples, FOLDS))
    card = _calibrated(examples, intents, targets, unseen, corpus_sha256)
    predictions = list(linear.predictions(card, unseen))
    card = _with_thresholds(card, examples, predictions, pack)
    rarity = features.rarity_of(counts)
    weights, bias = _fit(features.weighted(counts, rarity), targets)
    return Fitted(Model(card, rarity, weights, bias), predictions)


# --- fitting ----------------------------------------------------------------------------------------------------------


def _targets(examples: Sequence[Example], intents: Sequence[str]) -> Flags:
    """One column an output, in the order of `linear.Model`."""
    columns = [
        *([one.intent == intent for one in examples] for intent in intents),
        *([reason in one.reasons for one in examples] for reason in LEARNED_REASONS),
        [one.must_verify for one in examples],
        *([one.language == language for one in examples] for language in LANGUAGES),
    ]
    return np.array(columns, bool).T


def _fit(rows: features.Rows, targets: Flags) -> tuple[Scores, Scores]:
    """A linear support vector machine for every output, one against the rest."""
    from sklearn.svm import LinearSVC

    matrix = features.as_matrix(rows)
    weights = np.zeros((features.BUCKETS, targets.shape[1]), np.float32)
    bias = np.full(targets.shape[1], -1, np.float32)
    for number, flags in enumerate(targets.T):
        if flags.any() and not flags.all():
            machine = LinearSVC(C=FIRMNESS, random_state=0).fit(matrix, flags)
            weights[:, number], bias[number] = machine.coef_[0], machine.intercept_[0]
    return weights, bias


def _out_of_fold(counts: features.Rows, targets: Flags, fold_of: Sequence[int]) -> Scores:
    scores = np.zeros(targets.shape, np.float32)
    where = np.array(fold_of)
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(where != fold), np.flatnonzero(where == fold)
        seen = features.picked(counts, inside.tolist())
        rarity = features.rarity_of(seen)
        weights, bias = _fit(features.weighted(seen, rarity), targets[inside])
        unseen = features.weighted(features.picked(counts, outside.tolist()), rarity)
        scores[outside] = features.as_matrix(unseen) @ weights + bias
    return scores


# --- calibration ------------------------------------------------------------------------------------------------------


def _calibrated(
    examples: Sequence[Example], intents: tuple[str, ...], targets: Flags, unseen: Scores, corpus_sha256: str
) -> Card:
    first, last = len(intents), len(intents) + len(LEARNED_REASONS) + 1
    curves = [_logistic_curve(unseen[:, n], targets[:, n]) for n in range(first, last)]
    return Card(
        corpus_sha256=corpus_sha256,
        mails=len(examples),
        intents=intents,
        reasons=LEARNED_REASONS,
        languages=LANGUAGES,
        intent_temperature=_temperature(unseen[:, :first], targets[:, :first]),
        slopes=tuple(slope for slope, _ in curves),
        offsets=tuple(offset for _, offset in curves),
        thresholds=Thresholds(1.0, 1.0, 1.0, {}),
        common_words={language: _common_words(examples, language) for language in LANGUAGES},
    )


def _temperature(scores: Scores, targets: Flags) -> float:
    """The one number that makes the probabilities of the right labels likeliest."""
    from scipy.optimize import minimize_scalar

    labelled = targets.any(axis=1)

    def unlikeliness(log_temperature: float) -> float:
        shares = linear.softmax(scores[labelled], float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(shares[targets[labelled]], 1e-12)).mean())

    return round(float(np.exp(minimize_scalar(unlikeliness, bounds=(-5, 3), method="bounded").x)), 5)


def _logistic_curve(scores: Scores, flags: Flags) -> tuple[float, float]:
    """Platt's slope and offset."""
    from sklearn.linear_model import LogisticRegression

    if not flags.any() or flags.all():
        return 1.0, 0.0
    curve = LogisticRegression(C=100.0).fit(scores.reshape(-1, 1), flags)
    return round(float(curve.coef_[0, 0]), 5), round(float(curve.intercept_[0]), 5)


def _common_words(examples: Sequence[Example], language: str) -> list[str]:
    seen_in: Counter[str] = Counter()
    for one in examples:
        if one.language == language:
            seen_in.update(set(language_model.words_of(features.masked_input(one.subject, one.own_words))))
    return sorted(word for word, count in seen_in.items() if count >= COMMON_IN)


# --- thresholds -------------------------------------------------------------------------------------------------------


def _with_thresholds(
    card: Card, examples: Sequence[Example], predictions: Sequence[Prediction], pack: RulePack
) -> Card:
    known = np.array([_told_by_rules(one, pack) for one in examples])
    thresholds = Thresholds(
        sure=_sure(examples, predictions),
        secondary=_secondary(examples, predictions),
        must_verify=_must_verify(examples, predictions, known),
        reasons={reason: _of_reason(reason, examples, predictions) for reason in card.reasons},
    )
    return replace(card, thresholds=thresholds)


def _told_by_rules(one: Example, pack: RulePack) -> bool:
    """What the patterns find anyway; the model has only the rest to find."""
    return bool(find(one.text)) or bool(reason_rules.fired(pack, one.subject, one.body, one.language))


def _sure(examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
    """The lowest confidence from which on the precision holds, so at most coverage."""
    best = [max(said.intents.items(), key=lambda item: item[1]) for said in predictions]
    ranked = sorted(((p, intent == one.intent) for (intent, p), one in zip(best, examples, strict=True)), reverse=True)
    right, threshold = 0, 1.0
    for count, (probability, is_right) in enumerate(ranked, 1):
        right += is_right
        if right / count >= PRECISION_WHEN_SURE:
            threshold = probability
    return round(threshold, 4)


def _secondary(examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
    """For the labels that come after the likeliest, where precision and recall of second matters balance best."""
    pairs: list[tuple[float, bool]] = []
    for one, said in zip(examples, predictions, strict=True):
        best = max(said.intents, key=said.intents.__getitem__)
        pairs += [(p, intent in one.secondary) for intent, p in said.intents.items() if intent != best]
    return _best_balance(pairs, beta=1.0)


def _of_reason(reason: str, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
    """Of two mistakes the missed reason is the worse one, so recall counts half as much again. Counting it double would
    send a sixth of all mail to the restricted queue for a threat that is not there."""
    pairs = [(said.reasons[reason], reason in one.reasons) for one, said in zip(examples, predictions, strict=True)]
    return _best_balance(pairs, beta=1.5)


def _must_verify(examples: Sequence[Example], predictions: Sequence[Prediction], known: Flags) -> float:
    """The highest probability at which, together with rules and ids, enough mails with a reason are caught."""
    missed_at = sorted(
        (
            said.must_verify
            for one, said, told in zip(examples, predictions, known, strict=True)
            if one.must_verify and not told
        )
    )
    may_miss = int((1 - MUST_VERIFY_RECALL) * sum(one.must_verify for one in examples))
    return round(missed_at[min(may_miss, len(missed_at) - 1)] - 1e-4, 4) if missed_at else 0.5


def _best_balance(pairs: Sequence[tuple[float, bool]], beta: float) -> float:
    """The threshold with the highest F-measure."""
    ranked = sorted(pairs, reverse=True)
    wanted = sum(flag for _, flag in ranked)
    right, best, threshold = 0, 0.0, 1.0
    for count, (probability, flag) in enumerate(ranked, 1):
        right += flag
        measure = (1 + beta**2) * right / (count + beta**2 * wanted) if wanted else 0.0
        if measure > best:
            best, threshold = measure, probability
    return round(threshold, 4)
