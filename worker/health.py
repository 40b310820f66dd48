"""Whether the parts that the product stands on answer: for /readyz, `doctor` and the compose health checks."""

from __future__ import annotations

import socket
from datetime import timedelta

from django.db import Error, connection
from django.utils import timezone
from kombu.connection import Connection

from worker.models import Heartbeat

CLOCK = "sweep"
LISTENER = "listen"
BEAT_S = 30.0
"""How often the clock has a worker sweep, and how often the listener says that it lives."""
SILENT_AFTER = timedelta(minutes=3)
"""After so long without a beat, the clock or every worker stands still."""


def database_fault() -> str | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
    except Error as error:
        return str(error).strip().splitlines()[0]
    return None


def broker_fault() -> str | None:
    from django.conf import settings

    try:
        with Connection(settings.REDIS_URL, connect_timeout=3) as broker:  # type: ignore[no-untyped-call]
            broker.ensure_connection(max_retries=1, interval_start=0.1)
            broker.default_channel.client.ping()
    except Exception as error:  # kombu passes on whatever its transport raises
        return f"{type(error).__name__}: the broker does not answer"
    return None


def model_fault() -> str | None:
    from worker import understanding

    try:
        understanding.check()
    except (OSError, ValueError) as error:
        return f"the classifier cannot be loaded ({type(error).__name__})"
    return None


def version_fault() -> str | None:
    """Whether the version of the model that was chosen is the one that is served."""
    from django.conf import settings

    from worker.understanding import versions

    return versions.fault(settings.DATA) or None


def migrations_fault() -> str | None:
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(behind)} migrations have not been run" if behind else None


def beat(name: str = CLOCK) -> None:
    """Called by the periodic sweep (the clock asked, a worker did) and by the listener."""
    Heartbeat.objects.update_or_create(name=name, defaults={"at": timezone.now()})


def heartbeat_fault(name: str = CLOCK) -> str | None:
    """For a heartbeat of the clock both the clock and a worker are needed."""
    last = Heartbeat.objects.filter(name=name).values_list("at", flat=True).first()
    if last is None:
        return "nothing periodic has run yet"
    return None if timezone.now() - last < SILENT_AFTER else f"nothing periodic has run since {last:%Y-%m-%d %H:%M} UTC"


def worker_fault() -> str | None:
    """Whether the worker on this host answers through the broker."""
    from worker.celery import app

    here = f"celery@{socket.gethostname()}"
    return None if app.control.ping(destination=[here], timeout=5) else f"{here} does not answer"


CHECKS = {"database": database_fault, "broker": broker_fault, "model": model_fault}


def faults() -> dict[str, str]:
    found = {name: check() for name, check in CHECKS.items()}
    return {name: fault for name, fault in found.items() if fault}
