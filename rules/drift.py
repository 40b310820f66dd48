"""Whether a week of mail lies off from the weeks before it, in standard errors. Values in, values out.

Drift is seen here, not explained: a season, a new form or a fault of the model look alike, and a person must tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

WEEKS_BEFORE = 8
ERRORS = 3.0
LEAST_IN_WEEK = 20
LEAST_BEFORE = 100
"""With fewer mails chance alone moves every figure, so nothing is said."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many mails of all in a week."""

    hits: int
    mails: int

    @property
    def value(self) -> float:
        return self.hits / self.mails if self.mails else 0.0


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a figure over a week's mails, and its variance."""

    value: float
    variance: float
    mails: int


@dataclass(frozen=True, slots=True)
class Against:
    """A week against those before it. `errors`: by how many standard errors it lies above them, or below."""

    usual: float
    errors: float

    @property
    def is_off(self) -> bool:
        return abs(self.errors) > ERRORS


def share_against(week: Share, before: Sequence[Share]) -> Against | None:
    """None when there is too little mail to tell."""
    hits, mails = sum(one.hits for one in before), sum(one.mails for one in before)
    if week.mails < LEAST_IN_WEEK or mails < LEAST_BEFORE:
        return None
    # One mail more on each side (Laplace), or what never came before would have no error at all.
    likely = (hits + 1) / (mails + 2)
    error = sqrt(likely * (1 - likely) * (1 / week.mails + 1 / mails))
    return Against(hits / mails, (week.value - hits / mails) / error)


def mean_against(week: Mean, before: Sequence[Mean]) -> Against | None:
    """None when there is too little mail to tell."""
    mails = sum(one.mails for one in before)
    if week.mails < LEAST_IN_WEEK or mails < LEAST_BEFORE:
        return None
    usual = sum(one.value * one.mails for one in before) / mails
    variance = sum((one.variance + (one.value - usual) ** 2) * one.mails for one in before) / mails
    error = sqrt(week.variance / week.mails + variance / mails)
    if error < 1e-9:
        return Against(usual, 0.0)
    return Against(usual, (week.value - usual) / error)
