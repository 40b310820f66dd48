"""A notice wakes the reader at once; a mailbox that goes silent or breaks is asked again later and stops no other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import Transient
from tests.letters import letter
from tests.servers import Dovecot, SmtpServer
from tests.towns import on_folder, on_real_servers
from worker import health, listening
from worker.models import Heartbeat
from worker.municipality import configured


@pytest.fixture
def stopped() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


class Breaking:
    """Breaks twice, then tells of mail, then is silent."""

    def __init__(self) -> None:
        self.calls = 0

    def wait_for_mail(self, at_most_s: float) -> bool:
        self.calls += 1
        if self.calls < 3:
            raise Transient("The server is away.", retry_after_s=0.01)
        if self.calls == 3:
            return True
        threading.Event().wait(0.05)
        return False


def listening_to(connector: Any, stopped: threading.Event) -> queue.Queue[str]:
    heard: queue.Queue[str] = queue.Queue()
    arguments = ("kundcenter", connector, stopped, heard.put)
    threading.Thread(target=listening._listen_to, args=arguments, daemon=True).start()
    return heard


def test_new_mail_on_a_real_imap_server_is_told_at_once(
    tmp_path: Path, inbox: Dovecot, smtp: SmtpServer, settings: Any, stopped: threading.Event
) -> None:
    settings.MUNICIPALITY = on_real_servers(tmp_path, inbox, smtp)
    (connector,) = listening.listeners(configured()).values()
    heard = listening_to(connector, stopped)
    with pytest.raises(queue.Empty):
        heard.get(timeout=1)
    inbox.deliver(letter())
    assert heard.get(timeout=10) == "kundcenter"


def test_notifications_only_wake_the_poller(stopped: threading.Event) -> None:
    """What breaks is tried again, and what it missed is left to the clock."""
    connector = Breaking()
    assert listening_to(connector, stopped).get(timeout=10) == "kundcenter"


def test_a_kind_that_cannot_tell_of_mail_is_not_listened_to(tmp_path: Path, settings: Any) -> None:
    (tmp_path / "inbox").mkdir()
    settings.MUNICIPALITY = on_folder(tmp_path, tmp_path / "inbox")
    assert listening.listeners(configured()) == {}


@pytest.mark.django_db(transaction=True)
def test_the_listener_says_that_it_lives(tmp_path: Path, settings: Any) -> None:
    (tmp_path / "inbox").mkdir()
    settings.MUNICIPALITY = on_folder(tmp_path, tmp_path / "inbox")
    assert health.heartbeat_fault(health.LISTENER)
    stopped = threading.Event()
    stopped.set()
    listening.listen(stopped, print)
    assert health.heartbeat_fault(health.LISTENER) is None
    Heartbeat.objects.all().delete()
