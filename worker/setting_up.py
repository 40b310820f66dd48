"""Brings an installation up to date: tables, roles, mailboxes from the municipality file, and colleagues."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import transaction

from worker import events
from worker.models import Mailbox
from worker.municipality import Municipality, configured

ROLES = ("clerk", "reviewer", "senior", "lead", "registrar", "auditor", "admin")
ACTOR = "process:setup"
NAME = re.compile(r"[\w@.+-]{1,100}")
"""Django allows longer ones, but a name stands whole in every event that its bearer leaves."""


class SetUpError(ValueError):
    """What was asked for cannot be set up; the text says why."""


def migrate() -> Iterator[str]:
    call_command("migrate", verbosity=0, interactive=False)
    yield "The tables are up to date."
    for role in ROLES:
        Group.objects.get_or_create(name=role)
    yield from take_over_mailboxes(configured())


@transaction.atomic
def take_over_mailboxes(municipality: Municipality) -> Iterator[str]:
    """Mailboxes as the file says. One that left the file is switched off; its mail stays."""
    for name, entry in municipality.mailboxes.items():
        mailbox, created = Mailbox.objects.update_or_create(
            name=name, defaults={"address": entry.address, "mode": entry.mode, "enabled": True}
        )
        mailbox.people.add(*User.objects.filter(username__in=entry.people))
        if created:
            events.record("mailbox added", f"mailbox:{mailbox.pk}", actor=ACTOR, name=name, kind=entry.kind)
    gone = Mailbox.objects.exclude(name__in=municipality.mailboxes).filter(enabled=True)
    for mailbox in gone:
        events.record("mailbox switched off", f"mailbox:{mailbox.pk}", actor=ACTOR, name=mailbox.name)
    gone.update(enabled=False)
    yield f"Mailboxes as the municipality file says: {', '.join(municipality.mailboxes) or 'none'}."


@transaction.atomic
def create_user(
    name: str,
    password: str,
    roles: Iterable[str],
    mailboxes: Iterable[str] = (),
    full_name: str = "",
    *,
    check: bool = True,
) -> User:
    """A colleague with roles and mailboxes. Raises SetUpError."""
    roles = list(roles)
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise SetUpError(f"No role {unknown[0]}. Choose from: {', '.join(ROLES)}.")
    if not NAME.fullmatch(name):
        raise SetUpError("A colleague's name has 1 to 100 letters, digits and marks of @ . + - _ and no space.")
    if User.objects.filter(username=name).exists():
        raise SetUpError(f"There is a colleague {name} already.")
    user = User(username=name, last_name=full_name)
    if check:
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise SetUpError(" ".join(error.messages)) from None
    user.set_password(password)
    user.save()
    user.groups.set([Group.objects.get_or_create(name=role)[0] for role in roles])
    for mailbox in mailboxes:
        row = Mailbox.objects.filter(name=mailbox).first()
        if row is None:
            raise SetUpError(
                f"No mailbox {mailbox}. Run `kommunpost migrate` after adding it to the municipality file."
            )
        row.people.add(user)
    events.record("colleague added", f"person:{name}", actor=ACTOR, roles=roles)
    return user
