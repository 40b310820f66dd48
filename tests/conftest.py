"""Fixtures that every room may use. `tests/services.py` has started Postgres and the broker before this is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import servers

settings.register_profile(
    "house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=False
)
settings.load_profile("house")


LONGEST = (
    "tests/test_killed_worker.py",
    "tests/test_demo.py",
    "tests/worker/test_sending_faults.py",
    "tests/test_cli.py",
    "tests/test_large_mailbox.py",
    "tests/rules/test_message_fuzz.py",
    "tests/review_ui/test_browser.py",
    "tests/test_one_mail.py",
)
"""Begun first: otherwise one process would still be busy with the last of them while the other has nothing to do."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.location[0]) if item.location[0] in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Tests with transactions of their own empty the tables afterwards, which the event log refuses everywhere else."""
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table in ("worker_event", "worker_seal"):
            cursor.execute(f"alter table {table} disable trigger append_only_all")


@pytest.fixture(autouse=True, scope="session")
def quick_passwords() -> Iterator[None]:
    """A real hash takes half a second, and nearly every test makes people."""
    from django.test.utils import override_settings

    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(autouse=True)
def fresh_registers() -> Iterator[None]:
    """Registers are opened once per process; tests bring their own."""
    yield
    from worker import lookup

    lookup._open.clear()


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
