"""Every address is asked by three: a reviewer of this mailbox, a reviewer of another, and a stranger."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import URLPattern

from review_ui import access
from review_ui.urls import urlpatterns
from tests import factories
from tests.review_ui.conftest import As
from worker.models import Event, Mail, Mailbox

MAIL_ADDRESSES = [pattern for pattern in urlpatterns if "mail_id" in str(pattern.pattern)]
SEEN = {"mail": 200, "open": 302, "state": 200, "attachment": 404}
"""What a reviewer of the mailbox gets by GET: `open` leads on, since the mail is not restricted; it has no attachment."""


def address(pattern: URLPattern, mail: Mail) -> str:
    return "/" + str(pattern.pattern).replace("<int:mail_id>", str(mail.pk)).replace("<int:number>", "0")


@pytest.mark.parametrize("pattern", MAIL_ADDRESSES, ids=lambda pattern: pattern.name)
@pytest.mark.parametrize("method", ["get", "post"])
def test_each_address_of_a_mail_is_asked_by_three(
    pattern: URLPattern, method: str, waiting: Mail, alice: User, bob: User, as_person: As
) -> None:
    where = address(pattern, waiting)
    mine, other, stranger = (getattr(as_person(person), method)(where) for person in (alice, bob, None))
    assert stranger.status_code in (302, 405)
    assert "sign-in" in stranger.get("Location", "sign-in")
    assert other.status_code in (404, 405)
    assert mine.status_code == (SEEN.get(str(pattern.name), 405) if method == "get" else mine.status_code)
    assert mine.status_code not in (403, 500)
    for answer in (other, stranger):
        assert waiting.case.number.encode() not in answer.content
        assert b"Faktura" not in answer.content


def test_the_queue_shows_each_their_own(waiting: Mail, alice: User, bob: User, as_person: As) -> None:
    assert b"Faktura 2026-118342" in as_person(alice).get("/").content
    assert b"Faktura 2026-118342" not in as_person(bob).get("/").content
    assert as_person(None).get("/").status_code == 302


def test_who_is_in_no_mailbox_is_told_why_nothing_is_there(db: None, as_person: As) -> None:
    person = factories.person("dora", "reviewer")
    assert b"You have not been added to any mailbox" in as_person(person).get("/").content


def test_without_a_role_nothing_is_seen(waiting: Mail, kundcenter: Mailbox, as_person: As) -> None:
    person = factories.person("dora")
    kundcenter.people.add(person)
    assert b"You have no role yet" in as_person(person).get("/").content
    assert as_person(person).get(f"/mail/{waiting.pk}/").status_code == 404


ACTS = [
    "edit",
    "cut",
    "own",
    "read-again",
    "approve",
    "take-back",
    "put-back",
    "mark-sent",
    "reject",
    "reassign",
    "correct",
    "close",
]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("roles", [("auditor",), ("auditor", "senior"), ("admin",)], ids=str)
def test_who_only_reads_changes_nothing(
    act: str, roles: tuple[str, ...], waiting: Mail, kundcenter: Mailbox, as_person: As
) -> None:
    person = factories.person("dora", *roles)
    kundcenter.people.add(person)
    before = Event.objects.count()
    assert as_person(person).get(f"/mail/{waiting.pk}/").status_code == 200
    posted = {"version": 1, "reason": "duplicate", "body": "Hej!", "sentence": "Hej!", "content": "x", "to": ""}
    assert as_person(person).post(f"/mail/{waiting.pk}/{act}", posted).status_code == 403
    waiting.refresh_from_db()
    assert (waiting.state, Event.objects.count()) == ("waiting", before)


@pytest.mark.parametrize(
    ("role", "restricted", "acts", "approves"),
    [
        ("clerk", False, True, ""),
        ("reviewer", False, True, "reviewers"),
        ("senior", True, True, "reviewers senior registrar"),
        ("lead", True, True, ""),
        ("registrar", True, True, "registrar"),
        ("auditor", False, False, ""),
        ("admin", True, False, ""),
    ],
)
def test_the_table_of_roles(db: None, role: str, restricted: bool, acts: bool, approves: str) -> None:
    rights = access.rights_of(factories.person("dora", role))
    assert (rights.restricted, rights.acts) == (restricted, acts)
    queues = ("reviewers", "senior", "registrar", "restricted")
    assert [queue for queue in queues if rights.approves(queue)] == approves.split()


def test_a_queue_of_the_municipalitys_own_is_the_reviewers(db: None) -> None:
    assert access.rights_of(factories.person("dora", "reviewer")).approves("water")
    assert not access.rights_of(factories.person("dag", "registrar")).approves("water")


def test_an_auditor_who_is_also_a_senior_reviewer_changes_nothing(db: None) -> None:
    rights = access.rights_of(factories.person("dora", "auditor", "senior"))
    assert not rights.acts
    assert not rights.approves("reviewers")


# --- restricted mail


@pytest.fixture
def restricted(kundcenter: Mailbox) -> Mail:
    written = factories.Written(subject="Jag orkar inte mer", body="Det finns ingen mening.")
    mail = factories.mail(kundcenter, written, intent="social_support", reasons=("threat_or_selfharm",), entities={})
    assert mail.state == "restricted"
    return mail


def test_a_reviewer_does_not_learn_that_a_restricted_mail_exists(restricted: Mail, alice: User, as_person: As) -> None:
    client = as_person(alice)
    assert client.get(f"/mail/{restricted.pk}/").status_code == 404
    for address in ("/", "/?view=restricted", "/?state=restricted", f"/?case={restricted.case.number}"):
        assert restricted.case.number.encode() not in client.get(address).content.replace(
            f'value="{restricted.case.number}"'.encode(), b""
        )


def test_who_may_see_it_gives_a_reason_first_and_the_log_has_it(restricted: Mail, charlie: User, as_person: As) -> None:
    client = as_person(charlie)
    listed = client.get("/?view=restricted").content
    assert restricted.case.number.encode() in listed
    assert b"orkar inte" not in listed
    assert b"Maj-Lis" not in listed

    asked = client.get(f"/mail/{restricted.pk}/", follow=True)
    assert b"Why do you open" in asked.content
    assert b"orkar inte" not in asked.content

    assert client.post(f"/mail/{restricted.pk}/open", {"reason": " "}).status_code == 422
    assert not Event.objects.filter(action="restricted opened").exists()

    shown = client.post(f"/mail/{restricted.pk}/open", {"reason": "I phone her now"}, follow=True)
    assert b"orkar inte" in shown.content
    event = Event.objects.get(action="restricted opened")
    assert (event.actor, event.reason, event.object) == ("person:charlie", "I phone her now", f"mail:{restricted.pk}")


def test_each_person_and_each_sign_in_gives_a_reason_of_its_own(restricted: Mail, charlie: User, as_person: As) -> None:
    as_person(charlie).post(f"/mail/{restricted.pk}/open", {"reason": "I phone her now"})
    assert as_person(charlie).get(f"/mail/{restricted.pk}/").status_code == 302


@pytest.mark.parametrize("path", ["attachment/0", "close", "reassign", "check"])
def test_no_way_leads_past_the_reason(path: str, restricted: Mail, charlie: User, as_person: As) -> None:
    client = as_person(charlie)
    answer = (
        client.get(f"/mail/{restricted.pk}/{path}")
        if "attach" in path
        else client.post(f"/mail/{restricted.pk}/{path}", {"reason": "duplicate"})
    )
    assert answer.status_code in (302, 404)
    restricted.refresh_from_db()
    assert restricted.state == "restricted"


def test_a_closed_restricted_mail_stays_restricted(restricted: Mail, alice: User, charlie: User, as_person: As) -> None:
    client = as_person(charlie)
    client.post(f"/mail/{restricted.pk}/open", {"reason": "I phone her now"})
    client.post(f"/mail/{restricted.pk}/close", {"reason": "answered elsewhere"})
    restricted.refresh_from_db()
    assert restricted.state == "no_reply"
    assert as_person(alice).get(f"/mail/{restricted.pk}/").status_code == 404


def test_a_mail_whose_reasons_will_restrict_it_is_hidden_before_the_registers_have_answered(
    kundcenter: Mailbox, alice: User, charlie: User, as_person: As
) -> None:
    from worker import triage

    row = factories.stored(kundcenter)
    triage.remember_understanding(row, factories.understood("", reasons=("protected_identity",)))
    row.save()
    assert row.state == "understood"
    assert as_person(alice).get(f"/mail/{row.pk}/").status_code == 404
    assert as_person(charlie).get(f"/mail/{row.pk}/").status_code == 302


def test_the_case_history_names_no_restricted_mail(kundcenter: Mailbox, alice: User, as_person: As) -> None:
    first = factories.mail(kundcenter, factories.Written(message_id="<first@mail.example>"))
    factories.mail(
        kundcenter,
        factories.Written(subject="Hemlig rad", answers="<first@mail.example>"),
        reasons=("threat_or_selfharm",),
    )
    assert b"Hemlig rad" not in as_person(alice).get(f"/mail/{first.pk}/").content
