"""Sending once, against a real SMTP server that misbehaves and a real IMAP mailbox that is asked."""

from __future__ import annotations

import email
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.servers import INBOX_ADDRESS, Dovecot, Misbehaviour, SmtpServer
from tests.towns import on_real_servers
from worker import deliver, intake, review, sweeper, triage
from worker.models import Event, Mail, Outgoing
from worker.municipality import configured


@pytest.fixture(autouse=True)
def town(tmp_path: Path, inbox: Dovecot, smtp: SmtpServer, settings: object) -> None:
    settings.MUNICIPALITY = on_real_servers(tmp_path, inbox, smtp, smtp_timeout_s=3)  # type: ignore[attr-defined]


@pytest.fixture
def approved(waiting: Mail, alice: User) -> Mail:
    """Approved, and the undo time is over."""
    review.approve(waiting.pk, alice, waiting.draft.version, waiting.draft.ticks)
    make_due(waiting)
    return waiting


def make_due(mail: Mail) -> None:
    Outgoing.objects.filter(mail=mail).update(due_at=timezone.now() - timedelta(seconds=1))


@contextmanager
def away(inbox: Dovecot) -> Iterator[None]:
    inbox.stop()
    try:
        yield
    finally:
        inbox.start("/usr/sbin/dovecot")


def delivered_to_resident(smtp: SmtpServer) -> list[EmailMessage]:
    to_resident = [m for m in smtp.accepted if "majlis.ekvall@mail.example" in m.rcpt_tos]
    return [email.message_from_bytes(bytes(m.content or b""), policy=default) for m in to_resident]


def state_of(mail: Mail) -> str:
    return Mail.objects.get(pk=mail.pk).state


def test_a_reply_leaves_once_and_is_filed_in_sent(approved: Mail, smtp: SmtpServer, inbox: Dovecot) -> None:
    assert deliver.deliver(approved.pk) == "sent"
    (reply,) = delivered_to_resident(smtp)
    assert reply["Message-ID"] == approved.outgoing.message_id
    assert reply["In-Reply-To"] == intake.message_of(approved).message_id
    assert reply["From"] == f"Norrvik <{INBOX_ADDRESS}>"
    assert [email.message_from_bytes(raw, policy=default)["Message-ID"] for raw in inbox.sent()] == [
        reply["Message-ID"]
    ]


def test_what_arrives_is_what_was_approved_byte_for_byte(approved: Mail, smtp: SmtpServer) -> None:
    raw = bytes(approved.outgoing.raw)
    deliver.deliver(approved.pk)
    (accepted,) = smtp.accepted
    assert bytes(accepted.content or b"").rstrip() == raw.rstrip()


def test_nothing_leaves_before_the_undo_time_is_over(waiting: Mail, alice: User, smtp: SmtpServer) -> None:
    review.approve(waiting.pk, alice, waiting.draft.version, waiting.draft.ticks)
    assert deliver.deliver(waiting.pk) is None
    assert not smtp.accepted


def test_a_task_that_comes_twice_sends_once(approved: Mail, smtp: SmtpServer) -> None:
    deliver.deliver(approved.pk)
    assert deliver.deliver(approved.pk) is None
    assert len(smtp.accepted) == 1


@pytest.mark.parametrize("how", [Misbehaviour.DEFER_RECIPIENT, Misbehaviour.DEFER_DATA])
def test_a_refusal_for_now_is_tried_again(approved: Mail, smtp: SmtpServer, how: Misbehaviour) -> None:
    smtp.misbehaviour = how
    assert deliver.deliver(approved.pk) == "approved"
    assert Mail.objects.get(pk=approved.pk).fault
    smtp.misbehaviour = Misbehaviour.NONE
    make_due(approved)
    assert deliver.deliver(approved.pk) == "sent"
    assert len(delivered_to_resident(smtp)) == 1


def test_a_refusal_for_good_goes_to_a_person(approved: Mail, smtp: SmtpServer) -> None:
    smtp.misbehaviour = Misbehaviour.REFUSE_DATA
    assert deliver.deliver(approved.pk) == "needs_attention"
    assert "554" in Mail.objects.get(pk=approved.pk).fault


