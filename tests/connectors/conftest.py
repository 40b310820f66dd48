"""The real servers of this room, started once for all its tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import servers


@pytest.fixture(scope="session")
def dovecot() -> Iterator[servers.Dovecot]:
    with servers.short_folder() as folder, servers.dovecot(folder) as running:
        yield running


@pytest.fixture
def inbox(dovecot: servers.Dovecot) -> servers.Dovecot:
    """The same Dovecot with nothing in its folders."""
    dovecot.empty()
    return dovecot


@pytest.fixture
def smtp(inbox: servers.Dovecot) -> Iterator[servers.SmtpServer]:
    with servers.smtp_server(inbox=inbox, certificate_in=inbox.root) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Postgres]:
    with servers.short_folder() as folder, servers.postgres(folder) as running:
        yield running
