"""What can be tried on files, without a database, a broker or anything being sent: parse, triage, draft, ground."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parsedate_to_datetime
from itertools import islice
from pathlib import Path
from typing import Any

from connectors.base import Register
from connectors.registers.csv_folder import csv_folder
from rules import grounding
from rules import message as mime
from rules.day_words import named_days
from rules.drafting import reply_to
from rules.pack import RulePack
from rules.values import Message, Reply, Source, Span, Understanding
from worker import understanding
from worker.lookup import OWN_RECORD, OwnRecord, Registers, gather, registers_of
from worker.municipality import Municipality

BATCH = 64
"""Mails classified together by `triage`."""


class InputError(ValueError):
    """What was given cannot be used; the text says what and where."""


def parse(paths: Iterable[Path], authserv_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    for path in paths:
        message = mime.read(read_bytes(path), authserv_ids=authserv_ids)
        yield mime.parsed(message, understanding.language_of(message.reply_text or message.text, message.subject))


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None


def triage(lines: Iterable[str], pack: RulePack) -> Iterator[dict[str, Any]]:
    """JSON Lines in, one answer a line out, in the same order; a batch at a time, whatever the length."""
    numbered = ((n, line) for n, line in enumerate(lines, 1) if line.strip())
    while batch := list(islice(numbered, BATCH)):
        mails = [triage_input(number, line) for number, line in batch]
        answers = understanding.understand_texts([text_of(mail) for mail in mails], pack)
        for mail, answer in zip(mails, answers, strict=True):
            yield {"id": mail["id"], **triage_output(answer), **named_days_of(text_of(mail), answer)}


def triage_input(number: int, line: str) -> dict[str, Any]:
    try:
        mail = json.loads(line)
    except (ValueError, RecursionError):
        raise InputError(f"Line {number} is not JSON.") from None
    if not isinstance(mail, dict) or "id" not in mail or "body" not in mail:
        raise InputError(f"Line {number} must be an object with at least `id` and `body`.")
    if not isinstance(mail.get("headers") or {}, dict):
        raise InputError(f"Line {number}: `headers` must be an object of names and values.")
    return mail


def text_of(mail: dict[str, Any]) -> understanding.Text:
    return understanding.Text(
        subject=str(mail.get("subject") or ""),
        body=str(mail.get("body") or ""),
        sender=str(mail.get("from") or ""),
        headers={str(k): str(v) for k, v in (mail.get("headers") or {}).items()},
        date=str(mail.get("date") or ""),
    )


def named_days_of(mail: understanding.Text, answer: Understanding) -> dict[str, list[dict[str, str]]]:
    """A field of its own when the mail has a date and names days by words, which are then resolved against it."""
    sent = read_date(mail.date)
    found = named_days(f"{mail.subject}\n{mail.body}", answer.language.code, sent) if sent else ()
    return {"named_days": [{"text": one.text, "date": one.value} for one in found]} if found else {}


def read_date(written: str) -> date | None:
    """As in a header (RFC 5322) or in ISO 8601; the day where it was written."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return read(written.strip()).date()
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def triage_output(answer: Understanding) -> dict[str, Any]:
    kinds = ("case_no", "invoice_no", "address", "property_id", "meter_no", "date", "amount", "phone", "email")
    return {
        "language": answer.language.code,
        "intent": answer.intent,
        "confidence": round(answer.confidence, 4),
        "alternatives": [{"intent": a.intent, "confidence": round(a.confidence, 4)} for a in answer.alternatives],
        "abstained": answer.abstained,
        "secondary": list(answer.secondary),
        "must_verify": answer.must_verify,
        "reasons": list(answer.reasons),
        "entities": {kind: list(answer.entities.get(kind, ())) for kind in kinds},
        "national_ids": [
            {"kind": i.kind, "masked": i.masked, "start": i.start, "end": i.end} for i in answer.national_ids
        ],
        "model": {"name": answer.model.name, "version": answer.model.version, "sha256": answer.model.sha256},
        "rules_fired": list(answer.rules_fired),
    }


