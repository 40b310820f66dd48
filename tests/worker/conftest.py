"""Mailboxes, colleagues and mail in the database, made through the doors that the product itself uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from connectors.base import Fetched
from rules.values import Language, ModelVersion, Understanding
from tests.letters import letter
from worker import intake, setting_up, triage
from worker.models import Mail, Mailbox
from worker.municipality import configured

TOWN = Path(__file__).resolve().parent.parent / "norrvik" / "municipality.yaml"

INVOICE = Understanding(
    language=Language("sv", 0.99),
    intent="invoice_fee",
    confidence=0.95,
    alternatives=(),
    abstained=False,
    secondary=(),
    reasons=("fee_amount",),
    entities={"invoice_no": ("2026-118342",)},
    national_ids=(),
    model=ModelVersion("by hand", "1", "0" * 64),
    rules_fired=(),
)


@pytest.fixture(autouse=True)
def norrvik(settings: Any) -> None:
    settings.MUNICIPALITY = TOWN


@pytest.fixture
def understood_as(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Fix what a mail is about: these tests are about what happens next, not about the classifier."""

    def fix(**changes: Any) -> None:
        monkeypatch.setattr(triage, "understand", lambda message, pack: replace(INVOICE, **changes))

    fix()
    return fix


@pytest.fixture
def kundcenter(db: None) -> Mailbox:
    list(setting_up.take_over_mailboxes(configured()))
    return Mailbox.objects.get(name="kundcenter")


@pytest.fixture
def alice(kundcenter: Mailbox) -> User:
    return setting_up.create_user("alice", "x", ["reviewer"], ["kundcenter"], "Alice Ask", check=False)


@pytest.fixture
def bob(kundcenter: Mailbox) -> User:
    return setting_up.create_user("bob", "x", ["senior"], ["kundcenter"], "Bob Björk", check=False)


@pytest.fixture
def arrived(kundcenter: Mailbox) -> Callable[..., Mail]:
    """A mail taken in the way a connector hands it over."""
    numbers = iter(range(1, 10_000))

    def arrive(raw: bytes | None = None, **given: Any) -> Mail:
        number = next(numbers)
        fetched = Fetched(f"r{number}", raw or letter(**given), datetime(2026, 11, 20, 8, tzinfo=UTC), {"n": number})
        mail = intake.store(kundcenter, fetched)
        assert mail is not None
        return mail

    return arrive


@pytest.fixture
def waiting(arrived: Callable[..., Mail], understood_as: Callable[..., None]) -> Mail:
    """Maj-Lis asks about her invoice; the draft waits for review."""
    mail = arrived()
    triage.triage(mail.pk)
    mail.refresh_from_db()
    assert mail.state == "waiting", mail.fault
    return mail


@pytest.fixture
def sent_folder() -> Path:
    folder = Path(str(configured().options_of(configured().mailboxes["kundcenter"])["sent_path"]))
    for path in folder.glob("*") if folder.exists() else ():
        path.unlink()
    return folder
