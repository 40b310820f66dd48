"""Faults that a hostile reading of the house found: races, crash points, and what slipped past a gate."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.base import Envelope, Fetched
from connectors.errors import ConnectorError, Transient
from connectors.folder.mailbox import FolderMailbox
from rules.values import Span, Verdict
from tests.letters import letter
from worker import correcting, deliver, events, evidence, intake, review, sweeper, triage
from worker.models import Approval, Event, Mail, Mailbox, Outgoing, Passage
from worker.municipality import configured
from worker.review import Refusal
from worker.setting_up import SetUpError, create_user


def state_of(mail: Mail) -> str:
    return Mail.objects.get(pk=mail.pk).state


def make_due(mail: Mail) -> None:
    Outgoing.objects.filter(mail=mail).update(due_at=timezone.now() - timedelta(seconds=1))


@pytest.fixture
def approved(waiting: Mail, alice: User, sent_folder: Path) -> Mail:
    """Approved, and the undo time is over."""
    review.approve(waiting.pk, alice, waiting.draft.version, waiting.draft.ticks)
    make_due(waiting)
    return waiting


class Line:
    """An outgoing mail server that does what a test says while the reply is on its way."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile = meanwhile
        self.accepted = 0

    def send(self, raw: bytes, envelope: Envelope) -> None:
        self.accepted += 1
        self.meanwhile()

    def file_sent(self, raw: bytes) -> None: ...

    def replies_to(self, message_id: str) -> frozenset[str]:
        return frozenset()

    def was_sent(self, message_id: str) -> bool:
        return False


# --- what happens while a reply is on its way


