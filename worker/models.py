"""The rows that are the truth: mailboxes, mail and its way, drafts and their evidence, approvals, replies, events.

What a resident wrote and what a register said is sealed (`worker.fields`). The plain columns are those that queues
and sweeps ask for.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from rules.lifecycle import MailState
from rules.values import FieldClass, Kind
from worker.fields import SealedBytes, SealedJson, SealedText


def choices(values: type[MailState] | type[Kind] | type[FieldClass]) -> list[tuple[str, str]]:
    return [(value.value, value.value) for value in values]


class Mailbox(models.Model):
    """A shared inbox. How it is reached stands in the municipality file; here is where reading stopped."""

    class Mode(models.TextChoices):
        READ_ONLY = "read_only", "in read-only mode: drafts are made, nothing is written to the mailbox or leaves"
        SHADOW = "shadow", "in shadow mode: drafts are made, nothing leaves"
        SENDS = "sends", "sending: approved replies leave"

    name = models.SlugField(unique=True)
    address = models.EmailField()
    mode = models.CharField(max_length=12, choices=Mode, default=Mode.SHADOW)
    enabled = models.BooleanField(default=True)
    cursor = models.JSONField(default=dict)
    read_at = models.DateTimeField(null=True)
    read_again_at = models.DateTimeField(null=True)
    """Not before then: the server asked us to wait."""
    fault = models.CharField(max_length=500, blank=True)
    fault_since = models.DateTimeField(null=True)
    write_back_fault = models.CharField(max_length=500, blank=True)
    write_back_again_at = models.DateTimeField(null=True)
    heavy_id = models.CharField(max_length=2_000, blank=True)
    """The last large mail on which work was begun, and how often."""
    heavy_attempts = models.PositiveSmallIntegerField(default=0)
    people = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="mailboxes", blank=True)

    def __str__(self) -> str:
        return self.name


class Case(models.Model):
    """The matter: a thread of mails (ärende, asia, sak, sag)."""

    number = models.CharField(max_length=32, unique=True)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="cases")
    opened_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.number


class Mail(models.Model):
    """One message as it came in, and where it stands."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="mails")
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="mails")
    remote_id = models.CharField(max_length=2_000)
    message_id = models.CharField(max_length=998, blank=True)
    fingerprint = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()
    raw = SealedBytes()
    received_at = models.DateTimeField()
    taken_in_at = models.DateTimeField()

    state = models.CharField(max_length=16, choices=choices(MailState), default=MailState.RECEIVED)
    state_since = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    fault = models.CharField(max_length=500, blank=True)

    message = SealedJson(null=True)
    understanding = SealedJson(null=True)
    language = models.CharField(max_length=8, blank=True)
    intent = models.CharField(max_length=64, blank=True)
    confidence = models.FloatField(null=True)
    abstained = models.BooleanField(default=False)
    reasons = models.JSONField(default=list)
    guessed_intent = models.CharField(max_length=64, blank=True, default="", db_default="")
    guessed_abstained = models.BooleanField(default=False, db_default=False)
    """As the model said, whatever was corrected since: drift is read from these."""
    sender_verified = models.BooleanField(default=False)
    from_directory = models.BooleanField(default=False)
    """The mailbox's server says that a signed-in account of its own directory wrote it."""

    queue = models.CharField(max_length=32, blank=True)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="mails"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "remote_id"], name="one_row_per_remote_mail"),
            models.UniqueConstraint(fields=["mailbox", "fingerprint"], name="one_row_per_content"),
        ]
        indexes = [
            # the queue of a mailbox, oldest first
            models.Index(fields=["mailbox", "state", "received_at"], name="mail_queue"),
            # threading by In-Reply-To and References
            models.Index(fields=["message_id"], name="mail_by_message_id", condition=~Q(message_id="")),
            # drift: the weeks of a mailbox, from the index alone, since the rows are wide
            models.Index(
                fields=["mailbox", "received_at"],
                include=["id", "guessed_intent", "guessed_abstained", "confidence", "state", "queue", "reasons"],
                name="mail_by_week",
            ),
            # the sweeper: what stood still
            models.Index(fields=["state", "state_since"], name="mail_standing_still"),
        ]

    def __str__(self) -> str:
        return f"mail {self.pk}"


class LookUp(models.Model):
    """One question put to a register for a mail. The value asked for is sealed; it is asked again before sending."""

    mail = models.ForeignKey(Mail, on_delete=models.CASCADE, related_name="look_ups")
    register = models.CharField(max_length=64)
    keyed_on = models.CharField(max_length=64)
    value = SealedText()
    language = models.CharField(max_length=8, blank=True)
    next_by = models.CharField(max_length=64, blank=True)
    """Of several records only the one whose date in this field comes first."""
    found = models.BooleanField()
    read_at = models.DateTimeField()


class Fact(models.Model):
    """A snapshot of one field as a register gave it, with what the disclosure gate said. Values are never edited."""

    mail = models.ForeignKey(Mail, on_delete=models.CASCADE, related_name="facts")
    look_up = models.ForeignKey(LookUp, on_delete=models.CASCADE, related_name="facts")
    fact_id = SealedText()
    kind = models.CharField(max_length=16, choices=choices(Kind))
    label = models.CharField(max_length=64)
    value = SealedText()
    subject = SealedText()
    title = SealedText()
    register = models.CharField(max_length=64)
    key = SealedText()
    field = models.CharField(max_length=64)
    field_class = models.CharField(max_length=16, choices=choices(FieldClass))
    may_be_told = models.BooleanField()
    withheld_because = models.CharField(max_length=300, blank=True)
    read_at = models.DateTimeField()
    rechecked_at = models.DateTimeField(null=True)


