from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.understanding.stretches import MOST, stretches

THREAT = "Jag tänker göra slut på allt i kväll, och ni kommer att få läsa om det i tidningen."


def test_a_part_stands_alone_and_with_its_neighbours() -> None:
    first, second = (
        "Hej och tack för svaret om soptunnan, den är tömd nu.",
        "Men jag orkar inte mer, säg till min syster.",
    )
    found = stretches(f"{first}\n\n{second}\n")
    assert f"{first}\n{second}" in found
    assert any(second in part and first not in part for part in stretches(f"{first * 2}\n\n{second * 2}"))


def test_hidden_text_is_judged_in_parts_of_its_own() -> None:
    assert THREAT in stretches("Hej", THREAT)


@given(st.integers(min_value=0, max_value=4_000), st.integers(min_value=0, max_value=4_000))
def test_harmless_words_round_a_threat_leave_it_a_part_of_its_own(before: int, after: int) -> None:
    filler = "Biblioteket har öppet varje vardag. "
    found = stretches(f"{filler * before}\n{THREAT}\n{filler * after}")
    assert len(found) <= 2 * MOST
    holding = [part for part in found if THREAT in part]
    assert min(map(len, holding)) <= max(1_000, 40 * (before + after) // 20)


@given(st.text(max_size=3_000))
def test_no_word_is_left_out(text: str) -> None:
    judged = set(" ".join(stretches(text)).split())
    assert judged >= {word for word in text.split() if len(word) < 100}
