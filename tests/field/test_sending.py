"""Sending: replies that were lost, left twice, left for somebody else, or were said to have arrived."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from connectors.imap.smtp import Smtp
from rules.lifecycle import FOR_A_PERSON, MailState
from tests.field.conftest import Triaged, bounce
from tests.letters import letter
from tests.servers import INBOX_ADDRESS, Dovecot, Misbehaviour, SmtpServer
from tests.towns import on_real_servers
from worker import deliver, intake, review, tasks
from worker.celery import app
from worker.models import Draft, Event, Mail, Mailbox, Outgoing

Screen = Callable[[User], Client]
RESIDENT = "majlis.ekvall@mail.example"
NEIGHBOUR = "granne@mail.example"
ROUNDS = 25
LONGER_THAN_ANY_WAIT = timedelta(hours=3)


@pytest.fixture(autouse=True)
def town(tmp_path: Path, inbox: Dovecot, smtp: SmtpServer, settings: Any) -> None:
    settings.MUNICIPALITY = on_real_servers(tmp_path, inbox, smtp, smtp_timeout_s=3)


def approve(mail: Mail, person: User) -> None:
    draft = Draft.objects.get(mail=mail)
    assert review.approve(mail.pk, person, draft.version, draft.ticks) is not None


def time_passes() -> None:
    """Every wait is over, and every lease of a worker that died has run out."""
    now = timezone.now()
    deliver.expire_leases(now + LONGER_THAN_ANY_WAIT)
    Outgoing.objects.filter(sent_at__isnull=True).update(due_at=now - timedelta(seconds=1))
    Mail.objects.filter(outgoing__sent_at__isnull=True).update(state_since=now - LONGER_THAN_ANY_WAIT)


def send_what_is_due() -> None:
    time_passes()
    for mail_id in deliver.due(timezone.now()):
        deliver.deliver(mail_id)


def state_of(mail: Mail) -> str:
    return Mail.objects.values_list("state", flat=True).get(pk=mail.pk)


def left(smtp: SmtpServer) -> list[tuple[EmailMessage, set[str]]]:
    """What the mail server has taken, and for whom. The copy to ourselves is no recipient."""
    taken = [(message_from_bytes(bytes(m.content or b""), policy=default), set(m.rcpt_tos)) for m in smtp.accepted]
    return [(mail, recipients - {INBOX_ADDRESS}) for mail, recipients in taken]  # type: ignore[misc]


def page_of(client: Client, mail: Mail) -> str:
    return client.get(f"/mail/{mail.pk}/").content.decode()


def listed(client: Client, mail: Mail, view: str = "team") -> bool:
    return f'href="/mail/{mail.pk}/"' in client.get("/", {"view": view}).content.decode()


def breaks(*_: object) -> None:
    raise ZeroDivisionError


TROUBLE: dict[str, Callable[[pytest.MonkeyPatch, SmtpServer, Dovecot], object]] = {
    "refused for now": lambda patch, smtp, inbox: setattr(smtp, "misbehaviour", Misbehaviour.DEFER_DATA),
    "refused for good": lambda patch, smtp, inbox: setattr(smtp, "misbehaviour", Misbehaviour.REFUSE_DATA),
    "no clear answer": lambda patch, smtp, inbox: setattr(smtp, "misbehaviour", Misbehaviour.DROP_UNTAKEN),
    "the mailbox is away": lambda patch, smtp, inbox: inbox.stop(),
    "what nobody foresaw": lambda patch, smtp, inbox: patch.setattr(deliver.recheck, "changed", breaks),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_every_unsent_answer_is_in_a_queue_someone_sees(
    trouble: str,
    waiting: Mail,
    alice: User,
    screen: Screen,
    smtp: SmtpServer,
    inbox: Dovecot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The mail server was down and answers were lost behind a yellow bar in their case: no list, no second try."""
    client = screen(alice)
    approve(waiting, alice)
    TROUBLE[trouble](monkeypatch, smtp, inbox)
    try:
        for _ in range(ROUNDS):
            Outgoing.objects.update(due_at=timezone.now() - timedelta(seconds=1))
            deliver.deliver(waiting.pk)
            assert listed(client, waiting), f"{state_of(waiting)} and in no list"
            fault = Mail.objects.get(pk=waiting.pk).fault or Outgoing.objects.get(mail=waiting).fault
            assert fault[:40] in page_of(client, waiting), "and the page of the mail says why it has not left"
            if state_of(waiting) in {MailState.WAITING, MailState.NEEDS_ATTENTION}:
                break
            Mail.objects.update(state_since=timezone.now() - LONGER_THAN_ANY_WAIT)
    finally:
        if trouble == "the mailbox is away":
            inbox.start("/usr/sbin/dovecot")
    assert MailState(state_of(waiting)) in FOR_A_PERSON, "at last a person is asked"
    assert listed(client, waiting, "attention" if state_of(waiting) == MailState.NEEDS_ATTENTION else "team")
    assert not smtp.accepted


