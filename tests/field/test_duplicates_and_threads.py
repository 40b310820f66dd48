"""Duplicates and threads: mail that was taken twice, not at all, or into somebody else's case."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from imapclient import IMAPClient

from connectors.base import Fetched
from tests.field.conftest import Arrived, Triaged, came_to
from tests.letters import letter
from tests.servers import Dovecot
from worker import again, intake, review, setting_up, triage
from worker.models import Case, Mail, Mailbox, Outgoing
from worker.municipality import configured
from worker.review import Refusal

Screen = Callable[[User], Client]


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Each act in a thread with a database connection of its own, all beginning together."""
    outcomes: list[object] = []
    start = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> None:
        start.wait()
        try:
            outcomes.append(act())
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.fixture
def two_folders(on_imap: Dovecot, settings: object) -> Iterator[Dovecot]:
    """kundcenter reads INBOX, bygg another folder of the same account; both count their mail from UID 1."""
    path = Path(str(settings.MUNICIPALITY))  # type: ignore[attr-defined]
    town = yaml.safe_load(path.read_text(encoding="utf-8"))
    first = town["mailboxes"]["kundcenter"]
    town["mailboxes"]["bygg"] = first | {"options": first["options"] | {"folder": "Bygg"}}
    other = path.with_name("two.yaml")
    other.write_text(yaml.safe_dump(town, allow_unicode=True), encoding="utf-8")
    settings.MUNICIPALITY = other  # type: ignore[attr-defined]
    with IMAPClient(on_imap.host, on_imap.port, ssl=False) as client:
        client.plain_login(on_imap.user, on_imap.password)
        client.create_folder("Bygg")
        yield on_imap
        if client.folder_exists("Bygg"):
            client.delete_folder("Bygg")


def put_into(folder: str, raw: bytes, server: Dovecot) -> None:
    with IMAPClient(server.host, server.port, ssl=False) as client:
        client.plain_login(server.user, server.password)
        client.append(folder, raw)


def test_dedupe_key_holds_mailbox_folder_and_uidvalidity(
    kundcenter: Mailbox, bygg: Mailbox, two_folders: Dovecot
) -> None:
    """New mail was skipped because its number had been seen in another mailbox."""
    two_folders.renumber()  # so that INBOX counts from 1 as well, whatever came before
    two_folders.deliver(letter("Till kundcenter."))
    put_into("Bygg", letter("Till bygg."), two_folders)
    assert [intake.take_in(box).received for box in (kundcenter, bygg)] == [1, 1]
    two_folders.empty()
    two_folders.renumber()
    two_folders.renumber()  # making a folder has put Dovecot's UIDVALIDITY ahead of the clock
    two_folders.deliver(letter("Först i den nya numreringen."))
    assert intake.take_in(kundcenter).received == 1
    ids = list(Mail.objects.values_list("mailbox__name", "remote_id"))
    assert len(ids) == len(set(ids)) == 3
    assert {remote_id.rpartition("/")[2] for _, remote_id in ids} == {"1"}, "all three had the same UID"


def test_same_sender_same_subject_is_not_a_duplicate(kundcenter: Mailbox) -> None:
    """Monthly mails that look alike were called already processed."""
    for month in (9, 10, 11):
        for message_id in (f"<month.{month}@mail.example>", "<always.the.same@mail.example>", ""):
            raw = letter("Bifogat mätarställningen.", message_id="<x@mail.example>")
            raw = raw.replace(b"20 Nov 2026", f"20 {['Sep', 'Oct', 'Nov'][month - 9]} 2026".encode())
            raw = raw.replace(b"Message-ID: <x@mail.example>\r\n", f"Message-ID: {message_id}\r\n".encode())
            assert came_to(kundcenter, raw) is not None
    assert Mail.objects.count() == Case.objects.count() == 9


@pytest.mark.django_db(transaction=True)
def test_two_rules_take_a_mail_once(kundcenter: Mailbox, folder: Path) -> None:
    """Several rules in one run consumed the same mail."""
    for number in range(8):
        (folder / f"{number}.eml").write_bytes(letter(f"Brev {number}"))
    readings = at_once(*[lambda: intake.take_in(Mailbox.objects.get(pk=kundcenter.pk))] * 3)
    readings.append(intake.take_in(kundcenter))
    handed_on = [mail_id for taken in readings for mail_id in taken.mail_ids or ()]  # type: ignore[attr-defined]
    assert len(handed_on) == len(set(handed_on)) == 8
    assert Mail.objects.count() == Case.objects.count() == 8


