"""Which registers are asked for a mail, and on which key. Values come from validated entities, the header's sender
address or the pack; nothing a mail says chooses a register."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rules.pack import RulePack

MOST_VALUES = 5
"""A mail that lists a hundred invoice numbers still asks for five."""


@dataclass(frozen=True, slots=True)
class Ask:
    register: str
    keyed_on: str
    value: str
    language: str
    next_by: str = ""


def asks(
    pack: RulePack, intent: str, language: str, entities: Mapping[str, Sequence[str]], sender_address: str
) -> tuple[Ask, ...]:
    found: list[Ask] = []
    for plan in pack.look_ups_for(intent):
        if plan.value is not None:
            values: Sequence[str] = [plan.value]
        elif plan.from_ == "entity":
            values = list(dict.fromkeys(entities.get(plan.key, ())))[:MOST_VALUES]
        else:
            values = [{"sender": sender_address, "intent": intent}[plan.from_ or ""]]
        asked_in = language if plan.in_language else ""
        found += [Ask(plan.register_, plan.key, value, asked_in, plan.next or "") for value in values if value]
    return tuple(found)