@pytest.mark.parametrize(
    ("how", "at_most"),
    [
        (Misbehaviour.DEFER_RECIPIENT, deliver.MOST_ATTEMPTS),
        (Misbehaviour.DEFER_DATA, deliver.MOST_ATTEMPTS),
        (Misbehaviour.DROP_UNTAKEN, deliver.MOST_UNCLEAR),
    ],
)
def test_resend_has_a_hard_stop_and_a_log_line(
    how: Misbehaviour,
    at_most: int,
    waiting: Mail,
    alice: User,
    screen: Screen,
    smtp: SmtpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One reply left 25 times, every few minutes, and stood nowhere in the log of outgoing mail."""
    handed_over = []
    hand_over = Smtp.send
    monkeypatch.setattr(Smtp, "send", lambda *given: (handed_over.append(given), hand_over(*given)))
    approve(waiting, alice)
    smtp.misbehaviour = how
    for _ in range(ROUNDS):
        send_what_is_due()
    assert state_of(waiting) == MailState.NEEDS_ATTENTION
    attempts = Event.objects.filter(object=f"mail:{waiting.pk}", action="sending").order_by("pk")
    assert [event.payload["attempt"] for event in attempts] == list(range(1, len(handed_over) + 1))
    assert len(handed_over) == at_most
    assert page_of(screen(alice), waiting).count("</b> sending") == at_most, "each attempt is in the log on the screen"


def test_one_bad_recipient_does_not_end_the_list(
    triaged: Triaged, alice: User, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One address was refused with 550, and every notice after it stayed unsent."""
    mails = [triaged(letter(sender=f"{name} <{name}@mail.example>")) for name in ("anna", "unknown", "berit")]
    for mail in mails:
        approve(mail, alice)
    time_passes()
    smtp.misbehaviour = Misbehaviour.REFUSE_RECIPIENT
    monkeypatch.setitem(app.conf, "task_always_eager", True)
    tasks.deliver_due()
    assert [state_of(mail) for mail in mails] == ["sent", "needs_attention", "sent"]
    assert [recipients for _, recipients in left(smtp)] == [{"anna@mail.example"}, {"berit@mail.example"}]


def test_send_success_is_not_delivery(
    waiting: Mail, alice: User, screen: Screen, smtp: SmtpServer, inbox: Dovecot
) -> None:
    """Success was reported for an address that cannot exist, and nobody heard of it again."""
    client = screen(alice)
    approve(waiting, alice)
    send_what_is_due()
    assert state_of(waiting) == "sent"
    assert not listed(client, waiting)
    inbox.deliver(bounce(bytes(Outgoing.objects.get().raw)))
    taken = intake.take_in(Mailbox.objects.get(name="kundcenter"))
    (mail_id,) = taken.mail_ids or ()
    came_back = Mail.objects.get(pk=mail_id)
    assert listed(client, came_back, "attention"), "a person hears that the resident has no answer"
    assert f'href="/mail/{came_back.pk}/"' in page_of(client, waiting), "and sees it beside the reply"
    assert "came back undelivered" in page_of(client, came_back)


def test_recipients_are_frozen_at_approval(waiting: Mail, triaged: Triaged, alice: User, smtp: SmtpServer) -> None:
    """Addresses were read at delivery from the newest item of the case; a private note had emptied them."""
    approve(waiting, alice)
    approved = Outgoing.objects.get(mail=waiting)
    later = triaged(
        letter(
            "Jag frågar åt henne.", sender=f"<{NEIGHBOUR}>", In_Reply_To=waiting.message_id, Cc="tredje@mail.example"
        )
    )
    assert later.case == waiting.case
    review.edit(later.pk, alice, later.draft.version, "Hej!\n\nTack för ditt mejl.")
    time_passes()
    assert deliver.deliver(waiting.pk) == "sent"
    ((reply, recipients),) = left(smtp)
    assert recipients == {RESIDENT} == set(approved.envelope["recipients"])
    assert (reply["To"], reply["Cc"]) == (RESIDENT, None)


def test_a_recipient_put_in_behind_the_approval_gets_nothing(waiting: Mail, alice: User, smtp: SmtpServer) -> None:
    """Who was to get the reply was decided after somebody had said yes to it."""
    approve(waiting, alice)
    draft = Draft.objects.get(mail=waiting)
    draft.recipients = {"to": [RESIDENT], "cc": [NEIGHBOUR]}
    draft.save()
    send_what_is_due()
    assert state_of(waiting) == "waiting", "the reviewer is asked again"
    assert not smtp.accepted


def test_no_cc_from_another_case(triaged: Triaged, alice: User, screen: Screen, smtp: SmtpServer) -> None:
    """The Cc of the conversation before was added while the field looked empty."""
    first = triaged(letter(Cc=NEIGHBOUR))
    page_of(screen(alice), first)
    approve(first, alice)
    second = triaged(letter("En annan sak: när ska faktura 2026-118342 betalas?"))
    assert second.case != first.case
    page = page_of(screen(alice), second)
    assert NEIGHBOUR not in page
    approve(second, alice)
    send_what_is_due()
    reply, recipients = left(smtp)[-1]
    assert (reply["In-Reply-To"], reply["Cc"], recipients) == (second.message_id, None, {RESIDENT})


def test_reply_addresses_come_from_the_mail_answered(
    waiting: Mail, triaged: Triaged, alice: User, screen: Screen, smtp: SmtpServer
) -> None:
    """The resident was copied into mail to a third party without a sign."""
    third_party = "handlaggare@bank.example"
    approve(waiting, alice)
    send_what_is_due()
    asked = triaged(
        letter(
            "Gäller fakturan fortfarande?",
            sender=f"Banken <{third_party}>",
            In_Reply_To=Outgoing.objects.get().message_id,
            Cc=RESIDENT,
        )
    )
    assert asked.case == waiting.case
    assert f"<dd>{third_party}</dd>" in page_of(screen(alice), asked)
    approve(asked, alice)
    smtp.accepted.clear()
    send_what_is_due()
    ((reply, recipients),) = left(smtp)
    assert recipients == {third_party}
    assert RESIDENT not in reply.as_string().partition("\n\n")[0]


@pytest.mark.parametrize("header", ["To", "Cc"])
def test_companions_in_to_are_kept_or_shown_as_dropped(
    header: str, triaged: Triaged, alice: User, screen: Screen, smtp: SmtpServer
) -> None:
    """A second person in To fell off every reply, and nothing said so."""
    others = [f"Granne <{NEIGHBOUR}>", f"Kundcenter <{INBOX_ADDRESS.upper()}>", f"<{RESIDENT}>"]
    head, _, body = letter().partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if not line.startswith(b"To:")]
    mail = triaged(b"\r\n".join([*kept, f"{header}: {', '.join(others)}".encode(), b"", body]))
    page = page_of(screen(alice), mail)
    assert f"<dt>To</dt><dd>{RESIDENT}</dd>" in page
    assert f"<dt>Not to</dt><dd>{NEIGHBOUR}, to whom the mail also went</dd>" in page
    approve(mail, alice)
    send_what_is_due()
    ((_, recipients),) = left(smtp)
    assert recipients == {RESIDENT}, "as the page said"


