"""The shipped encoder in service: stretches of long mails, the same answer alone and in a batch, broken files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from worker.understanding import encoder, model, versions
from worker.understanding.classifier import Reading
from worker.understanding.encoder import MOST_TOKENS, MOST_WINDOWS, Encoder, Pieces

CARD = model.read_card(versions.SHIPPED)
FILLER = "Tack för en fin höst på biblioteket och för alla trevliga stunder i läsecirkeln. " * 400


@pytest.fixture(scope="module")
def pieces() -> Pieces:
    return Pieces(Tokenizer.from_file(str(versions.SHIPPED / encoder.TOKENIZER)), CARD.prefix)


@pytest.fixture(scope="module")
def shipped() -> Encoder:
    return encoder.load(versions.SHIPPED, CARD.prefix, len(CARD.labels.intents))


def test_a_short_text_is_one_stretch_between_the_marks_of_the_vocabulary(pieces: Pieces) -> None:
    whole = Tokenizer.from_file(str(versions.SHIPPED / encoder.TOKENIZER)).encode(f"{CARD.prefix} Hej, soptunnan!").ids
    assert pieces.windows(["Hej, soptunnan!"]) == [[whole]]
    assert pieces.firsts(["Hej, soptunnan!"]) == [whole]


def test_nothing_is_a_stretch_too(pieces: Pieces) -> None:
    assert len(pieces.windows([""])[0]) == 1


def test_of_a_long_text_the_first_stretches_and_the_last_are_read(pieces: Pieces) -> None:
    (windows,) = pieces.windows([FILLER + "Hejdå!"])
    assert len(windows) == MOST_WINDOWS
    assert all(len(window) == MOST_TOKENS for window in windows)
    (ending,) = pieces.firsts(["Hejdå!"])
    assert windows[-1][-3:] == ending[-3:]


@pytest.mark.parametrize("letters", ["åäöÅÄÖæøÆØéüß", "€§½–…“”", "Ωλ", "Привет", "مرحبا"])
def test_every_letter_of_europe_is_known(letters: str) -> None:
    vocabulary = Tokenizer.from_file(str(versions.SHIPPED / encoder.TOKENIZER))
    assert "<unk>" not in vocabulary.encode(letters).tokens


def test_a_mail_gets_the_same_answer_alone_and_in_a_batch(shipped: Encoder) -> None:
    batch = [Reading("Soptunnan är inte tömd", "sv"), Reading(FILLER, "sv"), Reading("", "other"), Reading("Hi", "en")]
    together = shipped.read(batch)
    for number, one in enumerate(batch):
        alone = shipped.read([one])
        np.testing.assert_array_equal(alone.scores[0], together.scores[number])
        np.testing.assert_array_equal(alone.places[0], together.places[number])


def test_an_empty_batch_is_no_fault(shipped: Encoder) -> None:
    assert shipped.read([]).scores.shape == (0, CARD.labels.outputs)


def test_what_speaks_for_a_reason_is_looked_for_in_every_stretch(shipped: Encoder) -> None:
    threat = "Jag orkar inte leva längre och jag har redan samlat tabletterna. Det blir i natt."
    any_reason = CARD.labels.outputs - 1
    behind, harmless = shipped.read([Reading(FILLER + threat, "sv"), Reading(FILLER, "sv")]).scores[:, any_reason]
    assert behind > harmless


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=encoder.ENCODER):
        encoder.load(tmp_path, "", 18)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    for path in versions.SHIPPED.iterdir():
        shutil.copy(path, tmp_path / path.name)
    (tmp_path / encoder.ENCODER).write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="not a model that onnxruntime can read"):
        model.load(tmp_path, "transformer")
    np.savez(tmp_path / encoder.HEADS, other=np.zeros(3))
    with pytest.raises(ValueError, match="is missing"):
        encoder.load_heads(tmp_path / encoder.HEADS)
