"""Makes a version of the model: learns, calibrates on mails that nothing learnt from, and writes a folder.

The linear scorer is always fitted anew. The encoder is fine-tuned when one is named, which needs PyTorch; otherwise
the encoder of the running version is kept, if it has one, and calibrated anew beside the new words.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rules.pack import RulePack
from worker.offline import InputError
from worker.understanding import calibration, corpus, evaluation, linear, model
from worker.understanding.calibration import Labels
from worker.understanding.classifier import Reading
from worker.understanding.corpus import Example
from worker.understanding.encoder import ENCODER, HEADS, TOKENIZER
from worker.understanding.encoder import load as load_encoder
from worker.understanding.model import Card
from worker.understanding.training import batches, calibrate, words
from worker.understanding.training.batches import LEARNED_REASONS
from worker.understanding.versions import KIND, SHIPPED

if TYPE_CHECKING:
    from worker.understanding.encoder import Heads
    from worker.understanding.training.finetune import Base, Settings

NAME = "kommunpost"
PAPERS = "*.txt"
"""Where an encoder comes from and on which terms: kept beside it."""
TEXTS_TO_COMPARE = 120

Say = Callable[[str], None]


def train(
    examples: Sequence[Example],
    output: Path,
    pack: RulePack,
    say: Say,
    *,
    corrections: Sequence[Example] = (),
    base: str = "",
    settings: Settings | None = None,
    running: Path = SHIPPED,
    corpus_sha256: str = "",
    keep: Path | None = None,
) -> Path:
    """Writes a version into the empty folder `output`. `base`: an encoder to fine-tune: a folder, a name on the hub, or
    `nordic` for the one that the shipped model began with; empty to keep the running encoder. `keep`: where to leave
    the fine-tuned encoder in full precision, as transformers has it.

    Raises InputError when the base cannot be had.
    """
    parts = corpus.split(examples)
    learn, validation = [*parts.learn, *corrections], list(parts.validation)
    keeps_encoder = not base and (running / ENCODER).is_file()
    if keeps_encoder:
        labels = model.read_card(running).labels
        learn = _known_to_the_encoder(learn, labels, say)
        validation = _known_to_the_encoder(validation, labels, say)
    else:
        labels = Labels(intents=batches.intents_of(learn), reasons=LEARNED_REASONS)
        validation = [one for one in validation if one.intent in labels.intents]
    say(f"Learning from {len(learn)} mails; calibrating on {len(validation)} others.")
    output.mkdir(parents=True, exist_ok=True)
    linear.save(output / model.LINEAR, words.fit(learn, labels.intents, common_from=parts.learn))
    made: dict[str, Any] = {}
    if base:
        made = _tuned(base, learn, parts.held_out, labels, output, settings, say, keep)
    elif keeps_encoder:
        made = _kept(running, output)
    card = _calibrated(output, labels, validation, pack, made)
    facts = {
        "corpus_sha256": corpus_sha256,
        "mails": len(learn),
        # What a kept encoder has learnt from residents' mail it knows on.
        "made": {**made, "corrections": max(len(corrections), made.get("corrections", 0))},
    }
    model.write_card(output, card.model_copy(update=facts))
    return output


def readings(examples: Sequence[Example]) -> list[Reading]:
    return [Reading(text, one.language) for text, one in zip(batches.texts(examples), examples, strict=True)]


def _known_to_the_encoder(learn: Sequence[Example], labels: Labels, say: Say) -> list[Example]:
    known = [one for one in learn if one.intent in labels.intents]
    if len(known) < len(learn):
        new = ", ".join(sorted({one.intent for one in learn} - {*labels.intents}))
        say(f"Left out {len(learn) - len(known)} mails: the encoder has not learnt {new}. Name one with --model.")
    return known


# --- the encoder ------------------------------------------------------------------------------------------------------


def _kept(folder: Path, output: Path) -> dict[str, Any]:
    for name in (ENCODER, TOKENIZER, HEADS):
        shutil.copy(folder / name, output / name)
    _copy_papers(folder, output)
    return model.read_card(folder).made


def _copy_papers(source: Path, output: Path) -> None:
    for paper in source.glob(PAPERS):
        shutil.copy(paper, output / paper.name)


def _tuned(
    base: str,
    learn: Sequence[Example],
    held_out: Sequence[Example],
    labels: Labels,
    output: Path,
    settings: Settings | None,
    say: Say,
    keep: Path | None,
) -> dict[str, Any]:
    """Writes the encoder, its vocabulary and its outputs, and says how they came about. The held-out mails are only
    asked about, with the encoder as it came: a figure for the report that nothing is chosen by."""
    try:
        from worker.understanding.training import export, finetune  # noqa: F401 - both must be there before hours of work
    except ImportError as error:
        raise InputError(f"Fine-tuning needs {error.name}: pip install kommunpost[train]") from None

    settings = settings or finetune.Settings()
    encoder, papers = _base(base)
    start = finetune.outputs_of(encoder, learn, labels.intents)
    as_it_came = _as_it_came(encoder, start, held_out, labels) if held_out else {}
    outputs = finetune.tune(encoder, start, learn, labels.intents, settings, say)
    if keep:
        encoder.save(keep)
        outputs.save(keep / HEADS)
    say("Exporting and quantising …")
    if papers:
        _copy_papers(papers, output)
    exported = _exported(encoder, outputs, learn, labels, output)
    return {"base": base, "prefix": encoder.prefix, "settings": asdict(settings), "as_it_came": as_it_came, **exported}


def _exported(encoder: Base, outputs: Heads, learn: Sequence[Example], labels: Labels, output: Path) -> dict[str, Any]:
    """The centroids of the intents are those of the vectors as they will be in service."""
    from worker.understanding.training import export, heads

    encoder.tokenizer.save(str(output / TOKENIZER), pretty=False)
    exported = export.export(encoder, batches.texts(batches.drawn(learn, TEXTS_TO_COMPARE)), output)
    outputs.save(output / HEADS)
    some = batches.drawn_of_each_intent(learn)
    places = load_encoder(output, encoder.prefix, len(labels.intents)).read(readings(some)).places
    numbers = batches.intent_numbers(some, labels.intents)
    replace(outputs, centroids=heads.centroids(places, numbers, len(labels.intents))).save(output / HEADS)
    return exported


def _as_it_came(encoder: Base, start: Heads, held_out: Sequence[Example], labels: Labels) -> dict[str, Any]:
    vectors = encoder.vectors(batches.texts(held_out))
    scores = start.scores(start.centred(vectors, batches.languages(held_out)))
    return evaluation.of_scores(scores, held_out, labels.intents)


def _base(name: str) -> tuple[Base, Path | None]:
    """The encoder to begin with, and the folder where its papers lie."""
    from worker.understanding.training import base as bases
    from worker.understanding.training.finetune import Base

    prefix = "query:" if name == bases.NAME or "e5" in Path(name).name.lower() else ""
    folder = bases.make(bases.cache()) if name == bases.NAME else Path(name)
    try:
        return Base.load(folder if folder.is_dir() else name, prefix), folder if folder.is_dir() else None
    except (OSError, ValueError) as error:
        raise InputError(f"There is no encoder `{name}` ({type(error).__name__}).") from None


# --- calibration ------------------------------------------------------------------------------------------------------


def _calibrated(
    folder: Path, labels: Labels, validation: Sequence[Example], pack: RulePack, made: dict[str, Any]
) -> Card:
    """A card with every classifier that the files in `folder` allow."""
    read_by = readings(validation)
    scores = {"linear": linear.load(folder / model.LINEAR).scores([one.text for one in read_by])}
    words_alone = calibrate.fit(labels, validation, scores, pack)
    card = Card(name=NAME, version=KIND, labels=labels, classifiers={"linear": words_alone}, corpus_sha256="", mails=0)
    if not made:
        return card
    encoder = load_encoder(folder, made["prefix"], len(labels.intents))
    read = encoder.read(read_by)
    both = {**scores, "transformer": read.scores}
    together = calibrate.fit(labels, validation, both, pack)
    alone = list(calibration.predictions(labels, words_alone, scores))
    nearness = np.asarray(read.places @ encoder.heads.centroids.T)
    encoders = {
        "classifiers": {
            **card.classifiers,
            "transformer": calibrate.fit(labels, validation, {"transformer": read.scores}, pack),
            "ensemble": together,
        },
        "skip": calibrate.skip(
            validation, alone, list(calibration.predictions(labels, together, both)), together.must_verify
        ),
        "prefix": made["prefix"],
        "strange_below": calibrate.strange_below(nearness.max(axis=1)),
        "nearness_temperature": calibrate.temperature(nearness, batches.intent_numbers(validation, labels.intents)),
    }
    return card.model_copy(update=encoders)
