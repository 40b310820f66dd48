"""`kommunpost demo`: database, broker, workers and screen with a sample municipality, in one command."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from worker.embedded import Stopped, child, default_data, prepare, services, stop_on_signals, write_secret
from worker.vault import new_key

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
PASSWORD = "demo"  # noqa: S105 - the demo listens on loopback and says its password aloud
COLLEAGUES = {
    "clerk": "Kim Lindqvist",
    "reviewer": "Elin Forsgård",
    "senior": "Ingrid Hove",
    "lead": "Tuomas Rinne",
    "registrar": "Sofie Lund-Madsen",
    "auditor": "Petra Nyholm",
    "admin": "Jonas Aaltonen",
}
READY_WITHIN_S = 60.0
DONE_WITHIN_S = 300.0


class DemoError(RuntimeError):
    """The demo cannot go on; the text says why and what to do."""


def run(*, once: bool, as_json: bool, port: int, data: Path | None) -> None:
    """Blocks until Ctrl-C or SIGTERM, or, with `once`, until every sample mail has been processed."""
    stop_on_signals()
    with ExitStack() as stack:
        try:
            if not once:
                port = stack.enter_context(held_port(port))
            stack.enter_context(environment(data))
            if not once:
                stay_up(stack, port)
            counted = process_samples(stack)
        except Stopped:
            click.echo("\nStopping …", err=True)
            return
    click.echo(json.dumps(counted) if as_json else as_table(counted))


@contextmanager
def held_port(port: int) -> Iterator[int]:
    """Nobody else is given it before the screen listens on it, which SO_REUSEADDR allows on Linux."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", port))
        except OSError:
            raise DemoError(f"Port {port} is taken. Choose another with --port, or 0 for any free one.") from None
        yield int(holder.getsockname()[1])


@contextmanager
def environment(data: Path | None) -> Iterator[Path]:
    """The two servers (embedded, unless DATABASE_URL and REDIS_URL name others) and the settings."""
    data = (data or default_data(ROOT)).resolve()
    prepare(data)
    with ExitStack() as stack:
        if not ("DATABASE_URL" in os.environ and "REDIS_URL" in os.environ):
            endpoints = stack.enter_context(services(data))
            os.environ.setdefault("DATABASE_URL", endpoints.database_url)
            os.environ.setdefault("REDIS_URL", endpoints.redis_url)
        kept = kept_secrets(data / "secrets.json")
        os.environ.setdefault("KOMMUNPOST_SECRET_KEY", kept["secret_key"])
        os.environ.setdefault("KOMMUNPOST_STORAGE_KEYS", kept["storage_keys"])
        os.environ.setdefault("KOMMUNPOST_MUNICIPALITY", str(DEMO / "municipality.yaml"))
        os.environ.setdefault("KOMMUNPOST_DATA", str(data))
        os.environ.setdefault("KOMMUNPOST_BEHIND_TLS", "no")
        os.environ.setdefault("KOMMUNPOST_POLL_S", "10")
        os.environ.setdefault("KOMMUNPOST_LOG_LEVEL", "WARNING")
        os.environ["KOMMUNPOST_REGISTERS_URL"] = registers_url(os.environ["DATABASE_URL"], kept["registers_password"])
        os.environ["KOMMUNPOST_DEMO"] = "yes"
        yield data


def kept_secrets(path: Path) -> dict[str, str]:
    """Made once per data folder: what was sealed yesterday must open today."""
    if not path.exists():
        made = {
            "secret_key": secrets.token_urlsafe(48),
            "storage_keys": new_key(),
            "registers_password": secrets.token_urlsafe(24),
        }
        write_secret(path, json.dumps(made))
    kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return kept


def registers_url(database_url: str, password: str) -> str:
    """The same server, signed in as the role that may only read the sample registers."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    parts = conninfo_to_dict(database_url) | {"user": "kommunpost_registers", "password": password}
    return make_conninfo("", **parts)


def prepare_database() -> None:
    from worker.command import with_database

    with_database()
    from worker import sample, setting_up

    list(setting_up.migrate())
    sample.load_registers(DEMO / "registers", os.environ["KOMMUNPOST_REGISTERS_URL"])
    sample.add_colleagues(COLLEAGUES, PASSWORD)


def start(stack: ExitStack, data: Path, *command: str) -> subprocess.Popen[bytes]:
    log = data / f"{command[0]}.log"
    return stack.enter_context(child([sys.executable, "-m", "worker.cli", *command], log))


def stay_up(stack: ExitStack, port: int) -> NoReturn:
    data = Path(os.environ["KOMMUNPOST_DATA"])
    prepare_database()
    web = start(stack, data, "web", "--port", str(port), "--workers", "1")
    others = [start(stack, data, "worker", "--concurrency", "2"), start(stack, data, "beat")]
    address = f"http://127.0.0.1:{port}/"
    wait_until(lambda: answers(f"{address}healthz"), web, data / "web.log")
    click.echo(welcome(address, data))
    while all(process.poll() is None for process in (web, *others)):
        time.sleep(0.5)
    raise DemoError(f"A process ended by itself. Its last words are in {data}/*.log.")


def welcome(address: str, data: Path) -> str:
    return f"""
Kommunpost is ready: {address}

  Sign in as   reviewer   (reads drafts, edits, approves)
               senior     (also restricted mail and sensitive matters)
               auditor    (reads the event log, changes nothing)
  Password     {PASSWORD}

Look first at the queue, open an invoice question, and follow a numbered statement to its source.
An approved reply waits 30 seconds, then it is written to {data}/sent. Nothing leaves this machine.
Data: {data}. Stop with Ctrl-C.
"""


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - our own loopback address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        if ready():
            return
        time.sleep(0.05)
    raise DemoError(f"A process did not start in time. Its last words are in {log}.")


def process_samples(stack: ExitStack) -> dict[str, Any]:
    """Every sample mail through the real broker, database and worker; returns the summary."""
    data = Path(os.environ["KOMMUNPOST_DATA"])
    prepare_database()
    from worker import sample
    from worker.models import Mailbox
    from worker.tasks import poll_mailbox

    worker = start(stack, data, "worker", "--concurrency", "2")
    started = time.monotonic()
    for mailbox_id in Mailbox.objects.filter(enabled=True).values_list("pk", flat=True):
        poll_mailbox.delay(mailbox_id)
    deadline = started + DONE_WITHIN_S
    while not sample.all_read_and_settled():
        if worker.poll() is not None or time.monotonic() > deadline:
            raise DemoError(
                f"The sample mail was not processed in time. The worker's last words are in {data}/worker.log."
            )
        time.sleep(0.05)
    return sample.summary(time.monotonic() - started)


def as_table(counted: dict[str, Any]) -> str:
    width = max(len(name) for name in counted)
    return "\n".join(f"{name.replace('_', ' '):<{width}}  {value}" for name, value in counted.items())
