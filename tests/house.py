"""The whole product as its own processes, for tests that look at it from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import servers
from worker.embedded import child, services
from worker.vault import new_key

PASSWORD = "en lång nog lösenfras"
COMMAND = [sys.executable, "-m", "worker.cli"]


@dataclass(frozen=True)
class House:
    """A database and a broker of its own, and the settings under which every command runs."""

    data: Path
    settings: dict[str, str]

    def run(self, *words: str) -> str:
        """One `kommunpost` command to its end; what it printed."""
        done = subprocess.run([*COMMAND, *words], env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def process(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """A `kommunpost` process that ends with the block; what it says goes to a file named after it."""
        before = dict(os.environ)
        os.environ |= self.settings
        try:
            running = child([*COMMAND, *words], self.data / f"{words[0]}.log")
            with running as process:
                os.environ.clear()
                os.environ |= before
                yield process
        finally:
            os.environ.clear()
            os.environ |= before

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | self.settings

    @property
    def logs(self) -> str:
        return "".join(path.read_text() for name in ("worker", "beat", "web") for path in self.data.glob(f"{name}.log"))


@contextmanager
def house(town: Callable[[Path], Path], **settings: str) -> Iterator[House]:
    """Servers of its own, migrated. `town` writes the municipality file into the given folder and returns its path."""
    with ExitStack() as stack:
        data = stack.enter_context(servers.short_folder())
        endpoints = stack.enter_context(services(data, durable=False))
        built = House(
            data,
            {
                "DATABASE_URL": endpoints.database_url,
                "REDIS_URL": endpoints.redis_url,
                "KOMMUNPOST_SECRET_KEY": "only for this test, 50 characters long or even more",
                "KOMMUNPOST_STORAGE_KEYS": new_key(),
                "KOMMUNPOST_DATA": str(data),
                "KOMMUNPOST_BEHIND_TLS": "no",
                "KOMMUNPOST_POLL_S": "1",
                "KOMMUNPOST_NEW_PASSWORD": PASSWORD,
                "KOMMUNPOST_MUNICIPALITY": str(town(data)),
                **settings,
            },
        )
        built.run("migrate")
        yield built


def wait_for(happens: Callable[[], Any], what: str, within_s: float = 240) -> Any:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := happens():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come within {within_s:.0f} s")
