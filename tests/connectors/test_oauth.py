"""Signing in to IMAP and SMTP with a token, as an application: from Microsoft Entra ID or from any other server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from connectors import oauth, open_mailbox
from connectors.base import Envelope
from connectors.errors import ConnectorError, Permanent, Refused, Transient
from connectors.imap.mailbox import ImapMailbox
from connectors.imap.smtp import Smtp
from connectors.oauth import OAuth
from tests import imap_relay, servers, token_server
from tests.token_server import TokenServer

REPLY = b"Message-ID: <reply@solkommun.example>\r\nSubject: Svar\r\n\r\nHej!\r\n"
TO_RESIDENT = Envelope(servers.INBOX_ADDRESS, ("resident@post.example",))


@pytest.fixture
def tokens(inbox: servers.Dovecot) -> Iterator[TokenServer]:
    with token_server.token_server(inbox.root) as running:
        yield running


@pytest.fixture(params=["entra", "token_url"])
def application(request: pytest.FixtureRequest, inbox: servers.Dovecot, tokens: TokenServer) -> OAuth:
    return from_entra(inbox, tokens) if request.param == "entra" else from_url(inbox, tokens)


def from_entra(inbox: servers.Dovecot, tokens: TokenServer, **changes: Any) -> OAuth:
    facts = {"tenant": token_server.TENANT, "authority": tokens.authority, "client_secret": token_server.SECRET}
    return OAuth(token_server.CLIENT_ID, **{**facts, "ca_file": inbox.ca_file, **changes})


def from_url(inbox: servers.Dovecot, tokens: TokenServer, **changes: Any) -> OAuth:
    facts = {"token_url": tokens.token_url, "client_secret": token_server.SECRET, "ca_file": inbox.ca_file}
    return OAuth(token_server.CLIENT_ID, **{**facts, **changes})


def on_imap(inbox: servers.Dovecot, application: OAuth, **changes: Any) -> ImapMailbox:
    facts: dict[str, Any] = {"host": inbox.host, "port": inbox.port, "user": inbox.user, "timeout_s": 10.0}
    return ImapMailbox(**{**facts, "oauth": application, "ca_file": inbox.ca_file, **changes})


def on_smtp(smtp: servers.SmtpServer, inbox: servers.Dovecot, application: OAuth) -> Smtp:
    return Smtp(smtp.host, smtp.port, user=smtp.user, oauth=application, ca_file=inbox.ca_file, timeout_s=10)


def test_mail_is_read_and_a_reply_sent_with_a_token_that_is_asked_for_once(
    inbox: servers.Dovecot, smtp: servers.SmtpServer, tokens: TokenServer, application: OAuth
) -> None:
    inbox.deliver(REPLY)
    mailbox = on_imap(inbox, application, smtp=on_smtp(smtp, inbox, application), copy_to_ourselves=False)
    assert len(list(mailbox.fetch_since({}))) == 1
    mailbox.send(REPLY, TO_RESIDENT)
    assert all(finding.ok for finding in mailbox.check())
    assert len(smtp.accepted) == 1
    assert len(tokens.given) == 1


def test_the_token_from_entra_is_for_mail_in_microsoft_365(inbox: servers.Dovecot, tokens: TokenServer) -> None:
    from_entra(inbox, tokens).token()
    assert token_server.SCOPE_IN_MICROSOFT_365 in tokens.scopes[0].split()


def test_a_token_withdrawn_before_its_time_is_forgotten_and_another_one_taken(
    inbox: servers.Dovecot, smtp: servers.SmtpServer, tokens: TokenServer, application: OAuth
) -> None:
    tokens.withdrawn = 1
    list(on_imap(inbox, application).fetch_since({}))
    assert len(tokens.given) == 2
    smtp.refused_tokens.add(tokens.given[-1])
    on_smtp(smtp, inbox, application).send(REPLY, TO_RESIDENT)
    assert len(tokens.given) == 3


def test_a_refused_token_is_explained_in_one_sentence_and_forgotten(
    inbox: servers.Dovecot, smtp: servers.SmtpServer, tokens: TokenServer, application: OAuth
) -> None:
    tokens.withdrawn = 4
    with pytest.raises(Refused, match="does not accept our token: correct user, let the application"):
        list(on_imap(inbox, application).fetch_since({}))
    with pytest.raises(Refused, match=r"does not accept our token \(535 5.7.8\): correct user of smtp") as caught:
        on_smtp(smtp, inbox, application).send(REPLY, TO_RESIDENT)
    assert not any(token in caught.value.sentence for token in tokens.given)
    assert smtp.accepted == []
    assert len(tokens.given) == 4, "each was asked for once and shown once"
    assert list(on_imap(inbox, application).fetch_since({})) == []


def test_a_token_is_taken_anew_before_it_ends(
    inbox: servers.Dovecot, tokens: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = from_url(inbox, tokens)
    assert application.token() == application.token()
    now = oauth.time.monotonic()
    monkeypatch.setattr(oauth.time, "monotonic", lambda: now + 3540)
    application.token()
    assert len(tokens.given) == 2


def test_a_server_that_takes_no_tokens_is_named(inbox: servers.Dovecot, tokens: TokenServer) -> None:
    application = from_url(inbox, tokens)
    with imap_relay.relay(inbox) as line:
        line.to_us = lambda said: said.replace(b"AUTH=XOAUTH2", b"")
        with pytest.raises(Permanent, match=r"does not take tokens \(XOAUTH2\)"):
            list(on_imap(inbox, application, port=line.port, tls="none").fetch_since({}))
    assert tokens.given == []


@pytest.mark.parametrize(
    ("says", "kind", "sentence"),
    [
        ((401, {"error": "invalid_client"}), Refused, r"gives us no token \(invalid_client\): correct client_id"),
        ((400, {"error": "<b>stolen</b>"}), Refused, r"gives us no token \(status 400\)"),
        ((200, {"access_token": 7}), Refused, r"gives us no token \(status 200\)"),
        ((503, {}), Transient, "gives no tokens for now"),
        ((429, {}), Transient, "gives no tokens for now"),
    ],
)
def test_what_keeps_us_from_a_token_is_said_in_one_sentence(
    inbox: servers.Dovecot,
    tokens: TokenServer,
    says: tuple[int, dict[str, Any]],
    kind: type[ConnectorError],
    sentence: str,
) -> None:
    tokens.says = says
    with pytest.raises(kind, match=sentence) as caught:
        from_url(inbox, tokens).token()
    assert type(caught.value) is kind


def test_entras_own_numbers_are_explained(inbox: servers.Dovecot, tokens: TokenServer) -> None:
    with pytest.raises(Refused, match="The client secret is wrong"):
        from_entra(inbox, tokens, client_secret="fel").token()
    with pytest.raises(Permanent, match=r"The tenant nosuch\.example does not exist"):
        from_entra(inbox, tokens, tenant="nosuch.example").token()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tenant": None}, "tenant, for Microsoft Entra ID, or else token_url"),
        ({"token_url": "https://sso.solkommun.example/token"}, "tenant, for Microsoft Entra ID, or else token_url"),
        ({"client_secret": None}, "client_secret or certificate, and not both"),
        ({"certificate": "PEM"}, "client_secret or certificate, and not both"),
        ({"tenant": None, "token_url": "http://sso.solkommun.example/token"}, "token_url"),
        (
            {
                "tenant": None,
                "token_url": "https://sso.solkommun.example/t",
                "client_secret": None,
                "certificate": "PEM",
            },
            "a certificate is for Microsoft Entra ID",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        OAuth(**{"client_id": "app", "tenant": "solkommun.example", "client_secret": "hemlig", **changes})


def test_a_mailbox_has_a_password_or_an_application() -> None:
    both = {"client_id": "app", "tenant": "solkommun.example", "client_secret": "hemlig"}
    options = {"host": "imap.solkommun.example", "port": 993, "user": servers.INBOX_ADDRESS}
    for more in ({}, {"password": "hemlig", "oauth": both}):
        with pytest.raises(Permanent, match="needs password or oauth, and not both"):
            open_mailbox("imap", {**options, **more})
    with pytest.raises(ValidationError, match="with oauth, smtp needs user and no password"):
        Smtp("smtp.solkommun.example", 587, oauth=OAuth(**both))


def test_neither_token_nor_secret_reaches_the_log_or_a_printed_mailbox(
    inbox: servers.Dovecot, smtp: servers.SmtpServer, tokens: TokenServer, application: OAuth, caplog: Any
) -> None:
    mailbox = on_imap(inbox, application, smtp=on_smtp(smtp, inbox, application))
    with caplog.at_level(logging.DEBUG):
        list(mailbox.fetch_since({}))
        list(mailbox.check())
    assert not any(token in caplog.text for token in tokens.given)
    assert token_server.SECRET not in caplog.text + repr(mailbox)
