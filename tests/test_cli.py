"""The command line as others script against it: exit codes, one line for what is wrong, no traceback, no database where
none is needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.letters import letter
from worker.vault import new_key

ROOT = Path(__file__).resolve().parent.parent
TOWN = ROOT / "tests" / "norrvik" / "municipality.yaml"
WITHOUT_SERVERS = {
    name: value
    for name, value in os.environ.items()
    if name not in ("DATABASE_URL", "REDIS_URL") and not name.startswith("KOMMUNPOST_")
} | {"KOMMUNPOST_MUNICIPALITY": str(TOWN), "KOMMUNPOST_DATA": "/tmp"}


def kommunpost(*words: str, given: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "worker.cli", *words]
    return subprocess.run(
        command, input=given, capture_output=True, text=True, cwd=ROOT, env=env or WITHOUT_SERVERS, check=False
    )


@pytest.fixture
def question(tmp_path: Path) -> Path:
    path = tmp_path / "question.eml"
    path.write_bytes(letter())
    return path


def test_parse_gives_the_fields_of_the_contract(question: Path) -> None:
    done = kommunpost("parse", str(question))
    parsed = json.loads(done.stdout)
    assert done.returncode == 0
    assert list(parsed) == [
        "message_id", "in_reply_to", "references", "date", "from", "reply_to", "to", "cc", "subject", "text",
        "reply_text", "html_present", "attachments", "language", "auto_submitted", "kind", "reply_allowed",
        "reply_blocked_by", "sender", "defects", "sha256",
    ]  # fmt: skip
    assert parsed["language"]["code"] == "sv"


def test_the_verdict_of_a_server_counts_only_when_it_is_named(question: Path) -> None:
    named = json.loads(kommunpost("parse", "--authserv-id", "mx1.norrvik.example", str(question)).stdout)
    other = json.loads(kommunpost("parse", "--authserv-id", "mx.other.example", str(question)).stdout)
    assert (named["sender"]["verified"], other["sender"]["verified"]) == (True, False)


def test_triage_answers_line_by_line_in_the_same_order() -> None:
    mails = [
        {"id": "a", "from": "A <a@mail.example>", "subject": "Soptunnan", "body": "De har inte tömt min soptunna."},
        {"id": "b", "from": "B <b@mail.example>", "subject": "", "body": ""},
        {"id": 3, "from": "C <c@mail.example>", "subject": "Lasku", "body": "Laskun 2026-118342 eräpäivä on outo."},
    ]
    done = kommunpost("triage", given="\n".join(json.dumps(mail) for mail in mails) + "\n")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == ["a", "b", 3]
    assert set(answers[0]) == {
        "id", "language", "intent", "confidence", "alternatives", "abstained", "secondary", "must_verify", "reasons",
        "entities", "national_ids", "model", "rules_fired",
    }  # fmt: skip
    assert answers[1]["abstained"] is True
    assert answers[2]["entities"]["invoice_no"] == ["2026-118342"]
    assert {answer["model"]["sha256"] for answer in answers} != {""}


def test_draft_says_what_would_be_answered_and_from_where(question: Path) -> None:
    done = kommunpost("draft", "--json", str(question))
    answer = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert set(answer) == {
        "file", "language", "intent", "must_verify", "reasons", "reply", "why", "subject", "body", "claims", "withheld",
        "lookups", "approval", "sender", "recipients",
    }  # fmt: skip
    assert answer["reply"] == "draft"
    assert {"register", "key", "field", "value", "read_at"} in [set(claim["source"]) for claim in answer["claims"]]
    assert all(claim["verdict"] == "supported" for claim in answer["claims"])
    assert all(answer["body"][c["start"] : c["end"]] == c["text"] for c in answer["claims"])


def test_draft_can_be_tried_on_a_folder_of_csv_files(question: Path, tmp_path: Path) -> None:
    folder = tmp_path / "registers"
    folder.mkdir()
    (folder / "invoices.csv").write_text(
        "invoice_no,amount,due_date,status,email,shoe_size\n"
        "2026-118342,99.00 SEK,2027-01-15,unpaid,majlis.ekvall@mail.example,38\n",
        encoding="utf-8",
    )
    answer = json.loads(kommunpost("draft", "--registers", str(folder), "--json", str(question)).stdout)
    assert "15 januari 2027" in answer["body"].replace("\N{NO-BREAK SPACE}", " ")
    assert {"register": "invoices", "field": "shoe_size", "class": "protected"}.items() <= {
        key: value for field in answer["withheld"] if field["field"] == "shoe_size" for key, value in field.items()
    }.items()


def test_the_examples_in_the_papers_are_taken(tmp_path: Path) -> None:
    mail, facts = re.findall(
        r"```json\n(.*?)```", (ROOT / "docs" / "formats.md").read_text(encoding="utf-8"), re.DOTALL
    )
    [answer] = map(json.loads, kommunpost("triage", given=mail).stdout.splitlines())
    assert answer["named_days"] == [{"text": "i övermorgon", "date": "2026-11-22"}]
    (tmp_path / "facts.json").write_text(facts, encoding="utf-8")
    reply = "Fakturan är på 4 386 kronor och ska betalas senast den 2 december 2026."
    done = kommunpost("ground", "--facts", str(tmp_path / "facts.json"), given=reply)
    assert json.loads(done.stdout)["supported"] is True


def test_ground_judges_any_text_against_facts(tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text(
        json.dumps(
            {
                "language": "sv",
                "now": "2026-11-21T09:00:00+01:00",
                "facts": [
                    {
                        "id": "f1",
                        "kind": "date",
                        "label": "due_date",
                        "value": "2026-12-15",
                        "subject": "2026-118342",
                        "source": "invoices",
                        "read_at": "2026-11-21T08:00:00+01:00",
                        "max_age_s": 86400,
                    }
                ],
                "passages": [],
                "phrases": ["Fakturan förfaller den {due_date}."],
            }
        ),
        encoding="utf-8",
    )
    true = json.loads(
        kommunpost("ground", "--facts", str(facts), given="Fakturan förfaller den 15 december 2026.").stdout
    )
    done = kommunpost("ground", "--facts", str(facts), given="Fakturan förfaller den 16 december 2026.")
    assert true["supported"] is True
    assert json.loads(done.stdout)["supported"] is False
    assert done.returncode == 0, "unsupported is a finding, not a failure"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["parse", "/nonexistent.eml"], 2, "does not exist"),
        (["migrate"], 2, "DATABASE_URL is not set"),
        (["audit", "verify"], 2, "DATABASE_URL is not set"),
        (["no-such-command"], 2, "No such command"),
        (["rules", "check", "/nonexistent"], 2, "no rule pack"),
        (["connectors", "check", "nowhere"], 2, "there is no mailbox or register nowhere"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_without_a_traceback(words: list[str], code: int, says: str) -> None:
    done = kommunpost(*words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("line", ["not json", '{"id": 1}', "[]"])
def test_a_bad_line_is_named_by_its_number(line: str) -> None:
    done = kommunpost("triage", given='{"id": 1, "body": "Hej"}\n' + line + "\n")
    assert done.returncode == 2
    assert "Line 2" in done.stderr


@pytest.mark.parametrize("content", ["{", "[]", '{"language": "xx"}', '{"language": "sv", "now": "yesterday"}'])
def test_bad_facts_are_named(tmp_path: Path, content: str) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text(content, encoding="utf-8")
    done = kommunpost("ground", "--facts", str(facts), given="Hej")
    assert done.returncode == 2
    assert "facts.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_does_not_answer_is_said_so() -> None:
    env = WITHOUT_SERVERS | {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "KOMMUNPOST_SECRET_KEY": "x" * 50,
        "KOMMUNPOST_STORAGE_KEYS": new_key(),
    }
    done = kommunpost("audit", "verify", env=env)
    assert done.returncode == 1
    assert "kommunpost doctor" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("KOMMUNPOST_STORAGE_KEYS", "abc", "KOMMUNPOST_STORAGE_KEYS"),
        ("KOMMUNPOST_TIME_ZONE", "Mars", "KOMMUNPOST_TIME_ZONE must be written like"),
        ("KOMMUNPOST_LOG_LEVEL", "loud", "KOMMUNPOST_LOG_LEVEL must be one of"),
        ("KOMMUNPOST_CLASSIFIER", "both", "KOMMUNPOST_CLASSIFIER must be one of"),
        ("KOMMUNPOST_POLL_S", "0", "KOMMUNPOST_POLL_S must be at least 1"),
        ("KOMMUNPOST_SENDING_LEASE_S", "10", "KOMMUNPOST_SENDING_LEASE_S must be at least 150"),
        ("DATABASE_URL", "", "DATABASE_URL must look like"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL must look like"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_starts(setting: str, value: str, says: str) -> None:
    env = WITHOUT_SERVERS | {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "KOMMUNPOST_SECRET_KEY": "x" * 50,
        "KOMMUNPOST_STORAGE_KEYS": new_key(),
    }
    done = kommunpost("migrate", env=env | {setting: value})
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("word", ["demo", "worker", "web"])
def test_a_server_that_is_away_stops_the_start_in_one_sentence(word: str, tmp_path: Path) -> None:
    env = WITHOUT_SERVERS | {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "KOMMUNPOST_SECRET_KEY": "x" * 50,
        "KOMMUNPOST_STORAGE_KEYS": new_key(),
    }
    words = ["demo", "--once", "--data", str(tmp_path / "data")] if word == "demo" else [word]
    done = kommunpost(*words, env=env)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "The database refused" in done.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"id": 1, "body": "Hej", "headers": ["a"]}', "`headers` must be an object"),
        (b'{"id": 1, "body": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "Line 1 is not JSON"),
        (b'{"id": 1, "body": "\xff"}', "not UTF-8"),
    ],
)
def test_input_that_cannot_be_used_is_said_so(tmp_path: Path, line: bytes, says: str) -> None:
    path = tmp_path / "mails.jsonl"
    path.write_bytes(line)
    done = kommunpost("triage", "--input", str(path))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert says in done.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (TOWN.read_bytes().replace(b"Europe/Stockholm", b"Mars/Base"), "time_zone"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_wrong_municipality_file_is_said_so(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "municipality.yaml"
    path.write_bytes(content)
    done = kommunpost("connectors", "check", env=WITHOUT_SERVERS | {"KOMMUNPOST_MUNICIPALITY": str(path)})
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert says in done.stderr


@pytest.mark.parametrize("greeting", ["Hej {", "Hej {}", "Hej {unit!r}", "Hej {unit:>9}", "Hej {unit[0]}", "Hej {0}"])
def test_a_slot_that_is_no_label_is_a_fault_of_the_pack(tmp_path: Path, greeting: str) -> None:
    shutil.copytree(ROOT / "rules" / "packs" / "nordic", tmp_path / "pack")
    phrases = tmp_path / "pack" / "phrases" / "sv.yaml"
    phrases.write_text(phrases.read_text(encoding="utf-8").replace("Hej!", json.dumps(greeting)), encoding="utf-8")
    done = kommunpost("rules", "check", str(tmp_path / "pack"))
    assert done.returncode == 1
    assert "phrases → sv → greeting" in done.stdout


def test_the_doctor_names_each_missing_setting_with_its_remedy() -> None:
    done = kommunpost("doctor")
    assert done.returncode == 1
    assert "FAIL  setting DATABASE_URL: set DATABASE_URL or DATABASE_URL_FILE" in done.stdout


def test_the_shipped_pack_is_in_order_and_passes_its_own_examples() -> None:
    assert kommunpost("rules", "check").returncode == 0
    done = kommunpost("rules", "test")
    assert done.returncode == 0, done.stdout


def test_every_mailbox_and_register_of_the_tests_town_can_be_tried() -> None:
    done = kommunpost("connectors", "check", "invoices")
    assert done.returncode == 0, done.stdout
    assert "ok" in done.stdout
