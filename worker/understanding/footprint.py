"""What a classifier costs: seconds to the first answer, milliseconds a mail, mails a second, memory.

`python -m worker.understanding.footprint CORPUS_FILE` measures the running classifier in a fresh process and writes one
JSON object. Times are of the whole of triage: language, rules, ids and entities too.
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

from rules.pack import RulePack  # noqa: E402
from worker import packs, understanding  # noqa: E402
from worker.understanding import Text  # noqa: E402

ALONE, TOGETHER = 60, 256


def of(choice: str, labelled: Path) -> dict[str, float]:
    """Measured in a process of its own."""
    command = [sys.executable, "-m", "worker.understanding.footprint", str(labelled)]
    environment = {**os.environ, understanding.CLASSIFIER: choice, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(texts: Sequence[Text]) -> dict[str, float]:
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
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    mails = [json.loads(line) for line in lines[:: max(1, len(lines) // TOGETHER)]]
    json.dump(measure([Text(mail["subject"], mail["body"]) for mail in mails]), sys.stdout)


if __name__ == "__main__":
    main()
