"""What each state of a mail says happened, what can be done now, and which acts are offered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from review_ui import words
from review_ui.access import REGISTRAR, REVIEWERS, Rights
from rules.lifecycle import IN_HAND, MailState
from worker.correcting import CORRECTABLE
from worker.models import Approval, Draft, Event, Mail, Mailbox, Outgoing, WriteBack

WRITABLE = (MailState.WAITING, MailState.REJECTED)
CLOSABLE = (MailState.WAITING, MailState.NEEDS_ATTENTION, MailState.REJECTED, MailState.RESTRICTED)
SETTLING = (*IN_HAND, MailState.APPROVED, MailState.SENDING)
"""States that pass by themselves: an open page asks now and then whether they have."""
SETTLED = (MailState.SENT, MailState.NO_REPLY)


@dataclass(frozen=True, slots=True)
class May:
    """The verbs of the dock for this person and this mail. `why_not` says why Approve is not among them."""

    edit: bool = False
    approve: bool = False
    reject: bool = False
    reassign: bool = False
    correct: bool = False
    close: bool = False
    read_anew: bool = False
    split: bool = False
    take_back: bool = False
    resolve: bool = False
    """A reply that did not leave, or may have: send it through review again, or say that it was sent."""
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened to the work, then what to do."""

    tone: str
    """`look`, `stop`, `good`, `held`, or empty."""
    icon: str
    headline: str
    then: str = ""


def acts_on(
    rights: Rights,
    mail: Mail,
    draft: Draft | None,
    reply: Outgoing | None,
    approvals: Sequence[Approval],
    understood: bool,
) -> May:
    if not rights.acts:
        return May(why_not=_reader(rights))
    waiting = mail.state == MailState.WAITING and draft is not None
    unsent = mail.state == MailState.NEEDS_ATTENTION and reply is not None
    why_not = _why_not_approve(rights, mail, approvals) if waiting else ""
    return May(
        edit=mail.state in WRITABLE and draft is not None,
        approve=waiting and not why_not,
        reject=waiting,
        reassign=mail.state not in SETTLED,
        correct=mail.state in CORRECTABLE and understood and not unsent,
        close=mail.state in CLOSABLE,
        read_anew=mail.state == MailState.NEEDS_ATTENTION and reply is None,
        split=reply is None and Mail.objects.filter(case=mail.case_id, pk__lt=mail.pk).exists(),
        take_back=mail.state == MailState.APPROVED,
        resolve=unsent,
        why_not=why_not,
    )


def _reader(rights: Rights) -> str:
    if rights.audits:
        return _("You read here as auditor; nothing can be changed.")
    return _("Your role reads mail; it does not act on it.")


def _why_not_approve(rights: Rights, mail: Mail, approvals: Sequence[Approval]) -> str:
    if any(approval.person == rights.person for approval in approvals):
        return _("You have approved this one; a second person must approve it too.")
    if mail.mailbox.mode != Mailbox.Mode.SENDS:
        return _("A pilot: nothing leaves from this mailbox.")
    if rights.approves(mail.queue):
        return ""
    if mail.queue == REGISTRAR:
        return _("The registrar or a senior reviewer approves this one.")
    if rights.approves(REVIEWERS):
        return _("A senior reviewer approves this one.")
    return _("A reviewer approves. You can edit, hand over, reject and close.")


def notice(
    mail: Mail, reply: Outgoing | None, approvals: Sequence[Approval], history: Sequence[Event], now: datetime
) -> Notice | None:
    """None when the page needs no word about its state: a draft that waits for the first time."""
    state = MailState(mail.state)
    if state in IN_HAND:
        return _in_hand(mail, now)
    match state:
        case MailState.WAITING:
            return _waiting(mail, approvals)
        case MailState.APPROVED:
            return _approved(reply)
        case MailState.SENDING:
            return Notice(
                "",
                "clock",
                _("The reply is being handed to the mail server now."),
                _("It can no longer be taken back."),
            )
        case MailState.SENT:
            return _sent(reply, now)
        case MailState.UNSURE:
            return Notice(
                "look",
                "ask",
                _("It is not known whether this reply left."),
                _(
                    "The mail server gave no clear answer. The Sent folder is asked first; nothing is sent twice. "
                    "There is nothing to do now."
                ),
            )
        case MailState.NEEDS_ATTENTION:
            return Notice(
                "look", "attn", mail.fault or _("The machine could not go on with this mail."), _attention(mail, reply)
            )
        case MailState.RESTRICTED:
            return Notice(
                "held",
                "lock",
                _last_reason(history, MailState.RESTRICTED) or _("This mail is restricted."),
                _(
                    "No draft is made. Act by your routine, outside this screen where life or safety is at stake; "
                    "then close it here."
                ),
            )
        case MailState.NO_REPLY:
            return Notice("", "check", _("Closed without a reply."), _last_reason(history, MailState.NO_REPLY))
        case _:
            return _rejected(mail, history)


