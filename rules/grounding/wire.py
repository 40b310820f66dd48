"""The JSON of `kommunpost ground`, read and written. A fault is told in one sentence that names the field, not its
content."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from rules.grounding import meaning
from rules.grounding.ground import supported
from rules.values import NEVER, STATUSES, Evidence, Fact, Kind, Owned, Passage, Source, Span


def _in_utc_if_bare(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc_if_bare)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Source(_Part):
    register_: str = Field("", alias="register")
    key: str = ""
    field: str = ""


_FORMS = {
    Kind.DATE: "a date such as 2026-12-15",
    Kind.TIME: "a time such as 14:00",
    Kind.PERIOD: "a period such as 2026-07-01/2026-09-30",
    Kind.AMOUNT: "an amount such as 4386.00 SEK",
    Kind.PERCENTAGE: "a percentage such as 25 %",
    Kind.STATUS: f"one of {', '.join(STATUSES)}",
}


class _Fact(_Part):
    id: str
    kind: Kind
    label: str
    value: str
    subject: str = ""
    source: _Source | str = ""
    read_at: Moment
    max_age_s: float | None = None

    @model_validator(mode="after")
    def normalised(self) -> Self:
        if self.kind in _FORMS and meaning.read(self.kind, self.value) is None:
            raise ValueError(f"value must be {_FORMS[self.kind]}")
        return self

    def fact(self) -> Fact:
        source = _Source(register=self.source) if isinstance(self.source, str) else self.source
        return Fact(
            id=self.id,
            kind=self.kind,
            label=self.label,
            value=self.value,
            subject=self.subject,
            source=Source(source.register_, source.key, source.field),
            read_at=self.read_at,
            max_age_s=self.max_age_s,
        )


class _Passage(_Part):
    id: str
    article: str = ""
    text: str
    title: str = ""
    url: str = ""
    language: str = ""
    read_at: Moment = NEVER
    max_age_s: float | None = None


class _Owned(_Part):
    text: str
    person: str
    reason: str


class _Question(_Part):
    language: Literal["sv", "fi", "nb", "da", "en"]
    now: Moment
    facts: tuple[_Fact, ...] = ()
    passages: tuple[_Passage, ...] = ()
    phrases: tuple[str, ...] = ()
    withheld: tuple[_Fact, ...] = ()
    owned: tuple[_Owned, ...] = ()


def from_json(obj: object) -> tuple[str, Evidence, datetime]:
    """Language, evidence and time to ground with. Raises `ValueError`, one sentence, when something is not right."""
    try:
        asked = _Question.model_validate(obj)
    except ValidationError as error:
        raise ValueError(_sentence(error)) from None
    evidence = Evidence(
        facts=tuple(fact.fact() for fact in asked.facts),
        passages=tuple(Passage(**passage.model_dump()) for passage in asked.passages),
        phrases=asked.phrases,
        withheld=tuple(fact.fact() for fact in asked.withheld),
        owned=tuple(Owned(**owned.model_dump()) for owned in asked.owned),
    )
    return asked.language, evidence, asked.now


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"]).lstrip(".")
    message = first["msg"].removeprefix("Value error, ")
    return f"{where or 'the file'}: {message}."


def to_json(spans: Iterable[Span]) -> dict[str, Any]:
    spans = tuple(spans)
    return {"supported": supported(spans), "spans": [asdict(span) for span in spans]}
