"""Sending as the product does it, to real servers that misbehave at one attempt in three: nothing lost, nothing doubled.

KOMMUNPOST_NIGHTLY=1 makes 510 replies of the usual 102.
"""

from __future__ import annotations

import email
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from email.policy import default
from pathlib import Path
from typing import Any, Protocol

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.utils import timezone

from connectors.base import Envelope
from connectors.base import Mailbox as MailboxConnector
from rules.lifecycle import MailState
from tests import ews_server, graph_server
from tests.ews_server import EwsServer
from tests.graph_server import GraphServer
from tests.servers import Dovecot, Misbehaviour, SmtpServer
from tests.towns import on_exchange, on_graph, on_real_servers
from worker import deliver, intake, review, sweeper
from worker.models import Draft, Mail, Outgoing

REPLIES = 170 if os.environ.get("KOMMUNPOST_NIGHTLY") else 34
ROUNDS = 40
PATIENCE_S = 2.0
"""Enough for every answer that comes at all, and all that a silent server costs."""

Ews, Graph = ews_server.Fault, graph_server.Fault


class MailServer(Protocol):
    def behave(self) -> None: ...

    def misbehave(self, chance: random.Random, *, asked: bool) -> None:
        """At the next attempt. `asked`: it will be asked for a reply before another one is handed over."""
        ...

    def accepted(self) -> list[str]:
        """The Message-ID of everything that has left, as often as it has."""
        ...

    def filed(self) -> list[str]: ...


@dataclass
class OnHttp:
    server: EwsServer | GraphServer
    faults: dict[str, tuple[Any, ...]]
    looks: str
    """The call that looks for a Message-ID."""

    def behave(self) -> None:
        self.server.faults.clear()

    def misbehave(self, chance: random.Random, *, asked: bool) -> None:
        if chance.random() < 0.1:
            self.server.tokens.clear()
            return
        calls = [self.looks] if asked else list(self.faults)
        call, fault = chance.choice([(call, fault) for call in calls for fault in self.faults[call]])
        self.server.misbehave(call, fault)

    def accepted(self) -> list[str]:
        return [mail.message_id for mail in self.server.accepted]

    def filed(self) -> list[str]:
        return [item.message_id for item in self.server.in_folder("sentitems")]


@dataclass
class OnSmtp:
    inbox: Dovecot
    smtp: SmtpServer

    def behave(self) -> None:
        self.smtp.misbehaviour = Misbehaviour.NONE

    def misbehave(self, chance: random.Random, *, asked: bool) -> None:
        self.smtp.misbehaviour = chance.choice(SMTP_FAULTS)

    def accepted(self) -> list[str]:
        return [message_id_of(mail.content) for mail in self.smtp.accepted]

    def filed(self) -> list[str]:
        return [message_id_of(raw) for raw in self.inbox.sent()]


def message_id_of(raw: str | bytes | None) -> str:
    assert isinstance(raw, bytes)
    return str(email.message_from_bytes(raw, policy=default)["Message-ID"])


EWS_FAULTS = {
    "CreateItem": tuple(Ews),
    "FindItem": (Ews.BUSY, Ews.UNAVAILABLE, Ews.DROPPED, Ews.CUT_XML_AFTER, Ews.UNAUTHORIZED),
    "GetFolder": (Ews.THROTTLED, Ews.SHORT_AFTER),
}
GRAPH_FAULTS = {
    "send": (
        Graph.THROTTLED,
        Graph.BUSY,
        Graph.BUSY_AFTER,
        Graph.GATEWAY_TIMEOUT,
        Graph.GATEWAY_TIMEOUT_AFTER,
        Graph.DROPPED,
        Graph.DROPPED_AFTER,
        Graph.SILENT_AFTER,
        Graph.SHORT_AFTER,
        Graph.TOKEN_EXPIRED,
        Graph.NOT_FOUND,
        Graph.STUMBLES,
    ),
    "create": (Graph.THROTTLED, Graph.BUSY_AFTER, Graph.DROPPED_AFTER, Graph.CUT_JSON_AFTER, Graph.TOKEN_EXPIRED),
    "find": (Graph.BUSY, Graph.DROPPED, Graph.CUT_JSON_AFTER, Graph.SHORT_AFTER, Graph.TOKEN_EXPIRED),
}
SMTP_FAULTS = (
    Misbehaviour.SILENT_AT_SENDER,
    Misbehaviour.DEFER_RECIPIENT,
    Misbehaviour.DEFER_DATA,
    Misbehaviour.DROP_UNTAKEN,
    Misbehaviour.DROP_AFTER_DATA,
    Misbehaviour.CUT_ANSWER,
    Misbehaviour.SILENT_AFTER_DATA,
)


