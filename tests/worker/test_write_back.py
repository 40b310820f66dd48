"""What staff find in the mailbox itself, on a real IMAP server: how far each mail has come, and drafts that are theirs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.utils import timezone

from connectors.base import Mark
from tests.connectors.kinds import Imap
from tests.letters import letter
from tests.servers import INBOX_ADDRESS, Dovecot, SmtpServer
from tests.towns import on_real_servers
from worker import deliver, intake, review, setting_up, triage, write_back
from worker.models import Draft, Event, Mail, Mailbox, Outgoing, WriteBack
from worker.municipality import configured

SUBJECT = "Faktura 2026-118342"


@pytest.fixture
def wish(tmp_path: Path, inbox: Dovecot, smtp: SmtpServer, settings: Any) -> Callable[..., Mailbox]:
    """The town with its mailbox on the real servers, and what it wants written back."""
    numbers = count()

    def given(mode: str = "sends", password: str = "", **write_back: Any) -> Mailbox:
        path = on_real_servers(tmp_path, inbox, smtp, smtp_timeout_s=3)
        town = yaml.safe_load(path.read_text(encoding="utf-8"))
        town["mailboxes"]["kundcenter"] |= {"mode": mode, "write_back": write_back}
        options = town["mailboxes"]["kundcenter"]["options"]
        options |= {"password": password or inbox.password, "copy_to_ourselves": False}
        again = path.with_name(f"{next(numbers)}.yaml")  # a municipality file is read once a process
        again.write_text(yaml.safe_dump(town, allow_unicode=True), encoding="utf-8")
        settings.MUNICIPALITY = again
        list(setting_up.take_over_mailboxes(configured()))
        return Mailbox.objects.get(name="kundcenter")

    return given


@pytest.fixture
def office(inbox: Dovecot, smtp: SmtpServer) -> Imap:
    """The mailbox as a colleague has it open in a mail program."""
    return Imap(inbox, smtp)


def taken_in(office: Imap, mailbox: Mailbox, raw: bytes | None = None) -> Mail:
    office.deliver(raw or letter())
    taken = intake.take_in(mailbox)
    assert taken.fault == ""
    mail = Mail.objects.latest("pk")
    triage.triage(mail.pk)
    mail.refresh_from_db()
    return mail


def show(mailbox: Mailbox) -> None:
    mailbox.refresh_from_db()
    write_back.write_back(mailbox)
    mailbox.refresh_from_db()
    assert mailbox.write_back_fault == ""


@pytest.fixture
def alice(db: None) -> User:
    return setting_up.create_user("alice", "x", ["senior"], [], check=False)


def answered(mail: Mail, alice: User) -> None:
    draft = Draft.objects.get(mail=mail)
    review.approve(mail.pk, alice, draft.version, draft.ticks)
    Outgoing.objects.filter(mail=mail).update(due_at=timezone.now() - timedelta(seconds=1))
    assert deliver.deliver(mail.pk) == "sent"


pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("understood_as")]


def test_a_mail_shows_staff_how_far_it_has_come(wish: Callable[..., Mailbox], office: Imap, alice: User) -> None:
    mailbox = wish()
    mail = taken_in(office, mailbox)
    show(mailbox)
    assert office.marks(SUBJECT) == {Mark.WAITING}
    answered(mail, alice)
    show(mailbox)
    assert office.marks(SUBJECT) == {Mark.ANSWERED}


def test_what_needs_nobody_is_shown_as_triaged(wish: Callable[..., Mailbox], office: Imap) -> None:
    mailbox = wish()
    taken_in(office, mailbox, letter(subject="Semester", Auto_Submitted="auto-replied"))
    show(mailbox)
    assert office.marks("Semester") == {Mark.TRIAGED}


def test_what_is_shown_already_is_not_written_again(wish: Callable[..., Mailbox], office: Imap) -> None:
    mailbox = wish()
    taken_in(office, mailbox)
    assert write_back.due(timezone.now()) == [mailbox.pk]
    show(mailbox)
    assert write_back.due(timezone.now()) == []


def test_nothing_is_written_where_it_is_not_wanted(wish: Callable[..., Mailbox], office: Imap) -> None:
    mailbox = wish(states=False)
    taken_in(office, mailbox)
    assert write_back.due(timezone.now()) == []
    show(mailbox)
    assert office.marks(SUBJECT) == set()


def test_read_only_writes_nothing_at_all(wish: Callable[..., Mailbox], office: Imap, alice: User) -> None:
    mailbox = wish("read_only", states=True, drafts=True)
    before = office.state()
    mail = taken_in(office, mailbox)
    write_back.write_back(mailbox)
    assert office.labels(SUBJECT) == set()
    assert not office.is_read(SUBJECT)
    assert office.drafts() == []
    assert before == []
    draft = Draft.objects.get(mail=mail)
    with pytest.raises(review.Refusal, match="read-only"):
        review.approve(mail.pk, alice, draft.version, draft.ticks)
    with pytest.raises(Exception, match="read-only"):
        intake.connector_for(mailbox, configured()).file_sent(letter())


def test_the_draft_that_waits_lies_in_the_mailbox_and_goes_when_it_is_answered(
    wish: Callable[..., Mailbox], office: Imap, alice: User
) -> None:
    mailbox = wish(drafts=True)
    mail = taken_in(office, mailbox)
    show(mailbox)
    (lying,) = office.drafts()
    assert f"In-Reply-To: {mail.message_id}".encode() in lying
    answered(mail, alice)
    show(mailbox)
    assert office.drafts() == []
    assert len(office.sent()) == 1


def test_mailbox_draft_update_leaves_one_copy(wish: Callable[..., Mailbox], office: Imap, alice: User) -> None:
    mailbox = wish(drafts=True)
    mail = taken_in(office, mailbox)
    show(mailbox)
    draft = Draft.objects.get(mail=mail)
    review.edit(mail.pk, alice, draft.version, draft.body.replace("Hej", "God dag", 1))
    assert write_back.due(timezone.now()) == [mailbox.pk]
    show(mailbox)
    (lying,) = office.drafts()
    assert b"God dag" in lying


def test_drafts_off_means_no_draft(wish: Callable[..., Mailbox], office: Imap) -> None:
    mailbox = wish(states=True)
    taken_in(office, mailbox)
    show(mailbox)
    assert office.drafts() == []


def test_no_draft_where_no_reply_is_due(wish: Callable[..., Mailbox], office: Imap) -> None:
    mailbox = wish(drafts=True)
    taken_in(office, mailbox, letter(Auto_Submitted="auto-replied"))
    show(mailbox)
    assert office.drafts() == []


def test_draft_recipients_are_never_ourselves(wish: Callable[..., Mailbox], office: Imap) -> None:
    mailbox = wish(drafts=True)
    taken_in(office, mailbox, letter(Cc=f"{INBOX_ADDRESS}, granne@mail.example"))
    show(mailbox)
    (lying,) = office.drafts()
    headers = lying.partition(b"\r\n\r\n")[0]
    assert b"\r\nTo: majlis.ekvall@mail.example\r\n" in headers
    assert headers.count(INBOX_ADDRESS.encode()) == 1, "the sender's own address stands in From alone"


def test_machine_never_touches_an_edited_draft(wish: Callable[..., Mailbox], office: Imap, alice: User) -> None:
    mailbox = wish(drafts=True)
    mail = taken_in(office, mailbox)
    show(mailbox)
    office.edit_draft(b"Hej, jag ringer i morgon.")
    draft = Draft.objects.get(mail=mail)
    review.edit(mail.pk, alice, draft.version, draft.body.replace("Hej", "God dag", 1))
    show(mailbox)
    (lying,) = office.drafts()
    assert b"jag ringer" in lying
    assert WriteBack.objects.get(mail=mail).left_to_staff
    assert Event.objects.filter(object=f"mail:{mail.pk}", action="draft left to staff").exists()
    assert write_back.due(timezone.now()) == []


def test_sent_answer_retires_the_pending_draft(
    wish: Callable[..., Mailbox], office: Imap, alice: User, smtp: SmtpServer
) -> None:
    """A colleague has answered from the mailbox; the reply that was approved here goes back to its reviewer."""
    mailbox = wish()
    mail = taken_in(office, mailbox)
    draft = Draft.objects.get(mail=mail)
    review.approve(mail.pk, alice, draft.version, draft.ticks)
    Outgoing.objects.filter(mail=mail).update(due_at=timezone.now() - timedelta(seconds=1))
    office.staff_sent(letter("Jag har ordnat det.", In_Reply_To=mail.message_id, message_id="<staff@norrvik.example>"))
    assert deliver.deliver(mail.pk) == "waiting"
    assert "A colleague has answered" in Mail.objects.get(pk=mail.pk).fault
    assert not smtp.accepted
    draft.refresh_from_db()
    review.approve(mail.pk, alice, draft.version, draft.ticks)
    Outgoing.objects.filter(mail=mail).update(due_at=timezone.now() - timedelta(seconds=1))
    assert deliver.deliver(mail.pk) == "sent", "the reviewer knows now, and decides"


def test_an_answered_mail_moves_where_it_is_wanted(wish: Callable[..., Mailbox], office: Imap, alice: User) -> None:
    office.make_folder("Besvarat")
    mailbox = wish(move_answered_to="Besvarat")
    answered(taken_in(office, mailbox), alice)
    show(mailbox)
    assert office.subjects("Besvarat") == [SUBJECT]
    assert office.marks(SUBJECT, "Besvarat") == {Mark.ANSWERED}
    assert intake.take_in(mailbox).received == 0


def test_a_folder_that_is_not_there_is_named_on_the_screen_and_the_rest_goes_on(
    wish: Callable[..., Mailbox], office: Imap, alice: User
) -> None:
    mailbox = wish(move_answered_to="Besvarat")
    answered(taken_in(office, mailbox), alice)
    taken_in(office, mailbox, letter(subject="En annan sak"))
    write_back.write_back(mailbox)
    mailbox.refresh_from_db()
    assert "Besvarat" in mailbox.write_back_fault
    assert office.marks(SUBJECT) == {Mark.ANSWERED}
    assert office.marks("En annan sak") == {Mark.WAITING}
    soon = timezone.now() + timedelta(minutes=6)
    assert (write_back.due(timezone.now()), write_back.due(soon)) == ([], [mailbox.pk])
    office.make_folder("Besvarat")
    WriteBack.objects.filter(again_at__isnull=False).update(again_at=timezone.now())
    show(mailbox)
    assert office.subjects("Besvarat") == [SUBJECT]


def test_what_cannot_be_shown_is_not_tried_for_ever(wish: Callable[..., Mailbox], office: Imap, alice: User) -> None:
    mailbox = wish(move_answered_to="Besvarat")
    mail = taken_in(office, mailbox)
    answered(mail, alice)
    WriteBack.objects.update(state="sent", attempts=write_back.MOST_ATTEMPTS - 1, again_at=timezone.now())
    write_back.write_back(mailbox)
    assert write_back.due(timezone.now() + timedelta(days=1)) == []
    assert Event.objects.filter(object=f"mail:{mail.pk}", action="not shown in the mailbox").exists()
    show(mailbox)


def test_a_mail_that_breaks_in_an_unforeseen_way_stops_no_other(
    wish: Callable[..., Mailbox], office: Imap, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = wish(drafts=True)
    broken = taken_in(office, mailbox)
    taken_in(office, mailbox, letter(subject="En annan sak"))
    made = write_back.draft_for_mailbox

    def breaks(mail: Mail, draft: Draft) -> bytes:
        if mail.pk == broken.pk:
            raise ZeroDivisionError
        return made(mail, draft)

    monkeypatch.setattr(write_back, "draft_for_mailbox", breaks)
    write_back.write_back(mailbox)
    assert office.marks("En annan sak") == {Mark.WAITING}
    mailbox.refresh_from_db()
    assert "ZeroDivisionError" in mailbox.write_back_fault


def test_a_mail_that_staff_have_moved_away_is_left_alone(wish: Callable[..., Mailbox], office: Imap) -> None:
    mailbox = wish()
    taken_in(office, mailbox)
    office.delete(SUBJECT)
    show(mailbox)
    assert write_back.due(timezone.now()) == []


def test_a_mailbox_that_cannot_be_written_to_waits_and_says_so(wish: Callable[..., Mailbox], office: Imap) -> None:
    mailbox = wish()
    taken_in(office, mailbox)
    wish("sends", password="fel")
    write_back.write_back(mailbox)
    mailbox.refresh_from_db()
    assert "name and password" in mailbox.write_back_fault
    assert write_back.due(timezone.now()) == []
    assert write_back.due(timezone.now() + timedelta(minutes=10)) == [mailbox.pk]


def test_switching_it_on_does_not_touch_old_mail(wish: Callable[..., Mailbox], office: Imap) -> None:
    mailbox = wish()
    mail = taken_in(office, mailbox)
    Mail.objects.filter(pk=mail.pk).update(state_since=timezone.now() - timedelta(days=8))
    assert write_back.due(timezone.now()) == []
