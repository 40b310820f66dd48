"""What a classifier costs: seconds to the first answer, milliseconds a mail, mails a second, memory.

`python -m worker.understanding.footprint [CORE]` measures the running classifier in a fresh process, on one core if it
is named. It reads mails (subject and text, JSON) from standard input and writes one JSON object. Times are of the whole
of triage: language, rules, ids and entities too.
"""

from __future__ import annotations

import time

_BEGAN = time.perf_counter()

import json  # noqa: E402 - the clock starts before anything else is imported
import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from statistics import median  # noqa: E402
from tempfile import TemporaryFile  # noqa: E402

from rules.pack import RulePack  # noqa: E402
from worker import packs, understanding  # noqa: E402
from worker.understanding import Text  # noqa: E402

ALONE, TOGETHER = 60, 256

Found = dict[str, float]


def of(choice: str, texts: Sequence[Text]) -> Found:
    """Measured in a process of its own; mails a second in as many as there are cores, one each, added. The mails must
    be none that the model learnt from, since the cascade is quicker where it is sure."""
    alone = _finished(_started(choice, texts))
    beside = [_started(choice, texts, str(core)) for core in sorted(os.sched_getaffinity(0))]
    return {**alone, "mails_per_s": sum(_finished(one)["mails_per_s"] for one in beside)}


def _started(choice: str, texts: Sequence[Text], *core: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "worker.understanding.footprint", *core]
    environment = {**os.environ, understanding.CLASSIFIER: choice, "OMP_NUM_THREADS": "1"}
    with TemporaryFile("w+", encoding="utf-8") as mails:
        json.dump([(one.subject, one.body) for one in texts], mails)
        mails.seek(0)
        return subprocess.Popen(command, env=environment, stdin=mails, stdout=subprocess.PIPE, text=True)


def _finished(started: subprocess.Popen[str]) -> Found:
    said, _ = started.communicate()
    if started.returncode:
        raise subprocess.CalledProcessError(started.returncode, started.args)
    found: Found = json.loads(said)
    return found


def measure(texts: Sequence[Text]) -> Found:
    pack = packs.read(packs.shipped())
    understanding.understand_texts(texts[:1], pack)
    first_answer = time.perf_counter() - _BEGAN
    alone = [_took_s([one], pack) for one in texts[1 : ALONE + 1]]
    together = _took_s(texts[:TOGETHER], pack)
    return {
        "start_s": round(first_answer, 2),
        "ms_alone": round(1000 * median(alone), 1),
        "mails_per_s": round(len(texts[:TOGETHER]) / together, 1),
        "memory_mb": round(_most_kb() / 1024),
    }


def _most_kb() -> int:
    """Resident at most. Of this process: `getrusage` would tell of the one that started it, too."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _took_s(texts: Sequence[Text], pack: RulePack) -> float:
    started = time.perf_counter()
    understanding.understand_texts(texts, pack)
    return time.perf_counter() - started


def main() -> None:
    if sys.argv[1:]:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    json.dump(measure([Text(subject, body) for subject, body in json.load(sys.stdin)]), sys.stdout)


if __name__ == "__main__":
    main()
