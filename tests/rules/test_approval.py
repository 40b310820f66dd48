"""An approval is bound to exactly what leaves: each part of it alone changes the hash."""

from __future__ import annotations

from typing import Any

import pytest

from rules import chain
from rules.approval import content_hash
from rules.values import Kind, Recipients, Span, Verdict

SPAN = Span(0, 5, "15.12", Kind.DATE, "2026-12-15", Verdict.SUPPORTED, "invoices/1/due_date", "It agrees.")
CONTENT: dict[str, Any] = {
    "recipients": Recipients(("anna@mail.example",)),
    "sender": "kundcenter@norrvik.example",
    "subject": "Re: Faktura",
    "body": "15.12 förfaller den.",
    "quotation": "> Hej!",
    "thread": {"In-Reply-To": "<a@mail.example>"},
    "spans": [SPAN],
    "facts": {"invoices/1/due_date": "2026-12-15"},
    "pack": "nordic@1:abc",
    "attachments": ["00ff"],
}


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("recipients", Recipients(("eve@mail.example",))),
        ("recipients", Recipients(("anna@mail.example",), ("eve@mail.example",))),
        ("sender", "other@norrvik.example"),
        ("subject", "Re: faktura"),
        ("body", "15.12 förfaller den!"),
        ("quotation", ""),
        ("thread", {}),
        ("spans", []),
        ("spans", [Span(0, 5, "15.12", Kind.DATE, "2026-12-15", Verdict.OWNED, "invoices/1/due_date", "")]),
        ("facts", {"invoices/1/due_date": "2026-12-16"}),
        ("pack", "nordic@2:abc"),
        ("attachments", []),
    ],
)
def test_any_change_gives_another_hash(part: str, other: object) -> None:
    assert content_hash(**CONTENT) != content_hash(**{**CONTENT, part: other})


def test_the_same_content_always_gives_the_same_hash() -> None:
    reordered = {**CONTENT, "thread": dict(reversed(CONTENT["thread"].items()))}
    assert content_hash(**CONTENT) == content_hash(**reordered)


def test_a_link_depends_on_the_one_before_it_and_on_the_event() -> None:
    event = {"action": "sent", "id": 1}
    assert chain.link(chain.FIRST, event) == chain.link(chain.FIRST, {"id": 1, "action": "sent"})
    assert chain.link(chain.FIRST, event) != chain.link("1" * 64, event)
    assert chain.link(chain.FIRST, event) != chain.link(chain.FIRST, {**event, "id": 2})