def draft(path: Path, municipality: Municipality, folder: Path | None, authserv_ids: Sequence[str]) -> dict[str, Any]:
    """What would be answered to one mail, and why. Sends nothing, stores nothing."""
    pack = municipality.rule_pack()
    raw = read_bytes(path)
    message = mime.read(raw, authserv_ids=authserv_ids, own_addresses=municipality.own_addresses())
    understood = understanding.understand(message, pack)
    registers = trial_registers(municipality, folder)
    gathered, _ = gather(pack, registers, message, understood)
    reply = reply_to(pack, message, understood, gathered, datetime.now(UTC))
    return draft_output(path, message, understood, gathered.look_ups, reply, gathered_sources(gathered))


def trial_registers(municipality: Municipality, folder: Path | None) -> Registers:
    """The registers of a folder of CSV files when one is given, beside the municipality's own articles and record."""
    if folder is None:
        return registers_of(municipality)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give a folder of CSV files, one a register.")
    files: dict[str, Register] = {register.name: register for register in csv_folder(folder)}
    articles = {
        name: register
        for name, register in registers_of(articles_only(municipality)).by_name.items()
        if name not in files
    }
    own = OwnRecord({"name": municipality.name, **municipality.facts})
    return Registers({OWN_RECORD: own, **articles, **files}, registers_of(articles_only(municipality)).time_zone)


def articles_only(municipality: Municipality) -> Municipality:
    kept = {name: entry for name, entry in municipality.registers.items() if entry.kind == "articles"}
    return municipality.model_copy(update={"registers": kept, "name": municipality.name})


def gathered_sources(gathered: Any) -> dict[str, dict[str, Any]]:
    """How each source id of a span is shown: register, key, field, value and read time, or article and passage."""
    sources: dict[str, dict[str, Any]] = {}
    for record in gathered.records:
        for fact in record.told.values():
            sources[fact.id] = fact_source(fact.source, fact.value, fact.read_at)
    for article in gathered.articles:
        for passage in article.passages:
            sources[passage.id] = {"article": passage.article, "passage": passage.id.partition("#")[2]}
    return sources


def fact_source(source: Source, value: str, read_at: datetime) -> dict[str, Any]:
    return {
        "register": source.register,
        "key": source.key,
        "field": source.field,
        "value": value,
        "read_at": read_at.isoformat(timespec="seconds"),
    }


def draft_output(
    path: Path,
    message: Message,
    understood: Understanding,
    look_ups: Sequence[Any],
    reply: Reply,
    sources: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    return {
        "file": str(path),
        "language": understood.language.code,
        "intent": understood.intent,
        "must_verify": understood.must_verify,
        "reasons": list(understood.reasons),
        "reply": reply.kind.value,
        "why": list(reply.why),
        "subject": reply.subject,
        "body": reply.body,
        "claims": [claim(span, sources) for span in reply.spans],
        "withheld": [
            {"register": w.register, "field": w.field, "class": w.field_class.value, "reason": w.reason}
            for w in reply.withheld
        ],
        "lookups": [{"register": one.register, "keyed_on": one.keyed_on, "found": one.found} for one in look_ups],
        "approval": {
            "needed": reply.approval.needed,
            "people": reply.approval.people,
            "ticks": list(reply.approval.ticks),
            "queue": reply.approval.queue,
        },
        "sender": {
            "verified": message.sender.verified,
            "method": message.sender.method.value,
            "reason": message.sender.reason,
        },
        "recipients": {"to": list(reply.recipients.to), "cc": list(reply.recipients.cc)},
    }


def claim(span: Span, sources: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "text": span.text,
        "start": span.start,
        "end": span.end,
        "kind": span.kind.value,
        "verdict": span.verdict.value,
        "source": sources.get(span.source or "", {"phrase": True} if span.source == "phrase" else None),
    }


def ground(facts: Path, text: str) -> dict[str, Any]:
    try:
        given = json.loads(read_bytes(facts))
    except (ValueError, RecursionError):
        raise InputError(f"{facts} is not JSON.") from None
    try:
        language, evidence, now = grounding.from_json(given)
    except ValueError as error:
        raise InputError(f"{facts}: {error}") from None
    return grounding.to_json(grounding.ground(text, language, evidence, now))


def mail_of(subject: str, body: str, sender: str) -> bytes:
    """A plain mail from its parts: for the pack's own examples."""
    name, _, address = sender.rpartition("<")
    letter = EmailMessage(policy=SMTP)
    letter["From"] = Address(display_name=name.strip(), addr_spec=address.rstrip(">").strip())
    letter["Subject"] = " ".join(subject.split())
    letter.set_content(body)
    return bytes(letter)
