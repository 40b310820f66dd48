"""What a person may do with a draft, and what the product refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from worker import correcting, evidence, replies, review, triage
from worker.models import Approval, Correction, Event, Mail, Mailbox, Outgoing, Revision
from worker.municipality import configured
from worker.review import Changed, Refusal


def approve(mail: Mail, person: User, **given: object) -> Outgoing | None:
    mail.draft.refresh_from_db()
    return review.approve(mail.pk, person, mail.draft.version, given.get("ticked", mail.draft.ticks))  # type: ignore[arg-type]


def state_of(mail: Mail) -> str:
    mail.refresh_from_db()
    return mail.state


@pytest.mark.parametrize(
    "change",
    [{"sender_verified": False}, {"reasons": ["protected_identity"]}, {"reasons": ["threat_or_selfharm"]}],
)
def test_nothing_is_quoted_to_somebody_who_is_not_proven_or_may_be_in_danger(
    waiting: Mail, change: dict[str, Any]
) -> None:
    assert "> Jag fick faktura" in replies.quotation_of(waiting, waiting.draft)
    Mail.objects.update(**change)
    waiting.refresh_from_db()
    assert replies.quotation_of(waiting, waiting.draft) == ""


def test_every_statement_of_a_fresh_draft_has_a_source(waiting: Mail) -> None:
    spans = evidence.spans_of(waiting.draft, configured().rule_pack(), timezone.now())
    assert spans
    assert all(span.verdict.may_leave and span.source for span in spans)


def test_the_draft_answers_with_the_registers_values_in_the_residents_language(waiting: Mail) -> None:
    body = waiting.draft.body.replace("\N{NO-BREAK SPACE}", " ")
    assert "2026-118342" in body
    assert "15 december 2026" in body
    assert "4 386" in body
    assert "högst tre delar" in body, "the article that fits is cited"


def test_approving_puts_the_reply_into_the_outbox_with_the_undo_time(waiting: Mail, alice: User) -> None:
    reply = approve(waiting, alice)
    assert reply is not None
    assert state_of(waiting) == "approved"
    assert (reply.due_at - timezone.now()).total_seconds() == pytest.approx(30, abs=5)
    assert reply.envelope["recipients"] == ["majlis.ekvall@mail.example"]


def test_an_approval_needs_every_tick(waiting: Mail, alice: User) -> None:
    assert "amount_compared" in waiting.draft.ticks
    with pytest.raises(Refusal, match=r"Left to do: .*check"):
        approve(waiting, alice, ticked=[])
    assert state_of(waiting) == "waiting"


def test_an_approval_needs_the_version_that_was_seen(waiting: Mail, alice: User, bob: User) -> None:
    seen = waiting.draft.version
    review.edit(waiting.pk, bob, seen, waiting.draft.body.replace("Hej!", "Hej igen!"))
    with pytest.raises(Changed):
        review.approve(waiting.pk, alice, seen, waiting.draft.ticks)


def test_one_click_approves_once_whatever_the_browser_does(waiting: Mail, alice: User) -> None:
    version, ticks = waiting.draft.version, waiting.draft.ticks
    review.approve(waiting.pk, alice, version, ticks)
    with pytest.raises(Refusal):
        review.approve(waiting.pk, alice, version, ticks)
    assert (Approval.objects.count(), Outgoing.objects.count()) == (1, 1)


def test_a_statement_without_a_source_stops_the_approval(waiting: Mail, alice: User) -> None:
    added = waiting.draft.body + "\n\nDu får inga påminnelseavgifter medan vi utreder."
    review.edit(waiting.pk, alice, waiting.draft.version, added)
    with pytest.raises(Refusal, match="1 statement without a source"):
        approve(waiting, alice)


@pytest.mark.parametrize(
    ("true", "false"),
    [("15 december", "16 december"), ("386", "368"), ("2026-118342", "2026-118343"), ("obetald", "betald")],
)
def test_an_altered_value_stops_the_approval(waiting: Mail, alice: User, true: str, false: str) -> None:
    assert true in waiting.draft.body
    review.edit(waiting.pk, alice, waiting.draft.version, waiting.draft.body.replace(true, false))
    with pytest.raises(Refusal, match="without a source"):
        approve(waiting, alice)


def test_cutting_the_statement_clears_the_way(waiting: Mail, alice: User) -> None:
    sentence = "Du får inga påminnelseavgifter medan vi utreder."
    review.edit(waiting.pk, alice, waiting.draft.version, waiting.draft.body + "\n\n" + sentence)
    waiting.draft.refresh_from_db()
    review.cut(waiting.pk, alice, waiting.draft.version, sentence)
    assert approve(waiting, alice) is not None


def test_taking_responsibility_needs_a_reason_and_is_kept_with_the_name(waiting: Mail, alice: User) -> None:
    sentence = "Vi har ringt dig i dag."
    review.edit(waiting.pk, alice, waiting.draft.version, waiting.draft.body + "\n\n" + sentence)
    waiting.draft.refresh_from_db()
    with pytest.raises(Refusal, match="how you know it"):
        review.own(waiting.pk, alice, waiting.draft.version, sentence, "  ")
    review.own(waiting.pk, alice, waiting.draft.version, sentence, "I phoned her at ten.")
    waiting.draft.refresh_from_db()
    assert waiting.draft.owned == [{"text": sentence, "person": "alice", "reason": "I phoned her at ten."}]
    assert approve(waiting, alice) is not None


def test_nobody_can_own_what_the_gate_holds_back(waiting: Mail, alice: User) -> None:
    sentence = "Vi svarar på majlis.ekvall@mail.example."
    review.edit(waiting.pk, alice, waiting.draft.version, waiting.draft.body + "\n\n" + sentence)
    waiting.draft.refresh_from_db()
    with pytest.raises(Refusal, match="holds back"):
        review.own(waiting.pk, alice, waiting.draft.version, sentence, "It is her own address.")


def test_an_edit_keeps_what_stood_before_and_who_changed_it(waiting: Mail, alice: User) -> None:
    before = waiting.draft.body
    review.edit(waiting.pk, alice, waiting.draft.version, before.replace("Hej!", "Hej Maj-Lis!"))
    kept = Revision.objects.get(draft=waiting.draft)
    assert (kept.body, kept.person) == (before, alice)
    waiting.draft.refresh_from_db()
    assert waiting.draft.first_body == before


def test_an_edit_voids_every_approval(waiting: Mail, alice: User, bob: User) -> None:
    waiting.draft.people = 2
    waiting.draft.save()
    assert approve(waiting, alice) is None, "a second person is due"
    review.edit(waiting.pk, bob, waiting.draft.version, waiting.draft.body.replace("Hej!", "Hej igen!"))
    assert not Approval.objects.filter(voided_at__isnull=True).exists()


def test_two_people_means_two_people(waiting: Mail, alice: User, bob: User) -> None:
    waiting.draft.people = 2
    waiting.draft.save()
    assert approve(waiting, alice) is None
    with pytest.raises(Refusal, match="second person"):
        approve(waiting, alice)
    assert approve(waiting, bob) is not None


def test_the_second_approver_is_not_the_last_editor(waiting: Mail, alice: User, bob: User) -> None:
    review.edit(waiting.pk, bob, waiting.draft.version, waiting.draft.body.replace("Hej!", "Hej igen!"))
    waiting.draft.refresh_from_db()
    review.own(waiting.pk, bob, waiting.draft.version, "Hej igen!", "A greeting.")
    waiting.draft.refresh_from_db()
    waiting.draft.people = 2
    waiting.draft.save()
    assert approve(waiting, alice) is None
    with pytest.raises(Refusal, match="edited this draft last"):
        approve(waiting, bob)


def test_shadow_mode_lets_nothing_leave(waiting: Mail, alice: User) -> None:
    Mailbox.objects.filter(pk=waiting.mailbox_id).update(mode="shadow")
    with pytest.raises(Refusal, match="shadow mode"):
        approve(waiting, alice)


def test_taking_back_returns_the_draft_and_the_log_says_so(waiting: Mail, alice: User) -> None:
    approve(waiting, alice)
    review.take_back(waiting.pk, alice)
    assert state_of(waiting) == "waiting"
    assert not Outgoing.objects.exists()
    assert Event.objects.filter(action="approval taken back", actor="person:alice").exists()
    assert approve(waiting, alice) is not None, "and it can be approved again"


def test_rejecting_needs_a_reason(waiting: Mail, alice: User) -> None:
    with pytest.raises(Refusal, match="what was wrong"):
        review.reject(waiting.pk, alice, waiting.draft.version, [])
    review.reject(waiting.pk, alice, waiting.draft.version, ["tone or language"])
    assert state_of(waiting) == "rejected"
    assert waiting.assignee == alice


def test_a_rejected_draft_can_be_rewritten(waiting: Mail, alice: User) -> None:
    review.reject(waiting.pk, alice, waiting.draft.version, ["tone or language"])
    review.edit(waiting.pk, alice, waiting.draft.version, "Hej!\n\nTack för ditt mejl.")
    assert state_of(waiting) == "waiting"


def test_mail_is_given_only_to_those_who_work_with_the_mailbox(waiting: Mail, alice: User, bob: User) -> None:
    stranger = User.objects.create(username="charlie")
    with pytest.raises(Refusal, match="does not work with this mailbox"):
        review.reassign(waiting.pk, alice, stranger)
    review.reassign(waiting.pk, alice, bob)
    waiting.refresh_from_db()
    assert waiting.assignee == bob


@pytest.mark.django_db(transaction=True)
def test_a_corrected_intent_is_taught_and_drafted_again(
    waiting: Mail, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "triage_later", triage.triage)
    correcting.correct(waiting.pk, alice, "waste_collection", "sv")
    mail = Mail.objects.get(pk=waiting.pk)
    assert (mail.state, mail.intent) == ("waiting", "waste_collection")
    assert "2026-118342" not in mail.draft.body
    taught = Correction.objects.get()
    assert (taught.field, taught.before, taught.after) == ("intent", "invoice_fee", "waste_collection")


def test_only_labels_of_the_pack_can_be_taught(waiting: Mail, alice: User) -> None:
    with pytest.raises(Refusal):
        correcting.correct(waiting.pk, alice, "made_up", "sv")


def test_closing_without_a_reply_needs_a_reason_and_a_name(waiting: Mail, alice: User) -> None:
    with pytest.raises(Refusal):
        review.close(waiting.pk, alice, "")
    review.close(waiting.pk, alice, "answered elsewhere")
    assert state_of(waiting) == "no_reply"
    assert Event.objects.filter(action="closed without a reply", actor="person:alice").exists()


@pytest.mark.parametrize("body", ["", "   \n", "x" * 50_001])
def test_a_text_that_cannot_be_a_reply_is_refused_in_one_sentence(waiting: Mail, alice: User, body: str) -> None:
    with pytest.raises(Refusal):
        review.edit(waiting.pk, alice, waiting.draft.version, body)


def test_restricted_mail_gets_no_draft(
    arrived: Callable[..., Mail], understood_as: Callable[..., None], alice: User
) -> None:
    understood_as(intent="social_support", reasons=("threat_or_selfharm",), entities={})
    mail = arrived()
    triage.triage(mail.pk)
    mail.refresh_from_db()
    assert (mail.state, mail.queue) == ("restricted", "restricted")
    assert not hasattr(mail, "draft")


def test_a_protected_resident_is_restricted_by_the_register_alone(
    arrived: Callable[..., Mail], understood_as: Callable[..., None]
) -> None:
    understood_as(intent="general_inquiry", reasons=(), entities={})
    mail = arrived(sender="Nora Vik <nora.vik@mail.example>")
    triage.triage(mail.pk)
    mail.refresh_from_db()
    assert (mail.state, mail.reasons) == ("restricted", ["protected_identity"])


def test_the_draft_is_the_same_whether_or_not_the_record_exists(
    arrived: Callable[..., Mail], understood_as: Callable[..., None]
) -> None:
    """No oracle: a stranger learns nothing from what the reply says or leaves out."""
    bodies = []
    for number in ("2026-118342", "2026-999999"):
        understood_as(entities={"invoice_no": (number,)})
        mail = arrived(sender="Stranger <stranger@mail.example>")
        triage.triage(mail.pk)
        bodies.append(Mail.objects.get(pk=mail.pk).draft.body)
    assert bodies[0] == bodies[1]


def test_a_register_that_is_down_keeps_the_mail_in_its_place(
    arrived: Callable[..., Mail], understood_as: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from connectors.errors import Transient

    def down(*_: object) -> None:
        raise Transient("The register invoices does not answer.")

    monkeypatch.setattr(triage, "gather", down)
    mail = arrived()
    for _ in range(triage.MOST_ATTEMPTS - 1):
        assert triage.triage(mail.pk) == "understood"
        mail.refresh_from_db()
        assert mail.next_try_at is not None
        Mail.objects.update(next_try_at=timezone.now())
    assert triage.triage(mail.pk) == "needs_attention"


def test_what_fails_unforeseen_is_set_aside_and_said(
    arrived: Callable[..., Mail], understood_as: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError("text of the mail")

    monkeypatch.setattr(triage, "gather", breaks)
    mail = arrived()
    assert triage.triage(mail.pk) == "needs_attention"
    mail.refresh_from_db()
    assert "ZeroDivisionError" in mail.fault
    assert "text of the mail" not in mail.fault


def test_a_task_that_comes_twice_does_nothing_the_second_time(waiting: Mail) -> None:
    version = waiting.draft.version
    assert triage.triage(waiting.pk) is None
    waiting.draft.refresh_from_db()
    assert waiting.draft.version == version
