"""The municipality's articles: which one answers today, and what a broken one does (nothing to the others)."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from connectors.base import Question
from connectors.errors import Permanent
from connectors.registers.articles import ArticleRegister

ARTICLE = """---
id: waste-missed
title: "Utebliven sophämtning"
url: https://solkommun.example/sopor
language: sv
intents: [waste_collection, complaint_appeal]
valid_from: 2026-01-01
valid_to: 2026-12-31
owner: Tekniska kontoret
reviewed: 2026-10-01
questions:
  - Varför tömdes inte mitt kärl?
  - När kommer sopbilen?
---

# Utebliven hämtning

Ställ ut kärlet senast kl. 6.

---
Kärlet töms inom två arbetsdagar.
"""

WASTE = Question("intent", "waste_collection", language="sv")


def register(path: Path, content: str | bytes = ARTICLE, *, on: date = date(2026, 11, 21)) -> ArticleRegister:
    (path / "sv").mkdir(exist_ok=True)
    (path / "sv" / "waste.md").write_bytes(content if isinstance(content, bytes) else content.encode())
    return ArticleRegister("articles", path, lambda: on)


def test_an_article_is_a_record_with_its_text(tmp_path: Path) -> None:
    (record,) = register(tmp_path).ask(WASTE).records
    assert record.key == "waste-missed"
    assert dict(record.fields) == {
        "title": "Utebliven sophämtning",
        "url": "https://solkommun.example/sopor",
        "language": "sv",
        "owner": "Tekniska kontoret",
        "reviewed": "2026-10-01",
        "valid_from": "2026-01-01",
        "valid_to": "2026-12-31",
        "questions": "Varför tömdes inte mitt kärl?\nNär kommer sopbilen?",
        "body": "# Utebliven hämtning\n\nStäll ut kärlet senast kl. 6.\n\n---\nKärlet töms inom två arbetsdagar.",
    }


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (Question("intent", "complaint_appeal", language="sv"), 1),
        (Question("intent", "waste_collection"), 1),
        (Question("intent", "waste_collection", language="fi"), 0),
        (Question("intent", "waste", language="sv"), 0),
        (Question("title", "waste_collection", language="sv"), 0),
    ],
)
def test_intent_and_language_choose_the_article(tmp_path: Path, question: Question, found: int) -> None:
    assert len(register(tmp_path).ask(question).records) == found


@pytest.mark.parametrize(
    ("day", "found"),
    [
        (date(2025, 12, 31), 0),
        (date(2026, 1, 1), 1),
        (date(2026, 12, 31), 1),
        (date(2027, 1, 1), 0),
    ],
)
def test_an_article_counts_from_its_first_to_its_last_day(tmp_path: Path, day: date, found: int) -> None:
    assert len(register(tmp_path, on=day).ask(WASTE).records) == found


def test_an_article_without_days_always_counts(tmp_path: Path) -> None:
    endless = ARTICLE.replace("valid_from: 2026-01-01\nvalid_to: 2026-12-31\n", "")
    (record,) = register(tmp_path, endless, on=date(2040, 1, 1)).ask(WASTE).records
    assert record.fields["valid_to"] is None


def test_a_changed_article_counts_at_once(tmp_path: Path) -> None:
    articles = register(tmp_path)
    articles.ask(WASTE)
    register(tmp_path, ARTICLE.replace("två arbetsdagar", "tre arbetsdagar"))
    (record,) = articles.ask(WASTE).records
    assert "tre arbetsdagar" in (record.fields["body"] or "")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (ARTICLE.replace("id: waste-missed\n", ""), "id: field required"),
        (ARTICLE.replace("valid_to:", "valid_too:"), "valid_too: extra inputs are not permitted"),
        (ARTICLE.replace("2026-12-31", "soon"), "valid_to: input should be a valid date"),
        (ARTICLE.replace("2026-12-31", "2026-02-30"), "a value that cannot be read"),
        (ARTICLE.replace("[waste_collection, complaint_appeal]", "[waste"), "not YAML .line"),
        (ARTICLE.replace("[waste_collection, complaint_appeal]", "[]"), "intents: list should have at least 1 item"),
        (ARTICLE.removeprefix("---\n"), "does not begin with front matter"),
        ("---\n- a\n---\nText", "not a list of names and values"),
        ("", "does not begin with front matter"),
        ("---\n" + "[" * 5000 + "\n---\n", "not YAML|cannot be read"),
        (ARTICLE.encode("latin-1"), "is not UTF-8"),
        (b"---\n" + b"x" * 2**21, "too large"),
    ],
)
def test_a_broken_article_is_reported_and_never_hides_the_others(
    tmp_path: Path, content: str | bytes, fault: str
) -> None:
    (tmp_path / "good.md").write_text(ARTICLE.replace("waste-missed", "waste-other"), encoding="utf-8")
    articles = register(tmp_path, content)
    assert [record.key for record in articles.ask(WASTE).records] == ["waste-other"]
    good, bad = articles.check()
    assert good.ok
    assert not bad.ok
    assert "waste.md" in bad.what
    assert re.search(fault, bad.what)


def test_the_same_id_may_stand_once_in_each_language(tmp_path: Path) -> None:
    articles = register(tmp_path)
    (tmp_path / "fi.md").write_text(ARTICLE.replace("language: sv", "language: fi"), encoding="utf-8")
    (tmp_path / "zz.md").write_text(ARTICLE, encoding="utf-8")
    assert len(articles.ask(WASTE).records) == 1
    assert [finding.ok for finding in articles.check()] == [True, False]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    articles = ArticleRegister("articles", tmp_path / "gone")
    with pytest.raises(Permanent, match="gone of the register articles does not exist"):
        articles.ask(WASTE)
    assert [finding.ok for finding in articles.check()] == [False]
