"""How a reply leaves through Microsoft 365: once, whatever Graph answers, and never a second time to make sure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from pathlib import Path

import httpx
import pytest

from connectors.base import Envelope
from connectors.errors import ConnectorError, Permanent, Refused, Transient, Unclear
from connectors.graph import mailbox as graph
from connectors.graph import sending as graph_draft
from connectors.graph.api import Graph
from connectors.graph.mailbox import GraphMailbox
from tests.connectors.on_graph import ENVELOPE, RESIDENT, mailbox, reply, reply_id
from tests.graph_server import MAILBOX, Fault, GraphServer, graph_server
from tests.graph_server import Refused as Says

DENIED = Says(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GraphServer]:
    with graph_server(tmp_path) as running:
        yield running


def test_a_reply_leaves_once_and_is_filed_by_microsoft_365_itself(server: GraphServer) -> None:
    mailbox(server).send(reply(), ENVELOPE)
    mailbox(server).file_sent(reply())
    (accepted,) = server.accepted
    assert accepted.raw == reply()
    assert accepted.recipients == {RESIDENT}
    assert [item.raw for item in server.in_folder("sentitems")] == [reply()]
    assert mailbox(server).was_sent(reply_id())
    assert not mailbox(server).was_sent(reply_id(2))


def test_only_exactly_this_message_id_counts_whatever_characters_it_has(server: GraphServer) -> None:
    odd = b"Message-ID: <it's+a&b=c#d@solkommun.example>\r\nTo: " + RESIDENT.encode() + b"\r\n\r\nHej!\r\n"
    mailbox(server).send(odd, ENVELOPE)
    assert mailbox(server).was_sent("<it's+a&b=c#d@solkommun.example>")
    assert not mailbox(server).was_sent("<IT's+a&b=c#d@solkommun.example>")


@pytest.mark.parametrize(
    ("fault", "kind", "leaves"),
    [
        (Fault.THROTTLED, Transient, False),
        (Fault.TOKEN_EXPIRED, Transient, False),
        (Fault.BUSY, Unclear, False),
        (Fault.BUSY_AFTER, Unclear, True),
        (Fault.STUMBLES, Unclear, False),
        (Fault.NOT_FOUND, Unclear, False),
        (Fault.DROPPED, Unclear, False),
        (Fault.DROPPED_AFTER, Unclear, True),
        (Fault.SILENT_AFTER, Unclear, True),
    ],
)
def test_only_what_surely_was_not_accepted_is_transient(
    server: GraphServer, fault: Fault, kind: type[ConnectorError], leaves: bool
) -> None:
    server.misbehave("send", fault)
    with pytest.raises(kind) as caught:
        mailbox(server, timeout_s=2.0 if fault is Fault.SILENT_AFTER else 10.0).send(reply(), ENVELOPE)
    assert type(caught.value) is kind
    assert server.asked.count("send") == 1
    assert mailbox(server).was_sent(reply_id()) is leaves
    assert len(server.accepted) == leaves
    if not leaves:
        mailbox(server).send(reply(), ENVELOPE)
    assert len(server.accepted) == 1
    assert server.in_folder("drafts") == []


@pytest.mark.parametrize("fault", [None, Fault.SHORT_AFTER])
def test_accepted_202_is_final_whatever_comes_with_it(server: GraphServer, fault: Fault | None) -> None:
    """Each 202 of this server carries Retry-After, as Graph's may."""
    server.misbehave("send", fault)
    mailbox(server).send(reply(), ENVELOPE)
    assert server.asked.count("send") == 1
    assert len(server.accepted) == 1


@pytest.mark.parametrize(("fault", "leaves"), [(Fault.GATEWAY_TIMEOUT, False), (Fault.GATEWAY_TIMEOUT_AFTER, True)])
def test_gateway_timeout_means_unknown_not_failed(server: GraphServer, fault: Fault, leaves: bool) -> None:
    server.misbehave("send", fault)
    with pytest.raises(Unclear):
        mailbox(server).send(reply(), ENVELOPE)
    assert server.asked.count("send") == 1
    assert mailbox(server).was_sent(reply_id()) is leaves


def test_draft_send_error_is_rechecked_before_retry(server: GraphServer) -> None:
    """Graph says at random that the mailbox does not exist (microsoft-graph-docs-contrib#8823)."""
    server.misbehave("send", Fault.NO_SUCH_MAILBOX)
    with pytest.raises(Unclear):
        mailbox(server).send(reply(), ENVELOPE)
    assert not mailbox(server).was_sent(reply_id())
    mailbox(server).send(reply(), ENVELOPE)
    assert len(server.accepted) == 1
    assert server.in_folder("drafts") == []


