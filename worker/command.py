"""What the subcommands of `kommunpost` share: where the configuration lies, and one sentence instead of a traceback."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

ROOT = Path(__file__).resolve().parent.parent
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

FAILED, MISUSED = 1, 2


class Wrong(click.ClickException):
    """One sentence for the user; the work failed (1) or the usage or configuration is wrong (2)."""

    def __init__(self, sentence: str, exit_code: int = MISUSED) -> None:
        super().__init__(sentence)
        self.__dict__["exit_code"] = exit_code

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"kommunpost: {self.message}", err=True)


def say(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


def municipality_file() -> Path:
    return Path(os.environ.get("KOMMUNPOST_MUNICIPALITY", ROOT / "demo" / "municipality.yaml"))


def authserv_ids(given: tuple[str, ...]) -> tuple[str, ...]:
    """The mail servers whose verdict counts: as given, else as configured, else none."""
    if given:
        return given
    from worker import municipality

    path = municipality_file()
    if not path.exists():
        return ()
    return tuple(i for entry in municipality.read(path).mailboxes.values() for i in entry.authserv_ids)


@contextmanager
def plainly() -> Iterator[None]:
    """Turn what is foreseen to go wrong into one sentence."""
    from connectors.errors import ConnectorError
    from rules.pack import PackError
    from worker.municipality import MunicipalityError
    from worker.offline import InputError

    try:
        yield
    except (InputError, MunicipalityError, PackError) as error:
        raise Wrong(str(error)) from None
    except ConnectorError as error:
        raise Wrong(error.sentence, FAILED) from None
    except UnicodeDecodeError:
        raise Wrong("The input is not UTF-8 text. Save it as UTF-8.") from None


def with_database() -> None:
    """Make Django ready. What is missing is said in one sentence that names the setting."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "worker.settings")
    import django
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    from worker.vault import VaultError, vault

    try:
        django.setup()
        vault()
    except ImproperlyConfigured as error:
        raise Wrong(str(error)) from None
    except VaultError as error:
        raise Wrong(f"KOMMUNPOST_STORAGE_KEYS: {error}. Make one with `kommunpost doctor --new-key`.") from None
    from worker.logs import configure

    configure(settings.LOG_LEVEL)


@contextmanager
def database() -> Iterator[None]:
    """Django, and a database that answers."""
    with_database()
    with plainly(), refusals():
        yield


@contextmanager
def refusals() -> Iterator[None]:
    """What the database refuses, in one sentence."""
    from django.db import Error

    try:
        yield
    except Error as error:
        said = str(error).strip().partition("\n")[0].rstrip(".")
        raise Wrong(f"The database refused: {said}. Try `kommunpost doctor`.", FAILED) from None


def migrated() -> None:
    """A half-migrated database refuses to start, before anybody meets a blank page."""
    with database():
        from django.db import connections

        from worker import health

        fault = health.migrations_fault()
        connections.close_all()  # a connection must not be shared with the processes that are forked from here
    if fault:
        raise Wrong(f"{fault.capitalize()}: run `kommunpost migrate`.", FAILED)
