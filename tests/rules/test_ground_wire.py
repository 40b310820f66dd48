"""The JSON of `kommunpost ground`."""

from __future__ import annotations

from typing import Any

import pytest

from rules.grounding import from_json, ground, to_json
from rules.values import Kind, Source

QUESTION: dict[str, Any] = {
    "language": "sv",
    "now": "2026-11-21T12:00:00Z",
    "facts": [
        {
            "id": "f1",
            "kind": "date",
            "label": "due_date",
            "value": "2026-12-15",
            "subject": "2026-118342",
            "source": {"register": "invoices", "key": "2026-118342", "field": "due_date"},
            "read_at": "2026-11-21T11:00:00+00:00",
            "max_age_s": 86400,
        }
    ],
    "passages": [{"id": "p1", "article": "a", "text": "Hallen stänger kl. 20."}],
    "phrases": ["Fakturan förfaller den {due_date}."],
}


def test_a_question_is_read_and_answered() -> None:
    language, evidence, now = from_json(QUESTION)
    text = "Fakturan förfaller den 15 december 2026. Hallen stänger kl. 20."
    answer = to_json(ground(text, language, evidence, now))
    assert answer["supported"] is True
    assert answer["spans"][1] == {
        "start": 23, "end": 39, "text": "15 december 2026", "kind": "date", "value": "2026-12-15",
        "verdict": "supported", "source": "f1", "why": "The register says this.",
    }  # fmt: skip
    assert [span["source"] for span in answer["spans"]] == ["phrase", "f1", "p1", "p1"]


def test_what_may_be_left_out() -> None:
    fact = {"id": "f", "kind": "unit", "label": "unit", "value": "X", "read_at": "2026-11-21T12:00:00"}
    _, evidence, now = from_json(
        {"language": "fi", "now": "2026-11-21T12:00:00", "facts": [fact | {"source": "units"}]}
    )
    assert now.tzinfo is not None
    assert evidence.facts[0].source == Source("units", "", "")
    assert (evidence.facts[0].kind, evidence.passages, evidence.phrases) == (Kind.UNIT, (), ())


def without(field: str) -> dict[str, Any]:
    return {"facts": [{name: value for name, value in QUESTION["facts"][0].items() if name != field}]}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"language": "de"}, "language"),
        ({"now": "yesterday"}, "now"),
        ({"facts": {}}, "facts"),
        (without("id"), "facts[0].id"),
        (without("value"), "facts[0].value"),
        ({"facts": [QUESTION["facts"][0] | {"kind": "colour"}]}, "facts[0].kind"),
        ({"facts": [QUESTION["facts"][0] | {"value": "next week"}]}, "facts[0]"),
        ({"facts": [QUESTION["facts"][0] | {"kind": "status", "value": "fine"}]}, "facts[0]"),
        ({"facts": [QUESTION["facts"][0] | {"read_at": "soon"}]}, "facts[0].read_at"),
        ({"passages": [{"id": "p1"}]}, "passages[0].text"),
        ({"phrases": [1]}, "phrases[0]"),
    ],
)
def test_bad_input_is_refused_with_one_sentence_that_names_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as refused:
        from_json(QUESTION | change)
    message = str(refused.value)
    assert message.startswith(f"{field}: ")
    assert "\n" not in message
    assert "next week" not in message


@pytest.mark.parametrize("nonsense", [None, [], "text", 3])
def test_something_that_is_no_object_is_refused(nonsense: object) -> None:
    with pytest.raises(ValueError, match="the file: "):
        from_json(nonsense)