class Passage(models.Model):
    """A paragraph of a knowledge article as it read when the draft was made. Articles are public, so it is plain."""

    mail = models.ForeignKey(Mail, on_delete=models.CASCADE, related_name="passages")
    passage_id = models.CharField(max_length=128)
    article = models.CharField(max_length=128)
    title = models.CharField(max_length=300)
    url = models.CharField(max_length=500, blank=True)
    language = models.CharField(max_length=8)
    text = models.TextField()
    cited = models.BooleanField(default=False)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mail", "passage_id"], name="one_snapshot_per_passage")]


class Draft(models.Model):
    """The reply being prepared for a mail. `version` grows with every change and is what a browser must know to act."""

    mail = models.OneToOneField(Mail, on_delete=models.CASCADE, related_name="draft")
    version = models.PositiveIntegerField(default=1)
    language = models.CharField(max_length=8)
    subject = SealedText()
    body = SealedText()
    first_body = SealedText()
    """As the machine wrote it: what the reviewer changed is the difference."""
    recipients = SealedJson()
    why = models.JSONField(default=list)
    people = models.PositiveSmallIntegerField(default=1)
    ticks = models.JSONField(default=list)
    owned = SealedJson(default=list)
    """Sentences a person took responsibility for: text, person, reason."""
    pack = models.CharField(max_length=128)
    """Name, version and hash of the rule pack the draft was made under."""
    editor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    """Who edited last; never the second of two approvers."""
    made_at = models.DateTimeField()
    changed_at = models.DateTimeField()


class Revision(models.Model):
    """What a reviewer's change left behind: the body before it, who changed it and when."""

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="revisions")
    version = models.PositiveIntegerField()
    body = SealedText()
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["draft", "version"], name="one_row_per_version")]


class Approval(models.Model):
    """A named person's yes to exactly this content. Any change of content voids it."""

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="approvals")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="approvals")
    at = models.DateTimeField()
    content_hash = models.CharField(max_length=64)
    ticks = models.JSONField(default=list)
    voided_at = models.DateTimeField(null=True)
    voided_because = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            # One click approves once, whatever the browser does.
            models.UniqueConstraint(
                fields=["draft", "person"], condition=Q(voided_at__isnull=True), name="one_standing_approval_per_person"
            )
        ]


class Outgoing(models.Model):
    """An approved reply on its way: the whole MIME and its Message-ID are fixed before the first attempt."""

    mail = models.OneToOneField(Mail, on_delete=models.PROTECT, related_name="outgoing")
    message_id = models.CharField(max_length=255, unique=True)
    content_hash = models.CharField(max_length=64)
    raw = SealedBytes()
    envelope = SealedJson()
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    unclear = models.PositiveSmallIntegerField(default=0)
    """How many of the attempts ended without anybody knowing whether the reply was accepted."""
    fault = models.CharField(max_length=500, blank=True)
    sent_at = models.DateTimeField(null=True)
    filed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="outgoing_due", condition=Q(sent_at__isnull=True))]


class WriteBack(models.Model):
    """What staff find of a mail in the mailbox itself: how far it has come, and our draft of the reply."""

    mail = models.OneToOneField(Mail, on_delete=models.CASCADE, related_name="write_back")
    state = models.CharField(max_length=16, blank=True)
    """The state of the mail that the mailbox shows; with a `fault`, the one that it should show."""
    draft = models.JSONField(null=True)
    """Where our draft lies, as the connector named it (`PutDraft`)."""
    draft_version = models.PositiveIntegerField(default=0)
    """The version that was put there last; 0 when none lies there."""
    left_to_staff = models.BooleanField(default=False)
    """A colleague has changed our draft there: it is theirs now, and no other is ever put beside it."""
    staff_replies = models.JSONField(default=list)
    """Message-IDs with which staff have answered the mail themselves, and of which the reviewer has been told."""
    attempts = models.PositiveSmallIntegerField(default=0)
    fault = models.CharField(max_length=500, blank=True)
    again_at = models.DateTimeField(null=True)


class Correction(models.Model):
    """What a reviewer taught: a label the machine had wrong. `kommunpost train` takes these in. A reason that was added
    has nothing before, one that was taken away nothing after. An intent is the same before and after where the machine
    abstained and had guessed right."""

    mail = models.ForeignKey(Mail, on_delete=models.CASCADE, related_name="corrections")
    field = models.CharField(
        max_length=16, choices=[("intent", "intent"), ("language", "language"), ("reason", "reason")]
    )
    before = models.CharField(max_length=64, blank=True)
    after = models.CharField(max_length=64, blank=True)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()


class Event(models.Model):
    """Who did what, when, and why. The database refuses to change or delete a row (migration 0002)."""

    at = models.DateTimeField()
    actor = models.CharField(max_length=128)
    action = models.CharField(max_length=64)
    object = models.CharField(max_length=64)
    from_state = models.CharField(max_length=16, blank=True)
    to_state = models.CharField(max_length=16, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    payload = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["object", "id"], name="event_of_object")]


class Seal(models.Model):
    """The place of an event in the hash chain. Its id is the order; rows are only ever added, by one sealer."""

    event = models.OneToOneField(Event, on_delete=models.PROTECT, related_name="seal")
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    sealed_at = models.DateTimeField()


class Heartbeat(models.Model):
    """When a worker last did what the clock asked. When it grows old, mail stands still though all looks alive."""

    name = models.CharField(max_length=32, primary_key=True)
    at = models.DateTimeField()
