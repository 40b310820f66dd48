"""The states of a mail and of a reply on its way out, and the only moves between them (DESIGN: the life of a mail)."""

from __future__ import annotations

from enum import StrEnum


class MailState(StrEnum):
    RECEIVED = "received"
    READ = "read"
    UNDERSTOOD = "understood"
    GATHERED = "gathered"
    DRAFTED = "drafted"
    WAITING = "waiting"
    APPROVED = "approved"
    SENDING = "sending"
    SENT = "sent"
    NO_REPLY = "no_reply"
    NEEDS_ATTENTION = "needs_attention"
    RESTRICTED = "restricted"
    REJECTED = "rejected"
    UNSURE = "unsure"


_S = MailState

MOVES: dict[MailState, frozenset[MailState]] = {
    _S.RECEIVED: frozenset({_S.READ, _S.NEEDS_ATTENTION}),
    _S.READ: frozenset({_S.UNDERSTOOD, _S.NO_REPLY, _S.NEEDS_ATTENTION}),
    _S.UNDERSTOOD: frozenset({_S.GATHERED, _S.RESTRICTED, _S.NEEDS_ATTENTION}),
    _S.GATHERED: frozenset({_S.DRAFTED, _S.RESTRICTED, _S.NEEDS_ATTENTION}),
    _S.DRAFTED: frozenset({_S.WAITING, _S.NEEDS_ATTENTION}),
    _S.WAITING: frozenset({_S.APPROVED, _S.REJECTED, _S.UNDERSTOOD, _S.NO_REPLY, _S.RESTRICTED}),
    _S.APPROVED: frozenset({_S.SENDING, _S.WAITING}),
    _S.SENDING: frozenset({_S.SENT, _S.APPROVED, _S.UNSURE, _S.NEEDS_ATTENTION}),
    _S.UNSURE: frozenset({_S.SENT, _S.APPROVED, _S.NEEDS_ATTENTION}),
    _S.REJECTED: frozenset({_S.WAITING, _S.UNDERSTOOD, _S.NO_REPLY}),
    _S.NEEDS_ATTENTION: frozenset({_S.RECEIVED, _S.UNDERSTOOD, _S.WAITING, _S.NO_REPLY, _S.SENT}),
    _S.RESTRICTED: frozenset({_S.UNDERSTOOD, _S.NO_REPLY}),
    _S.SENT: frozenset(),
    _S.NO_REPLY: frozenset({_S.UNDERSTOOD}),
}
"""From each state, where a mail may go. What is not here cannot happen."""

IN_HAND = frozenset({_S.RECEIVED, _S.READ, _S.UNDERSTOOD, _S.GATHERED, _S.DRAFTED})
"""The machine still has to act; a mail that stands still here is found by the sweeper."""

FOR_A_PERSON = frozenset({_S.WAITING, _S.NEEDS_ATTENTION, _S.RESTRICTED, _S.REJECTED, _S.UNSURE})
"""A person has to act."""


class IllegalMove(ValueError):
    def __init__(self, before: MailState, after: MailState) -> None:
        super().__init__(f"a mail cannot go from {before} to {after}")


def check_move(before: MailState, after: MailState) -> None:
    """Raise IllegalMove unless `before → after` stands in the table."""
    if after not in MOVES[before]:
        raise IllegalMove(before, after)
