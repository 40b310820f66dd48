"""Checks an installation: one finding a line, with the remedy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from connectors import open_mailbox, open_register
from connectors.base import Finding
from connectors.errors import ConnectorError
from worker import municipality as municipalities
from worker.municipality import MailboxEntry, Municipality, MunicipalityError, RegisterEntry, SecondOpinionEntry

LEAST_FREE_BYTES = 1 << 30
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
NOT_USED: dict[str, frozenset[str]] = {
    "read_only": frozenset({"write back", "send"}),
    "shadow": frozenset({"send"}),
    "sends": frozenset(),
}
"""What a mode of a mailbox does without."""
SECOND_OPINION = "second_opinion"
SETTINGS = ("DATABASE_URL", "REDIS_URL", "KOMMUNPOST_SECRET_KEY", "KOMMUNPOST_STORAGE_KEYS")


def examine() -> Iterator[Finding]:
    """Configuration first, since the rest stands on it. Never raises: what is wrong is a finding."""
    settings = list(_settings())
    yield from settings
    if all(finding.ok for finding in settings):
        yield from _servers()
    yield _clock()
    yield _disk()
    yield from _municipality()


def _settings() -> Iterator[Finding]:
    for name in SETTINGS:
        present = name in os.environ or f"{name}_FILE" in os.environ
        yield Finding(present, f"setting {name}", "" if present else f"set {name} or {name}_FILE; see docs/running.md")


def only(part: str) -> Iterator[Finding]:
    """One part, for a container's health check."""
    settings = [finding for finding in _settings() if not finding.ok]
    if settings:
        yield from settings
        return
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "worker.settings")
    django.setup()
    from worker import health

    if part == "worker":
        yield _found("worker", health.worker_fault, "restart it")
    elif part == "listen":
        yield _found("listener", partial(health.heartbeat_fault, health.LISTENER), "is `kommunpost listen` running?")
    else:
        yield _found("heartbeat", health.heartbeat_fault, "is `kommunpost beat` running, and a worker?")


def _servers() -> Iterator[Finding]:
    import django
    from django.core.exceptions import ImproperlyConfigured

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "worker.settings")
    try:
        django.setup()
        from worker import health
        from worker.vault import vault

        vault()
    except (ImproperlyConfigured, ValueError) as error:
        yield Finding(False, "settings", str(error))
        return
    yield _found("database", health.database_fault, "is it running, and is DATABASE_URL right?")
    if not health.database_fault():
        yield _found("migrations", health.migrations_fault, "run `kommunpost migrate`")
        yield _found("heartbeat", health.heartbeat_fault, "is `kommunpost beat` running, and a worker?")
        if not health.migrations_fault():
            yield from silent_mailboxes()
    yield _found("broker", health.broker_fault, "is it running, and is REDIS_URL right?")
    yield _found("classifier", health.model_fault, "run `kommunpost train`")
    yield _found("version of the classifier", health.version_fault, "run `kommunpost models back`, or train again")


def silent_mailboxes() -> Iterator[Finding]:
    from django.utils import timezone

    from worker import silence
    from worker.models import Mailbox

    names = list(Mailbox.objects.values_list("name", flat=True))
    for silent in silence.of(names, timezone.now()):
        yield Finding(False, f"mailbox {silent.mailbox}", silent.sentence)


def _found(what: str, check: Callable[[], str | None], remedy: str) -> Finding:
    fault = check()
    return Finding(fault is None, what, f"{fault}; {remedy}" if fault else "")


def _clock() -> Finding:
    now = datetime.now(UTC)
    return Finding(
        now >= EARLIEST, f"clock {now:%Y-%m-%d %H:%M} UTC", "" if now >= EARLIEST else "the clock is wrong; turn NTP on"
    )


def _disk() -> Finding:
    folder = Path(os.environ.get("KOMMUNPOST_DATA", "."))
    free = shutil.disk_usage(folder if folder.exists() else Path()).free
    enough = free >= LEAST_FREE_BYTES
    return Finding(
        enough, f"disk {free >> 30} GiB free", "" if enough else "make room: mail is kept whole and needs space"
    )


def _municipality() -> Iterator[Finding]:
    from worker.command import municipality_file

    try:
        municipality = municipalities.read(municipality_file())
        municipality.rule_pack()
    except ValueError as error:
        yield Finding(False, "municipality file", str(error))
        return
    yield Finding(True, f"municipality file, rule pack {municipality.pack}")
    yield from connectors(municipality, None)


def connectors(municipality: Municipality, name: str | None) -> Iterator[Finding]:
    """Each mailbox and register tried as configured. Raises MunicipalityError for a name that is not there."""
    known = [*municipality.mailboxes, *municipality.registers]
    known += [SECOND_OPINION] if municipality.second_opinion else []
    if name is not None and name not in known:
        raise MunicipalityError(f"there is no mailbox or register {name}; there are: {', '.join(known)}")
    for mailbox, box in municipality.mailboxes.items():
        if name in (None, mailbox):
            found = _tried(f"mailbox {mailbox}", partial(_open_mailbox, municipality, box))
            yield from (_in_mode(finding, box) for finding in found)
    for register, entry in municipality.registers.items():
        if name in (None, register):
            yield from _tried(f"register {register}", partial(_open_register, municipality, register, entry))
    if municipality.second_opinion and name in (None, SECOND_OPINION):
        yield from _tried("second opinion", partial(_Adviser, municipality, municipality.second_opinion))


def _in_mode(finding: Finding, box: MailboxEntry) -> Finding:
    """A mailbox in a pilot can do without what its mode does not use: said, but no fault."""
    if finding.ok or finding.needed_to not in NOT_USED[box.mode]:
        return finding
    later = f" Later: {finding.remedy}" if finding.remedy else ""
    return replace(finding, ok=True, remedy=f"Not needed while the mode is {box.mode}.{later}")


def _open_mailbox(municipality: Municipality, entry: MailboxEntry) -> Checked:
    return open_mailbox(entry.kind, municipality.options_of(entry))


def _open_register(municipality: Municipality, name: str, entry: RegisterEntry) -> Checked:
    return open_register(entry.kind, name, municipality.options_of(entry))


@dataclass(frozen=True, slots=True)
class _Adviser:
    """The language model that is asked for a second opinion, tried with the pack of this municipality."""

    municipality: Municipality
    entry: SecondOpinionEntry

    def check(self) -> Iterator[Finding]:
        from worker.understanding.second_opinion import server_of

        yield from server_of(self.municipality, self.entry).check(self.municipality.rule_pack())


class Checked(Protocol):
    def check(self) -> Iterator[Finding]: ...


def _tried(what: str, opened: Callable[[], Checked]) -> Iterator[Finding]:
    try:
        for finding in opened().check():
            yield Finding(finding.ok, f"{what}: {finding.what}", finding.remedy)
    except ConnectorError as error:
        yield Finding(False, what, error.sentence)
    except MunicipalityError as error:
        yield Finding(False, what, str(error))
