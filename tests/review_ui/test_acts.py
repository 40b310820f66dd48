"""Every act through its form: what it does, what is refused at the dock, and that nobody is overwritten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from freezegun import freeze_time

from tests import factories
from tests.review_ui.conftest import As
from worker import review
from worker.models import Approval, Correction, Draft, Event, Mail, Mailbox, Outgoing

Post = Callable[..., Any]
GAP = "Du får inga påminnelseavgifter medan vi utreder."


@pytest.fixture
def client(alice: User, as_person: As) -> Client:
    return as_person(alice)


@pytest.fixture
def post(client: Client, waiting: Mail) -> Post:
    """Post an act on the waiting mail, with the draft's version as the page shows it."""

    def posted(act: str, **fields: object) -> HttpResponse:
        draft = Draft.objects.get(mail=waiting)
        return client.post(f"/mail/{waiting.pk}/{act}", {"version": draft.version, **fields})  # type: ignore[return-value]

    return posted


def content_shown(client: Client, mail: Mail) -> str:
    return str(client.get(f"/mail/{mail.pk}/").context["sheet"].content)


def state_of(mail: Mail) -> str:
    mail.refresh_from_db()
    return mail.state


def body_of(mail: Mail) -> str:
    return Draft.objects.get(mail=mail).body


def test_approve_sends_after_the_undo_time(client: Client, post: Post, waiting: Mail) -> None:
    answer = post("approve", content=content_shown(client, waiting), tick=waiting.draft.ticks)
    assert (answer.status_code, answer["Location"]) == (302, f"/mail/{waiting.pk}/")
    assert state_of(waiting) == "approved"
    assert Approval.objects.get().person.username == "alice"


def test_approve_without_the_ticks_is_refused_at_the_dock(client: Client, post: Post, waiting: Mail) -> None:
    answer = post("approve", content=content_shown(client, waiting))
    assert answer.status_code == 422
    assert "Left to do: 1 check." in answer.content.decode()
    assert state_of(waiting) == "waiting"
    assert not Approval.objects.exists()


def test_approve_of_an_older_version_answers_that_somebody_was_first(
    client: Client, waiting: Mail, charlie: User
) -> None:
    seen, content = waiting.draft.version, content_shown(client, waiting)
    review.edit(waiting.pk, charlie, seen, waiting.draft.body + "\n\nHej igen!")
    answer = client.post(
        f"/mail/{waiting.pk}/approve", {"version": seen, "content": content, "tick": waiting.draft.ticks}
    )
    assert answer.status_code == 409
    assert "Look again" in answer.content.decode()
    assert state_of(waiting) == "waiting"


def test_approve_of_other_content_than_was_shown_answers_the_same(client: Client, post: Post, waiting: Mail) -> None:
    content = content_shown(client, waiting)
    factories.aged(waiting, timedelta(hours=26))
    assert post("approve", content=content, tick=waiting.draft.ticks).status_code == 409
    assert not Outgoing.objects.exists()


def test_values_that_grew_old_while_the_page_was_open_are_read_again_on_approval(
    client: Client, post: Post, waiting: Mail
) -> None:
    content = content_shown(client, waiting)
    with freeze_time(timezone.now() + timedelta(hours=2)):
        assert post("approve", content=content, tick=waiting.draft.ticks).status_code == 302
    assert state_of(waiting) == "approved"


def test_a_value_that_has_changed_meanwhile_is_named_at_the_dock(client: Client, post: Post, waiting: Mail) -> None:
    amount = waiting.facts.get(field="amount")
    amount.value = "4000.00 SEK"
    amount.save()
    factories.aged(waiting, timedelta(hours=2))
    answer = post("approve", content=content_shown(client, waiting), tick=waiting.draft.ticks)
    assert answer.status_code == 422
    assert "invoices amount" in answer.content.decode()
    assert state_of(waiting) == "understood"


def test_two_clicks_approve_once(client: Client, post: Post, waiting: Mail) -> None:
    content = content_shown(client, waiting)
    post("approve", content=content, tick=waiting.draft.ticks)
    assert post("approve", content=content, tick=waiting.draft.ticks).status_code == 422
    assert Approval.objects.count() == 1


