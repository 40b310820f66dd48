"""A mailbox on the tests' Dovecot, straight or over a line that somebody listens on, with mail for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connectors.base import Fetched
from connectors.imap.mailbox import ImapMailbox
from tests import servers
from tests.imap_relay import Relay


def mailbox(server: servers.Dovecot, **changes: Any) -> ImapMailbox:
    facts = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
    return ImapMailbox(**{**facts, "ca_file": server.ca_file, "timeout_s": 10.0, **changes})


def over(line: Relay, server: servers.Dovecot, **changes: Any) -> ImapMailbox:
    return mailbox(server, port=line.port, tls="none", **changes)


def mail(number: int) -> bytes:
    return b"Message-ID: <%d@post.example>\r\nSubject: mail %d\r\n\r\nHej!\r\n" % (number, number)


def subjects(found: Iterator[object]) -> list[str]:
    return [mail.raw.split(b"\r\n")[1].decode() for mail in found if isinstance(mail, Fetched)]
