"""What becomes of a reply at the outgoing server: sent, surely not sent, refused, or nobody knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.base import Envelope
from connectors.errors import ConnectorError, Permanent, Refused, Transient, Unclear
from connectors.imap.smtp import Smtp
from tests import servers
from tests.servers import Misbehaviour

REPLY = b"Message-ID: <reply@solkommun.example>\r\nSubject: Svar\r\n\r\nHej!\r\n.\r\nen punkt\r\n"
RESIDENT = "resident@post.example"
UNKNOWN = "unknown@post.example"
TO_RESIDENT = Envelope(servers.INBOX_ADDRESS, (RESIDENT,))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    servers.certificate(folder)
    return folder


def plain(server: servers.SmtpServer, **changes: Any) -> Smtp:
    return Smtp(**{"host": server.host, "port": server.port, "tls": "none", "timeout_s": 2.0, **changes})


def test_a_reply_arrives_byte_for_byte_with_the_envelopes_recipients_and_no_others() -> None:
    with servers.smtp_server() as server:
        plain(server).send(REPLY, Envelope(servers.INBOX_ADDRESS, (RESIDENT, servers.INBOX_ADDRESS)))
        (accepted,) = server.accepted
    assert accepted.content == REPLY
    assert accepted.rcpt_tos == [RESIDENT, servers.INBOX_ADDRESS]
    assert accepted.mail_from == servers.INBOX_ADDRESS


@pytest.mark.parametrize(
    ("misbehaviour", "outcome", "accepted"),
    [
        (Misbehaviour.NONE, None, 1),
        (Misbehaviour.SILENT_AT_SENDER, Transient, 0),
        (Misbehaviour.DEFER_RECIPIENT, Transient, 0),
        (Misbehaviour.REFUSE_RECIPIENT, Permanent, 0),
        (Misbehaviour.DEFER_DATA, Transient, 0),
        (Misbehaviour.REFUSE_DATA, Permanent, 0),
        (Misbehaviour.DROP_AFTER_DATA, Unclear, 1),
        (Misbehaviour.SILENT_AFTER_DATA, Unclear, 1),
    ],
)
def test_the_outcome_says_what_is_certain(
    misbehaviour: Misbehaviour, outcome: type[ConnectorError] | None, accepted: int
) -> None:
    with servers.smtp_server() as server:
        server.misbehaviour = misbehaviour
        raised = outcome_of(plain(server), Envelope(servers.INBOX_ADDRESS, (RESIDENT, UNKNOWN)))
        assert (type(raised) if raised else None) is outcome
        assert len(server.accepted) == accepted


def test_one_refused_recipient_keeps_the_reply_from_all() -> None:
    with servers.smtp_server() as server:
        server.misbehaviour = Misbehaviour.REFUSE_RECIPIENT
        raised = outcome_of(plain(server), Envelope(servers.INBOX_ADDRESS, (RESIDENT, UNKNOWN)))
        assert server.accepted == []
    assert raised is not None
    assert "refused 1 of 2 recipients (550 5.1.1)" in raised.sentence
    assert UNKNOWN not in raised.sentence


def test_a_server_that_is_down_has_taken_nothing() -> None:
    with servers.held_port() as port:
        assert type(outcome_of(Smtp("localhost", port, tls="none"), TO_RESIDENT)) is Transient


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"user": servers.INBOX_ADDRESS, "password": "fel"}, Refused, "does not accept our name and password"),
        ({"user": servers.INBOX_ADDRESS, "password": "fåtölj"}, Refused, "does not accept our name and password"),
        ({}, Refused, "wants us to sign in first .530 5.7.0.: set user, password and tls"),
        ({"host": "127.0.0.1"}, Permanent, "not accepted .IP address mismatch"),
        ({"ca_file": None}, Permanent, "not accepted .self-signed certificate"),
        ({"tls": "tls"}, Permanent, "does not speak TLS"),
        ({"host": "nosuch.invalid"}, Transient, "cannot be found"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(
    certificate: Path, changes: dict[str, Any], kind: type[ConnectorError], sentence: str
) -> None:
    with servers.smtp_server(certificate_in=certificate, must_sign_in=True) as server:
        facts = {"tls": "starttls", "ca_file": certificate / "cert.pem", **changes}
        with pytest.raises(kind, match=sentence) as caught:
            plain(server, **facts).send(REPLY, TO_RESIDENT)
        assert server.accepted == []
    assert type(caught.value) is kind
    assert servers.INBOX_ADDRESS not in caught.value.sentence


def test_signing_in_works_over_tls_with_a_password_beyond_ascii(certificate: Path) -> None:
    with servers.smtp_server(certificate_in=certificate, must_sign_in=True) as server:
        facts = {"tls": "starttls", "ca_file": certificate / "cert.pem", "user": server.user}
        signed_in = plain(server, password=server.password, **facts)
        signed_in.send(REPLY, TO_RESIDENT)
        assert all(finding.ok for finding in signed_in.check())
        assert len(server.accepted) == 1


def test_starttls_is_never_given_up_silently() -> None:
    with servers.smtp_server() as server, pytest.raises(Permanent, match="does not offer STARTTLS"):
        plain(server, tls="starttls").send(REPLY, TO_RESIDENT)


@pytest.mark.parametrize("recipient", ["åsa@blåbär.example", RESIDENT])
def test_smtputf8_is_asked_for_only_where_an_address_needs_it(recipient: str) -> None:
    with servers.smtp_server() as server:
        plain(server).send(REPLY, Envelope(servers.INBOX_ADDRESS, (recipient,)))
        (accepted,) = server.accepted
    assert accepted.rcpt_tos == [recipient]
    assert ("SMTPUTF8" in accepted.mail_options) == (recipient != RESIDENT)


def test_an_eight_bit_body_is_announced_and_arrives() -> None:
    raw = REPLY + "Hälsningar från Solkommun\r\n".encode()
    with servers.smtp_server() as server:
        plain(server).send(raw, TO_RESIDENT)
        (accepted,) = server.accepted
    assert "BODY=8BITMIME" in accepted.mail_options
    assert accepted.content == raw


def test_bare_line_ends_never_reach_the_wire() -> None:
    with servers.smtp_server() as server:
        plain(server).send(b"Message-ID: <a@b.example>\n\nHej\r.\rMAIL FROM:<x@y.example>\n", TO_RESIDENT)
        (accepted,) = server.accepted
    assert accepted.content == b"Message-ID: <a@b.example>\r\n\r\nHej\r\n.\r\nMAIL FROM:<x@y.example>\r\n"


@pytest.mark.parametrize(
    "recipient",
    [
        "a@b.example>\r\nRCPT TO:<spy@evil.example",
        "a@b.example\nDATA",
        "spy@evil.example <a@b.example>",
        "a@b.example (spy@evil.example)",
        "a@b.example,spy@evil.example",
        "no-address",
        "",
    ],
)
def test_an_address_is_never_read_as_anything_else(recipient: str) -> None:
    with servers.smtp_server() as server:
        assert type(outcome_of(plain(server), Envelope(servers.INBOX_ADDRESS, (recipient,)))) is Permanent
        assert server.accepted == []


def outcome_of(smtp: Smtp, envelope: Envelope) -> ConnectorError | None:
    try:
        smtp.send(REPLY, envelope)
    except ConnectorError as error:
        return error
    return None
