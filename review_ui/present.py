"""From the rows of one mail to what its page shows. Decides nothing: what is left to do and what may leave comes from
`worker.review` and `worker.evidence`; values that the gate holds back are never read here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.db.models import prefetch_related_objects
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as later
from django.utils.translation import ngettext

from review_ui import access, letter, listing, reading, states, words
from review_ui.access import Rights
from review_ui.letter import Claim, Letter, Proof
from rules.grounding import write
from rules.lifecycle import MailState
from rules.pack import ARTICLES, REASONS, RulePack
from rules.values import Kind, Span, Understanding, Verdict
from worker import correcting, evidence, replies, review
from worker.correcting import By
from worker.intake import message_of
from worker.models import Approval, Draft, Event, Fact, Mail, Outgoing, Passage
from worker.municipality import configured
from worker.triage import understanding_of

MOST_NAMED = 20
"""Addresses in one line of the page."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """How old a card's oldest value is against the pack's limit."""

    ok: bool
    says: str


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One value among the sources. `numbers` are the claims that rest on it."""

    label: str
    value: str
    language: str
    read: str
    insert: str
    numbers: tuple[int, ...] = ()
    near: bool = False

    @property
    def id(self) -> str:
        return f"s{self.numbers[0]}" if self.numbers else ""

    @property
    def claims(self) -> str:
        return " ".join(map(str, self.numbers))


@dataclass(frozen=True, slots=True)
class Card:
    title: str
    meta: str
    article: bool
    rows: tuple[SourceRow, ...]
    fresh: Fresh
    url: str = ""

    @property
    def used(self) -> tuple[SourceRow, ...]:
        return tuple(row for row in self.rows if row.numbers)

    @property
    def spare(self) -> tuple[SourceRow, ...]:
        """Read with the others and used nowhere: at hand while somebody writes."""
        return tuple(row for row in self.rows if not row.numbers)


@dataclass(frozen=True, slots=True)
class Owned:
    """A sentence that stands in a colleague's name."""

    number: int
    sentence: str
    person: str
    reason: str


@dataclass(frozen=True, slots=True)
class HeldBack:
    field: str
    register: str
    why: str


@dataclass(frozen=True, slots=True)
class Sources:
    cards: tuple[Card, ...]
    owned: tuple[Owned, ...]
    held: tuple[HeldBack, ...]
    tally: str

    @property
    def used(self) -> tuple[Card, ...]:
        return tuple(card for card in self.cards if card.used)

    @property
    def unused(self) -> tuple[Card, ...]:
        return tuple(card for card in self.cards if not card.used)


@dataclass(frozen=True, slots=True)
class Tick:
    name: str
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """The draft on its paper."""

    draft: Draft
    letter: Letter
    quotation: str
    """What the resident wrote, as it stands below the reply."""
    recipients: str
    left_out: str
    """Whom the mail also went to, and the reply does not."""
    language_name: words.Words
    content: str
    """Hash of all that an approval would be bound to: posted back with it."""
    ticks: tuple[Tick, ...]
    edited: bool
    stamp: str
    pack: str


@dataclass(frozen=True, slots=True)
class Left:
    """One thing that stands between the draft and its approval, and where on the page it is done."""

    number: int
    text: str
    target: str


@dataclass(frozen=True, slots=True)
class LogLine:
    at: datetime
    time: str
    who: str
    action: str
    way: str
    reason: str


@dataclass(frozen=True, slots=True)
class Past:
    """Another mail of the same case."""

    pk: int
    subject: str
    received: str
    state: words.Words


@dataclass(frozen=True, slots=True)
class Guess:
    """What the machine took the mail to be about."""

    title: str
    percent: str
    unsure: bool
    also: str


@dataclass(frozen=True, slots=True)
class Standing:
    """One reason why a person must look, and whether it can be taken away."""

    reason: str
    name: str
    from_whom: words.Words
    may_go: bool


