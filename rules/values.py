"""The words everybody shares: frozen values that pass between the rooms of the house.

Offsets are in characters (Python string indices), times are aware datetimes, sizes in bytes, confidences 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

LANGUAGES = ("sv", "fi", "nb", "da", "en")
"""Languages a reply can be written in. Any other language is `other` and goes to a person."""


class MailKind(StrEnum):
    """What sort of message arrived, seen from its headers and structure."""

    MAIL = "mail"
    AUTO_REPLY = "auto_reply"
    BOUNCE = "bounce"
    LIST = "list"
    RECEIPT = "receipt"
    CALENDAR = "calendar"
    ENCRYPTED = "encrypted"


class Kind(StrEnum):
    """The type of a fact, and of a span in a draft (TRUST: facts, claims, grounding)."""

    DATE = "date"  # 2026-12-15
    TIME = "time"  # 14:00
    PERIOD = "period"  # 2026-07-01/2026-09-30
    AMOUNT = "amount"  # 4386.00 SEK
    QUANTITY = "quantity"  # 3 | 240 l
    PERCENTAGE = "percentage"  # 25 %
    IDENTIFIER = "identifier"
    PERSON = "person"
    UNIT = "unit"
    ADDRESS = "address"
    PHONE = "phone"  # +46470123456
    EMAIL = "email"
    LINK = "link"
    LEGAL_REFERENCE = "legal_reference"
    STATUS = "status"  # one of STATUSES
    STATEMENT = "statement"  # a whole sentence


STATUSES = ("granted", "refused", "pending", "paid", "unpaid", "open", "closed", "received", "cancelled", "in_progress")


class Verdict(StrEnum):
    """What the evidence says about one span of a draft."""

    SUPPORTED = "supported"  # exactly one fact, or several that agree
    CONFLICTING = "conflicting"  # sources disagree
    STALE = "stale"  # read longer ago than this kind of fact allows
    WITHHELD = "withheld"  # true, but the disclosure gate forbids it
    UNSUPPORTED = "unsupported"
    OWNED = "owned"  # a named person took responsibility, with a reason

    @property
    def may_leave(self) -> bool:
        return self in (Verdict.SUPPORTED, Verdict.OWNED)


class FieldClass(StrEnum):
    """Who may be told a register field by mail (TRUST: disclosure gate)."""

    PUBLIC = "public"
    ABOUT_SENDER = "about_sender"
    ABOUT_OTHER = "about_other"
    PROTECTED = "protected"


class SenderMethod(StrEnum):
    DMARC = "dmarc"
    DKIM = "dkim"
    SPF = "spf"
    DIRECTORY = "directory"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A name and an address as they stand in a header, decoded."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    content_type: str
    size: int
    inline: bool


@dataclass(frozen=True, slots=True)
class Sender:
    """What is proven about who wrote: by our own mail server's verdict, never by the mail's own words."""

    verified: bool
    method: SenderMethod
    reason: str
    suspicious: tuple[str, ...] = ()
    """Why the sender looks false (look-alike domain, Reply-To elsewhere, forged results). Empty when nothing does."""


@dataclass(frozen=True, slots=True)
class Message:
    """One mail as read from its bytes. `defects` says what was repaired or could not be read; reading never raises."""

    message_id: str | None
    in_reply_to: str | None
    references: tuple[str, ...]
    date: datetime | None
    received_at: datetime | None
    """When our own mail server took it, by its topmost Received; None when it does not say."""
    sender_address: Mailbox
    reply_to: tuple[Mailbox, ...]
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    subject: str
    text: str
    """The whole readable text, quoted history and signature included."""
    reply_text: str
    """What this sender wrote: `text` without quoted history and signature."""
    hidden_text: str
    """What a reader would not see (white on white, zero size, a plain text that the HTML does not repeat …). It can add
    a reason for a person to look and is used for nothing else."""
    html_present: bool
    attachments: tuple[Attachment, ...]
    kind: MailKind
    auto_submitted: bool
    reply_allowed: bool
    reply_blocked_by: str | None
    sender: Sender
    defects: tuple[str, ...]
    sha256: str
    """Of the raw bytes, in hexadecimal."""

    @property
    def needs_nobody(self) -> bool:
        """Automatic mail may end without a person. One without a sender cannot be answered, yet somebody wrote it."""
        return not self.reply_allowed and self.reply_blocked_by != "no_sender"


@dataclass(frozen=True, slots=True)
class Language:
    code: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Alternative:
    intent: str
    confidence: float


@dataclass(frozen=True, slots=True)
class NationalId:
    """A national identity number found in a text: where it stands, never what it says."""

    kind: str
    masked: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ModelVersion:
    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Understanding:
    """What a mail is about and how sure we are. Only labels of the active rule pack can stand in it."""

    language: Language
    intent: str
    confidence: float
    alternatives: tuple[Alternative, ...]
    abstained: bool
    secondary: tuple[str, ...]
    reasons: tuple[str, ...]
    entities: dict[str, tuple[str, ...]]
    national_ids: tuple[NationalId, ...]
    model: ModelVersion
    rules_fired: tuple[str, ...]

    @property
    def must_verify(self) -> bool:
        return bool(self.reasons)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value was read: a register's record and field, or a passage of an article."""

    register: str
    key: str
    """The record's key in the register; for articles the article's id."""
    field: str
    """The record's field; for articles the passage, e.g. `p2`."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One typed value as it was read from one source. Never edited; read again instead."""

    id: str
    kind: Kind
    label: str
    """The slot name under which phrases may use it, e.g. `due_date`."""
    value: str
    """Normalised, see `Kind`."""
    subject: str
    """Whom or what it is about: the record's key, e.g. the invoice number."""
    source: Source
    read_at: datetime
    max_age_s: float | None = None
    field_class: FieldClass = FieldClass.PROTECTED
    title: str = ""
    """What a reviewer sees as the record's heading, e.g. `Invoice 2026-118342`."""