def test_companions_without_number_are_counted_and_few_are_named(triaged: Triaged, alice: User, screen: Screen) -> None:
    """A mail to a whole street would fill the page."""
    street = ", ".join(f"hus{number}@mail.example" for number in range(50))
    mail = triaged(letter(Cc=street))
    assert screen(alice).get(f"/mail/{mail.pk}/").context["sheet"].left_out.endswith("and 31 more")
    alone = triaged(letter("Bara till er.").replace(b"kundcenter@norrvik.example", INBOX_ADDRESS.encode()))
    assert "<dt>Not to" not in page_of(screen(alice), alone)


@pytest.mark.django_db(transaction=True)
def test_same_reply_goes_once_whatever_the_browser_does(
    waiting: Mail, alice: User, bob: User, screen: Screen, smtp: SmtpServer
) -> None:
    """A weak line said "connection error", the button was pressed again, and two to four copies left."""
    page = screen(alice).get(f"/mail/{waiting.pk}/").context["sheet"]
    form = {"version": page.draft.version, "content": page.content, "tick": page.draft.ticks}
    browsers = [screen(person) for person in (alice, alice, bob, bob)]
    presses = [lambda browser=browser: browser.post(f"/mail/{waiting.pk}/approve", form) for browser in browsers]
    codes = sorted(answer.status_code for answer in at_once(*presses, *presses))
    assert codes[0] == 302
    assert set(codes[1:]) <= {409, 422}
    time_passes()
    outcomes = at_once(*[lambda: deliver.deliver(waiting.pk)] * 4)
    assert outcomes.count(MailState.SENT) == 1
    assert browsers[0].post(f"/mail/{waiting.pk}/approve", form).status_code == 422, "and once more when it has left"
    send_what_is_due()
    assert [recipients for _, recipients in left(smtp)] == [{RESIDENT}]


