"""Calls to Exchange Web Services for one mailbox: one attempt each, and what a refusal means in plain words.

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

import requests
from exchangelib import (  # type: ignore[import-untyped]
    DELEGATE,
    IMPERSONATION,
    UTC,
    Account,
    Configuration,
    Credentials,
    Identity,
    errors,
)
from exchangelib.credentials import OAuth2Credentials  # type: ignore[import-untyped]
from exchangelib.errors import EWSError  # type: ignore[import-untyped]
from exchangelib.protocol import CachingProtocol, FailFast, Protocol  # type: ignore[import-untyped]
from exchangelib.services import CreateItem, GetItem  # type: ignore[import-untyped]
from exchangelib.transport import BASIC, NTLM, OAUTH2  # type: ignore[import-untyped]
from exchangelib.version import EXCHANGE_2016, Version  # type: ignore[import-untyped]
from requests.adapters import HTTPAdapter

from connectors.entra import Application
from connectors.errors import ConnectorError, Permanent, Refused, Transient
from connectors.network import reaching, tls_context

# exchangelib writes whole requests into the log when one goes wrong: mail, addresses.
logging.getLogger("exchangelib").setLevel(logging.CRITICAL)
# From what this one writes a password can be guessed.
logging.getLogger("spnego").setLevel(logging.WARNING)

PATH = "/EWS/Exchange.asmx"
_READ_AT_ONCE_BYTES = 2**16
_LONGEST_END = 64

# What exchangelib stumbles over when an answer is XML, but not what Exchange sends.
_ODD_ANSWER = (AttributeError, KeyError, TypeError, ValueError, SyntaxError)

# Codes with which Exchange says that it has done nothing of what was asked.
_REFUSALS: dict[type[EWSError], tuple[type[ConnectorError], str]] = {
    errors.ErrorServerBusy: (Transient, "The Exchange server is too busy for now: wait, it is tried again."),
    errors.ErrorExceededConnectionCount: (
        Transient,
        "The login has too many connections to the Exchange server: use a login that nobody else uses.",
    ),
    errors.ErrorSubmissionQuotaExceeded: (
        Transient,
        "The mailbox has sent as many mails as Exchange allows for now: wait, it is tried again.",
    ),
    errors.ErrorAccessDenied: (
        Refused,
        "The login has no right to the mailbox or to one of its folders: give it full access to the mailbox.",
    ),
    errors.ErrorImpersonateUserDenied: (
        Refused,
        "The login may not act for this mailbox: give it the role ApplicationImpersonation, or set access to delegate.",
    ),
    errors.ErrorNonExistentMailbox: (
        Permanent,
        "The server has no mailbox with this address: correct mailbox. One in Microsoft 365 needs the kind graph.",
    ),
    errors.ErrorSendAsDenied: (Refused, "The login may not send from the mailbox's address: give it Send As."),
    errors.ErrorAccountDisabled: (Refused, "The login is disabled: have it enabled."),
    errors.ErrorPasswordExpired: (Refused, "The password of the login has expired: set a new one that does not."),
    errors.ErrorInvalidRecipients: (Permanent, "Exchange does not accept a recipient of the mail."),
    errors.ErrorMessageSizeExceeded: (Permanent, "The mail is larger than Exchange takes."),
    errors.ErrorMimeContentInvalid: (Permanent, "Exchange cannot read the mail that it was given."),
    errors.ErrorInvalidServerVersion: (Permanent, "The Exchange server is too old: version 2016 or later is needed."),
}
_ALIKE: dict[type[EWSError], type[EWSError]] = {
    errors.ErrorImpersonationDenied: errors.ErrorImpersonateUserDenied,
    errors.ErrorImpersonationFailed: errors.ErrorImpersonateUserDenied,
    errors.ErrorMissingEmailAddress: errors.ErrorNonExistentMailbox,
    errors.ErrorMailboxLogonFailed: errors.ErrorAccessDenied,
    errors.ErrorPasswordChangeRequired: errors.ErrorPasswordExpired,
    errors.ErrorMimeContentInvalidBase64String: errors.ErrorMimeContentInvalid,
    errors.ErrorIncorrectSchemaVersion: errors.ErrorInvalidServerVersion,
    errors.ErrorInvalidSchemaVersionForMailboxVersion: errors.ErrorInvalidServerVersion,
}
# The same, said by status alone.
_REFUSED_STATUSES: dict[int, tuple[type[ConnectorError], str]] = {
    401: (Refused, "{server} does not accept our {proof}."),
    403: (Refused, "{server} keeps the login out of Exchange Web Services: have EWS allowed for it."),
    404: (Permanent, "{server} answers, but has no Exchange Web Services: correct the host."),
    413: (Permanent, "The mail is larger than {server} takes."),
    429: (Transient, "{server} is too busy for now: wait, it is tried again."),
} | dict.fromkeys((301, 302, 307, 308, 405), (Permanent, "{server} sends us elsewhere: correct the host."))


class NotTaken(Exception):
    """An answer by which the server is known to have done nothing, whatever was asked."""

    def __init__(self, meaning: ConnectorError) -> None:
        super().__init__()
        self.meaning = meaning


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


@contextmanager
def explained() -> Iterator[None]:
    try:
        yield
    except NotTaken as answer:
        raise answer.meaning from None
    except EWSError as failure:
        raise meaning_of(failure) from None
    except _ODD_ANSWER:
        raise Transient("The Exchange server gave an answer that cannot be read.") from None


def meaning_of(failure: EWSError) -> ConnectorError:
    """The server's own words stay out: they may repeat an address."""
    code = _ALIKE.get(type(failure), type(failure))
    if code not in _REFUSALS:
        return Transient(
            f"The Exchange server could not do what it was asked ({type(failure).__name__}): it is tried again; if it "
            "lasts, look up this code."
        )
    kind, sentence = _REFUSALS[code]
    return kind(sentence, retry_after_s=getattr(failure, "back_off", None))


def is_refusal(failure: EWSError) -> bool:
    return _ALIKE.get(type(failure), type(failure)) in _REFUSALS


class _Once:
    """One request, one answer. The library would ask again, and take a passing fault for ErrorServerBusy."""

    def _api_versions_to_try(self) -> tuple[str]:
        return (self._version_hint.api_version,)  # type: ignore[attr-defined]

    def _get_elements(self, payload: Any) -> Iterator[Any]:
        yield from self._response_generator(payload=payload)  # type: ignore[attr-defined]


class CreateOnce(_Once, CreateItem):  # type: ignore[misc]
    pass


class GetOnce(_Once, GetItem):  # type: ignore[misc]
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

    def raw_session(self, prefix: str, **_: Any) -> requests.Session:
        return _Session(self._login)

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
        response.__class__ = _Answer
        return response


class _Answer(requests.Response):
    def iter_content(self, chunk_size: Any = _READ_AT_ONCE_BYTES, decode_unicode: Any = False) -> Iterator[Any]:
        """The library names no size and would get byte by byte: ten seconds for a mail of 25 MB."""
        return cast(Iterator[Any], super().iter_content(chunk_size, decode_unicode))


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
        status, content = response.status_code, response.content
        if status in _REFUSED_STATUSES:
            kind, sentence = _REFUSED_STATUSES[status]
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
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException):
            found = cause
        cause = cause.__cause__ or cause.__context__
    return found
