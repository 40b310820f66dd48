"""Reading labelled mail, splitting it, and measuring."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from worker import packs
from worker.offline import InputError
from worker.understanding import corpus, evaluation

PACK = packs.read(packs.shipped())
CORPUS = Path(__file__).resolve().parents[2] / "corpus"
MAIL = {"id": "x-1", "lang": "sv", "subject": "Sopor", "body": "Soptunnan är inte tömd.", "intent": "waste_collection"}


def written(folder: Path, *mails: Any) -> Path:
    path = folder / "labelled.jsonl"
    path.write_text("\n".join(m if isinstance(m, str) else json.dumps(m) for m in mails), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "line 2 is not JSON"),
        ("[]", "line 2 must be an object"),
        ({**MAIL, "intent": None}, "line 2: `intent` is missing"),
        ({**MAIL, "lang": "de"}, "line 2: `lang` must be one of"),
        ({**MAIL, "reasons": ["weather"]}, "line 2: there is no reason `weather`"),
        ({**MAIL, "reasons": "minor"}, "line 2: `reasons` must be a list of texts"),
        ({**MAIL, "entities": []}, "line 2: `entities` must be an object"),
        ({**MAIL, "national_ids": [1]}, "line 2: a national id must be"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: Any, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        evaluation.evaluate(written(tmp_path, MAIL, line), PACK)


def test_national_ids_may_be_texts_or_objects(tmp_path: Path) -> None:
    body = "Jag är 19900909-2397"
    as_text = {**MAIL, "body": body, "national_ids": ["19900909-2397"]}
    as_object = {**MAIL, "body": body, "national_ids": [{"kind": "se.personnummer", "value": "19900909-2397"}]}
    found = evaluation.evaluate(written(tmp_path, as_text, as_object), PACK)
    assert found["national_ids"] == {"wanted": 2, "recall": 1.0, "precision": 1.0}


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no labelled mail"):
        evaluation.evaluate(written(tmp_path), PACK)


def test_a_report_can_be_read_by_people_and_machines(tmp_path: Path) -> None:
    found = evaluation.evaluate(written(tmp_path, MAIL, {**MAIL, "id": "x-2"}), PACK)
    assert json.loads(json.dumps(found)) == found
    assert "intent accuracy" in evaluation.as_text(found)


def test_no_group_stands_on_two_sides() -> None:
    examples = corpus.read_folder(CORPUS)
    parts = corpus.split(examples)
    sides = (parts.learn, parts.validation, parts.held_out)
    assert sum(map(len, sides)) == len(examples)
    groups = [{one.group for one in side} for side in sides]
    assert not any(a & b for a, b in combinations(groups, 2))
    whole = [[one for one in side if not corpus.is_short(one)] for side in sides]
    assert [round(len(side) / sum(map(len, whole)), 1) for side in whole] == [0.7, 0.1, 0.2]


def test_a_growing_corpus_never_moves_a_mail_across() -> None:
    examples = corpus.read_folder(CORPUS)
    of_few, of_all = corpus.split(examples[::7]), corpus.split(examples)
    for part in ("learn", "validation", "held_out"):
        assert {one.id for one in getattr(of_few, part)} <= {one.id for one in getattr(of_all, part)}


@pytest.mark.parametrize(
    ("pairs", "coverage"),
    [
        ([(0.9, True), (0.8, True), (0.1, False)], 0.6667),
        ([(0.9, False), (0.8, True)], 0.0),
        ([(0.9, True)] * 19 + [(0.5, False)], 1.0),
    ],
)
def test_coverage_counts_the_surest_mails_that_are_right(pairs: list[tuple[float, bool]], coverage: float) -> None:
    assert evaluation.coverage_at(pairs) == coverage