def mail_page(rights: Rights, mail: Mail) -> dict[str, Any]:
    """Everything the page of one mail shows, by the names its templates use."""
    now = timezone.now()
    pack = configured().rule_pack()
    message = message_of(mail)
    understood = understanding_of(mail) if mail.understanding else None
    prefetch_related_objects([mail], "facts", "passages", "look_ups")
    draft: Draft | None = getattr(mail, "draft", None)
    held = held_back(mail)
    sheet, sources = None, Sources((), (), held, "")
    approvals: list[Approval] = []
    if draft:
        approvals = list(draft.approvals.filter(voided_at=None).select_related("person").order_by("at"))
        sheet, sources = draft_and_sources(pack, mail, draft, held, approvals, now)
    reply = Outgoing.objects.filter(mail=mail).defer("raw").first()
    history = list(Event.objects.filter(object=f"mail:{mail.pk}").order_by("pk"))
    may = states.acts_on(rights, mail, draft, reply, approvals, understood is not None)
    before, after = listing.neighbours(rights, mail)
    return {
        "mail": mail,
        "settling": states.SETTLING,
        "original": reading.original(message, looked_up(mail, understood)),
        "received": words.moment(mail.received_at, now),
        "state": words.STATES[mail.state],
        "guess": guess(pack, mail, understood),
        "language_name": words.LANGUAGES.get(mail.language, ""),
        "who": words.name_of(mail.assignee),
        "reasons": [words.plain(reason) for reason in mail.reasons],
        "past": past(rights, mail, now),
        "sheet": sheet,
        "sources": sources,
        "left": left_to_do(sheet) if sheet and may.approve else (),
        "may": may,
        "notice": states.notice(mail, reply, approvals, history, now),
        "reply": reply,
        "undo_until": reply.due_at if reply and mail.state == MailState.APPROVED else None,
        "log": log(history, now),
        "before": before,
        "after": after,
        "colleagues": [(person.get_username(), words.name_of(person)) for person in access.colleagues(mail)]
        if may.reassign
        else (),
        "standing": standing(pack, mail, understood) if understood and may.correct else (),
        "more_reasons": [(reason, words.plain(reason)) for reason in REASONS if reason not in mail.reasons],
        "intents": [(name, intent.title) for name, intent in pack.intents.items()],
        "languages": [(code, words.LANGUAGES[code]) for code in correcting.languages_for(mail)],
        "reject_reasons": review.REJECT_REASONS,
        "close_reasons": review.CLOSE_REASONS,
    }


def looked_up(mail: Mail, understood: Understanding | None) -> list[str]:
    """Words of the mail on which a register was asked."""
    asked = {look_up.value for look_up in mail.look_ups.all()}
    named = {value for values in (understood.entities.values() if understood else ()) for value in values}
    return sorted(asked & named)


def guess(pack: RulePack, mail: Mail, understood: Understanding | None) -> Guess | None:
    intent = pack.intents.get(mail.intent)
    if intent is None:
        return None
    others = understood.alternatives if understood else ()
    also = [
        f"{title_of(pack, other.intent)} {words.percent(other.confidence)}"
        for other in others
        if other.intent != mail.intent
    ]
    return Guess(intent.title, words.percent(mail.confidence), mail.abstained, ", ".join(also[:3]))


FROM_WHOM: dict[By, words.Words] = {
    By.RULE: later("found by a rule, so it stays"),
    By.ID: later("a number was found, so it stays"),
    By.REGISTER: later("told by a register, so it stays"),
    By.PERSON: later("added by a colleague"),
    By.MODEL: later("guessed by the machine"),
}


def standing(pack: RulePack, mail: Mail, understood: Understanding) -> list[Standing]:
    found = correcting.given(mail, understood, pack)
    return [Standing(one.reason, words.plain(one.reason), FROM_WHOM[one.by], one.may_go) for one in found]


def title_of(pack: RulePack, intent: str) -> str:
    return pack.intents[intent].title if intent in pack.intents else words.plain(intent)


