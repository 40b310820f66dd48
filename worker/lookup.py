"""Asks the registers what the pack plans for a mail, and passes every answer through the disclosure gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from connectors import open_register
from connectors.base import Answer, Finding, Question, Record, Register
from connectors.errors import ConnectorError
from rules.articles import Article, from_record
from rules.drafting import Gathered
from rules.facts import RecordFacts, next_by, through_the_gate
from rules.look_ups import Ask, asks
from rules.pack import ARTICLES, RulePack
from rules.values import Kind, LookUp, Message, Understanding
from worker.municipality import Municipality

OWN_RECORD = "municipality"


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """The municipality's own record, from its file: a register like any other, always at hand."""

    facts: Mapping[str, str]
    name: str = OWN_RECORD

    def ask(self, question: Question) -> Answer:
        record = Record("here", {"municipality_id": "here", **self.facts})
        return Answer(self.name, question.keyed_on, (record,), datetime.now(UTC))

    def check(self) -> Iterator[Finding]:
        yield Finding(True, "the municipality's own record")


@dataclass(frozen=True, slots=True)
class Registers:
    """The registers of this installation by name, opened once per process."""

    by_name: Mapping[str, Register]
    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def ask(self, ask: Ask) -> Answer:
        """Records that match. A register that is not configured has no records. Raises ConnectorError."""
        register = self.by_name.get(ask.register)
        if register is None:
            return Answer(ask.register, ask.keyed_on, (), datetime.now(UTC))
        answer = register.ask(Question(ask.keyed_on, ask.value, ask.language))
        if not ask.next_by:
            return answer
        today = datetime.now(self.time_zone).date()
        coming = next_by(ask.next_by, [record.fields for record in answer.records], today)
        return Answer(
            answer.register, answer.query, tuple(r for r in answer.records if r.fields in coming), answer.read_at
        )


_open: dict[str, Registers] = {}


def registers_of(municipality: Municipality) -> Registers:
    key = str(municipality.folder / municipality.name)
    if key not in _open:
        opened = {
            name: open_register(entry.kind, name, municipality.options_of(entry))
            for name, entry in municipality.registers.items()
        }
        own = OwnRecord({"name": municipality.name, **municipality.facts})
        _open[key] = Registers({OWN_RECORD: own, **opened}, ZoneInfo(municipality.time_zone))
    return _open[key]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and what came back."""

    ask: Ask
    answer: Answer


def gather(
    pack: RulePack, registers: Registers, message: Message, understanding: Understanding
) -> tuple[Gathered, tuple[Asked, ...]]:
    """Everything the pack wants read for this mail. Raises ConnectorError when a register cannot be asked."""
    address = message.sender_address.address
    planned = asks(pack, understanding.intent, understanding.language.code, understanding.entities, address)
    asked = tuple(Asked(ask, registers.ask(ask)) for ask in planned)
    return gathered_from(pack, message, asked), asked


def gathered_from(pack: RulePack, message: Message, asked: Sequence[Asked]) -> Gathered:
    records: list[RecordFacts] = []
    articles: list[Article] = []
    for one in asked:
        for record in one.answer.records:
            if one.ask.register == ARTICLES:
                articles += _article(pack, record, one.answer.read_at)
            else:
                records.append(
                    through_the_gate(
                        pack,
                        one.ask.register,
                        record.key,
                        record.fields,
                        one.answer.read_at,
                        message.sender,
                        message.sender_address.address,
                    )
                )
    links = [article.link for article in articles if article.url]
    return Gathered(
        records=(*records, *links),
        articles=tuple(articles),
        look_ups=tuple(LookUp(o.ask.register, o.ask.keyed_on, bool(o.answer.records)) for o in asked),
        asked=tuple(o.ask for o in asked),
    )


def _article(pack: RulePack, record: Record, read_at: datetime) -> list[Article]:
    article = from_record(record.key, record.fields, read_at, pack.max_age_for(Kind.STATEMENT).draft_s)
    return [article] if article else []


__all__ = ["Asked", "ConnectorError", "Registers", "gather", "gathered_from", "registers_of"]
