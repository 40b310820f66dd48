"""A rule pack as values: what a municipality lays down about intents, registers, replies and approval.

The pack is data that people outside the house write, so every fault is reported with the document and the place in it.
Reading files is the caller's business (`worker.packs`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from string import Formatter
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rules.values import LANGUAGES, FieldClass, Kind

REASONS = (
    "rights_decision",
    "fee_amount",
    "legal_status",
    "health_social",
    "minor",
    "protected_identity",
    "threat_or_selfharm",
    "data_subject_request",
    "media_politics",
    "national_id",
)
"""Why a person must look. Fixed by the product, since screens, policy and law are tied to them."""

ARTICLES = "articles"
"""The register of knowledge articles. It has no field rules: articles are public and cited as passages."""
ARTICLE_LABELS = frozenset({"article_url"})

_CAPITAL = re.compile(r"(?<!\\)[A-ZÅÄÖÆØ]")
"""Not the class of a backslash, as in `\\W`."""

ENTITY_KINDS = (
    "case_no",
    "invoice_no",
    "address",
    "property_id",
    "meter_no",
    "date",
    "amount",
    "phone",
    "email",
)
"""What can be picked out of a mail. Fixed by the product, since look-ups and the commands' output name them."""

DOCUMENTS = ("pack", "intents", "registers", "plans", "policy", "ticks", "reasons", "entities", "phrases", "examples")


class PackError(ValueError):
    """The pack is wrong. `faults` lists every fault found, one sentence each."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults))


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Age(_Part):
    draft_s: float
    send_s: float


class Intent(_Part):
    title: str
    about: str
    examples: list[str] = []
    """Mails as residents would write them, in any language: an intent that no model has learnt is known by them."""


class RegisterField(_Part):
    kind: Kind
    class_: FieldClass = Field(alias="class")
    label: str = ""


class RegisterRules(_Part):
    title: str
    key: str
    on_file: str | None = None
    fields: dict[str, RegisterField]

    def label(self, field: str) -> str:
        return self.fields[field].label or field

    @property
    def personal(self) -> bool:
        return any(field.class_ is not FieldClass.PUBLIC for field in self.fields.values())


class LookUpPlan(_Part):
    register_: str = Field(alias="register")
    key: str
    from_: Literal["entity", "sender", "intent"] | None = Field(default=None, alias="from")
    value: str | None = None
    in_language: bool = False
    """Only records in the language of the mail."""
    next: str | None = None
    """Of several records only the one whose date in this field comes first, today included."""


class Sentence(_Part):
    phrase: str | None = None
    article: Literal["best"] | None = None
    record: str | None = None
    where: dict[str, str] = {}
    unless_told: str | None = None
    unless_reasons: list[str] = []
    otherwise: bool = False
    otherwise_said: str | list[str] = []

    @property
    def gives_way_to(self) -> tuple[str, ...]:
        return (self.otherwise_said,) if isinstance(self.otherwise_said, str) else tuple(self.otherwise_said)


class Plan(_Part):
    look_ups: list[LookUpPlan] = []
    opening: list[list[Sentence]] = []
    reply: list[list[Sentence]] = []
    closing: list[list[Sentence]] = []


class When(_Part):
    reasons: list[str] = []
    intents: list[str] = []
    languages: list[str] = []
    claims: list[Kind] = []
    sender: list[Literal["verified", "unverified", "suspicious"]] = []
    abstained: bool | None = None
    reply_blocked: bool | None = None
    unreadable: bool | None = None


class Then(_Part):
    reply: Literal["none", "person"] | None = None
    queue: str | None = None
    people: int = 0
    ticks: list[str] = []


class PolicyRow(_Part):
    name: str
    when: When
    then: Then
    why: str


class ReasonRule(_Part):
    """One pattern that adds a reason. Searched in the masked, lower-cased text of the mail."""

    name: str
    reason: str
    languages: list[str] = list(LANGUAGES)
    pattern: str

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        # A capital in a pattern must find its word too; to ignore case everywhere would take twice the time.
        return re.compile(self.pattern, re.IGNORECASE if _CAPITAL.search(self.pattern) else re.NOFLAG)


class EntityRule(_Part):
    """One way in which a kind of value is written. The group `value`, or the whole match, is what is picked out."""

    kind: str
    pattern: str
    languages: list[str] = list(LANGUAGES)
    not_after: str = ""
    """What stands right before a value of another kind, e.g. `CVR` before eight digits."""

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.IGNORECASE)

    @cached_property
    def compiled_not_after(self) -> re.Pattern[str] | None:
        return re.compile(rf"(?:{self.not_after})\Z", re.IGNORECASE) if self.not_after else None


class Expectation(_Part):
    intent: str | None = None
    reasons: list[str] | None = None
    reply: Literal["draft", "none", "person"] | None = None
    queue: str | None = None
    entities: dict[str, list[str]] = {}


class Example(_Part):
    """A mail of the pack's own tests and what must come out of it."""

    name: str
    language: str
    from_: str = Field(default="A Resident <resident@mail.example>", alias="from")
    subject: str = ""
    body: str
    expect: Expectation


