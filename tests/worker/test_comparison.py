"""When a new version counts as better, as a table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from worker import packs
from worker.understanding import comparison, corpus, evaluation
from worker.understanding.comparison import Measured, beats


def report(
    accuracy: float = 0.80, recall: float | None = 0.95, ece: float = 0.030, coverage: float = 0.50, mails: int = 900
) -> dict[str, Any]:
    return {
        "mails": mails,
        "intent": {"accuracy": accuracy},
        "must_verify": {"recall": recall},
        "calibration": {"ece": ece},
        "abstaining": {"coverage_at_95_precision": coverage},
    }


@pytest.mark.parametrize(
    ("candidate", "better", "said"),
    [
        pytest.param({}, False, "Neither intent accuracy nor coverage", id="alike"),
        pytest.param({"accuracy": 0.81}, True, "intent accuracy is higher: 81.0 %, before 80.0 %", id="more right"),
        pytest.param({"coverage": 0.51}, True, "coverage at 95 % precision is higher", id="more covered"),
        pytest.param({"recall": 0.96}, False, "Neither", id="only more recall"),
        pytest.param({"accuracy": 0.81, "recall": 0.9499}, False, "recall is lower", id="a reason is missed"),
        pytest.param({"coverage": 0.60, "accuracy": 0.7999}, False, "accuracy is lower", id="less right"),
        pytest.param({"accuracy": 0.81, "coverage": 0.40}, True, "accuracy is higher", id="less covered, more right"),
        pytest.param({"accuracy": 0.81, "ece": 0.040}, True, "accuracy is higher", id="a point less calibrated"),
        pytest.param({"accuracy": 0.81, "ece": 0.0402}, False, "by more than 1 point: 4.0 %", id="worse calibrated"),
        pytest.param({"accuracy": 0.80001}, False, "Neither", id="less than is measured"),
        pytest.param({"accuracy": 0.81, "mails": 901}, False, "measured on different held-out", id="other mails"),
        pytest.param({"accuracy": 0.81, "recall": None}, True, "accuracy is higher", id="nothing to verify"),
    ],
)
def test_on_held_out_mails(candidate: dict[str, Any], better: bool, said: str) -> None:
    found = beats(Measured(report()), Measured(report(**candidate)))
    assert found.better is better
    assert said in " ".join(found.why)


@pytest.mark.parametrize(
    ("on_corrections", "better", "said"),
    [
        pytest.param({}, True, "On the held-out mails (900) intent accuracy is higher", id="alike"),
        pytest.param({"accuracy": 0.79}, False, "On the corrections (120) intent accuracy is lower", id="less right"),
        pytest.param({"recall": 0.90}, False, "On the corrections (120) must-verify recall is lower", id="missed"),
        pytest.param({"ece": 0.05}, False, "On the corrections (120) calibration error", id="worse calibrated"),
    ],
)
def test_what_reviewers_corrected_counts_too(on_corrections: dict[str, Any], better: bool, said: str) -> None:
    running = Measured(report(), report(mails=120))
    found = beats(running, Measured(report(accuracy=0.81), report(**on_corrections, mails=120)))
    assert found.better is better
    assert said in " ".join(found.why)
    assert len(found.rows) == 8


def test_better_on_corrections_alone_is_better() -> None:
    found = beats(Measured(report(), report(mails=20)), Measured(report(), report(accuracy=0.9, mails=20)))
    assert found.better


@pytest.mark.parametrize(
    ("count", "said"),
    [(None, "there are no corrections"), (1, "there is 1 correction"), (19, "there are 19 corrections")],
)
def test_few_corrections_do_not_count_and_that_is_said(count: int | None, said: str) -> None:
    few = {} if count is None else {"corrections": report(accuracy=0.1, mails=count)}
    before = {} if count is None else {"corrections": report(accuracy=0.9, mails=count)}
    found = beats(Measured(report(), **before), Measured(report(accuracy=0.81), **few))
    assert found.better
    assert len(found.rows) == 4
    assert said in found.why[0]


def test_the_table_is_for_people_and_machines() -> None:
    found = beats(Measured(report()), Measured(report(accuracy=0.81, recall=None)))
    assert comparison.from_json(json.loads(json.dumps(comparison.as_json(found)))) == found
    lines = comparison.as_text(found).splitlines()
    assert lines[1].split("  ")[0] == "held-out mails (900)"
    assert lines[1].endswith("better")
    assert lines[2].endswith("not measured")
    assert "The new version is better." in lines


def test_it_reads_what_evaluation_reports() -> None:
    mail = {"lang": "sv", "body": "Soptunnan är inte tömd.", "intent": "waste_collection", "reasons": ["minor"]}
    examples = [corpus.example({**mail, "id": str(number)}, "here") for number in range(3)]
    measured = Measured(evaluation.report(examples, packs.read(packs.shipped())))
    assert [row.verdict for row in beats(measured, measured).rows] == ["equal"] * 4
