"""The way of one mail from read to waiting. `triage` reads like a recipe; each step is a call of its own.

The row lock is the claim: a task that comes twice finds the row taken or the state moved on, and does nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django import db
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from pydantic import TypeAdapter

from connectors.errors import ConnectorError
from rules import reasons
from rules.drafting import Gathered, reply_to
from rules.lifecycle import MailState
from rules.pack import REASONS, RulePack
from rules.values import Message, Reply, ReplyKind, Understanding
from worker import events, evidence, intake
from worker.lookup import Asked, gather, registers_of
from worker.models import Draft, Mail
from worker.municipality import Municipality, configured
from worker.teaching import reasons_taught
from worker.understanding import NO_MODEL, by_rules_alone, second_opinion, understand
from worker.understanding.second_opinion import Call

log = logging.getLogger(__name__)

ACTOR = "process:worker"
UNDERSTANDING = TypeAdapter(Understanding)
"""Writes an Understanding to JSON and reads it back."""
TRIAGED = (MailState.RECEIVED, MailState.READ, MailState.UNDERSTOOD)
ALSO_THERE = "The same mail came to %s too and is worked on there, so that the resident gets one reply."
NOBODY_ASKED = (
    "What the mail is about is not known, since the model could not be asked. Tell an administrator; "
    "once that is mended, the mail can be read anew."
)
MOST_ATTEMPTS = 6
"""Tries before a person is asked; to reach a register, with the waits below, they take about an hour."""


def triage(mail_id: int) -> MailState | None:
    """Bring one mail as far as the machine may. None when it is in other hands, has to wait or is already further."""
    try:
        if count_attempt(mail_id) > MOST_ATTEMPTS:
            return set_aside(mail_id, f"Work on this mail broke off {MOST_ATTEMPTS} times. It was kept whole.")
        way = _bring_on(mail_id)
        return _with_opinion(mail_id, way) if isinstance(way, _Way) else way
    except Exception as error:  # the task's edge: one bad mail never stops the next
        log.exception("triage failed", extra={"mail": mail_id})
        return set_aside(mail_id, f"The mail could not be processed ({type(error).__name__}). It was kept whole.", True)


def _bring_on(mail_id: int) -> MailState | _Way | None:
    """To the end; or as far as to where a second opinion is wanted, which is asked for while no row is locked."""
    with transaction.atomic():
        mail = claim(mail_id)
        if mail is None:
            return None
        way = _gathered(mail, configured())
        if way is not None and _wants_opinion(mail, way):
            mail.next_try_at, mail.state_since = None, timezone.now()  # nobody else asks meanwhile
            mail.save()
            return way
        if way is not None:
            _finish(mail, way)
        mail.save()
        return MailState(mail.state)


def _with_opinion(mail_id: int, way: _Way) -> MailState | None:
    call = second_opinion.on(way.municipality, way.pack, way.message, way.understanding.language.code)
    remember_call(mail_id, way.pack, call)
    with transaction.atomic():
        mail = claim(mail_id)
        if mail is None or understanding_of(mail) != way.understanding:  # it was corrected, or read anew, meanwhile
            return None
        if call.opinion is not None:
            way = replace(way, understanding=second_opinion.joined(way.understanding, call.opinion))
            remember_opinion(mail, way.understanding)
        _finish(mail, way)
        mail.save()
        return MailState(mail.state)


def _gathered(mail: Mail, municipality: Municipality) -> _Way | None:
    """None when the mail ends here without a reply, or has to wait for a register."""
    pack = municipality.rule_pack()
    if mail.state == MailState.RECEIVED:
        intake.remember(mail, _read(mail))
    message = intake.message_of(mail)
    is_new = mail.state == MailState.READ or not mail.queue
    if mail.state == MailState.READ:
        if message.needs_nobody and not reasons.names_danger(pack, message):
            no_reply(mail, message)
            return None
        was_understood = mail.understanding is not None
        remember_understanding(mail, understood(mail, message, pack))
        if was_understood:
            keep_added_reasons(mail)
    understanding = understanding_of(mail)
    try:
        with transaction.atomic():
            gathered, asked = gather(pack, registers_of(municipality), message, understanding)
    except ConnectorError as error:
        try_later(mail, error)
        return None
    return _Way(municipality, pack, message, understanding, gathered, asked, is_new)


def _read(mail: Mail) -> Message:
    return intake.read(mail.mailbox, mail.raw, from_directory=mail.from_directory)


def understood(mail: Mail, message: Message, pack: RulePack) -> Understanding:
    """Without a model the rules of the pack still speak, so that no mail that tells of danger lies before everybody."""
    try:
        return understand(message, pack)
    except db.Error:
        raise
    except Exception as error:  # whatever is wrong with the model, the mail comes before a person
        why = type(error).__name__
        log.error("model could not be asked", extra={"mail": mail.pk, "reason": why})
        events.record("model could not be asked", f"mail:{mail.pk}", actor=ACTOR, reason=why)
        return by_rules_alone(message, pack)


def _wants_opinion(mail: Mail, way: _Way) -> bool:
    """A restricted case reaches no language model, whether the mail, a register or an earlier mail made it so."""
    return (
        way.is_new
        and second_opinion.is_wanted(way.municipality, way.understanding)
        and not way.gathered.protected_identity
        and not in_restricted_case(mail)
    )


def in_restricted_case(mail: Mail) -> bool:
    """Also while an earlier mail of its case is still to be judged."""
    restricted = Q(state=MailState.RESTRICTED) | Q(queue="restricted") | Q(reasons__has_any_keys=sorted(reasons.DANGER))
    unjudged = Q(state__in=TRIAGED, pk__lt=mail.pk)
    return Mail.objects.filter(restricted | unjudged, case=mail.case_id).exists()


def _finish(mail: Mail, way: _Way) -> None:
    finish(mail, way.pack, way.message, way.understanding, way.gathered, way.asked)


def count_attempt(mail_id: int) -> int:
    """Counted before the work begins: a mail that kills its worker leaves no other trace. 0 when it is not claimed."""
    with transaction.atomic():
        mail = claim(mail_id)
        if mail is None:
            return 0
        mail.attempts += 1
        mail.save(update_fields=["attempts"])
        return mail.attempts


def claim(mail_id: int) -> Mail | None:
    """Its bytes stay out, so that saving the row does not seal and write them again."""
    rows = Mail.objects.select_for_update(skip_locked=True, of=("self",)).select_related("case", "mailbox").defer("raw")
    its_turn = Q(next_try_at__isnull=True) | Q(next_try_at__lte=timezone.now())
    return rows.filter(its_turn, pk=mail_id, state__in=TRIAGED).first()


def set_aside(mail_id: int, sentence: str, by_rules: bool = False) -> MailState | None:
    """`by_rules`: let them say first whether it tells of danger. Not of a mail whose reading killed the worker."""
    with transaction.atomic():
        mail = claim(mail_id)
        if mail is None:
            return None
        if by_rules and not mail.reasons:
            mail.reasons = seen_by_rules(mail)
        if not reasons.DANGER.isdisjoint(mail.reasons):
            mail.queue = "restricted"
        hand_to_person(mail, sentence)
        mail.save()
        return MailState(mail.state)


def seen_by_rules(mail: Mail) -> list[str]:
    """Of a mail that nothing else could judge. None when it cannot be read."""
    try:
        with transaction.atomic():
            is_read = mail.state != MailState.RECEIVED
            message = intake.message_of(mail) if is_read else _read(mail)
            return list(by_rules_alone(message, configured().rule_pack()).reasons)
    except Exception as error:  # it is set aside because something failed, which may be this
        log.warning("not even rules could judge a mail", extra={"mail": mail.pk, "reason": type(error).__name__})
        return []


@dataclass(frozen=True, slots=True)
class _Way:
    """What is known of a mail at the point where another may be asked about it."""

    municipality: Municipality
    pack: RulePack
    message: Message
    understanding: Understanding
    gathered: Gathered
    asked: tuple[Asked, ...]
    is_new: bool
    """It has not come before a person yet, or was read anew."""


def no_reply(mail: Mail, message: Message) -> None:
    reason = f"{message.kind.value}: {message.reply_blocked_by}"
    events.move(mail, MailState.NO_REPLY, actor=ACTOR, action="no reply due", reason=reason)


def remember_understanding(mail: Mail, understanding: Understanding) -> None:
    mail.understanding = UNDERSTANDING.dump_python(understanding, mode="json")
    mail.language = understanding.language.code
    mail.intent = mail.guessed_intent = understanding.intent
    mail.confidence = understanding.confidence
    mail.abstained = mail.guessed_abstained = understanding.abstained
    mail.reasons = list(understanding.reasons)
    model = understanding.model
    events.move(
        mail,
        MailState.UNDERSTOOD,
        actor=f"model:{model.name}@{model.version}",
        action="mail understood",
        language=mail.language,
        intent=mail.intent,
        confidence=round(understanding.confidence, 4),
        abstained=mail.abstained,
        reasons=mail.reasons,
        rules_fired=list(understanding.rules_fired),
        national_ids=len(understanding.national_ids),
        model_sha256=model.sha256,
    )


def keep_added_reasons(mail: Mail) -> None:
    """A mail that is read anew keeps the reasons that people have added."""
    added, _taken = reasons_taught(mail.corrections.all())
    understanding = understanding_of(mail)
    reasons = tuple(reason for reason in REASONS if reason in understanding.reasons or reason in added)
    mail.understanding = UNDERSTANDING.dump_python(replace(understanding, reasons=reasons), mode="json")
    mail.reasons = list(reasons)


def remember_call(mail_id: int, pack: RulePack, call: Call) -> None:
    """Committed at once: the call was made, whatever becomes of the mail."""
    opinion = call.opinion
    said: dict[str, Any] = {"intent": opinion.intent or "", "reasons": list(opinion.reasons)} if opinion else {}
    events.record(
        "second opinion" if opinion else "no second opinion",
        f"mail:{mail_id}",
        actor=call.actor,
        reason=call.fault,
        pack=pack_name(pack),
        task_sha256=call.task_sha256,
        letter_chars=call.letter_chars,
        answer_bytes=call.answer_bytes,
        seconds=call.seconds,
        **said,
    )


def remember_opinion(mail: Mail, understanding: Understanding) -> None:
    added = [reason for reason in understanding.reasons if reason not in mail.reasons]
    mail.understanding = UNDERSTANDING.dump_python(understanding, mode="json")
    mail.reasons = [*mail.reasons, *added]


def understanding_of(mail: Mail) -> Understanding:
    return UNDERSTANDING.validate_python(mail.understanding)


def try_later(mail: Mail, error: ConnectorError) -> None:
    """A register is down: the mail keeps its place and is tried again, at last by a person."""
    if mail.attempts >= MOST_ATTEMPTS:
        hand_to_person(mail, f"A register could not be read: {error.sentence}")
        return
    mail.fault = error.sentence[:500]
    mail.next_try_at = timezone.now() + timedelta(seconds=error.retry_after_s or 15 * 2**mail.attempts)
    events.record("register unavailable", f"mail:{mail.pk}", actor=ACTOR, reason=error.sentence)


def finish(
    mail: Mail,
    pack: RulePack,
    message: Message,
    understanding: Understanding,
    gathered: Gathered,
    asked: tuple[Asked, ...],
) -> None:
    reply = reply_to(pack, message, understanding, gathered, timezone.now())
    evidence.keep(mail, pack, gathered, asked, reply)
    mail.queue, mail.fault, mail.next_try_at = reply.approval.queue, "", None
    if gathered.protected_identity and "protected_identity" not in mail.reasons:
        mail.reasons = [*mail.reasons, "protected_identity"]
    twin = intake.twin_of(mail) if reply.kind is ReplyKind.DRAFT else None
    if twin is not None:
        hand_to_person(mail, ALSO_THERE % twin.mailbox.name)
    elif reply.kind is ReplyKind.DRAFT:
        put_before_a_person(mail, pack, gathered, reply)
    elif reply.approval.queue == "restricted":
        events.move(mail, MailState.RESTRICTED, actor=ACTOR, action="restricted", reason=reply.why[0])
    else:
        is_unread = understanding.model == NO_MODEL and understanding.abstained and not message.sender.suspicious
        hand_to_person(mail, NOBODY_ASKED if is_unread else reply.why[0])


def put_before_a_person(mail: Mail, pack: RulePack, gathered: Gathered, reply: Reply) -> None:
    events.move(
        mail,
        MailState.GATHERED,
        actor=ACTOR,
        action="facts gathered",
        look_ups=[[one.register, one.keyed_on, one.found] for one in gathered.look_ups],
        withheld=[[one.register, one.field, one.field_class.value] for one in gathered.withheld],
    )
    keep_draft(mail, pack, reply)
    supported = sum(span.verdict.may_leave for span in reply.spans)
    events.move(
        mail,
        MailState.DRAFTED,
        actor=ACTOR,
        action="reply drafted",
        pack=pack_name(pack),
        spans=len(reply.spans),
        supported=supported,
    )
    events.move(
        mail,
        MailState.WAITING,
        actor=ACTOR,
        action="waits for review",
        queue=mail.queue,
        people=reply.approval.people,
        ticks=list(reply.approval.ticks),
    )


def keep_draft(mail: Mail, pack: RulePack, reply: Reply) -> None:
    """A first draft, or the next version of the one there is."""
    now = timezone.now()
    draft = Draft.objects.filter(mail=mail).first() or Draft(mail=mail, version=0)
    draft.version += 1
    draft.language, draft.subject = reply.language, reply.subject
    draft.body = draft.first_body = reply.body
    draft.recipients = {"to": list(reply.recipients.to), "cc": list(reply.recipients.cc)}
    draft.why = list(reply.why)
    draft.people, draft.ticks = reply.approval.people, list(reply.approval.ticks)
    draft.owned, draft.editor = [], None
    draft.pack = pack_name(pack)
    draft.made_at = draft.changed_at = now
    draft.save()


def pack_name(pack: RulePack) -> str:
    return f"{pack.name}@{pack.version}:{pack.sha256[:16]}"


def hand_to_person(mail: Mail, sentence: str) -> None:
    mail.fault, mail.next_try_at = sentence[:500], None
    mail.queue = mail.queue or "reviewers"
    events.move(mail, MailState.NEEDS_ATTENTION, actor=ACTOR, action="needs attention", reason=sentence)
