"""What only the demo needs: sample registers in the database, sample colleagues, and the summary of what came of it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from rules.lifecycle import IN_HAND, MailState
from worker import evidence, setting_up
from worker.models import Draft, Mail, Mailbox
from worker.municipality import configured

SCHEMA = "registers"


@transaction.atomic
def load_registers(folder: Path, url: str) -> None:
    """One table a CSV file, in a schema of its own, and a role that may read it and nothing else."""
    role = conninfo_to_dict(url)
    with connection.cursor() as cursor:
        cursor.execute(f"create schema if not exists {SCHEMA}")
        for path in sorted(folder.glob("*.csv")):
            _load(cursor.cursor, path)
        _reader(cursor.cursor, str(role["user"]), str(role["password"]))


def _load(cursor: Any, path: Path) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    table = sql.Identifier(SCHEMA, path.stem)
    columns = [sql.Identifier(name) for name in rows[0]]
    cursor.execute(sql.SQL("drop table if exists {}").format(table))
    typed = sql.SQL(", ").join(sql.SQL("{} text").format(column) for column in columns)
    cursor.execute(sql.SQL("create table {} ({})").format(table, typed))
    with cursor.copy(sql.SQL("copy {} from stdin").format(table)) as copy:
        for row in rows[1:]:
            copy.write_row([value or None for value in row])


def _reader(cursor: Any, role: str, password: str) -> None:
    exists = cursor.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone()
    name = sql.Identifier(role)
    verb = sql.SQL("alter" if exists else "create")
    cursor.execute(sql.SQL("{} role {} login password {}").format(verb, name, sql.Literal(password)))
    cursor.execute(sql.SQL("alter role {} set default_transaction_read_only = on").format(name))
    cursor.execute(sql.SQL("grant usage on schema {} to {}").format(sql.Identifier(SCHEMA), name))
    cursor.execute(sql.SQL("grant select on all tables in schema {} to {}").format(sql.Identifier(SCHEMA), name))


def add_colleagues(names: dict[str, str], password: str) -> None:
    """One colleague a role, named after it."""
    there = set(User.objects.filter(username__in=names).values_list("username", flat=True))
    for role, full_name in names.items():
        if role not in there:
            setting_up.create_user(role, password, [role], configured().mailboxes, full_name, check=False)


def all_read_and_settled() -> bool:
    """Every mailbox has been read once, and the machine has no mail in hand."""
    unread = Mailbox.objects.filter(enabled=True, read_at__isnull=True, fault="").exists()
    return not unread and not Mail.objects.filter(state__in=IN_HAND).exists()


def summary(seconds: float) -> dict[str, Any]:
    """received = drafted + no_reply + needs_attention; every claim counted by what its source says now."""
    states = list(Mail.objects.values_list("state", flat=True))
    drafts = Draft.objects.select_related("mail")
    drafted = {draft.mail_id for draft in drafts}
    claims = grounded = 0
    pack = configured().rule_pack()
    for draft in drafts:
        spans = evidence.spans_of(draft, pack, timezone.now())
        claims += len(spans)
        grounded += sum(span.verdict.may_leave for span in spans)
    no_reply = sum(state == MailState.NO_REPLY for state in states)
    return {
        "received": len(states),
        "drafted": len(drafted),
        "waiting_review": sum(state == MailState.WAITING for state in states),
        "no_reply": no_reply,
        "needs_attention": sum(state in (MailState.NEEDS_ATTENTION, MailState.RESTRICTED) for state in states),
        "claims": claims,
        "claims_grounded": grounded,
        "seconds": round(seconds, 2),
        "mails_per_second": round(len(states) / seconds, 1) if seconds else 0.0,
    }
