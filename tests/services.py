"""Starts what the tests stand on before Django reads its settings: a real Postgres and a real broker.

Loaded as a pytest plugin (`-p tests.services`), since settings are read before any conftest. With DATABASE_URL and
REDIS_URL set, those servers are used instead; so do the processes of pytest-xdist, each with a database of its own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from worker.embedded import services
from worker.vault import new_key

ROOT = Path(__file__).resolve().parent.parent
_running = ExitStack()


def _start() -> None:
    data = Path(tempfile.mkdtemp(prefix="kommunpost-tests-", dir="/tmp"))
    data.chmod(0o755)
    for name in ("kundcenter", "bygg", "sent", "static", "inbox"):
        (data / name).mkdir()
    _running.callback(shutil.rmtree, data, ignore_errors=True)
    if not ("DATABASE_URL" in os.environ and "REDIS_URL" in os.environ):
        endpoints = _running.enter_context(services(data, durable=False))
        os.environ["DATABASE_URL"] = endpoints.database_url
        os.environ["REDIS_URL"] = endpoints.redis_url
    os.environ |= {
        "KOMMUNPOST_SECRET_KEY": "only for tests, 50 characters long or a little more",
        "KOMMUNPOST_STORAGE_KEYS": new_key(),
        "KOMMUNPOST_MUNICIPALITY": str(ROOT / "tests" / "solvik" / "municipality.yaml"),
        "KOMMUNPOST_DATA": str(data),
        "KOMMUNPOST_BEHIND_TLS": "no",
        "KOMMUNPOST_LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "worker.settings",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "yes",  # Playwright's loop and the database meet in one thread
    }


_start()


def pytest_unconfigure(config: pytest.Config) -> None:
    _running.close()
