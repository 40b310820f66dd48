"""What reviewers teach: reasons are added at once and taken away only where the model guessed, and all of it is learnt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import SMTP
from typing import Any

import pytest
from django.contrib.auth.models import User

from rules.values import Language
from tests.letters import letter
from worker import again, correcting, intake, review, teaching, triage
from worker.correcting import By
from worker.models import Correction, Event, Mail
from worker.municipality import configured
from worker.review import Refusal
from worker.understanding import corpus
from worker.understanding.features import HIDDEN_ID, readable

pytestmark = pytest.mark.django_db(transaction=True)

Arrived = Callable[..., Mail]
UnderstoodAs = Callable[..., None]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker goes on with a corrected mail as soon as it may."""
    monkeypatch.setattr(review, "triage_later", triage.triage)


def triaged(arrived: Arrived, **given: Any) -> Mail:
    mail = arrived(**given)
    triage.triage(mail.pk)
    mail.refresh_from_db()
    return mail


def with_hidden(words: str) -> bytes:
    mail = message_from_bytes(letter(), policy=SMTP)
    mail.set_content(f"<p>Hej! När är det öppet?</p><p style='display:none'>{words}</p>", subtype="html")
    return bytes(mail)


def correct(mail: Mail, person: User, **taught: Any) -> Mail:
    correcting.correct(mail.pk, person, **{"intent": mail.intent, "language": mail.language, **taught})
    return Mail.objects.get(pk=mail.pk)


def who_gave(mail: Mail) -> dict[str, By]:
    mail = Mail.objects.get(pk=mail.pk)
    found = correcting.given(mail, triage.understanding_of(mail), configured().rule_pack())
    return {one.reason: one.by for one in found}


@pytest.mark.parametrize(
    ("reason", "state", "queue", "tick"),
    [
        ("rights_decision", "waiting", "senior", "no_decision"),
        ("minor", "waiting", "senior", "nothing_personal"),
        ("data_subject_request", "waiting", "registrar", "no_data_disclosed"),
        ("threat_or_selfharm", "restricted", "restricted", None),
        ("protected_identity", "restricted", "restricted", None),
    ],
)
def test_an_added_reason_tightens_the_policy_at_once(
    waiting: Mail, alice: User, reason: str, state: str, queue: str, tick: str | None
) -> None:
    assert waiting.queue == "reviewers"
    mail = correct(waiting, alice, add=[reason])
    assert (mail.state, mail.queue) == (state, queue)
    assert reason in mail.reasons
    assert reason in triage.understanding_of(mail).reasons
    assert tick is None or tick in mail.draft.ticks
    taught = Correction.objects.get()
    assert (taught.field, taught.before, taught.after, taught.person) == ("reason", "", reason, alice)