def past(rights: Rights, mail: Mail, now: datetime) -> list[Past]:
    """Earlier and later mails of the case that this person may see, newest first."""
    rows = access.mails(rights).exclude(access.in_restricted()).filter(case=mail.case_id).exclude(pk=mail.pk)
    return [
        Past(
            pk=other.pk,
            subject=reading.without_ids(message_of(other).subject) or _("(no subject)"),
            received=words.moment(other.received_at, now),
            state=words.STATES[other.state],
        )
        for other in rows.only("pk", "message", "received_at", "state").order_by("-received_at")[:20]
    ]


# --- draft and sources


def draft_and_sources(
    pack: RulePack, mail: Mail, draft: Draft, held: tuple[HeldBack, ...], approvals: Sequence[Approval], now: datetime
) -> tuple[Sheet, Sources]:
    facts = sorted((fact for fact in mail.facts.all() if fact.may_be_told), key=lambda fact: fact.pk)
    passages = sorted(mail.passages.all(), key=lambda passage: passage.pk)
    spans = evidence.spans_of(draft, pack, now)
    laid_out = letter.lay_out(draft.body, spans, proofs(facts, passages, now))
    sheet = Sheet(
        draft=draft,
        letter=laid_out,
        quotation=replies.quotation_of(mail, draft),
        recipients=", ".join([*draft.recipients["to"], *draft.recipients["cc"]]),
        left_out=_named(replies.left_out(mail, draft)),
        language_name=words.LANGUAGES.get(draft.language, draft.language),
        content=content(mail, draft, spans),
        ticks=tuple(ticks(pack, draft)),
        edited=draft.body != draft.first_body,
        stamp=stamp(approvals),
        pack=draft.pack.partition(":")[0].replace("@", " "),
    )
    cards = tuple(sorted(cards_of(pack, draft, facts, passages, laid_out.claims, now), key=_first_number))
    total = len(laid_out.claims)
    tally = _("%(proven)s of %(total)s statements") % {"proven": laid_out.proven, "total": total} if total else ""
    return sheet, Sources(cards, tuple(owned(draft, laid_out.claims)), held, tally)


def _named(addresses: Sequence[str]) -> str:
    more = len(addresses) - MOST_NAMED
    named = ", ".join(addresses[:MOST_NAMED])
    return _("%(named)s and %(more)s more") % {"named": named, "more": more} if more > 0 else named


def proofs(facts: Iterable[Fact], passages: Iterable[Passage], now: datetime) -> dict[str, Proof]:
    read = {
        fact.fact_id: Proof(
            _("Source: %(title)s, %(field)s. Read %(when)s.")
            % {"title": fact.title, "field": words.plain(fact.field), "when": words.moment(read_at(fact), now)},
            article=fact.register == ARTICLES,
        )
        for fact in facts
    }
    return read | {
        passage.passage_id: Proof(_("Source: article %(title)s.") % {"title": passage.title}, article=True)
        for passage in passages
    }


def read_at(fact: Fact) -> datetime:
    return fact.rechecked_at or fact.read_at


def ticks(pack: RulePack, draft: Draft) -> Iterator[Tick]:
    for name in draft.ticks:
        because = [row.why for row in pack.policy if name in row.then.ticks and row.why in draft.why]
        yield Tick(name, pack.ticks.get(name, words.plain(name)), " ".join(because))


def stamp(approvals: Sequence[Approval]) -> str:
    """Who approved exactly this content."""
    given = [
        _("Approved by %(who)s %(when)s.") % {"who": words.name_of(one.person), "when": words.clock(one.at)}
        for one in approvals
    ]
    if not given:
        return ""
    digest = approvals[-1].content_hash
    return " ".join(
        [
            *given,
            _("Content %(start)s … %(end)s. Any edit takes the approval back.")
            % {"start": digest[:8], "end": digest[-4:]},
        ]
    )


