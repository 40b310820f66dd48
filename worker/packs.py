"""Reads a rule pack from its folder of YAML documents."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from rules.pack import PackError, RulePack, load

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C loader reads the pack about eight times faster; both are the safe subset of YAML."""


def shipped(name: str = "nordic") -> Path:
    return Path(str(files("rules") / "packs" / name))


@lru_cache(maxsize=8)
def read(folder: Path) -> RulePack:
    """The pack in `folder`. Raises PackError with every fault; a process reads a pack once."""
    if not (folder / "pack.yaml").is_file():
        raise PackError([f"there is no rule pack in {folder}: pack.yaml is missing"])
    digest = hashlib.sha256()
    documents: dict[str, Any] = {}
    for path in sorted(folder.glob("*.yaml")):
        documents[path.stem] = _document(path, digest)
    documents["phrases"] = {path.stem: _document(path, digest) for path in sorted(folder.glob("phrases/*.yaml"))}
    return load(documents, digest.hexdigest())


def _document(path: Path, digest: Any) -> Any:
    text = path.read_bytes()
    digest.update(path.name.encode() + b"\0" + text + b"\0")
    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506 - a safe loader, see above
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise PackError([f"{path.name}{place}: not valid YAML"]) from None
