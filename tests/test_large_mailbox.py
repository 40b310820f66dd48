"""A large mailbox is taken in one mail at a time, on every kind, in several sittings, with no gap and no double.

KOMMUNPOST_NIGHTLY=1 makes 100,000 mails of the usual 300; KOMMUNPOST_LARGE any other number.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ews_server, graph_server
from tests.letters import letter
from tests.servers import Dovecot, SmtpServer
from tests.towns import on_exchange, on_folder, on_graph, on_real_servers
from worker import intake, setting_up
from worker.models import Mail, Mailbox
from worker.municipality import configured

MAILS = int(os.environ.get("KOMMUNPOST_LARGE") or (100_000 if os.environ.get("KOMMUNPOST_NIGHTLY") else 300))
SITTING_S = 60.0 if MAILS > 10_000 else 4.0
MOST_MEMORY_MIB = 96
"""What the process may grow by. All mails together are larger, and so is a list of all their headers."""
PADDING = "Det regnade hela dagen och ingen kom. " * 60

pytestmark = pytest.mark.django_db(transaction=True)  # one transaction a mail, as in daily work


def raw(number: int) -> bytes:
    return letter(f"Mejl {number}. {PADDING}", message_id=f"<{number}@mail.example>")


def peak_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): resets the peak resident set size


def read_in_sittings(mailbox: Mailbox) -> int:
    received, more = 0, True
    while more:
        sitting = intake.take_in(mailbox)
        assert sitting.fault == ""
        received, more = received + sitting.received, sitting.more
    return received


Opened = Iterator[tuple[Path, Callable[[bytes], object]]]
"""The municipality file of a town with a mailbox of this kind, and how mail gets into it; closed at the end."""


def in_folder(folder: Path, request: pytest.FixtureRequest) -> Opened:
    inbox = folder / "inbox"
    inbox.mkdir()
    numbers = iter(range(10**9))
    yield on_folder(folder, inbox), lambda mail: (inbox / f"{next(numbers)}.eml").write_bytes(mail)


def in_imap(folder: Path, request: pytest.FixtureRequest) -> Opened:
    inbox: Dovecot = request.getfixturevalue("inbox")
    smtp: SmtpServer = request.getfixturevalue("smtp")
    yield on_real_servers(folder, inbox, smtp), inbox.deliver
    inbox.empty()


def in_exchange(folder: Path, request: pytest.FixtureRequest) -> Opened:
    with ews_server.ews_server(folder) as server:
        yield on_exchange(folder, server, timeout_s=30), server.deliver


def in_graph(folder: Path, request: pytest.FixtureRequest) -> Opened:
    with graph_server.graph_server(folder) as server:
        yield on_graph(folder, server, timeout_s=30), server.deliver


KINDS = {"folder": in_folder, "imap": in_imap, "exchange": in_exchange, "graph": in_graph}


@pytest.mark.timeout(7_200 if MAILS > 10_000 else 900)
@pytest.mark.parametrize("kind", KINDS)
def test_a_large_mailbox_is_taken_in_without_holding_it_in_memory(
    kind: str, tmp_path: Path, settings: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "SITTING_S", SITTING_S)
    opened = KINDS[kind](tmp_path, request)
    settings.MUNICIPALITY, deliver = next(opened)
    for number in range(MAILS):
        deliver(raw(number))
    list(setting_up.take_over_mailboxes(configured()))
    mailbox = Mailbox.objects.get()
    forget_peak()
    before, started = peak_mib(), time.monotonic()
    taken = read_in_sittings(mailbox)
    grown, took_s = peak_mib() - before, time.monotonic() - started
    print(f"{kind}: {MAILS} mails, {MAILS / took_s:.0f} mails/s, {grown:.0f} MiB more at the peak")  # noqa: T201
    assert taken == MAILS == Mail.objects.values("message_id").distinct().count() == Mail.objects.count()
    assert grown < MOST_MEMORY_MIB
    next(opened, None)
