"""The door through which a person changes what happens to a mail: edit, own, approve, take back, reject, reassign,
close; `correcting` and `again` are the rest of it. Every act checks that the person saw the newest version, and leaves
an event with their name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from connectors.errors import ConnectorError
from rules import approval
from rules.drafting import situation
from rules.lifecycle import MailState
from rules.pack import RulePack
from rules.policy import decide
from rules.values import Kind, Span, Verdict
from worker import events, evidence, intake, recheck, replies
from worker.models import Approval, Draft, Mail, Mailbox, Outgoing, Revision
from worker.municipality import configured
from worker.triage import pack_name, understanding_of

Person = User
"""A signed-in colleague. Whether they may see the mailbox is checked where the mail is found (`review_ui.access`)."""

CLOSE_REASONS = ("spam or advertising", "answered elsewhere", "thanks, no question", "duplicate")
REJECT_REASONS = (
    "does not answer the question",
    "a fact is wrong",
    "the source is out of date",
    "tone or language",
    "should not be answered by mail",
)
LONGEST_BODY = 50_000


class Refusal(Exception):
    """The act was not done; `sentence` tells the person why and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Changed(Refusal):
    """Somebody else was quicker: the person acted on an older version."""

    def __init__(self) -> None:
        super().__init__("The draft has changed since you opened it. Look at it again before you act.")


class RegisterChanged(Refusal):
    """A source says something else than when the draft was made."""

    def __init__(self, fields: list[str]) -> None:
        super().__init__(
            f"A source has changed since the draft was made: {', '.join(fields)}. "
            "The reply is being drafted again; look at it before you approve."
        )


@dataclass(frozen=True, slots=True)
class LeftToDo:
    """What stands between a draft and its approval."""

    unsupported: tuple[Span, ...]
    stale: tuple[Span, ...]
    ticks: tuple[str, ...]
    people: int
    """How many more people must approve, the one who asks included."""

    @property
    def nothing(self) -> bool:
        return not (self.unsupported or self.stale or self.ticks)


@contextmanager
def acting_on(mail_id: int, version: int | None = None) -> Iterator[Mail]:
    """The mail, locked for one act, saved at its end. `version` is the draft version that the person saw."""
    with transaction.atomic():
        rows = Mail.objects.select_for_update(of=("self",)).select_related("mailbox", "case")
        mail = rows.defer("raw").get(pk=mail_id)
        if version is not None and _draft(mail).version != version:
            raise Changed
        yield mail
        mail.save()


def _draft(mail: Mail) -> Draft:
    draft = Draft.objects.filter(mail=mail).first()
    if draft is None:
        raise Refusal("There is no draft for this mail yet.")
    return draft


def actor(person: Person) -> str:
    return f"person:{person.get_username()}"


def left_to_do(draft: Draft, pack: RulePack, ticked: Collection[str] = (), now: datetime | None = None) -> LeftToDo:
    spans = evidence.spans_of(draft, pack, now or timezone.now())
    return LeftToDo(
        unsupported=tuple(s for s in spans if not s.verdict.may_leave and s.verdict is not Verdict.STALE),
        stale=tuple(s for s in spans if s.verdict is Verdict.STALE),
        ticks=tuple(tick for tick in draft.ticks if tick not in ticked),
        people=draft.people - draft.approvals.filter(voided_at__isnull=True).count(),
    )


def edit(mail_id: int, person: Person, version: int, body: str, subject: str | None = None) -> Draft:
    """Replace the text. What stood before is kept; every approval given so far is void."""
    body = body.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not body:
        raise Refusal("The reply is empty. Write it, or reject the draft.")
    if len(body) > LONGEST_BODY:
        raise Refusal(f"The reply is longer than {LONGEST_BODY} characters. Shorten it.")
    with acting_on(mail_id, version) as mail:
        draft = _draft(mail)
        must_be(mail, MailState.WAITING, MailState.REJECTED)
        if body == draft.body and subject in (None, draft.subject):
            return draft
        Revision.objects.create(draft=draft, version=draft.version, body=draft.body, person=person, at=timezone.now())
        draft.body = body
        draft.subject = outgoing_subject(subject) if subject is not None else draft.subject
        changed(mail, draft, person)
        if mail.state == MailState.REJECTED:
            events.move(mail, MailState.WAITING, actor=actor(person), action="draft rewritten")
        else:
            events.record("draft edited", f"mail:{mail.pk}", actor=actor(person), version=draft.version)
        return draft


