"""A register in a real PostgreSQL: what it answers, what it may never do, and how it fails."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from connectors.base import Question
from connectors.errors import ConnectorError, Permanent, Refused, Transient
from connectors.registers.sql import MOST_RECORDS, SqlRegister

SCHEMA = """
CREATE TABLE invoice (
    number text PRIMARY KEY, payer text, due date, sent_at timestamptz, amount numeric(12, 2), paid boolean,
    lines jsonb, note text, row_no integer
);
INSERT INTO invoice VALUES
    ('F-1', 'anna@post.example', '2026-12-15', '2026-11-01 08:30+01', 4386.00, false, '["sopor", 1]', NULL, 1),
    ('F-2', 'anna@post.example', '2026-12-16', NULL, 1000000000.50, true, NULL, '', 2);
INSERT INTO invoice (number, payer) SELECT 'M-' || n, 'many@post.example' FROM generate_series(1, 500) n;
CREATE ROLE reader LOGIN PASSWORD 'mossa';
GRANT SELECT ON invoice TO reader;
CREATE TABLE secret (id text);
CREATE FUNCTION scribble(text) RETURNS text LANGUAGE sql AS
    $$ INSERT INTO invoice (number) VALUES ($1) RETURNING number $$;
"""

QUERIES = {
    "invoice_no": "SELECT * FROM invoice WHERE lower(number) = lower(%(value)s)",
    "payer": "SELECT number, payer FROM invoice WHERE payer = %(value)s ORDER BY number;",
    "language": "SELECT %(language)s AS number, %(value)s AS asked, '100 %%' AS share",
    "slow": "SELECT number, pg_sleep(30) FROM invoice WHERE number = %(value)s",
    "no_column": "SELECT nummer FROM invoice WHERE number = %(value)s",
    "no_table": "SELECT number FROM faktura WHERE number = %(value)s",
    "no_key": "SELECT payer FROM invoice WHERE number = %(value)s",
    "no_such_parameter": "SELECT number FROM invoice WHERE number = %(sender)s",
    "no_sql": "SELECT FROM WHERE %(value)s",
    "writes": "SELECT scribble(%(value)s) AS number",
    "deletes": "DELETE FROM invoice WHERE number = %(value)s RETURNING number",
    "two": "SELECT number FROM invoice WHERE number = %(value)s; DELETE FROM invoice",
    "forbidden": "SELECT id AS number FROM secret WHERE id = %(value)s",
    "row_no": "SELECT number FROM invoice WHERE row_no = %(value)s",
}


@dataclass(frozen=True)
class Database:
    """On the tests' PostgreSQL, beside the product's own."""

    owner: str

    def dsn(self, **changes: str) -> str:
        return make_conninfo(self.owner, **{"dbname": "registers", **changes})


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    owner = os.environ["DATABASE_URL"]
    with psycopg.connect(owner, autocommit=True) as server:
        server.execute("CREATE DATABASE registers")
        try:
            with psycopg.connect(make_conninfo(owner, dbname="registers")) as connection:
                connection.execute(SCHEMA)
            yield Database(owner)
        finally:
            server.execute("DROP DATABASE registers WITH (FORCE)")
            server.execute("DROP ROLE IF EXISTS reader")


def opened(database: Database, **changes: Any) -> SqlRegister:
    dsn = database.dsn(user="reader", password="mossa")
    facts = {"name": "invoices", "dsn": dsn, "queries": QUERIES, "key_field": "number", "timeout_s": 30.0}
    return SqlRegister(**{**facts, **changes})


@pytest.fixture
def register(database: Database) -> Iterator[SqlRegister]:
    with_data = opened(database)
    yield with_data
    with_data.close()


def test_every_field_is_text_and_nothing_stays_nothing(register: SqlRegister) -> None:
    answer = register.ask(Question("invoice_no", "f-1"))
    assert (answer.register, answer.query) == ("invoices", "invoice_no")
    (record,) = answer.records
    assert record.key == "F-1"
    assert dict(record.fields) == {
        "number": "F-1",
        "payer": "anna@post.example",
        "due": "2026-12-15",
        "sent_at": "2026-11-01T07:30:00+00:00",
        "amount": "4386.00",
        "paid": "false",
        "lines": '["sopor", 1]',
        "note": None,
        "row_no": "1",
    }


def test_a_large_amount_is_written_out(register: SqlRegister) -> None:
    (record,) = register.ask(Question("invoice_no", "F-2")).records
    assert (record.fields["amount"], record.fields["note"]) == ("1000000000.50", "")


def test_the_language_reaches_the_query_and_a_literal_percent_sign_stays(register: SqlRegister) -> None:
    (record,) = register.ask(Question("language", "x", language="fi")).records
    assert dict(record.fields) == {"number": "fi", "asked": "x", "share": "100 %"}


def test_never_more_records_than_a_person_would_read(register: SqlRegister) -> None:
    assert len(register.ask(Question("payer", "many@post.example")).records) == MOST_RECORDS


@pytest.mark.parametrize("keyed_on", ["phone", "", "invoice_no; DROP TABLE invoice"])
def test_what_it_is_not_keyed_on_has_no_records(register: SqlRegister, keyed_on: str) -> None:
    assert register.ask(Question(keyed_on, "F-1")).records == ()


@given(value=st.text())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_value_whatever_is_more_than_a_value(register: SqlRegister, value: str) -> None:
    assert register.ask(Question("invoice_no", value)).records == ()


@pytest.mark.parametrize("value", ["' OR ''='", "F-1'; DELETE FROM invoice; --", "a\0b", "\ud800", "%(value)s", "%s"])
def test_an_injected_value_finds_nothing(register: SqlRegister, value: str) -> None:
    assert register.ask(Question("invoice_no", value)).records == ()


@pytest.mark.parametrize(
    ("keyed_on", "kind", "sentence"),
    [
        ("slow", Transient, "took longer than 2 s"),
        ("no_column", Permanent, 'names what is not there: column "nummer" does not exist'),
        ("no_table", Permanent, 'names what is not there: relation "faktura" does not exist'),
        ("no_key", Permanent, "has no column number"),
        ("no_such_parameter", Permanent, "does not work"),
        ("no_sql", Permanent, "does not work .SQLSTATE 42601"),
        ("writes", Permanent, "tries to write"),
        ("deletes", Permanent, "does not work"),
        ("two", Permanent, "does not work"),
        ("forbidden", Refused, "may not see"),
        ("row_no", Permanent, "compare its column as text"),
    ],
)
def test_a_bad_query_is_named_and_the_value_is_not(
    database: Database, keyed_on: str, kind: type[ConnectorError], sentence: str
) -> None:
    register = opened(database, timeout_s=2.0 if keyed_on == "slow" else 30.0)
    value = "F-1" if keyed_on != "row_no" else "19121212-1212"
    with pytest.raises(kind, match=sentence) as caught:
        register.ask(Question(keyed_on, value))
    register.close()
    assert type(caught.value) is kind
    assert keyed_on in caught.value.sentence
    assert value not in "".join(traceback.format_exception(caught.value))


def test_even_the_owner_of_the_tables_only_reads(database: Database) -> None:
    register = opened(database, dsn=database.dsn())
    with pytest.raises(Permanent, match="tries to write"):
        register.ask(Question("writes", "X-1"))
    assert register.ask(Question("invoice_no", "X-1")).records == ()
    register.close()


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"password": "fel"}, Refused),
        ({"user": "ingen"}, Refused),
        ({"dbname": "finns_inte"}, Refused),
        ({"port": "1"}, Transient),
        ({"host": "127.0.0.1", "port": "1"}, Transient),
        ({"host": "nosuch.invalid"}, Transient),
    ],
)
def test_a_database_out_of_reach_is_told_from_one_that_refuses_us(
    database: Database, changes: dict[str, str], kind: type[ConnectorError]
) -> None:
    register = opened(database, dsn=database.dsn(**changes), timeout_s=0.3)
    with pytest.raises(kind, match="correct dsn") as caught:
        register.ask(Question("invoice_no", "F-1"))
    register.close()
    assert type(caught.value) is kind
    assert conninfo_to_dict(database.owner)["password"] not in caught.value.sentence + repr(register)


def test_a_dsn_that_is_none_is_named(database: Database) -> None:
    register = opened(database, dsn="not a dsn", timeout_s=0.3)
    with pytest.raises(Permanent, match="not a PostgreSQL connection string"):
        register.ask(Question("invoice_no", "F-1"))
    register.close()


def test_it_recovers_when_the_database_has_cut_its_connections(database: Database, register: SqlRegister) -> None:
    assert register.ask(Question("invoice_no", "F-1")).records
    with psycopg.connect(database.dsn()) as administrator:
        administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'")
    assert register.ask(Question("invoice_no", "F-1")).records


def test_a_query_cut_off_midway_is_transient(database: Database) -> None:
    register = opened(database)
    raised: list[ConnectorError] = []

    def ask() -> None:
        try:
            register.ask(Question("slow", "F-1"))
        except ConnectorError as error:
            raised.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    with psycopg.connect(database.dsn(), autocommit=True) as administrator:
        cut = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader' AND wait_event = 'PgSleep'"
        )
        deadline = time.monotonic() + 20
        while not administrator.execute(cut).fetchall() and time.monotonic() < deadline:
            time.sleep(0.02)
    asking.join()
    register.close()
    assert [type(error) for error in raised] == [Transient]


def test_the_check_names_each_query_that_does_not_run(register: SqlRegister) -> None:
    findings = dict(zip(QUERIES, register.check(), strict=True))
    assert [keyed_on for keyed_on, finding in findings.items() if finding.ok] == [
        "invoice_no",
        "payer",
        "language",
        "slow",
        "row_no",
    ]
