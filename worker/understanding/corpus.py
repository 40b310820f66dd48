"""Labelled mail: read, checked line by line, hashed, and split so that nobody's mails stand on both sides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rules.pack import REASONS
from rules.quoting import reply_text
from rules.values import LANGUAGES
from worker.offline import InputError

HELD_OUT_ONE_IN = 5
VALIDATION_ONE_IN = 8
"""Of what is not held out."""
SHORT = "short-"
"""Groups of mails of a sentence or two, which teach words and matters. They are only learnt from: what they say of
other mail would be too good."""


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled mail. `own_words` is what the sender wrote, without quoted history and signature."""

    id: str
    language: str
    sender: str
    subject: str
    body: str
    own_words: str
    intent: str
    secondary: tuple[str, ...]
    reasons: tuple[str, ...]
    entities: Mapping[str, tuple[str, ...]]
    national_ids: tuple[str, ...]
    group: str

    @property
    def must_verify(self) -> bool:
        return bool(self.reasons)

    @property
    def text(self) -> str:
        return f"{self.subject}\n{self.body}"


def files(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.jsonl"))
    if not found:
        raise InputError(f"There is no labelled mail (*.jsonl) in {folder}.")
    return found


def sha256(folder: Path) -> str:
    """Of all labelled mail in the folder: a model says which corpus it came from."""
    digest = hashlib.sha256()
    for path in files(folder):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def read_folder(folder: Path) -> list[Example]:
    return [example for path in files(folder) for example in read(path)]


def read(path: Path) -> list[Example]:
    """Raises InputError with the line that cannot be used."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({type(error).__name__}).") from None
    return [_example(f"{path.name} line {number}", line) for number, line in enumerate(lines, 1) if line.strip()]


def _example(place: str, line: str) -> Example:
    try:
        content = json.loads(line)
    except ValueError:
        raise InputError(f"{place} is not JSON.") from None
    if not isinstance(content, dict):
        raise InputError(f"{place} must be an object.")
    return example(content, place)


def example(content: Mapping[str, Any], place: str) -> Example:
    """A labelled mail from its fields; `place` is named when one of them is wrong."""
    missing = [name for name in ("body", "intent") if not isinstance(content.get(name), str)]
    if missing:
        raise InputError(f"{place}: `{missing[0]}` is missing or no text.")
    unknown = [reason for reason in _texts(content, "reasons", place) if reason not in REASONS]
    if unknown:
        raise InputError(f"{place}: there is no reason `{unknown[0]}`.")
    body = content["body"]
    return Example(
        id=str(content.get("id", place)),
        language=_language(content, place),
        sender=str(content.get("from") or ""),
        subject=str(content.get("subject") or ""),
        body=body,
        own_words=reply_text(body),
        intent=content["intent"],
        secondary=_texts(content, "secondary", place),
        reasons=_texts(content, "reasons", place),
        entities=_entities(content, place),
        national_ids=tuple(_national_ids(content, place)),
        group=str(content.get("group") or content.get("id") or place),
    )


def _language(content: Mapping[str, Any], place: str) -> str:
    language = content.get("lang", content.get("language", ""))
    if language not in (*LANGUAGES, "other"):
        raise InputError(f"{place}: `lang` must be one of {', '.join(LANGUAGES)} or other.")
    return str(language)


def _texts(content: Mapping[str, Any], name: str, place: str) -> tuple[str, ...]:
    value = content.get(name) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InputError(f"{place}: `{name}` must be a list of texts.")
    return tuple(value)


def _entities(content: Mapping[str, Any], place: str) -> dict[str, tuple[str, ...]]:
    value = content.get("entities", {})
    if not isinstance(value, dict):
        raise InputError(f"{place}: `entities` must be an object.")
    return {kind: _texts(value, kind, place) for kind in value}


def _national_ids(content: Mapping[str, Any], place: str) -> Iterator[str]:
    """Written as texts, or as objects with `value`."""
    value = content.get("national_ids", [])
    if not isinstance(value, list):
        raise InputError(f"{place}: `national_ids` must be a list.")
    for one in value:
        written = one.get("value") if isinstance(one, dict) else one
        if not isinstance(written, str):
            raise InputError(f"{place}: a national id must be a text or an object with `value`.")
        yield written


@dataclass(frozen=True, slots=True)
class SecondLabels:
    """What somebody said of a mail who had not seen the first labels."""

    id: str
    intent: str
    reasons: tuple[str, ...]


def second_labels(folder: Path) -> list[SecondLabels]:
    """The blind second labelling that lies beside the corpus."""
    lines = (line for path in files(folder / "second_labels") for line in path.read_text(encoding="utf-8").splitlines())
    found = (json.loads(line) for line in lines)
    return [SecondLabels(one["id"], one["intent"], tuple(one["reasons"])) for one in found]


@dataclass(frozen=True, slots=True)
class Split:
    """Nobody's mails stand in two of these."""

    learn: tuple[Example, ...]
    validation: tuple[Example, ...]
    """Never learnt from: settings, calibration and thresholds are chosen on them."""
    held_out: tuple[Example, ...]
    """Only looked at in the end."""


def split(examples: Iterable[Example]) -> Split:
    """Decided by the name of the group alone, so that a growing corpus never moves a mail across."""
    parts: dict[str, list[Example]] = {"learn": [], "validation": [], "held_out": []}
    for one in examples:
        parts[part_of(one.group)].append(one)
    return Split(**{name: tuple(part) for name, part in parts.items()})


def is_short(one: Example) -> bool:
    return one.group.startswith(SHORT)


def part_of(group: str) -> str:
    """`learn`, `validation` or `held_out`."""
    if group.startswith(SHORT):
        return "learn"
    drawn = int(hashlib.sha256(group.encode()).hexdigest(), 16)
    if drawn % HELD_OUT_ONE_IN == 0:
        return "held_out"
    return "validation" if drawn // HELD_OUT_ONE_IN % VALIDATION_ONE_IN == 0 else "learn"
