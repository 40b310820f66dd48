"""Whether a new version of the model is better than the one in use, figure by figure, with the reasons in sentences.

Values in, values out. Both versions have been measured on the same mails, which the new one had not learnt from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

LAST = 200
"""How many of the newest corrections are kept out of a new version's training, to compare on."""
LEAST = 20
"""Fewer corrections than these say too little to be counted."""

Report = Mapping[str, Any]
"""As `evaluation.report` gives it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One that counts. `slack`: by how much the candidate may be worse."""

    name: str
    part: str
    key: str
    may_fall: bool = False
    must_rise: bool = False
    """One of these must be better at least."""
    lower_is_better: bool = False
    slack: float = 0.0


FIGURES = (
    Figure("intent accuracy", "intent", "accuracy", must_rise=True),
    Figure("must-verify recall", "must_verify", "recall"),
    Figure("calibration error (ECE)", "calibration", "ece", lower_is_better=True, slack=0.01),
    Figure("coverage at 95 % precision", "abstaining", "coverage_at_95_precision", may_fall=True, must_rise=True),
)

BETTER, EQUAL, WITHIN, LOWER, WORSE, UNKNOWN = "better", "equal", "within a point", "lower", "worse", "not measured"


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one version."""

    held_out: Report
    corrections: Report | None = None


@dataclass(frozen=True, slots=True)
class Row:
    on: str
    figure: str
    running: float | None
    candidate: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Comparison:
    better: bool
    rows: tuple[Row, ...]
    why: tuple[str, ...]


def beats(running: Measured, candidate: Measured) -> Comparison:
    """The candidate must be worse in nothing that matters on any set of mails, and better in one thing on one."""
    sets, why = _sets(running, candidate)
    rows = tuple(row for on, one, other in sets for row in _rows(on, one, other))
    against = [*_faults(sets), *(_against(row) for row in rows if row.verdict == WORSE)]
    risen = [row for row in rows if row.verdict == BETTER and _figure(row.figure).must_rise]
    if not against and not risen:
        against = ["Neither intent accuracy nor coverage at 95 % precision is higher than with the version in use."]
    return Comparison(not against, rows, (*why, *(against or map(_for, risen))))


def _sets(running: Measured, candidate: Measured) -> tuple[list[tuple[str, Report, Report]], list[str]]:
    sets = [("held-out mails", running.held_out, candidate.held_out)]
    one, other = running.corrections, candidate.corrections
    count = min(0 if one is None else one["mails"], 0 if other is None else other["mails"])
    if one is not None and other is not None and count >= LEAST:
        return [*sets, ("corrections", one, other)], []
    are = "is 1 correction" if count == 1 else f"are {count} corrections" if count else "are no corrections"
    return sets, [f"Only the held-out mails count: there {are} to compare on, and {LEAST} are needed."]


def _faults(sets: list[tuple[str, Report, Report]]) -> Iterator[str]:
    for on, one, other in sets:
        if one["mails"] != other["mails"]:
            yield (
                f"The two were measured on different {on} ({one['mails']} and {other['mails']}); "
                "measure both on the same."
            )


def _rows(on: str, running: Report, candidate: Report) -> Iterator[Row]:
    for figure in FIGURES:
        before, after = (report[figure.part][figure.key] for report in (running, candidate))
        yield Row(f"{on} ({candidate['mails']})", figure.name, before, after, _verdict(figure, before, after))


def _verdict(figure: Figure, before: float | None, after: float | None) -> str:
    """Figures come rounded to four places, so less than half of the last one is no difference."""
    if before is None or after is None:
        return UNKNOWN
    gain = before - after if figure.lower_is_better else after - before
    if abs(gain) < 5e-5:
        return EQUAL
    if gain > 0:
        return BETTER
    if figure.may_fall:
        return LOWER
    return WITHIN if -gain < figure.slack + 5e-5 else WORSE


def _figure(name: str) -> Figure:
    return next(figure for figure in FIGURES if figure.name == name)


def _against(row: Row) -> str:
    figure = _figure(row.figure)
    way = "higher" if figure.lower_is_better else "lower"
    allowed = f", by more than {100 * figure.slack:.0f} point" if figure.slack else ""
    return f"On the {row.on} {row.figure} is {way}{allowed}: {_percent(row.candidate)}, before {_percent(row.running)}."


def _for(row: Row) -> str:
    return f"On the {row.on} {row.figure} is higher: {_percent(row.candidate)}, before {_percent(row.running)}."


def _percent(figure: float | None) -> str:
    return "–" if figure is None else f"{100 * figure:.1f} %"


# --- for people and machines ------------------------------------------------------------------------------------------


def as_json(found: Comparison) -> dict[str, Any]:
    return {"better": found.better, "rows": [asdict(row) for row in found.rows], "why": list(found.why)}


def from_json(content: Mapping[str, Any]) -> Comparison:
    return Comparison(content["better"], tuple(Row(**row) for row in content["rows"]), tuple(content["why"]))


def as_text(found: Comparison) -> str:
    head = ("", "figure", "in use", "new", "verdict")
    cells = [(row.on, row.figure, _percent(row.running), _percent(row.candidate), row.verdict) for row in found.rows]
    wide = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, wide, strict=True)) for row in (head, *cells)]
    said = "The new version is better." if found.better else "The new version is not better than the one in use."
    return "\n".join([*(line.rstrip() for line in lines), "", said, *found.why])
