"""What reviewers corrected or confirmed, as labelled mail for `kommunpost train`. It never leaves memory. Ids stand in
it as they were written: whatever learns hides them as it does in service (`features.readable`), and a mail whose ids
were half hidden would be another than the one that came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rules.pack import REASONS
from worker.intake import message_of
from worker.models import Correction, Mail
from worker.understanding.comparison import LAST, LEAST

Example = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Taught:
    """Corrected mails to learn from, and the newest ones, on which a new version is compared with the one in use."""

    rest: list[Example]
    last: list[Example]


def corrections() -> list[Example]:
    """One example a mail that somebody corrected, or whose intent they confirmed where the machine abstained: with its
    newest labels, in the order in which mails were first taught. That order never changes, so what the version in use
    has learnt from is not compared on later."""
    rows = Correction.objects.select_related("mail").defer("mail__raw").order_by("mail_id", "at", "pk")
    by_mail = [list(of_mail) for _, of_mail in groupby(rows.iterator(chunk_size=500), key=lambda row: row.mail_id)]
    by_mail.sort(key=lambda of_mail: (of_mail[0].at, of_mail[0].pk))
    return [_example(of_mail[0].mail, of_mail) for of_mail in by_mail]


def last(count: int = LAST) -> list[Example]:
    return split(corrections(), count).last


def split(examples: Sequence[Example], count: int = LAST) -> Taught:
    """The newest `count`, half of all at most, are kept out of training; too few to compare on are all learnt from,
    which later speaks for the version in use, never for a new one. Mails of one case are never on both sides."""
    kept = min(count, len(examples) // 2)
    if kept < LEAST:
        return Taught(list(examples), [])
    newest = list(examples[-kept:])
    groups = {one["group"] for one in newest}
    return Taught([one for one in examples[:-kept] if one["group"] not in groups], newest)


def _example(mail: Mail, rows: Sequence[Correction]) -> Example:
    message = message_of(mail)
    newest = {row.field: row.after for row in rows}
    return {
        "id": f"correction-{mail.pk}",
        "lang": newest.get("language", mail.language),
        "subject": message.subject,
        "body": message.reply_text,
        "intent": newest.get("intent", mail.intent),
        "reasons": list(_reasons(mail, rows)),
        "group": f"correction-{mail.case_id}",
    }


def _reasons(mail: Mail, rows: Iterable[Correction]) -> Iterator[str]:
    """As the text gives them: what only a register told is no label of a text."""
    added, taken = reasons_taught(rows)
    said = (mail.understanding or {}).get("reasons", ())
    return (reason for reason in REASONS if reason in added or (reason in said and reason not in taken))


def reasons_taught(rows: Iterable[Correction]) -> tuple[frozenset[str], frozenset[str]]:
    """The reasons that people have added, and those that they have taken away; of each the newest word counts."""
    newest = {row.after or row.before: bool(row.after) for row in sorted(rows, key=_age) if row.field == "reason"}
    return (
        frozenset(reason for reason, is_there in newest.items() if is_there),
        frozenset(reason for reason, is_there in newest.items() if not is_there),
    )


def _age(row: Correction) -> tuple[Any, int]:
    return row.at, row.pk
