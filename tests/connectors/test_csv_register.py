"""Registers kept as CSV files: what counts as the same value, and which line is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.base import Question
from connectors.errors import Permanent
from connectors.registers.csv_folder import CsvRegister, csv_folder

CASES = """case_no,applicant,status
BYGG 2026-17,anna@post.example,granted
BYGG 2026-18,ANNA@post.example,
BYGG 2026-19,"Öberg, Åke",pending
"""


def register(path: Path, content: str | bytes) -> CsvRegister:
    file = path / "cases.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return CsvRegister("cases", file, key_field="case_no")


@pytest.mark.parametrize(
    ("keyed_on", "value", "keys"),
    [
        ("case_no", "BYGG 2026-17", ["BYGG 2026-17"]),
        ("case_no", " bygg2026-17", ["BYGG 2026-17"]),
        ("applicant", "Anna@Post.example", ["BYGG 2026-17", "BYGG 2026-18"]),
        ("applicant", "öberg, åke", ["BYGG 2026-19"]),
        ("case_no", "BYGG 2026-1", []),
        ("status", "", []),
        ("status", "  ", []),
        ("no_such_column", "x", []),
    ],
)
def test_any_column_can_be_asked_without_regard_to_case_and_spaces(
    tmp_path: Path, keyed_on: str, value: str, keys: list[str]
) -> None:
    answer = register(tmp_path, CASES).ask(Question(keyed_on, value))
    assert [record.key for record in answer.records] == keys
    assert (answer.register, answer.query) == ("cases", keyed_on)


def test_an_empty_field_has_no_value(tmp_path: Path) -> None:
    (record,) = register(tmp_path, CASES).ask(Question("case_no", "BYGG 2026-18")).records
    assert dict(record.fields) == {"case_no": "BYGG 2026-18", "applicant": "ANNA@post.example", "status": None}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("case_no;status\r\nA 1;3,5 m\r\n", id="semicolons and Windows line ends"),
        pytest.param('\ufeffcase_no,status\nA 1,"3,5 m"\n', id="byte order mark"),
        pytest.param('case_no, status\n\nA 1, "3,5 m"\n'.replace(', "', ',"'), id="blank line, space in header"),
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path: Path, content: str) -> None:
    (record,) = register(tmp_path, content).ask(Question("case_no", "A1")).records
    assert record.fields["status"] == "3,5 m"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("case_no,status\nA,open\nB,open,extra\n", "line 3: 3 fields where the first line has 2"),
        ('case_no,status\n"A\nA",open\nB\n', "line 4: 1 fields where the first line has 2"),
        (b"case_no,status\nA,open\nB,\xe5\xe4\xf6\n", "line 3: this is not UTF-8"),
        ('case_no,status\nA,"open\n', "line 2: this is not CSV"),
        ("case_no,case_no\n", "line 1: each column needs a name"),
        ("case_no,\n", "line 1: each column needs a name"),
        ("", "line 1: each column needs a name"),
        ("number,status\n", "line 1: there is no column case_no"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    bad = register(tmp_path, content)
    with pytest.raises(Permanent, match=sentence):
        bad.ask(Question("case_no", "A"))
    (finding,) = bad.check()
    assert not finding.ok


def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    cases = register(tmp_path, CASES)
    assert len(cases.ask(Question("case_no", "BYGG 2026-17")).records) == 1
    register(tmp_path, CASES.replace("2026-17", "2026-170"))
    assert cases.ask(Question("case_no", "BYGG 2026-17")).records == ()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="does not exist"):
        CsvRegister("cases", tmp_path / "gone.csv", key_field="x").ask(Question("x", "y"))


def test_a_folder_is_one_register_a_file_keyed_on_its_first_column(tmp_path: Path) -> None:
    register(tmp_path, CASES)
    (tmp_path / "invoices.csv").write_text("invoice_no;amount\nF-1;100\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not a register", encoding="utf-8")
    cases, invoices = csv_folder(tmp_path)
    assert (cases.name, cases.key_field) == ("cases", "case_no")
    assert (invoices.name, invoices.key_field) == ("invoices", "invoice_no")
    assert all(finding.ok for finding in cases.check())
