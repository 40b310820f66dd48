"""`kommunpost train` and `kommunpost models`: making versions of the model, which there are, and choosing one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from worker.command import FAILED, FOLDER, ROOT, Wrong, database, municipality_file, plainly, say


@click.group(short_help="Versions of the model: list, choose, go back.")
def models() -> None:
    """A trained version is used only after it beat the one in use; going back is one command."""


@contextmanager
def refused() -> Iterator[None]:
    """What a version cannot be used for, in one sentence."""
    from worker.understanding.versions import VersionError

    try:
        yield
    except VersionError as error:
        raise Wrong(str(error), FAILED) from None


@contextmanager
def logged() -> Iterator[None]:
    """With a database configured a choice is written into the event log, or not made at all."""
    from worker import choosing

    if not choosing.has_database():
        yield
        return
    with database():
        from django.db import transaction

        with transaction.atomic():
            yield


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a version, one a line.")
def models_list(as_json: bool) -> None:
    """Every version, the one in use marked with a star. Needs no database.

    Example: kommunpost models list
    """
    from worker import choosing

    with refused():
        told = choosing.listed()
    for version in told:
        if as_json:
            say(version)
        else:
            click.echo(choosing.line_of(version))


@models.command("show")
@click.argument("version")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def models_show(version: str, as_json: bool) -> None:
    """What lies in a version, how it compared, and when it was chosen. VERSION: `shipped`, or the start of its hash.

    Example: kommunpost models show 3f9c
    """
    from worker import choosing

    with refused():
        told = choosing.told(version)
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else choosing.as_text(told))


@models.command("use")
@click.argument("version")
@click.option("--even-if-worse", is_flag=True, help="Though it did not beat the one in use. Needs --reason and --by.")
@click.option("--reason", default="", help="Why, kept in the log.")
@click.option("--by", default="", help="Your user name. Default: the account of the operating system.")
def models_use(version: str, even_if_worse: bool, reason: str, by: str) -> None:
    """Have this version judge mail from now on. Workers take it up with the next mail, without a restart.

    Example: kommunpost models use 3f9c --by elin
    """
    from worker import choosing

    if even_if_worse and not (reason.strip() and by.strip()):
        raise Wrong("--even-if-worse needs --reason and --by: who takes it though it is not better, and why.")
    if reason and not even_if_worse:
        raise Wrong("--reason goes with --even-if-worse.")
    with refused(), logged():
        click.echo(choosing.use(version, by, reason))


@models.command("back")
@click.option("--by", default="", help="Your user name. Default: the account of the operating system.")
def models_back(by: str) -> None:
    """Go back to the version that was in use before. Again and again leads to the shipped one.

    Example: kommunpost models back
    """
    from worker import choosing

    with refused(), logged():
        click.echo(choosing.back(by))


@click.command(short_help="Make a new version of the model.")
@click.option("--corpus", type=FOLDER, default=ROOT / "corpus", help="Folder of labelled mail as JSON Lines.")
@click.option(
    "--corrections/--no-corrections", default=False, help="Take in what reviewers corrected (needs the database)."
)
@click.option(
    "--model",
    "base",
    default="",
    metavar="NAME_OR_FOLDER",
    help="Fine-tune this encoder: `nordic` (the one that the shipped model began with), a folder, or a name on the "
    "Hugging Face hub. Needs `pip install kommunpost[train]` and about an hour. Without it only words are learnt anew.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="How often every mail is seen in fine-tuning.")
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use for fine-tuning.")
@click.option("--bf16/--fp32", default=True, help="Whether this processor can reckon in bf16 (AVX-512 or AMX).")
@click.option("--by", default="", help="Your user name. Default: the account of the operating system.")
@click.option("--output", type=click.Path(path_type=Path), help="Only write the version here; compare and use nothing.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --model: also leave the fine-tuned encoder here in full precision, as transformers has it.",
)
def train(
    corpus: Path,
    corrections: bool,
    base: str,
    epochs: int | None,
    threads: int | None,
    bf16: bool,
    by: str,
    output: Path | None,
    keep: Path | None,
) -> None:
    """Learn from labelled mail, calibrate on other mail, compare with the version in use on held-out mail and on the
    newest corrections, and use the new version if it is better. `kommunpost models back` undoes that.

    Example: kommunpost train --corrections
    """
    from worker import choosing, municipality
    from worker.understanding import comparison, renewal

    with plainly():
        settings = _settings(epochs=epochs, threads=threads, bf16=bf16) if base else None
        pack = municipality.read(municipality_file()).rule_pack()
        if output and corrections:
            raise Wrong("--output leaves a version that nothing is compared with, so it goes without --corrections.")
        if keep and not base:
            raise Wrong("--keep goes with --model: without it no encoder is fine-tuned.")
        encoder = renewal.Encoder(base, settings, keep)
        if output:
            renewal.write(corpus, pack, click.echo, output=output, encoder=encoder)
            click.echo(f"Written to {output}. Measure it with `kommunpost evaluate --model {output}`.")
            return
        taught = _teaching() if corrections else renewal.Teaching()
        version, found = renewal.renew(corpus, pack, click.echo, teaching=taught, encoder=encoder)
    click.echo(comparison.as_text(found))
    if not found.better:
        click.echo(f"Version {version.name} is kept, and not in use.")
        return
    with refused(), logged():
        click.echo(choosing.use(version.name, by, ""))


def _settings(**chosen: Any) -> Any:
    from worker.offline import InputError

    try:
        from worker.understanding.training.finetune import Settings
    except ImportError as error:
        raise InputError(f"Fine-tuning needs {error.name}: pip install kommunpost[train]") from None
    return Settings(**{name: value for name, value in chosen.items() if value is not None})


def _teaching() -> Any:
    from worker.understanding import corpus, renewal

    with database():
        from worker import teaching

        taught = teaching.split(teaching.corrections())
        learn, compare = ([corpus.example(one, one["id"]) for one in part] for part in (taught.rest, taught.last))
        return renewal.Teaching(learn, compare)
