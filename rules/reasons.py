"""Words that by themselves are reason enough for a person to look. Rules add reasons; nothing here takes one away.

The patterns are the pack's (reasons.yaml). They are searched in the text as a reader sees it. A rule is asked whichever
language the mail was taken for, except where the pack names languages for it.
"""

from __future__ import annotations

from rules.masking import masked
from rules.national_ids import find
from rules.pack import ReasonRule, RulePack
from rules.plain_text import lines_drawn_otherwise, plain_text
from rules.values import Message

_LONGEST_PIECE = 20_000
_OVERLAP = 400
"""A long text is searched in pieces that overlap, so that a pattern with a gap cannot run from end to end."""

DANGER = frozenset({"threat_or_selfharm", "protected_identity"})

Fired = tuple[str, str]
"""The rule's name and the reason it adds."""


def fired(pack: RulePack, subject: str, text: str, language: str, hidden: str = "") -> tuple[Fired, ...]:
    """The rules of the pack that this mail sets off, in the order of the pack, each once. No word of a mail can keep a
    rule from firing: a sender could write it, also where nobody sees it."""
    written = f"{subject}\n{text}\n{hidden}"
    plain = plain_text(f"{written}\n{lines_drawn_otherwise(written)}").text
    readable = masked(plain, find(plain)).lower()
    pieces = [
        readable[start : start + _LONGEST_PIECE + _OVERLAP] for start in range(0, max(1, len(readable)), _LONGEST_PIECE)
    ]
    return tuple((rule.name, rule.reason) for rule in pack.reasons if applies(rule, language) and _says(rule, pieces))


def names_danger(pack: RulePack, message: Message) -> bool:
    """Whether its sender's own words tell of danger. Such a mail comes before a person even when its headers say that a
    machine wrote it: anybody can write those headers."""
    found = fired(pack, message.subject, message.reply_text, "other", message.hidden_text)
    return not DANGER.isdisjoint(reason for _, reason in found)


def applies(rule: ReasonRule, language: str) -> bool:
    return language == "other" or language in rule.languages


def _says(rule: ReasonRule, pieces: list[str]) -> bool:
    return any(rule.compiled.search(piece) for piece in pieces)
