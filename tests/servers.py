"""Real servers for tests: Dovecot, and an SMTP server that can misbehave; each stopped when its block ends.

All listen on loopback only, run as root (then as an unprivileged user) and as an ordinary user, and keep everything
in a short folder under /tmp, because a Unix socket's path may have 107 bytes at most.
"""

from __future__ import annotations

import asyncio
import base64
import grp
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import jwt
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from aiosmtpd.smtp import Envelope as Accepted
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from imapclient import IMAPClient  # type: ignore[import-untyped]

NOBODY = 65534
PASSWORD = "grön-skog-7"
INBOX_ADDRESS = "info@solkommun.example"
SENT_FOLDER = "Lähetetyt"
DRAFTS_FOLDER = "Luonnokset"
_SENT_ON_DISK = ".L&AOQ-hetetyt"  # modified UTF-7, as IMAP writes it (RFC 3501, 5.1.3)
_DRAFTS_ON_DISK = f".{DRAFTS_FOLDER}"
START_WITHIN_S = 60.0
TOKEN_KEY = b"a key that Dovecot and who gives the tokens share"


# ---------------------------------------------------------------- Dovecot


@dataclass(frozen=True)
class Dovecot:
    """One account, INBOX_ADDRESS with PASSWORD. The certificate is self-signed and good for the name localhost."""

    root: Path
    port: int
    tls_port: int
    host: str = "localhost"
    user: str = INBOX_ADDRESS
    password: str = PASSWORD
    marks_sent: bool = True
    """Whether it says which folder is the one for sent mail (RFC 6154)."""
    capability: str = ""
    """What it offers after signing in, unless it offers all it can."""
    _numbers: Iterator[int] = field(default_factory=count)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, program: str) -> None:
        process = subprocess.Popen([program, "-F", "-c", str(self.root / "dovecot.conf")], start_new_session=True)
        self._processes.append(process)
        wait_for(lambda: answers(self.port) and answers(self.tls_port), process, self.root / "log")

    def stop(self) -> None:
        while self._processes:
            _stop(self._processes.pop(), signal.SIGTERM)

    @property
    def ca_file(self) -> Path:
        return self.root / "cert.pem"

    @property
    def maildir(self) -> Path:
        return self.root / "mail" / self.user

    def deliver(self, raw: bytes) -> Path:
        """Put a mail into the inbox the way a mail server does, and return its file."""
        name = f"{int(time.time())}.M{next(self._numbers):06d}.test"
        draft = self.maildir / "tmp" / name
        draft.write_bytes(raw)
        _give_away(draft)
        return draft.rename(self.maildir / "new" / name)

    def sent(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.maildir / _SENT_ON_DISK).glob("[nc][eu][wr]/*"))]

    def drafts(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.maildir / _DRAFTS_ON_DISK).glob("[nc][eu][wr]/*"))]

    def empty(self) -> None:
        for path in (*self.maildir.glob("[nc][eu][wr]/*"), *self.maildir.glob(".*/[nc][eu][wr]/*")):
            path.unlink()
        for folder in self.maildir.glob(".*/"):
            if folder.name not in (_SENT_ON_DISK, _DRAFTS_ON_DISK):
                shutil.rmtree(folder)

    @contextmanager
    def colleague(self) -> Iterator[IMAPClient]:
        """Somebody who has the mailbox open in a mail program."""
        with IMAPClient(self.host, self.port, ssl=False) as program:
            program.plain_login(self.user, self.password)
            yield program

    def spoil(self, path: Path) -> None:
        """Make a delivered mail unreadable for the server itself, as a broken disk would."""
        path.chmod(0)
        if os.geteuid() == 0:
            os.chown(path, 0, 0)

    def flags(self) -> list[str]:
        """Maildir flags of every mail in the inbox, `` for one that nobody has opened."""
        return [path.name.partition(":2,")[2] for path in sorted(self.maildir.glob("[nc][eu][wr]/*"))]

    def renumber(self, folder: str = "") -> None:
        """Lose the list of UIDs, as after a restored backup: Dovecot answers with another UIDVALIDITY."""
        time.sleep(1.1)  # UIDVALIDITY is a time in whole seconds
        for path in (self.maildir / f".{folder}" if folder else self.maildir).glob("dovecot*"):
            path.unlink()

    def restart_uids(self) -> None:
        """Empty the inbox and begin at UID 1 again under the same UIDVALIDITY, as some servers do against RFC 3501."""
        with self.colleague() as program:
            uidvalidity = program.folder_status("INBOX", ["UIDVALIDITY"])[b"UIDVALIDITY"]
        for path in (*self.maildir.glob("[nc][eu][wr]/*"), *self.maildir.glob("dovecot.index*")):
            path.unlink()
        (self.maildir / "dovecot-uidlist").write_text(f"3 V{uidvalidity} N1\n", encoding="ascii")
        _give_away(self.maildir / "dovecot-uidlist")


