"""Scores become probabilities, and lines are drawn, on values that can be reckoned by hand."""

from __future__ import annotations

import numpy as np
import pytest

from worker import packs
from worker.understanding import calibration, corpus
from worker.understanding.calibration import Calibration, Labels
from worker.understanding.classifier import Prediction
from worker.understanding.training import calibrate
from worker.understanding.training.batches import LEARNED_REASONS

PACK = packs.read(packs.shipped())
LABELS = Labels(intents=("a", "b"), reasons=("minor",))


def of(intents: dict[str, float], slopes: dict[str, tuple[float, ...]], offsets: tuple[float, ...]) -> Calibration:
    return Calibration(
        intents=intents, reasons=slopes, offsets=offsets, sure=0.5, secondary=0.5, must_verify=0.5, of_reason={}
    )


def matrix(*rows: tuple[float, ...]) -> calibration.Floats:
    return np.array(rows, np.float32)


def mail(number: int, intent: str, *reasons: str) -> corpus.Example:
    content = {"id": f"x-{number}", "lang": "sv", "body": f"Hej {number}", "intent": intent, "reasons": list(reasons)}
    return corpus.example(content, "x")


def test_one_scorer_alone() -> None:
    lines = of({"linear": 2.0}, {"linear": (1.0, 1.0)}, (0.0, 0.0))
    (said,) = calibration.predictions(LABELS, lines, {"linear": matrix((0.5, 0.0, 0.0, 0.0))})
    assert said.intents["a"] == pytest.approx(1 / (1 + np.exp(-1)))
    assert said.reasons == {"minor": 0.5}
    assert said.must_verify == 0.5


def test_scores_of_two_scorers_are_added_before_they_become_probabilities() -> None:
    lines = of({"linear": 1.0, "transformer": 3.0}, {"linear": (1.0, 1.0), "transformer": (2.0, 0.0)}, (-1.0, 0.0))
    scores = {"linear": matrix((1.0, 0.0, 1.0, 9.0)), "transformer": matrix((0.0, 1.0, 0.0, 9.0))}
    (said,) = calibration.predictions(LABELS, lines, scores)
    assert said.intents["b"] == pytest.approx(1 / (1 + np.exp(-2)))
    assert said.reasons["minor"] == pytest.approx(0.5)


def test_other_languages_columns_are_not_taken_for_reasons() -> None:
    lines = of({"linear": 1.0}, {"linear": (1.0, 1.0)}, (0.0, 0.0))
    short, long = matrix((1.0, 0.0, 0.0, 0.0)), matrix((1.0, 0.0, 0.0, 0.0, 7.0, 7.0))
    assert list(calibration.predictions(LABELS, lines, {"linear": short})) == list(
        calibration.predictions(LABELS, lines, {"linear": long})
    )


def test_a_surer_scorer_weighs_more() -> None:
    """One is always right, the other guesses: chosen on a hundred mails, the second one hardly counts."""
    chance = np.random.default_rng(0)
    right = chance.integers(0, 2, 100)
    labels = Labels(intents=("a", "b"), reasons=LEARNED_REASONS)
    knows = np.zeros((100, labels.outputs), np.float32)
    knows[np.arange(100), right] = 1
    guesses = chance.normal(size=(100, labels.outputs)).astype(np.float32)
    examples = [mail(n, labels.intents[r]) for n, r in enumerate(right)]
    found = calibrate.fit(labels, examples, {"linear": knows, "transformer": guesses}, PACK)
    assert found.intents["linear"] > 10 * found.intents["transformer"]


def said(confidence: float, must_verify: float = 0.0) -> Prediction:
    return Prediction({"a": confidence, "b": 1 - confidence}, {"minor": must_verify}, must_verify)


def test_the_line_of_sureness_keeps_the_precision() -> None:
    examples = [mail(n, "a") for n in range(19)] + [mail(19, "b"), mail(20, "b")]
    predictions = [said(0.9)] * 19 + [said(0.8), said(0.7)]
    assert calibrate._sure(examples, predictions, 0.95) == 0.8
    assert calibrate._sure(examples, predictions, 1.0) == 0.9


def test_must_verify_is_drawn_where_enough_are_caught() -> None:
    """Of a hundred with a reason two may be missed."""
    examples = [mail(n, "a", "minor") for n in range(100)]
    predictions = [said(0.9, must_verify=0.01 * n) for n in range(100)]
    line = calibrate._must_verify(examples, predictions, np.zeros(100, bool))
    assert sum(one.must_verify < line for one in predictions) == 2


def test_what_rules_find_anyway_moves_no_line() -> None:
    examples = [mail(n, "a", "minor") for n in range(100)]
    predictions = [said(0.9, must_verify=0.01 * n) for n in range(100)]
    known = np.array([n < 50 for n in range(100)])
    assert calibrate._must_verify(examples, predictions, known) == pytest.approx(0.52 - 1e-4)


def test_what_is_strange_is_farther_away_than_nearly_all_mail() -> None:
    nearest = np.linspace(0, 1, 1001, dtype=np.float32)
    assert calibrate.strange_below(nearest) == pytest.approx(calibrate.STRANGE_SHARE, abs=1e-3)