def test_a_server_that_is_not_there_when_the_draft_is_sent_has_accepted_nothing(server: GraphServer) -> None:
    with (
        mailbox(server)._connected() as signed_in,
        httpx.Client(base_url="https://127.0.0.1:1") as nobody,
        pytest.raises(Transient, match="Nothing listens"),
    ):
        graph_draft.send(Graph(nobody, signed_in.application, MAILBOX), "messages/draft")


@pytest.mark.parametrize(
    "fault",
    [
        Fault.THROTTLED,
        Fault.TOKEN_EXPIRED,
        Fault.BUSY,
        Fault.BUSY_AFTER,
        Fault.GATEWAY_TIMEOUT_AFTER,
        Fault.DROPPED,
        Fault.DROPPED_AFTER,
        Fault.CUT_JSON_AFTER,
        Fault.SHORT_AFTER,
    ],
)
@pytest.mark.parametrize("call", ["find", "create", "alter"])
def test_before_the_draft_is_sent_every_fault_is_harmless(server: GraphServer, call: str, fault: Fault) -> None:
    with_hidden_copy = Envelope(MAILBOX, (RESIDENT, "companion@post.example"))
    server.misbehave(call, fault)
    raised = _raised_by(lambda: mailbox(server).send(reply(), with_hidden_copy))
    if raised is not None:
        assert isinstance(raised, Transient)
        assert (server.accepted, server.in_folder("drafts")) == ([], [])
        assert not mailbox(server).was_sent(reply_id())
        mailbox(server).send(reply(), with_hidden_copy)
    (accepted,) = server.accepted
    assert accepted.recipients == {RESIDENT, "companion@post.example"}


def _raised_by(does: Callable[[], None]) -> ConnectorError | None:
    try:
        does()
    except ConnectorError as error:
        return error
    return None


def test_200_sends_with_a_fault_in_one_of_three_lose_nothing_and_double_nothing(server: GraphServer) -> None:
    """What the worker does: a plain retry after Transient, a question to the mailbox after Unclear."""
    chance = random.Random(365)
    faults = [
        (call, fault)
        for call in ("send", "send", "send", "create", "find")
        for fault in (
            Fault.THROTTLED,
            Fault.BUSY,
            Fault.BUSY_AFTER,
            Fault.GATEWAY_TIMEOUT,
            Fault.GATEWAY_TIMEOUT_AFTER,
            Fault.DROPPED,
            Fault.DROPPED_AFTER,
            Fault.SHORT_AFTER,
        )
    ]
    sender, unclear = mailbox(server), 0
    for number in range(200):
        for _ in range(10):
            if chance.random() < 1 / 3:
                call, fault = chance.choice(faults)
                server.misbehave(call, fault)
            try:
                sender.send(reply(number), ENVELOPE)
                break
            except Unclear:
                unclear += 1
                if _asked_until_answered(sender, reply_id(number)):
                    break
            except Transient:
                assert reply_id(number) not in {mail.message_id for mail in server.accepted}
    ids = [mail.message_id for mail in server.accepted]
    assert sorted(ids) == sorted(reply_id(number) for number in range(200))
    assert unclear > 20
    assert server.in_folder("drafts") == []


def _asked_until_answered(sender: GraphMailbox, message_id: str) -> bool:
    while True:
        try:
            return sender.was_sent(message_id)
        except Transient:
            continue


def test_sent_copy_is_searched_for_before_any_retry_also_while_it_looks_like_a_draft(server: GraphServer) -> None:
    server.filing_takes_s = 3600
    server.misbehave("send", Fault.GATEWAY_TIMEOUT_AFTER)
    with pytest.raises(Unclear):
        mailbox(server).send(reply(), ENVELOPE)
    assert mailbox(server).was_sent(reply_id())
    with pytest.raises(Unclear, match="on its way already"):
        mailbox(server).send(reply(), ENVELOPE)
    assert len(server.accepted) == 1


def test_a_reply_that_staff_have_moved_or_deleted_still_counts_as_sent(server: GraphServer) -> None:
    mailbox(server).send(reply(), ENVELOPE)
    server.move(server.in_folder("sentitems")[0], "deleteditems")
    assert mailbox(server).was_sent(reply_id())


