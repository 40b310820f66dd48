"""Versions of the model: which there are, which one is served, and who chose it.

A version is a folder with `model.json` and what lies beside it, known by the hash of its content. Needs no Django, so
that every command serves the same one. No path is ever made of what stands in a file: names are looked up among the
folders that are there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent / "model"
SHIPPED_NAME = "shipped"
MANIFEST = "model.json"
KIND = "4"
"""`version` in the manifest: how the files are made and read. A model of another kind would be read wrongly."""
PAPERS = ".md"
"""What is written about a version lies beside it and is no part of it."""
FAULT_HOLDS_S = 60
"""After so long it is asked again whether a version that could not be served can be."""
NAME_LENGTH = 12
SHORTEST_PREFIX = 4
_NAME = re.compile(rf"[0-9a-f]{{{NAME_LENGTH}}}")
_CHOSEN = re.compile(rf"{SHIPPED_NAME}|[0-9a-f]{{64}}")


class VersionError(ValueError):
    """What was asked for cannot be done with this version; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Version:
    """`sha256` is computed from what lies in the folder now."""

    name: str
    sha256: str
    folder: Path

    @property
    def is_shipped(self) -> bool:
        return self.name == SHIPPED_NAME

    @property
    def is_whole(self) -> bool:
        return self.is_shipped or self.sha256.startswith(self.name)

    @property
    def chosen_as(self) -> str:
        """The shipped version is chosen by its name: after an upgrade it is the new one."""
        return SHIPPED_NAME if self.is_shipped else self.sha256


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of `chosen.jsonl`: from then on this version was served."""

    at: str
    version: str
    by: str
    back: bool = False
    """It went back to a version that had been served before."""
    reason: str = ""
    """Why a version was taken that did not beat the running one."""
    comparison: Mapping[str, Any] = field(default_factory=dict)


def data_folder() -> Path:
    """Where this installation keeps its files (`KOMMUNPOST_DATA`), also for commands that need no database."""
    return Path(os.environ.get("KOMMUNPOST_DATA", Path(__file__).resolve().parents[2] / ".kommunpost"))


# --- what there is ----------------------------------------------------------------------------------------------------


def sha256(folder: Path) -> str:
    """Of names and contents. Raises OSError when it cannot be read."""
    digest = hashlib.sha256()
    for path in _files(folder):
        if path.suffix != PAPERS:
            with path.open("rb") as file:
                digest.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted((path for path in folder.iterdir() if path.is_file()), key=lambda path: path.name)


def shipped() -> Version:
    return Version(SHIPPED_NAME, sha256(SHIPPED), SHIPPED)


def known(data: Path) -> list[Version]:
    """The shipped version, then the trained ones in the order in which they came."""
    folders = sorted(_trained(data), key=lambda path: (path.stat().st_mtime, path.name))
    return [shipped(), *(Version(path.name, sha256(path), path) for path in folders)]


def _trained(data: Path) -> list[Path]:
    return [path for path in _models(data).glob("*") if _NAME.fullmatch(path.name) and path.is_dir()]


def find(data: Path, name: str) -> Version:
    """By `shipped`, or by the first figures of its hash. Raises VersionError."""
    versions = known(data)
    fitting = [one for one in versions if name == one.name]
    if not fitting and len(name) >= SHORTEST_PREFIX:
        fitting = [one for one in versions if one.sha256.startswith(name.lower())]
    if len(fitting) != 1:
        there = ", ".join(one.name for one in versions)
        raise VersionError(f"There is {'more than one' if fitting else 'no'} version {name}; there are: {there}.")
    return fitting[0]


def register(folder: Path, data: Path) -> Version:
    """Copy a trained version in, whole or not at all. The same content twice is one version."""
    if not (folder / MANIFEST).is_file():
        raise VersionError(f"{folder} is no model: {MANIFEST} is missing. Train one with `kommunpost train`.")
    odd = [path.name for path in folder.iterdir() if path.is_symlink() or not path.is_file()]
    if odd:
        raise VersionError(f"{folder} holds {odd[0]}, which is no plain file. Leave only the files of the model there.")
    models = _models(data)
    models.mkdir(parents=True, exist_ok=True)
    coming = models / f".coming-{secrets.token_hex(8)}"
    coming.mkdir()
    try:
        for path in _files(folder):
            _copy(path, coming / path.name)
        digest = sha256(coming)
        version = Version(digest[:NAME_LENGTH], digest, models / digest[:NAME_LENGTH])
        with _locked(data):
            _put_in_place(coming, version)
    finally:
        shutil.rmtree(coming, ignore_errors=True)
    return version


def _copy(path: Path, to: Path) -> None:
    with path.open("rb") as source, to.open("xb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())


def _put_in_place(coming: Path, version: Version) -> None:
    """A whole one of the same name stays; a damaged one makes way."""
    if version.folder.exists():
        if sha256(version.folder) == version.sha256:
            return
        version.folder.rename(coming.with_name(coming.name.replace("coming", "damaged")))
    coming.rename(version.folder)


# --- which one is served ----------------------------------------------------------------------------------------------


def active(data: Path) -> Path:
    """The folder to be served. Cheap to ask again and again: it changes as soon as somebody has chosen."""
    stamps = _stamp(_models(data)), _stamp(_chosen_file(data))
    folder, until = _active(data, *stamps)
    if monotonic() > until:
        _active.cache_clear()
        folder, _ = _active(data, *stamps)
    return folder


@lru_cache(maxsize=8)
def _active(data: Path, *_stamps: tuple[int, ...]) -> tuple[Path, float]:
    """And until when that holds: what is wrong may be mended without anybody choosing anew."""
    version, fault = _served(data)
    if not fault:
        return version.folder, inf
    log.warning("%s. Run `kommunpost models back`, or train again.", fault)
    return version.folder, monotonic() + FAULT_HOLDS_S


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def running(data: Path) -> Version:
    return _served(data)[0]


def fault(data: Path) -> str:
    """Why the version that was chosen is not the one that is served; empty when it is."""
    return _served(data)[1]


def _served(data: Path) -> tuple[Version, str]:
    """What cannot be served must stop nobody's mail: the shipped version takes its place, and that is said."""
    try:
        chosen = standing(data)[-1]
        if chosen == SHIPPED_NAME:
            return shipped(), ""
        for folder in _trained(data):
            if chosen.startswith(folder.name) and sha256(folder) == chosen:
                if _kind(folder) == KIND:
                    return Version(folder.name, chosen, folder), ""
                older = f"the chosen version {chosen[:NAME_LENGTH]} of the model was made for another release"
                return shipped(), f"{older}, so the shipped one is served"
        wrong = f"the chosen version {chosen[:NAME_LENGTH]} of the model is missing or damaged"
    except OSError as error:
        wrong = f"the versions of the model cannot be read ({error.strerror})"
    return shipped(), f"{wrong}, so the shipped one is served"