def cards_of(
    pack: RulePack,
    draft: Draft,
    facts: Sequence[Fact],
    passages: Sequence[Passage],
    claims: Sequence[Claim],
    now: datetime,
) -> Iterator[Card]:
    """A card for each record and for each article, with the claims that rest on each of their values."""
    for (register, _key), rows in _grouped(facts, lambda fact: (fact.register, fact.key)).items():
        if register != ARTICLES:
            yield _record_card(pack, draft, register, rows, claims, now)
    links = {fact.key: fact for fact in facts if fact.register == ARTICLES}
    for article, texts in _grouped(passages, lambda passage: passage.article).items():
        link = links.get(article)
        yield _article_card(pack, draft, texts, [link] if link else [], claims, now)


def _record_card(
    pack: RulePack, draft: Draft, register: str, facts: Sequence[Fact], claims: Sequence[Claim], now: datetime
) -> Card:
    known = pack.registers.get(register)
    told = words.plain(register).capitalize()
    return Card(
        title=facts[0].title or told,
        meta=_("Register %(name)s, record %(key)s") % {"name": told.lower(), "key": facts[0].key} if known else told,
        article=False,
        rows=tuple(_fact_row(fact, draft, claims, now) for fact in facts),
        fresh=freshness(
            pack, [(Kind(fact.kind), read_at(fact)) for fact in facts if _numbers(fact.fact_id, claims)], now
        ),
    )


def _fact_row(fact: Fact, draft: Draft, claims: Sequence[Claim], now: datetime) -> SourceRow:
    value = write(Kind(fact.kind), fact.value, draft.language)
    return SourceRow(
        label=words.plain(fact.field),
        value=value,
        language=draft.language,
        read=words.moment(read_at(fact), now).removeprefix(_("today %(time)s") % {"time": ""}),
        insert=value,
        numbers=_numbers(fact.fact_id, claims),
        near=_near(fact.fact_id, claims),
    )


def _article_card(
    pack: RulePack,
    draft: Draft,
    passages: Sequence[Passage],
    links: Sequence[Fact],
    claims: Sequence[Claim],
    now: datetime,
) -> Card:
    first = passages[0]
    rows = [
        SourceRow(
            label=_("paragraph %(number)s") % {"number": number},
            value=passage.text,
            language=passage.language,
            read=words.moment(passage.read_at, now),
            insert=passage.text,
            numbers=_numbers(passage.passage_id, claims),
            near=_near(passage.passage_id, claims),
        )
        for number, passage in enumerate(passages, 1)
    ]
    linked = [_fact_row(link, draft, claims, now) for link in links]
    used = [row for row in (*rows, *linked) if row.numbers]
    return Card(
        title=first.title,
        meta=_("Article, read %(when)s") % {"when": words.moment(first.read_at, now)},
        article=True,
        rows=tuple(used or rows[:1]),
        fresh=freshness(pack, [(Kind.STATEMENT, first.read_at)] if used else [], now),
        url=first.url,
    )


def freshness(pack: RulePack, read: Iterable[tuple[Kind, datetime]], now: datetime) -> Fresh:
    for kind, at in sorted(read, key=lambda one: one[1]):
        limit = timedelta(seconds=pack.max_age_for(kind).draft_s)
        if now - at > limit:
            return Fresh(
                False, _("%(age)s old, limit %(limit)s") % {"age": words.span(now - at), "limit": words.span(limit)}
            )
    return Fresh(True, _("fresh"))


def _numbers(source: str, claims: Iterable[Claim]) -> tuple[int, ...]:
    return tuple(claim.number for claim in claims if claim.source == source)


def _near(source: str, claims: Iterable[Claim]) -> bool:
    """It is named with a claim that it does not support."""
    mine = [claim for claim in claims if claim.source == source]
    return bool(mine) and all(claim.gap for claim in mine)


def _first_number(card: Card) -> int:
    return min((number for row in card.rows for number in row.numbers), default=10_000)


Row = TypeVar("Row")
Key = TypeVar("Key")


