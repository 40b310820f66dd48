"""When a week lies off from those before it, as a table."""

from __future__ import annotations

import random

import pytest

from rules.drift import ERRORS, Mean, Share, mean_against, share_against


@pytest.mark.parametrize(
    ("week", "before", "off"),
    [
        pytest.param((10, 100), (80, 800), False, id="as before"),
        pytest.param((18, 100), (80, 800), False, id="more, as chance has it"),
        pytest.param((21, 100), (80, 800), True, id="many more"),
        pytest.param((1, 100), (160, 800), True, id="hardly any left"),
        pytest.param((4, 100), (0, 800), True, id="what never came before"),
        pytest.param((1, 100), (0, 800), False, id="one of what never came before"),
        pytest.param((0, 100), (0, 800), False, id="never at all"),
        pytest.param((100, 100), (800, 800), False, id="always"),
    ],
)
def test_a_share_against_the_weeks_before(week: tuple[int, int], before: tuple[int, int], off: bool) -> None:
    hits, mails = before
    found = share_against(Share(*week), [Share(hits // 8, mails // 8)] * 8)
    assert found is not None
    assert found.is_off is off
    assert found.usual == hits / mails


@pytest.mark.parametrize(("week", "before"), [(19, 800), (0, 800), (100, 96), (100, 0)])
def test_with_little_mail_nothing_is_said(week: int, before: int) -> None:
    assert share_against(Share(week, week), [Share(0, before // 8)] * 8) is None
    assert mean_against(Mean(0.9, 0.01, week), [Mean(0.1, 0.01, before // 8)] * 8) is None


@pytest.mark.parametrize(
    ("value", "off"), [(0.80, False), (0.76, False), (0.70, True), (0.90, True)], ids=["same", "near", "low", "high"]
)
def test_a_mean_against_the_weeks_before(value: float, off: bool) -> None:
    found = mean_against(Mean(value, 0.04, 100), [Mean(0.8, 0.04, 100)] * 8)
    assert found is not None
    assert found.is_off is off
    assert found.usual == pytest.approx(0.8)


def test_weeks_that_differ_much_among_themselves_leave_more_room() -> None:
    calm = mean_against(Mean(0.75, 0.01, 100), [Mean(0.8, 0.01, 100)] * 8)
    wild = mean_against(Mean(0.75, 0.01, 100), [Mean(0.6, 0.01, 100), Mean(1.0, 0.01, 100)] * 4)
    assert calm is not None
    assert wild is not None
    assert abs(calm.errors) > abs(wild.errors)


def test_without_any_spread_nothing_is_off() -> None:
    found = mean_against(Mean(0.8, 0.0, 100), [Mean(0.8, 0.0, 100)] * 8)
    assert found is not None
    assert not found.is_off


def test_chance_alone_is_seldom_called_drift() -> None:
    """Three standard errors mean about one week in four hundred for shares that are not tiny."""
    chance = random.Random(20)
    called = 0
    for _ in range(2_000):
        weeks = [Share(sum(chance.random() < 0.2 for _ in range(60)), 60) for _ in range(9)]
        found = share_against(weeks[-1], weeks[:-1])
        called += found is not None and abs(found.errors) > ERRORS
    assert called <= 15