def test_self_addressed_mail_makes_one_case(triaged: Triaged, kundcenter: Mailbox) -> None:
    """From equal to To gave two conversations with one Message-ID."""
    raw = letter("Kom ihåg!", sender="kundcenter@norrvik.example", message_id="<note@norrvik.example>")
    mail = triaged(raw)
    assert came_to(kundcenter, b"Received: from a by b; Fri, 20 Nov 2026 08:14:00 +0100\r\n" + raw) is None
    assert Case.objects.count() == Mail.objects.count() == 1
    assert not hasattr(mail, "draft"), "and nobody drafts a reply to ourselves"


def test_mail_to_two_inboxes_is_one_case_with_two_readers(
    kundcenter: Mailbox, bygg: Mailbox, alice: User, understood_as: Callable[..., None], screen: Screen
) -> None:
    """One inbox in To, another in Cc: the mail was doubled or split, and two clerks answered."""
    raw = letter(Cc="bygg@norrvik.example")
    first, second = came_to(kundcenter, raw), came_to(bygg, raw)
    assert first is not None
    assert second is not None
    assert first.case == second.case
    assert triage.triage(first.pk) == "waiting"
    assert triage.triage(second.pk) == "needs_attention"
    second.refresh_from_db()
    assert "came to kundcenter too" in second.fault
    assert not hasattr(second, "draft"), "one reply"
    builder = setting_up.create_user("berit", "x", ["reviewer"], ["bygg"], "Berit Berg", check=False)
    for person, own in ((alice, first), (builder, second)):
        assert screen(person).get(f"/mail/{own.pk}/").status_code == 200, "each reads it in their own inbox"
    assert screen(builder).get(f"/mail/{first.pk}/").status_code == 404


def test_a_mail_to_two_inboxes_that_the_first_closed_is_answered_by_the_second(
    kundcenter: Mailbox, bygg: Mailbox, alice: User, understood_as: Callable[..., None]
) -> None:
    """Each inbox left the mail to the other."""
    raw = letter(message_id="<both@mail.example>")
    first, second = came_to(kundcenter, raw), came_to(bygg, raw)
    assert first is not None
    assert second is not None
    triage.triage(first.pk)
    triage.triage(second.pk)
    review.close(first.pk, alice, "answered elsewhere")
    again.read_anew(second.pk, alice)
    assert triage.triage(second.pk) == "waiting"


def test_bcc_to_two_inboxes_reaches_both(kundcenter: Mailbox, bygg: Mailbox) -> None:
    """Only the first box fetched it, since blind copies stand in no header."""
    raw = letter().replace(b"To: kundcenter@norrvik.example\r\n", b"To: undisclosed-recipients:;\r\n")
    assert came_to(kundcenter, raw) is not None
    assert came_to(bygg, raw) is not None


@pytest.mark.parametrize("queue", ["reviewers", "senior", "registrar", "restricted", ""])
def test_reply_matches_across_queues_of_one_mailbox(queue: str, answered: Mail, arrived: Arrived) -> None:
    """A reply that came in by queue B opened a new ticket in queue A."""
    Mail.objects.filter(pk=answered.pk).update(queue=queue)
    assert arrived(letter("Tack!", In_Reply_To=answered.outgoing.message_id)).case == answered.case


@pytest.mark.parametrize(
    ("header", "value"),
    [
        pytest.param("In-Reply-To", "{ours}", id="as it should be"),
        pytest.param("In-Reply-To", "{bare}", id="without its brackets"),
        pytest.param("In-Reply-To", "Kundcenter's message of Friday {ours}", id="with words around it"),
        pytest.param("References", "{ours}", id="only as a reference"),
        pytest.param("References", "{many} {ours}", id="at the end of a long thread"),
        pytest.param("references", "<x@mail.example>\r\n\t{ours}", id="folded"),
    ],
)
def test_reply_to_our_message_id_always_joins(header: str, value: str, answered: Mail, arrived: Arrived) -> None:
    """A reply with the receipt's own id and number still became a new ticket."""
    ours = answered.outgoing.message_id
    many = " ".join(f"<{number}@mail.example>" for number in range(60))
    line = f"{header}: {value.format(ours=ours, bare=ours.strip('<>'), many=many)}\r\n".encode()
    stranger = letter("Jag svarar från jobbet.", sender="ekvall@work.example", subject="Ett annat ämne")
    assert arrived(line + stranger).case == answered.case


