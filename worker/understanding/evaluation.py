"""Measures what triage says against labels: language, intent, calibration, abstaining, reasons, ids, entities, time.

The main figures come with a 95 % interval (bootstrap over mails), since a few hundred mails say less than they seem to.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rules.pack import ENTITY_KINDS, REASONS, RulePack
from rules.values import LANGUAGES, Understanding
from worker import understanding
from worker.offline import InputError
from worker.understanding import corpus, model, versions
from worker.understanding.corpus import Example
from worker.understanding.model import Model

PRECISION = 0.95
BINS = 10
DRAWS = 1_000
BATCH = 64

Report = dict[str, Any]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """One labelled mail and what was said of it."""

    label: Example
    said: Understanding

    @property
    def right(self) -> bool:
        return self.said.intent == self.label.intent

    @property
    def in_top_3(self) -> bool:
        return self.label.intent in (self.said.intent, *(one.intent for one in self.said.alternatives[:2]))


def evaluate(path: Path, pack: RulePack, folder: Path | None = None, classifier: str = "") -> Report:
    """The report on a file of labelled mail, of the running version or the one in `folder`.

    Raises InputError with the line that cannot be used, or when there is no such version or classifier.
    """
    examples = corpus.read(path)
    if not examples:
        raise InputError(f"{path} holds no labelled mail.")
    return report(examples, pack, _chosen(folder, classifier) if folder or classifier else None)


def _chosen(folder: Path | None, classifier: str) -> Model:
    try:
        return model.load(folder or versions.active(versions.data_folder()), classifier)
    except (OSError, ValueError) as error:
        raise InputError(f"That version of the model cannot be used: {str(error).rstrip('.')}.") from None


def report(examples: Sequence[Example], pack: RulePack, judge: Model | None = None) -> Report:
    """With `judge`, that one instead of the running one: for measuring before it is used."""
    judge = judge or understanding.running()
    started = time.perf_counter()
    said = [
        answer for batch in _batches(examples) for answer in understanding.understand_texts(_texts(batch), pack, judge)
    ]
    seconds = time.perf_counter() - started
    version = said[0].model
    answers = [Answer(label, one) for label, one in zip(examples, said, strict=True)]
    return {
        "mails": len(answers),
        "model": {"name": version.name, "version": version.version, "sha256": version.sha256},
        "language": _language(answers),
        "intent": _intent(answers),
        "calibration": {"ece": _ece([(one.said.confidence, one.right) for one in answers])},
        "abstaining": _abstaining(answers, judge.thresholds.sure),
        "must_verify": _must_verify(answers),
        "reasons": {r: _found((one.label.reasons, one.said.reasons, r) for one in answers) for r in REASONS},
        "national_ids": _national_ids(answers),
        "entities": {kind: _entities(answers, kind) for kind in ENTITY_KINDS},
        "ms_per_mail": round(1000 * seconds / len(answers), 2),
    }


def _batches(examples: Sequence[Example]) -> Iterable[Sequence[Example]]:
    return (examples[start : start + BATCH] for start in range(0, len(examples), BATCH))


def _texts(examples: Sequence[Example]) -> list[understanding.Text]:
    return [understanding.Text(one.subject, one.body, one.sender) for one in examples]


# --- figures ----------------------------------------------------------------------------------------------------------


def _share(flags: Iterable[bool]) -> float | None:
    listed = list(flags)
    return round(sum(listed) / len(listed), 4) if listed else None


def _interval(values: Sequence[Any], measure: Callable[[Sequence[Any]], float | None]) -> list[float] | None:
    """The 95 % interval of `measure` over mails drawn again and again; the same every time."""
    chance = np.random.default_rng(0)
    drawn = (measure([values[n] for n in chance.integers(0, len(values), len(values))]) for _ in range(DRAWS))
    figures = [figure for figure in drawn if figure is not None]
    return [round(float(np.percentile(figures, p)), 4) for p in (2.5, 97.5)] if figures else None


def _language(answers: Sequence[Answer]) -> Report:
    right = [(one.label.language, one.said.language.code == one.label.language) for one in answers]
    taken_for = Counter((one.label.language, one.said.language.code) for one in answers)
    return {
        "accuracy": _share(flag for _, flag in right),
        "interval": _interval([flag for _, flag in right], _share),
        "per_language": {code: _share(f for c, f in right if c == code) for code in sorted({c for c, _ in right})},
        "confused": {f"{a} taken for {b}": n for (a, b), n in sorted(taken_for.items()) if a != b},
    }


def _intent(answers: Sequence[Answer]) -> Report:
    right = [one.right for one in answers]
    top_3 = [one.in_top_3 for one in answers]
    return {
        "accuracy": _share(right),
        "interval": _interval(right, _share),
        "top_3": _share(top_3),
        "top_3_interval": _interval(top_3, _share),
        "macro_f1": _macro_f1(answers),
        "macro_f1_interval": _interval(answers, _macro_f1),
        "per_language": {
            code: {"mails": len(of), "accuracy": _share(one.right for one in of), "macro_f1": _macro_f1(of)}
            for code in LANGUAGES
            if (of := [one for one in answers if one.label.language == code])
        },
        "per_intent": {
            intent: _found(((one.label.intent,), (one.said.intent,), intent) for one in answers)
            for intent in sorted({one.label.intent for one in answers})
        },
        "secondary": _counts((set(one.label.secondary), set(one.said.secondary)) for one in answers),
    }


def _macro_f1(answers: Sequence[Answer]) -> float:
    return _mean_f1([(one.label.intent, one.said.intent) for one in answers])


def _mean_f1(pairs: Sequence[tuple[str, str]]) -> float:
    """Over the intents that were wanted; a pair is what was wanted and what was said."""
    wanted, said = Counter(one for one, _ in pairs), Counter(one for _, one in pairs)
    right = Counter(one for one, other in pairs if one == other)
    return round(float(np.mean([2 * right[i] / (wanted[i] + said[i]) for i in wanted])), 4)


def of_scores(scores: Floats, examples: Sequence[Example], intents: Sequence[str]) -> Report:
    """Of one scorer alone, without calibration, rules or pack: its first columns are scores of these intents."""
    ranked = np.argsort(-scores[:, : len(intents)], axis=1)
    pairs = [(one.intent, intents[row[0]]) for one, row in zip(examples, ranked.tolist(), strict=True)]
    return {
        "accuracy": _share(wanted == said for wanted, said in pairs),
        "top_3": _share(
            one.intent in {intents[n] for n in row[:3]} for one, row in zip(examples, ranked.tolist(), strict=True)
        ),
        "macro_f1": _mean_f1(pairs),
        "per_language": {
            code: _share(
                wanted == said for (wanted, said), one in zip(pairs, examples, strict=True) if one.language == code
            )
            for code in LANGUAGES
        },
    }


def _ece(pairs: Sequence[tuple[float, bool]]) -> float:
    """Expected calibration error: how far confidence and share of right answers lie apart, over ten bins."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for confidence, right in pairs:
        bins[min(BINS - 1, int(confidence * BINS))].append((confidence, right))
    gaps = (abs(sum(c for c, _ in one) - sum(r for _, r in one)) for one in bins)
    return round(sum(gaps) / len(pairs), 4)