def outgoing_subject(subject: str) -> str:
    return " ".join(subject.split())[:200]


def changed(mail: Mail, draft: Draft, person: Person) -> None:
    """Any change of content makes a new version, takes every approval back and is put to the policy again."""
    draft.version += 1
    draft.editor = person
    draft.changed_at = timezone.now()
    ask_for_more(mail, draft)
    draft.save()
    void_approvals(draft, "the draft was edited")


def ask_for_more(mail: Mail, draft: Draft) -> None:
    """What a person wrote may state an outcome or a sum that the machine's draft did not. Nothing is asked less of."""
    pack = configured().rule_pack()
    spans = evidence.spans_of(draft, pack, timezone.now())
    ruling = decide(pack, situation(intake.message_of(mail), understanding_of(mail), mail.reasons, spans))
    draft.people = max(draft.people, ruling.approval.people)
    draft.ticks = list(dict.fromkeys([*draft.ticks, *ruling.approval.ticks]))
    draft.why = list(dict.fromkeys([*draft.why, *ruling.why]))
    mail.queue = ruling.approval.queue


def void_approvals(draft: Draft, because: str) -> None:
    draft.approvals.filter(voided_at__isnull=True).update(voided_at=timezone.now(), voided_because=because)


def own(mail_id: int, person: Person, version: int, sentence: str, reason: str) -> Draft:
    """Take responsibility for a sentence that no source supports. Kept with name and reason."""
    if not reason.strip():
        raise Refusal("Write how you know it, or cut the sentence.")
    with acting_on(mail_id, version) as mail:
        draft = _draft(mail)
        must_be(mail, MailState.WAITING)
        if sentence not in draft.body:
            raise Changed
        if _holds_back(draft, sentence):
            raise Refusal(
                "This sentence tells something that the disclosure gate holds back. Cut it; nobody can own it."
            )
        draft.owned = [*draft.owned, {"text": sentence, "person": person.get_username(), "reason": reason.strip()}]
        changed(mail, draft, person)
        events.record("responsibility taken", f"mail:{mail.pk}", actor=actor(person), version=draft.version)
        return draft


def _holds_back(draft: Draft, sentence: str) -> bool:
    start = draft.body.index(sentence)
    spans = evidence.spans_of(draft, configured().rule_pack(), timezone.now())
    inside = (span for span in spans if span.start < start + len(sentence) and span.end > start)
    return any(span.verdict is Verdict.WITHHELD for span in inside)


def cut(mail_id: int, person: Person, version: int, sentence: str) -> Draft:
    """Take one sentence out of the draft."""
    body = Draft.objects.get(mail_id=mail_id).body
    if sentence not in body:
        raise Changed
    before, _, after = body.partition(sentence)
    joined = before.rstrip(" ") + (" " if before[-1:] not in ("", "\n") and after[:1] not in ("", "\n") else "")
    return edit(
        mail_id, person, version, joined.rstrip(" ") + after if after[:1] in ("", "\n") else joined + after.lstrip(" ")
    )


def read_again(mail_id: int, person: Person, version: int | None = None) -> list[str]:
    """Ask the registers again for what a draft rests on. Where something reads differently now, the reply is drafted
    again and the text so far is kept as a revision. Returns the names of what changed."""
    with acting_on(mail_id, version) as mail:
        draft = _draft(mail)
        must_be(mail, MailState.WAITING)
        try:
            changes = recheck.changed(mail, configured().rule_pack())
        except ConnectorError as error:
            raise Refusal(f"The values could not be read again: {error.sentence}") from None
        if changes:
            draft_again(mail, draft, changes, actor(person))
        return changes


def draft_again(mail: Mail, draft: Draft, changes: list[str], who: str) -> None:
    """A source reads differently now: no approval holds, and the reply is made from what the sources say today."""
    because = "Read differently now: " + ", ".join(changes)
    Revision.objects.create(draft=draft, version=draft.version, body=draft.body, person=None, at=timezone.now())
    void_approvals(draft, because[:200])
    mail.attempts = 0
    events.move(mail, MailState.UNDERSTOOD, actor=who, action="drafted again", reason=because)
    transaction.on_commit(lambda: triage_later(mail.pk), robust=True)  # broker down: the sweep finds the row


