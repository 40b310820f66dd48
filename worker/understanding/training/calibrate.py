"""Chooses how scores are weighed and where lines are drawn, on mails that no scorer has learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rules import reasons as reason_rules
from rules.national_ids import find
from rules.pack import RulePack
from worker.understanding import calibration
from worker.understanding.calibration import Calibration, Floats, Labels
from worker.understanding.classifier import Prediction
from worker.understanding.corpus import Example
from worker.understanding.model import Skip
from worker.understanding.training import batches

PRECISION_WHEN_SURE = 0.95
PRECISION_WHEN_SETTLED = 0.97
"""What the linear scorer must reach alone where the cascade does not ask the encoder."""
MUST_VERIFY_RECALL = 0.98
STRANGE_SHARE = 0.005
"""So many of real mails may be taken for something never seen."""

Flags = NDArray[np.bool_]


def fit(labels: Labels, examples: Sequence[Example], scores: Mapping[str, Floats], pack: RulePack) -> Calibration:
    """`scores`: for each scorer that is to speak, one row a mail."""
    names = tuple(scores)
    flags = batches.reason_flags(examples).astype(bool)
    count = len(labels.intents)
    curves = [_curve([scores[name][:, count + n] for name in names], flags[:, n]) for n in range(flags.shape[1])]
    open_lines = Calibration(
        intents=_slopes(scores, batches.intent_numbers(examples, labels.intents), count),
        reasons={name: tuple(slopes[n] for slopes, _ in curves) for n, name in enumerate(names)},
        offsets=tuple(offset for _, offset in curves),
        sure=1.0,
        secondary=1.0,
        must_verify=1.0,
        of_reason=dict.fromkeys(labels.reasons, 1.0),
    )
    said = list(calibration.predictions(labels, open_lines, dict(scores)))
    known = np.array([_told_by_rules(one, pack) for one in examples])
    return open_lines.model_copy(
        update={
            "sure": _sure(examples, said, PRECISION_WHEN_SURE),
            "secondary": _secondary(examples, said),
            "must_verify": _must_verify(examples, said, known),
            "of_reason": {reason: _of_reason(reason, examples, said) for reason in labels.reasons},
        }
    )


def skip(examples: Sequence[Example], linear: Sequence[Prediction], both: Sequence[Prediction], line: float) -> Skip:
    """`line`: the probability of any reason from which on the whole ensemble asks for a person.

    The encoder need not be asked where the linear scorer alone is right as often as `PRECISION_WHEN_SETTLED` and sees
    so little of a reason that the ensemble saw none either, in all but one of a hundred such mails.
    """
    quiet = sorted(one.must_verify for one, other in zip(linear, both, strict=True) if other.must_verify >= line)
    clear = quiet[int(0.01 * len(quiet))] if quiet else 1.0
    settled = [(one, said) for one, said in zip(examples, linear, strict=True) if said.must_verify <= clear]
    return Skip(
        sure=_sure([one for one, _ in settled], [said for _, said in settled], PRECISION_WHEN_SETTLED),
        clear=round(clear, 4),
    )


def strange_below(nearest: NDArray[np.float32]) -> float:
    """The nearness to the nearest intent that all but a few real mails have."""
    return round(float(np.quantile(nearest, STRANGE_SHARE)), 4)


def temperature(scores: Floats, right: NDArray[np.int64]) -> float:
    """The one number that makes the probabilities of the right labels likeliest."""
    slopes = _slopes({"only": scores}, right, scores.shape[1])
    return round(1 / slopes["only"], 5)


# --- probabilities ----------------------------------------------------------------------------------------------------


def _slopes(scores: Mapping[str, Floats], right: NDArray[np.int64], count: int) -> dict[str, float]:
    """Of each scorer's intents, so that the probabilities of the right labels are likeliest."""
    from scipy.optimize import minimize

    stacked = np.stack([one[:, :count].astype(np.float64) for one in scores.values()])
    rows = np.arange(len(right))

    def unlikeliness(logs: NDArray[np.float64]) -> float:
        shares = calibration.softmax(np.tensordot(np.exp(logs), stacked, axes=1))
        return float(-np.log(np.maximum(shares[rows, right], 1e-12)).mean())

    found = minimize(unlikeliness, np.zeros(len(stacked)), method="Nelder-Mead", options={"maxiter": 500})
    return {name: round(float(np.exp(log)), 5) for name, log in zip(scores, found.x, strict=True)}


def _curve(columns: Sequence[Floats], flags: Flags) -> tuple[tuple[float, ...], float]:
    """The slope of each scorer and the offset of one logistic curve (Platt)."""
    from sklearn.linear_model import LogisticRegression

    if not flags.any() or flags.all():
        return (1 / len(columns),) * len(columns), 0.0
    curve = LogisticRegression(C=100.0).fit(np.column_stack(columns), flags)
    return tuple(round(float(slope), 5) for slope in curve.coef_[0]), round(float(curve.intercept_[0]), 5)


# --- lines ------------------------------------------------------------------------------------------------------------


def _told_by_rules(one: Example, pack: RulePack) -> bool:
    """What the patterns find anyway; the model has only the rest to find."""
    return bool(find(one.text)) or bool(reason_rules.fired(pack, one.subject, one.body, one.language))


def _sure(examples: Sequence[Example], said: Sequence[Prediction], precision: float) -> float:
    """The lowest confidence from which on the precision holds, so at most coverage."""
    best = calibration.likeliest(said)
    ranked = sorted(((p, intent == one.intent) for (intent, p), one in zip(best, examples, strict=True)), reverse=True)
    right, threshold = 0, 1.0
    for count, (probability, is_right) in enumerate(ranked, 1):
        right += is_right
        if right / count >= precision:
            threshold = probability
    return round(threshold, 4)


def _secondary(examples: Sequence[Example], said: Sequence[Prediction]) -> float:
    """For the labels that come after the likeliest, where precision and recall of second matters balance best."""
    pairs: list[tuple[float, bool]] = []
    for one, prediction in zip(examples, said, strict=True):
        best = max(prediction.intents, key=prediction.intents.__getitem__)
        pairs += [(p, intent in one.secondary) for intent, p in prediction.intents.items() if intent != best]
    return _best_balance(pairs, beta=1.0)


def _of_reason(reason: str, examples: Sequence[Example], said: Sequence[Prediction]) -> float:
    """Of two mistakes the missed reason is the worse one, so recall counts half as much again. Counting it double would
    send a sixth of all mail to the restricted queue for a threat that is not there."""
    pairs = [
        (prediction.reasons[reason], reason in one.reasons) for one, prediction in zip(examples, said, strict=True)
    ]
    return _best_balance(pairs, beta=1.5)


def _must_verify(examples: Sequence[Example], said: Sequence[Prediction], known: Flags) -> float:
    """The highest probability at which, together with rules and ids, enough mails with a reason are caught."""
    missed_at = sorted(
        (
            prediction.must_verify
            for one, prediction, told in zip(examples, said, known, strict=True)
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
