"""Waits at the mailboxes that can say at once when mail has come, and has them read. A notice only wakes the reader:
what it misses, the clock finds a minute later.
"""

from __future__ import annotations

import logging
import random
import signal
import threading
from collections.abc import Callable

from django.db import close_old_connections
from django.utils import timezone

from connectors import open_mailbox
from connectors.base import Notifies
from connectors.errors import ConnectorError, Transient
from worker import health, intake
from worker.municipality import Municipality, MunicipalityError, configured

log = logging.getLogger(__name__)

ROUND_S = 9 * 60.0
"""A connection that stands longer is dropped by some firewalls without a word; RFC 2177 names 29 minutes at most."""
WAITS_S = (5.0, 15.0, 60.0, 300.0, 900.0)
"""After a fault, and after another one."""
PAUSE_S = 1.0
"""Between two notices: a hundred mails at once need one reading, not a hundred."""


def listeners(municipality: Municipality) -> dict[str, Notifies]:
    """Mailboxes of the municipality file that can tell of mail, by name. One that is set up wrongly is left to the
    reader, whose fault stands on the screen."""
    found: dict[str, Notifies] = {}
    for name, entry in municipality.mailboxes.items():
        try:
            connector = open_mailbox(entry.kind, municipality.options_of(entry))
        except (ConnectorError, MunicipalityError) as error:
            log.warning("not listening", extra={"mailbox": name, "reason": str(error)})
            continue
        if entry.listen and isinstance(connector, Notifies):
            found[name] = connector
            log.info("listening", extra={"mailbox": name})
    return found


def run() -> None:
    """Listen until the process is told to end."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    listen(stopped, read_now)


def listen(stopped: threading.Event, read: Callable[[str], None]) -> None:
    """One thread a mailbox until `stopped`; `read` is called with a mailbox's name when it may hold new mail."""
    for name, connector in listeners(configured()).items():
        arguments = (name, connector, stopped, read)
        threading.Thread(target=_listen_to, args=arguments, name=f"listen-{name}", daemon=True).start()
    while True:
        close_old_connections()
        health.beat(health.LISTENER)
        if stopped.wait(health.BEAT_S):
            return


def read_now(name: str) -> None:
    """Put the reading of a mailbox into the broker's hands, unless its server asked us to wait."""
    from worker.tasks import poll_mailbox

    close_old_connections()
    for mailbox in intake.to_read(timezone.now()).filter(name=name):
        poll_mailbox.delay(mailbox.pk)


def _listen_to(name: str, connector: Notifies, stopped: threading.Event, read: Callable[[str], None]) -> None:
    failures = 0
    while not stopped.is_set():
        try:
            if connector.wait_for_mail(ROUND_S):
                read(name)
        except Exception as error:  # a thread's edge: the mailbox is polled meanwhile
            wait_s = _wait_s(error, failures)
            failures += 1
            reason = error.sentence if isinstance(error, ConnectorError) else type(error).__name__
            log.warning("listening broke off", extra={"mailbox": name, "reason": reason, "wait_s": round(wait_s)})
            stopped.wait(wait_s)
        else:
            failures = 0
            stopped.wait(PAUSE_S)


def _wait_s(error: Exception, failures: int) -> float:
    """With a spread, so that listeners which lost one server do not all come back in the same second."""
    asked_s = error.retry_after_s if isinstance(error, Transient) else None
    return asked_s or WAITS_S[min(failures, len(WAITS_S) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311
