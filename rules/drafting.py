"""From understanding and evidence to a reply: approved phrases filled with facts, and passages cited word for word.

The draft is built of nothing else, so every statement in it has a source. `ground` reads the finished text again and
has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rules.articles import Article, best
from rules.facts import RecordFacts
from rules.grounding import ground, write
from rules.look_ups import Ask
from rules.masking import masked
from rules.national_ids import find
from rules.pack import ARTICLES, RulePack, Sentence, slots
from rules.policy import Situation, decide
from rules.values import (
    Evidence,
    Kind,
    LookUp,
    MailKind,
    Message,
    Owned,
    Passage,
    Recipients,
    Reply,
    ReplyKind,
    Span,
    Understanding,
    Withheld,
)


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that was read for one mail."""

    records: tuple[RecordFacts, ...] = ()
    articles: tuple[Article, ...] = ()
    look_ups: tuple[LookUp, ...] = ()
    asked: tuple[Ask, ...] = ()

    @property
    def withheld(self) -> tuple[Withheld, ...]:
        return tuple(dict.fromkeys(field for record in self.records for field in record.withheld))

    @property
    def protected_identity(self) -> bool:
        """The resident register marks the sender as protected."""
        marks = (r.held.get("protected_identity") for r in self.records if r.register == "residents")
        return any(mark is not None and mark.value.casefold() not in ("no", "0", "false") for mark in marks)


def evidence(
    pack: RulePack,
    language: str,
    records: Iterable[RecordFacts],
    passages: Iterable[Passage],
    owned: Iterable[Owned] = (),
) -> Evidence:
    records = tuple(records)
    return Evidence(
        facts=tuple(fact for record in records for fact in record.told.values()),
        passages=tuple(passages),
        phrases=tuple(pack.phrases.get(language, {}).values()),
        withheld=tuple(fact for record in records for fact in record.held.values()),
        owned=tuple(owned),
    )


def situation(
    message: Message, understanding: Understanding, reasons: Sequence[str], spans: Sequence[Span]
) -> Situation:
    return Situation(
        intent=understanding.intent,
        reasons=reasons,
        language=understanding.language.code,
        sender=message.sender,
        abstained=understanding.abstained,
        reply_blocked=message.needs_nobody,
        unreadable=message.kind is MailKind.ENCRYPTED or not message.text.strip() or not message.reply_allowed,
        claims={span.kind for span in spans if span.kind is not Kind.STATEMENT},
    )


def reply_to(
    pack: RulePack, message: Message, understanding: Understanding, gathered: Gathered, now: datetime
) -> Reply:
    """What would be answered, and why: the policy, then a draft where one is due, then the policy on the draft."""
    reasons = [*understanding.reasons]
    if gathered.protected_identity and "protected_identity" not in reasons:
        reasons.append("protected_identity")
    ruling = decide(pack, situation(message, understanding, reasons, ()))
    if ruling.reply is not ReplyKind.DRAFT:
        return Reply(ruling.reply, ruling.why, understanding.language.code, approval=ruling.approval)
    language = understanding.language.code
    body = compose(pack, language, understanding.intent, reasons, message, gathered)
    held = evidence(pack, language, gathered.records, (p for a in gathered.articles for p in a.passages))
    spans = ground(body, language, held, now)
    ruling = decide(pack, situation(message, understanding, reasons, spans))
    return Reply(
        kind=ReplyKind.DRAFT,
        why=ruling.why,
        language=language,
        subject=reply_subject(message.subject),
        body=body,
        spans=spans,
        withheld=gathered.withheld,
        approval=ruling.approval,
        recipients=Recipients(to=(message.sender_address.address,)),
    )


_PREFIX = re.compile(r"(?:re|sv|vs|svar|aw|antw|vast|fw|fwd|vb|vl|wg)(?:\[\d{1,3}\])?\s?:\s*", re.IGNORECASE)


