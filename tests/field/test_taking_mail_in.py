"""Taking mail in: what stopped, hid or lost residents' mail elsewhere, and must not here."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from connectors.base import LARGEST_MAIL_BYTES, Fetched
from rules import message as reader
from tests.field.conftest import Arrived, database_takes_all_again
from tests.letters import letter
from tests.servers import Dovecot
from worker import again, doctor, intake, silence, triage
from worker.models import Case, Event, Mail, Mailbox
from worker.settings import POLL_S

MAILS = sorted((Path(__file__).resolve().parent.parent / "mails").glob("*.eml"))
BLANK = reader.read(b"")
NOT_HERE = "could not be taken in"

Refuses = Callable[[str, str], None]
Screen = Callable[[User], Client]


def test_one_bad_mail_never_stops_the_mailbox(
    kundcenter: Mailbox, on_imap: Dovecot, database_refuses: Refuses, understood_as: Callable[..., None]
) -> None:
    """One spam mail in a damaged Chinese charset ended all fetching until somebody deleted it on the server."""
    for path in MAILS:
        on_imap.deliver(path.read_bytes())
    on_imap.deliver(letter("Går inte att spara.", message_id="<poison@mail.example>"))
    on_imap.deliver(letter(message_id="<good@mail.example>"))
    database_refuses("worker_mail", "new.message_id = '<poison@mail.example>'")
    taken = intake.take_in(kundcenter)
    assert (taken.received + taken.known, taken.unreadable, taken.fault) == (len(MAILS) + 1, 1, "")
    for mail_id in taken.mail_ids or ():
        assert triage.triage(mail_id) not in (None, "received", "read")
    assert Mail.objects.get(message_id="<good@mail.example>").state == "waiting"


def test_unreadable_mail_is_on_screen_within_minutes(
    kundcenter: Mailbox, on_imap: Dovecot, alice: User, lead: User, screen: Screen
) -> None:
    """Residents' mails lay for weeks in a folder of failed files that nobody opens."""
    on_imap.deliver(letter())
    on_imap.spoil(on_imap.deliver(letter("Syns inte.")))
    assert POLL_S <= 300
    intake.take_in(kundcenter)
    page = screen(alice).get("/").content.decode()
    assert f"1 mail lies in a mailbox and {NOT_HERE}" in page
    assert "<b>kundcenter</b>" in page
    (told,) = again.not_taken_in([kundcenter])
    assert told.sentence in page, "with the sentence that says what is wrong"
    address = f"/mailbox/kundcenter/not-taken-in/{told.id}"
    assert screen(alice).post(address, {"seen": ""}).status_code == 403, "a lead sees to it"
    assert NOT_HERE in screen(alice).get("/").content.decode()
    assert screen(lead).post(address, {"seen": ""}).status_code == 302
    assert NOT_HERE not in screen(lead).get("/").content.decode()
    assert Event.objects.get(action=again.SEEN).actor == "person:lotta"


def weekly(mailbox: Mailbox, until: datetime, *, weeks: int, each: int) -> None:
    """So many mails in the last two hours before this time of the week, in each of the weeks before."""
    for week in range(1, weeks + 1):
        for number in range(each):
            at = until - timedelta(weeks=week, minutes=10 + 10 * number)
            fetched = Fetched(f"{week}/{number}", letter(f"Vecka {week}, brev {number}"), at, {})
            assert intake.store(mailbox, fetched) is not None