@contextmanager
def dovecot(root: Path, *, marks_sent: bool = True, capability: str = "") -> Iterator[Dovecot]:
    program = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        _missing("Dovecot is not installed (Debian: dovecot-imapd)")
    with held_port() as port, held_port() as tls_port:
        server = Dovecot(root, port, tls_port, marks_sent=marks_sent, capability=capability)
        _prepare_dovecot(server)
        try:
            server.start(program)
            yield server
        finally:
            server.stop()


def _prepare_dovecot(server: Dovecot) -> None:
    root = server.root
    root.chmod(0o755)
    certificate(root)
    for folder in ("mail", *(f"mail/{server.user}/{part}" for part in ("", "new", "cur", "tmp"))):
        (root / folder).mkdir(parents=True, exist_ok=True)
        _give_away(root / folder)
    (root / "users").write_text(f"{server.user}:{{PLAIN}}{server.password}\n", encoding="utf-8")
    key = root / "keys" / "default" / "HS256" / "default"
    key.parent.mkdir(parents=True)
    key.write_text(base64.b64encode(TOKEN_KEY).decode(), encoding="utf-8")
    (root / "oauth2.conf").write_text(
        f"introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={root}/keys/\n"
        "username_attribute = sub\n",
        encoding="utf-8",
    )
    (root / "dovecot.conf").write_text(_dovecot_conf(server), encoding="utf-8")


def _dovecot_conf(server: Dovecot) -> str:
    root = server.root
    owner, own_group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    mail_uid, mail_gid = (NOBODY, NOBODY) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    capability = f"imap_capability = {server.capability}" if server.capability else ""
    special_use = r"special_use = \Sent" if server.marks_sent else ""
    unprivileged = (
        ""
        if os.geteuid() == 0
        else f"""
default_internal_user = {owner}
default_login_user = {owner}
default_internal_group = {own_group}
"""
    )
    return f"""
protocols = imap
listen = 127.0.0.1
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
instance_name = kommunpost-{server.port}
{unprivileged}
ssl = yes
ssl_cert = <{root}/cert.pem
ssl_key = <{root}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2
{capability}
mail_location = maildir:{root}/mail/%u
first_valid_uid = 0
passdb {{
  driver = passwd-file
  mechanisms = plain login
  args = {root}/users
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {root}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid={mail_uid} gid={mail_gid} home={root}/mail/%u
}}
namespace inbox {{
  inbox = yes
  mailbox {SENT_FOLDER} {{
    auto = create
    {special_use}
  }}
  mailbox {DRAFTS_FOLDER} {{
    auto = create
    special_use = \\Drafts
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {server.port}
  }}
  inet_listener imaps {{
    port = {server.tls_port}
    ssl = yes
  }}
}}
auth_failure_delay = 0
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""


# ---------------------------------------------------------------- SMTP


class Misbehaviour(Enum):
    NONE = "takes everything"
    DEFER_RECIPIENT = "451 to every RCPT"
    REFUSE_RECIPIENT = "550 to a recipient whose address begins with unknown"
    DEFER_DATA = "451 after the whole mail"
    REFUSE_DATA = "554 after the whole mail"
    DROP_AFTER_DATA = "takes the mail and hangs up without an answer"
    DROP_UNTAKEN = "hangs up after the whole mail and has not taken it"
    CUT_ANSWER = "takes the mail and hangs up after the first digit of its answer"
    SILENT_AFTER_DATA = "takes the mail and never answers"
    SILENT_AT_SENDER = "never answers to MAIL"


@dataclass
class SmtpServer:
    """What it accepted is in `accepted`, also when it misbehaved and did not say so."""

    port: int
    host: str = "localhost"
    user: str = INBOX_ADDRESS
    password: str = PASSWORD
    refused_tokens: set[str] = field(default_factory=set)
    inbox: Dovecot | None = None
    """Mail to this mailbox's address is delivered there."""
    misbehaviour: Misbehaviour = Misbehaviour.NONE
    accepted: list[Accepted] = field(default_factory=list)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd calls it so
        self, server: SMTP, session: object, envelope: Accepted, address: str, options: list[str]
    ) -> str:
        if self.misbehaviour is Misbehaviour.SILENT_AT_SENDER:
            await asyncio.sleep(3600)
        envelope.mail_from, envelope.mail_options = address, options
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: object, envelope: Accepted, address: str, options: list[str]
    ) -> str:
        if self.misbehaviour is Misbehaviour.DEFER_RECIPIENT:
            return f"451 4.3.0 <{address}> try again later"
        if self.misbehaviour is Misbehaviour.REFUSE_RECIPIENT and address.startswith("unknown"):
            return f"550 5.1.1 <{address}> user unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: object, envelope: Accepted) -> str:  # noqa: N802
        if self.misbehaviour is Misbehaviour.REFUSE_DATA:
            return "554 5.7.1 Refused by policy"
        if self.misbehaviour is Misbehaviour.DEFER_DATA:
            return "451 4.3.0 Queue full"
        assert isinstance(server.transport, asyncio.WriteTransport)
        if self.misbehaviour is not Misbehaviour.DROP_UNTAKEN:
            self._accept(envelope)
        if self.misbehaviour in (Misbehaviour.DROP_AFTER_DATA, Misbehaviour.DROP_UNTAKEN):
            server.transport.abort()
        if self.misbehaviour is Misbehaviour.CUT_ANSWER:
            server.transport.write(b"2")
            server.transport.close()
        if self.misbehaviour is Misbehaviour.SILENT_AFTER_DATA:
            await asyncio.sleep(3600)
        return "250 2.0.0 Taken"

    def authenticate(self, server: SMTP, session: object, envelope: object, mechanism: str, data: Any) -> AuthResult:
        given = (data.login, data.password) if isinstance(data, LoginPassword) else (b"", b"")
        return AuthResult(success=given == (self.user.encode(), self.password.encode()), handled=False)

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802
        """Refuses as Gmail does: the reason in a challenge, and the refusal after an empty answer."""
        user, _, token = base64.b64decode(args[1]).decode().strip("\1").partition("\1auth=Bearer ")
        if user == f"user={self.user}" and token not in self.refused_tokens and is_good(token):
            return AuthResult(success=True)
        await server.challenge_auth(b'{"status":"400"}')
        return AuthResult(success=False, handled=False)

    def _accept(self, envelope: Accepted) -> None:
        self.accepted.append(envelope)
        if self.inbox is not None and self.inbox.user in envelope.rcpt_tos:
            assert isinstance(envelope.content, bytes)
            self.inbox.deliver(envelope.content)


