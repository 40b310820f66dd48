"""Who must look before a reply leaves: the pack's table, read from the top (TRUST: must-verify and approval)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rules.pack import PolicyRow, RulePack
from rules.values import ApprovalNeed, Kind, ReplyKind, Sender


@dataclass(frozen=True, slots=True)
class Situation:
    """What the policy looks at. `claims` are the kinds of value that the draft states; empty before there is one."""

    intent: str
    reasons: Collection[str]
    language: str
    sender: Sender
    abstained: bool = False
    reply_blocked: bool = False
    unreadable: bool = False
    claims: Collection[Kind] = ()

    @property
    def sender_word(self) -> str:
        if self.sender.suspicious:
            return "suspicious"
        return "verified" if self.sender.verified else "unverified"


@dataclass(frozen=True, slots=True)
class Ruling:
    reply: ReplyKind
    approval: ApprovalNeed
    why: tuple[str, ...]
    """One sentence for each row that fitted."""


def decide(pack: RulePack, situation: Situation) -> Ruling:
    """Every row that fits adds ticks and people; the first with a queue names it; the first with `reply` settles it."""
    rows = [row for row in pack.policy if fits(row, situation)]
    reply = next((row.then.reply for row in rows if row.then.reply), None)
    queue = next((row.then.queue for row in rows if row.then.queue), "reviewers")
    ticks = tuple(dict.fromkeys(tick for row in rows for tick in row.then.ticks))
    people = max((row.then.people for row in rows), default=1)
    kind = ReplyKind(reply) if reply else ReplyKind.DRAFT
    need = ApprovalNeed(needed=kind is not ReplyKind.NONE, people=max(1, people), ticks=ticks, queue=queue)
    return Ruling(kind, need, tuple(row.why for row in rows))


def fits(row: PolicyRow, situation: Situation) -> bool:
    when = row.when
    return (
        _any(when.reasons, situation.reasons)
        and _any(when.claims, situation.claims)
        and _in(when.intents, situation.intent)
        and _in(when.languages, situation.language)
        and _in(when.sender, situation.sender_word)
        and when.abstained in (None, situation.abstained)
        and when.reply_blocked in (None, situation.reply_blocked)
        and when.unreadable in (None, situation.unreadable)
    )


def _any(wanted: Collection[object], found: Collection[object]) -> bool:
    return not wanted or bool(set(wanted) & set(found))


def _in(wanted: Collection[object], found: object) -> bool:
    return not wanted or found in wanted
