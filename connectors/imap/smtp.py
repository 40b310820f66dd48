"""The outgoing mail server: one attempt for one reply, and an exact word about what became of it.

It must never guess: what was not surely refused and not surely accepted is Unclear. It adds no recipient of its own.
"""

from __future__ import annotations

import base64
import re
import smtplib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, field
from pathlib import Path

from pydantic.dataclasses import dataclass

from connectors.base import SETTINGS, Envelope, Finding
from connectors.errors import ConnectorError, Permanent, Refused, Transient, Unclear
from connectors.network import Tls, only_on_this_machine, reaching, tls_context
from connectors.oauth import OAuth, proof_of

_LINE_END = re.compile(rb"\r\n|\r|\n")
_ENHANCED_CODE = re.compile(rb"\b[245]\.\d{1,3}\.\d{1,3}\b")  # RFC 3463
# smtplib would take an address apart by itself and might deliver to somebody else than the envelope says.
_ADDRESS = re.compile(r"[^\s<>()\[\]\\,;:@\"\x00-\x20\x7f]+@[^\s<>()\[\]\\,;:@\"\x00-\x20\x7f]+")
_NOT_ACCEPTED = (
    "{server} does not accept our name and password ({number}): correct user and password of smtp, and have sending by "
    "SMTP allowed for the account."
)
# RFC 4954, section 6; 530 is also what a server says before STARTTLS (RFC 3207, section 4).
_SIGN_IN_REFUSED: Mapping[int, str] = {
    530: "{server} wants us to sign in first ({number}): set user, password and tls of smtp.",
    534: _NOT_ACCEPTED,
    535: _NOT_ACCEPTED,
    538: "{server} takes our name and password only over TLS ({number}): set tls of smtp.",
}
_APPLICATION_NOT_ACCEPTED = (
    "{server} does not accept our token ({number}): correct user of smtp, let the application of oauth use SMTP and "
    "have sending by SMTP allowed for the mailbox."
)


