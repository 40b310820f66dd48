"""When no model can be asked, the rules of the pack still speak: what tells of danger lies before authorised staff."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django import db

from rules.lifecycle import MailState
from worker import intake, packs, triage, understanding
from worker.models import Event, Mail

PACK = packs.read(packs.shipped())
HARMLESS = "Hej, när öppnar sporthallen i Ekbacken på söndag?"


@pytest.fixture(params=[OSError, ValueError, ImportError, MemoryError])
def no_model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of what is raised wherever the model is wanted."""

    def broken() -> None:
        raise request.param("no such file: encoder.onnx, asked of Ekbacken")

    monkeypatch.setattr(understanding, "running", broken)
    return str(request.param.__name__)


def triaged(mail: Mail) -> Mail:
    triage.triage(mail.pk)
    mail.refresh_from_db()
    return mail


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("Hej, vi har skyddade personuppgifter. När kommer sopbilen?", "protected_identity"),
        ("Meillä on turvakielto. Milloin jäteauto tulee?", "protected_identity"),
        ("Jag orkar inte leva längre, jag vill dö.", "threat_or_selfharm"),
        ("I am going to kill you all at the town hall.", "threat_or_selfharm"),
    ],
)
def test_danger_is_restricted(no_model: str, arrived: Callable[..., Mail], body: str, reason: str) -> None:
    mail = triaged(arrived(body=body, subject="Hej"))
    assert (mail.state, mail.queue) == (MailState.RESTRICTED, "restricted")
    assert reason in mail.reasons


def test_any_other_mail_comes_before_a_person_without_a_draft(no_model: str, arrived: Callable[..., Mail]) -> None:
    mail = triaged(arrived(body=HARMLESS, subject="Sporthallen"))
    assert (mail.state, mail.queue, mail.intent) == (MailState.NEEDS_ATTENTION, "reviewers", "general_inquiry")
    assert mail.abstained
    assert not hasattr(mail, "draft")
    assert triage.understanding_of(mail).model.name == "none"
    assert mail.fault == triage.NOBODY_ASKED  # not that it is written in another language, which nobody can know


def test_it_is_said_once_in_events_and_log_without_a_word_of_the_mail(
    no_model: str, arrived: Callable[..., Mail], caplog: pytest.LogCaptureFixture
) -> None:
    mail = triaged(arrived(body=HARMLESS, subject="Sporthallen"))
    event = Event.objects.get(action="model could not be asked")
    assert (event.object, event.actor, event.reason) == (f"mail:{mail.pk}", triage.ACTOR, no_model)
    (line,) = [record for record in caplog.records if record.name == triage.__name__]
    assert (line.getMessage(), line.__dict__["mail"], line.__dict__["reason"]) == (
        "model could not be asked",
        mail.pk,
        no_model,
    )
    assert line.exc_info is None
    events = json.dumps(list(Event.objects.values("action", "reason", "payload")))
    assert "Ekbacken" not in f"{events} {line.__dict__}"


def test_a_database_that_fails_is_no_fault_of_the_model(
    arrived: Callable[..., Mail], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise db.OperationalError

    monkeypatch.setattr(triage, "understand", cut_off)
    mail = arrived(body=HARMLESS)
    with pytest.raises(db.OperationalError):
        triage.understood(mail, intake.message_of(mail), PACK)
    assert not Event.objects.filter(action="model could not be asked").exists()


def test_what_is_set_aside_in_the_middle_of_its_way_is_restricted_all_the_same(
    arrived: Callable[..., Mail], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(triage, "gather", breaks)
    mail = triaged(arrived(body="Meillä on turvakielto. Milloin jäteauto tulee?", subject="Hei"))
    assert (mail.state, mail.queue) == (MailState.NEEDS_ATTENTION, "restricted")
    assert "protected_identity" in mail.reasons
    mail = triaged(arrived(body=HARMLESS, subject="Sporthallen"))
    assert (mail.state, mail.queue) == (MailState.NEEDS_ATTENTION, "reviewers")