class RulePack(_Part):
    name: str
    version: str
    languages: list[str]
    max_age: dict[str, Age]
    threshold: float | Literal["model"]
    intents: dict[str, Intent]
    registers: dict[str, RegisterRules]
    plans: dict[str, Plan]
    policy: list[PolicyRow]
    ticks: dict[str, str]
    reasons: list[ReasonRule]
    entities: list[EntityRule]
    phrases: dict[str, dict[str, str]]
    examples: list[Example] = []
    sha256: str = ""
    """Of the pack's documents: what an approval was given under."""

    def plan_for(self, intent: str) -> Plan:
        return self.plans.get(intent, self.plans["default"])

    def look_ups_for(self, intent: str) -> tuple[LookUpPlan, ...]:
        return (*self.plans["every_mail"].look_ups, *self.plan_for(intent).look_ups)

    def max_age_for(self, kind: Kind) -> Age:
        return self.max_age.get(kind.value, self.max_age["default"])


def load(documents: Mapping[str, Any], sha256: str = "") -> RulePack:
    """Build a pack from its parsed documents (see `DOCUMENTS`). Raises PackError naming every fault."""
    missing = [name for name in DOCUMENTS if name not in documents and name != "examples"]
    if missing:
        raise PackError(f"{name}.yaml is missing" for name in missing)
    head = documents["pack"]
    if not isinstance(head, dict):
        raise PackError(["pack.yaml: must hold name, version, languages, max_age and threshold"])
    body = {name: documents[name] for name in DOCUMENTS if name not in ("pack",) and name in documents}
    try:
        pack = RulePack(**head, **body, sha256=sha256)
    except ValidationError as error:
        raise PackError(_sentence(fault) for fault in error.errors()) from None
    except TypeError as error:
        raise PackError([f"pack.yaml: {error}"]) from None
    faults = list(faults_in(pack))
    if faults:
        raise PackError(faults)
    return pack


def _sentence(fault: Any) -> str:
    place = " → ".join(str(part) for part in fault["loc"])
    return f"{place}: {fault['msg'].lower()}"


def faults_in(pack: RulePack) -> Iterable[str]:
    """Everything that is well formed but cannot work: unknown names, slots without a field, broken patterns."""
    yield from _unknown_names(pack)
    yield from _broken_patterns(pack)
    yield from _phrase_faults(pack)


def _unknown_names(pack: RulePack) -> Iterable[str]:
    for name in ("every_mail", "default"):
        if name not in pack.plans:
            yield f"plans: `{name}` is missing"
    known = {*pack.registers, ARTICLES}
    for intent, plan in pack.plans.items():
        if intent not in pack.intents and intent not in ("every_mail", "default"):
            yield f"plans → {intent}: no such intent"
        for look_up in plan.look_ups:
            if look_up.register_ not in known:
                yield f"plans → {intent}: no register `{look_up.register_}` in registers.yaml"
            if (look_up.from_ is None) == (look_up.value is None):
                yield f"plans → {intent} → {look_up.register_}: give either `from` or `value`"
        for sentence in (
            s for part in (plan.opening, plan.reply, plan.closing) for paragraph in part for s in paragraph
        ):
            yield from (f"plans → {intent}: no reason `{r}`" for r in sentence.unless_reasons if r not in REASONS)
            for register in filter(None, (sentence.record, sentence.unless_told)):
                if register not in known:
                    yield f"plans → {intent}: no register `{register}` in registers.yaml"
    for row in pack.policy:
        yield from (f"policy → {row.name}: no reason `{r}`" for r in row.when.reasons if r not in REASONS)
        yield from (f"policy → {row.name}: no intent `{i}`" for i in row.when.intents if i not in pack.intents)
        yield from (f"policy → {row.name}: no tick `{t}` in ticks.yaml" for t in row.then.ticks if t not in pack.ticks)
    yield from (f"reasons → {r.name}: no reason `{r.reason}`" for r in pack.reasons if r.reason not in REASONS)
    yield from (f"entities: no kind `{e.kind}`" for e in pack.entities if e.kind not in ENTITY_KINDS)


def _broken_patterns(pack: RulePack) -> Iterable[str]:
    patterns = [(f"reasons → {r.name}", r.pattern) for r in pack.reasons]
    patterns += [(f"entities → {e.kind}", p) for e in pack.entities for p in (e.pattern, e.not_after)]
    for place, pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            yield f"{place}: the pattern does not compile ({error})"


def _phrase_faults(pack: RulePack) -> Iterable[str]:
    labels = {register.label(field) for register in pack.registers.values() for field in register.fields}
    labels |= ARTICLE_LABELS
    used = _phrases_used(pack)
    for language in pack.languages:
        phrases = pack.phrases.get(language)
        if phrases is None:
            yield f"phrases: phrases/{language}.yaml is missing"
            continue
        yield from (f"phrases → {language}: `{key}` is missing" for key in sorted(used - phrases.keys()))
        for key, text in phrases.items():
            yield from (f"phrases → {language} → {key}: {fault}" for fault in _slot_faults(text, labels))


def _slot_faults(text: str, labels: Collection[str]) -> Iterable[str]:
    """A slot is a label between braces and nothing else: no position, attribute, conversion or format."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        yield "a brace that stands alone (one that is meant is written twice)"
        return
    for _, name, form, conversion in parts:
        if name is not None and (form or conversion or name not in labels):
            yield f"no field has the label `{name}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}`"


def _phrases_used(pack: RulePack) -> set[str]:
    sentences = (
        sentence
        for plan in pack.plans.values()
        for part in (plan.opening, plan.reply, plan.closing)
        for paragraph in part
        for sentence in paragraph
    )
    return {"greeting", "signature"} | {sentence.phrase for sentence in sentences if sentence.phrase}


def slots(phrase: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(phrase) if name}
