"""Picks out of a mail what registers are asked for: numbers, addresses, dates, sums. Exactly as they were written.

The patterns are the pack's (entities.yaml). What is found here is only a key for a look-up; it chooses no register.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import phonenumbers

from rules.pack import EntityRule, RulePack
from rules.plain_text import PlainText, plain_text
from rules.values import NationalId

# A stretch that was read as one kind is not read again as a later one.
_PRECEDENCE = (
    "email",
    "case_no",
    "property_id",
    "invoice_no",
    "meter_no",
    "amount",
    "date",
    "phone",
    "address",
)
_REGIONS = ("SE", "FI", "NO", "DK")
_MOST_CHARACTERS = 200_000
_MOST_VALUES = 100
"""Of one kind. A mail with more is no resident's question, and every value may become a look-up."""
_LOOK_BACK = 32

Span = tuple[int, int]


def find(pack: RulePack, text: str, language: str, national_ids: Iterable[NationalId]) -> dict[str, tuple[str, ...]]:
    """Values by kind, in order of appearance, without repetitions. `national_ids` have offsets in this `text`."""
    plain = plain_text(text[:_MOST_CHARACTERS])
    found = _places(pack, plain, language, national_ids)
    return {kind: tuple(dict.fromkeys(plain.written(*span) for span in spans)) for kind, spans in found.items()}


def places(pack: RulePack, text: str, language: str, national_ids: Iterable[NationalId]) -> dict[str, tuple[Span, ...]]:
    """Where the same values stand in `text`."""
    plain = plain_text(text[:_MOST_CHARACTERS])
    found = _places(pack, plain, language, national_ids)
    return {kind: tuple(plain.span(*span) for span in spans) for kind, spans in found.items()}


def _places(
    pack: RulePack, plain: PlainText, language: str, national_ids: Iterable[NationalId]
) -> dict[str, list[Span]]:
    ids = [(one.start, one.end) for one in national_ids]
    taken: list[Span] = []
    found: dict[str, list[Span]] = {}
    for kind in _PRECEDENCE:
        spans = sorted(_spans_of(kind, pack, plain, language, ids, taken))[:_MOST_VALUES]
        if spans:
            found[kind] = spans
    return found


def _spans_of(
    kind: str, pack: RulePack, plain: PlainText, language: str, ids: list[Span], taken: list[Span]
) -> Iterator[Span]:
    """Spans of one kind that nothing else has taken yet; the pack's rules in their order."""
    for rule in pack.entities:
        if rule.kind != kind or not (language in rule.languages or language == "other"):
            continue
        for start, end in _matches(rule, plain.text):
            if not _overlaps((start, end), taken) and not _overlaps(plain.span(start, end), ids):
                taken.append((start, end))
                yield start, end


def _matches(rule: EntityRule, text: str) -> Iterator[Span]:
    group: str | int = "value" if "value" in rule.compiled.groupindex else 0
    for count, match in enumerate(rule.compiled.finditer(text)):
        if count == 10 * _MOST_VALUES:
            return
        start, end = match.span(group)
        if start < end and not _is_something_else(rule, text, start) and _is_sound(rule.kind, match[group]):
            yield start, end


def _is_something_else(rule: EntityRule, text: str, start: int) -> bool:
    before = rule.compiled_not_after
    return before is not None and before.search(text[max(0, start - _LOOK_BACK) : start]) is not None


def _is_sound(kind: str, value: str) -> bool:
    return kind != "phone" or is_phone(value)


def is_phone(value: str) -> bool:
    """A number that exists in the numbering plan of one of the Nordic countries, or abroad when written with a plus."""
    return any(_is_valid(value, region) for region in _REGIONS)


def _is_valid(value: str, region: str) -> bool:
    try:
        number = phonenumbers.parse(value, region)
        return phonenumbers.is_valid_number(number) or (value[0] == "+" and phonenumbers.is_possible_number(number))
    except phonenumbers.NumberParseException:
        return False


def _overlaps(span: Span, others: Iterable[Span]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in others)


__all__ = ["find", "is_phone", "places"]