@pytest.fixture
def exchange(tmp_path: Path, settings: Any) -> Iterator[MailServer]:
    with ews_server.ews_server(tmp_path) as server:
        settings.MUNICIPALITY = on_exchange(tmp_path, server, timeout_s=PATIENCE_S)
        yield OnHttp(server, EWS_FAULTS, looks="FindItem")


@pytest.fixture
def graph(tmp_path: Path, settings: Any) -> Iterator[MailServer]:
    with graph_server.graph_server(tmp_path) as server:
        settings.MUNICIPALITY = on_graph(tmp_path, server, timeout_s=PATIENCE_S)
        yield OnHttp(server, GRAPH_FAULTS, looks="find")


@pytest.fixture
def imap(tmp_path: Path, inbox: Dovecot, smtp: SmtpServer, settings: Any) -> MailServer:
    settings.MUNICIPALITY = on_real_servers(tmp_path, inbox, smtp, smtp_timeout_s=PATIENCE_S)
    return OnSmtp(inbox, smtp)


@pytest.fixture(params=["exchange", "graph", "imap"], autouse=True)
def server(request: pytest.FixtureRequest) -> MailServer:
    found: MailServer = request.getfixturevalue(request.param)
    return found


class Killed(BaseException):
    """A worker's end: nothing in the product catches it, so its lease stays behind."""


@dataclass
class Dying:
    """The connector of a worker that is killed right before it hands the reply over, or right after the server's yes."""

    real: MailboxConnector
    after: bool

    def send(self, raw: bytes, envelope: Envelope) -> None:
        if self.after:
            self.real.send(raw, envelope)
        raise Killed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.fixture
def approved(waiting: Mail, alice: User) -> list[str]:
    """Message-IDs of the replies that a reviewer has approved."""
    mails = [waiting, *(_copy(waiting, number) for number in range(1, REPLIES))]
    replies = [review.approve(mail.pk, alice, mail.draft.version, mail.draft.ticks) for mail in mails]
    return [reply.message_id for reply in replies if reply is not None]


def _copy(waiting: Mail, number: int) -> Mail:
    """The same question once more, with everything that was read for it: quicker than asking the registers again."""
    mail = Mail.objects.get(pk=waiting.pk)
    mail.remote_id, mail.fingerprint = f"copy {number}", f"{number:064}"
    _insert(mail)
    for look_up in waiting.look_ups.all():
        facts = list(look_up.facts.all())
        _insert(look_up, mail=mail)
        for fact in facts:
            _insert(fact, mail=mail, look_up=look_up)
    for passage in waiting.passages.all():
        _insert(passage, mail=mail)
    _insert(Draft.objects.get(mail=waiting), mail=mail)
    return mail


def _insert(row: Model, **of: Model) -> None:
    row.pk = None
    for name, owner in of.items():
        setattr(row, name, owner)
    row.save(force_insert=True)


@pytest.mark.timeout(900)
def test_a_fault_at_one_attempt_in_three_loses_nothing_and_doubles_nothing(
    server: MailServer, approved: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(20261121)
    for _ in range(ROUNDS):
        in_hand = _all_due()
        for mail in in_hand:
            server.behave()
            if chance.random() < 1 / 3:
                _attempt_with_a_fault(mail, server, chance, monkeypatch)
            else:
                deliver.deliver(mail.pk)
        if not in_hand:
            break
    server.behave()
    sweeper.file_unfiled()

    states = {row.outgoing.message_id: row.state for row in Mail.objects.select_related("outgoing")}
    sent = [message_id for message_id, state in states.items() if state == MailState.SENT]
    assert len(approved) == REPLIES
    assert sorted(states) == sorted(approved)
    assert set(states.values()) <= {MailState.SENT, MailState.NEEDS_ATTENTION}, "each is sent or before a person"
    assert sorted(server.accepted()) == sorted(sent), "what left is what we say has left, each once"
    assert sorted(server.filed()) == sorted(sent), "and staff find each once in Sent"
    assert len(sent) > 0.8 * len(approved), "a passing fault seldom needs a person"


def _all_due() -> list[Mail]:
    """Every wait is over, and the lease of every killed worker has run out."""
    now = timezone.now()
    deliver.expire_leases(now + timedelta(hours=1))
    Outgoing.objects.filter(sent_at__isnull=True).update(due_at=now)
    return list(Mail.objects.filter(pk__in=deliver.due(now)).order_by("pk"))


def _attempt_with_a_fault(
    mail: Mail, server: MailServer, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mail.state == MailState.UNSURE or chance.random() < 0.8:
        server.misbehave(chance, asked=mail.state == MailState.UNSURE)
        deliver.deliver(mail.pk)
        return
    real, after = intake.connector_for, chance.random() < 0.5
    with monkeypatch.context() as worker, pytest.raises(Killed):
        worker.setattr(deliver, "connector_for", lambda *where: Dying(real(*where), after))
        deliver.deliver(mail.pk)
