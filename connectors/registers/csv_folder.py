"""Registers as CSV files, one file a register: to try things on, and for the sample municipality."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pydantic.dataclasses import dataclass

from connectors.base import SETTINGS, Answer, Finding, Question, Record
from connectors.errors import ConnectorError, Permanent, Transient

Row = dict[str, str | None]


class _Table(NamedTuple):
    columns: list[str]
    rows: list[Row]
    found: Mapping[tuple[str, str], list[Row]]
    """(column, comparable value) -> the rows that hold it."""


@dataclass(frozen=True, config=SETTINGS)
class CsvRegister:
    name: str
    path: Path
    _: KW_ONLY
    key_field: str

    def ask(self, question: Question) -> Answer:
        rows = self._table().found.get((question.keyed_on, _comparable(question.value)), [])
        records = tuple(Record(row[self.key_field] or "", row) for row in rows if _in_language(row, question.language))
        return Answer(self.name, question.keyed_on, records, datetime.now(UTC))

    def check(self) -> Iterator[Finding]:
        try:
            rows = self._table().rows
        except ConnectorError as error:
            yield Finding(False, error.sentence)
        else:
            yield Finding(True, f"The register {self.name} holds {len(rows)} records.")

    def _table(self) -> _Table:
        table = _read(self.path)
        if self.key_field not in table.columns:
            raise Permanent(f"{self.path}, line 1: there is no column {self.key_field}: add it, or correct key_field.")
        return table


def _in_language(row: Row, language: str) -> bool:
    """A question that names a language is answered with the rows in that language, where the register has several."""
    return not language or row.get("language") in (None, language)


def csv_folder(path: Path) -> list[CsvRegister]:
    """One register a file, named after it, with its first column as the key."""
    files = sorted(path.glob("*.csv"))
    return [CsvRegister(file.stem, file, key_field=_read(file).columns[0]) for file in files]


def _read(path: Path) -> _Table:
    try:
        facts = path.stat()
        return _read_version(path, (facts.st_mtime_ns, facts.st_size))
    except FileNotFoundError:
        raise Permanent(f"{path} does not exist: correct path.") from None
    except OSError as failure:
        raise Transient(f"{path} cannot be read ({failure.strerror}).") from None


@lru_cache(maxsize=64)
def _read_version(path: Path, _mtime_ns_and_size: tuple[int, int]) -> _Table:
    """Kept for as long as time and size of the file stay the same: a changed file is read again."""
    text = _text(path)
    delimiter = max(",;", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [column.strip() for column in next(reader, [])]
        if not all(columns) or len(set(columns)) < max(1, len(columns)):
            raise Permanent(f"{path}, line 1: each column needs a name, and a name of its own.")
        rows = [_row(path, reader.line_num, columns, cells) for cells in reader if cells]
    except csv.Error as fault:
        raise Permanent(f"{path}, line {reader.line_num}: this is not CSV ({fault}).") from None
    return _Table(columns, rows, _index(rows))


def _text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = raw.count(b"\n", 0, fault.start) + 1
        raise Permanent(f"{path}, line {line}: this is not UTF-8: save the file as UTF-8.") from None


def _row(path: Path, line: int, columns: list[str], cells: list[str]) -> Row:
    if len(cells) != len(columns):
        raise Permanent(f"{path}, line {line}: {len(cells)} fields where the first line has {len(columns)}.")
    return {column: cell.strip() or None for column, cell in zip(columns, cells, strict=True)}


def _index(rows: list[Row]) -> Mapping[tuple[str, str], list[Row]]:
    found = defaultdict(list)
    for row in rows:
        for column, cell in row.items():
            if cell is not None:
                found[column, _comparable(cell)].append(row)
    return dict(found)


def _comparable(value: str) -> str:
    return "".join(value.casefold().split())
