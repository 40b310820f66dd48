"""Celery tasks: thin, they take ids and call one function. All may safely run twice."""

from __future__ import annotations

from django.utils import timezone

from worker import deliver, events, health, intake, sweeper, triage, write_back
from worker.celery import app
from worker.models import Mailbox


@app.task
def poll_all() -> None:
    """One task per mailbox, so that a slow or broken one never holds up the others."""
    for mailbox in intake.to_read(timezone.now()):
        poll_mailbox.delay(mailbox.pk)


@app.task
def poll_mailbox(mailbox_id: int) -> None:
    taken = intake.take_in(Mailbox.objects.get(pk=mailbox_id))
    for mail_id in taken.mail_ids or ():
        triage_mail.delay(mail_id)
    if taken.more:
        poll_mailbox.delay(mailbox_id)


@app.task
def triage_mail(mail_id: int) -> None:
    triage.triage(mail_id)


@app.task
def deliver_due() -> None:
    for mail_id in deliver.due(timezone.now()):
        deliver_reply.delay(mail_id)


@app.task
def deliver_reply(mail_id: int) -> None:
    deliver.deliver(mail_id)


@app.task
def write_back_all() -> None:
    for mailbox_id in write_back.due(timezone.now()):
        write_back_mailbox.delay(mailbox_id)


@app.task
def write_back_mailbox(mailbox_id: int) -> None:
    write_back.write_back(Mailbox.objects.get(pk=mailbox_id))


@app.task
def sweep() -> None:
    health.beat()
    for mail_id in sweeper.standing_still(timezone.now()):
        triage_mail.delay(mail_id)
    deliver.expire_leases(timezone.now())
    sweeper.file_unfiled()


@app.task
def seal_events() -> None:
    events.seal()


@app.task
def anchor_events() -> None:
    events.seal()
    events.anchor()
