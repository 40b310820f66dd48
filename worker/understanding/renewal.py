"""Trains a new version of the model and measures it beside the running one.

No version grades itself: both are measured on held-out mails, and on the newest corrections of reviewers, which the
new one has not learnt from.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rules.pack import RulePack
from worker import understanding
from worker.offline import InputError
from worker.understanding import comparison, corpus, evaluation, model, training, versions
from worker.understanding.comparison import Comparison, Measured
from worker.understanding.corpus import Example
from worker.understanding.training import Say
from worker.understanding.versions import Version

if TYPE_CHECKING:
    from worker.understanding.training.finetune import Settings


@dataclass(frozen=True, slots=True)
class Teaching:
    """What a new version may learn from, beside the corpus, and the corrections that it is only measured on."""

    learn: Sequence[Example] = ()
    compare: Sequence[Example] = ()


@dataclass(frozen=True, slots=True)
class Encoder:
    """What to fine-tune, how, and where to leave it in full precision besides (`training.train`)."""

    base: str = ""
    settings: Settings | None = None
    keep: Path | None = None


def renew(
    folder: Path, pack: RulePack, say: Say, *, teaching: Teaching, encoder: Encoder
) -> tuple[Version, Comparison]:
    """From the corpus in `folder` to a registered version and how it compares with the running one."""
    data = versions.data_folder()
    examples = corpus.read_folder(folder)
    held_out = corpus.split(examples).held_out
    if not held_out:
        raise InputError(f"No mail in {folder} is held out to compare on: a fifth of a few hundred mails would be.")
    _forgets_nothing(examples, _known(data), pack)
    with tempfile.TemporaryDirectory() as name:
        made = _trained(folder, examples, Path(name) / "model", pack, say, teaching, encoder)
        version = versions.register(made, data)
    before = versions.running(data)
    say("Measuring the version in use and the new one on held-out mails …")
    running, candidate = (_measured(one.folder, held_out, teaching.compare, pack) for one in (before, version))
    found = comparison.beats(running, candidate)
    versions.keep_comparison(data, version, before, comparison.as_json(found))
    return version, found


def write(folder: Path, pack: RulePack, say: Say, *, output: Path, encoder: Encoder) -> None:
    """Only trains: the version is left in `output`, which is how the shipped one is made."""
    with tempfile.TemporaryDirectory() as name:
        made = _trained(folder, corpus.read_folder(folder), Path(name) / "model", pack, say, Teaching(), encoder)
        output.mkdir(parents=True, exist_ok=True)
        for path in made.iterdir():
            (output / path.name).write_bytes(path.read_bytes())


def _known(data: Path) -> Sequence[str]:
    return model.read_card(versions.running(data).folder).labels.intents


def _trained(
    folder: Path,
    examples: Sequence[Example],
    output: Path,
    pack: RulePack,
    say: Say,
    teaching: Teaching,
    encoder: Encoder,
) -> Path:
    return training.train(
        examples,
        output,
        pack,
        say,
        corrections=teaching.learn,
        base=encoder.base,
        settings=encoder.settings,
        keep=encoder.keep,
        running=versions.active(versions.data_folder()),
        corpus_sha256=corpus.sha256(folder),
    )


def _forgets_nothing(examples: Sequence[Example], known: Sequence[str], pack: RulePack) -> None:
    """A version that knew one intent only would be right in all held-out mails of that one."""
    gone = {*known} & {*pack.intents} - {one.intent for one in examples}
    if gone:
        raise InputError(
            f"No mail is about {', '.join(sorted(gone))}, which the version in use knows: "
            "add your mails to a copy of the shipped corpus."
        )


def _measured(folder: Path, held_out: Sequence[Example], corrections: Sequence[Example], pack: RulePack) -> Measured:
    loaded = model.load(folder, understanding.configured_choice())
    on_corrections = evaluation.report(corrections, pack, loaded) if corrections else None
    return Measured(evaluation.report(held_out, pack, loaded), on_corrections)
