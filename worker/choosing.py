"""Choosing the version of the model: what is told of each, and who chose which, in the event log where there is one."""

from __future__ import annotations

import getpass
import os
from typing import Any

from worker.understanding import comparison, versions
from worker.understanding.versions import Version, VersionError

Told = dict[str, Any]


def listed() -> list[Told]:
    data = versions.data_folder()
    running = versions.running(data)
    return [_in_short(version, running) for version in versions.known(data)]


def _in_short(version: Version, running: Version) -> Told:
    compared = versions.comparison_of(versions.data_folder(), version, running)
    return {
        "version": version.name,
        "sha256": version.sha256,
        "in_use": version == running,
        "whole": version.is_whole,
        "beats_the_one_in_use": compared["better"] if compared else None,
    }


def line_of(told: Told) -> str:
    return f"{'*' if told['in_use'] else ' '} {told['version']:14}{told['sha256'][:16]}  {_standing(told)}"


def _standing(told: Told) -> str:
    if not told["whole"]:
        return "damaged"
    if told["in_use"]:
        return "in use"
    words = {True: "beats the one in use", False: "does not beat the one in use", None: "not compared"}
    return words[told["beats_the_one_in_use"]]


def told(name: str) -> Told:
    """Everything about one version. Raises VersionError."""
    data = versions.data_folder()
    version = versions.find(data, name)
    chosen = [choice for choice in versions.history(data) if choice.version == version.chosen_as]
    return {
        **_in_short(version, versions.running(data)),
        "files": {path.name: path.stat().st_size for path in sorted(version.folder.iterdir()) if path.is_file()},
        "comparison": versions.comparison_of(data, version),
        "chosen": [{"at": one.at, "by": one.by, "back": one.back, "reason": one.reason} for one in chosen],
    }


def as_text(told: Told) -> str:
    lines = [f"{told['version']}: {_standing(told)}", f"sha256 {told['sha256']}"]
    lines += [f"  {size:>12,} bytes  {name}" for name, size in told["files"].items()]
    lines += [
        f"{one['at']}  {'went back to' if one['back'] else 'chosen'} by {one['by']}"
        + (f": {one['reason']}" if one["reason"] else "")
        for one in told["chosen"]
    ]
    if told["comparison"]:
        compared = told["comparison"]
        lines += ["", f"Compared on {compared['at']} with {compared['running'][: versions.NAME_LENGTH]}:"]
        lines.append(comparison.as_text(comparison.from_json(compared)))
    return "\n".join(lines)


def has_database() -> bool:
    return "DATABASE_URL" in os.environ or "DATABASE_URL_FILE" in os.environ


def use(name: str, by: str, reason: str) -> str:
    data = versions.data_folder()
    version, running = versions.find(data, name), versions.running(data)
    versions.check(data, version, reason)
    compared = versions.comparison_of(data, version, running)
    better = bool(compared and compared["better"])
    _record("model version chosen", running, version, _actor(by), reason.strip(), better=better)
    versions.use(data, version, by=by or _account(), reason=reason)
    return f"Version {version.name} is in use from now on, before it was {running.name}."


def back(by: str) -> str:
    data = versions.data_folder()
    version, running = versions.before(data), versions.running(data)
    _record("model version rolled back", running, version, _actor(by), "")
    versions.back(data, by=by or _account())
    return f"Back to version {version.name}, before it was {running.name}."


def _record(action: str, running: Version, version: Version, actor: str, reason: str, **more: object) -> None:
    """Before the choice itself: what could not be logged is not done."""
    if not has_database():
        return
    from worker import events

    shas = {"before": running.sha256, "after": version.sha256}
    events.record(action, f"model:{version.name}", actor=actor, reason=reason, **shas, **more)


def _actor(by: str) -> str:
    """Raises VersionError when the event log would name somebody who is not there."""
    if not by:
        return f"account:{_account()}"
    if has_database():
        from django.contrib.auth.models import User

        if not User.objects.filter(username=by, is_active=True).exists():
            raise VersionError(f"There is no colleague {by}. Give your user name with --by.")
    return f"person:{by}"


def _account() -> str:
    """Of the operating system; in a container it has a number and no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