def at_once(*does: Callable[[], Any]) -> list[Any]:
    def ending_its_connection(do: Callable[[], Any]) -> Any:
        try:
            return do()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(does)) as threads:
        return list(threads.map(ending_its_connection, does))


def test_undo_means_never_sent_and_the_log_says_so(
    waiting: Mail, alice: User, screen: Screen, smtp: SmtpServer
) -> None:
    """A reply that had been taken back showed as delivered beside the corrected one."""
    client = screen(alice)
    sheet = client.get(f"/mail/{waiting.pk}/").context["sheet"]
    pressed = {"version": sheet.draft.version, "content": sheet.content, "tick": sheet.draft.ticks}
    assert client.post(f"/mail/{waiting.pk}/approve", pressed).status_code == 302
    assert client.post(f"/mail/{waiting.pk}/take-back").status_code == 302
    assert client.post(f"/mail/{waiting.pk}/approve", pressed).status_code == 409, "a browser repeats the first press"
    twice = client.post(f"/mail/{waiting.pk}/take-back").content.decode()
    assert "has already left" not in twice
    send_what_is_due()
    assert not smtp.accepted
    log = [(line.who, line.action) for line in client.get(f"/mail/{waiting.pk}/").context["log"]]
    assert ("Alice Ask", "approval taken back") in log
    assert "reply sent" not in {action for _, action in log}
    draft = Draft.objects.get(mail=waiting)
    review.edit(waiting.pk, alice, draft.version, draft.body.removeprefix("Hej!"))
    approve(waiting, alice)
    send_what_is_due()
    ((reply, _),) = left(smtp)
    assert "Hej!" not in reply.get_content().partition(">")[0], "the corrected one, and no other"
    assert Event.objects.filter(object=f"mail:{waiting.pk}", action="reply sent").count() == 1


def test_what_is_being_sent_cannot_be_taken_back_and_that_is_said(waiting: Mail, alice: User) -> None:
    """Somebody who pressed too late believed that nothing had left."""
    approve(waiting, alice)
    deliver._take_lease(Mail.objects.get(pk=waiting.pk))
    with pytest.raises(review.Refusal, match="has already left"):
        review.take_back(waiting.pk, alice)
    assert Outgoing.objects.filter(mail=waiting).exists()
