"""The demo as a newcomer starts it: every sample mail accounted for, stopped cleanly, and whole again after a restart."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import short_folder

ROOT = Path(__file__).resolve().parent.parent
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if name not in ("DATABASE_URL", "REDIS_URL") and not name.startswith(("KOMMUNPOST_", "DJANGO_"))
}
COMMAND = [sys.executable, "-m", "worker.cli", "demo"]


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def summary(data: Path) -> dict[str, float]:
    done = subprocess.run(
        [*COMMAND, "--once", "--json", "--data", str(data)],
        cwd=ROOT,
        env=CLEAN,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counted = json.loads(done.stdout)
    assert isinstance(counted, dict)
    return counted


def left_running(data: Path) -> list[str]:
    """Processes whose command line or environment names the data folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(data).encode() in said and int(process.name) != os.getpid():
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.mark.timeout(900)
def test_every_sample_mail_is_accounted_for(summary: dict[str, float]) -> None:
    assert set(summary) == {
        "received", "drafted", "waiting_review", "no_reply", "needs_attention", "claims", "claims_grounded", "seconds",
        "mails_per_second",
    }  # fmt: skip
    assert summary["received"] >= 60
    assert summary["received"] == summary["drafted"] + summary["no_reply"] + summary["needs_attention"]
    assert summary["no_reply"] > 0
    assert summary["needs_attention"] > 0


def test_no_claim_is_without_a_source(summary: dict[str, float]) -> None:
    assert summary["claims"] == summary["claims_grounded"] > 100


def test_nothing_is_left_running(summary: dict[str, float], data: Path) -> None:
    assert left_running(data) == []


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_comes_up_shows_a_screen_and_stops_cleanly(
    summary: dict[str, float], data: Path, how: signal.Signals
) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--data", str(data)], cwd=ROOT, env=CLEAN, stdout=subprocess.PIPE, text=True
    )
    try:
        address = _address(process)
        assert httpx.get(f"{address}readyz", timeout=20).json() == {"ready": True, "failing": []}
        second = subprocess.run(
            [*COMMAND, "--once", "--data", str(data)], cwd=ROOT, env=CLEAN, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "already running" in second.stderr
    finally:
        process.send_signal(how)
        process.communicate(timeout=120)
    assert process.returncode == 0
    assert left_running(data) == []


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + 240
    for line in process.stdout:
        if found := re.search(r"ready: (http://\S+)", line):
            return found[1]
        assert time.monotonic() < deadline
    raise AssertionError("it ended without naming its address")


@pytest.mark.timeout(900)
def test_what_was_there_is_there_after_a_restart(summary: dict[str, float], data: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--once", "--json", "--data", str(data)],
        cwd=ROOT,
        env=CLEAN,
        capture_output=True,
        text=True,
        check=False,
    )
    again = json.loads(done.stdout)
    assert {name: again[name] for name in ("received", "drafted", "claims")} == {
        name: summary[name] for name in ("received", "drafted", "claims")
    }
