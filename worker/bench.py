"""Drives mails through the real broker, database and workers, and says how fast each stage was.

Runs on the embedded servers with a data folder of its own, so a bench never touches an installation's mail.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from worker import demo
from worker.demo import ROOT, DemoError

ALLOWED_S_PER_MAIL = 2.0


def run(mails: int, data: Path | None) -> dict[str, Any]:
    """The report as a JSON-ready object; times in milliseconds, memory in MiB."""
    folder = Path(tempfile.mkdtemp(prefix="kommunpost-bench-", dir=data))
    folder.chmod(0o755)
    os.environ["KOMMUNPOST_DATA"] = str(folder)
    try:
        with ExitStack() as stack:
            stack.enter_context(demo.environment(folder))
            write_letters(folder / "inbox", mails)
            os.environ["KOMMUNPOST_MUNICIPALITY"] = str(municipality_for(folder))
            demo.prepare_database()
            return drive(stack, folder, mails)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def municipality_for(folder: Path) -> Path:
    """The sample municipality, reading the bench's own inbox."""
    import yaml

    content = yaml.safe_load((demo.DEMO / "municipality.yaml").read_text(encoding="utf-8"))
    name, mailbox = next(iter(content["mailboxes"].items()))
    mailbox["options"] = {"path": str(folder / "inbox"), "sent_path": str(folder / "sent")}
    content["mailboxes"] = {name: mailbox}
    content["registers"]["articles"]["options"]["path"] = str(demo.DEMO / "articles")
    path = folder / "municipality.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def write_letters(folder: Path, mails: int) -> None:
    """Labelled mails of the corpus as .eml files, each with a Message-ID of its own."""
    folder.mkdir()
    for number, mail in enumerate(islice(cycle(corpus()), mails)):
        letter = EmailMessage(policy=SMTP)
        letter["From"] = f"Resident {number} <resident{number}@post.example>"
        letter["To"] = "kundcenter@norrvik.example"
        letter["Subject"] = " ".join(mail["subject"].split())
        letter["Message-ID"] = f"<bench.{number}@post.example>"
        letter["Date"] = "Sat, 21 Nov 2026 08:00:00 +0100"
        letter.set_content(mail["body"])
        (folder / f"{number:06d}.eml").write_bytes(bytes(letter))


def corpus() -> Iterator[dict[str, Any]]:
    for path in sorted((ROOT / "corpus").glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            yield from (json.loads(line) for line in file)


def drive(stack: ExitStack, folder: Path, mails: int) -> dict[str, Any]:
    from worker import sample
    from worker.models import Mailbox
    from worker.tasks import poll_mailbox

    worker = demo.start(stack, folder, "worker", "--concurrency", "2")
    time.sleep(2)  # the workers have loaded their model, as they have on any day but the first
    started = time.monotonic()
    for mailbox_id in Mailbox.objects.filter(enabled=True).values_list("pk", flat=True):
        poll_mailbox.delay(mailbox_id)
    while not sample.all_read_and_settled():
        if worker.poll() is not None or time.monotonic() - started > 60 + mails * ALLOWED_S_PER_MAIL:
            raise DemoError("The workers did not finish in time.")
        time.sleep(0.1)
    seconds = time.monotonic() - started
    return report(mails, seconds, memory(worker.pid))


def report(mails: int, seconds: float, memory_mib: dict[str, float]) -> dict[str, Any]:
    from worker.models import Draft, Mail

    stages: dict[str, list[float]] = {}
    for first, last, name in (
        ("mail received", "mail understood", "received_to_understood_ms"),
        ("mail understood", "reply drafted", "understood_to_drafted_ms"),
        ("mail received", "waits for review", "received_to_waiting_ms"),
    ):
        stages[name] = durations(first, last)
    return {
        "mails": mails,
        "stored": Mail.objects.count(),
        "drafted": Draft.objects.count(),
        "seconds": round(seconds, 2),
        "mails_per_second": round(mails / seconds, 1),
        "stages": {name: percentiles(values) for name, values in stages.items()},
        "memory_mib": memory_mib,
    }


def durations(first: str, last: str) -> list[float]:
    from worker.models import Event

    def times(action: str) -> dict[str, datetime]:
        return dict(Event.objects.filter(action=action).values_list("object", "at"))

    begun, done = times(first), times(last)
    return [(done[mail] - begun[mail]).total_seconds() * 1000 for mail in done.keys() & begun.keys()]


def percentiles(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "p99": round(cuts[98], 1)}


def memory(pid: int) -> dict[str, float]:
    """Resident memory of the worker and its children, the largest child on its own line."""
    parent = _resident_mib(pid)
    children = [_resident_mib(int(child)) for child in _children(pid)]
    return {"worker_parent": parent, "largest_child": max(children, default=0.0), "children": float(len(children))}


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20), 1)


def as_text(found: dict[str, Any]) -> str:
    lines = [f"{found['mails']} mails in {found['seconds']} s: {found['mails_per_second']} mails/s"]
    lines += [
        f"  {name}: " + ", ".join(f"{p} {ms} ms" for p, ms in cuts.items()) for name, cuts in found["stages"].items()
    ]
    lines.append("  memory: " + ", ".join(f"{name} {value}" for name, value in found["memory_mib"].items()))
    return "\n".join(lines)