@dataclass(frozen=True, config=SETTINGS)
class Smtp:
    host: str
    port: int
    _: KW_ONLY
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    oauth: OAuth | None = None
    """An application signs in with a token in place of the password, and sends as the mailbox named in user."""
    tls: Tls = "starttls"
    timeout_s: float = 30.0
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        only_on_this_machine(self.host, self.tls)
        if self.oauth is not None and (self.user is None or self.password is not None):
            raise ValueError("with oauth, smtp needs user and no password")

    def send(self, raw: bytes, envelope: Envelope) -> None:
        """Raises Transient when nothing was accepted, Permanent when refused, Unclear when nobody can know."""
        if not envelope.recipients:
            raise Permanent("The reply has no recipient: nothing was sent.")
        if not all(_ADDRESS.fullmatch(address) for address in (envelope.sender, *envelope.recipients)):
            raise Permanent("The sender or a recipient of the reply is not a mail address: nothing was sent.")
        # RFC 5321, 2.3.8: a bare CR or LF may be read by the next server as the end of a mail.
        wire = _LINE_END.sub(b"\r\n", raw)
        with self._signed_in() as server:
            self._announce(server, envelope, self._mail_options(server, wire, envelope))
            self._hand_over(server, wire)
            with suppress(OSError):  # accepted is accepted, however the goodbye goes
                server.quit()

    def check(self) -> Iterator[Finding]:
        try:
            with self._signed_in() as server:
                self._ask_to_send(server)
        except ConnectorError as error:
            yield Finding(False, f"Outgoing mail: {error.sentence}", needed_to="send")
        else:
            how = "signed in" if self.user else "reached without signing in"
            yield Finding(True, f"Outgoing mail: {self.host}:{self.port} was {how}.", needed_to="send")

    @contextmanager
    def _signed_in(self) -> Iterator[smtplib.SMTP]:
        with reaching(self.host, self.port):
            try:
                server = self._connected()
            except smtplib.SMTPConnectError as refusal:
                raise self._said_no("the connection", refusal.smtp_code, refusal.smtp_error) from None
            try:
                self._sign_in(server)
                yield server
            finally:
                server.close()

    def _connected(self) -> smtplib.SMTP:
        if self.tls == "tls":
            context = tls_context(self.ca_file)
            return smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout_s, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=self.timeout_s)

    def _sign_in(self, server: smtplib.SMTP) -> None:
        try:
            server.ehlo_or_helo_if_needed()
            if self.tls == "starttls":
                self._start_tls(server)
            if self.user is not None and self.oauth is not None:
                self._show_token(server, self.user, self.oauth)
            elif self.user is not None:
                self._log_in(server, self.user, self.password or "")
        except smtplib.SMTPResponseException as refusal:
            raise self._said_no("our greeting or name", refusal.smtp_code, refusal.smtp_error) from None
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPException:
            raise Permanent(
                f"{self.host}:{self.port} offers no known way of signing in: compare port and tls."
            ) from None

    def _ask_to_send(self, server: smtplib.SMTP) -> None:
        """The empty sender belongs to nobody. Some servers refuse it, but only one answer is about signing in."""
        code, reply = server.mail("")
        if code in _SIGN_IN_REFUSED:
            raise self._said_no("the sender", code, reply)

    def _start_tls(self, server: smtplib.SMTP) -> None:
        if not server.has_extn("starttls"):
            raise Permanent(f"{self.host}:{self.port} does not offer STARTTLS: compare port and tls.")
        server.starttls(context=tls_context(self.ca_file))
        server.ehlo()

    def _log_in(self, server: smtplib.SMTP, user: str, password: str) -> None:
        if (user + password).isascii():
            server.login(user, password)
            return
        # smtplib writes ASCII only; RFC 4616 has UTF-8, and a password may well hold an å.
        secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        code, reply = server.docmd("AUTH", f"PLAIN {secret}")
        if code != 235:
            raise smtplib.SMTPAuthenticationError(code, reply)

    def _show_token(self, server: smtplib.SMTP, user: str, oauth: OAuth) -> None:
        if "XOAUTH2" not in server.esmtp_features.get("auth", "").upper().split():
            raise Permanent(
                f"{self.host}:{self.port} does not take tokens (XOAUTH2): give a password in place of oauth of smtp."
            )
        for _ in range(2):
            code, reply = _shown(server, proof_of(user, oauth.token()))
            if code == 235:
                return
            if code != 535:
                raise smtplib.SMTPAuthenticationError(code, reply)
            oauth.forget_token()  # it may have been withdrawn before its time; a new one is refused for good
        raise Refused(_APPLICATION_NOT_ACCEPTED.format(server=f"{self.host}:{self.port}", number=_number(code, reply)))

    def _mail_options(self, server: smtplib.SMTP, wire: bytes, envelope: Envelope) -> list[str]:
        headers = wire.partition(b"\r\n\r\n")[0]
        addresses = (envelope.sender, *envelope.recipients)
        international = not headers.isascii() or not all(address.isascii() for address in addresses)
        needed = {
            "smtputf8": ("SMTPUTF8", international),  # RFC 6531
            "8bitmime": ("BODY=8BITMIME", not wire.isascii()),  # RFC 6152
        }
        for extension, (option, is_needed) in needed.items():
            if is_needed and not server.has_extn(extension):
                raise Permanent(f"{self.host}:{self.port} does not take mail that needs {option}: nothing was sent.")
        options = [option for option, is_needed in needed.values() if is_needed]
        return [*options, f"SIZE={len(wire)}"] if server.has_extn("size") else options

    def _announce(self, server: smtplib.SMTP, envelope: Envelope, options: list[str]) -> None:
        """Name sender and recipients; one refused recipient stops the whole, so that nothing goes half way."""
        code, reply = server.mail(envelope.sender, options)
        if code != 250:
            raise self._said_no("the sender", code, reply)
        answers = [server.rcpt(recipient) for recipient in envelope.recipients]
        refusals = [answer for answer in answers if answer[0] not in (250, 251)]
        if refusals:
            with suppress(OSError):
                server.rset()
            code, reply = max(refusals, key=lambda refusal: refusal[0])  # a 5xx weighs more than a 4xx
            raise self._said_no(f"{len(refusals)} of {len(answers)} recipients", code, reply)

    def _hand_over(self, server: smtplib.SMTP, wire: bytes) -> None:
        try:
            code, reply = server.data(wire)
        except smtplib.SMTPDataError as refusal:  # DATA was not answered with 354: no byte of the mail has left
            raise self._said_no("the reply", refusal.smtp_code, refusal.smtp_error) from None
        except OSError:
            code, reply = -1, b""
        if 200 <= code < 300:
            return
        if 400 <= code < 600:
            raise self._said_no("the reply", code, reply)
        raise Unclear(
            f"{self.host}:{self.port} gave no clear answer to the reply: look for it in Sent before sending again."
        )

    def _said_no(self, to_what: str, code: int, reply: bytes | str) -> ConnectorError:
        """The server's own words stay out: they often repeat the recipient's address."""
        server, number = f"{self.host}:{self.port}", _number(code, reply)
        if code in _SIGN_IN_REFUSED:
            return Refused(_SIGN_IN_REFUSED[code].format(server=server, number=number))
        if code >= 500:
            return Permanent(f"{server} refused {to_what} ({number}): nothing was sent.")
        return Transient(f"{server} would not take {to_what} for now ({number}): nothing was sent.")


def _shown(server: smtplib.SMTP, proof: bytes) -> tuple[int, bytes]:
    """A server that refuses a token says why in a challenge (334), and its refusal comes after an empty answer."""
    code, reply = server.docmd("AUTH", f"XOAUTH2 {base64.b64encode(proof).decode()}")
    return server.docmd("") if code == 334 else (code, reply)


def _number(code: int, reply: bytes | str) -> str:
    text = reply if isinstance(reply, bytes) else reply.encode(errors="replace")
    enhanced = _ENHANCED_CODE.search(text)
    return f"{code} {enhanced[0].decode()}" if enhanced else str(code)
