"""The municipality's own articles: Markdown files with YAML front matter, asked for by intent and language.

One broken article must never hide the others, and a changed file counts from the next question on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from connectors.base import SETTINGS, Answer, Finding, Question, Record
from connectors.errors import Permanent

_LARGEST_ARTICLE_BYTES = 2**20
_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(?P<front>.*?)^---[ \t]*\r?$(?P<body>.*)", re.DOTALL | re.MULTILINE)


class Article(BaseModel):
    # An unknown name is a fault: a misspelt valid_to would keep an outdated article alive.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    id: str = Field(min_length=1)
    title: str = Field(min_length=1)
    url: str
    language: str
    intents: list[str] = Field(min_length=1)
    owner: str
    reviewed: date
    valid_from: date | None = None
    valid_to: date | None = None
    questions: list[str] = []
    body: str

    def is_valid_on(self, day: date) -> bool:
        return (self.valid_from or day) <= day <= (self.valid_to or day)

    def answers(self, question: Question) -> bool:
        asked_for = question.keyed_on == "intent" and question.value in self.intents
        return asked_for and question.language in ("", self.language)


@dataclass(frozen=True, config=SETTINGS)
class ArticleRegister:
    name: str
    path: Path
    today: Callable[[], date] = date.today

    def ask(self, question: Question) -> Answer:
        day = self.today()
        articles = [article for _, article in self._files() if isinstance(article, Article)]
        asked = [article for article in articles if article.answers(question) and article.is_valid_on(day)]
        return Answer(self.name, question.keyed_on, tuple(map(_record, asked)), datetime.now(UTC))

    def check(self) -> Iterator[Finding]:
        try:
            files = list(self._files())
        except Permanent as error:
            yield Finding(False, error.sentence)
            return
        broken = [(file, fault) for file, fault in files if isinstance(fault, str)]
        yield Finding(True, f"The register {self.name} holds {len(files) - len(broken)} articles.")
        for file, fault in broken:
            yield Finding(False, f"{file}: {fault}.", "Correct the file; until then it is left out.")

    def _files(self) -> Iterator[tuple[Path, Article | str]]:
        """Each file with its article, or with what is wrong with it."""
        if not self.path.is_dir():
            raise Permanent(f"The folder {self.path} of the register {self.name} does not exist: correct path.")
        known: dict[tuple[str, str], Path] = {}
        for file in sorted(self.path.rglob("*.md")):
            article = _read(file)
            if isinstance(article, Article):
                first = known.setdefault((article.id, article.language), file)
                yield file, article if first == file else f"{first} has the same id and language"
            else:
                yield file, article


def _record(article: Article) -> Record:
    fields = {
        "title": article.title,
        "url": article.url,
        "language": article.language,
        "owner": article.owner,
        "reviewed": article.reviewed.isoformat(),
        "valid_from": article.valid_from.isoformat() if article.valid_from else None,
        "valid_to": article.valid_to.isoformat() if article.valid_to else None,
        "questions": "\n".join(article.questions) or None,
        "body": article.body,
    }
    return Record(article.id, fields)


def _read(file: Path) -> Article | str:
    try:
        facts = file.stat()
        return _read_version(file, facts.st_size, facts.st_mtime_ns)
    except OSError as failure:
        return f"cannot be read ({failure.strerror})"


@lru_cache(maxsize=10_000)
def _read_version(file: Path, size_bytes: int, _mtime_ns: int) -> Article | str:
    """Kept for as long as time and size of the file stay the same: a changed file is read again."""
    if size_bytes > _LARGEST_ARTICLE_BYTES:
        return "is too large for an article"
    try:
        parts = _FRONT_MATTER.fullmatch(file.read_text(encoding="utf-8-sig"))
        if parts is None:
            return "does not begin with front matter between two lines of ---"
        front = yaml.safe_load(parts["front"])
        if not isinstance(front, dict):
            return "has front matter that is not a list of names and values"
        return Article.model_validate({**front, "body": parts["body"].strip()})
    except UnicodeDecodeError:
        return "is not UTF-8"
    except yaml.MarkedYAMLError as fault:
        line = fault.problem_mark.line + 2 if fault.problem_mark else 1
        return f"has front matter that is not YAML (line {line})"
    except yaml.YAMLError:
        return "has front matter that is not YAML"
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].lower()}" for fault in error.errors())
    except (ValueError, RecursionError):  # PyYAML, for 2026-02-30 and for very deep nesting
        return "has front matter with a value that cannot be read"
