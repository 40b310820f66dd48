"""Making a version of the model, from labelled mail to a folder that serves: small, and with nothing left out."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from rules.national_ids import find
from worker import packs
from worker.offline import InputError
from worker.understanding import Text, corpus, model, renewal, training, understand_texts, versions
from worker.understanding.corpus import Example
from worker.understanding.training import augment, batches, words

PACK = packs.read(packs.shipped())
CORPUS = Path(__file__).resolve().parents[2] / "corpus"


@pytest.fixture(scope="module")
def some_mails() -> list[Example]:
    """Two mails to learn from for each intent and language, and some for the other two parts."""
    parts = corpus.split(corpus.read_folder(CORPUS))
    of_each: dict[tuple[str, str], list[Example]] = defaultdict(list)
    for one in parts.learn:
        of_each[one.intent, one.language].append(one)
    return [*(one for few in of_each.values() for one in few[:2]), *parts.validation[:90], *parts.held_out[:60]]


# ---------------------------------------------------------------- augmentation


@given(seed=some.integers(0, 10_000), number=some.integers(0, 50))
def test_a_hurried_mail_keeps_its_words_hidden_and_its_ages(seed: int, number: int) -> None:
    body = f"Jag är född 1987 och mitt nummer är 19900909-2397. Dottern är {number} år. Ring 0701740605."
    one = corpus.example({"body": body, "intent": "general_inquiry", "lang": "sv"}, "x")
    changed = augment.text(one, random.Random(seed), augment.Chances())
    assert not find(changed)
    assert "2397" not in changed
    assert changed.strip()


def test_a_mail_is_changed_the_same_way_for_the_same_seed_and_otherwise_for_another(some_mails: list[Example]) -> None:
    first, again, later = (augment.texts(some_mails, 0, epoch, augment.Chances()) for epoch in (1, 1, 2))
    assert first == again
    assert first != later


def test_without_chances_mails_stay_as_they_were_written(some_mails: list[Example]) -> None:
    assert augment.texts(some_mails, 0, 1, augment.NONE) == batches.texts(some_mails)


# ---------------------------------------------------------------- batches


@pytest.mark.parametrize("chance", [None, np.random.default_rng(0)])
def test_batches_hold_every_mail_once_and_pad_only_behind(chance: np.random.Generator | None) -> None:
    tokens = [[0, *range(10, 10 + n), 2] for n in range(37)]
    made = list(batches.batches(tokens, 100, padding=1, chance=chance))
    assert sorted(row for batch in made for row in batch.rows.tolist()) == list(range(37))
    for batch in made:
        assert batch.ids.size <= 100
        for row, ids, mask in zip(batch.rows, batch.ids, batch.mask, strict=True):
            assert ids[mask == 1].tolist() == tokens[row]
            assert set(ids[mask == 0].tolist()) <= {1}


def test_a_second_matter_gets_a_part_of_the_firsts_share() -> None:
    content = {"body": "Hej", "lang": "sv", "intent": "a", "secondary": ["b", "unknown"]}
    (row,) = batches.intent_shares([corpus.example(content, "x")], ("a", "b", "c"), 0.2)
    assert row.tolist() == pytest.approx([0.8, 0.2, 0.0])


# ---------------------------------------------------------------- whole versions


def test_the_linear_part_learns_what_it_is_shown(some_mails: list[Example]) -> None:
    intents = batches.intents_of(some_mails)
    fitted = words.fit(some_mails, intents)
    scores = fitted.scores(batches.texts(some_mails))[:, : len(intents)]
    right = scores.argmax(axis=1) == batches.intent_numbers(some_mails, intents)
    assert right.mean() > 0.95


def test_words_are_learnt_anew_and_the_encoder_is_kept(some_mails: list[Example], tmp_path: Path) -> None:
    """What reviewers corrected counts from the next version on; no PyTorch is needed for it."""
    said: list[str] = []
    taught = [corpus.example({"body": "zwyx zwyx", "lang": "sv", "intent": "elderly_care"}, f"c{n}") for n in range(5)]
    folder = training.train(some_mails, tmp_path / "made", PACK, said.append, corrections=taught, corpus_sha256="c0")
    made = model.load(folder, "linear")
    assert (made.card.corpus_sha256, made.card.made["corrections"]) == ("c0", 5)
    assert understand_texts([Text("", "zwyx zwyx")], PACK, made)[0].intent == "elderly_care"
    encoder = "encoder.onnx"
    assert (folder / encoder).read_bytes() == (versions.SHIPPED / encoder).read_bytes()
    assert model.load(folder, "ensemble").predict([]) == []


def test_a_correction_to_an_intent_that_the_encoder_has_not_learnt_is_left_out_and_said(
    some_mails: list[Example], tmp_path: Path
) -> None:
    said: list[str] = []
    taught = [corpus.example({"body": "Min båtplats", "lang": "sv", "intent": "harbour"}, "c1")]
    folder = training.train(some_mails, tmp_path / "made", PACK, said.append, corrections=taught)
    assert "harbour" not in model.read_card(folder).labels.intents
    assert any("has not learnt harbour" in line for line in said)


def test_a_corpus_without_one_of_the_encoders_intents_leaves_its_outputs_in_place(
    some_mails: list[Example], tmp_path: Path
) -> None:
    known = model.read_card(versions.SHIPPED).labels.intents
    fewer = [one for one in some_mails if one.intent != known[0]]
    folder = training.train(fewer, tmp_path / "made", PACK, str)
    assert model.read_card(folder).labels.intents == known


def test_a_rare_intent_is_drawn_whole_beside_common_ones() -> None:
    mails = [corpus.example({"body": "x", "lang": "sv", "intent": "often"}, str(n)) for n in range(300)]
    mails += [corpus.example({"body": "x", "lang": "sv", "intent": "rare"}, f"r{n}") for n in range(3)]
    drawn = batches.drawn_of_each_intent(mails, 100)
    assert sum(one.intent == "rare" for one in drawn) == 3
    assert sum(one.intent == "often" for one in drawn) == 50


def test_no_word_of_a_correction_can_be_read_out_of_a_version(some_mails: list[Example], tmp_path: Path) -> None:
    taught = [
        corpus.example({"body": "Öhrnbladh skrev", "lang": "sv", "intent": "elderly_care"}, f"c{n}") for n in range(9)
    ]
    folder = training.train(some_mails, tmp_path / "made", PACK, str, corrections=taught)
    assert "öhrnbladh" not in str(model.load(folder, "linear").linear.outputs.common_words)


def test_a_corpus_of_which_nothing_is_held_out_is_refused_before_anything_is_learnt(
    some_mails: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOMMUNPOST_DATA", str(tmp_path / "data"))
    line = {"id": "a", "lang": "sv", "body": "Hej", "intent": "elderly_care", "group": "short-1"}
    (tmp_path / "sv.jsonl").write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(InputError, match="is held out to compare on"):
        renewal.renew(tmp_path, PACK, str, teaching=renewal.Teaching(), encoder=renewal.Encoder())
    assert not (tmp_path / "data" / "models").exists()


def test_a_corpus_without_what_the_version_in_use_knows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOMMUNPOST_DATA", str(tmp_path / "data"))
    lines = [
        {"id": str(n), "lang": "sv", "body": f"Hej {n}", "intent": "elderly_care", "group": f"sv-{n}"}
        for n in range(60)
    ]
    (tmp_path / "sv.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with pytest.raises(InputError, match=r"No mail is about building_permit, .* add your mails to a copy"):
        renewal.renew(tmp_path, PACK, str, teaching=renewal.Teaching(), encoder=renewal.Encoder())
    assert not (tmp_path / "data" / "models").exists()


def test_a_new_version_is_registered_with_how_it_compares(
    some_mails: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words from a few hundred mails are no match for the shipped ones, so the shipped version stays in use."""
    monkeypatch.setenv("KOMMUNPOST_CLASSIFIER", "linear")
    monkeypatch.setenv("KOMMUNPOST_DATA", str(tmp_path / "data"))
    folder = tmp_path / "corpus"
    folder.mkdir()
    lines = [
        {
            "id": one.id,
            "lang": one.language,
            "subject": one.subject,
            "body": one.body,
            "intent": one.intent,
            "reasons": list(one.reasons),
            "group": one.group,
        }
        for one in some_mails
    ]
    (folder / "sv.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    version, found = renewal.renew(folder, PACK, str, teaching=renewal.Teaching(), encoder=renewal.Encoder())
    data = versions.data_folder()
    assert versions.find(data, version.name).is_whole
    assert versions.comparison_of(data, version) is not None
    assert found.rows
    assert not found.better
    assert versions.running(data).is_shipped


# ---------------------------------------------------------------- fine-tuning


@pytest.fixture(scope="module")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two small layers that knows nothing yet, as a folder that transformers can load."""
    pytest.importorskip("torch")
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny")
    vocabulary = Tokenizer.from_file(str(versions.SHIPPED / "tokenizer.json"))
    config = BertConfig(
        vocab_size=vocabulary.get_vocab_size(),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        pad_token_id=1,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    vocabulary.save(str(folder / "tokenizer.json"))
    (folder / "LICENCE.txt").write_text("None needed.")
    return folder


@pytest.mark.filterwarnings("ignore")
def test_any_encoder_is_fine_tuned_exported_quantised_and_calibrated(
    tiny_encoder: Path, some_mails: list[Example], tmp_path: Path
) -> None:
    from worker.understanding.training.finetune import Settings

    said: list[str] = []
    settings = Settings(epochs=2, seeds=2, threads=1, bf16=False, rate=1e-3)
    made = training.train(
        some_mails,
        tmp_path / "made",
        PACK,
        said.append,
        base=str(tiny_encoder),
        settings=settings,
        keep=tmp_path / "kept",
    )
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in said if "loss" in line]
    assert len(losses) == 4
    assert losses[1] < losses[0]
    card = model.read_card(made)
    assert card.made["base"] == str(tiny_encoder)
    assert card.made["cosine_to_full_precision"]["mean"] > 0.99
    assert (made / "LICENCE.txt").exists()
    assert (tmp_path / "kept" / "model.safetensors").exists()
    for choice in ("transformer", "ensemble", "cascade"):
        answers = understand_texts(
            [Text(one.subject, one.body) for one in some_mails[:8]], PACK, model.load(made, choice)
        )
        assert len(answers) == 8


@pytest.mark.filterwarnings("ignore")
def test_an_encoder_that_is_not_there_is_named(some_mails: list[Example], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(InputError, match="There is no encoder"):
        training.train(some_mails, tmp_path / "made", PACK, str, base=str(tmp_path / "nowhere"))


def test_dropout_drops_its_share_keeps_the_mean_and_rests_in_service() -> None:
    torch = pytest.importorskip("torch")
    from worker.understanding.training.finetune import Dropout

    torch.manual_seed(0)
    ones, dropout = torch.ones(999, 101), Dropout(0.1)
    dropped = dropout(ones)
    assert float((dropped == 0).float().mean()) == pytest.approx(0.1, abs=0.005)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.005)
    assert torch.equal(dropout.eval()(ones), ones)
