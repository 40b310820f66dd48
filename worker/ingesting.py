"""`kommunpost ingest`: takes mail in now, from a configured mailbox or from files, and triages it on the spot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from connectors.base import Unreadable
from connectors.folder.mailbox import FolderMailbox
from worker import intake, triage
from worker.models import Mailbox
from worker.municipality import configured
from worker.offline import InputError


def ingest(sources: Iterable[str]) -> Iterator[str]:
    """One line a source. Mail from files belongs to the first mailbox of the municipality file."""
    for source in sources:
        mailbox = Mailbox.objects.filter(name=source).first()
        taken = intake.take_in(mailbox) if mailbox else from_files(Path(source))
        for mail_id in taken.mail_ids or ():
            triage.triage(mail_id)
        yield (
            f"{source}: {taken.received} taken in, {taken.known} here already, {taken.unreadable} unreadable"
            + (f"; stopped: {taken.fault}" if taken.fault else "")
        )


def from_files(path: Path) -> intake.Taken:
    if not path.exists():
        raise InputError(f"{path} is neither a configured mailbox nor a file or folder.")
    mailbox = Mailbox.objects.filter(name=next(iter(configured().mailboxes), "")).first()
    if mailbox is None:
        raise InputError("There is no mailbox yet: run `kommunpost migrate` first.")
    taken = intake.Taken(mail_ids=[])
    kept = dict(mailbox.cursor)
    for arrived in FolderMailbox(path).fetch_since({}):
        if isinstance(arrived, Unreadable):
            taken.unreadable += 1
            continue
        mail = intake.store(mailbox, intake.at_cursor(arrived, kept))
        if mail is None:
            taken.known += 1
        else:
            taken.received += 1
            taken.mail_ids = [*(taken.mail_ids or []), mail.pk]
    return taken
