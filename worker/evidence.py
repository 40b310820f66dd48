"""Keeps what was read for a mail as snapshots, and gives it back as the evidence that a draft is checked against."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rules.drafting import Gathered, evidence
from rules.facts import RecordFacts
from rules.grounding import ground
from rules.pack import RulePack
from rules.values import Evidence, FieldClass, Kind, Owned, Reply, Source, Span, Withheld
from rules.values import Fact as FactValue
from rules.values import Passage as PassageValue
from worker.lookup import Asked
from worker.models import Draft, Fact, LookUp, Mail, Passage


def keep(mail: Mail, pack: RulePack, gathered: Gathered, asked: Iterable[Asked], reply: Reply) -> None:
    """Replace the mail's snapshots by what was just read. Facts held back are kept too: sealed, and marked so."""
    if mail.look_ups.exists():
        mail.look_ups.all().delete()
        mail.passages.all().delete()
    asked = tuple(asked)
    look_ups = LookUp.objects.bulk_create(look_up_row(mail, one) for one in asked)
    rows = {
        (one.ask.register, record.key): row
        for one, row in zip(asked, look_ups, strict=True)
        for record in one.answer.records
    }
    facts = [row for record in gathered.records for row in fact_rows(mail, rows[record.register, record.key], record)]
    Fact.objects.bulk_create({row.fact_id: row for row in facts}.values())
    cited = {span.source for span in reply.spans}
    Passage.objects.bulk_create(
        [
            passage_row(mail, passage, passage.id in cited)
            for article in gathered.articles
            for passage in article.passages
        ],
        ignore_conflicts=True,
    )


def look_up_row(mail: Mail, one: Asked) -> LookUp:
    return LookUp(
        mail=mail,
        register=one.ask.register,
        keyed_on=one.ask.keyed_on,
        value=one.ask.value,
        language=one.ask.language,
        next_by=one.ask.next_by,
        found=bool(one.answer.records),
        read_at=one.answer.read_at,
    )


def fact_rows(mail: Mail, look_up: LookUp, record: RecordFacts) -> Iterable[Fact]:
    reasons = {one.field: one.reason for one in record.withheld}
    for told, facts in ((True, record.told), (False, record.held)):
        for name, fact in facts.items():
            yield Fact(
                mail=mail,
                look_up=look_up,
                fact_id=fact.id,
                kind=fact.kind.value,
                label=fact.label,
                value=fact.value,
                subject=fact.subject,
                title=fact.title,
                register=record.register,
                key=record.key,
                field=name,
                field_class=fact.field_class.value,
                may_be_told=told,
                withheld_because=reasons.get(name, ""),
                read_at=fact.read_at,
            )


def passage_row(mail: Mail, passage: PassageValue, cited: bool) -> Passage:
    return Passage(
        mail=mail,
        passage_id=passage.id[:128],
        article=passage.article[:128],
        title=passage.title[:300],
        url=passage.url[:500],
        language=passage.language,
        text=passage.text,
        cited=cited,
        read_at=passage.read_at,
    )


def of(mail: Mail, pack: RulePack, language: str, owned: Iterable[dict[str, str]] = ()) -> Evidence:
    """What stands for a draft of this mail, from its snapshots."""
    values = [(row.may_be_told, fact_value(pack, row)) for row in mail.facts.all()]
    told = {fact.id: fact for tell, fact in values if tell}
    held = {fact.id: fact for tell, fact in values if not tell}
    records = [RecordFacts("", "", "", told, held, ())]
    return evidence(pack, language, records, passages_of(pack, mail), [Owned(**one) for one in owned])


def fact_value(pack: RulePack, row: Fact) -> FactValue:
    kind = Kind(row.kind)
    return FactValue(
        id=row.fact_id,
        kind=kind,
        label=row.label,
        value=row.value,
        subject=row.subject,
        source=Source(row.register, row.key, row.field),
        read_at=row.rechecked_at or row.read_at,
        max_age_s=pack.max_age_for(kind).draft_s,
        field_class=FieldClass(row.field_class),
        title=row.title,
    )


def passages_of(pack: RulePack, mail: Mail) -> list[PassageValue]:
    age = pack.max_age_for(Kind.STATEMENT).draft_s
    return [
        PassageValue(row.passage_id, row.article, row.text, row.title, row.url, row.language, row.read_at, age)
        for row in mail.passages.all()
    ]


def withheld_of(mail: Mail) -> list[Withheld]:
    rows = mail.facts.filter(may_be_told=False)
    return [Withheld(r.register, r.field, FieldClass(r.field_class), r.withheld_because) for r in rows]


def spans_of(draft: Draft, pack: RulePack, now: datetime, body: str | None = None) -> tuple[Span, ...]:
    """The draft's text, or a text that a reviewer is writing, checked against the snapshots of its mail."""
    text = draft.body if body is None else body
    return ground(text, draft.language, of(draft.mail, pack, draft.language, draft.owned), now)
