"""Who may see which mail and what they may do with it: the one door of every view. A link is not a right.

| role      | reads its mailboxes | restricted too | edits, rejects, hands over, closes | approves what is for the     |
|-----------|---------------------|----------------|------------------------------------|------------------------------|
| clerk     | yes                 | no             | yes                                | –                            |
| reviewer  | yes                 | no             | yes                                | reviewers                    |
| senior    | yes                 | yes            | yes                                | reviewers, senior, registrar |
| lead      | yes                 | yes            | yes                                | –                            |
| registrar | yes                 | yes            | yes                                | registrar                    |
| auditor   | yes                 | no             | never, whatever other roles say    | –                            |
| admin     | yes                 | yes            | no                                 | –                            |

Lead, auditor and admin also see the weeks of their mailboxes as figures (drift).

Who has several roles may do what any of them may, except that an auditor changes nothing. Without a role or without a
mailbox nothing is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest

from rules.lifecycle import MailState
from rules.pack import RulePack
from worker import events, review
from worker.models import Mail, Mailbox
from worker.municipality import configured

REVIEWERS = "reviewers"
SENIOR = "senior"
REGISTRAR = "registrar"
RESTRICTED = "restricted"
"""Queues that the rule pack's policy names."""


@dataclass(frozen=True, slots=True)
class Role:
    restricted: bool = False
    acts: bool = False
    oversees: bool = False
    approves: tuple[str, ...] = ()
    """Queues. One that is not named here at all is the reviewers'."""


ROLES = {
    "clerk": Role(acts=True),
    "reviewer": Role(acts=True, approves=(REVIEWERS,)),
    "senior": Role(restricted=True, acts=True, approves=(REVIEWERS, SENIOR, REGISTRAR)),
    "lead": Role(restricted=True, acts=True, oversees=True),
    "registrar": Role(restricted=True, acts=True, approves=(REGISTRAR,)),
    "auditor": Role(oversees=True),
    "admin": Role(restricted=True, oversees=True),
}
ACTING = [name for name, role in ROLES.items() if role.acts]

OPENED = "opened_restricted"
"""Session key: restricted mail that this person gave a reason for since signing in."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What one signed-in colleague may do."""

    person: User
    roles: tuple[str, ...]
    mailboxes: tuple[Mailbox, ...]

    @property
    def restricted(self) -> bool:
        return any(ROLES[role].restricted for role in self.roles)

    @property
    def audits(self) -> bool:
        return "auditor" in self.roles

    @property
    def acts(self) -> bool:
        return not self.audits and any(ROLES[role].acts for role in self.roles)

    @property
    def leads(self) -> bool:
        """Sees to mail that could not be taken in, for the whole mailbox."""
        return self.acts and "lead" in self.roles

    @property
    def oversees(self) -> bool:
        """Sees how the machine's judgements change from week to week."""
        return any(ROLES[role].oversees for role in self.roles)

    def approves(self, queue: str) -> bool:
        wanted = queue if queue in (SENIOR, REGISTRAR, RESTRICTED) else REVIEWERS
        return not self.audits and any(wanted in ROLES[role].approves for role in self.roles)


def rights_of(person: User) -> Rights:
    roles = person.groups.filter(name__in=ROLES).values_list("name", flat=True)
    return Rights(person, tuple(sorted(roles)), tuple(person.mailboxes.order_by("name")))


def mails(rights: Rights) -> QuerySet[Mail]:
    """Every mail that this person may know of."""
    if not rights.roles:
        return Mail.objects.none()
    theirs = Mail.objects.filter(mailbox__in=[mailbox.pk for mailbox in rights.mailboxes])
    return theirs if rights.restricted else theirs.exclude(in_restricted())


def find(rights: Rights, mail_id: int) -> Mail:
    """The mail, or 404: somebody who may not see it does not learn that it exists."""
    rows = mails(rights).select_related("mailbox", "case", "assignee", "draft").defer("raw")
    mail = rows.filter(pk=mail_id).first()
    if mail is None:
        raise Http404
    return mail


def sees(rights: Rights, mail_id: int) -> bool:
    return mails(rights).filter(pk=mail_id).exists()


def in_restricted() -> Q:
    """Set aside by the policy, or bound to be: the reasons are known before the registers have answered."""
    reasons = sorted(restricting(configured().rule_pack()))
    return Q(state=MailState.RESTRICTED) | Q(queue=RESTRICTED) | Q(reasons__has_any_keys=reasons)


def is_restricted(mail: Mail) -> bool:
    reasons = restricting(configured().rule_pack())
    return mail.state == MailState.RESTRICTED or mail.queue == RESTRICTED or bool(reasons.intersection(mail.reasons))


def restricting(pack: RulePack) -> frozenset[str]:
    """The reasons for which the pack sends a mail to the restricted queue."""
    return frozenset(reason for row in pack.policy if row.then.queue == RESTRICTED for reason in row.when.reasons)


def is_open_to(request: HttpRequest, mail: Mail) -> bool:
    """A restricted mail is shown only after a reason has been given and logged."""
    return not is_restricted(mail) or mail.pk in request.session.get(OPENED, ())


def open_restricted(request: HttpRequest, rights: Rights, mail: Mail, reason: str) -> None:
    """The event comes first: nobody has seen a restricted mail without it."""
    events.record("restricted opened", f"mail:{mail.pk}", actor=review.actor(rights.person), reason=reason)
    request.session[OPENED] = [*request.session.get(OPENED, ()), mail.pk]


def colleagues(mail: Mail) -> QuerySet[User]:
    """Those to whom the mail can be handed: they work with its mailbox and may act."""
    people = User.objects.filter(mailboxes=mail.mailbox, is_active=True, groups__name__in=ACTING)
    return people.exclude(groups__name="auditor").distinct().order_by("last_name", "username")
