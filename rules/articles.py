"""Which knowledge article answers a mail, and the passages it is cited by.

Only articles that the register gave for the mail's intent and language compete; the mail's words only rank them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rules.facts import RecordFacts
from rules.grounding.words import FUNCTION_WORDS
from rules.pack import ARTICLES
from rules.values import Fact, FieldClass, Kind, Passage, Source

STEM = 6
"""Words are compared by their first six letters: crude, alike for all five languages, and enough to rank a dozen
articles."""

WHOSE = frozenset(
    [
        *("min", "mitt", "mina", "din", "ditt", "dina", "mit", "mine", "dit", "dine", "my", "your", "our"),
        *("minun", "mun", "meidän", "vår", "vårt", "våra", "vores"),
    ]
)
"""Whose it is says nothing of what it is about."""

LEAST_SCORE = 0.13
"""Below this an article is left out: a weak match in a draft is worse than none. Chosen by reading the best match for
each mail of the sample municipality: below it, most did not answer the question."""


@dataclass(frozen=True, slots=True)
class Article:
    id: str
    title: str
    url: str
    language: str
    questions: str
    passages: tuple[Passage, ...]

    @property
    def answer(self) -> Passage:
        """The first paragraph, written so that it can be sent as it stands."""
        return self.passages[0]

    @property
    def link(self) -> RecordFacts:
        """Where to read on, as a fact that a phrase may use."""
        fact = Fact(
            id=f"{ARTICLES}/{self.id}/url",
            kind=Kind.LINK,
            label="article_url",
            value=self.url,
            subject=self.id,
            source=Source(ARTICLES, self.id, "url"),
            read_at=self.answer.read_at,
            max_age_s=self.answer.max_age_s,
            field_class=FieldClass.PUBLIC,
            title=self.title,
        )
        return RecordFacts(ARTICLES, self.id, self.title, {"url": fact} if self.url else {}, {}, ())


def from_record(key: str, fields: Mapping[str, str | None], read_at: datetime, max_age_s: float) -> Article | None:
    """None for an article without text."""
    title, url, language = (fields.get(name) or "" for name in ("title", "url", "language"))
    passages = tuple(
        Passage(f"{key}#p{number}", key, text, title, url, language, read_at, max_age_s)
        for number, text in enumerate(paragraphs(fields.get("body") or ""), 1)
    )
    return Article(key, title, url, language, fields.get("questions") or "", passages) if passages else None


def paragraphs(body: str) -> list[str]:
    """Paragraphs of a Markdown text, headings left out, lines joined."""
    blocks = (" ".join(block.split()) for block in re.split(r"\n\s*\n", body))
    return [block for block in blocks if block and not block.startswith("#")]


def best(articles: Sequence[Article], text: str) -> Article | None:
    """The article whose questions and title share most of what is particular in the mail; None when all are weak."""
    if not articles:
        return None
    language = articles[0].language
    stems = {a.id: _stems(f"{a.title} {a.title} {a.questions}", language) for a in articles}
    spread = Counter(stem for counted in stems.values() for stem in counted)
    asked = _stems(text, language)
    scored = [(_score(asked, stems[a.id], spread, len(articles)), a.id, a) for a in articles]
    score, _, article = max(scored, key=lambda one: one[:2])
    return article if score >= LEAST_SCORE else None


def _score(asked: Counter[str], told: Counter[str], spread: Counter[str], articles: int) -> float:
    """Cosine of the two texts, each stem weighed by how few articles have it. Words of the mail that no article knows
    count as the rarest: a mail that is mostly about something else is no match."""

    def length(text: Counter[str]) -> float:
        return math.sqrt(sum((_damped(count) * weight(stem)) ** 2 for stem, count in text.items()))

    def weight(stem: str) -> float:
        return math.log(1 + articles / (spread[stem] or 0.5))

    shared = sum(_damped(asked[stem]) * _damped(told[stem]) * weight(stem) ** 2 for stem in asked.keys() & told.keys())
    return shared / (length(asked) * length(told)) if asked and told else 0.0


def _damped(count: int) -> float:
    return 1 + math.log(count) if count else 0.0


def _stems(text: str, language: str) -> Counter[str]:
    """What a text is about: its words without those that only hold sentences together."""
    small = FUNCTION_WORDS.get(language, frozenset()) | WHOSE
    words = re.findall(r"\w+", text[:20_000].casefold())
    return Counter(word[:STEM] for word in words if len(word) > 2 and word not in small)
