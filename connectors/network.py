"""Reaching a server: certificates are checked always, and every failure becomes one plain sentence.

Nothing here retries: whether to try again is decided by the kind of error that leaves this module.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from connectors.errors import ConnectorError, Permanent, Transient

LOOPBACK = ("localhost", "127.0.0.1", "::1")

Tls = Literal["starttls", "tls", "none"]

# The first row that fits counts, so the narrower kind stands before the wider one.
_FAILURES: tuple[tuple[type[Exception], type[ConnectorError], str], ...] = (
    (
        ssl.SSLCertVerificationError,
        Permanent,
        "The certificate of {server} is not accepted ({detail}): correct the host, or name the authority in ca_file.",
    ),
    (ssl.SSLEOFError, Transient, "{server} closed the connection while TLS was being set up."),
    (ssl.SSLError, Permanent, "{server} does not speak TLS the way the settings say: compare port and tls."),
    (
        socket.gaierror,
        Transient,
        "The host name {host} cannot be found: correct it, or have the name service (DNS) looked at.",
    ),
    (ConnectionRefusedError, Transient, "Nothing listens on {server}: correct host and port, or start the server."),
    (TimeoutError, Transient, "{server} did not answer in time: look at the server, the port and the firewall."),
    (UnicodeError, Permanent, "{host} is not a host name: correct it."),
    (OSError, Transient, "The connection to {server} failed or broke off: look at the server and the network."),
)


@contextmanager
def reaching(host: str, port: int) -> Iterator[None]:
    """Turn whatever the network does to the block into Transient or Permanent."""
    try:
        yield
    except (OSError, UnicodeError) as failure:
        # `from None`: what a server says may repeat an address, and a traceback ends up in a log.
        raise _explained(failure, host, port) from None


def causes(failure: BaseException) -> Iterator[BaseException]:
    """A failure and what it came from, each once: the chain may lead back to its beginning, and then has no end."""
    cause: BaseException | None = failure
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError:  # ssl.SSLError, for a file without certificates, is one as well
        raise Permanent(f"The file {ca_file} holds no readable certificate: correct ca_file.") from None


def _explained(failure: Exception, host: str, port: int) -> ConnectorError:
    kind, sentence = next((kind, sentence) for known, kind, sentence in _FAILURES if isinstance(failure, known))
    detail = getattr(failure, "verify_message", "").rstrip(".")
    return kind(sentence.format(server=f"{host}:{port}", host=host, detail=detail))


def only_on_this_machine(host: str, tls: Tls) -> None:
    """Without TLS a password and every mail can be read on the way, so `none` is for this machine alone."""
    if tls == "none" and host not in LOOPBACK:
        raise ValueError("tls none is only for this machine: set tls to tls or starttls")
