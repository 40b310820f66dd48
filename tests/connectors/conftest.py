"""What several kinds of connector are tried on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import imap_relay, servers
from tests.imap_relay import Relay


@pytest.fixture
def line(inbox: servers.Dovecot) -> Iterator[Relay]:
    with imap_relay.relay(inbox) as running:
        yield running


@pytest.fixture(scope="session")
def running_old_server() -> Iterator[servers.Dovecot]:
    with servers.short_folder() as folder, servers.dovecot(folder, capability="IMAP4rev1 STARTTLS") as running:
        yield running


@pytest.fixture
def old_server(running_old_server: servers.Dovecot) -> servers.Dovecot:
    """Neither IDLE nor MOVE nor UIDPLUS: such servers still run. Nothing is in its folders."""
    running_old_server.empty()
    return running_old_server
