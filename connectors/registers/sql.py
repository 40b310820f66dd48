"""A register in a PostgreSQL database, asked by queries that the administrator has written.

It must never write, and never let a value from a mail become part of a query's text or of an error.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import Any

import psycopg
from psycopg import errors as pg
from psycopg_pool import ConnectionPool, PoolTimeout
from pydantic.dataclasses import dataclass

from connectors.base import SETTINGS, Answer, Finding, Question, Record
from connectors.errors import ConnectorError, Permanent, Refused, Transient

MOST_RECORDS = 50
# A refused connection carries no SQLSTATE in libpq, so its words have to do; these mean "later".
_FULL = ("too many", "connection slots", "starting up", "shutting down")
_ACCESS = ("pg_hba.conf", "no password supplied")

_AS_TEXT: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    (str, str),
    (bool, lambda value: "true" if value else "false"),
    ((datetime, date, time), lambda value: str(value.isoformat())),
    (Decimal, lambda value: format(value, "f")),
    ((int, float, uuid.UUID), str),
    (bytes, lambda value: str(value.hex())),
    ((list, dict), lambda value: json.dumps(value, ensure_ascii=False, default=str)),
)


@dataclass(frozen=True, config=SETTINGS)
class SqlRegister:
    name: str
    dsn: str = field(repr=False)
    queries: Mapping[str, str]
    """What a question is keyed on -> a SELECT with %(value)s and, where wanted, %(language)s. A literal % is %%."""
    _: KW_ONLY
    key_field: str
    timeout_s: float = 2.0

    def ask(self, question: Question) -> Answer:
        query = self.queries.get(question.keyed_on)
        rows = self._rows(question.keyed_on, query, question.value, question.language) if query else []
        records = tuple(Record(fields[self.key_field] or "", fields) for fields in rows)
        return Answer(self.name, question.keyed_on, records, datetime.now(UTC))

    def check(self) -> Iterator[Finding]:
        for keyed_on, query in self.queries.items():
            try:
                self._rows(keyed_on, query, None, None)  # equal to NULL is nothing: the query runs and finds no one
            except ConnectorError as error:
                yield Finding(False, error.sentence)
            else:
                yield Finding(True, f"The query {keyed_on} of the register {self.name} runs.")

    def close(self) -> None:
        self._pool.close()

    def _rows(self, keyed_on: str, query: str, value: str | None, language: str | None) -> list[dict[str, str | None]]:
        if value is not None and not _storable(value):
            return []
        # A named cursor stays in the server and hands over the first records only, however many there are.
        with self._explained(keyed_on), self._connection() as connection, connection.cursor(name="ask") as cursor:
            cursor.execute(query.encode(), {"value": value, "language": language})
            columns = [column.name for column in cursor.description or ()]
            rows = cursor.fetchmany(MOST_RECORDS)
        if self.key_field not in columns:
            raise Permanent(
                f"The query {keyed_on} of the register {self.name} has no column {self.key_field}: add it, "
                "or correct key_field."
            )
        return [dict(zip(columns, map(_as_text, row), strict=True)) for row in rows]

    @cached_property
    def _pool(self) -> ConnectionPool:
        pool = ConnectionPool(
            self.dsn,
            min_size=0,
            max_size=2,
            open=False,
            timeout=self.timeout_s,
            reconnect_timeout=self.timeout_s,
            configure=self._make_harmless,
            check=ConnectionPool.check_connection,
            kwargs={
                "prepare_threshold": None,  # so that PgBouncer may stand in between
                "tcp_user_timeout": round(self.timeout_s * 1000),  # a database whose network is gone stays silent
            },
            name=f"register {self.name}",
        )
        pool.open()
        return pool

    def _make_harmless(self, connection: psycopg.Connection) -> None:
        milliseconds = str(round(self.timeout_s * 1000))
        connection.execute("SELECT set_config('default_transaction_read_only', 'on', false)")
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [milliseconds])
        connection.execute("SELECT set_config('TimeZone', 'UTC', false)")
        connection.commit()

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        try:
            with self._pool.connection() as connection:
                yield connection
        except PoolTimeout:
            raise self._why_no_connection() from None

    def _why_no_connection(self) -> ConnectorError:
        """The pool says only that time ran out, so one connection is tried outside it for the reason."""
        try:
            psycopg.connect(self.dsn, connect_timeout=max(2, round(self.timeout_s))).close()
        except psycopg.OperationalError as failure:
            words = str(failure)
            asked_for_password = failure.pgconn is not None and failure.pgconn.used_password
            if (asked_for_password or any(word in words for word in _ACCESS)) and not any(w in words for w in _FULL):
                return Refused(
                    f"The database of the register {self.name} does not accept user, password or database name: "
                    "correct dsn."
                )
            return Transient(f"The database of the register {self.name} cannot be reached: look at it, or correct dsn.")
        except psycopg.ProgrammingError:
            return Permanent(f"The dsn of the register {self.name} is not a PostgreSQL connection string.")
        return Transient(f"The database of the register {self.name} is too slow or too busy for now.")

    @contextmanager
    def _explained(self, keyed_on: str) -> Iterator[None]:
        """PostgreSQL repeats values in its messages, so only its SQLSTATE and the names in the query are passed on."""
        query = f"The query {keyed_on} of the register {self.name}"
        try:
            yield
        except (pg.UndefinedTable, pg.UndefinedColumn, pg.UndefinedFunction) as failure:
            raise Permanent(f"{query} names what is not there: {failure.diag.message_primary}.") from None
        except pg.ReadOnlySqlTransaction:
            raise Permanent(f"{query} tries to write: a register is only ever read.") from None
        except pg.InsufficientPrivilege:
            raise Refused(f"{query} reads what this database user may not see: grant SELECT, or correct dsn.") from None
        except (pg.QueryCanceled, pg.OperatorIntervention, pg.InsufficientResources):
            raise Transient(f"{query} took longer than {self.timeout_s:g} s or was stopped.") from None
        except psycopg.DataError:
            raise Permanent(f"{query} cannot use the text it is given: compare its column as text.") from None
        except psycopg.OperationalError as failure:
            raise Transient(f"{query} lost its database ({failure.sqlstate or 'connection closed'}).") from None
        except psycopg.Error as failure:
            raise Permanent(f"{query} does not work (SQLSTATE {failure.sqlstate or 'none'}): correct it.") from None


def _storable(value: str) -> bool:
    """PostgreSQL holds no NUL and no half of a surrogate pair, so no record can match one."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _as_text(value: object) -> str | None:
    if value is None:
        return None
    return next((as_text(value) for kinds, as_text in _AS_TEXT if isinstance(value, kinds)), str(value))
