"""What only Microsoft 365 can do wrong before the first mail: settings, sign-in, permissions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

import connectors
from connectors.errors import ConnectorError, Permanent, Refused, Transient
from tests.connectors.on_graph import ENVELOPE, RESIDENT, mail, mailbox, reply, reply_id, subjects
from tests.graph_server import CLIENT_ID, MAILBOX, TENANT, Fault, GraphServer, graph_server
from tests.graph_server import Refused as Says


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GraphServer]:
    with graph_server(tmp_path) as running:
        yield running


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
        ("folder", DENIED, "lacks the permission Mail.Read for"),
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
        ({"client_secret": "hemligt", "categories": {"done": "Klar"}}, "categories.done"),
        ({"client_secret": "hemligt", "categories": {"waiting": "Väntar, Elin"}}, "categories.waiting: string should"),
        ({"client_secret": "hemligt", "categories": {"waiting": "A", "answered": "a"}}, "Two of the categories"),
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


@pytest.mark.parametrize(
    ("denied", "lacking"),
    [
        ({"alter": "Mail.ReadWrite"}, {"write back"}),
        ({"send": "Mail.Send"}, {"send"}),
        ({"alter": "Mail.ReadWrite", "send": "Mail.Send"}, {"write back", "send"}),
        ({"folder": "Mail.Read"}, {"read"}),
    ],
)
def test_a_pilot_that_only_reads_needs_no_more_than_mail_read(
    server: GraphServer, denied: dict[str, str], lacking: set[str]
) -> None:
    server.deliver(mail(1))
    server.refusals = dict.fromkeys(denied, DENIED)
    faults = [finding for finding in mailbox(server).check() if not finding.ok]
    assert {finding.needed_to for finding in faults} == lacking
    for finding, permission in zip(faults, denied.values(), strict=True):
        assert f"lacks the permission {permission} for" in finding.what
    if "read" not in lacking:
        assert subjects(mailbox(server).fetch_since({})) == ["Subject: mail 1"]


@pytest.mark.parametrize("call", ["delta", "mime", "message", "find"])
def test_no_refusal_of_a_read_asks_for_more_than_mail_read(server: GraphServer, call: str) -> None:
    server.lists_dates = False
    server.deliver(mail(1))
    server.refusals[call] = DENIED
    reader = mailbox(server, since=date(2020, 1, 1))
    with pytest.raises(Refused, match=r"lacks the permission Mail\.Read for"):
        [*reader.fetch_since({}), reader.was_sent(reply_id())]