@pytest.mark.parametrize(
    ("weeks", "each", "read_before", "alarm"),
    [
        pytest.param(4, 6, timedelta(0), "Nothing has come since", id="mail usually comes now"),
        pytest.param(4, 2, timedelta(0), "", id="two an hour may well be none"),
        pytest.param(3, 6, timedelta(0), "", id="a week without mail is usual"),
        pytest.param(0, 0, timedelta(minutes=5), "", id="just read"),
        pytest.param(0, 0, timedelta(hours=2), "has not been read since", id="nobody reads it"),
    ],
)
def test_silent_mailbox_raises_an_alarm(
    weeks: int,
    each: int,
    read_before: timedelta,
    alarm: str,
    kundcenter: Mailbox,
    alice: User,
    screen: Screen,
) -> None:
    """One unreadable attachment; intake was dead for over two hours without notice."""
    now = timezone.now()
    weekly(kundcenter, now, weeks=weeks, each=each)
    Mailbox.objects.update(read_at=now - read_before)
    said = [silent.sentence for silent in silence.of(["kundcenter"], now)]
    page = screen(alice).get("/").content.decode()
    failing = [finding for finding in doctor.silent_mailboxes() if not finding.ok]
    assert bool(said) is bool(alarm)
    assert bool(alarm) is any(finding.what == "mailbox kundcenter" for finding in failing)
    if alarm:
        assert alarm in said[0]
        assert f"<b>kundcenter</b>: {alarm if alarm[0] != 'h' else 'It ' + alarm}" in page


def test_a_mailbox_that_brings_mail_or_is_switched_off_raises_no_alarm(kundcenter: Mailbox) -> None:
    """An alarm that rings for nothing is soon not heard."""
    now = timezone.now()
    weekly(kundcenter, now, weeks=4, each=6)
    Mailbox.objects.update(read_at=now)
    intake.store(kundcenter, Fetched("today", letter("I dag."), now - timedelta(hours=1), {}))
    assert not list(silence.of(["kundcenter"], now))
    Mailbox.objects.update(read_at=now - timedelta(days=1), enabled=False)
    assert not list(silence.of(["kundcenter"], now))


def test_huge_mail_is_parked_and_the_rest_flows(kundcenter: Mailbox, folder: Path) -> None:
    """A mail with many large PDFs exceeded memory on every run; no replies for two days."""
    (folder / "1.eml").write_bytes(letter("före"))
    with (folder / "2.eml").open("wb") as huge:
        huge.write(letter("för stor"))
        huge.truncate(LARGEST_MAIL_BYTES + 1)
    (folder / "3.eml").write_bytes(letter("efter"))
    taken = intake.take_in(kundcenter)
    assert (taken.received, taken.unreadable, taken.fault) == (2, 1, "")
    assert "too large" in next(again.not_taken_in([kundcenter])).sentence
    (folder / "4.eml").write_bytes(letter("senare"))
    taken = intake.take_in(kundcenter)
    assert (taken.received, taken.unreadable) == (1, 0), "it is not fetched again at every reading"


