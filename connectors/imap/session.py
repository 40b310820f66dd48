"""Signing in to an IMAP server and opening its folders; what it refuses becomes one plain sentence.

It must never repeat what the server says: that may be an address, a subject or a token.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imapclient import IMAPClient  # type: ignore[import-untyped]
from imapclient.exceptions import CapabilityError, LoginError  # type: ignore[import-untyped]

from connectors.errors import ConnectorError, Permanent, Refused, Transient
from connectors.network import Tls, reaching, tls_context
from connectors.oauth import OAuth, proof_of

# At DEBUG imapclient logs what it says and hears: names, addresses, mail.
logging.getLogger("imapclient").setLevel(logging.WARNING)

# RFC 5530, and the words of Exchange Online when it throttles.
_TRY_LATER = re.compile(r"\[(UNAVAILABLE|INUSE|LIMIT)\]|Server Unavailable|throttled", re.IGNORECASE)


@dataclass(frozen=True)
class Login:
    host: str
    port: int
    user: str
    password: str | None = field(repr=False)
    oauth: OAuth | None
    tls: Tls
    timeout_s: float
    ca_file: Path | None

    @property
    def server(self) -> str:
        return f"{self.host}:{self.port}"


@contextmanager
def signed_in(login: Login) -> Iterator[IMAPClient]:
    with reaching(login.host, login.port):
        try:
            with _connected(login) as client:
                _sign_in(client, login)
                client.capabilities()  # most servers have just told them; opening a folder makes imaplib forget it
                yield client
        except CapabilityError:
            raise Permanent(f"{login.server} does not offer STARTTLS: compare port and tls.") from None
        except IMAPClient.AbortError:
            raise Transient(
                f"{login.server} broke off the connection or speaks no IMAP: look at server and port."
            ) from None
        except IMAPClient.Error as refusal:
            sentence = f"{login.server} gave an answer that is not IMAP, or refused a command: look into its log."
            raise refused(refusal, sentence) from None


def examine(client: IMAPClient, folder: str) -> dict[bytes, Any]:
    """Open a folder so that nothing in it can change."""
    return _opened(client, folder, readonly=True)


def open_for_writing(client: IMAPClient, folder: str) -> dict[bytes, Any]:
    return _opened(client, folder, readonly=False)


def refused(refusal: Exception, sentence: str) -> ConnectorError:
    if is_busy(refusal):
        return Transient("The mail server is too busy for now: wait, it is tried again.")
    return Permanent(sentence)


def is_busy(refusal: Exception) -> bool:
    return bool(_TRY_LATER.search(str(refusal)))


@contextmanager
def _connected(login: Login) -> Iterator[IMAPClient]:
    context = tls_context(login.ca_file) if login.tls == "tls" else None
    with IMAPClient(
        login.host, login.port, ssl=login.tls == "tls", ssl_context=context, timeout=login.timeout_s, use_uid=True
    ) as client:
        client.normalise_times = False  # so that INTERNALDATE stays aware
        client._imap.debug = 0  # imaplib would copy each body into a debug line: twice the memory, half the speed
        if login.tls == "starttls":
            client.starttls(tls_context(login.ca_file))
        try:
            yield client
        except OSError:
            client.shutdown()  # who did not answer in time would not answer our goodbye either
            raise


def _sign_in(client: IMAPClient, login: Login) -> None:
    try:
        if login.oauth is not None:
            _sign_in_with_token(client, login, login.oauth)
        else:
            _sign_in_with_password(client, login.user, login.password or "")
    except LoginError as refusal:
        if is_busy(refusal):
            raise Transient(f"{login.server} cannot let anyone sign in for now: wait, it is tried again.") from None
        if login.oauth is None:
            raise Refused(
                f"{login.server} does not accept our name and password: correct user and password, and have IMAP "
                "allowed for the account."
            ) from None
        login.oauth.forget_token()
        raise Refused(
            f"{login.server} does not accept our token: correct user, let the application of oauth use IMAP and give "
            "it the right to this mailbox."
        ) from None


def _sign_in_with_password(client: IMAPClient, user: str, password: str) -> None:
    if (user + password).isascii():
        client.login(user, password)
    else:  # LOGIN is ASCII only; PLAIN carries UTF-8 (RFC 4616), and a password may well hold an å
        client.plain_login(user, password)


def _sign_in_with_token(client: IMAPClient, login: Login, oauth: OAuth) -> None:
    if not client.has_capability("AUTH=XOAUTH2"):
        raise Permanent(f"{login.server} does not take tokens (XOAUTH2): give a password in place of oauth.")
    try:
        _show_token(client, login.user, oauth)
    except LoginError as refusal:
        if is_busy(refusal):
            raise
        oauth.forget_token()  # it may have been withdrawn before its time; a new one is refused for good
        _show_token(client, login.user, oauth)


def _show_token(client: IMAPClient, user: str, oauth: OAuth) -> None:
    proof = proof_of(user, oauth.token())
    # A server that refuses a token says why in a challenge, and its NO comes after an empty answer.
    client.sasl_login("XOAUTH2", lambda challenge: b"" if challenge else proof)


def _opened(client: IMAPClient, folder: str, *, readonly: bool) -> dict[bytes, Any]:
    try:
        opened: dict[bytes, Any] = client.select_folder(folder, readonly=readonly)
    except IMAPClient.ReadOnlyError:
        raise Permanent(f"The folder {folder} may only be read: give the login the right to write to it.") from None
    except IMAPClient.AbortError:
        raise
    except IMAPClient.Error as refusal:
        remedy = "correct its name, or give the login the right to it."
        raise refused(refusal, f"The folder {folder} does not exist or may not be opened: {remedy}") from None
    return opened
