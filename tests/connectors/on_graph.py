"""A mailbox on the tests' own Microsoft 365, and the mails that go in and out of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connectors.base import Envelope, Fetched
from connectors.graph.mailbox import GraphMailbox
from tests.graph_server import CLIENT_ID, MAILBOX, TENANT, GraphServer

RESIDENT = "resident@post.example"
ENVELOPE = Envelope(MAILBOX, (RESIDENT,))


def mailbox(server: GraphServer, **changes: Any) -> GraphMailbox:
    facts = {"tenant": TENANT, "client_id": CLIENT_ID, "mailbox": MAILBOX, "client_secret": server.secret}
    where = {"authority": server.authority, "base_url": server.base_url, "ca_file": server.ca_file}
    return GraphMailbox(**{**facts, **where, "timeout_s": 10.0, **changes})


def mail(number: int) -> bytes:
    return b"Message-ID: <%d@post.example>\r\nSubject: mail %d\r\n\r\nHej!\r\n" % (number, number)


def reply(number: int = 1, *more: str) -> bytes:
    headers = [f"Message-ID: <svar+{number}@solkommun.example>", f"From: Sol <{MAILBOX}>", f"To: {RESIDENT}", *more]
    return ("\r\n".join(headers) + "\r\n\r\nHej!\r\n").encode()


def reply_id(number: int = 1) -> str:
    return f"<svar+{number}@solkommun.example>"


def subjects(found: Iterator[object]) -> list[str]:
    return [mail.raw.split(b"\r\n")[1].decode() for mail in found if isinstance(mail, Fetched)]