def _in_hand(mail: Mail, now: datetime) -> Notice:
    if mail.fault and mail.next_try_at:
        when = words.moment(mail.next_try_at, now)
        return Notice(
            "look", "clock", mail.fault, _("It is tried again %(when)s. The mail keeps its place.") % {"when": when}
        )
    return Notice(
        "", "clock", _("The machine is at work on this mail."), _("The draft comes by itself, usually within a minute.")
    )


def _waiting(mail: Mail, approvals: Sequence[Approval]) -> Notice | None:
    if mail.fault:
        return Notice(
            "stop",
            "read",
            mail.fault,
            _("Nothing was sent. The approval is void and the draft is back with you: look at it again."),
        )
    if mail.mailbox.mode != Mailbox.Mode.SENDS:
        mode = _("in read-only mode") if mail.mailbox.mode == Mailbox.Mode.READ_ONLY else _("in shadow mode")
        return Notice(
            "look",
            "pause",
            _("%(mailbox)s is %(mode)s: this draft is for comparison and nothing leaves.")
            % {"mailbox": mail.mailbox.name, "mode": mode},
            _("Answer the resident the usual way, then close the mail here."),
        )
    if WriteBack.objects.filter(mail=mail, left_to_staff=True).exists():
        return Notice(
            "look",
            "user",
            _("A colleague has changed the draft in the mailbox's own Drafts folder."),
            _("Ask who is writing before you approve this one, so that the resident gets one reply."),
        )
    if approvals:
        who = words.name_of(approvals[0].person)
        return Notice(
            "look",
            "users",
            _("%(who)s has approved; a second person must approve too.") % {"who": who},
            _("Whoever edited the draft last cannot be the second."),
        )
    return None


def _approved(reply: Outgoing | None) -> Notice:
    if reply and reply.fault:
        return Notice(
            "look", "clock", reply.fault, _("The reply is approved and has not left. It is tried again by itself.")
        )
    when = words.clock(reply.due_at, seconds=True) if reply else ""
    return Notice(
        "good",
        "check",
        _("Approved. The reply leaves at %(when)s.") % {"when": when},
        _("Until then it can be taken back."),
    )


def _sent(reply: Outgoing | None, now: datetime) -> Notice:
    if reply is None or reply.sent_at is None:
        return Notice("good", "check", _("Sent."))
    to = ", ".join(reply.envelope["recipients"])
    headline = _("Sent %(when)s to %(to)s.") % {"when": words.moment(reply.sent_at, now), "to": to}
    return Notice("good", "check", headline, reply.fault or _("Nothing is left to do."))


def _attention(mail: Mail, reply: Outgoing | None) -> str:
    if reply is not None:
        return _("Look in Sent. If the reply is there, say that it was sent; if not, take it back to review.")
    if mail.understanding is None:
        return _("Answer it the usual way if it needs an answer, then close it here; or have it read anew.")
    return _(
        "Correct the intent, the language or the reasons and the machine drafts a reply; "
        "or answer it the usual way and close it here."
    )


def _rejected(mail: Mail, history: Sequence[Event]) -> Notice:
    because = _last_reason(history, MailState.REJECTED)
    headline = (
        _("The draft was rejected: %(because)s.") % {"because": because} if because else _("The draft was rejected.")
    )
    whose = words.name_of(mail.assignee)
    mine = _("The mail is with %(who)s.") % {"who": whose} if whose else ""
    return Notice(
        "look",
        "cross",
        headline,
        " ".join(
            filter(
                None,
                (
                    mine,
                    _("Write the reply under Edit: it then waits for approval. Or correct the intent, or close it."),
                ),
            )
        ),
    )


def _last_reason(history: Sequence[Event], state: MailState) -> str:
    return next((event.reason for event in reversed(history) if event.to_state == state), "")
