"""Opening a mailbox or register by its kind, and how a wrong setting is put into words."""

from __future__ import annotations

from pathlib import Path

import pytest

import connectors
from connectors.base import Question
from connectors.errors import Permanent
from connectors.imap.mailbox import ImapMailbox
from connectors.imap.smtp import Smtp

IMAP = {"host": "mail.example", "port": 143, "user": "info@solkommun.example", "password": "hemligt"}


def test_settings_as_json_become_a_mailbox() -> None:
    options = {**IMAP, "port": "993", "tls": "tls", "since": "2026-11-01", "smtp": {"host": "mail.example", "port": 25}}
    mailbox = connectors.open_mailbox("imap", options)
    assert isinstance(mailbox, ImapMailbox)
    assert (mailbox.port, str(mailbox.since)) == (993, "2026-11-01")
    assert mailbox.smtp == Smtp("mail.example", 25)


def test_each_register_opens_by_its_kind(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("case_no\nA 1\n", encoding="utf-8")
    cases = connectors.open_register("csv", "cases", {"path": str(tmp_path / "cases.csv"), "key_field": "case_no"})
    assert [record.key for record in cases.ask(Question("case_no", "a1")).records] == ["A 1"]
    assert connectors.open_register("articles", "articles", {"path": str(tmp_path)}).name == "articles"
    sql = {"dsn": "dbname=x", "queries": {"case_no": "SELECT 1"}, "key_field": "case_no"}
    assert connectors.open_register("sql", "cases", sql).name == "cases"


def test_a_folder_opens_as_a_mailbox(tmp_path: Path) -> None:
    assert list(connectors.open_mailbox("folder", {"path": str(tmp_path)}).fetch_since({})) == []


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("pop3", {}, "There is no mailbox of the kind 'pop3': choose one of "),
        (
            "imap",
            {**IMAP, "tsl": "tls"},
            "The settings of the imap mailbox are wrong: tsl: there is no such option, correct its name.",
        ),
        ("imap", {**IMAP, "port": "x"}, "port: input should be a valid integer"),
        ("imap", {**IMAP, "tls": "ssl"}, "tls: input should be 'starttls', 'tls' or 'none'"),
        ("imap", {**IMAP, "smtp": {"host": "a"}}, "smtp.port: field required"),
        (
            "imap",
            {**IMAP, "host": "imap.norrvik.example", "tls": "none"},
            "The settings of the imap mailbox are wrong: tls none is only for this machine: set tls to tls or starttls.",
        ),
        (
            "imap",
            {**IMAP, "smtp": {"host": "smtp.norrvik.example", "port": 25, "tls": "none"}},
            "smtp: tls none is only for this machine",
        ),
        ("imap", {**IMAP, "password": ["hemligt"]}, "password: input should be a valid string"),
        ("folder", {}, "path: field required"),
    ],
)
def test_a_wrong_setting_is_one_sentence_without_the_value(
    kind: str, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(Permanent) as caught:
        connectors.open_mailbox(kind, options)
    assert sentence in caught.value.sentence
    assert "hemligt" not in caught.value.sentence


def test_an_unknown_kind_of_register_is_named() -> None:
    with pytest.raises(Permanent, match="no register of the kind 'ldap': choose one of articles, csv, sql"):
        connectors.open_register("ldap", "people", {})
