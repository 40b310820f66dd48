"""From what a register answered to facts that may be told and facts that are held back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from rules.disclosure import Proof, withheld_because
from rules.pack import RegisterField, RegisterRules, RulePack
from rules.values import Fact, FieldClass, Kind, Sender, Source, Withheld


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """One record, seen through the gate: `told` may reach a draft, `held` never does."""

    register: str
    key: str
    title: str
    told: Mapping[str, Fact]
    held: Mapping[str, Fact]
    withheld: tuple[Withheld, ...]


_UNKNOWN_FIELD = RegisterField(kind=Kind.IDENTIFIER, **{"class": FieldClass.PROTECTED})


def through_the_gate(
    pack: RulePack,
    register: str,
    key: str,
    fields: Mapping[str, str | None],
    read_at: datetime,
    sender: Sender,
    sender_address: str,
) -> RecordFacts:
    """Facts of one record. A register or field that the pack does not know is protected."""
    rules = pack.registers.get(register) or RegisterRules(title=register, key="", fields={})
    proof = Proof.of(sender, sender_address, fields.get(rules.on_file) if rules.on_file else None)
    title = _title(rules, fields)
    told: dict[str, Fact] = {}
    held: dict[str, Fact] = {}
    withheld: list[Withheld] = []
    for name, value in fields.items():
        if value is None or not value.strip():
            continue
        known = rules.fields.get(name, _UNKNOWN_FIELD)
        fact = _fact(pack, register, key, name, known, value.strip(), read_at, title)
        why_not = withheld_because(known.class_, proof)
        if why_not is None:
            told[name] = fact
        else:
            held[name] = fact
            withheld.append(Withheld(register, name, known.class_, why_not))
    return RecordFacts(register, key, title, told, held, tuple(withheld))


def _fact(
    pack: RulePack, register: str, key: str, name: str, known: RegisterField, value: str, read_at: datetime, title: str
) -> Fact:
    return Fact(
        id=f"{register}/{key}/{name}",
        kind=known.kind,
        label=known.label or name,
        value=value,
        subject=key,
        source=Source(register, key, name),
        read_at=read_at,
        max_age_s=pack.max_age_for(known.kind).draft_s,
        field_class=known.class_,
        title=title,
    )


def _title(rules: RegisterRules, fields: Mapping[str, str | None]) -> str:
    """In one pass: braces in a value are only text."""
    return re.sub(r"\{(\w+)\}", lambda slot: fields.get(slot[1]) or "", rules.title).strip()


def next_by(field: str, records: Sequence[Mapping[str, str | None]], today: date) -> list[Mapping[str, str | None]]:
    """The one record whose ISO date in `field` comes first, today included; none when all are past."""
    coming = [record for record in records if (record.get(field) or "") >= today.isoformat()]
    return sorted(coming, key=lambda record: record[field] or "")[:1]