def _grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> Mapping[Key, list[Row]]:
    found: dict[Key, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def owned(draft: Draft, claims: Sequence[Claim]) -> Iterator[Owned]:
    names = (
        dict(
            User.objects.filter(username__in=[one["person"] for one in draft.owned]).values_list(
                "username", "last_name"
            )
        )
        if draft.owned
        else {}
    )
    for claim in claims:
        for one in draft.owned:
            if claim.style == "mine" and one["text"] == claim.sentence:
                yield Owned(claim.number, one["text"], names.get(one["person"]) or one["person"], one["reason"])
                break


def held_back(mail: Mail) -> tuple[HeldBack, ...]:
    held = evidence.withheld_of(mail)
    return tuple(HeldBack(words.plain(one.field), words.plain(one.register), one.reason) for one in held)


# --- what is left, and what happened


def left_to_do(sheet: Sheet) -> tuple[Left, ...]:
    """What the person must do. Old values are no work for them: approving reads those again."""
    gaps, checks = sheet.letter.gaps, len(sheet.ticks)
    left = (
        Left(len(gaps), ngettext("statement without a source", "statements without a source", len(gaps)), _place(gaps)),
        Left(checks, ngettext("check", "checks", checks), "checks"),
    )
    return tuple(one for one in left if one.number)


def _place(gaps: Sequence[Claim]) -> str:
    return f"c{gaps[0].number}" if gaps else ""


def log(events: Sequence[Event], now: datetime) -> list[LogLine]:
    names = _names(event.actor.removeprefix("person:") for event in events if event.actor.startswith("person:"))
    return [
        LogLine(
            at=event.at,
            time=words.moment(event.at, now),
            who=_actor(event.actor, names),
            action=event.action,
            way=" → ".join(
                str(words.STATES.get(state, state)) for state in (event.from_state, event.to_state) if state
            ),
            reason=event.reason,
        )
        for event in reversed(events)
    ]


def _names(usernames: Iterable[str]) -> dict[str, str]:
    wanted = set(usernames)
    people = User.objects.filter(username__in=wanted) if wanted else []
    return {person.get_username(): words.name_of(person) for person in people}


def _actor(actor: str, names: Mapping[str, str]) -> str:
    kind, _colon, who = actor.partition(":")
    if kind == "person":
        return names.get(who, who)
    return _("Model %(name)s") % {"name": who} if kind == "model" else words.plain(who).capitalize()


# --- while somebody writes


def content(mail: Mail, draft: Draft, spans: Sequence[Span]) -> str:
    """What the person has before them. Age alone is no change of content: approving reads old values again."""
    ageless = tuple(replace(s, verdict=Verdict.SUPPORTED) if s.verdict is Verdict.STALE else s for s in spans)
    return review.content_hash(mail, draft, ageless)


def content_now(mail: Mail) -> str:
    """What an approval would be about at this moment: equal to what the page showed, or something has changed."""
    draft: Draft | None = getattr(mail, "draft", None)
    if draft is None:
        return ""
    prefetch_related_objects([mail], "facts", "passages")
    return content(mail, draft, evidence.spans_of(draft, configured().rule_pack(), timezone.now()))


def check(mail: Mail, body: str) -> Letter:
    """A text that is being written, against the same evidence; nothing is stored."""
    now = timezone.now()
    prefetch_related_objects([mail], "facts", "passages")
    draft: Draft = mail.draft
    facts = [fact for fact in mail.facts.all() if fact.may_be_told]
    spans = evidence.spans_of(draft, configured().rule_pack(), now, body)
    return letter.lay_out(body, spans, proofs(facts, mail.passages.all(), now))


def file_name(name: str, number: int) -> str:
    """The name a download is saved under: without direction marks and paths, and never empty."""
    plain = "".join(letter for letter in name.replace("\\", "/").rpartition("/")[2] if letter.isprintable())
    return plain.strip(" .")[:120] or f"attachment-{number + 1}"