@pytest.mark.parametrize(("role", "queue"), [("clerk", "reviewers"), ("lead", "reviewers"), ("reviewer", "senior")])
def test_who_may_not_approve_cannot_by_hand_either(
    role: str, queue: str, client: Client, waiting: Mail, kundcenter: Mailbox, as_person: As
) -> None:
    content = content_shown(client, waiting)
    Mail.objects.update(queue=queue)
    person = factories.person("dora", role)
    kundcenter.people.add(person)
    posted = {"version": waiting.draft.version, "content": content, "tick": waiting.draft.ticks}
    assert as_person(person).post(f"/mail/{waiting.pk}/approve", posted).status_code == 403
    assert state_of(waiting) == "waiting"


def test_take_back_returns_the_draft(client: Client, post: Post, waiting: Mail) -> None:
    post("approve", content=content_shown(client, waiting), tick=waiting.draft.ticks)
    assert post("take-back").status_code == 302
    assert state_of(waiting) == "waiting"


def test_take_back_too_late_is_said(post: Post, waiting: Mail) -> None:
    Mail.objects.update(state="sending")
    answer = post("take-back")
    assert answer.status_code == 422
    assert "cannot be taken back" in answer.content.decode()


def test_edit_saves_the_text_as_written(post: Post, waiting: Mail) -> None:
    written = waiting.draft.body.replace("Hej!", "Hej Maj-Lis!")
    assert post("edit", body=written.replace("\n", "\r\n"), subject="Sv: Faktura").status_code == 302
    waiting.draft.refresh_from_db()
    assert (waiting.draft.body, waiting.draft.subject) == (written, "Sv: Faktura")


@pytest.mark.parametrize("body", ["", "   ", "x" * 50_001])
def test_an_edit_that_is_refused_loses_nothing_that_was_written(post: Post, waiting: Mail, body: str) -> None:
    before = waiting.draft.body
    answer = post("edit", body=body, subject="Sv: Mitt ämne")
    assert answer.status_code == 422
    assert "Sv: Mitt ämne" in answer.content.decode()
    assert body_of(waiting) == before


def test_an_edit_of_an_older_version_is_kept_to_copy_from(client: Client, waiting: Mail, charlie: User) -> None:
    seen = waiting.draft.version
    review.edit(waiting.pk, charlie, seen, waiting.draft.body + "\n\nHej igen!")
    answer = client.post(f"/mail/{waiting.pk}/edit", {"version": seen, "body": "Min egen text <b>", "subject": "x"})
    assert answer.status_code == 409
    assert "Min egen text &lt;b&gt;" in answer.content.decode()
    assert body_of(waiting).endswith("Hej igen!")


def with_a_gap(mail: Mail, person: User) -> None:
    review.edit(mail.pk, person, mail.draft.version, mail.draft.body + f"\n\n{GAP}")


def test_a_statement_without_a_source_has_a_box_with_what_can_be_done(
    client: Client, waiting: Mail, alice: User
) -> None:
    with_a_gap(waiting, alice)
    page = client.get(f"/mail/{waiting.pk}/").content.decode()
    assert 'class="claim none"' in page
    assert "Cut the sentence" in page
    assert "Take responsibility" in page
    assert "statement without a source" in page


def test_cut_takes_the_sentence_out(post: Post, waiting: Mail, alice: User) -> None:
    with_a_gap(waiting, alice)
    assert post("cut", sentence=GAP).status_code == 302
    assert GAP not in body_of(waiting)


def test_a_sentence_over_two_lines_is_cut_although_browsers_send_crlf(post: Post, waiting: Mail, alice: User) -> None:
    review.edit(waiting.pk, alice, waiting.draft.version, waiting.draft.body + "\n\nDen första\nraden gäller inte.")
    assert post("cut", sentence="Den första\r\nraden gäller inte.").status_code == 302
    assert "raden gäller inte" not in body_of(waiting)


def test_own_needs_a_reason_and_shows_the_name_afterwards(
    client: Client, post: Post, waiting: Mail, alice: User
) -> None:
    with_a_gap(waiting, alice)
    refused = post("own", sentence=GAP, reason=" ")
    assert refused.status_code == 422
    assert "Write how you know it, or cut the sentence." in refused.content.decode()
    assert post("own", sentence=GAP, reason="Finance told me at ten.").status_code == 302
    page = client.get(f"/mail/{waiting.pk}/").content.decode()
    assert "Finance told me at ten." in page
    assert 'id="gap-' not in page