def reply_subject(subject: str) -> str:
    """`Re: ` and the subject without the prefixes that mail clients of five languages pile up; one line. A national
    identity number in it is masked: it must not travel on through open mail.

    `Re:` in every language (RFC 5322 3.6.5): `VS:` is a reply in Finnish but a forward in Norwegian and Danish.
    """
    subject = " ".join(masked(subject, find(subject)).split())
    while prefix := _PREFIX.match(subject):
        subject = subject[prefix.end() :]
    return f"Re: {subject}"[:200].strip()


def compose(
    pack: RulePack, language: str, intent: str, reasons: Sequence[str], message: Message, gathered: Gathered
) -> str:
    """The body: greeting, what every mail opens with, the intent's reply, what every mail closes with, signature."""
    article = best(gathered.articles, f"{message.subject}\n{message.reply_text}")
    writer = _Writer(pack, language, reasons, gathered, article)
    frame, plan = pack.plans["every_mail"], pack.plan_for(intent)
    phrases = pack.phrases[language]
    paragraphs = [
        phrases["greeting"],
        *writer.paragraphs(frame.opening),
        *writer.paragraphs(plan.reply, answers=True),
        *writer.paragraphs(frame.closing),
    ]
    return "\n\n".join(paragraphs)


class _Writer:
    """Writes sentence by sentence and remembers what was said, since some are said only when others were not."""

    def __init__(
        self, pack: RulePack, language: str, reasons: Sequence[str], gathered: Gathered, article: Article | None
    ) -> None:
        self.phrases: Mapping[str, str] = pack.phrases[language]
        self.language = language
        self.reasons = frozenset(reasons)
        self.gathered = gathered
        self.article = article
        self.said: set[str] = set()
        self.answered = False

    def paragraphs(self, plan: Sequence[Sequence[Sentence]], *, answers: bool = False) -> Iterator[str]:
        for sentences in plan:
            written = [text for sentence in sentences for text in self.sentence(sentence)]
            if written:
                self.answered = self.answered or answers
                yield " ".join(written)

    def sentence(self, sentence: Sentence) -> list[str]:
        if self.reasons.intersection(sentence.unless_reasons):
            return []
        if sentence.article:
            return [self.article.answer.text] if self.article else []
        if sentence.otherwise and self.answered:
            return []
        if self.said.intersection(sentence.gives_way_to):
            return []
        if sentence.unless_told and not self.keeps_silent_about(sentence.unless_told):
            return []
        written = list(dict.fromkeys(self.filled(sentence)))
        if written:
            self.said.add(sentence.phrase or "")
        return written

    def keeps_silent_about(self, register: str) -> bool:
        """The register was asked something for this mail and nothing personal from it may be told."""
        asked = any(ask.register == register for ask in self.gathered.asked)
        told = any(record.told for record in self.gathered.records if record.register == register)
        return asked and not told

    def filled(self, sentence: Sentence) -> Iterator[str]:
        """The phrase once for every record that has what it needs; a phrase without a record is said as it stands."""
        phrase = self.phrases[sentence.phrase or ""]
        if sentence.record is None:
            yield phrase
            return
        for record in self.records(sentence.record):
            values = {fact.label: write(fact.kind, fact.value, self.language) for fact in record.told.values()}
            if slots(phrase) <= values.keys() and _fits(record, sentence.where):
                yield _one_full_stop(phrase.format(**values))

    def records(self, register: str) -> Iterator[RecordFacts]:
        """The records of a register; of articles only the one that answers."""
        for record in self.gathered.records:
            chosen = register != ARTICLES or (self.article is not None and record.key == self.article.id)
            if record.register == register and chosen:
                yield record


def _one_full_stop(text: str) -> str:
    """An abbreviation at the end of a sentence takes no second stop: Danish "4.386 kr." """
    return re.sub(r"\.\.(?=\s|$)", ".", text)


def _fits(record: RecordFacts, where: Mapping[str, str]) -> bool:
    return all(name in record.told and record.told[name].value == value for name, value in where.items())
