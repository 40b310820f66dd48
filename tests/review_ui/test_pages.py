"""Signing in and out, pages for what goes wrong, and the two addresses that machines ask."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from review_ui import urls
from tests import factories
from tests.review_ui.conftest import As
from worker import health
from worker.models import Mail


def breaks(request: HttpRequest) -> HttpResponse:
    raise ValueError("Jag fick faktura 2026-118342")


urlpatterns = [*urls.urlpatterns, path("breaks", breaks)]


def test_signing_in_leads_to_the_page_that_was_asked_for(waiting: Mail, alice: User) -> None:
    client = Client()
    asked = client.get(f"/mail/{waiting.pk}/", follow=True)
    assert "Sign in to Kommunpost, Solvik" in asked.content.decode()
    posted = {"username": "alice", "password": factories.PASSWORD, "next": f"/mail/{waiting.pk}/"}
    assert client.post("/sign-in/", posted)["Location"] == f"/mail/{waiting.pk}/"


def test_signing_in_never_leads_elsewhere(alice: User) -> None:
    posted = {"username": "alice", "password": factories.PASSWORD, "next": "https://elsewhere.example/"}
    assert Client().post("/sign-in/", posted)["Location"] == "/"


def test_a_wrong_password_is_said_and_after_many_the_account_rests(alice: User) -> None:
    client = Client()
    answer = client.post("/sign-in/", {"username": "alice", "password": "wrong"})
    assert "do not match" in answer.content.decode()
    for _ in range(8):
        answer = client.post("/sign-in/", {"username": "alice", "password": "wrong"})
    assert answer.status_code == 429
    assert "rests for 15 minutes" in answer.content.decode()
    assert client.post("/sign-in/", {"username": "alice", "password": factories.PASSWORD}).status_code == 429


def test_signing_out_is_a_button_and_ends_the_session(alice: User, as_person: As) -> None:
    client = as_person(alice)
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert client.get("/").status_code == 302


def test_a_page_that_is_not_there(alice: User, as_person: As) -> None:
    answer = as_person(alice).get("/nothing/here")
    assert answer.status_code == 404
    assert "To the inbox" in answer.content.decode()


def test_a_form_from_an_old_page_is_answered_with_what_to_do(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post("/sign-out/")
    assert answer.status_code == 403
    assert "too old to act on" in answer.content.decode()


@override_settings(ROOT_URLCONF=__name__)
def test_an_error_says_that_nothing_was_sent_and_quotes_no_mail(db: None) -> None:
    answer = Client(raise_request_exception=False).get("/breaks")
    page = answer.content.decode()
    assert answer.status_code == 500
    assert "nothing was sent" in page
    assert "118342" not in page


def test_alive_needs_nothing(db: None) -> None:
    assert Client().get("/healthz").json() == {"alive": True}


def test_ready_names_what_fails_and_nothing_more(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECKS", {"database": health.database_fault, "broker": health.broker_fault})
    assert Client().get("/readyz").json() == {"ready": True, "failing": []}
    monkeypatch.setattr(health, "CHECKS", {"database": health.database_fault, "broker": lambda: "secret host is down"})
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "failing": ["broker"]}


@pytest.mark.parametrize("name", ["tokens.css", "kommunpost.css", "screen.js", "icons.svg", "mark.svg"])
def test_stylesheets_script_and_icons_are_served_by_us(db: None, name: str) -> None:
    answer = Client().get(f"/static/review/{name}")
    assert answer.status_code == 200
    answer.close()


def test_every_icon_that_a_page_names_is_drawn() -> None:
    import re
    from pathlib import Path

    room = Path(urls.__file__).parent
    drawn = set(re.findall(r'id="i-(\w+)"', (room / "static/review/icons.svg").read_text()))
    sources = [*room.rglob("*.html"), *room.glob("*.py")]
    named = {name for path in sources for name in re.findall(r'{% icon "(\w+)"', path.read_text())}
    named |= {
        name
        for path in sources
        for name in re.findall(r'(?:Notice|View)\(\s*"\w*",\s*(?:later\([^)]*\),\s*)?"(\w+)"', path.read_text())
    }
    assert named
    assert named <= drawn