@pytest.mark.parametrize("how", [Misbehaviour.DROP_AFTER_DATA, Misbehaviour.SILENT_AFTER_DATA])
def test_retry_never_repeats_what_may_have_gone(
    approved: Mail, smtp: SmtpServer, inbox: Dovecot, how: Misbehaviour
) -> None:
    """The server took the mail and did not say so: the copy in our own mailbox proves it."""
    smtp.misbehaviour = how
    assert deliver.deliver(approved.pk) == "unsure"
    smtp.misbehaviour = Misbehaviour.NONE
    make_due(approved)
    assert deliver.deliver(approved.pk) == "sent"
    assert len(delivered_to_resident(smtp)) == 1


def test_surely_not_found_means_one_more_attempt_and_then_a_person(
    approved: Mail, smtp: SmtpServer, inbox: Dovecot
) -> None:
    for expected in ("unsure", "approved", "unsure", "needs_attention"):
        smtp.misbehaviour = Misbehaviour.DROP_AFTER_DATA
        assert deliver.deliver(approved.pk) == expected
        inbox.empty()  # as if the server had lost it
        make_due(approved)
    assert "not known" in Mail.objects.get(pk=approved.pk).fault


def test_a_worker_that_died_while_sending_leaves_no_doubt_behind(approved: Mail, smtp: SmtpServer) -> None:
    """Killed between the server's yes and our note of it: the lease runs out and the mailbox is asked."""
    mail = Mail.objects.get(pk=approved.pk)
    deliver._take_lease(mail)
    connector = intake.connector_for(mail.mailbox, deliver.configured())
    envelope = deliver.Envelope(mail.outgoing.envelope["sender"], tuple(mail.outgoing.envelope["recipients"]))
    connector.send(bytes(mail.outgoing.raw), envelope)
    assert deliver.expire_leases(timezone.now() + timedelta(hours=1)) == 1
    assert state_of(mail) == "unsure"
    make_due(mail)
    assert deliver.deliver(mail.pk) == "sent"
    assert len(delivered_to_resident(smtp)) == 1


def test_a_lease_that_still_runs_is_left_alone(approved: Mail) -> None:
    deliver._take_lease(Mail.objects.get(pk=approved.pk))
    assert deliver.expire_leases(timezone.now()) == 0


def test_a_sent_folder_that_is_away_does_not_send_again(approved: Mail, smtp: SmtpServer, inbox: Dovecot) -> None:
    mail = Mail.objects.get(pk=approved.pk)
    deliver._take_lease(mail)
    with away(inbox):
        assert deliver._send(mail, intake.connector_for(mail.mailbox, configured())) == "sent"
        assert Outgoing.objects.get(mail=approved).filed_at is None
    sweeper.file_unfiled()
    assert Outgoing.objects.get(mail=approved).filed_at is not None
    assert len(delivered_to_resident(smtp)) == 1
    assert len(inbox.sent()) == 1


def test_a_mailbox_that_is_away_holds_the_reply_until_it_can_say_whether_a_colleague_has_answered(
    approved: Mail, smtp: SmtpServer, inbox: Dovecot
) -> None:
    with away(inbox):
        assert deliver.deliver(approved.pk) == "approved"
    assert not smtp.accepted
    make_due(approved)
    assert deliver.deliver(approved.pk) == "sent"


@pytest.mark.parametrize("part", ["subject", "body", "recipients"])
def test_content_changed_behind_the_approval_does_not_leave(approved: Mail, smtp: SmtpServer, part: str) -> None:
    changed = {"subject": "Re: annat", "body": "Hej!", "recipients": {"to": ["eve@mail.example"], "cc": []}}
    setattr(approved.draft, part, changed[part])
    approved.draft.save()
    assert deliver.deliver(approved.pk) == "waiting"
    assert not smtp.accepted
    assert Event.objects.filter(action="approval void").exists()