def test_the_moment_a_reason_is_added_nothing_approved_before_holds(
    waiting: Mail, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    Mail.objects.filter(pk=waiting.pk).update(queue="senior")
    waiting.draft.people = 2
    waiting.draft.save()
    review.approve(waiting.pk, bob, waiting.draft.version, waiting.draft.ticks)
    monkeypatch.setattr(review, "triage_later", lambda mail_id: None)
    mail = correct(waiting, alice, add=["threat_or_selfharm"])
    assert (mail.state, "threat_or_selfharm" in mail.reasons) == ("understood", True)
    assert not mail.draft.approvals.filter(voided_at=None).exists()


def test_what_the_model_guessed_can_be_taken_away_with_a_name(
    arrived: Arrived, understood_as: UnderstoodAs, alice: User
) -> None:
    understood_as(reasons=("fee_amount", "minor"))
    mail = triaged(arrived)
    assert mail.queue == "senior"
    mail = correct(mail, alice, take_away=["minor"])
    assert (mail.state, mail.queue, mail.reasons) == ("waiting", "reviewers", ["fee_amount"])
    taught = Correction.objects.get()
    assert (taught.field, taught.before, taught.after) == ("reason", "minor", "")
    event = Event.objects.get(action="corrected")
    assert (event.actor, event.reason) == ("person:alice", "invoice_fee, sv, -minor")
    assert event.payload == {"reasons_added": [], "reasons_taken_away": ["minor"]}


@pytest.mark.parametrize(
    ("fired", "by"),
    [(("a rule that the pack had once",), "rule"), (None, "rule")],
    ids=["a rule that is gone from the pack", "a rule of the pack"],
)
def test_what_a_rule_gave_stays(
    arrived: Arrived, understood_as: UnderstoodAs, alice: User, fired: tuple[str, ...] | None, by: str
) -> None:
    rule = next(rule for rule in configured().rule_pack().reasons if rule.reason == "media_politics")
    understood_as(reasons=("media_politics",), rules_fired=fired or (rule.name,))
    mail = triaged(arrived)
    with pytest.raises(Refusal, match=f"“media politics” comes from a {by}, so it cannot be taken away"):
        correct(mail, alice, take_away=["media_politics"])
    assert not Correction.objects.exists()
    assert Mail.objects.get().reasons == ["media_politics"]


def test_what_an_id_gave_stays(arrived: Arrived, understood_as: UnderstoodAs, alice: User) -> None:
    from rules.national_ids import find

    understood_as(reasons=("national_id",), national_ids=find("Jag heter 19900909-2397."))
    mail = triaged(arrived)
    with pytest.raises(Refusal, match="comes from an id"):
        correct(mail, alice, take_away=["national_id"])


def test_what_an_id_in_hidden_text_gave_stays_too(arrived: Arrived, understood_as: UnderstoodAs, alice: User) -> None:
    understood_as(reasons=("national_id",), national_ids=())
    mail = triaged(arrived, raw=with_hidden("Jag heter 19900909-2397."))
    assert "2397" in intake.message_of(mail).hidden_text
    assert who_gave(mail) == {"national_id": By.ID}
    with pytest.raises(Refusal, match="comes from an id"):
        correct(mail, alice, take_away=["national_id"])


def test_an_id_that_only_a_colleague_saw_can_be_taken_away_again(waiting: Mail, alice: User, bob: User) -> None:
    mail = correct(waiting, alice, add=["national_id"])
    assert who_gave(mail)["national_id"] == By.PERSON
    assert correct(mail, bob, take_away=["national_id"]).reasons == ["fee_amount"]


def test_what_a_register_says_outlasts_every_correction(
    arrived: Arrived, understood_as: UnderstoodAs, alice: User, bob: User
) -> None:
    understood_as(intent="general_inquiry", reasons=(), entities={})
    mail = triaged(arrived, sender="Nora Vik <nora.vik@mail.example>")
    assert (mail.state, mail.reasons) == ("restricted", ["protected_identity"])
    assert who_gave(mail) == {"protected_identity": By.REGISTER}
    Mail.objects.update(state="needs_attention")
    with pytest.raises(Refusal, match="comes from a register"):
        correct(mail, bob, take_away=["protected_identity"])
    assert correct(mail, bob, add=["minor"]).reasons == ["minor", "protected_identity"]


def test_what_a_colleague_added_can_be_taken_away_again(waiting: Mail, alice: User, bob: User) -> None:
    mail = correct(waiting, alice, add=["minor"])
    assert who_gave(mail)["minor"] == By.PERSON
    mail = correct(mail, bob, take_away=["minor"])
    assert mail.reasons == ["fee_amount"]
    assert who_gave(mail) == {"fee_amount": By.MODEL}


def test_in_another_language_its_rules_are_asked_too(
    arrived: Arrived, understood_as: UnderstoodAs, alice: User
) -> None:
    understood_as(reasons=(), language=Language("da", 0.6), entities={})
    mail = triaged(arrived, body="Hei! Kysyn päiväkodeista.\n\nTerveisin\nPaula Laine, kansanedustaja")
    assert mail.reasons == []
    mail = correct(mail, alice, language="fi")
    assert mail.reasons == ["media_politics"]
    assert who_gave(mail) == {"media_politics": By.RULE}


def test_in_another_language_its_rules_look_at_hidden_text_too(
    arrived: Arrived, understood_as: UnderstoodAs, alice: User
) -> None:
    understood_as(reasons=(), language=Language("da", 0.6), entities={})
    mail = triaged(arrived, raw=with_hidden("Terveisin Paula Laine, kansanedustaja"))
    assert mail.reasons == []
    mail = correct(mail, alice, language="fi")
    assert mail.reasons == ["media_politics"]
    assert who_gave(mail) == {"media_politics": By.RULE}


@pytest.fixture
def foreign(arrived: Arrived, understood_as: UnderstoodAs) -> Mail:
    """In a language that no reply can be drafted in."""
    understood_as(intent="general_inquiry", abstained=True, reasons=(), language=Language("other", 0.9), entities={})
    return triaged(arrived, body="Dzień dobry! Kiedy odbierzecie moje śmieci?")


def test_a_mail_in_none_of_our_languages_stays_so_when_its_intent_is_corrected(foreign: Mail, alice: User) -> None:
    mail = correct(foreign, alice, intent="waste_collection")
    assert (mail.intent, mail.language, mail.abstained) == ("waste_collection", "other", False)
    assert (mail.state, mail.fault) == (
        "needs_attention",
        "The mail is not in a language that replies can be drafted in.",
    )
    assert Correction.objects.get().field == "intent"
    (example,) = teaching.corrections()
    assert corpus.example(example, "here").language == "other"


def test_a_mail_taken_for_a_strange_one_can_be_given_its_language(foreign: Mail, alice: User) -> None:
    mail = correct(foreign, alice, language="sv")
    assert (mail.state, mail.language) == ("waiting", "sv")
    with pytest.raises(Refusal, match="from the lists"):
        correct(mail, alice, language="other")


@pytest.mark.parametrize(
    ("taught", "sentence"),
    [
        ({"add": ["weather"]}, "from the lists"),
        ({"take_away": ["weather"]}, "from the lists"),
        ({"take_away": ["minor"]}, "is no reason of this mail any more"),
        ({"add": ["fee_amount"], "take_away": ["fee_amount"]}, "added and taken away at once"),
    ],
)
def test_what_cannot_be_taught_is_refused_whole(
    waiting: Mail, alice: User, taught: dict[str, list[str]], sentence: str
) -> None:
    with pytest.raises(Refusal, match=sentence):
        correct(waiting, alice, **taught)
    assert Mail.objects.get().state == "waiting"
    assert not Correction.objects.exists()


def test_a_reason_that_stands_already_is_not_added_twice(waiting: Mail, alice: User) -> None:
    assert correct(waiting, alice, add=["fee_amount"]).reasons == ["fee_amount"]
    assert not Correction.objects.exists()


def test_a_guess_that_a_person_confirms_is_taught(
    arrived: Arrived, understood_as: UnderstoodAs, alice: User, bob: User
) -> None:
    understood_as(abstained=True, confidence=0.3)
    mail = triaged(arrived)
    assert mail.state == "needs_attention"
    mail = correct(mail, alice)
    assert (mail.state, mail.abstained) == ("waiting", False)
    correct(mail, bob)
    taught = Correction.objects.get()
    assert (taught.field, taught.before, taught.after, taught.person) == ("intent", mail.intent, mail.intent, alice)
    (example,) = teaching.corrections()
    assert (example["intent"], example["lang"], example["reasons"]) == ("invoice_fee", "sv", ["fee_amount"])


def test_the_history_tells_what_was_confirmed_from_what_was_corrected(
    arrived: Arrived, understood_as: UnderstoodAs, alice: User
) -> None:
    understood_as(abstained=True)
    mail = correct(triaged(arrived), alice)
    correct(mail, alice, intent="waste_collection")
    told = Event.objects.filter(actor="person:alice").order_by("pk").values_list("action", "reason")
    assert list(told) == [("confirmed", "invoice_fee, sv"), ("corrected", "waste_collection, sv")]


def test_a_mail_that_is_read_anew_keeps_the_reasons_that_people_added(waiting: Mail, alice: User) -> None:
    correct(waiting, alice, add=["minor"])
    Mail.objects.update(state="needs_attention")
    again.read_anew(waiting.pk, alice)
    triage.triage(waiting.pk)
    mail = Mail.objects.get()
    assert (mail.state, mail.queue, mail.reasons) == ("waiting", "senior", ["fee_amount", "minor"])


# --- as labelled mail


def test_one_example_a_mail_with_the_newest_labels_of_all_kinds(
    arrived: Arrived, understood_as: UnderstoodAs, alice: User
) -> None:
    understood_as(reasons=("fee_amount", "minor"))
    mail = triaged(arrived, body="Jag heter Maj-Lis, 19900909-2397, och har en fråga om min faktura.")
    mail = correct(mail, alice, intent="waste_collection", add=["media_politics"])
    mail = correct(mail, alice, intent="complaint_appeal", language="nb", take_away=["minor", "media_politics"])
    (example,) = teaching.corrections()
    assert (example["intent"], example["lang"], example["reasons"]) == ("complaint_appeal", "nb", ["fee_amount"])
    assert readable(example["subject"], example["body"]).count(HIDDEN_ID) == 1, "as in service, no id is learnt from"
    assert example["group"] == f"correction-{mail.case_id}"
    assert corpus.example(example, "here").reasons == ("fee_amount",)


def test_what_only_a_register_said_is_no_label_of_the_text(
    arrived: Arrived, understood_as: UnderstoodAs, bob: User
) -> None:
    understood_as(intent="general_inquiry", reasons=(), entities={})
    mail = triaged(arrived, sender="Nora Vik <nora.vik@mail.example>")
    Mail.objects.update(state="needs_attention")
    correct(mail, bob, intent="invoice_fee")
    assert teaching.corrections()[0]["reasons"] == []


def test_mails_stand_in_the_order_in_which_they_were_first_corrected(arrived: Arrived, alice: User) -> None:
    first, second = (arrived(message_id=f"<{n}@mail.example>") for n in (1, 2))
    start = datetime(2026, 11, 20, 8, tzinfo=UTC)
    for hour, mail, intent in ((0, second, "invoice_fee"), (1, first, "invoice_fee"), (2, second, "water_sewer")):
        at = start + timedelta(hours=hour)
        Correction.objects.create(mail=mail, field="intent", before="x", after=intent, person=alice, at=at)
    triage.triage(first.pk)
    triage.triage(second.pk)
    found = teaching.corrections()
    assert [(one["id"], one["intent"]) for one in found] == [
        (f"correction-{second.pk}", "water_sewer"),
        (f"correction-{first.pk}", "invoice_fee"),
    ]


def examples(count: int, *, a_case: int = 1) -> list[dict[str, Any]]:
    return [{"id": str(number), "group": f"case {number // a_case}"} for number in range(count)]


@pytest.mark.parametrize(
    ("count", "asked", "learnt", "kept"),
    [(0, 200, 0, 0), (39, 200, 39, 0), (40, 200, 20, 20), (300, 200, 150, 150), (1000, 200, 800, 200), (50, 10, 50, 0)],
)
def test_the_newest_are_kept_apart_half_at_most_and_never_too_few(
    count: int, asked: int, learnt: int, kept: int
) -> None:
    found = teaching.split(examples(count), asked)
    assert (len(found.rest), len(found.last)) == (learnt, kept)
    assert [one["id"] for one in found.last] == [str(n) for n in range(count - kept, count)]


def test_mails_of_one_case_are_never_on_both_sides() -> None:
    found = teaching.split(examples(90, a_case=4), 30)
    assert not {one["group"] for one in found.rest} & {one["group"] for one in found.last}
    assert len(found.last) == 30


def test_what_was_kept_for_comparing_was_not_learnt_by_any_version_before() -> None:
    """The version in use learnt from the rest of its time; what is compared on today must hold none of that."""
    for before in range(0, 500, 7):
        learnt = {one["id"] for one in teaching.split(examples(before)).rest}
        for now in range(before, 600, 11):
            kept = {one["id"] for one in teaching.split(examples(now)).last}
            assert not learnt & kept or before < 40, "the first few are all learnt from"


def test_what_the_model_said_stays_readable_after_a_correction(
    arrived: Arrived, understood_as: UnderstoodAs, alice: User
) -> None:
    understood_as(abstained=True, confidence=0.3)
    mail = triaged(arrived)
    mail = correct(mail, alice, intent="waste_collection")
    assert (mail.intent, mail.abstained) == ("waste_collection", False)
    assert (mail.guessed_intent, mail.guessed_abstained, mail.confidence) == ("invoice_fee", True, 0.3)