def content_hash(mail: Mail, draft: Draft, spans: tuple[Span, ...]) -> str:
    """What an approval of this draft is bound to, computed from the rows as they are now."""
    return approval.content_hash(
        recipients=replies.recipients_of(draft),
        sender=mail.mailbox.address,
        subject=draft.subject,
        body=draft.body,
        quotation=replies.quotation_of(mail, draft),
        thread=replies.thread_of(mail),
        spans=spans,
        facts=values_behind(mail, spans),
        pack=pack_name(configured().rule_pack()),
    )


def values_behind(mail: Mail, spans: tuple[Span, ...]) -> dict[str, str]:
    """Each fact that a span rests on, with its value and when it was first read, and each passage with its text: that
    is its version, since reading the same text again later changes nothing."""
    used = {span.source for span in spans if span.source}
    facts = {f.fact_id: f"{f.value} @ {f.read_at.isoformat()}" for f in mail.facts.all() if f.fact_id in used}
    passages = {p.passage_id: p.text for p in mail.passages.all() if p.passage_id in used}
    return facts | passages


def approve(mail_id: int, person: Person, version: int, ticked: Collection[str]) -> Outgoing | None:
    """Approve exactly this version. Returns the reply on its way, or None when a second person must still approve.

    Values that have grown old while the draft waited are read again first, so that nobody approves yesterday's.
    """
    changes = read_again(mail_id, person, version)
    if changes:
        raise RegisterChanged(changes)
    with acting_on(mail_id, version) as mail:
        draft = _draft(mail)
        must_be(mail, MailState.WAITING)
        if mail.mailbox.mode != Mailbox.Mode.SENDS:
            raise Refusal(f"Nothing leaves from this mailbox. It is {mail.mailbox.get_mode_display()}.")
        pack = configured().rule_pack()
        left = left_to_do(draft, pack, ticked)
        if not left.nothing:
            raise Refusal(what_is_left(left))
        _may_approve(draft, person)
        spans = evidence.spans_of(draft, pack, timezone.now())
        digest = content_hash(mail, draft, spans)
        Approval.objects.create(
            draft=draft, person=person, at=timezone.now(), content_hash=digest, ticks=sorted(set(ticked))
        )
        if draft.approvals.filter(voided_at__isnull=True).count() < draft.people:
            events.record("first approval", f"mail:{mail.pk}", actor=actor(person), content_hash=digest)
            return None
        reply = put_in_outbox(mail, draft, digest)
        mail.fault = ""
        events.move(
            mail,
            MailState.APPROVED,
            actor=actor(person),
            action="reply approved",
            content_hash=digest,
            ticks=sorted(set(ticked)),
            version=draft.version,
        )
        return reply


def _may_approve(draft: Draft, person: Person) -> None:
    standing = draft.approvals.filter(voided_at__isnull=True)
    if standing.filter(person=person).exists():
        raise Refusal("You have approved this draft already. A second person must approve it too.")
    if draft.people > 1 and standing.exists() and draft.editor_id == person.pk:
        raise Refusal("You edited this draft last, so somebody else must be its second approver.")


def what_is_left(left: LeftToDo) -> str:
    parts = []
    if left.unsupported:
        parts.append(f"{len(left.unsupported)} statement{'s' * (len(left.unsupported) > 1)} without a source")
    if left.stale:
        parts.append(f"{len(left.stale)} value{'s' * (len(left.stale) > 1)} to read again")
    if left.ticks:
        parts.append(f"{len(left.ticks)} check{'s' * (len(left.ticks) > 1)}")
    return "Left to do: " + ", ".join(parts) + "."


def put_in_outbox(mail: Mail, draft: Draft, digest: str) -> Outgoing:
    """Fix the whole MIME and its Message-ID; it may be taken back until it is due."""
    now = timezone.now()
    message_id = replies.message_id_of(mail, digest)
    recipients = replies.recipients_of(draft)
    try:
        raw = replies.mime_of(mail, draft, message_id, now)
    except ValueError:
        raise Refusal(
            "No reply can be written with this address, subject and text. Correct them, or answer it the usual way."
        ) from None
    envelope = {"sender": mail.mailbox.address, "recipients": [*recipients.to, *recipients.cc]}
    reply, _ = Outgoing.objects.update_or_create(
        mail=mail,
        defaults={
            "message_id": message_id,
            "content_hash": digest,
            "raw": raw,
            "envelope": envelope,
            "due_at": now + timedelta(seconds=settings.UNDO_S),
            "lease_until": None,
            "attempts": 0,
            "unclear": 0,
            "fault": "",
        },
    )
    return reply


