"""A worker is killed with no warning, again and again, while mail is worked on: nothing is lost and nothing is doubled.

KOMMUNPOST_NIGHTLY=1 makes 200 mails and 20 kills of the usual 60 and 6.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml

from tests.house import House, house, wait_for
from tests.letters import letter

MAILS, KILLS = (200, 20) if os.environ.get("KOMMUNPOST_NIGHTLY") else (60, 6)
NORRVIK = Path(__file__).resolve().parent / "norrvik"


def town(folder: Path) -> Path:
    """The tests' municipality with its inbox in `folder`."""
    shutil.copytree(NORRVIK, folder / "norrvik")
    path = folder / "norrvik" / "municipality.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    del content["mailboxes"]["bygg"]
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    (folder / "inbox").mkdir()
    return path


@pytest.fixture
def kommunpost() -> Iterator[House]:
    with house(town) as built:
        yield built


def rows(built: House, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(built.settings["DATABASE_URL"]) as connection:
        return connection.execute(query).fetchall()


def settled(built: House) -> bool:
    machine = ("received", "read", "understood", "gathered", "drafted")
    ((there, in_hand),) = rows(built, f"select count(*), count(*) filter (where state in {machine}) from worker_mail")
    return there == MAILS and in_hand == 0


@pytest.mark.timeout(1200)
def test_no_mail_is_lost_or_doubled(kommunpost: House) -> None:
    for number in range(MAILS):
        (kommunpost.data / "inbox" / f"{number:03}.eml").write_bytes(letter(message_id=f"<{number}@mail.example>"))
    chance = random.Random(7)
    with kommunpost.process("beat"):
        for _ in range(KILLS):
            with kommunpost.process("worker") as worker:
                time.sleep(chance.uniform(2.0, 4.5))
                os.killpg(worker.pid, signal.SIGKILL)
        # What a dead worker held comes back through the broker, or is found by the sweep.
        with kommunpost.process("worker"):
            wait_for(lambda: settled(kommunpost), "the end of all mails", 600)
    assert rows(kommunpost, "select count(*), count(distinct message_id) from worker_mail") == [(MAILS, MAILS)]
    doubled = "select object, action from worker_event where to_state <> '' group by object, action having count(*) > 1"
    assert rows(kommunpost, doubled) == []
    assert rows(kommunpost, "select count(*) from worker_draft where version > 1") == [(0,)]
    verified = json.loads(kommunpost.run("audit", "verify", "--json"))
    assert verified["whole"] is True