def _abstaining(answers: Sequence[Answer], own_line: float) -> Report:
    """`own_line`: the probability from which on the model calls itself sure, which was chosen on other mails."""
    above = [one.right for one in answers if one.said.confidence >= own_line]
    sure = [one for one in answers if not one.said.abstained]
    return {
        "abstained": _share(one.said.abstained for one in answers),
        "coverage": round(len(sure) / len(answers), 4),
        "precision": _share(one.right for one in sure),
        "precision_interval": _interval([one.right for one in sure], _share) if sure else None,
        "at_own_line": {"line": own_line, "coverage": round(len(above) / len(answers), 4), "precision": _share(above)},
        "coverage_at_95_precision": coverage_at([(one.said.confidence, one.right) for one in answers]),
    }


def coverage_at(pairs: Sequence[tuple[float, bool]], precision: float = PRECISION) -> float:
    """The largest share of mails, the surest first, that is right in `precision` of all."""
    right, most = 0, 0
    for count, (_, is_right) in enumerate(sorted(pairs, key=lambda pair: -pair[0]), 1):
        right += is_right
        if right / count >= precision:
            most = count
    return round(most / len(pairs), 4)


def _must_verify(answers: Sequence[Answer]) -> Report:
    pairs = [(one.label.must_verify, one.said.must_verify) for one in answers]
    return {
        **_precision_and_recall(pairs),
        "recall_interval": _interval(pairs, lambda drawn: _precision_and_recall(drawn)["recall"]),
        "precision_interval": _interval(pairs, lambda drawn: _precision_and_recall(drawn)["precision"]),
    }


def _precision_and_recall(pairs: Sequence[tuple[bool, bool]]) -> Report:
    return {
        "wanted": sum(wanted for wanted, _ in pairs),
        "recall": _share(said for wanted, said in pairs if wanted),
        "precision": _share(wanted for wanted, said in pairs if said),
    }