def take_back(mail_id: int, person: Person) -> None:
    """Undo an approval before the reply is due. Afterwards it is too late, and that is said."""
    with acting_on(mail_id) as mail:
        if mail.state in (MailState.SENDING, MailState.SENT):
            raise Refusal("The reply has already left, so it cannot be taken back.")
        must_be(mail, MailState.APPROVED)
        _take_out_of_outbox(mail, "taken back")
        events.move(mail, MailState.WAITING, actor=actor(person), action="approval taken back")


def _take_out_of_outbox(mail: Mail, because: str) -> None:
    """The draft is a new version: an approval that a browser repeats later on, of the old one, sends nothing."""
    draft = _draft(mail)
    Outgoing.objects.filter(mail=mail).delete()
    void_approvals(draft, because)
    draft.version += 1
    draft.save(update_fields=["version"])


def put_back(mail_id: int, person: Person) -> None:
    """After a reply could not be sent, or nobody knows whether it was: review it again. The person decides, by name."""
    with acting_on(mail_id) as mail:
        _must_be_unsent(mail)
        _take_out_of_outbox(mail, "not sent")
        mail.fault = ""
        events.move(mail, MailState.WAITING, actor=actor(person), action="put back for review")


def mark_sent(mail_id: int, person: Person) -> None:
    """After an unclear sending: the person found the reply with the resident or in Sent, and says so by name."""
    with acting_on(mail_id) as mail:
        _must_be_unsent(mail)
        Outgoing.objects.filter(mail=mail).update(sent_at=timezone.now(), filed_at=timezone.now(), fault="")
        mail.fault = ""
        events.move(mail, MailState.SENT, actor=actor(person), action="marked as sent")


def _must_be_unsent(mail: Mail) -> None:
    must_be(mail, MailState.NEEDS_ATTENTION)
    if not Outgoing.objects.filter(mail=mail, sent_at__isnull=True).exists():
        raise Refusal("No reply to this mail was on its way.")


def reject(mail_id: int, person: Person, version: int, reasons: Collection[str]) -> None:
    """Set the draft aside with a reason; the case stays open and is the person's to answer."""
    chosen = [reason for reason in REJECT_REASONS if reason in reasons]
    if not chosen:
        raise Refusal("Say what was wrong with the draft: choose at least one reason.")
    with acting_on(mail_id, version) as mail:
        must_be(mail, MailState.WAITING)
        void_approvals(_draft(mail), "rejected")
        mail.assignee = mail.assignee or person
        events.move(
            mail,
            MailState.REJECTED,
            actor=actor(person),
            action="draft rejected",
            reason="; ".join(chosen),
        )


def reassign(mail_id: int, person: Person, to: Person | None) -> None:
    """Give the mail to a colleague of the same mailbox, or back to all."""
    with acting_on(mail_id) as mail:
        if to is not None and not mail.mailbox.people.filter(pk=to.pk).exists():
            raise Refusal("That colleague does not work with this mailbox.")
        mail.assignee = to
        events.record(
            "reassigned", f"mail:{mail.pk}", actor=actor(person), reason=f"to {to.get_username() if to else 'nobody'}"
        )


def triage_later(mail_id: int) -> None:
    from worker.tasks import triage_mail

    triage_mail.delay(mail_id)


def close(mail_id: int, person: Person, reason: str) -> None:
    """End a mail without a reply, with a reason and a name."""
    if reason not in CLOSE_REASONS:
        raise Refusal("Choose why no reply is due.")
    with acting_on(mail_id) as mail:
        must_be(mail, MailState.WAITING, MailState.NEEDS_ATTENTION, MailState.REJECTED, MailState.RESTRICTED)
        draft = Draft.objects.filter(mail=mail).first()
        if draft:
            void_approvals(draft, "closed without a reply")
        events.move(mail, MailState.NO_REPLY, actor=actor(person), action="closed without a reply", reason=reason)


def must_be(mail: Mail, *states: MailState) -> None:
    if mail.state not in states:
        raise Refusal(f"This mail is {mail.state.replace('_', ' ')} now, so that cannot be done.")


def claims(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """The spans that a reader meets as statements: whole sentences, and values outside them."""
    return tuple(span for span in spans if span.kind is Kind.STATEMENT)
