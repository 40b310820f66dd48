"""Work that one process at a time may do for one row. The database holds the lock, so it ends with the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

READING = 0x6B70_0000
"""First key of the advisory lock under which one mailbox is read."""
WRITING = 0x6B70_0001
"""The same for writing back to it."""


@contextmanager
def alone(work: int, row: int) -> Iterator[bool]:
    """False when another process is at it. Both keys fit 32 bits."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s, %s)", [work, row])
        got = bool(cursor.fetchone()[0])
    try:
        yield got
    finally:
        if got:
            with connection.cursor() as cursor:
                cursor.execute("select pg_advisory_unlock(%s, %s)", [work, row])
