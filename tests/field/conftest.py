"""Two mailboxes, colleagues and mail in the database, and letters that only misfortune writes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from connectors.base import Fetched
from tests.servers import Dovecot, SmtpServer
from tests.towns import on_real_servers
from tests.worker.conftest import (  # noqa: F401
    alice,
    arrived,
    bob,
    kundcenter,
    norrvik,
    sent_folder,
    understood_as,
    waiting,
)
from worker import deliver, intake, review, setting_up, triage
from worker.models import Mail, Mailbox, Outgoing
from worker.municipality import configured

Arrived = Callable[..., Mail]
Triaged = Callable[..., Mail]
_numbers = count(1)


@pytest.fixture
def bygg(kundcenter: Mailbox) -> Mailbox:  # noqa: F811
    return Mailbox.objects.get(name="bygg")


@pytest.fixture
def lead(kundcenter: Mailbox) -> User:  # noqa: F811
    return setting_up.create_user("lotta", "x", ["lead"], ["kundcenter"], "Lotta Lind", check=False)


@pytest.fixture
def folder(kundcenter: Mailbox) -> Path:  # noqa: F811
    """What lies in kundcenter's mailbox, each file a mail."""
    path = Path(str(configured().options_of(configured().mailboxes["kundcenter"])["path"]))
    path.mkdir(parents=True, exist_ok=True)
    for old in path.iterdir():
        old.unlink()
    return path


@pytest.fixture
def on_imap(tmp_path: Path, inbox: Dovecot, smtp: SmtpServer, settings: object, kundcenter: Mailbox) -> Dovecot:  # noqa: F811
    """kundcenter is an inbox on a real IMAP server."""
    settings.MUNICIPALITY = on_real_servers(tmp_path, inbox, smtp)  # type: ignore[attr-defined]
    return inbox


@pytest.fixture
def triaged(arrived: Arrived, understood_as: Callable[..., None]) -> Triaged:  # noqa: F811
    """A mail that was taken in and brought as far as the machine may."""

    def bring(raw: bytes | None = None, **given: str) -> Mail:
        mail = arrived(raw, **given)
        triage.triage(mail.pk)
        mail.refresh_from_db()
        return mail

    return bring


@pytest.fixture
def answered(waiting: Mail, alice: User, sent_folder: Path) -> Mail:  # noqa: F811
    """Maj-Lis has her reply."""
    review.approve(waiting.pk, alice, waiting.draft.version, waiting.draft.ticks)
    Outgoing.objects.filter(mail=waiting).update(due_at=timezone.now() - timedelta(seconds=1))
    assert deliver.deliver(waiting.pk) == "sent"
    waiting.refresh_from_db()
    return waiting


@pytest.fixture
def screen() -> Callable[[User], Client]:
    def of(person: User) -> Client:
        client = Client()
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return of


@pytest.fixture
def database_refuses(db: None) -> Callable[[str, str], None]:
    """Make the database refuse rows of a table that fit a condition, as a full or broken one would."""

    def refuse(table: str, condition: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "create function refuse_it() returns trigger language plpgsql as $$ begin "
                f"if {condition} then raise exception 'refused' using errcode = '22000'; end if; return new; end $$"
            )
            cursor.execute(
                f"create trigger refuses before insert or update on {table} for each row execute function refuse_it()"
            )

    return refuse


def database_takes_all_again(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"drop trigger refuses on {table}")


def came_to(mailbox: Mailbox, raw: bytes) -> Mail | None:
    """The same letter as a connector of that mailbox hands it over."""
    arrived_at = datetime(2026, 11, 20, 8, tzinfo=UTC)
    return intake.store(mailbox, Fetched(f"{mailbox.name}/{next(_numbers)}", raw, arrived_at, {}))


def bounce(given_back: bytes, *, number: int = 1) -> bytes:
    """What a mail server says when it could not deliver (RFC 3464), with the headers of the mail it gives back."""
    head = given_back.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    lines = [
        "From: Mail Delivery System <MAILER-DAEMON@mx.mail.example>",
        "To: kundcenter@norrvik.example",
        "Subject: Undelivered Mail Returned to Sender",
        f"Message-ID: <bounce.{number}@mx.mail.example>",
        "Auto-Submitted: auto-replied",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=part",
        "",
        "--part",
        "",
        "Your message could not be delivered.",
        "--part",
        "Content-Type: message/delivery-status",
        "",
        "Action: failed",
        "Status: 5.1.1",
        "--part",
        "Content-Type: text/rfc822-headers",
        "Content-Transfer-Encoding: base64",
        "",
        base64.encodebytes(head).decode("ascii").replace("\n", "\r\n") + "--part--",
        "",
    ]
    return "\r\n".join(lines).encode()
