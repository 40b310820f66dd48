"""Reads facts and passages again before a reply leaves (TRUST: reading again at sending). A change stops the reply."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from rules.look_ups import Ask
from rules.pack import ARTICLES, RulePack
from rules.values import Kind
from worker.intake import message_of
from worker.lookup import Asked, gathered_from, registers_of
from worker.models import Fact, LookUp, Mail, Passage
from worker.municipality import configured


def changed(mail: Mail, pack: RulePack) -> list[str]:
    """Names of what reads differently now. Raises ConnectorError when a register cannot be asked.

    Facts older than their kind allows at sending are read again in one pass, and equal ones get `rechecked_at`; cited
    passages are read again always, since articles lie close at hand.
    """
    return [*facts_changed(mail, pack), *articles_changed(mail, pack)]


def facts_changed(mail: Mail, pack: RulePack) -> list[str]:
    now = timezone.now()
    old = [fact for fact in mail.facts.filter(may_be_told=True).select_related("look_up") if _too_old(fact, pack, now)]
    if not old:
        return []
    asked = [_ask_again(look_up) for look_up in {fact.look_up_id: fact.look_up for fact in old}.values()]
    fresh = gathered_from(pack, message_of(mail), asked)
    values = {fact.id: fact.value for record in fresh.records for fact in record.told.values()}
    differing = [fact for fact in old if values.get(fact.fact_id) != fact.value]
    Fact.objects.filter(pk__in=[fact.pk for fact in old if fact not in differing]).update(rechecked_at=now)
    return [f"{fact.register} {fact.field}" for fact in differing]


def articles_changed(mail: Mail, pack: RulePack) -> list[str]:
    """Titles of cited articles that have another text now, or none. Paragraphs that had grown too old for a draft and
    read the same count as read now."""
    passages = list(mail.passages.all())
    cited = [passage for passage in passages if passage.cited]
    if not passages:
        return []
    asked = [_ask_again(look_up) for look_up in mail.look_ups.filter(register=ARTICLES)]
    fresh = gathered_from(pack, message_of(mail), asked)
    texts = {passage.id: passage.text for article in fresh.articles for passage in article.passages}
    now = timezone.now()
    too_old = now - timedelta(seconds=pack.max_age_for(Kind.STATEMENT).draft_s)
    same = [passage.pk for passage in passages if texts.get(passage.passage_id) == passage.text]
    Passage.objects.filter(pk__in=same, read_at__lt=too_old).update(read_at=now)
    return [passage.title for passage in cited if passage.pk not in same]


def _too_old(fact: Fact, pack: RulePack, now: datetime) -> bool:
    read = fact.rechecked_at or fact.read_at
    return now - read > timedelta(seconds=pack.max_age_for(Kind(fact.kind)).send_s)


def _ask_again(look_up: LookUp) -> Asked:
    ask = Ask(look_up.register, look_up.keyed_on, look_up.value, look_up.language, look_up.next_by)
    return Asked(ask, registers_of(configured()).ask(ask))
