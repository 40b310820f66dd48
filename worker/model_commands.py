"""`kommunpost models`: which versions of the model there are, which one is in use, and choosing another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import click

from worker.command import FAILED, Wrong, database, say


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
