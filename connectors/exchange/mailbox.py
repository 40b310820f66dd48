"""A shared inbox on an Exchange Server of one's own or a hybrid one: its settings, and what can be asked of it.

It must never be asked for anything with settings that cannot work: what is wrong with them is said at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, field
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from exchangelib import Account  # type: ignore[import-untyped]
from pydantic import Field
from pydantic.dataclasses import dataclass

from connectors.addressees import recipients_without_header
from connectors.base import SETTINGS, Cursor, Envelope, Fetched, Finding, Mark, PutDraft, Unreadable
from connectors.categories import Category, named
from connectors.entra import Application
from connectors.errors import ConnectorError, Permanent
from connectors.exchange import check, notices, office, sending
from connectors.exchange.ews import Login, signed_in
from connectors.exchange.inbox import Reading
from connectors.message_id import checked, message_id_of

HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")]
Address = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]


@dataclass(frozen=True, config=SETTINGS)
class AppRegistration:
    """Hybrid modern authentication: an application signs in, and no person."""

    tenant: str
    client_id: str
    _: KW_ONLY
    client_secret: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    """Instead of a secret: private key and certificate, both as PEM, one behind the other."""
    authority: Annotated[str, Field(pattern=r"^https://")] = "https://login.microsoftonline.com"


@dataclass(frozen=True, config=SETTINGS)
class ExchangeMailbox:
    host: HostName
    mailbox: Address
    """The primary address of the shared mailbox: what is read, and the sender of every reply."""
    _: KW_ONLY
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    auth: Literal["ntlm", "basic"] = "ntlm"
    app: AppRegistration | None = None
    access: Literal["delegate", "impersonation"] = "delegate"
    port: int = 443
    since: date | None = None
    """Mail that reached the mailbox before this day (UTC) is left alone."""
    directory: bool = False
    """Believe Exchange when it says that a mail is from an account of its own directory. See the manual first."""
    categories: dict[Mark, Category] = field(default_factory=dict)
    timeout_s: float = 30.0
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if (self.app is None) == (self.user is None or self.password is None):
            raise Permanent("An exchange mailbox needs user and password, or app, and not both.")
        if self.app is not None and (self.app.client_secret is None) == (self.app.certificate is None):
            raise Permanent("The app of an exchange mailbox needs client_secret or certificate, and not both.")
        if self.auth == "basic" and not _is_latin_1(f"{self.user}{self.password}"):
            raise Permanent("Basic authentication cannot carry the letters of this name or password: set auth to ntlm.")
        named(self.categories)

    def fetch_since(self, cursor: Cursor) -> Iterator[Fetched | Unreadable]:
        with self.signed_in() as account:
            yield from self._reading(account).mails_after(cursor)

    def send(self, raw: bytes, envelope: Envelope) -> None:
        hidden = recipients_without_header(raw, envelope)
        message_id = message_id_of(raw)
        if envelope.sender.casefold() != self.mailbox.casefold():
            raise Permanent("The reply is not from the address of this mailbox: nothing was sent.")
        with self.signed_in() as account:
            sending.send(account, raw, message_id, hidden)

    def file_sent(self, raw: bytes) -> None:
        message_id = message_id_of(raw)
        with self.signed_in() as account:
            sending.file_sent(account, raw, message_id)

    def was_sent(self, message_id: str) -> bool:
        wanted = checked(message_id)
        with self.signed_in() as account:
            return sending.has_left(account, wanted)

    def replies_to(self, message_id: str) -> frozenset[str]:
        wanted = checked(message_id)
        with self.signed_in() as account:
            return sending.replies_to(account, wanted)

    def mark(self, remote_id: str, mark: Mark | None) -> bool:
        with self.signed_in() as account:
            return office.mark(account, remote_id, mark, named(self.categories))

    def put_draft(self, raw: bytes, answers: str) -> PutDraft:
        """Exchange finds the conversation by In-Reply-To and References, so `answers` is not needed."""
        message_id = message_id_of(raw)
        with self.signed_in() as account:
            return office.put_draft(account, raw, message_id)

    def take_back(self, draft: PutDraft) -> bool:
        with self.signed_in() as account:
            return office.take_back(account, draft)

    def move(self, remote_id: str, folder: str) -> bool:
        with self.signed_in() as account:
            return office.move(account, remote_id, folder)

    def wait_for_mail(self, at_most_s: float) -> bool:
        with self.signed_in() as account:
            return notices.wait_for_mail(account, at_most_s, self.timeout_s)

    def check(self) -> Iterator[Finding]:
        try:
            with self.signed_in() as account:
                yield from check.findings(account, f"{self.host}:{self.port}", self._reading(account))
        except ConnectorError as error:
            yield Finding(False, error.sentence)

    def _reading(self, account: Account) -> Reading:
        return Reading(account, self.since, directory=self.directory)

    @contextmanager
    def signed_in(self) -> Iterator[Account]:
        login = Login(
            host=self.host,
            port=self.port,
            user=self.user or "",
            password=self.password or "",
            auth=self.auth,
            application=self._application,
            timeout_s=self.timeout_s,
            ca_file=self.ca_file,
        )
        # An application has no mailbox of its own to look into others from.
        impersonating = self.access == "impersonation" or self.app is not None
        with signed_in(login, self.mailbox, impersonating=impersonating) as account:
            yield account

    @property
    def _application(self) -> Application | None:
        if self.app is None:
            return None
        return Application(
            tenant=self.app.tenant,
            client_id=self.app.client_id,
            client_secret=self.app.client_secret,
            certificate=self.app.certificate,
            authority=self.app.authority,
            resource=f"https://{self.host}",
            timeout_s=self.timeout_s,
            ca_file=self.ca_file,
            proxy=None,
        )


def _is_latin_1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
