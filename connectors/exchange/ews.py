"""Calls to Exchange Web Services for one mailbox: one attempt each, over a connection of its own.

It must never repeat a request by itself, and never let the library's log have what was asked or answered.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import requests
from exchangelib import (  # type: ignore[import-untyped]
    DELEGATE,
    IMPERSONATION,
    UTC,
    Account,
    Configuration,
    Credentials,
    Identity,
)
from exchangelib.credentials import OAuth2Credentials  # type: ignore[import-untyped]
from exchangelib.protocol import CachingProtocol, FailFast, Protocol  # type: ignore[import-untyped]
from exchangelib.services import CreateItem, DeleteItem, GetItem, MoveItem, UpdateItem  # type: ignore[import-untyped]
from exchangelib.transport import BASIC, NTLM, OAUTH2  # type: ignore[import-untyped]
from exchangelib.version import EXCHANGE_2016, Version  # type: ignore[import-untyped]
from requests.adapters import HTTPAdapter

from connectors.entra import Application
from connectors.errors import ConnectorError, Permanent, Transient
from connectors.exchange.refusals import REFUSED_STATUSES, NotTaken, explained
from connectors.network import causes, reaching, tls_context

# exchangelib writes whole requests into the log when one goes wrong: mail, addresses.
logging.getLogger("exchangelib").setLevel(logging.CRITICAL)
# From what this one writes a password can be guessed.
logging.getLogger("spnego").setLevel(logging.WARNING)

PATH = "/EWS/Exchange.asmx"
_READ_AT_ONCE_BYTES = 2**16
_LONGEST_END = 64


@dataclass(frozen=True)
class Login:
    """How to sign in to one server: with a name and a password, or as an application."""

    host: str
    port: int
    user: str
    password: str
    auth: Literal["ntlm", "basic"]
    application: Application | None
    timeout_s: float
    ca_file: Path | None

    @property
    def server(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def proof(self) -> str:
        if self.application is None:
            return "name and password: correct user, password and auth"
        return "token: compare tenant, authority and host with the app registration"


@contextmanager
def signed_in(login: Login, mailbox: str, *, impersonating: bool) -> Iterator[Account]:
    """The mailbox, over a connection of its own. Whatever goes wrong in the block becomes a ConnectorError."""
    config = Configuration(
        service_endpoint=f"https://{login.server}{PATH}",
        credentials=_credentials(login, mailbox),
        auth_type=OAUTH2 if login.application else {"ntlm": NTLM, "basic": BASIC}[login.auth],
        version=Version(EXCHANGE_2016),  # the oldest that is still looked after: no need to guess
        retry_policy=_OneAttempt(login),
    )
    account = Account(
        mailbox, config=config, access_type=IMPERSONATION if impersonating else DELEGATE, default_timezone=UTC
    )
    account.protocol = _Connection(config, login)
    try:
        with explained():
            yield account
    finally:
        account.protocol.close()


class Once:
    """One request, one answer. The library would ask again, and take a passing fault for ErrorServerBusy."""

    def _api_versions_to_try(self) -> tuple[str]:
        return (self._version_hint.api_version,)  # type: ignore[attr-defined]

    def _get_elements(self, payload: Any) -> Iterator[Any]:
        yield from self._response_generator(payload=payload)  # type: ignore[attr-defined]


class CreateOnce(Once, CreateItem):  # type: ignore[misc]
    pass


class GetOnce(Once, GetItem):  # type: ignore[misc]
    pass


class UpdateOnce(Once, UpdateItem):  # type: ignore[misc]
    pass


class MoveOnce(Once, MoveItem):  # type: ignore[misc]
    pass


class DeleteOnce(Once, DeleteItem):  # type: ignore[misc]
    pass


def _credentials(login: Login, mailbox: str) -> Credentials | OAuth2Credentials:
    if login.application is None:
        return Credentials(login.user, login.password)
    # The token itself comes from `Application`; from these the library learns whom an application acts for.
    return OAuth2Credentials(
        client_id=login.application.client_id,
        client_secret="",
        identity=Identity(primary_smtp_address=mailbox),
    )


class _NeverShared(CachingProtocol):  # type: ignore[misc]
    """exchangelib keeps one protocol per server and login for good: with its policy, its failures, its password."""

    __call__ = type.__call__


class _Connection(Protocol, metaclass=_NeverShared):  # type: ignore[misc]
    def __init__(self, config: Configuration, login: Login) -> None:
        super().__init__(config)
        self.TIMEOUT = login.timeout_s
        self._login = login
        # Every session's, or a second one would not get to the server that keeps the subscription of the first.
        self._cookies = requests.cookies.RequestsCookieJar()

    def raw_session(self, prefix: str, **_: Any) -> requests.Session:
        session = _Session(self._login)
        session.cookies = self._cookies
        return session

    def create_session(self) -> requests.Session:
        if self._login.application is None:
            return cast(requests.Session, super().create_session())
        session: Any = self.raw_session(self.service_endpoint)
        session.auth = partial(_with_token, self._login.application)
        session.session_id, session.usage_count = random.getrandbits(16), 0
        return cast(requests.Session, session)

    def retire_session(self, session: requests.Session) -> None:
        """Without a new one in its place: a failure to make that would hide the one at hand."""
        self.close_session(session)
        self._session_pool_size -= 1


def _with_token(application: Application, request: requests.PreparedRequest) -> requests.PreparedRequest:
    request.headers["Authorization"] = f"Bearer {application.token()}"
    return request


class _Session(requests.Session):
    """Failures of the network leave it as Transient or Permanent, and an answer is always read to its end."""

    def __init__(self, login: Login) -> None:
        super().__init__()
        self._login = login
        self.trust_env = False  # a connector has its settings from its arguments; a .netrc would replace our password
        self.headers["Content-Type"] = "text/xml; charset=utf-8"
        self.mount("https://", _Https(login.ca_file))

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        with reaching(self._login.host, self._login.port):
            try:
                response = super().send(request, **options)
            except requests.RequestException as failure:
                raise _as_os_error(failure) from None
        response.__class__ = _Stream if options.get("stream") else _Answer
        return response


class _Answer(requests.Response):
    def iter_content(self, chunk_size: Any = _READ_AT_ONCE_BYTES, decode_unicode: Any = False) -> Iterator[Any]:
        """The library names no size and would get byte by byte: ten seconds for a mail of 25 MB."""
        return cast(Iterator[Any], super().iter_content(chunk_size, decode_unicode))


class _Stream(_Answer):
    """An answer that goes on for minutes: whoever reads it judges it part by part."""


@contextmanager
def reading_from(answer: requests.Response) -> Iterator[None]:
    """Failures of the network while the parts of an answer come in."""
    at = urlsplit(answer.url)
    with reaching(str(at.hostname), at.port or 443):
        try:
            yield
        except requests.RequestException as failure:
            raise _as_os_error(failure) from None


class _Https(HTTPAdapter):
    def __init__(self, ca_file: Path | None) -> None:
        self._tls = tls_context(ca_file)
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0, pool_block=True)

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        super().init_poolmanager(*sizes, **options, ssl_context=self._tls)

    def cert_verify(self, *_: Any) -> None:
        """Our own context checks certificates always; requests would add the authorities that it brings along."""


class _OneAttempt(FailFast):  # type: ignore[misc]
    """Judges an answer by its status. The library takes a 503, and much besides, for ErrorServerBusy."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def raise_response_errors(self, response: requests.Response) -> None:
        status = response.status_code
        if status == 200 and isinstance(response, _Stream):
            return
        content = response.content
        if status in REFUSED_STATUSES:
            kind, sentence = REFUSED_STATUSES[status]
            if status == 401 and self._login.application is not None:
                self._login.application.forget_token()
                kind = Transient  # a token may be withdrawn before its time; the next attempt has a new one
            sentence = sentence.format(server=self._login.server, proof=self._login.proof)
            raise NotTaken(kind(sentence, retry_after_s=_retry_after_s(response)))
        if status not in (200, 500) or b"Envelope" not in content[:500]:
            raise self._no_answer(response)
        # The library's parser mends XML that ends too early: changes, or half a mail, would be lost without a word.
        if not content[-_LONGEST_END:].rstrip().endswith(b"Envelope>"):
            raise Transient(f"{self._login.server} broke off its answer.")

    def _no_answer(self, response: requests.Response) -> ConnectorError:
        if response.status_code == 200:
            return Permanent(f"{self._login.server} is not Exchange Web Services: correct the host.")
        return Transient(
            f"{self._login.server} cannot answer for now ({response.status_code}): wait, it is tried again.",
            retry_after_s=_retry_after_s(response),
        )


def _retry_after_s(response: requests.Response) -> float | None:
    said = response.headers.get("Retry-After", "").strip()
    return float(said[:6]) if said.isdecimal() else None


def _as_os_error(failure: requests.RequestException) -> OSError:
    """requests keeps the true cause (certificate, name, refused connection) at the end of its chain."""
    found: OSError = TimeoutError() if isinstance(failure, requests.Timeout) else ConnectionError()
    for cause in causes(failure):
        if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException):
            found = cause
    return found