def test_a_large_mail_that_kills_its_worker_is_parked_and_the_rest_flows(
    kundcenter: Mailbox, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker ran out of memory at the same mail at every start."""

    class Killed(BaseException):
        pass

    store = intake.store

    def dies(mailbox: Mailbox, arrived: Fetched) -> Mail | None:
        if len(arrived.raw) > intake.HEAVY_BYTES:
            raise Killed
        return store(mailbox, arrived)

    (folder / "1.eml").write_bytes(letter("x" * intake.HEAVY_BYTES))
    (folder / "2.eml").write_bytes(letter("efter"))
    monkeypatch.setattr(intake, "store", dies)
    for _ in range(intake.MOST_BREAKDOWNS):
        with pytest.raises(Killed):
            intake.take_in(kundcenter)
    taken = intake.take_in(kundcenter)
    assert (taken.received, taken.unreadable) == (1, 1)
    assert next(again.not_taken_in([kundcenter])).sentence == intake.TOO_HEAVY


@pytest.mark.django_db(transaction=True)
def test_a_reading_that_brings_nothing_in_its_time_is_a_fault_that_is_shown(
    kundcenter: Mailbox, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading was ended at its time limit, again and again at the same mail, and counted as a success."""

    def never_ends(*_: object) -> None:
        raise SoftTimeLimitExceeded

    (folder / "1.eml").write_bytes(letter())
    monkeypatch.setattr(intake, "store", never_ends)
    assert "time limit" in intake.take_in(kundcenter).fault


def test_one_mail_can_be_imported_again(
    kundcenter: Mailbox, on_imap: Dovecot, lead: User, screen: Screen, understood_as: Callable[..., None]
) -> None:
    """After a fault of the parser was mended, the mail stayed refused because its Message-ID was remembered."""
    on_imap.deliver(letter("Före.", message_id="<before@mail.example>"))
    spoilt = on_imap.deliver(letter(message_id="<spoilt@mail.example>"))
    on_imap.spoil(spoilt)
    on_imap.deliver(letter("Efter.", message_id="<after@mail.example>"))
    intake.take_in(kundcenter)
    (told,) = again.not_taken_in([kundcenter])
    address = f"/mailbox/kundcenter/not-taken-in/{told.id}"
    assert "It still cannot be read." in screen(lead).post(address, {"again": ""}, follow=True).content.decode()

    mend(spoilt)
    where = Mailbox.objects.get(pk=kundcenter.pk).cursor
    assert "taken in and in the queue" in screen(lead).post(address, {"again": ""}, follow=True).content.decode()
    assert triage.triage(Mail.objects.get(message_id="<spoilt@mail.example>").pk) == "waiting"
    assert Mailbox.objects.get(pk=kundcenter.pk).cursor == where, "reading goes on where it was"
    assert not list(again.not_taken_in([kundcenter]))
    assert intake.take_in(kundcenter).received == 0


def mend(spoilt: Path) -> None:
    owner = spoilt.parent.stat()
    spoilt.chmod(0o644)
    os.chown(spoilt, owner.st_uid, owner.st_gid)


def test_a_mail_that_was_read_badly_can_be_read_anew(
    kundcenter: Mailbox,
    arrived: Arrived,
    alice: User,
    screen: Screen,
    understood_as: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The blank mail could be neither repaired nor deleted and imported once more."""
    with monkeypatch.context() as before_it_was_mended:
        before_it_was_mended.setattr(intake.mime, "read", lambda *_, **__: BLANK)
        mail = arrived(letter(message_id="<blank@mail.example>"))
        assert triage.triage(mail.pk) == "needs_attention"
    screen(alice).post(f"/mail/{mail.pk}/read-anew")
    assert triage.triage(mail.pk) == "waiting"
    mail.refresh_from_db()
    assert "faktura 2026-118342" in intake.message_of(mail).text
    answer = arrived(letter("Tack!", In_Reply_To=mail.message_id))
    assert answer.case == mail.case, "an answer to it finds its case"


def test_seen_is_set_only_after_durable_store(
    kundcenter: Mailbox, on_imap: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fetched mail was flagged as read, also when parsing failed or the process died; it never came again."""

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    on_imap.deliver(letter())
    with monkeypatch.context() as at_the_worst_moment:
        at_the_worst_moment.setattr(intake, "remember", dies)
        with pytest.raises(KeyboardInterrupt):
            intake.take_in(kundcenter)
    assert on_imap.flags() == [""]
    assert intake.take_in(kundcenter).received == 1
    assert on_imap.flags() == [""], "staff have not opened it"


@pytest.mark.django_db(transaction=True)
def test_backlog_after_an_outage_is_read_in_full(
    kundcenter: Mailbox, on_imap: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a stop only about 36 hours of mail were looked at."""
    sixty_days = [letter(f"Dag {day}", message_id=f"<day.{day}@mail.example>") for day in range(60)]
    for day, raw in enumerate(sixty_days):
        old(on_imap.deliver(raw), timedelta(days=60 - day))
    store, limit = intake.store, 25

    def until_the_time_is_up(mailbox: Mailbox, arrived: Fetched) -> Mail | None:
        if Mail.objects.count() and Mail.objects.count() % limit == 0 and not over.is_set():
            over.set()
            raise SoftTimeLimitExceeded
        over.clear()
        return store(mailbox, arrived)

    over = threading.Event()
    monkeypatch.setattr(intake, "store", until_the_time_is_up)
    readings = [intake.take_in(kundcenter).received for _ in range(4)]
    assert readings == [25, 25, 10, 0]
    assert Mail.objects.count() == 60
    assert not Mailbox.objects.get(pk=kundcenter.pk).fault


def old(path: Path, by: timedelta) -> None:
    at = (timezone.now() - by).timestamp()
    os.utime(path, (at, at))


ODD_WAYS: dict[str, dict[str, str]] = {
    "our address in Cc": {"Cc": "kundcenter@norrvik.example", "To": "annan@mail.example"},
    "our address nowhere": {"To": "undisclosed-recipients:;"},
    "no To at all": {"To": ""},
    "our address as sender": {"From": "kundcenter@norrvik.example"},
    "no sender": {"From": ""},
    "null sender": {"From": "<>"},
    "a known Message-ID with another text": {"Message-ID": "<first@mail.example>"},
    "a broken Message-ID": {"Message-ID": "<>"},
    "a date in the future": {"Date": "Fri, 20 Nov 2099 08:12:00 +0100"},
    "a bounce of nothing": {"Content-Type": "multipart/report; report-type=delivery-status; boundary=b"},
    "a list": {"List-Id": "<nytt.foretag.example>"},
}


@pytest.mark.parametrize("way", ODD_WAYS)
def test_every_accepted_delivery_ends_in_a_case_or_an_alarm(way: str, kundcenter: Mailbox, folder: Path) -> None:
    """The reply address stood in Cc; ingress answered 200, the mail was dropped, and nothing was logged."""
    (folder / "1.eml").write_bytes(letter("Den första.", message_id="<first@mail.example>"))
    head = {"From": "anna@mail.example", "To": "kundcenter@norrvik.example", "Subject": "Hej", **ODD_WAYS[way]}
    lines = [f"{name}: {value}" for name, value in head.items() if value]
    (folder / "2.eml").write_bytes("\r\n".join([*lines, "", "En fråga."]).encode())
    taken = intake.take_in(kundcenter)
    assert (taken.received, taken.known, taken.unreadable, taken.fault) == (2, 0, 0, "")
    mail = Mail.objects.latest("pk")
    assert mail.case.number
    triage.triage(mail.pk)
    mail.refresh_from_db()
    assert mail.state not in ("received", "read", "understood")
    assert Event.objects.filter(object=f"mail:{mail.pk}", to_state=mail.state).exists()


@pytest.mark.parametrize(
    ("table", "condition"),
    [
        pytest.param("worker_case", "true", id="no case can be made"),
        pytest.param("worker_mail", "true", id="no mail can be kept"),
        pytest.param("worker_event", "new.action = 'mail received'", id="no event can be written"),
    ],
)
def test_failed_filing_rolls_back_whole(
    table: str, condition: str, kundcenter: Mailbox, folder: Path, lead: User, database_refuses: Refuses
) -> None:
    """A case was made and then deleted on error; its follow-ups stayed empty."""
    database_refuses(table, condition)
    (folder / "1.eml").write_bytes(letter(message_id="<first@mail.example>"))
    assert intake.take_in(kundcenter).unreadable == 1
    assert (Mail.objects.count(), Case.objects.count()) == (0, 0)
    assert not Event.objects.filter(object__startswith="mail:").exists()
    database_takes_all_again(table)
    (folder / "2.eml").write_bytes(letter("Och en sak till.", In_Reply_To="<first@mail.example>"))
    assert intake.take_in(kundcenter).received == 1
    (told,) = again.not_taken_in([kundcenter])
    assert again.fetch_again(kundcenter, told.id, lead) is not None
    assert all(intake.message_of(mail).text.strip() for mail in Mail.objects.all())


def test_a_database_that_is_away_parks_nothing(
    kundcenter: Mailbox, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the whole house is not the mail's: it stays where it is and comes at the next reading."""

    def away(*_: Any) -> None:
        raise OperationalError("the connection is lost")

    (folder / "1.eml").write_bytes(letter())
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(intake, "remember", away)
        taken = intake.take_in(kundcenter)
    assert (taken.received, taken.unreadable, bool(taken.fault)) == (0, 0, True)
    assert intake.take_in(kundcenter).received == 1