def test_filing_waits_for_the_copy_and_makes_none(server: GraphServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "_FILING_WAITS_S", (0.0, 0.1, 0.5))
    server.filing_takes_s = 0.3
    mailbox(server).send(reply(), ENVELOPE)
    mailbox(server).file_sent(reply())
    server.filing_takes_s = 3600
    mailbox(server).send(reply(2), ENVELOPE)
    with pytest.raises(Transient, match="has not put the reply into Sent yet"):
        mailbox(server).file_sent(reply(2))
    assert len(server.items) == 2


@pytest.mark.parametrize(
    ("raw", "envelope", "sentence"),
    [
        (reply(1, "Cc: other@post.example"), ENVELOPE, "names a recipient whom it is not meant for"),
        (reply(1, "Bcc: other@post.example"), ENVELOPE, "names a recipient whom it is not meant for"),
        (reply(), Envelope("clerk@solkommun.example", (RESIDENT,)), "names another sender than the mailbox"),
    ],
)
def test_a_reply_that_differs_from_its_envelope_stays_here(
    server: GraphServer, raw: bytes, envelope: Envelope, sentence: str
) -> None:
    with pytest.raises(Permanent, match=sentence):
        mailbox(server).send(raw, envelope)
    assert server.items == []


def test_a_reply_that_could_not_be_recognised_again_stays_here(server: GraphServer) -> None:
    server.rewrites_message_ids = True
    with pytest.raises(Permanent, match="another Message-ID"):
        mailbox(server).send(reply(), ENVELOPE)
    assert server.accepted == []
    assert server.in_folder("drafts") == []


@pytest.mark.parametrize(
    ("refusal", "kind", "sentence"),
    [
        (DENIED, Refused, "lacks the permission Mail.Send"),
        (Says(403, "ErrorSendAsDenied"), Refused, "may not send from this address"),
        (Says(400, "ErrorInvalidRecipients"), Permanent, "does not accept a recipient"),
        (Says(403, "ErrorExceededMessageLimit"), Transient, "has sent as many mails as"),
    ],
)
def test_a_refused_reply_says_why_and_leaves_no_draft(
    server: GraphServer, refusal: Says, kind: type[ConnectorError], sentence: str
) -> None:
    server.refusals["send"] = refusal
    with pytest.raises(kind, match=sentence) as caught:
        mailbox(server).send(reply(), ENVELOPE)
    assert type(caught.value) is kind
    assert server.in_folder("drafts") == []


def test_attachments_out_equal_attachments_approved(server: GraphServer) -> None:
    large = EmailMessage(policy=SMTP)
    large["Message-ID"], large["From"], large["To"] = reply_id(), MAILBOX, RESIDENT
    large["Subject"] = "Detaljplan för Åkersvägen"
    large.set_content("<p>Hej! Planen bifogas. <img src='cid:karta'></p>", subtype="html")
    large.add_related(b"karta" * 1_000, maintype="image", subtype="png", cid="<karta>", filename="karta.png")
    files = [("plan å.pdf", b"\x00\xffplan" * 1_200_000), ("bilaga.png", b"bilaga" * 100_000)]
    for name, content in files:
        large.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    mailbox(server).send(large.as_bytes(), ENVELOPE)
    (accepted,) = server.accepted
    assert list(accepted.files) == files
    arrived = BytesParser(policy=SMTP).parsebytes(accepted.raw)
    inline = [part.get_content() for part in arrived.walk() if part.get_content_type() == "image/png"]
    assert inline == [b"karta" * 1_000]
    assert "Planen bifogas" in accepted.raw.decode()
    assert arrived["Subject"] == large["Subject"]
    assert server.asked.count("upload") == 3
    assert mailbox(server).was_sent(reply_id())


def test_an_upload_that_fails_sends_nothing(server: GraphServer) -> None:
    large = EmailMessage(policy=SMTP)
    large["Message-ID"], large["From"], large["To"] = reply_id(), MAILBOX, RESIDENT
    large.set_content("Hej!")
    large.add_attachment(b"x" * 4_000_000, maintype="application", subtype="pdf", filename="plan.pdf")
    server.misbehave("upload", None, Fault.DROPPED)
    with pytest.raises(Transient):
        mailbox(server).send(large.as_bytes(), ENVELOPE)
    assert server.accepted == []
    assert server.in_folder("drafts") == []


def test_a_text_larger_than_microsoft_365_takes_stays_here(server: GraphServer) -> None:
    with pytest.raises(Permanent, match="The text of the reply is larger"):
        mailbox(server).send(reply() + b"x" * 4_000_000, ENVELOPE)
    assert server.items == []
