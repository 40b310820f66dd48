"""Shared mailboxes: access that ended without a word, and a screen that did not say what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from freezegun import freeze_time

from tests.graph_server import GraphServer, graph_server
from tests.letters import letter
from tests.towns import on_graph
from worker import doctor, intake, setting_up, tasks
from worker.celery import app
from worker.models import Event, Mail, Mailbox
from worker.municipality import configured

Screen = Callable[[User], Client]
ENDED = {
    "the secret has expired": ({"number": 7000222, "error": "invalid_client"}, "make a new one for the application"),
    "the secret was exchanged": ({"number": 7000215, "error": "invalid_client"}, "give the value of the secret"),
    "the application is gone": ({"number": 700016, "error": "unauthorized_client"}, "correct client_id"),
}


@pytest.fixture(autouse=True)
def graph(tmp_path: Path, settings: Any) -> Iterator[GraphServer]:
    with graph_server(tmp_path) as server:
        settings.MUNICIPALITY = on_graph(tmp_path, server, timeout_s=5)
        yield server


@pytest.fixture(autouse=True)
def tasks_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.conf, "task_always_eager", True)


def note_on(client: Client, **query: str) -> str:
    """What the queue says on top of the one mailbox there is; empty when all is well."""
    return " ".join(fault.sentence for fault in client.get("/", query).context["faults"])


@pytest.mark.parametrize("ended", ENDED)
def test_token_death_alarms_within_five_minutes(
    ended: str, graph: GraphServer, kundcenter: Mailbox, alice: User, screen: Screen
) -> None:
    """Renewing the token failed, the logs stayed clean, and for ten days nobody noticed."""
    tasks.poll_all()
    kundcenter.refresh_from_db()
    assert kundcenter.fault == ""
    assert note_on(screen(alice)) == ""
    refusal, remedy = ENDED[ended]
    graph.token_faults = refusal
    graph.withdraw_tokens()
    graph.deliver(letter())
    the_clock_turns(minutes=5)
    kundcenter.refresh_from_db()
    assert remedy in kundcenter.fault
    assert kundcenter.fault == note_on(screen(alice))
    assert Event.objects.filter(object=f"mailbox:{kundcenter.pk}", action="mailbox fault").count() == 1
    said = [finding.remedy or finding.what for finding in doctor.connectors(configured(), "kundcenter")]
    assert any(remedy in sentence for sentence in said)
    assert Mail.objects.count() == 0

    graph.token_faults = {}
    the_clock_turns(minutes=5, later=timedelta(days=1))
    kundcenter.refresh_from_db()
    assert kundcenter.fault == note_on(screen(alice)) == ""
    assert Mail.objects.count() == 1, "and no mail was lost by it"
    assert all(finding.ok for finding in doctor.connectors(configured(), "kundcenter"))


def the_clock_turns(minutes: int, later: timedelta = timedelta(0)) -> None:
    """The readings that so many minutes bring: one a minute, unless the product puts one off."""
    start = timezone.now() + later
    every_s = float(app.conf.beat_schedule["read the mailboxes"]["schedule"])
    for number in range(int(minutes * 60 // every_s)):
        with freeze_time(start + timedelta(seconds=number * every_s), tick=True):
            tasks.poll_all()


@pytest.mark.parametrize("role", ["clerk", "senior", "auditor"])
def test_sign_in_again_is_always_on_screen(role: str, graph: GraphServer, kundcenter: Mailbox, screen: Screen) -> None:
    """The notice that access had ended came and went, and the way to renew it was nowhere on the screen."""
    person = setting_up.create_user("dora", "x", [role], ["kundcenter"], "Dora Dahl", check=False)
    graph.token_faults = {"number": 7000222, "error": "invalid_client"}
    intake.take_in(kundcenter)
    for days in (0, 9):
        with freeze_time(timezone.now() + timedelta(days=days), tick=True):
            client = screen(person)
            for link in client.get("/").context["links"]:
                said = note_on(client, view=link.view.slug, language="fi", mailbox="kundcenter")
                assert "put it in client_secret" in said, f"not in the view {link.view.slug}"
                page = client.get("/", {"view": link.view.slug}).content.decode()
                assert said in page
                assert "not reached" in page