@pytest.mark.parametrize("sender", ["Eva <eva@elsewhere.example>", "Maj-Lis Ekvall <majlis.ekvall@elsewhere.example>"])
def test_case_number_in_subject_needs_a_known_party(sender: str, answered: Mail, arrived: Arrived) -> None:
    """Anyone who wrote the number was added to somebody else's case."""
    number = answered.case.number
    mail = arrived(letter(f"Ärende {number}: vad blev det?", subject=f"Re: [{number}]", sender=sender, proven=False))
    assert mail.case != answered.case


def test_new_mail_sent_from_an_old_one_can_be_split(
    answered: Mail, triaged: Triaged, arrived: Arrived, alice: User, screen: Screen
) -> None:
    """References joined separate matters, and nobody could take them apart."""
    mail = triaged(
        letter(message_id="<new@mail.example>", subject="En helt annan sak", In_Reply_To=answered.outgoing.message_id)
    )
    assert mail.case == answered.case
    page = screen(alice).get(f"/mail/{mail.pk}/").content.decode()
    assert f'action="/mail/{mail.pk}/split"' in page
    screen(alice).post(f"/mail/{mail.pk}/split")
    mail.refresh_from_db()
    assert mail.case != answered.case
    assert arrived(letter("Och till sist.", In_Reply_To="<new@mail.example>")).case == mail.case
    with pytest.raises(Refusal):
        again.split(answered.pk, alice)


def test_reply_all_by_a_colleague_joins_the_case(arrived: Arrived, bygg: Mailbox) -> None:
    """In-Reply-To pointed at the resident's mail, not ours, and a second ticket appeared."""
    asked = arrived(letter(message_id="<asked@mail.example>"))
    colleague = letter(
        "Jag svarar på det här.", sender="Bo <bo@norrvik.example>", In_Reply_To="<asked@mail.example>", Cc="a@b.example"
    )
    assert arrived(colleague).case == asked.case


def test_subject_match_stays_inside_its_department(answered: Mail, bygg: Mailbox) -> None:
    """Case numbers matched across departments until a filter was added."""
    ours = answered.outgoing.message_id
    elsewhere = came_to(bygg, letter("Hej!", subject=f"Re: {answered.case.number}", In_Reply_To=ours))
    assert elsewhere is not None
    assert elsewhere.case != answered.case
    assert elsewhere.case.mailbox == bygg


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("names", [("kundcenter",) * 4, ("kundcenter", "bygg")], ids=["one mailbox", "two mailboxes"])
def test_idempotency_key_is_reserved_before_the_work(names: tuple[str, ...], kundcenter: Mailbox) -> None:
    """It was stored after the case, so two parallel requests both created one."""
    for number in range(5):
        raw = letter(f"Brev {number}")
        boxes = [Mailbox.objects.get(name=name) for name in names]
        stored = at_once(
            *[
                lambda box=box, raw=raw, number=number: intake.store(box, Fetched(f"r{number}", raw, None, {}))
                for box in boxes
            ]
        )
        assert sum(mail is not None for mail in stored) == len(set(names))
        assert Case.objects.count() == number + 1


def test_message_id_rewritten_by_a_provider_still_dedupes(
    answered: Mail, kundcenter: Mailbox, arrived: Arrived
) -> None:
    """Rewritten ids hid duplicates and loops."""
    reply = bytes(Outgoing.objects.get(mail=answered).raw)
    ours = answered.outgoing.message_id.encode()
    copy = b"Received: from mx by mail; Fri, 20 Nov 2026 09:00:00 +0100\r\n" + reply.replace(
        b"Message-ID: " + ours, b"Message-ID: <0102.rewritten@provider.example>"
    )
    assert ours not in copy
    assert came_to(kundcenter, copy) is None, "our own copy is no new mail"
    assert b"References:" in copy, "whoever answers it names the mail it answered as well"
    thread = f"{intake.message_of(answered).message_id} <0102.rewritten@provider.example>"
    answer = arrived(letter("Tack!", In_Reply_To="<0102.rewritten@provider.example>", References=thread))
    assert answer.case == answered.case


def test_what_we_write_to_ourselves_in_a_known_thread_is_no_copy(answered: Mail, kundcenter: Mailbox) -> None:
    """A note of a colleague from the shared address must not vanish as a copy of the reply."""
    asked = str(intake.message_of(answered).message_id)
    note = letter("Ring henne i morgon.", sender=f"<{configured().mailboxes['kundcenter'].address}>", In_Reply_To=asked)
    assert came_to(kundcenter, note) is not None
