"""The page of weeks: who sees it, which mail it counts, and when it says that a week is off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import count
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from freezegun import freeze_time

from review_ui import access, drift
from tests import factories
from tests.review_ui.conftest import As
from worker import events
from worker.models import Case, Correction, Mail, Mailbox
from worker.municipality import configured

NOW = datetime(2026, 11, 19, 12, tzinfo=UTC)
_numbers = count(1)


@pytest.fixture(autouse=True)
def on_a_thursday() -> Iterator[None]:
    with freeze_time(NOW):
        yield


@pytest.fixture
def lena(kundcenter: Mailbox) -> User:
    person = factories.person("lena", "lead", full_name="Lena Lind")
    kundcenter.people.add(person)
    return person


def came_in(box: Mailbox, weeks_ago: int, how_many: int, intent: str = "invoice_fee", **fields: Any) -> list[Mail]:
    """Mail that was understood so many weeks ago, on the Tuesday."""
    at = NOW - timedelta(weeks=weeks_ago, days=2)
    case, _ = Case.objects.get_or_create(number=f"X-{box.pk}", mailbox=box, defaults={"opened_at": at})
    return Mail.objects.bulk_create(
        Mail(
            mailbox=box,
            case=case,
            remote_id=str(number := next(_numbers)),
            fingerprint=str(number),
            sha256="0" * 64,
            size=1,
            raw=b"",
            received_at=at,
            taken_in_at=at,
            state_since=at,
            state="sent",
            **{
                "intent": intent,
                "guessed_intent": intent,
                "guessed_abstained": number % 5 == 0,
                "confidence": 0.75 + number % 3 / 10,
                **fields,
            },
        )
        for _ in range(how_many)
    )


def steady(box: Mailbox, per_week: int = 50) -> None:
    for weeks_ago in range(20):
        came_in(box, weeks_ago, per_week - 10)
        came_in(box, weeks_ago, 10, "waste_collection")


def page_for(person: User) -> dict[str, Any]:
    return drift.page(access.rights_of(person), configured().rule_pack(), timezone.now())


@pytest.mark.parametrize(
    ("roles", "status"),
    [
        (("clerk",), 403),
        (("reviewer",), 403),
        (("senior",), 403),
        (("registrar",), 403),
        ((), 403),
        (("lead",), 200),
        (("auditor",), 200),
        (("admin",), 200),
        (("reviewer", "lead"), 200),
    ],
    ids=str,
)
def test_lead_auditor_and_admin_see_it_and_find_the_way(
    roles: tuple[str, ...], status: int, kundcenter: Mailbox, as_person: As
) -> None:
    person = factories.person("dora", *roles)
    kundcenter.people.add(person)
    client = as_person(person)
    assert client.get("/drift/").status_code == status
    assert (b'href="/drift/"' in client.get("/").content) is (status == 200)
    assert as_person(None).get("/drift/").status_code == 302
    assert client.post("/drift/").status_code in (403, 405)


def test_steady_weeks_are_said_to_be_steady(kundcenter: Mailbox, lena: User, as_person: As) -> None:
    steady(kundcenter)
    page = as_person(lena).get("/drift/").content.decode()
    assert "Neither this week nor the last lies more than three standard errors" in page
    assert "style=" not in page
    assert page.count("<rect") == 12 * (3 + len(configured().rule_pack().intents))


def test_with_no_earlier_week_nothing_is_called_steady(kundcenter: Mailbox, lena: User, as_person: As) -> None:
    came_in(kundcenter, 0, 40, "waste_collection")
    page = as_person(lena).get("/drift/").content.decode()
    assert "Too little mail to compare yet" in page
    assert "three standard errors" not in page


def test_a_week_that_lies_off_is_named_with_its_figures(kundcenter: Mailbox, lena: User, as_person: As) -> None:
    steady(kundcenter)
    came_in(kundcenter, 1, 30, "streets_traffic")
    page = as_person(lena).get("/drift/").content.decode()
    assert "Off from the eight weeks before" in page
    assert "37.5\u00a0% of 80 mails, in the eight weeks before 0.0\u00a0%" in page
    assert '<rect class="off"' in page
    assert 'aria-label="off"' in page


def test_an_older_week_is_marked_and_no_longer_warned_of(kundcenter: Mailbox, lena: User) -> None:
    steady(kundcenter)
    came_in(kundcenter, 5, 60, "waste_collection", guessed_abstained=False)
    found = page_for(lena)
    assert not [sentence for sentence in found["warnings"] if "week 42" in sentence.lower()]
    waste = next(one for one in found["intents"] if one.cells[6].off)
    assert [cell.off for cell in waste.cells].index(True) == 6


def test_a_share_of_corrections_warns_only_when_it_rises(kundcenter: Mailbox, lena: User) -> None:
    steady(kundcenter)
    for mail in Mail.objects.filter(received_at__lt=NOW - timedelta(weeks=1)).order_by("pk")[::3]:
        Correction.objects.create(mail=mail, field="reason", after="minor", person=lena, at=NOW)
    found = page_for(lena)
    assert found["warnings"] == []
    assert found["measures"][2].usual != "–"
    assert found["measures"][2].cells[5].text in ("32.0\u00a0%", "34.0\u00a0%")


def test_a_guess_that_was_confirmed_is_not_counted_as_corrected(kundcenter: Mailbox, lena: User) -> None:
    confirmed, corrected, *_ = came_in(kundcenter, 1, 40)
    for mail, after in ((confirmed, "invoice_fee"), (corrected, "invoice_fee"), (corrected, "water_sewer")):
        Correction.objects.create(mail=mail, field="intent", before="invoice_fee", after=after, person=lena, at=NOW)
    assert page_for(lena)["measures"][2].cells[-2].text == "2.5\u00a0%"


def test_what_is_counted_is_what_the_model_said_before_it_was_corrected(kundcenter: Mailbox, lena: User) -> None:
    came_in(kundcenter, 0, 30, intent="waste_collection", guessed_intent="invoice_fee", abstained=False)
    titles = {one.title: one.newest for one in page_for(lena)["intents"]}
    pack = configured().rule_pack()
    assert titles[pack.intents["invoice_fee"].title] == "100.0\u00a0%"
    assert titles[pack.intents["waste_collection"].title] == "0.0\u00a0%"


def test_only_mail_that_the_person_may_see_is_counted(
    kundcenter: Mailbox, lena: User, bob: User, as_person: As
) -> None:
    auditor = factories.person("dora", "auditor")
    kundcenter.people.add(auditor)
    came_in(kundcenter, 0, 30)
    came_in(kundcenter, 0, 7, reasons=["threat_or_selfharm"])
    came_in(Mailbox.objects.get(name="bygg"), 0, 100)
    came_in(kundcenter, 0, 5, guessed_intent="")
    assert page_for(lena)["mails"] == 37
    assert page_for(auditor)["mails"] == 30


def test_mail_of_a_label_that_has_left_the_pack_is_still_counted(kundcenter: Mailbox, lena: User) -> None:
    came_in(kundcenter, 0, 30, "an_old_label")
    assert page_for(lena)["intents"][0].title == "an old label"


def test_without_any_mail_the_page_says_so(lena: User, as_person: As) -> None:
    assert "No mail has been understood in these weeks" in as_person(lena).get("/drift/").content.decode()


def test_without_a_mailbox_nothing_is_counted(kundcenter: Mailbox, as_person: As) -> None:
    came_in(kundcenter, 0, 30)
    person = factories.person("dora", "admin")
    assert page_for(person)["mails"] == 0


def test_two_questions_to_the_database_whatever_the_amount(kundcenter: Mailbox, lena: User) -> None:
    steady(kundcenter)
    rights = access.rights_of(lena)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        drift.page(rights, configured().rule_pack(), timezone.now())
    assert len(asked) == 2
    assert all("GROUP BY" in query["sql"] for query in asked)


@pytest.mark.parametrize("day", ["2026-10-29", "2026-04-02", "2027-01-05"], ids=["winter time", "summer time", "year"])
def test_weeks_are_those_of_the_town_across_a_change_of_the_clock(kundcenter: Mailbox, lena: User, day: str) -> None:
    with freeze_time(f"{day}T12:00:00Z"):
        now = timezone.now()
        for weeks_ago in range(6):
            made = came_in(kundcenter, 0, 1)
            # a quarter of an hour into the Monday by the town's clock
            monday = timezone.localtime(now) - timedelta(days=timezone.localtime(now).weekday(), weeks=weeks_ago)
            Mail.objects.filter(pk=made[0].pk).update(received_at=monday.replace(hour=0, minute=15))
        assert [week.mails for week in page_for(lena)["weeks"]][-6:] == [1] * 6


def test_versions_put_to_use_meanwhile_are_told(
    kundcenter: Mailbox, lena: User, as_person: As, settings: Any, tmp_path: Any
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    settings.DATA = tmp_path
    (models / "chosen.jsonl").write_text(
        '{"at": "2026-11-17T08:00:00+00:00", "version": "%s", "by": "elin", "reason": ""}\n' % ("ab" * 32)
        + '{"at": "2025-11-17T08:00:00+00:00", "version": "shipped", "by": "long ago", "reason": ""}\n'
        + '{"at": "yesterday", "version": "shipped", "by": "odd", "reason": ""}\n'
    )
    page = as_person(lena).get("/drift/").content.decode()
    assert "version abababababab, by elin" in page
    assert "long ago" not in page
    assert "by odd" not in page


def test_what_was_guessed_before_the_column_was_there_is_taken_from_the_events(kundcenter: Mailbox) -> None:
    mail = came_in(kundcenter, 0, 1, guessed_intent="", guessed_abstained=False)[0]
    for intent in ("water_sewer", "waste_collection"):
        said = {"intent": intent, "abstained": intent == "waste_collection"}
        events.record("mail understood", f"mail:{mail.pk}", actor="model:given@1", **said)
    migration = import_module("worker.migrations.0004_reasons_taught_and_what_was_guessed")
    with connection.cursor() as cursor:
        cursor.execute(migration.FROM_THE_EVENTS)
    mail.refresh_from_db()
    assert (mail.guessed_intent, mail.guessed_abstained) == ("waste_collection", True)