def _found(triples: Iterable[tuple[Sequence[str], Sequence[str], str]]) -> Report:
    return _precision_and_recall([(label in wanted, label in said) for wanted, said, label in triples])


def _national_ids(answers: Sequence[Answer]) -> Report:
    return _counts((Counter(one.label.national_ids), Counter(_written_ids(one))) for one in answers)


def _written_ids(answer: Answer) -> list[str]:
    """Ids stand in the answer by their place: in the subject first, then in the body."""
    from rules.national_ids import find

    in_subject = len(find(answer.label.subject))
    ids = answer.said.national_ids
    return [
        *(answer.label.subject[one.start : one.end] for one in ids[:in_subject]),
        *(answer.label.body[one.start : one.end] for one in ids[in_subject:]),
    ]


def _entities(answers: Sequence[Answer], kind: str) -> Report:
    return _counts((set(one.label.entities.get(kind, ())), set(one.said.entities.get(kind, ()))) for one in answers)


def _counts(pairs: Iterable[tuple[Any, Any]]) -> Report:
    """Recall and precision of values, over all mails together."""
    wanted_in_all = said_in_all = both = 0
    for wanted, said in pairs:
        wanted_in_all += _size(wanted)
        said_in_all += _size(said)
        both += _size(wanted & said)
    return {
        "wanted": wanted_in_all,
        "recall": round(both / wanted_in_all, 4) if wanted_in_all else None,
        "precision": round(both / said_in_all, 4) if said_in_all else None,
    }


def _size(values: Any) -> int:
    return int(values.total()) if isinstance(values, Counter) else len(values)


# --- as text ----------------------------------------------------------------------------------------------------------


def percent(figure: float | None) -> str:
    return "–" if figure is None else f"{100 * figure:.1f} %"


def with_interval(figure: float | None, interval: Sequence[float] | None) -> str:
    return percent(figure) + (f" ({100 * interval[0]:.1f}–{100 * interval[1]:.1f})" if interval else "")


def main_figures(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    intent, unsure, verify = found["intent"], found["abstaining"], found["must_verify"]
    return [
        ("mails", str(found["mails"])),
        ("language accuracy", with_interval(found["language"]["accuracy"], found["language"]["interval"])),
        ("intent accuracy", with_interval(intent["accuracy"], intent["interval"])),
        ("intent among the first three", with_interval(intent["top_3"], intent["top_3_interval"])),
        ("intent macro-F1", with_interval(intent["macro_f1"], intent["macro_f1_interval"])),
        ("calibration error (ECE)", percent(found["calibration"]["ece"])),
        ("abstained", percent(unsure["abstained"])),
        ("precision when not abstained", with_interval(unsure["precision"], unsure["precision_interval"])),
        ("coverage at 95 % precision", percent(unsure["coverage_at_95_precision"])),
        (
            "coverage and precision with `threshold: model`",
            f"{percent(unsure['at_own_line']['coverage'])} / {percent(unsure['at_own_line']['precision'])}",
        ),
        ("must-verify recall", with_interval(verify["recall"], verify["recall_interval"])),
        ("must-verify precision", with_interval(verify["precision"], verify["precision_interval"])),
        ("secondary intents, recall / precision", _both(intent["secondary"])),
        ("national ids, recall / precision", _both(found["national_ids"])),
        ("milliseconds a mail", f"{found['ms_per_mail']:.2f}"),
    ]


def _both(counts: Mapping[str, Any]) -> str:
    return f"{percent(counts['recall'])} / {percent(counts['precision'])}"


def detail_tables(found: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Title and rows of everything that is told one by one."""
    intent = found["intent"]
    return [
        (
            "Intent accuracy and macro-F1 per language",
            [
                (code, f"{percent(of['accuracy'])} / {percent(of['macro_f1'])} ({of['mails']} mails)")
                for code, of in intent["per_language"].items()
            ],
        ),
        ("Languages taken for others", [(pair, str(count)) for pair, count in found["language"]["confused"].items()]),
        ("Intents, recall / precision", _rows(intent["per_intent"])),
        ("Reasons, recall / precision", _rows(found["reasons"])),
        ("Entities, recall / precision", _rows(found["entities"])),
    ]


def _rows(counts: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(name, f"{_both(one)} ({one['wanted']})") for name, one in counts.items()]


def as_text(found: Mapping[str, Any]) -> str:
    lines = [f"{name:40}{figure}" for name, figure in main_figures(found)]
    for title, rows in detail_tables(found):
        if rows:
            lines += ["", title, *(f"  {name:24}{figure}" for name, figure in rows)]
    return "\n".join(lines)
