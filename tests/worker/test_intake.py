"""Taking mail in: whole, once, threaded, and one bad mail or mailbox never stops the next."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import connection

from connectors.base import Fetched
from tests.house import wait_for
from tests.letters import letter
from worker import intake
from worker.models import Event, Mail, Mailbox

Arrived = Callable[..., Mail]


@pytest.fixture
def inbox() -> Path:
    folder = Path(settings.DATA) / "inbox"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    return folder


def test_a_mail_is_kept_whole_and_sealed(arrived: Arrived) -> None:
    raw = letter()
    mail = arrived(raw)
    assert bytes(Mail.objects.get(pk=mail.pk).raw) == raw
    assert mail.state == "read"


def test_the_same_mail_delivered_twice_is_one(kundcenter: Mailbox, arrived: Arrived) -> None:
    raw = letter(message_id="<one@mail.example>")
    arrived(raw)
    other_route = b"Received: from elsewhere.example by mx1.norrvik.example; Fri, 20 Nov 2026 08:13:00 +0100\r\n" + raw
    assert intake.store(kundcenter, Fetched("other", other_route, None, {})) is None


def test_the_same_message_id_with_other_content_is_two(arrived: Arrived) -> None:
    arrived(letter("Hej, när töms tunnan?", message_id="<one@mail.example>"))
    arrived(letter("Hej, en annan sak.", message_id="<one@mail.example>"))
    assert Mail.objects.count() == 2


def test_two_mailboxes_each_get_their_copy(kundcenter: Mailbox, arrived: Arrived) -> None:
    raw = letter()
    arrived(raw)
    assert intake.store(Mailbox.objects.get(name="bygg"), Fetched("b1", raw, None, {})) is not None


def test_a_reply_joins_the_case_of_the_mail_it_answers(arrived: Arrived) -> None:
    first = arrived(letter(message_id="<first@mail.example>"))
    answer = arrived(letter("Och en sak till.", In_Reply_To="<first@mail.example>"))
    later = arrived(letter("Hallå?", References="<unknown@mail.example> <first@mail.example>"))
    assert first.case == answer.case == later.case


def test_the_same_subject_from_the_same_sender_is_no_thread(arrived: Arrived) -> None:
    assert arrived(letter("Nu igen.")).case != arrived(letter("Ännu en gång.")).case


def test_cases_are_numbered_by_year(arrived: Arrived) -> None:
    numbers = [arrived().case.number for _ in range(2)]
    assert all(number.startswith("NV-2026-") for number in numbers)
    assert len(set(numbers)) == 2


@pytest.mark.parametrize(
    "raw", [b"", b"\0" * 100, b"From: \xff\xfe\r\n\r\n", b"Content-Type: multipart/mixed\r\n\r\nx"]
)
def test_bytes_that_are_hardly_a_mail_are_kept_too(kundcenter: Mailbox, raw: bytes) -> None:
    mail = intake.store(kundcenter, Fetched("odd", raw, None, {}))
    assert mail is not None
    assert bytes(Mail.objects.get(pk=mail.pk).raw) == raw


def test_reading_goes_on_where_it_stopped(kundcenter: Mailbox, inbox: Path) -> None:
    (inbox / "1.eml").write_bytes(letter("ett"))
    assert intake.take_in(kundcenter).received == 1
    (inbox / "2.eml").write_bytes(letter("två"))
    taken = intake.take_in(kundcenter)
    assert (taken.received, taken.known) == (1, 0)


def test_a_crash_between_two_mails_loses_and_doubles_nothing(
    kundcenter: Mailbox, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        (inbox / f"{number}.eml").write_bytes(letter(f"nummer {number}"))
    real, calls = intake.remember, []

    def dies_at_the_fourth(mail: Mail, message: object) -> None:
        calls.append(mail)
        if len(calls) == 4:
            raise KeyboardInterrupt
        real(mail, message)  # type: ignore[arg-type]

    monkeypatch.setattr(intake, "remember", dies_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        intake.take_in(kundcenter)
    assert Mail.objects.count() == 3
    monkeypatch.setattr(intake, "remember", real)
    intake.take_in(kundcenter)
    assert Mail.objects.count() == 6


def test_an_unreadable_file_is_told_and_the_rest_flows(kundcenter: Mailbox, inbox: Path) -> None:
    (inbox / "1.eml").symlink_to("/nonexistent/mail")
    (inbox / "2.eml").write_bytes(letter("läsbar"))
    taken = intake.take_in(kundcenter)
    assert taken.received == 1


def test_a_mailbox_that_cannot_be_read_says_so_on_its_row(kundcenter: Mailbox, inbox: Path) -> None:
    for path in inbox.iterdir():
        path.unlink()
    inbox.rmdir()
    taken = intake.take_in(kundcenter)
    kundcenter.refresh_from_db()
    assert taken.fault
    assert kundcenter.fault == taken.fault
    assert kundcenter.fault_since is not None
    assert Event.objects.filter(action="mailbox fault").count() == 1
    intake.take_in(kundcenter)
    assert Event.objects.filter(action="mailbox fault").count() == 1, "the same fault is told once"
    inbox.mkdir()
    intake.take_in(kundcenter)
    kundcenter.refresh_from_db()
    assert kundcenter.fault == ""
    assert kundcenter.fault_since is None


def test_our_own_reply_coming_back_is_no_new_mail(kundcenter: Mailbox, waiting: Mail, alice: object) -> None:
    from worker import review

    reply = review.approve(waiting.pk, alice, waiting.draft.version, waiting.draft.ticks)  # type: ignore[arg-type]
    assert reply is not None
    assert intake.store(kundcenter, Fetched("copy", bytes(reply.raw), None, {})) is None


def asleep() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select 1 from pg_stat_activity where wait_event = 'PgSleep'")
        return cursor.fetchone() is not None


@pytest.mark.django_db(transaction=True)
def test_a_reading_that_is_stopped_in_the_middle_of_a_query_keeps_what_it_has(
    kundcenter: Mailbox, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery stops a task by an exception out of a signal, wherever it is."""
    for number in range(3):
        (inbox / f"{number}.eml").write_bytes(letter(message_id=f"<{number}@mail.example>"))
    store = intake.store

    def slow(mailbox: Mailbox, arrived: Fetched) -> Mail | None:
        if Mail.objects.count() == 2:
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            with connection.cursor() as cursor:
                cursor.execute("select pg_sleep(3)")
        return store(mailbox, arrived)

    def stop(*_: object) -> None:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(intake, "store", slow)
    before = signal.signal(signal.SIGUSR1, stop)
    try:
        taken = intake.take_in(kundcenter)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (taken.received, taken.more, taken.fault) == (2, True, "")
    monkeypatch.undo()
    wait_for(lambda: not asleep(), "the end of the query, and with it of the session that held the lock")
    assert intake.take_in(kundcenter).received == 1
