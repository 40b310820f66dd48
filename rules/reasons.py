"""Words that by themselves are reason enough for a person to look. Rules add reasons; nothing here takes one away.

The patterns are the pack's (reasons.yaml). They are searched in the text as a reader sees it, whichever language it was
taken for: a few lines in another language must not switch a rule off.
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


def fired(pack: RulePack, subject: str, text: str, language: str) -> tuple[Fired, ...]:
    """The rules of the pack that this mail sets off, in the order of the pack, each once."""
    written = f"{subject}\n{text}"
    plain = plain_text(f"{written}\n{lines_drawn_otherwise(written)}").text
    readable = masked(plain, find(plain)).lower()
    pieces = [
        readable[start : start + _LONGEST_PIECE + _OVERLAP] for start in range(0, max(1, len(readable)), _LONGEST_PIECE)
    ]
    return tuple((rule.name, rule.reason) for rule in pack.reasons if applies(rule, language) and _says(rule, pieces))


def names_danger(pack: RulePack, message: Message) -> bool:
    """Whether its sender's own words tell of danger. Such a mail comes before a person even when its headers say that a
    machine wrote it: anybody can write those headers."""
    found = fired(pack, message.subject, f"{message.reply_text}\n{message.hidden_text}", "other")
    return not DANGER.isdisjoint(reason for _, reason in found)


def applies(rule: ReasonRule, language: str) -> bool:
    return language == "other" or language in rule.languages


def _says(rule: ReasonRule, pieces: list[str]) -> bool:
    return any(rule.compiled.search(piece) and not _is_excepted(rule, piece) for piece in pieces)


def _is_excepted(rule: ReasonRule, piece: str) -> bool:
    return rule.compiled_unless is not None and rule.compiled_unless.search(piece) is not None
