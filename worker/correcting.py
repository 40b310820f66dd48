"""What a reviewer teaches of a mail: its intent, its language, its reasons. The reply is drafted again from there.

A reason can be added at any time. Taken away can only be what the model guessed or a colleague added: what a rule, an
id or a register gave stands, since a screen must not talk the pack out of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from django.db import transaction
from django.utils import timezone

from rules import reasons as reason_rules
from rules.lifecycle import MailState
from rules.pack import REASONS, RulePack
from rules.values import LANGUAGES, Understanding
from worker import events, intake, review, teaching
from worker.models import Correction, Draft, Mail
from worker.municipality import configured
from worker.review import Person, Refusal, acting_on, actor, must_be
from worker.triage import UNDERSTANDING, understanding_of

CORRECTABLE = (MailState.WAITING, MailState.NEEDS_ATTENTION, MailState.REJECTED)


class By(StrEnum):
    """Who gave a reason."""

    RULE = "rule"
    ID = "id"
    REGISTER = "register"
    PERSON = "person"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Given:
    reason: str
    by: By

    @property
    def may_go(self) -> bool:
        return self.by in (By.MODEL, By.PERSON)


def given(mail: Mail, understood: Understanding, pack: RulePack) -> tuple[Given, ...]:
    """Each reason why a person must look, and the firmest ground it stands on."""
    added, _taken = teaching.reasons_taught(mail.corrections.all())
    ruled = _by_rules(understood, pack)
    return tuple(
        Given(reason, _by(reason, understood, ruled, added))
        for reason in REASONS
        if reason in mail.reasons or reason in understood.reasons
    )


def _by(reason: str, understood: Understanding, ruled: Collection[str], added: Collection[str]) -> By:
    if reason not in understood.reasons:
        return By.REGISTER
    # The model never guesses this one, and of what is hidden in a mail no id is kept.
    if reason == "national_id" and (understood.national_ids or reason not in added):
        return By.ID
    if reason in ruled:
        return By.RULE
    return By.PERSON if reason in added else By.MODEL


def _by_rules(understood: Understanding, pack: RulePack) -> Collection[str]:
    """When a rule that fired is no longer in the pack, nobody knows what it gave: then all counts as given by rules."""
    reason_of = {rule.name: rule.reason for rule in pack.reasons}
    if any(name not in reason_of for name in understood.rules_fired):
        return REASONS
    return {reason_of[name] for name in understood.rules_fired}


def correct(
    mail_id: int,
    person: Person,
    intent: str,
    language: str,
    add: Collection[str] = (),
    take_away: Collection[str] = (),
) -> None:
    """Teach the right labels; the mail goes through look-ups, policy and drafting again."""
    pack = configured().rule_pack()
    with acting_on(mail_id) as mail:
        must_be(mail, *CORRECTABLE)
        _only_known(pack, mail, intent, language, (*add, *take_away))
        if mail.understanding is None:
            raise Refusal("This mail could not be read by the machine, so there is nothing to correct.")
        before = understanding_of(mail)
        understood = _in_language(mail, before, pack, language)
        new = [reason for reason in REASONS if reason in add and reason not in mail.reasons]
        gone = _may_go(given(mail, understood, pack), take_away, add)
        corrected = replace(
            understood,
            intent=intent,
            abstained=False,
            reasons=tuple(r for r in REASONS if (r in understood.reasons and r not in gone) or r in new),
        )
        did = "corrected" if new or gone or (intent, language) != (mail.intent, mail.language) else "confirmed"
        _teach(mail, person, intent, language, new, gone)
        _remember(mail, before, corrected)
        draft = Draft.objects.filter(mail=mail).first()
        if draft:
            review.void_approvals(draft, f"what the mail is about was {did}")
        events.move(
            mail,
            MailState.UNDERSTOOD,
            actor=actor(person),
            action=did,
            reason=", ".join([intent, language, *(f"+{reason}" for reason in new), *(f"-{reason}" for reason in gone)]),
            reasons_added=new,
            reasons_taken_away=gone,
        )
        transaction.on_commit(lambda: review.triage_later(mail_id), robust=True)


def languages_for(mail: Mail) -> tuple[str, ...]:
    """What the mail may be said to be written in. One in none of our languages may stay so: a person answers it."""
    return (*LANGUAGES, "other") if mail.language == "other" else LANGUAGES


def _only_known(pack: RulePack, mail: Mail, intent: str, language: str, reasons: Iterable[str]) -> None:
    if intent not in pack.intents or language not in languages_for(mail) or not set(reasons) <= set(REASONS):
        raise Refusal("Choose intent, language and reasons from the lists.")


def _in_language(mail: Mail, understood: Understanding, pack: RulePack, language: str) -> Understanding:
    """In another language other rules of the pack speak; like all rules they can only add."""
    if language == understood.language.code:
        return replace(understood, language=replace(understood.language, confidence=1.0))
    message = intake.message_of(mail)
    fired = reason_rules.fired(pack, message.subject, message.text, language, hidden=message.hidden_text)
    return replace(
        understood,
        language=replace(understood.language, code=language, confidence=1.0),
        rules_fired=tuple(dict.fromkeys([*understood.rules_fired, *(name for name, _ in fired)])),
        reasons=tuple(r for r in REASONS if r in understood.reasons or r in {reason for _, reason in fired}),
    )


def _may_go(standing: Iterable[Given], take_away: Collection[str], add: Collection[str]) -> list[str]:
    wanted = {one.reason: one for one in standing if one.reason in take_away}
    for reason in take_away:
        if reason in add:
            raise Refusal(f"{_plain(reason)} cannot be added and taken away at once.")
        if reason not in wanted:
            raise Refusal(f"{_plain(reason)} is no reason of this mail any more. Look at it again.")
        if not wanted[reason].may_go:
            article = "an" if wanted[reason].by is By.ID else "a"
            raise Refusal(
                f"{_plain(reason)} comes from {article} {wanted[reason].by}, so it cannot be taken away here."
            )
    return list(wanted)


def _plain(reason: str) -> str:
    return f"“{reason.replace('_', ' ')}”"


def _teach(mail: Mail, person: Person, intent: str, language: str, new: list[str], gone: list[str]) -> None:
    """An intent that the machine guessed and did not dare to say is taught too when the guess was right."""
    changes = [("intent", mail.intent, intent), ("language", mail.language, language)]
    changes += [("reason", "", reason) for reason in new] + [("reason", reason, "") for reason in gone]
    for field, before, after in changes:
        if before != after or (field == "intent" and mail.abstained):
            Correction.objects.create(
                mail=mail, field=field, before=before, after=after, person=person, at=timezone.now()
            )


def _remember(mail: Mail, before: Understanding, corrected: Understanding) -> None:
    """What a register said of the sender is no part of the understanding, and stays."""
    by_register = [reason for reason in mail.reasons if reason not in before.reasons]
    mail.understanding = UNDERSTANDING.dump_python(corrected, mode="json")
    mail.intent, mail.language, mail.abstained = corrected.intent, corrected.language.code, False
    mail.reasons = list(dict.fromkeys([*corrected.reasons, *by_register]))
    mail.attempts = 0
