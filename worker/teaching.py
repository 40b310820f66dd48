"""What reviewers corrected, as labelled mail for `kommunpost train`. Ids are masked; it never leaves memory."""

from __future__ import annotations

from typing import Any

from rules.masking import masked
from rules.national_ids import find
from worker.intake import message_of
from worker.models import Correction


def corrections() -> list[dict[str, Any]]:
    """One example a corrected mail, with the newest label."""
    examples: dict[int, dict[str, Any]] = {}
    for row in Correction.objects.filter(field="intent").select_related("mail").order_by("at"):
        message = message_of(row.mail)
        examples[row.mail_id] = {
            "id": f"correction-{row.mail_id}",
            "lang": row.mail.language,
            "subject": masked(message.subject, find(message.subject)),
            "body": masked(message.reply_text, find(message.reply_text)),
            "intent": row.after,
            "reasons": row.mail.reasons,
            "group": f"correction-{row.mail.case_id}",
        }
    return list(examples.values())
