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
from worker.understanding import corpus, evaluation, linear, training
from worker.understanding.corpus import Example, SecondLabels

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "corpus"
COUNTS = re.compile(r"(<!-- counts: [^>]*-->\n).*?(<!-- end of counts -->)", re.DOTALL)


def main() -> None:
    examples = corpus.read_folder(CORPUS)
    shipped = linear.load()
    if shipped.card.corpus_sha256 != corpus.sha256(CORPUS):
        sys.exit("The shipped model does not come from this corpus. Run `kommunpost train` first.")
    pack = packs.read(packs.shipped())
    learn, held_out = corpus.split(examples)
    trial = training.fit(learn, pack, corpus_sha256="")
    whole = training.fit(examples, pack, corpus_sha256="")
    on_held_out = evaluation.report(held_out, pack, trial.model)
    cross_validated = evaluation.summary_of_unseen(examples, whole.unseen, shipped.card.thresholds)
    write(ROOT / "docs" / "evaluation.md", evaluation_page(len(learn), on_held_out, cross_validated, pack))
    write(linear.SHIPPED.with_suffix(".md"), model_card(shipped, on_held_out))
    readme = CORPUS / "README.md"
    counted = counts(examples) + agreement(examples, corpus.second_labels(CORPUS))
    write(readme, COUNTS.sub(lambda found: found[1] + counted + found[2], readme.read_text(encoding="utf-8")))


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    click.echo(f"Wrote {path.relative_to(ROOT)}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def evaluation_page(learnt_from: int, found: Mapping[str, Any], cross_validated: str, pack: RulePack) -> str:
    details = "\n".join(
        f"## {title}\n\n{table(('', 'held-out'), rows)}" for title, rows in evaluation.detail_tables(found) if rows
    )
    return f"""# How well mails are understood

Written by `python -m worker.understanding.report`; run it again after `kommunpost train`. `kommunpost evaluate
--input labelled.jsonl` measures the shipped model on mails of your own, which says more about your inbox than this.

## Held-out mails

A classifier was fitted on {learnt_from} mails of the corpus and asked about the other {found["mails"]}. The
split follows the name of the group (`corpus.is_held_out`), so nobody's mails stand on both sides. The patterns
of the pack, the features and all thresholds of that classifier were chosen without these mails. A few settings
were first chosen on a wider set that holds most of them, and then chosen again, alike, on the mails learnt
from: the language temperature, the cut-offs for other languages, how much recall counts for reasons, and how
second matters are counted. For those the page may flatter a little. In brackets the 95 % interval, drawn a
thousand times from these mails. What ships is fitted on all mails in the same way.

{table(("figure", "held-out"), evaluation.main_figures(found))}
Abstaining is measured with `threshold: {pack.threshold}`, as the shipped pack has it. The corpus was written for this
product, and two hands wrote each language. Expect less on real mail.

## Cross-validated on the whole corpus

{training.FOLDS} folds, groups uncut, the classifier alone. The thresholds of the shipped model were chosen on these
predictions: *sure* so that {100 * training.PRECISION_WHEN_SURE:.0f} % of what is not abstained from is right,
at the most coverage; *any reason* so that, with the pack's rules, {100 * training.MUST_VERIFY_RECALL:.0f} % of the
mails that must be verified are found.

```
{cross_validated}
```

{details}"""


def model_card(model: linear.Model, found: Mapping[str, Any]) -> str:
    card = model.card
    return f"""# Model card: {linear.NAME} {linear.VERSION}

**What it is.** Linear support vector machines (C = {training.FIRMNESS}), one against the rest, over hashed
words, pairs of words and pieces of words, calibrated by temperature (intents) and logistic curves (reasons);
weights of eight bits. One file for five languages, read without pickle. `sha256 {model.sha256}`

**Data.** {card.mails} hand-written, invented mails (`corpus/`, `sha256 {card.corpus_sha256}`). National
identity numbers are hidden before anything is counted; digits lose their value. The weights are of hashed
features. The only words in the file stand in at least {training.COMMON_IN} mails each; they tell known
languages from unknown ones.

**Use.** To say what a mail is about, in which language, and whether a person must look. It never decides on a reply:
the policy of the rule pack does, and a person approves. With `threshold: model` in
the pack it abstains below {card.thresholds.sure:.3f}; a number there overrides that.

**Figures** on held-out mails, from the same recipe fitted on the rest (all of them: docs/evaluation.md):

{table(("figure", "held-out"), evaluation.main_figures(found))}
**Limits.** It knows words, not meaning: a mail that never names its matter is often misread, and then it mostly
abstains. Danger said between the lines is often missed, and much that is no danger is taken for it. A second matter in
a mail is seldom found. Invented mail is not real mail. The corpus has two writers' hands in each language.
"""


def counts(examples: Sequence[Example]) -> str:
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
    ]
    intents = sorted({one.intent for one in examples})
    return (
        f"\n`sha256 {corpus.sha256(CORPUS)}`\n\n{table(head, general)}"
        f"\n{table(('intent', *head[1:]), (_row(i, [of_intent[i, code] for code in LANGUAGES]) for i in intents))}"
        f"\n{table(('reason', *head[1:]), (_row(r, [of_reason[r, code] for code in LANGUAGES]) for r in REASONS))}\n"
    )


def agreement(examples: Sequence[Example], second: Sequence[SecondLabels]) -> str:
    """How often two people who did not see each other's labels said the same, and how much of that is not chance."""
    first = {one.id: one for one in examples}
    pairs = [(first[one.id], one) for one in second]
    rows = [
        _agreed("intent", [(a.intent, b.intent) for a, b in pairs]),
        _agreed("must be verified", [(bool(a.reasons), bool(b.reasons)) for a, b in pairs]),
        *(_agreed(reason, [(reason in a.reasons, reason in b.reasons) for a, b in pairs]) for reason in REASONS),
    ]
    head = (f"second labelling of {len(pairs)} mails", "same", "Cohen's kappa")
    return f"\n{table(head, rows)}\n"


def _agreed(name: str, pairs: Sequence[tuple[Any, Any]]) -> list[str]:
    from sklearn.metrics import cohen_kappa_score

    first, other = zip(*pairs, strict=True)
    same = sum(a == b for a, b in pairs) / len(pairs)
    return [name, f"{100 * same:.1f} %", f"{cohen_kappa_score(first, other):.2f}"]


def _row(name: str, numbers: Sequence[int]) -> list[str]:
    return [name, *map(str, numbers), str(sum(numbers))]


if __name__ == "__main__":
    main()
