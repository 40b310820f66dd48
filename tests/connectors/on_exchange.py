"""A mailbox on the tests' Exchange Server, with mail for it and replies from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connectors.base import Envelope, Fetched
from connectors.exchange.mailbox import AppRegistration, ExchangeMailbox
from tests.ews_server import CLIENT_ID, PASSWORD, SECRET, SHARED, TENANT, USER, EwsServer

RESIDENT = "resident@post.example"
ENVELOPE = Envelope(SHARED, (RESIDENT,))


def mailbox(server: EwsServer, **changes: Any) -> ExchangeMailbox:
    facts = {"host": "localhost", "mailbox": SHARED, "user": USER, "password": PASSWORD, "auth": "basic"}
    where = {"port": server.port, "ca_file": server.ca_file, "timeout_s": 10.0}
    return ExchangeMailbox(**{**facts, **where, **changes})


def as_application(server: EwsServer, secret: str = SECRET) -> ExchangeMailbox:
    authority = f"https://localhost:{server.port}"
    app = AppRegistration(TENANT, CLIENT_ID, client_secret=secret, authority=authority)
    return mailbox(server, user=None, password=None, app=app)


def mail(number: int) -> bytes:
    return b"Message-ID: <%d@post.example>\r\nSubject: mail %d\r\n\r\nHej!\r\n" % (number, number)


def reply(number: int = 1, *more: str) -> bytes:
    headers = [f"Message-ID: {reply_id(number)}", f"From: Sol <{SHARED}>", f"To: {RESIDENT}", *more]
    return ("\r\n".join(headers) + "\r\n\r\nHej!\r\n").encode()


def reply_id(number: int = 1) -> str:
    return f"<svar+{number}@solkommun.example>"


def subjects(found: Iterator[object]) -> list[str]:
    return [mail.raw.split(b"\r\n")[1].decode() for mail in found if isinstance(mail, Fetched)]
