"""The event log: who did what, when, from where to where, and why. Rows are only ever added (TRUST: the event log).

One sealer links events into a hash chain in short batches, so that writing stays parallel. A daily anchor with the last
hash is written outside the database.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from rules import chain
from rules.lifecycle import MailState, check_move
from worker.models import Event, Mail, Seal

SEALER_LOCK = 0x6B70_5EA1
"""Key of the advisory lock that makes the sealer the only one."""
BATCH = 5_000


def record(action: str, obj: str, *, actor: str, reason: str = "", **payload: Any) -> Event:
    return Event.objects.create(
        at=timezone.now(), actor=actor, action=action, object=obj, reason=reason[:500], payload=payload
    )


def move(mail: Mail, after: MailState, *, actor: str, reason: str = "", action: str = "moved", **payload: Any) -> Event:
    """Move a mail to its next state and write the event; the caller saves the mail. Raises IllegalMove."""
    before = MailState(mail.state)
    check_move(before, after)
    mail.state = after
    mail.state_since = timezone.now()
    return Event.objects.create(
        at=mail.state_since,
        actor=actor,
        action=action,
        object=f"mail:{mail.pk}",
        from_state=before,
        to_state=after,
        reason=reason[:500],
        payload=payload,
    )


def as_value(event: Event) -> dict[str, Any]:
    """The event as it enters the chain."""
    return {
        "id": event.pk,
        "at": event.at.isoformat(timespec="microseconds"),
        "actor": event.actor,
        "action": event.action,
        "object": event.object,
        "from": event.from_state,
        "to": event.to_state,
        "reason": event.reason,
        "payload": event.payload,
    }


def seal() -> int:
    """Link what has been committed since last time. Returns how many; 0 also when another sealer is at it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(%s)", [SEALER_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        last = Seal.objects.order_by("-pk").first()
        previous, position = (last.hash, last.pk) if last else (chain.FIRST, 0)
        seals: list[Seal] = []
        now = timezone.now()
        for event in Event.objects.filter(seal__isnull=True).order_by("pk")[:BATCH]:
            linked = chain.link(previous, as_value(event))
            position += 1
            seals.append(Seal(pk=position, event=event, prev_hash=previous, hash=linked, sealed_at=now))
            previous = linked
        Seal.objects.bulk_create(seals, batch_size=1_000)
        return len(seals)


@dataclass(frozen=True, slots=True)
class Verification:
    """What `audit verify` found. `faults` is empty when order and content of everything sealed are proven."""

    sealed: int
    unsealed: int
    anchors: int
    head: str
    faults: tuple[str, ...]


def verify() -> Verification:
    """Recompute the whole chain and compare it with the seals and with the anchors kept outside the database."""
    anchors = read_anchors()  # first, since one that is written meanwhile names a seal that is not read here
    faults: list[str] = []
    hashes: dict[int, str] = {}
    previous = chain.FIRST
    expected = 0
    for found in Seal.objects.select_related("event").order_by("pk").iterator(chunk_size=2_000):
        expected += 1
        faults += _faults_at(found, expected, previous)
        expected = found.pk
        previous = hashes[found.pk] = found.hash
    for number, anchor in enumerate(anchors, 1):
        if anchor is None:
            faults.append(f"The anchor on line {number} of {anchor_file()} cannot be read.")
        elif hashes.get(anchor["position"]) != anchor["hash"]:
            faults.append(
                f"The anchor of {anchor['at'][:10]} does not fit: position {anchor['position']} was changed or removed."
            )
    unsealed = Event.objects.filter(seal__isnull=True).count()
    return Verification(len(hashes), unsealed, len(anchors), previous, tuple(faults))


def _faults_at(found: Seal, expected: int, previous: str) -> Iterator[str]:
    if found.pk != expected:
        yield f"Seals {expected} to {found.pk - 1} are missing."
    elif found.prev_hash != previous:
        yield f"Seal {found.pk} is not linked to the one before it."
    if chain.link(found.prev_hash, as_value(found.event)) != found.hash:
        yield f"Event {found.event_id} (seal {found.pk}) was changed after it was sealed."


def anchor(now: datetime | None = None) -> dict[str, Any] | None:
    """Write the head of the chain to the anchor file, once a day is enough. None when nothing is sealed yet."""
    last = Seal.objects.order_by("-pk").first()
    if last is None:
        return None
    line = {"at": (now or timezone.now()).isoformat(), "position": last.pk, "hash": last.hash}
    path = anchor_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return line


def read_anchors() -> list[dict[str, Any] | None]:
    """One a line; None for a line that was cut off or changed so that it cannot be read."""
    path = anchor_file()
    if not path.exists():
        return []
    return [_anchor(line) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]


def _anchor(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
        return {"at": str(found["at"]), "position": int(found["position"]), "hash": str(found["hash"])}
    except (ValueError, TypeError, KeyError):
        return None


def anchor_file() -> Path:
    return Path(settings.DATA) / "anchors.jsonl"