def _kind(folder: Path) -> object:
    manifest = _parsed((folder / MANIFEST).read_text(encoding="utf-8", errors="replace"))
    return manifest.get("version") if isinstance(manifest, dict) else None


# --- choosing ---------------------------------------------------------------------------------------------------------


def use(data: Path, version: Version, *, by: str, reason: str = "") -> Choice:
    """Serve this version. One that did not beat the running one is refused, unless a person gives a reason."""
    with _locked(data):
        check(data, version, reason)
        compared = comparison_of(data, version, running(data)) or {}
        choice = Choice(_now(), version.chosen_as, by, reason=reason.strip(), comparison=compared)
        _append(_chosen_file(data), asdict(choice))
    return choice


def check(data: Path, version: Version, reason: str = "") -> None:
    """Raises VersionError where `use` would refuse."""
    now = running(data)
    if not version.is_whole:
        raise VersionError(f"Version {version.name} is damaged: its content does not fit its name. Train it again.")
    if _kind(version.folder) != KIND:
        raise VersionError(f"Version {version.name} was made for another release. Train it again.")
    if version.sha256 == now.sha256 and standing(data)[-1] == version.chosen_as:
        raise VersionError(f"Version {version.name} is the one in use.")
    if reason.strip():
        return
    compared = comparison_of(data, version, now)
    if compared is None:
        raise VersionError(
            f"Version {version.name} has not been compared with the one in use ({now.name}). Compare them with "
            "`kommunpost train`, or give a reason with --even-if-worse."
        )
    if compared.get("better") is not True:
        raise VersionError(
            f"Version {version.name} did not beat the one in use ({now.name}): see `kommunpost models show "
            f"{version.name}`. Keep the one in use, or give a reason with --even-if-worse."
        )


