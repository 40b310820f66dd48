"""A mail as a language model may see it: without what tells who wrote it or names a record.

What rules can find is replaced: national identity numbers, addresses, telephone and other numbers, links, the sender's
own name and the name under a mail. A name in the middle of a sentence stays, unless it is the sender's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from rules import entities, national_ids
from rules.pack import RulePack

Stretch = tuple[int, int, str]
"""Start, end, and what stands there instead."""

_KINDS = {
    "email": "EMAIL",
    "case_no": "CASE",
    "property_id": "PROPERTY",
    "invoice_no": "INVOICE",
    "meter_no": "METER",
    "phone": "PHONE",
    "address": "ADDRESS",
}
_ANY_ADDRESS = re.compile(r"[^\s@<>()]{1,200}@[^\s@<>()]{1,200}")
_LINK = re.compile(r"\b(?:https?://|www\.)\S{1,500}", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"\d(?:[ .\u00a0/-]?\d){4,30}")
_NAME = r"[A-ZÅÄÖÆØ][\w'-]{1,30}"
_INTRODUCED = re.compile(
    r"\b(?:(?:jag|jeg|eg) (?:heter|hedder)|mitt namn är|mit navn er|mitt navn er|namnet mitt er|my name is|i am called"
    rf"|nimeni on|olen nimeltäni)\s+(?P<name>(?-i:{_NAME}(?:\s+{_NAME}){{0,3}}))",
    re.IGNORECASE,
)
_NAME_ALONE = re.compile(
    rf"^[ \t*/_,.-]{{0,5}}(?P<name>{_NAME}(?:[ \t]+[A-ZÅÄÖÆØ][\w.'-]{{0,30}}){{0,3}})[ \t,.!]{{0,5}}$", re.MULTILINE
)
_SHORTEST_NAME = 3


def anonymous(pack: RulePack, text: str, language: str, sender_name: str = "") -> str:
    """`text` with a placeholder for each such stretch; the same words get the same placeholder."""
    names: dict[tuple[str, str], str] = {}
    pieces: list[str] = []
    position = 0
    for start, end, kind in sorted(_stretches(pack, text, language, sender_name), key=lambda one: (one[0], -one[1])):
        if start < position:
            # It begins inside the last one: what sticks out is hidden as well.
            position = max(position, end)
            continue
        key = kind, " ".join(text[start:end].split()).casefold()
        pieces += [text[position:start], names.setdefault(key, f"[{kind}_{len(names) + 1}]")]
        position = end
    return "".join([*pieces, text[position:]])


def _stretches(pack: RulePack, text: str, language: str, sender_name: str) -> Iterator[Stretch]:
    ids = national_ids.find(text)
    yield from ((one.start, one.end, "ID") for one in ids)
    for kind, spans in entities.places(pack, text, language, ids).items():
        if kind in _KINDS:
            yield from ((start, end, _KINDS[kind]) for start, end in spans)
    for pattern, kind in ((_ANY_ADDRESS, "EMAIL"), (_LINK, "LINK"), (_LONG_NUMBER, "NUMBER")):
        yield from ((*match.span(), kind) for match in pattern.finditer(text))
    yield from ((*match.span("name"), "PERSON") for match in _INTRODUCED.finditer(text))
    yield from _names_below(text)
    yield from _said_names(text, re.findall(r"[^\W\d_][\w'-]+", sender_name))


def _names_below(text: str) -> Iterator[Stretch]:
    """Lines that are nothing but a name, in the second half of the mail: a greeting stands above."""
    lines = [match for match in _NAME_ALONE.finditer(text) if match.start() >= len(text) // 2]
    yield from ((*match.span("name"), "PERSON") for match in lines)


def _said_names(text: str, names: Iterable[str]) -> Iterator[Stretch]:
    """The sender's name wherever it stands, also with an ending: Virtasen, Bergs."""
    for name in {name for name in names if len(name) >= _SHORTEST_NAME}:
        for match in re.finditer(rf"(?<!\w){re.escape(name)}\w{{0,4}}(?!\w)", text, re.IGNORECASE):
            yield (*match.span(), "PERSON")