def test_the_live_check_tells_what_stands_and_what_does_not_and_saves_nothing(client: Client, waiting: Mail) -> None:
    before = waiting.draft.body
    answer = client.post(f"/mail/{waiting.pk}/check", {"body": before + f"\n\n{GAP}"}, headers={"HX-Request": "true"})
    said = answer.content.decode()
    assert "stand in the sources" in said
    assert GAP in said
    assert "<html" not in said
    assert body_of(waiting) == before


def test_reading_again_makes_old_values_fresh(client: Client, post: Post, waiting: Mail) -> None:
    factories.aged(waiting, timedelta(hours=26))
    assert "26\u00a0h old, limit 24\u00a0h" in client.get(f"/mail/{waiting.pk}/").content.decode()
    assert post("read-again").status_code == 302
    page = client.get(f"/mail/{waiting.pk}/").content.decode()
    assert "old, limit" not in page
    assert post("approve", content=content_shown(client, waiting), tick=waiting.draft.ticks).status_code == 302


def test_reading_again_what_has_changed_drafts_anew_and_keeps_the_text_so_far(post: Post, waiting: Mail) -> None:
    factories.aged(waiting, timedelta(hours=26))
    amount = waiting.facts.get(field="amount")
    amount.value = "4000.00 SEK"
    amount.save()
    before = body_of(waiting)
    assert post("read-again").status_code == 302
    assert state_of(waiting) == "understood"
    assert waiting.draft.revisions.get().body == before
    assert "invoices amount" in Event.objects.get(action="drafted again").reason


def test_reject_needs_a_reason_and_leaves_the_mail_with_the_person(post: Post, waiting: Mail) -> None:
    refused = post("reject")
    assert refused.status_code == 422
    assert "what was wrong" in refused.content.decode()
    assert post("reject", reason=["tone or language", "a fact is wrong"]).status_code == 302
    assert state_of(waiting) == "rejected"
    assert waiting.assignee is not None
    assert waiting.assignee.username == "alice"


def test_hand_over_to_a_colleague_and_back_to_all(post: Post, waiting: Mail, charlie: User) -> None:
    assert post("reassign", to="charlie").status_code == 302
    waiting.refresh_from_db()
    assert waiting.assignee == charlie
    assert post("reassign", to="").status_code == 302
    waiting.refresh_from_db()
    assert waiting.assignee is None


def test_nobody_from_elsewhere_can_be_handed_the_mail(post: Post, waiting: Mail, bob: User) -> None:
    answer = post("reassign", to="bob")
    assert answer.status_code == 422
    assert "does not work with this mailbox" in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_correction_is_kept_and_the_machine_goes_on(client: Client, waiting: Mail) -> None:
    posted = {"intent": "waste_collection", "language": "sv"}
    assert client.post(f"/mail/{waiting.pk}/correct", posted).status_code == 302
    assert state_of(waiting) == "understood"
    assert Correction.objects.get().after == "waste_collection"
    assert "The machine is at work" in client.get(f"/mail/{waiting.pk}/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_mail_in_none_of_our_languages_is_corrected_without_teaching_a_wrong_one(
    client: Client, kundcenter: Mailbox
) -> None:
    mail = factories.mail(kundcenter, language="other", abstained=True)
    assert (
        '<option value="other" selected>Another language</option>' in client.get(f"/mail/{mail.pk}/").content.decode()
    )
    posted = {"intent": "waste_collection", "language": "other"}
    assert client.post(f"/mail/{mail.pk}/correct", posted).status_code == 302
    assert state_of(mail) == "understood"
    assert (Correction.objects.get().field, mail.language) == ("intent", "other")