def test_a_value_that_changed_in_the_register_stops_the_reply(
    approved: Mail, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch, changed_invoice: Callable[[], None]
) -> None:
    approved.facts.update(read_at=timezone.now() - timedelta(minutes=30))
    rehash(approved)
    changed_invoice()
    assert deliver.deliver(approved.pk) == "understood", "it is drafted again from what the register says now"
    assert "invoices amount" in Mail.objects.get(pk=approved.pk).fault
    assert not smtp.accepted
    assert not Outgoing.objects.exists()
    assert triage.triage(approved.pk) == "waiting"
    assert "5 000" in Mail.objects.get(pk=approved.pk).draft.body.replace("\N{NO-BREAK SPACE}", " ")


def test_an_old_value_that_still_stands_is_read_again_and_leaves(approved: Mail, smtp: SmtpServer) -> None:
    approved.facts.update(read_at=timezone.now() - timedelta(minutes=30))
    rehash(approved)
    assert deliver.deliver(approved.pk) == "sent"
    assert approved.facts.filter(field="amount", rechecked_at__isnull=False).exists()


def rehash(mail: Mail) -> None:
    """The approval as it would have been given on facts read at that time."""
    mail = Mail.objects.get(pk=mail.pk)
    spans = deliver.evidence.spans_of(mail.draft, deliver.configured().rule_pack(), timezone.now())
    Outgoing.objects.filter(mail=mail).update(content_hash=review.content_hash(mail, mail.draft, spans))


@pytest.fixture
def changed_invoice(tmp_path: Path, settings: object) -> Callable[[], None]:
    """Between approval and sending, somebody corrects the sum in the invoice register."""

    def change() -> None:
        import yaml

        from worker import lookup

        path: Path = settings.MUNICIPALITY  # type: ignore[attr-defined]
        town = yaml.safe_load(path.read_text(encoding="utf-8"))
        invoices = town["registers"]["invoices"]["options"]
        moved = Path(invoices["path"]).read_text(encoding="utf-8").replace("4386.00", "5000.00")
        invoices["path"] = str(tmp_path / "invoices.csv")
        Path(invoices["path"]).write_text(moved, encoding="utf-8")
        other = tmp_path / "later.yaml"
        other.write_text(yaml.safe_dump(town, allow_unicode=True), encoding="utf-8")
        settings.MUNICIPALITY = other  # type: ignore[attr-defined]
        lookup._open.clear()

    return change


def test_a_register_that_is_down_at_sending_makes_the_reply_wait(
    approved: Mail, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connectors.errors import Transient

    def down(*_: object) -> None:
        raise Transient("The register invoices does not answer.")

    monkeypatch.setattr(deliver.recheck, "changed", down)
    assert deliver.deliver(approved.pk) == "approved"
    assert not smtp.accepted
    assert Outgoing.objects.get(mail=approved).due_at > timezone.now()


def test_after_a_refusal_a_person_sends_it_through_review_again(approved: Mail, smtp: SmtpServer, alice: User) -> None:
    smtp.misbehaviour = Misbehaviour.REFUSE_DATA
    deliver.deliver(approved.pk)
    review.put_back(approved.pk, alice)
    assert state_of(approved) == "waiting"
    approved.draft.refresh_from_db()
    smtp.misbehaviour = Misbehaviour.NONE
    review.approve(approved.pk, alice, approved.draft.version, approved.draft.ticks)
    make_due(approved)
    assert deliver.deliver(approved.pk) == "sent"
    assert len(delivered_to_resident(smtp)) == 1


def test_a_person_who_found_the_reply_says_so_by_name(approved: Mail, smtp: SmtpServer, alice: User) -> None:
    smtp.misbehaviour = Misbehaviour.REFUSE_DATA
    deliver.deliver(approved.pk)
    review.mark_sent(approved.pk, alice)
    assert state_of(approved) == "sent"
    assert Event.objects.filter(action="marked as sent", actor="person:alice").exists()
    assert deliver.due(timezone.now()) == []


def test_a_mail_that_had_no_reply_on_its_way_cannot_be_marked_as_sent(waiting: Mail, alice: User) -> None:
    with pytest.raises(review.Refusal):
        review.mark_sent(waiting.pk, alice)
