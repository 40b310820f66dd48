"""Checks a rule pack and runs its own examples: mail in, and what would come out, without registers or a database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rules import message as mime
from rules.drafting import Gathered, reply_to
from rules.pack import Example, PackError, RulePack
from rules.values import Reply, Understanding
from worker import municipality, packs, understanding
from worker.offline import mail_of


@dataclass(frozen=True, slots=True)
class Result:
    """One example of the pack; it came out as expected when there are no faults."""

    name: str
    faults: tuple[str, ...]


def faults(pack: str | None, municipality_file: Path) -> list[str]:
    """Everything that is wrong with a pack; empty when it is in order. Raises PackError when there is none to check."""
    try:
        chosen(pack, municipality_file)
    except PackError as error:
        if pack is not None and not (_folder(pack) / "pack.yaml").is_file():
            raise
        return list(error.faults)
    return []


def chosen(pack: str | None, municipality_file: Path) -> RulePack:
    """The municipality's pack, or a shipped one by name, or the one in a folder. Raises PackError."""
    if pack is None:
        return municipality.read(municipality_file).rule_pack()
    return packs.read(_folder(pack))


def _folder(pack: str) -> Path:
    folder = Path(pack)
    return folder if folder.is_dir() else packs.shipped(pack)


def run_examples(pack: str | None, municipality_file: Path) -> list[Result]:
    rule_pack = chosen(pack, municipality_file)
    return [Result(example.name, tuple(_faults_of(example, rule_pack))) for example in rule_pack.examples]


def _faults_of(example: Example, pack: RulePack) -> Iterator[str]:
    message = mime.read(mail_of(example.subject, example.body, example.from_))
    understood = understanding.understand(message, pack)
    reply = reply_to(pack, message, understood, Gathered(), datetime.now(UTC))
    yield from _differences(example, understood, reply)


def _differences(example: Example, understood: Understanding, reply: Reply) -> Iterator[str]:
    """Reasons must be among those found, since the classifier may see more; everything else must be the same."""
    expected = example.expect
    if understood.language.code != example.language:
        yield f"language is {understood.language.code}, not {example.language}"
    if expected.intent is not None and understood.intent != expected.intent:
        yield f"intent is {understood.intent}, not {expected.intent}"
    missing = [reason for reason in expected.reasons or () if reason not in understood.reasons]
    if missing:
        yield f"reason missing: {', '.join(missing)}"
    if expected.reasons == [] and understood.reasons:
        yield f"reasons are {', '.join(understood.reasons)}, none expected"
    if expected.reply is not None and reply.kind != expected.reply:
        yield f"reply is {reply.kind.value}, not {expected.reply}"
    if expected.queue is not None and reply.approval.queue != expected.queue:
        yield f"queue is {reply.approval.queue}, not {expected.queue}"
    for kind, values in expected.entities.items():
        found = list(understood.entities.get(kind, ()))
        if found != values:
            yield f"{kind} is {', '.join(found) or 'nothing'}, not {', '.join(values) or 'nothing'}"
