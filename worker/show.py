"""Answers of the command line as a person reads them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker.events import Verification


def draft(answer: dict[str, Any]) -> str:
    """One drafted mail: what it is about, the reply, and where each statement comes from."""
    lines = [f"{answer['file']}: {answer['intent']}, {answer['language']}, reply: {answer['reply']}"]
    lines += [f"  {sentence}" for sentence in answer["why"]]
    if answer["reasons"]:
        lines.append(f"  A person must look: {', '.join(answer['reasons'])}")
    lines.append(f"  Sender: {answer['sender']['reason']}")
    if answer["reply"] == "draft":
        lines += [
            "",
            f"To: {', '.join(answer['recipients']['to'])}",
            f"Subject: {answer['subject']}",
            "",
            answer["body"],
            "",
        ]
        lines += ["Sources:", *(f"  {claim_line(claim)}" for claim in answer["claims"])]
        approval = answer["approval"]
        lines.append(
            f"Approval: {approval['people']} from {approval['queue']}; ticks: {', '.join(approval['ticks']) or 'none'}"
        )
    for field in answer["withheld"]:
        lines.append(f"  Held back: {field['register']} {field['field']} ({field['class']}). {field['reason']}")
    return "\n".join(lines)


def claim_line(claim: dict[str, Any]) -> str:
    text = claim["text"] if len(claim["text"]) <= 60 else claim["text"][:57] + "…"
    return f"[{claim['verdict']}] {text!r} ← {source(claim['source'])}"


def source(found: dict[str, Any] | None) -> str:
    if found is None:
        return "nothing"
    if "article" in found:
        return f"article {found['article']} {found['passage']}"
    if "register" in found:
        return f"{found['register']} {found['key']} {found['field']}, read {found['read_at']}"
    return "approved phrase"


def verification(found: Verification) -> str:
    lines = list(found.faults)
    lines.append(f"{found.sealed} events sealed, {found.unsealed} not sealed yet, {found.anchors} anchors compared.")
    lines.append("The event log is whole." if not found.faults else "The event log is NOT whole.")
    return "\n".join(lines)


def verification_json(found: Verification) -> str:
    return json.dumps({**asdict(found), "whole": not found.faults}, ensure_ascii=False)
