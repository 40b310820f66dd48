"""Loops and automatic replies: machines that wrote to each other until a disk was full."""

from __future__ import annotations

from collections.abc import Callable, Collection
from email import message_from_bytes
from email.policy import default

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.field.conftest import Triaged, bounce
from tests.letters import letter
from worker import review
from worker.models import Approval, Case, Event, Mail, Outgoing

Screen = Callable[[User], Client]

MACHINE = {"Auto_Submitted": "auto-replied"}


def test_one_auto_reply_per_sender_thread_and_day(answered: Mail, triaged: Triaged) -> None:
    """A shipping notice answered each receipt; eleven conversations."""
    thread = answered.outgoing.message_id
    notices = []
    for number in range(11):
        notices.append(
            triaged(letter("Ditt paket är på väg.", message_id=f"<{number}@shop.example>", In_Reply_To=thread))
        )
        thread = notices[-1].message_id
    assert {notice.case for notice in notices} == {answered.case}, "one conversation"
    assert Outgoing.objects.count() == 1, "the reply that a person approved, and nothing by itself"


def test_a_notice_that_a_reply_is_late_is_no_bounce(answered: Mail, triaged: Triaged) -> None:
    """A resident was phoned about a reply that arrived an hour later."""
    late = bounce(bytes(Outgoing.objects.get().raw)).replace(b"Action: failed", b"Action: delayed")
    assert triaged(late).state == "no_reply"


def test_bounce_never_creates_a_case_or_a_notice(answered: Mail, triaged: Triaged, alice: User, screen: Screen) -> None:
    """A bounce was filed and mailed to all users, the bouncing one included; some thirty nested reports."""
    cases = Case.objects.count()
    returned = triaged(bounce(bytes(Outgoing.objects.get().raw)))
    assert returned.case == answered.case
    assert Case.objects.count() == cases
    assert "came back undelivered" in returned.fault
    for number in range(2, 32):
        assert triaged(bounce(bytes(returned.raw), number=number)).state == "no_reply", "a report on a report"
    assert Outgoing.objects.count() == 1
    assert screen(alice).get("/").context["page"].paginator.count == 1, "what staff must know is in their list, once"


OWN = ("kundcenter@norrvik.example", "bygg@norrvik.example")


@pytest.mark.parametrize(
    "headers",
    [
        {"sender": "Bygg <bygg@norrvik.example>"},
        {"sender": "KUNDCENTER@Norrvik.example"},
        {"Reply_To": "bygg@norrvik.example"},
        {"Reply_To": "anna@mail.example, kundcenter@norrvik.example"},
        {"Cc": "bygg@norrvik.example, kundcenter@norrvik.example"},
        {"Bcc": "bygg@norrvik.example"},
    ],
    ids=lambda headers: " ".join(f"{name}: {value}" for name, value in headers.items()),
)
def test_own_addresses_are_never_recipients(headers: dict[str, str], triaged: Triaged, alice: User) -> None:
    """The queue's own address in Cc became a watcher and received its own receipts."""
    mail = triaged(letter(**headers))
    if hasattr(mail, "draft"):
        review.approve(mail.pk, alice, mail.draft.version, mail.draft.ticks)
    for reply in Outgoing.objects.all():
        sent = message_from_bytes(bytes(reply.raw), policy=default)
        named = {address.addr_spec for name in ("To", "Cc", "Bcc") for address in addresses_of(sent[name])}
        assert not {*named, *reply.envelope["recipients"]} & set(OWN)
        assert named == set(reply.envelope["recipients"])
    assert Outgoing.objects.count() == ("Cc" in headers or "Bcc" in headers)


def addresses_of(field: object) -> Collection[object]:
    return getattr(field, "addresses", ())


def test_nothing_leaves_without_a_person(answered: Mail, triaged: Triaged) -> None:
    """Robots were answered by robots. Here no machine mail exists that would have to say that it is one."""
    for headers in ({}, MACHINE, {"Precedence": "bulk"}, {"sender": "noreply@mail.example"}):
        triaged(letter("Något annat.", **headers))
    (reply,) = Outgoing.objects.all()
    assert Approval.objects.filter(draft__mail=reply.mail, voided_at__isnull=True).exists()
    sent = message_from_bytes(bytes(reply.raw), policy=default)
    assert sent["Auto-Submitted"] is None, "a person wrote it, and a resident's filter must not drop it"


REFUSED = {
    "encrypted": {"Content-Type": "application/pkcs7-mime; smime-type=enveloped-data"},
    "empty": {},
    "an invitation": {"Content-Type": "text/calendar; method=REQUEST"},
    "from somebody who looks false": {"From": '"kundcenter@norrvik.example" <a@elsewhere.example>'},
    "to somebody else by Reply-To": {"Reply-To": "victim@elsewhere.example"},
}


@pytest.mark.parametrize("refused", REFUSED)
def test_refusal_filters_share_the_loop_guard(refused: str, triaged: Triaged) -> None:
    """The filter that rejected mail ran before the guard against loops, and wrote to whoever stood in From."""
    head = {"From": "anna@mail.example", "To": OWN[0], "Subject": "Hej", "Message-ID": "<1@mail.example>"}
    head |= REFUSED[refused]
    plain = "\r\n".join([*(f"{name}: {value}" for name, value in head.items()), "", ""]).encode()
    machine = b"Auto-Submitted: auto-replied\r\nX-Loop: yes\r\n" + plain.replace(b"<1@", b"<2@")
    assert triaged(plain).state == "needs_attention", "a person refuses, never a mail"
    assert triaged(machine).state == "no_reply", "a machine's is not even put before one"
    assert not Outgoing.objects.exists()


@pytest.mark.parametrize(
    "headers",
    [MACHINE, {"Auto_Submitted": "auto-generated"}, {"Precedence": "bulk"}, {"sender": "no-reply@mail.example"}],
    ids=lambda headers: " ".join(headers.values()),
)
def test_auto_replies_are_kept_and_marked_not_deleted(
    headers: dict[str, str], answered: Mail, triaged: Triaged, alice: User, screen: Screen
) -> None:
    """Intake deleted automatic replies and mail from no-reply addresses; among them was mail that mattered."""
    raw = letter("Jag är på semester till den 5 december.", In_Reply_To=answered.outgoing.message_id, **headers)
    mail = triaged(raw)
    assert bytes(Mail.objects.get(pk=mail.pk).raw) == raw
    assert (mail.state, mail.case) == ("no_reply", answered.case)
    why = Event.objects.get(object=f"mail:{mail.pk}", to_state="no_reply").reason
    assert ("auto_reply" in why) or ("no_reply_address" in why)
    assert "semester" in screen(alice).get(f"/mail/{mail.pk}/").content.decode()
    assert f"/mail/{mail.pk}/" in screen(alice).get("/?state=no_reply").content.decode()
