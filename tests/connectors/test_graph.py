"""What only Microsoft 365 can do wrong: sign-in, permissions, throttling, lost places, and answers that never come."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

import connectors
from connectors import graph, graph_draft, https
from connectors.base import Envelope, Fetched, Unreadable
from connectors.errors import ConnectorError, Permanent, Refused, Transient, Unclear
from connectors.graph import GraphMailbox
from connectors.graph_api import Graph
from tests.graph_server import CLIENT_ID, MAILBOX, TENANT, Fault, GraphServer, graph_server
from tests.graph_server import Refused as Says

RESIDENT = "resident@post.example"
ENVELOPE = Envelope(MAILBOX, (RESIDENT,))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GraphServer]:
    with graph_server(tmp_path) as running:
        yield running


def mailbox(server: GraphServer, **changes: Any) -> GraphMailbox:
    facts = {"tenant": TENANT, "client_id": CLIENT_ID, "mailbox": MAILBOX, "client_secret": server.secret}
    where = {"authority": server.authority, "base_url": server.base_url, "ca_file": server.ca_file}
    return GraphMailbox(**{**facts, **where, "timeout_s": 10.0, **changes})


def mail(number: int) -> bytes:
    return b"Message-ID: <%d@post.example>\r\nSubject: mail %d\r\n\r\nHej!\r\n" % (number, number)


def reply(number: int = 1, *more: str) -> bytes:
    headers = [f"Message-ID: <svar+{number}@solkommun.example>", f"From: Sol <{MAILBOX}>", f"To: {RESIDENT}", *more]
    return ("\r\n".join(headers) + "\r\n\r\nHej!\r\n").encode()


def reply_id(number: int = 1) -> str:
    return f"<svar+{number}@solkommun.example>"


def subjects(found: Iterator[object]) -> list[str]:
    return [mail.raw.split(b"\r\n")[1].decode() for mail in found if isinstance(mail, Fetched)]


# ---------------------------------------------------------------- settings and sign-in

DENIED = Says(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
POLICY = Says(403, "ErrorAccessDenied", "Access to OData is disabled: [RAOP] : Blocked by tenant policy.")


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"tenant": "nosuch.example"}, Permanent, "The tenant nosuch.example does not exist: correct tenant"),
        ({"client_id": "nosuch"}, Refused, "knows no application nosuch: correct client_id"),
        ({"client_secret": "fel"}, Refused, "The client secret is wrong: give the value of the secret, not its id"),
        ({"mailbox": "nobody@solkommun.example"}, Permanent, "The tenant knows no such mailbox: correct mailbox"),
        ({"ca_file": None}, Permanent, "is not accepted .self-signed certificate"),
        ({"authority": "https://127.0.0.1:1"}, Transient, "Nothing listens on 127.0.0.1:1"),
        ({"authority": "https://nosuch.invalid"}, Transient, "The host name nosuch.invalid cannot be found"),
        ({"base_url": "https://graph.example/v1.0"}, Refused, "knows no resource https://graph.example: correct base"),
        ({"client_secret": None, "certificate": "PEM"}, Permanent, "must hold an unencrypted private key"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(
    server: GraphServer, changes: dict[str, Any], kind: type[ConnectorError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence) as caught:
        list(mailbox(server, **changes).fetch_since({}))
    assert type(caught.value) is kind
    assert MAILBOX not in caught.value.sentence
    assert [finding.what for finding in mailbox(server, **changes).check()] == [caught.value.sentence]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (7000222, "The client secret has expired: make a new one"),
        (700027, "The certificate is not one of the application's, or has expired"),
        (7000112, "is disabled in the tenant"),
        (53003, "A conditional access policy keeps the application from signing in"),
        (99999, "does not sign the application in .AADSTS99999.: look at its app registration"),
    ],
)
def test_what_entra_says_is_put_into_words(server: GraphServer, number: int, sentence: str) -> None:
    server.token_faults = {"number": number, "error": "invalid_client"}
    with pytest.raises(Refused, match=sentence):
        mailbox(server).was_sent(reply_id())


@pytest.mark.parametrize(
    ("call", "refusal", "sentence"),
    [
        ("folder", DENIED, "lacks the permission Mail.ReadWrite"),
        ("folder", POLICY, "An access policy in Exchange Online keeps the application out of this mailbox"),
        ("folder", Says(404, "MailboxNotEnabledForRESTAPI"), "There is no mailbox in Exchange Online"),
        ("folder", Says(404, "ErrorInvalidUser"), "The tenant knows no such mailbox"),
        ("folder", Says(302, "Moved"), "Microsoft 365 is not at this address: correct base_url"),
        ("alter", DENIED, "lacks the permission Mail.ReadWrite"),
        ("send", DENIED, "lacks the permission Mail.Send"),
        ("mime", Says(400, "ErrorItemCorrupt"), "The newest mail cannot be read"),
        ("token", Says(503, ""), "cannot sign anyone in for now"),
    ],
)
def test_the_check_says_what_is_missing(server: GraphServer, call: str, refusal: Says, sentence: str) -> None:
    server.deliver(mail(1))
    server.refusals[call] = refusal
    (fault,) = [finding for finding in mailbox(server).check() if not finding.ok]
    assert sentence in fault.what
    assert server.accepted == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "needs client_secret or certificate"),
        ({"client_secret": "hemligt", "certificate": "hemligt"}, "needs client_secret or certificate"),
        ({"client_secret": "hemligt", "base_url": "http://graph.example"}, "base_url: string should match"),
        ({"client_secret": "hemligt", "tenant": "a/b"}, "tenant: string should match"),
        ({"client_secret": "hemligt", "mailbox": ""}, "mailbox: string should have at least 1 character"),
    ],
)
def test_settings_that_cannot_be_are_refused_without_repeating_them(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Permanent, match=sentence) as caught:
        connectors.open_mailbox("graph", {"tenant": TENANT, "client_id": CLIENT_ID, "mailbox": MAILBOX, **options})
    assert "hemligt" not in caught.value.sentence


def test_a_certificate_signs_in_instead_of_a_secret(server: GraphServer) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kommunpost")])
    now = datetime.now(UTC)
    issued = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    certificate = issued.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    by_certificate = mailbox(server, client_secret=None, certificate=(private + certificate).decode())
    server.certificate = certificate
    server.deliver(mail(1))
    assert subjects(by_certificate.fetch_since({})) == ["Subject: mail 1"]


def test_one_token_serves_many_readings_and_a_withdrawn_one_is_renewed_once(server: GraphServer) -> None:
    server.deliver(mail(1))
    for _ in range(3):
        list(mailbox(server).fetch_since({}))
    assert server.asked.count("token") == 1
    server.withdraw_tokens()
    assert subjects(mailbox(server).fetch_since({})) == ["Subject: mail 1"]
    assert server.asked.count("token") == 2
    server.refusals["delta"] = Says(401, "InvalidAuthenticationToken")
    with pytest.raises(Refused, match="does not accept our token"):
        list(mailbox(server).fetch_since({}))
    assert server.asked.count("token") == 3


def test_neither_mail_nor_secret_nor_token_reaches_the_log_or_a_printed_mailbox(
    server: GraphServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.deliver(mail(1))
    server.misbehave("token", Fault.CUT_JSON_AFTER)
    with caplog.at_level(logging.DEBUG):
        with pytest.raises(Transient, match="an answer to our sign-in that cannot be read"):
            list(mailbox(server).fetch_since({}))
        list(mailbox(server).fetch_since({}))
        mailbox(server).send(reply(), ENVELOPE)
        mailbox(server).was_sent(reply_id())
    for secret in ("Hej!", MAILBOX, RESIDENT, "svar+1", server.secret, "token-"):
        assert secret not in caplog.text
    assert server.secret not in repr(mailbox(server))


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("most_a_page", [1, 2, 3, 1000])
def test_mail_comes_page_by_page_and_each_cursor_goes_on_where_it_was(server: GraphServer, most_a_page: int) -> None:
    server.most_a_page = most_a_page
    for number in range(5):
        server.deliver(mail(number))
    found = list(mailbox(server).fetch_since({}))
    assert subjects(iter(found)) == [f"Subject: mail {number}" for number in range(5)]
    for number, one in enumerate(found):
        rest = subjects(mailbox(server).fetch_since(one.cursor))
        assert rest == [f"Subject: mail {later}" for later in range(number + 1, 5)]


def test_a_page_that_has_changed_is_read_from_its_beginning(server: GraphServer) -> None:
    for number in (1, 2, 3):
        server.deliver(mail(number), received_at=datetime(2026, 11, number, tzinfo=UTC))
    cursor = next(iter(mailbox(server).fetch_since({}))).cursor
    server.deliver(mail(0), received_at=datetime(2026, 10, 1, tzinfo=UTC))
    found = subjects(mailbox(server).fetch_since(cursor))
    assert found == [f"Subject: mail {number}" for number in range(4)]


def test_mail_from_before_the_first_day_is_left_alone(server: GraphServer) -> None:
    server.deliver(mail(1), received_at=datetime(2026, 10, 31, 23, 59, tzinfo=UTC))
    server.deliver(mail(2), received_at=datetime(2026, 11, 1, tzinfo=UTC))
    found = list(mailbox(server, since=date(2026, 11, 1)).fetch_since({}))
    assert subjects(iter(found)) == ["Subject: mail 2"]
    assert found[0].received_at == datetime(2026, 11, 1, tzinfo=UTC)
    assert server.asked.count("mime") == 1


def test_a_change_reported_without_its_date_is_looked_up_before_old_mail_is_taken_in(server: GraphServer) -> None:
    server.lists_dates = False
    server.deliver(mail(1), received_at=datetime(2026, 10, 31, tzinfo=UTC))
    server.deliver(mail(2), received_at=datetime(2026, 11, 2, tzinfo=UTC))
    server.misbehave("message", None, Fault.NOT_FOUND)
    assert subjects(mailbox(server, since=date(2026, 11, 1)).fetch_since({})) == []
    assert subjects(mailbox(server, since=date(2026, 11, 1)).fetch_since({})) == ["Subject: mail 2"]


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.RESET_AS_400])
def test_a_forgotten_place_makes_everything_be_read_again_under_the_same_ids(server: GraphServer, fault: Fault) -> None:
    server.deliver(mail(1))
    server.deliver(mail(2))
    before = list(mailbox(server).fetch_since({}))
    server.misbehave("delta", fault)
    after = list(mailbox(server).fetch_since(before[-1].cursor))
    assert [one.remote_id for one in after] == [one.remote_id for one in before]
    server.misbehave("delta", fault, fault)
    with pytest.raises(Transient, match="loses its place"):
        list(mailbox(server).fetch_since(before[-1].cursor))


def test_a_list_without_a_link_to_the_rest_is_asked_for_again(server: GraphServer) -> None:
    server.most_a_page = 2
    for number in range(3):
        server.deliver(mail(number))
    server.misbehave("delta", Fault.NO_LINK)
    reading = mailbox(server).fetch_since({})
    first, second = next(reading), next(reading)
    with pytest.raises(Transient, match="without a link to the rest"):
        next(reading)
    assert subjects(mailbox(server).fetch_since(second.cursor)) == ["Subject: mail 2"]
    assert subjects(mailbox(server).fetch_since(first.cursor)) == ["Subject: mail 1", "Subject: mail 2"]


def test_removed_mail_is_passed_over_and_mail_that_comes_back_keeps_its_id(server: GraphServer) -> None:
    kept, gone = server.deliver(mail(1)), server.deliver(mail(2))
    (first, _) = mailbox(server).fetch_since({})
    server.delete(gone)
    server.move(kept, "deleteditems")
    server.move(kept, "inbox")
    (again,) = mailbox(server).fetch_since(first.cursor)
    assert again.remote_id == first.remote_id


def test_a_mail_deleted_while_reading_is_passed_over(server: GraphServer) -> None:
    for number in (1, 2, 3):
        server.deliver(mail(number))
    server.misbehave("mime", None, Fault.NOT_FOUND)
    assert subjects(mailbox(server).fetch_since({})) == ["Subject: mail 1", "Subject: mail 3"]


def test_a_mail_moved_while_reading_is_read_all_the_same(server: GraphServer) -> None:
    server.deliver(mail(1))
    second = server.deliver(mail(2))
    reading = mailbox(server).fetch_since({})
    next(reading)
    server.move(second, "deleteditems")
    assert subjects(reading) == ["Subject: mail 2"]


@pytest.mark.parametrize(
    ("call", "fault", "wait_s"),
    [
        ("delta", Fault.THROTTLED, 7.0),
        ("delta", Fault.BUSY, 7.0),
        ("delta", Fault.GATEWAY_TIMEOUT, None),
        ("delta", Fault.DROPPED, None),
        ("delta", Fault.CUT_JSON_AFTER, None),
        ("delta", Fault.SHORT_AFTER, None),
        ("mime", Fault.THROTTLED, 7.0),
        ("mime", Fault.BUSY, 7.0),
        ("mime", Fault.GATEWAY_TIMEOUT, None),
        ("discovery", Fault.BUSY, 7.0),
        ("token", Fault.DROPPED, None),
    ],
)
def test_a_passing_fault_stops_the_reading_and_the_next_one_goes_on(
    server: GraphServer, call: str, fault: Fault, wait_s: float | None
) -> None:
    server.deliver(mail(1))
    server.misbehave(call, fault)
    with pytest.raises(Transient) as caught:
        list(mailbox(server).fetch_since({}))
    assert caught.value.retry_after_s == wait_s
    assert subjects(mailbox(server).fetch_since({})) == ["Subject: mail 1"]


@pytest.mark.parametrize("fault", [Fault.DROPPED, Fault.SHORT_AFTER, Fault.STUMBLES])
def test_a_mail_that_breaks_off_is_tried_once_more_and_then_named(server: GraphServer, fault: Fault) -> None:
    server.deliver(mail(1), received_at=datetime(2026, 11, 2, 8, 5, tzinfo=UTC))
    server.deliver(mail(2))
    server.misbehave("mime", fault)
    assert subjects(mailbox(server).fetch_since({})) == ["Subject: mail 1", "Subject: mail 2"]
    server.misbehave("mime", fault, fault)
    bad, good = mailbox(server).fetch_since({})
    assert isinstance(bad, Unreadable)
    assert bad.sentence.endswith("Open it in Outlook (received 2026-11-02 08:05 UTC).")
    assert isinstance(good, Fetched)


def test_it_is_not_the_mails_fault_when_microsoft_365_is_gone(server: GraphServer) -> None:
    server.deliver(mail(1))
    server.misbehave("mime", Fault.DROPPED)
    server.misbehave("folder", Fault.DROPPED)
    with pytest.raises(Transient):
        list(mailbox(server).fetch_since({}))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("120", 120.0), ("", None), ("soon", None), ("Sat, 21 Nov 2020 10:00:00 GMT", 0.0), ("-5", None)],
)
def test_the_servers_wait_is_obeyed_in_seconds_or_as_a_date(said: str, seconds: float | None) -> None:
    assert https.retry_after_s(httpx.Response(429, headers={"RETRY-AFTER": said})) == seconds


def test_a_mail_larger_than_any_is_not_read(server: GraphServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "LARGEST_MAIL_BYTES", 1000)
    server.deliver(b"Subject: x\r\n\r\n" + b"x" * 2000)
    (found,) = mailbox(server).fetch_since({})
    assert isinstance(found, Unreadable)
    assert "too large" in found.sentence


def test_our_token_follows_no_link_to_another_server(server: GraphServer) -> None:
    server.deliver(mail(1))
    server.links_lead_to = "https://elsewhere.example/v1.0"
    with pytest.raises(Permanent, match="names a place outside base_url"):
        list(mailbox(server).fetch_since({}))


# ---------------------------------------------------------------- sending


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
        (Fault.GATEWAY_TIMEOUT, Unclear, False),
        (Fault.GATEWAY_TIMEOUT_AFTER, Unclear, True),
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
        mailbox(server, timeout_s=1.0).send(reply(), ENVELOPE)
    assert type(caught.value) is kind
    assert server.asked.count("send") == 1
    assert mailbox(server).was_sent(reply_id()) is leaves
    assert len(server.accepted) == leaves
    if not leaves:
        mailbox(server).send(reply(), ENVELOPE)
    assert len(server.accepted) == 1
    assert server.in_folder("drafts") == []


def test_accepted_is_final_even_when_the_answer_is_cut_short(server: GraphServer) -> None:
    server.misbehave("send", Fault.SHORT_AFTER)
    mailbox(server).send(reply(), ENVELOPE)
    assert len(server.accepted) == 1


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


def test_a_reply_that_still_looks_like_a_draft_counts_as_sent_once_it_is_submitted(server: GraphServer) -> None:
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


def test_large_attachments_arrive_as_they_were_approved(server: GraphServer) -> None:
    large = EmailMessage(policy=SMTP)
    large["Message-ID"], large["From"], large["To"] = reply_id(), MAILBOX, RESIDENT
    large["Subject"] = "Detaljplan för Åkersvägen"
    large.set_content("Hej! Planen bifogas.")
    files = [("plan å.pdf", b"\x00\xffplan" * 1_200_000), ("karta.png", b"karta" * 100_000)]
    for name, content in files:
        large.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    mailbox(server).send(large.as_bytes(), ENVELOPE)
    (accepted,) = server.accepted
    assert list(accepted.files) == files
    assert "Planen bifogas" in accepted.raw.decode()
    assert BytesParser(policy=SMTP).parsebytes(accepted.raw)["Subject"] == large["Subject"]
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
