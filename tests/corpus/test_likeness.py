"""No mail that is learnt from repeats one that is held out."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.understanding import corpus, likeness

CORPUS = Path(__file__).resolve().parents[2] / "corpus"


@pytest.mark.timeout(600)
def test_no_two_mails_across_the_split_are_alike() -> None:
    found = likeness.pairs(corpus.read_folder(CORPUS), likeness.ALIKE)
    assert [(pair.first, pair.second) for pair in found if pair.across] == []


def test_likeness_is_the_share_of_common_pieces() -> None:
    letters = ["Hej, soptunnan är full!", "Hej,  soptunnan är FULL!", "Hej, soptunnan är tom!", "Något helt annat här."]
    examples = [
        corpus.example({"id": str(n), "lang": "sv", "body": body, "intent": "waste_collection"}, "here")
        for n, body in enumerate(letters)
    ]
    found = {(pair.first, pair.second): pair.likeness for pair in likeness.pairs(examples, 0.1)}
    assert found["0", "1"] == 1.0
    a, b = likeness.pieces(letters[0]), likeness.pieces(letters[2])
    assert round(found["0", "2"], 4) == round(len(a & b) / len(a | b), 4)
    assert not any("3" in pair for pair in found)


def test_pairs_are_counted_within_and_across_the_split() -> None:
    pairs = [
        likeness.Pair("a", "b", 0.9, across=False),
        likeness.Pair("a", "c", 0.5, across=True),
        likeness.Pair("b", "c", 0.45, across=False),
    ]
    assert likeness.counts(pairs) == [("at least 0.6", "1", "0"), ("at least 0.45", "2", "1")]