NEVER = datetime(1, 1, 1, tzinfo=UTC)
"""The read time of what was given without one."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph of a knowledge article that a draft may cite word for word."""

    id: str
    article: str
    text: str
    title: str = ""
    url: str = ""
    language: str = ""
    read_at: datetime = NEVER
    max_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Owned:
    """A sentence for which a named person took responsibility, with the reason."""

    text: str
    person: str
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that may support a draft. `withheld` are facts that are true but that the gate forbids."""

    facts: tuple[Fact, ...] = ()
    passages: tuple[Passage, ...] = ()
    phrases: tuple[str, ...] = ()
    """Approved sentences of the pack with slots, e.g. `Fakturan förfaller den {due_date}.`"""
    withheld: tuple[Fact, ...] = ()
    owned: tuple[Owned, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a draft that says something, and what the evidence says about it."""

    start: int
    end: int
    text: str
    kind: Kind
    value: str | None
    verdict: Verdict
    source: str | None
    """Id of the fact or passage, or `phrase`."""
    why: str
    """One plain sentence for the reviewer."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """A register field that the gate kept out of a draft. Its value is not here on purpose."""

    register: str
    field: str
    field_class: FieldClass
    reason: str


@dataclass(frozen=True, slots=True)
class LookUp:
    """One question put to a register: on which key, and whether a record came back."""

    register: str
    keyed_on: str
    found: bool


@dataclass(frozen=True, slots=True)
class ApprovalNeed:
    """Who must approve a draft before it leaves (TRUST: must-verify and approval)."""

    needed: bool = True
    people: int = 1
    ticks: tuple[str, ...] = ()
    queue: str = "reviewers"


@dataclass(frozen=True, slots=True)
class Recipients:
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()


class ReplyKind(StrEnum):
    DRAFT = "draft"
    NONE = "none"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Reply:
    """What would be answered and why: the outcome of drafting and of the policy for one mail."""

    kind: ReplyKind
    why: tuple[str, ...]
    language: str = ""
    subject: str = ""
    body: str = ""
    spans: tuple[Span, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    approval: ApprovalNeed = field(default_factory=ApprovalNeed)
    recipients: Recipients = field(default_factory=Recipients)