def test_what_a_colleague_did_while_the_reply_was_on_its_way_stands(
    approved: Mail, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(lambda: review.reassign(approved.pk, alice, bob))
    monkeypatch.setattr(deliver, "connector_for", lambda *_: line)
    assert deliver.deliver(approved.pk) == "sent"
    assert Mail.objects.get(pk=approved.pk).assignee == bob


def test_what_a_colleague_did_while_the_reply_was_refused_stands(
    approved: Mail, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile() -> None:
        review.reassign(approved.pk, alice, bob)
        raise Transient("Not now.")

    monkeypatch.setattr(deliver, "connector_for", lambda *_: Line(meanwhile))
    assert deliver.deliver(approved.pk) == "approved"
    assert Mail.objects.get(pk=approved.pk).assignee == bob


def test_a_yes_that_comes_after_the_lease_ran_out_still_counts(approved: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_slow() -> None:
        deliver.expire_leases(timezone.now() + timedelta(hours=1))

    monkeypatch.setattr(deliver, "connector_for", lambda *_: Line(too_slow))
    assert deliver.deliver(approved.pk) == "sent"
    moves = Event.objects.filter(object=f"mail:{approved.pk}").order_by("pk").values_list("from_state", "to_state")
    assert list(moves)[-2:] == [("sending", "unsure"), ("unsure", "sent")]


def test_a_new_lease_is_not_taken_for_the_one_that_ran_out(approved: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep listed an old lease; before it came to the row the reply had been taken up again."""
    deliver._take_lease(Mail.objects.get(pk=approved.pk))
    soon = timezone.now() + timedelta(hours=1)
    expired = Outgoing.objects.filter(lease_until__lt=soon).values_list("mail_id", flat=True)
    listed = list(expired)
    Outgoing.objects.update(lease_until=soon + timedelta(hours=1))
    assert listed == [approved.pk]
    assert deliver.expire(approved.pk, soon) is False
    assert state_of(approved) == "sending"


def test_a_mailbox_put_into_shadow_mode_after_the_approval_lets_nothing_leave(
    approved: Mail, sent_folder: Path
) -> None:
    Mailbox.objects.filter(pk=approved.mailbox_id).update(mode="shadow")
    assert deliver.deliver(approved.pk) == "waiting"
    assert not list(sent_folder.glob("*.eml"))
    assert "shadow mode" in Mail.objects.get(pk=approved.pk).fault


def test_a_mailbox_that_left_the_municipality_file_is_a_fault_that_is_shown(
    approved: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = configured().model_copy(update={"mailboxes": {}})
    for module in (intake, deliver, sweeper):
        monkeypatch.setattr(module, "configured", lambda: without)
    assert intake.take_in(approved.mailbox).fault
    assert deliver.deliver(approved.pk) == "approved"
    assert "municipality file" in Outgoing.objects.get(mail=approved).fault


def test_a_secret_that_is_not_set_is_a_fault_of_the_mailbox(
    kundcenter: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = configured().mailboxes["kundcenter"].model_copy(update={"options": {"path": {"env": "KP_NOT_SET"}}})
    monkeypatch.setattr(
        intake, "configured", lambda: configured().model_copy(update={"mailboxes": {"kundcenter": entry}})
    )
    assert "KP_NOT_SET" in intake.take_in(kundcenter).fault


def test_a_mailbox_that_breaks_in_an_unforeseen_way_is_shown_with_its_fault(
    kundcenter: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def fetch_since(self, cursor: object) -> Iterator[Fetched]:
            raise ZeroDivisionError("text of a mail")

    monkeypatch.setattr(intake, "connector_for", lambda *_: Broken())
    intake.take_in(kundcenter)
    kundcenter.refresh_from_db()
    assert "ZeroDivisionError" in kundcenter.fault
    assert "text of a mail" not in kundcenter.fault


def test_a_reply_whose_sources_stay_silent_comes_before_a_person(
    approved: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise Transient("The register invoices does not answer.")

    monkeypatch.setattr(deliver.recheck, "changed", down)
    assert deliver.deliver(approved.pk) == "approved"
    Mail.objects.filter(pk=approved.pk).update(state_since=timezone.now() - timedelta(hours=2))
    make_due(approved)
    assert deliver.deliver(approved.pk) == "waiting"
    assert "does not answer" in Mail.objects.get(pk=approved.pk).fault


def test_an_article_read_again_at_sending_does_not_void_the_approval(approved: Mail) -> None:
    """Its text is the same; only the time of reading moved on."""
    Passage.objects.update(read_at=timezone.now() - timedelta(hours=25))
    mail = Mail.objects.get(pk=approved.pk)
    spans = evidence.spans_of(mail.draft, configured().rule_pack(), timezone.now())
    Outgoing.objects.update(content_hash=review.content_hash(mail, mail.draft, supported(spans)))
    assert deliver.deliver(approved.pk) == "sent"


def supported(spans: Sequence[Span]) -> tuple[Span, ...]:
    """As the spans were when the article was young."""
    return tuple(replace(s, verdict=Verdict.SUPPORTED) if s.verdict is Verdict.STALE else s for s in spans)


def test_an_approval_given_under_another_rule_pack_is_void(approved: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    later = configured().rule_pack().model_copy(update={"version": "2"})
    monkeypatch.setattr(type(configured()), "rule_pack", lambda self: later)
    assert deliver.deliver(approved.pk) == "waiting"


def test_an_unclear_outcome_is_not_logged_as_not_sent(approved: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    def unclear() -> None:
        raise ConnectorError("No clear answer.")

    monkeypatch.setattr(deliver, "connector_for", lambda *_: Line(unclear))
    assert deliver.deliver(approved.pk) == "unsure"
    event = Event.objects.filter(to_state="unsure").get()
    assert event.action == "outcome unclear"
    assert Event.objects.get(action="sending").payload["message_id"] == Outgoing.objects.get().message_id


@pytest.mark.django_db(transaction=True)
def test_a_copy_for_sent_that_another_worker_is_filing_is_left_to_it(
    approved: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed: list[bytes] = []

    class Slow(Line):
        def file_sent(self, raw: bytes) -> None:
            filed.append(raw)
            if len(filed) == 1:
                at_once(sweeper.file_unfiled)

    slow = Slow(lambda: None)
    monkeypatch.setattr(deliver, "connector_for", lambda *_: slow)
    monkeypatch.setattr(sweeper, "connector_for", lambda *_: slow)
    assert deliver.deliver(approved.pk) == "sent"
    assert len(filed) == 1


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Each act in a thread with a database connection of its own; what it returned or raised."""
    outcomes: list[object] = []

    def run(act: Callable[[], object]) -> None:
        try:
            outcomes.append(act())
        except Refusal as refusal:
            outcomes.append(refusal)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


# --- approving


def test_a_statement_that_an_edit_adds_is_approved_as_the_policy_says(
    arrived: Callable[..., Mail], understood_as: Callable[..., None], alice: User
) -> None:
    """The machine stated no outcome, so one person was enough; the edit states one."""
    understood_as(intent="building_permit", reasons=("rights_decision",), entities={"case_no": ("BYGG-2026-0107",)})
    mail = arrived(sender="Oskar Nyman <oskar.nyman@mail.example>")
    triage.triage(mail.pk)
    mail.refresh_from_db()
    draft = mail.draft
    draft.people, draft.ticks, draft.body = 1, ["no_decision"], "Hej!"
    draft.save()
    edited = review.edit(mail.pk, alice, draft.version, "Hej!\n\nDin faktura är på 500 kronor.")
    assert {"no_decision", "amount_compared"} <= set(edited.ticks)


@pytest.mark.django_db(transaction=True)
def test_two_people_who_approve_in_the_same_second_put_one_reply_into_the_outbox(
    waiting: Mail, alice: User, bob: User
) -> None:
    version, ticks = waiting.draft.version, waiting.draft.ticks
    outcomes = at_once(*(partial(review.approve, waiting.pk, one, version, ticks) for one in (alice, bob)))
    assert sorted(type(one).__name__ for one in outcomes) == ["Outgoing", "Refusal"]
    assert Approval.objects.count() == Outgoing.objects.count() == 1


def test_a_sender_address_that_no_reply_can_carry_is_refused_in_a_sentence(waiting: Mail, alice: User) -> None:
    waiting.draft.recipients = {"to": ["maj..lis@mail.example"], "cc": []}
    waiting.draft.save()
    with pytest.raises(Refusal) as refused:
        review.approve(waiting.pk, alice, waiting.draft.version, waiting.draft.ticks)
    assert "maj" not in refused.value.sentence
    assert state_of(waiting) == "waiting"


@pytest.mark.django_db(transaction=True)
def test_an_act_stands_when_the_broker_is_down(waiting: Mail, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(mail_id: int) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(review, "triage_later", down)
    correcting.correct(waiting.pk, alice, "waste_collection", "sv")
    assert state_of(waiting) == "understood", "the sweep goes on with it"


# --- triage


def test_a_mail_that_kills_its_worker_is_set_aside_at_last(
    arrived: Callable[..., Mail], understood_as: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Nothing of ours runs any more."""

    def dies(*_: object) -> None:
        raise Killed

    mail = arrived()
    monkeypatch.setattr(triage, "_gathered", dies)
    for _ in range(triage.MOST_ATTEMPTS):
        with pytest.raises(Killed):
            triage.triage(mail.pk)
    assert triage.triage(mail.pk) == "needs_attention"
    assert "kept whole" in Mail.objects.get(pk=mail.pk).fault


def test_a_doubled_task_does_not_use_up_the_tries_of_a_register(
    arrived: Callable[..., Mail], understood_as: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise Transient("The register invoices does not answer.")

    monkeypatch.setattr(triage, "gather", down)
    mail = arrived()
    triage.triage(mail.pk)
    for _ in range(triage.MOST_ATTEMPTS):
        assert triage.triage(mail.pk) is None
    assert state_of(mail) == "understood"


def test_an_act_on_a_large_mail_does_not_write_its_bytes_again(waiting: Mail, alice: User, bob: User) -> None:
    with CaptureQueriesContext(connection) as written:
        review.reassign(waiting.pk, alice, bob)
    (update,) = [one["sql"] for one in written if one["sql"].startswith("UPDATE")]
    assert '"raw"' not in update


# --- taking in


@pytest.mark.parametrize(
    "headers",
    [
        {"message_id": "<a\0b@mail.example>"},
        {"In_Reply_To": "<\0@mail.example>"},
        {"References": " ".join(f"<{n}@mail.example>" for n in range(2_000))},
    ],
)
def test_a_hostile_header_never_stops_the_mailbox(arrived: Callable[..., Mail], headers: dict[str, str]) -> None:
    raw = letter()
    for name, value in headers.items():
        raw = f"{name.replace('_', '-').title()}: {value}\r\n".encode() + raw
    assert arrived(raw).state == "read"


def test_a_file_name_that_is_no_text_never_stops_the_mailbox(kundcenter: Mailbox, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"br\xe5dskande.eml")).write_bytes(letter())
    (arrived,) = FolderMailbox(tmp_path).fetch_since({})
    assert isinstance(arrived, Fetched)
    assert intake.store(kundcenter, arrived) is not None
    assert list(FolderMailbox(tmp_path).fetch_since(arrived.cursor)) == []


def test_only_a_reply_from_our_own_address_counts_as_our_copy(approved: Mail, arrived: Callable[..., Mail]) -> None:
    """A resident's client that takes over our Message-ID must not make the letter vanish."""
    ours = Outgoing.objects.get(mail=approved).message_id
    assert arrived(letter("Tack, men jag undrar en sak till.", message_id=ours)).state == "read"


def test_a_case_is_numbered_by_the_year_of_the_town_hall_clock(kundcenter: Mailbox) -> None:
    just_after_midnight = datetime(2025, 12, 31, 23, 30, tzinfo=UTC)
    mail = intake.store(kundcenter, Fetched("r1", letter(), just_after_midnight, {}))
    assert mail is not None
    assert mail.case.number.startswith("NV-2026-")


# --- the event log


def test_an_anchor_line_that_was_cut_off_is_a_fault_and_no_breakdown(db: None, tmp_path: Path, settings: Any) -> None:
    settings.DATA = tmp_path
    events.record("tested", "mail:1", actor="process:test")
    events.seal()
    events.anchor()
    with events.anchor_file().open("a") as file:
        file.write('{"at": "2026-11-2')
    assert any("line 2" in fault for fault in events.verify().faults)


def test_an_anchor_written_while_the_log_is_verified_is_no_fault(
    db: None, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATA = tmp_path
    events.record("tested", "mail:1", actor="process:test")
    events.seal()
    check = events._faults_at

    def meanwhile(*given: Any) -> Any:
        events.record("tested", "mail:2", actor="process:test")
        events.seal()
        events.anchor()
        return check(*given)

    monkeypatch.setattr(events, "_faults_at", meanwhile)
    assert events.verify().faults == ()


@pytest.mark.parametrize("name", ["", "x" * 101, "eve\nadmin", "a b"])
def test_a_colleagues_name_fits_the_log(kundcenter: Mailbox, name: str) -> None:
    with pytest.raises(SetUpError, match="letters"):
        create_user(name, "x", ["clerk"], check=False)