def test_of_other_mail_nobody_is_offered_a_language_that_is_none(client: Client, waiting: Mail) -> None:
    assert "Another language" not in client.get(f"/mail/{waiting.pk}/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_confirmed_guess_stands_in_the_log_as_confirmed(client: Client, kundcenter: Mailbox) -> None:
    mail = factories.mail(kundcenter, abstained=True)
    assert client.post(f"/mail/{mail.pk}/correct", {"intent": mail.intent, "language": "sv"}).status_code == 302
    assert "</b> confirmed" in client.get(f"/mail/{mail.pk}/").content.decode()


def test_a_reason_that_the_machine_guessed_has_a_box_and_one_of_a_rule_has_none(
    client: Client, kundcenter: Mailbox
) -> None:
    mail = factories.mail(
        kundcenter, factories.Written(body="Mitt nummer är 19900909-2397."), reasons=("fee_amount", "national_id")
    )
    page = client.get(f"/mail/{mail.pk}/").content.decode()
    assert 'name="take_away" value="fee_amount"' in page
    assert 'name="take_away" value="national_id"' not in page
    assert "a number was found, so it stays" in page
    assert 'name="add" value="minor"' in page
    assert 'name="add" value="fee_amount"' not in page


@pytest.mark.django_db(transaction=True)
def test_reasons_are_added_and_taken_away(client: Client, waiting: Mail) -> None:
    posted = {"intent": waiting.intent, "language": "sv", "add": ["minor", "media_politics"], "take_away": "fee_amount"}
    assert client.post(f"/mail/{waiting.pk}/correct", posted).status_code == 302
    assert state_of(waiting) == "understood"
    assert waiting.reasons == ["minor", "media_politics"]
    assert (
        "invoice_fee, sv, +minor, +media_politics, -fee_amount" in client.get(f"/mail/{waiting.pk}/").content.decode()
    )


def test_a_reason_of_a_rule_that_is_taken_away_by_hand_is_refused_at_the_dock(
    client: Client, kundcenter: Mailbox
) -> None:
    mail = factories.mail(kundcenter, factories.Written(body="Mitt nummer är 19900909-2397."), reasons=("national_id",))
    posted = {"intent": mail.intent, "language": "sv", "take_away": "national_id"}
    answer = client.post(f"/mail/{mail.pk}/correct", posted)
    assert answer.status_code == 422
    assert "“national id” comes from an id" in answer.content.decode()
    assert state_of(mail) == "waiting"


@pytest.mark.django_db(transaction=True)
def test_a_reason_that_restricts_leads_away_from_a_page_that_is_no_longer_theirs(
    client: Client, waiting: Mail, charlie: User, as_person: As
) -> None:
    posted = {"intent": waiting.intent, "language": "sv", "add": "threat_or_selfharm"}
    answer = client.post(f"/mail/{waiting.pk}/correct", posted, follow=True)
    assert answer.redirect_chain == [("/", 302)]
    assert "Corrected." in answer.content.decode()
    assert waiting.case.number not in answer.content.decode()
    assert client.get(f"/mail/{waiting.pk}/").status_code == 404
    assert as_person(charlie).get(f"/mail/{waiting.pk}/")["Location"] == f"/mail/{waiting.pk}/open"


@pytest.mark.parametrize("field", ["add", "take_away"])
def test_a_reason_that_is_none_is_refused(field: str, post: Post, waiting: Mail) -> None:
    assert post("correct", intent=waiting.intent, language="sv", **{field: "weather"}).status_code == 422
    assert state_of(waiting) == "waiting"


def test_a_correction_to_a_label_that_is_none_is_refused(post: Post, waiting: Mail) -> None:
    assert post("correct", intent="made_up", language="sv").status_code == 422
    assert state_of(waiting) == "waiting"


def test_close_needs_a_reason_and_says_it_afterwards(client: Client, post: Post, waiting: Mail) -> None:
    assert post("close").status_code == 422
    assert post("close", reason="answered elsewhere").status_code == 302
    page = client.get(f"/mail/{waiting.pk}/").content.decode()
    assert "Closed without a reply." in page
    assert "answered elsewhere" in page


@pytest.mark.parametrize("act", ["edit", "cut", "own", "approve", "reject"])
@pytest.mark.parametrize("version", ["", "0", "-1", "abc", "9" * 40])
def test_a_form_that_our_pages_cannot_have_sent_breaks_nothing(
    act: str, version: str, client: Client, waiting: Mail
) -> None:
    posted = {"version": version, "body": "x", "sentence": "Hej!", "reason": "tone or language", "content": "x"}
    assert client.post(f"/mail/{waiting.pk}/{act}", posted).status_code in (409, 422)
    assert state_of(waiting) == "waiting"
