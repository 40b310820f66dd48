"""The hash chain of the event log: each link is the SHA-256 of the one before it and of the event in canonical form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FIRST = "0" * 64
"""What the first event of a log is linked to."""


def canonical(value: Mapping[str, Any]) -> bytes:
    """The one way to write a value down: sorted keys, no spaces, UTF-8. Two equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def link(previous: str, event: Mapping[str, Any]) -> str:
    return hashlib.sha256(previous.encode() + b"\n" + canonical(event)).hexdigest()
