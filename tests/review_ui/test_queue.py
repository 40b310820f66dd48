"""The list: its views, filters and counts, what a row says, and how many questions it puts to the database."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import factories
from tests.factories import Written
from tests.review_ui.conftest import As
from worker import review
from worker.models import Mail, Mailbox


@pytest.fixture
def six(kundcenter: Mailbox, alice: User) -> dict[str, Mail]:
    def made(subject: str, **given: object) -> Mail:
        return factories.mail(kundcenter, Written(subject=subject), **given)  # type: ignore[arg-type]

    mails = {
        "mine": made("Min fråga", reasons=()),
        "verify": made("Klagan"),
        "unsure": made("Vad gäller det", abstained=True, confidence=0.41, reasons=()),
        "finnish": made("Lasku", language="fi", reasons=()),
        "sent": made("Redan skickad"),
        "closed": made("Reklam", reasons=()),
    }
    review.reassign(mails["mine"].pk, alice, alice)
    review.close(mails["closed"].pk, alice, "spam or advertising")
    Mail.objects.filter(pk=mails["sent"].pk).update(state="sent")
    return mails


SUBJECTS = {
    "mine": "Min fråga",
    "verify": "Klagan",
    "unsure": "Vad gäller det",
    "finnish": "Lasku",
    "sent": "Redan skickad",
    "closed": "Reklam",
}


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", {"mine", "verify", "unsure", "finnish"}),
        ("?view=team", {"mine", "verify", "unsure", "finnish"}),
        ("?view=nonsense", {"mine", "verify", "unsure", "finnish"}),
        ("?view=mine", {"mine"}),
        ("?view=unassigned", {"verify", "unsure", "finnish"}),
        ("?view=verify", {"verify"}),
        ("?view=attention", {"unsure"}),
        ("?view=sent", {"sent"}),
        ("?language=fi", {"finnish"}),
        ("?language=fi&view=mine", set()),
        ("?intent=waste_collection", set()),
        ("?state=needs_attention", {"unsure"}),
        ("?state=no_reply", {"closed"}),
        ("?mailbox=kundcenter", {"mine", "verify", "unsure", "finnish"}),
        ("?mailbox=bygg", set()),
        ("?page=999", {"mine", "verify", "unsure", "finnish"}),
        ("?state=%00&language=';--", set()),
    ],
)
def test_each_view_and_filter_shows_its_mail(
    query: str, shown: set[str], six: dict[str, Mail], alice: User, as_person: As
) -> None:
    page = as_person(alice).get(f"/{query}").content.decode()
    assert {name for name, subject in SUBJECTS.items() if f">{subject}</span>" in page} == shown


def test_a_case_is_found_by_its_number_also_when_it_is_closed(six: dict[str, Mail], alice: User, as_person: As) -> None:
    page = as_person(alice).get("/", {"case": six["closed"].case.number.lower()}).content.decode()
    assert ">Reklam</span>" in page
    assert ">Klagan</span>" not in page


def test_the_counts_beside_the_views(six: dict[str, Mail], alice: User, as_person: As) -> None:
    page = as_person(alice).get("/")
    assert {link.view.slug: link.count for link in page.context["links"]} == {
        "team": 4,
        "mine": 1,
        "unassigned": 3,
        "verify": 1,
        "attention": 1,
        "sent": 1,
    }


def test_a_row_says_who_wrote_how_proven_what_about_how_sure_and_in_what_state(
    waiting: Mail, alice: User, as_person: As
) -> None:
    page = as_person(alice).get("/").content.decode()
    for said in (
        "Maj-Lis Ekvall",
        "Sender proven",
        "Invoice or fee",
        "94\u00a0%",
        "Waits for review",
        'title="Swedish">sv',
    ):
        assert said in page, said
    assert "Must verify: fee amount" in page


def test_an_unsure_guess_is_dashed(six: dict[str, Mail], alice: User, as_person: As) -> None:
    assert '<span class="unsure">Invoice or fee?</span>' in as_person(alice).get("/").content.decode()


def test_a_false_sender_is_named_as_such(kundcenter: Mailbox, alice: User, as_person: As) -> None:
    factories.mail(kundcenter, Written(sender='"kundcenter@solvik.example" <betala@elsewhere.example>'))
    assert "Sender looks false" in as_person(alice).get("/").content.decode()


def test_a_mailbox_that_is_not_reached_is_said_on_top(waiting: Mail, alice: User, as_person: As) -> None:
    since = timezone.now() - timedelta(days=2)
    Mailbox.objects.update(fault="The server mail.example does not answer.", fault_since=since)
    page = as_person(alice).get("/").content.decode()
    assert "<b>kundcenter</b>: The server mail.example does not answer." in page


def test_a_mailbox_that_cannot_be_written_to_is_said_on_top(waiting: Mail, alice: User, as_person: As) -> None:
    Mailbox.objects.update(write_back_fault="There is no folder Besvarat: make it.")
    page = as_person(alice).get("/").content.decode()
    assert "<b>kundcenter</b>: There is no folder Besvarat: make it." in page
    assert "Reading and sending go on." in page


@pytest.mark.parametrize("view", ["team", "mine", "unassigned", "verify", "attention", "restricted", "sent"])
def test_an_empty_view_says_so_in_a_sentence(view: str, charlie: User, as_person: As) -> None:
    page = as_person(charlie).get("/", {"view": view})
    assert "Nothing here" in page.content.decode()
    assert str(page.context["view"].empty).endswith(".")


def test_what_a_mail_says_is_never_markup(kundcenter: Mailbox, alice: User, as_person: As) -> None:
    hostile = '<script>alert("x")</script><img src=x onerror=alert(1)>'
    factories.mail(kundcenter, Written(subject=hostile, body=hostile, sender=f'"{hostile[:8]}" <a@mail.example>'))
    page = as_person(alice).get("/").content.decode()
    assert "<script>alert" not in page
    assert "<img" not in page


def test_filtering_with_htmx_answers_with_the_rows_alone(waiting: Mail, alice: User, as_person: As) -> None:
    answer = as_person(alice).get("/?language=sv", headers={"HX-Request": "true"})
    page = answer.content.decode()
    assert page.lstrip().startswith('<div id="rows">')
    assert "<html" not in page
    assert "HX-Request" in answer["Vary"]
    assert "no-store" in answer["Cache-Control"]


def test_fifty_a_page_with_few_questions_to_the_database(kundcenter: Mailbox, alice: User, as_person: As) -> None:
    for number in range(51):
        factories.stored(kundcenter, Written(subject=f"Brev {number:02}"), age=timedelta(minutes=60 - number))
    client = as_person(alice)
    with CaptureQueriesContext(connection) as asked:
        first = client.get("/").content.decode()
    assert len(asked) <= 12
    assert ">Brev 00</span>" in first
    assert ">Brev 50</span>" not in first
    assert ">Brev 50</span>" in client.get("/?view=team&page=2").content.decode()
