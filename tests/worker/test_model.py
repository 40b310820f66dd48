"""Versions of the model and the classifiers in them: chosen by name, in two steps, with intents known by examples."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rules.pack import Intent, RulePack
from worker import packs, understanding
from worker.understanding import Text, model, understand_texts, versions
from worker.understanding.classifier import Reading

PACK = packs.read(packs.shipped())
READINGS = [
    Reading("Soptunnan är inte tömd på tre veckor, sopbilen körde förbi", "sv"),
    Reading("Haluan valittaa päätöksestä, joka koski lapseni koulupaikkaa", "fi"),
    Reading("Tak for hjælpen!", "da"),
    Reading("Dear Sir, we offer SEO services at a low price. Unsubscribe here.", "en"),
]
BERTHS = [
    "Hej, jag har stått i kö till en båtplats i tre år, hur länge till?",
    "Kan jag byta min båtplats mot en med djupare vatten? Båten är ny och sticker 1,8 m.",
    "Bommen vid min plats på brygga C har lossnat, båten slår mot bryggan.",
    "When do the boats have to be out of the harbour in autumn?",
    "Venepaikka, saako sen siirtää pojalle?",
    "Hva koster en gjesteplass i havna for en uke i juli?",
    "Min motorbåt ligger på fel plats sedan bryggan flyttades.",
    "Min bådplads er blevet taget af en anden, hvem ringer jeg til?",
    "Får man övernatta i båten i hamnen?",
    "Jeg vil si opp båtplassen min fra nyttår.",
]
WITH_BERTHS = PACK.model_copy(
    update={
        "sha256": "berths",
        "intents": {
            **PACK.intents,
            "harbour": Intent(title="Harbour", about="berths, boats, jetties", examples=BERTHS),
        },
    }
)


@pytest.mark.parametrize("choice", ["linear", "transformer", "ensemble", "cascade"])
def test_every_classifier_gives_probabilities_and_its_name(choice: str) -> None:
    judge = model.load(versions.SHIPPED, choice)
    assert judge.version.name == f"kommunpost-{choice}"
    for said in judge.predict(READINGS):
        assert sum(said.intents.values()) == pytest.approx(1)
        assert all(0 <= p <= 1 for p in (*said.reasons.values(), said.must_verify))


def test_the_linear_one_needs_no_encoder(tmp_path: Path) -> None:
    for name in (versions.MANIFEST, model.LINEAR):
        shutil.copy(versions.SHIPPED / name, tmp_path / name)
    assert model.load(tmp_path, "linear").predict(READINGS)


def test_an_unknown_classifier_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no classifier `oracle`, only .*cascade"):
        model.load(versions.SHIPPED, "oracle")


def test_a_name_that_is_no_classifier_is_found_by_the_check_too() -> None:
    with pytest.raises(ValueError, match=r"no classifier `oracle`, only .*linear"):
        model.check(versions.SHIPPED, "oracle")


@pytest.mark.parametrize("name", ["linear.npz", "heads.npz", "tokenizer.json", "encoder.onnx"])
@pytest.mark.parametrize("damage", ["empty", "cut", "other"])
def test_a_damaged_file_is_a_model_that_cannot_be_read(name: str, damage: str, tmp_path: Path) -> None:
    for path in versions.SHIPPED.iterdir():
        shutil.copy(path, tmp_path / path.name)
    whole = (tmp_path / name).read_bytes()
    content = {"empty": b"", "cut": whole[: len(whole) // 2], "other": b'{"version": 1}'}
    (tmp_path / name).write_bytes(content[damage])
    with pytest.raises(ValueError, match=r"\w"):
        model.load(tmp_path, "ensemble")


def test_a_model_of_another_release_is_refused(tmp_path: Path) -> None:
    card = model.read_card(versions.SHIPPED).model_copy(update={"version": "2"})
    model.write_card(tmp_path, card)
    with pytest.raises(ValueError, match=f"a model of kind 2, this program reads kind {versions.KIND}"):
        model.load(tmp_path)


def test_a_card_that_cannot_be_read_names_its_fault(tmp_path: Path) -> None:
    (tmp_path / versions.MANIFEST).write_text('{"name": 1}')
    with pytest.raises(ValueError, match="is not the card of a model: see name"):
        model.load(tmp_path)


def test_the_cascade_says_what_one_of_its_two_steps_says() -> None:
    linear, both, cascade = (
        model.load(versions.SHIPPED, c).predict(READINGS) for c in ("linear", "ensemble", "cascade")
    )
    assert all(said in (one, other) for said, one, other in zip(cascade, linear, both, strict=True))


def test_the_configured_classifier_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(understanding.CLASSIFIER, "linear")
    assert understanding.model_version().name == "kommunpost-linear"


def of(body: str, pack: RulePack) -> understanding.Understanding:
    return understand_texts([Text("", body)], pack)[0]


@pytest.mark.parametrize(
    "body",
    [
        "Moi, veneeni paikka laiturilla B on liian kapea uudelle veneelle. Voiko vaihtaa leveämpään?",
        "Hei, jeg lurer på om båtplassen min på brygge A blir ledig i sommer, for jeg har solgt båten.",
        "Hello, the jetty is moving and my boat has a scratch. Who looks after the berths?",
    ],
)
def test_an_intent_that_no_model_has_learnt_is_known_by_its_examples(body: str) -> None:
    said = of(body, WITH_BERTHS)
    assert "harbour" in (said.intent, *(one.intent for one in said.alternatives[:2]))


def test_other_mail_stays_where_it_was_when_an_intent_is_added() -> None:
    body = "Hej, ni har inte tömt min soptunna på tre veckor. När kommer sopbilen? Kärlet är fullt."
    assert of(body, WITH_BERTHS).intent == of(body, PACK).intent == "waste_collection"


@pytest.mark.parametrize(
    "body",
    [
        "lkjsdf wqeoiu zxcmnb qpwoei asdlkj mnzbxc qwpoe alskdj zmxncb qpwoei",
        "Once upon a time there was a dragon who lived in a cave and guarded a heap of gold.",
        "Vispa ägg och socker poröst, vänd ner mjölet och grädda i 175 grader i 40 minuter.",
        "1. e4 e5 2. Nf3 Nc6 3. Bb5 a6 4. Ba4 Nf6 5. O-O Be7 6. Re1 b5 7. Bb3 d6 8. c3 O-O",
    ],
)
def test_what_resembles_no_mail_is_left_to_a_person(body: str) -> None:
    assert of(body, PACK).abstained


def test_no_mail_is_read_twice_for_an_intent_known_by_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = model.load(versions.SHIPPED, "ensemble")
    understand_texts([Text("", "Hej")], WITH_BERTHS, judge)
    asked: list[int] = []
    assert judge.encoder
    read = judge.encoder.read
    monkeypatch.setattr(judge.encoder, "read", lambda batch: asked.append(len(batch)) or read(batch))
    understand_texts([Text("", "Bommen vid bryggan har lossnat"), Text("", "Tack!")], WITH_BERTHS, judge)
    assert asked == [2]