def is_good(token: str) -> bool:
    try:
        jwt.decode(token, TOKEN_KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        return False
    return True


@contextmanager
def smtp_server(
    *, inbox: Dovecot | None = None, certificate_in: Path | None = None, must_sign_in: bool = False
) -> Iterator[SmtpServer]:
    """With `certificate_in`, a folder prepared by `certificate`, it offers STARTTLS, and signing in only after it."""
    with held_port() as port:
        server = SmtpServer(port, inbox=inbox)
        controller = Controller(
            server,
            hostname="127.0.0.1",
            port=port,
            ready_timeout=START_WITHIN_S,
            tls_context=server_context(certificate_in) if certificate_in else None,
            authenticator=server.authenticate,
            auth_required=must_sign_in,
            auth_require_tls=certificate_in is not None,
            enable_SMTPUTF8=True,
            decode_data=False,
        )
        controller.start()
        try:
            yield server
        finally:
            controller.stop()


def server_context(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


# ---------------------------------------------------------------- what they share


@contextmanager
def short_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kp", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def certificate(folder: Path, name: str = "localhost") -> None:
    """Write cert.pem and key.pem, self-signed and good for one name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, private, plain))


def until_they_hang_up(connection: socket.socket) -> None:
    connection.settimeout(START_WITHIN_S)
    with suppress(OSError):
        connection.recv(1)


@contextmanager
def held_port() -> Iterator[int]:
    """A port that nobody else is given while the block lasts. Who sets SO_REUSEADDR, as every server does, may listen
    on it; were it let go instead, the end of some connection could get it before the server starts."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            words = log.read_text(errors="replace") if log.exists() else "no log"
            pytest.fail(f"a test server did not start: {words}")
        time.sleep(0.02)


def _stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Stop a server that leads its own session, and then whoever of its children is left in it."""
    process.send_signal(how)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    with suppress(ProcessLookupError):  # Dovecot's imap process outlives its master while a client is connected
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _give_away(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def _missing(reason: str) -> NoReturn:
    """Skip where a developer lacks the server; fail in CI, where nothing may be left out unseen."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
