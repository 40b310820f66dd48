"""Headers that anybody can write do not take a mail that tells of danger away from a person."""

from __future__ import annotations

import pytest

from connectors.base import Fetched
from rules.lifecycle import MailState
from tests import factories
from tests.hostile.attacks import LANGUAGES, TECHNIQUES, mails
from worker import intake, triage
from worker.models import Mail

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("technique", ["machine_headers", "list_headers"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_danger_comes_before_a_person_whatever_wrote_it(language: str, technique: str) -> None:
    assert triaged(f"{language}-danger", technique).state == MailState.RESTRICTED


def test_other_mail_of_a_machine_ends_without_a_reply() -> None:
    assert triaged("sv-waste", "machine_headers").state == MailState.NO_REPLY


def triaged(name: str, technique: str) -> Mail:
    raw = TECHNIQUES[technique](mails()[name].letter, "").as_bytes()
    mail = intake.store(factories.mailbox(), Fetched(f"remote/{name}", raw, None, {}))
    assert mail is not None
    triage.triage(mail.pk)
    mail.refresh_from_db()
    return mail
