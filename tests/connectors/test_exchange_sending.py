"""What only Exchange can do wrong while a reply is sent: nothing is lost, nothing leaves twice, or from elsewhere."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.base import Envelope
from connectors.errors import ConnectorError, Permanent, Refused, Transient, Unclear
from connectors.exchange.mailbox import ExchangeMailbox
from tests.connectors.on_exchange import ENVELOPE, RESIDENT, mailbox, reply, reply_id
from tests.ews_server import OWN, SHARED, EwsServer, Fault, ews_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EwsServer]:
    with ews_server(tmp_path) as running:
        yield running


def test_sent_copy_lands_in_the_shared_mailbox(server: EwsServer) -> None:
    mailbox(server).send(reply(), ENVELOPE)
    mailbox(server).file_sent(reply())
    assert [item.raw for item in server.in_folder("sentitems")] == [reply()]
    assert server.in_folder("sentitems", OWN) == []


def test_from_is_the_shared_address_or_nothing_goes(server: EwsServer) -> None:
    bare = f"Message-ID: {reply_id()}\r\n\r\nHej!\r\n".encode()
    with pytest.raises(Permanent, match="names another sender"):
        mailbox(server).send(reply().replace(SHARED.encode(), OWN.encode()), ENVELOPE)
    with pytest.raises(Permanent, match="not from the address of this mailbox"):
        mailbox(server).send(bare, Envelope(OWN, (RESIDENT,)))
    assert server.accepted == []
    mailbox(server).send(bare, ENVELOPE)
    assert [(sent.sender, sent.recipients) for sent in server.accepted] == [(SHARED, {RESIDENT})]


def test_a_header_recipient_outside_the_envelope_stops_the_reply(server: EwsServer) -> None:
    for header in ("Cc: other@post.example", "Bcc: other@post.example", 'Cc: "x, y" <other@post.example>'):
        with pytest.raises(Permanent, match="whom it is not meant for"):
            mailbox(server).send(reply(1, header), ENVELOPE)
    assert server.asked == []


@pytest.mark.parametrize(
    ("fault", "kind", "accepted"),
    [
        (Fault.BUSY, Transient, False),
        (Fault.BUSY_IN_ANSWER, Transient, False),
        (Fault.THROTTLED, Transient, False),
        (Fault.UNAUTHORIZED, Refused, False),
        (Fault.UNAVAILABLE, Unclear, False),
        (Fault.UNAVAILABLE_AFTER, Unclear, True),
        (Fault.UNAVAILABLE_AND_CLOSED_AFTER, Unclear, True),
        (Fault.GATEWAY_TIMEOUT_AFTER, Unclear, True),
        (Fault.STUMBLES_AFTER, Unclear, True),
        (Fault.HALF_WAY, Unclear, False),
        (Fault.DROPPED, Unclear, False),
        (Fault.DROPPED_AFTER, Unclear, True),
        (Fault.SILENT_AFTER, Unclear, True),
        (Fault.CUT_XML_AFTER, Unclear, True),
        (Fault.SHORT_AFTER, Unclear, True),
        (Fault.LOGIN_PAGE_AFTER, Unclear, True),
        (Fault.ODD_AFTER, Unclear, True),
    ],
)
def test_library_retries_are_off_for_sends_and_only_what_surely_was_not_accepted_is_transient(
    server: EwsServer, fault: Fault, kind: type[ConnectorError], accepted: bool
) -> None:
    server.misbehave("CreateItem", fault)
    with pytest.raises(kind) as caught:
        mailbox(server, timeout_s=2.0 if fault is Fault.SILENT_AFTER else 10.0).send(reply(), ENVELOPE)
    assert type(caught.value) is kind
    assert server.asked.count("CreateItem") == 1
    assert len(server.accepted) == accepted
    assert mailbox(server).was_sent(reply_id()) is accepted


@pytest.mark.parametrize("call", ["GetFolder", "FindItem", "DeleteItem"])
@pytest.mark.parametrize(
    "fault", [Fault.BUSY, Fault.UNAVAILABLE_AND_CLOSED_AFTER, Fault.DROPPED, Fault.CUT_XML_AFTER, Fault.ODD_AFTER]
)
def test_before_the_reply_is_handed_over_every_fault_is_harmless(server: EwsServer, call: str, fault: Fault) -> None:
    server.save(reply(), SHARED, "drafts", 0x08)  # left by an earlier attempt
    server.misbehave(call, fault)
    with pytest.raises(Transient):
        mailbox(server).send(reply(), ENVELOPE)
    assert server.accepted == []
    mailbox(server).send(reply(), ENVELOPE)
    assert len(server.accepted) == 1


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        ("ErrorSendAsDenied", Refused, "may not send from the mailbox's address: give it Send As"),
        ("ErrorAccessDenied", Refused, "give it full access to the mailbox"),
        ("ErrorInvalidRecipients", Permanent, "does not accept a recipient"),
        ("ErrorMessageSizeExceeded", Permanent, "larger than Exchange takes"),
        ("ErrorMimeContentInvalidBase64String", Permanent, "cannot read the mail that it was given"),
        ("ErrorSubmissionQuotaExceeded", Transient, "has sent as many mails as Exchange allows"),
        ("ErrorQuotaExceeded", Unclear, "no clear answer"),
        ("ErrorInternalServerError", Unclear, "no clear answer"),
    ],
)
def test_a_refused_reply_says_why(server: EwsServer, code: str, kind: type[ConnectorError], sentence: str) -> None:
    server.refusals["CreateItem"] = code
    with pytest.raises(kind, match=sentence) as caught:
        mailbox(server).send(reply(), ENVELOPE)
    assert type(caught.value) is kind
    assert server.asked.count("CreateItem") == 1


def test_a_reply_still_in_the_outbox_counts_as_sent_and_is_neither_filed_nor_sent_again(server: EwsServer) -> None:
    server.filing_takes_s = 3600
    mailbox(server).send(reply(), ENVELOPE)
    assert mailbox(server).was_sent(reply_id())
    mailbox(server).file_sent(reply())
    with pytest.raises(Unclear, match="has left already"):
        mailbox(server).send(reply(), ENVELOPE)
    assert len(server.accepted) == 1
    assert server.in_folder("sentitems") == []


def test_a_draft_left_half_way_is_not_sent_and_the_next_attempt_clears_it_away(server: EwsServer) -> None:
    server.misbehave("CreateItem", Fault.HALF_WAY)
    with pytest.raises(Unclear):
        mailbox(server).send(reply(), ENVELOPE)
    assert len(server.in_folder("drafts")) == 1
    assert not mailbox(server).was_sent(reply_id())
    mailbox(server).send(reply(), ENVELOPE)
    assert server.in_folder("drafts") == []
    assert len(server.accepted) == 1


def test_a_sent_reply_that_staff_have_deleted_still_counts(server: EwsServer) -> None:
    mailbox(server).send(reply(), ENVELOPE)
    server.in_folder("sentitems")[0].folder = "deleteditems"
    assert mailbox(server).was_sent(reply_id())


def test_only_exactly_this_message_id_counts(server: EwsServer) -> None:
    raw = reply().replace(b"<svar+1@", b"<SVAR+1@")
    mailbox(server).send(raw, ENVELOPE)
    assert not mailbox(server).was_sent(reply_id())
    odd = "<a&b'c\"d]]e@solkommun.example>"
    mailbox(server).send(reply().replace(reply_id().encode(), odd.encode()), ENVELOPE)
    assert mailbox(server).was_sent(odd)


def test_a_reply_filed_by_us_is_no_draft(server: EwsServer) -> None:
    mailbox(server).file_sent(reply())
    mailbox(server).file_sent(reply())
    (copy,) = server.in_folder("sentitems")
    assert not copy.is_draft
    assert mailbox(server).was_sent(reply_id())
    assert server.accepted == []


FAULTS = tuple(fault for fault in Fault if fault is not Fault.SILENT_AFTER)


def test_200_sends_with_a_fault_in_one_of_three_lose_nothing_and_double_nothing(server: EwsServer) -> None:
    chance = random.Random(7)
    ours = mailbox(server)
    for number in range(200):
        if number % 3 == 0:
            server.misbehave("CreateItem", chance.choice(FAULTS))
        attempts = 0
        while not _handed_over(ours, number):
            attempts += 1
            said = ours.was_sent(reply_id(number))
            assert said is (len(_accepted(server, number)) == 1)
            if said:
                break
        assert attempts <= 1
    assert all(len(_accepted(server, number)) == 1 for number in range(200))
    assert len(server.accepted) == len(server.in_folder("sentitems")) == 200


def _handed_over(ours: ExchangeMailbox, number: int) -> bool:
    try:
        ours.send(reply(number), ENVELOPE)
    except (Transient, Refused, Unclear):
        return False
    return True


def _accepted(server: EwsServer, number: int) -> list[str]:
    return [sent.message_id for sent in server.accepted if sent.message_id == reply_id(number)]
