"""What an approval is bound to. Change anything of it and the hash differs, so the approval no longer holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from rules.chain import canonical
from rules.values import Recipients, Span


def content_hash(
    *,
    recipients: Recipients,
    sender: str,
    subject: str,
    body: str,
    quotation: str,
    thread: Mapping[str, str],
    spans: Sequence[Span],
    facts: Mapping[str, str],
    pack: str,
    attachments: Sequence[str] = (),
) -> str:
    """SHA-256 over all that leaves and all that speaks for it (TRUST: must-verify and approval).

    `facts` maps the id of each fact and passage to its value as it was read, `attachments` are SHA-256 digests,
    `thread` holds In-Reply-To and References.
    """
    content = {
        "from": sender,
        "to": list(recipients.to),
        "cc": list(recipients.cc),
        "subject": subject,
        "body": body,
        "quotation": quotation,
        "thread": dict(thread),
        "attachments": list(attachments),
        "spans": [[s.start, s.end, s.kind.value, s.value, s.verdict.value, s.source] for s in spans],
        "facts": dict(facts),
        "pack": pack,
    }
    return hashlib.sha256(canonical(content)).hexdigest()