def back(data: Path, *, by: str) -> Choice:
    """Serve what was served before the last choice. Raises VersionError when there is nothing to go back to."""
    with _locked(data):
        choice = Choice(_now(), before(data).chosen_as, by, back=True)
        _append(_chosen_file(data), asdict(choice))
    return choice


def before(data: Path) -> Version:
    """The version to which `back` leads: the last one chosen earlier that can still be served."""
    usable = (version for version in known(data) if version.is_whole and _kind(version.folder) == KIND)
    there = {version.chosen_as: version for version in usable}
    earlier = [there[name] for name in standing(data)[:-1] if name in there]
    if not earlier:
        raise VersionError("The shipped version is in use and none was chosen before it, so there is no way back.")
    return earlier[-1]


def standing(data: Path) -> list[str]:
    """The versions that were chosen, each on top of the one before it, the shipped one below all."""
    pile = [SHIPPED_NAME]
    for choice in history(data):
        if not choice.back:
            pile.append(choice.version)
            continue
        del pile[max(1, len(pile) - 1) :]
        while len(pile) > 1 and pile[-1] != choice.version:
            pile.pop()
    return pile


def history(data: Path) -> list[Choice]:
    """Oldest first. A line that cannot be read is passed over."""
    return [choice for line in _lines(_chosen_file(data)) if (choice := _choice(line)) is not None]


def _choice(line: Mapping[str, Any]) -> Choice | None:
    texts = [line.get(name) for name in ("at", "version", "by", "reason")]
    at, version, by, reason = (text if isinstance(text, str) else "" for text in texts)
    if not _CHOSEN.fullmatch(version):
        return None
    compared = line.get("comparison")
    return Choice(at, version, by, line.get("back") is True, reason, compared if isinstance(compared, dict) else {})


# --- comparisons ------------------------------------------------------------------------------------------------------


def keep_comparison(data: Path, candidate: Version, against: Version, comparison: Mapping[str, Any]) -> None:
    """What `comparison.as_json` gave, for `use` to ask and people to look up."""
    line = {"at": _now(), "candidate": candidate.sha256, "running": against.sha256, "comparison": dict(comparison)}
    with _locked(data):
        _append(_compared_file(data), line)


def comparison_of(data: Path, candidate: Version, against: Version | None = None) -> Mapping[str, Any] | None:
    """The newest one, with that version or with any."""
    for line in reversed(_lines(_compared_file(data))):
        fits = line.get("candidate") == candidate.sha256 and against in (None, _against(line, against))
        if fits and isinstance(line.get("comparison"), dict):
            return {**line["comparison"], "at": line.get("at"), "running": line.get("running")}
    return None


def _against(line: Mapping[str, Any], version: Version | None) -> Version | None:
    return version if version is not None and line.get("running") == version.sha256 else None


# --- files ------------------------------------------------------------------------------------------------------------


def _models(data: Path) -> Path:
    return data / "models"


def _chosen_file(data: Path) -> Path:
    return _models(data) / "chosen.jsonl"


def _compared_file(data: Path) -> Path:
    return _models(data) / "compared.jsonl"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    """One who changes at a time; the lock goes with the process."""
    models = _models(data)
    models.mkdir(parents=True, exist_ok=True)
    with (models / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lines(path: Path) -> Sequence[dict[str, Any]]:
    try:
        content = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line for text in content.splitlines() if isinstance(line := _parsed(text), dict)]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _append(path: Path, line: Mapping[str, Any]) -> None:
    """Written beside it and put in its place: whoever reads meanwhile sees the old file or the new one."""
    held = path.read_bytes() if path.exists() else b""
    if held and not held.endswith(b"\n"):
        held += b"\n"
    coming = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    with coming.open("xb") as file:
        file.write(held + json.dumps(line, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    coming.replace(path)
