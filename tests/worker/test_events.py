"""The event log: append-only by the database, linked by hash, anchored outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import override_settings

from rules.lifecycle import IllegalMove, MailState
from worker import events
from worker.models import Event, Mail, Seal


@pytest.fixture(autouse=True)
def own_anchors(tmp_path: object) -> Iterator[None]:
    with override_settings(DATA=tmp_path):
        yield


@pytest.fixture
def sealed(db: None) -> list[Event]:
    made = [events.record("tested", f"mail:{n}", actor="process:test", number=n) for n in range(5)]
    assert events.seal() == 5
    return made


def tamper(statement: str) -> None:
    """As the database's owner might, with the guard switched off."""
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        cursor.execute("alter table worker_event disable trigger user")
        cursor.execute("alter table worker_seal disable trigger user")
        cursor.execute(statement)
        cursor.execute("alter table worker_event enable trigger user")
        cursor.execute("alter table worker_seal enable trigger user")
        cursor.execute("alter table worker_event disable trigger append_only_all")
        cursor.execute("alter table worker_seal disable trigger append_only_all")


@pytest.mark.parametrize("table", ["worker_event", "worker_seal"])
@pytest.mark.parametrize("statement", ["update {} set id = id", "delete from {}"])
def test_the_database_refuses_to_change_or_delete(sealed: list[Event], table: str, statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table))


@pytest.mark.parametrize("table", ["worker_event", "worker_seal"])
def test_the_database_refuses_to_empty_the_log(sealed: list[Event], table: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        cursor.execute(f"alter table {table} enable trigger append_only_all")
        cursor.execute(f"truncate {table} cascade")


def test_a_whole_log_is_proven_whole(sealed: list[Event]) -> None:
    events.record("tested", "mail:9", actor="process:test")
    found = events.verify()
    assert (found.sealed, found.unsealed, found.faults) == (5, 1, ())


def test_sealing_goes_on_where_it_stopped(sealed: list[Event]) -> None:
    events.record("tested", "mail:9", actor="process:test")
    assert events.seal() == 1
    assert events.seal() == 0
    chain = list(Seal.objects.order_by("pk"))
    assert all(later.prev_hash == earlier.hash for earlier, later in pairwise(chain))


@pytest.mark.parametrize(
    "statement",
    [
        "update worker_event set reason = 'nothing happened' where id = (select min(id) + 2 from worker_event)",
        "update worker_event set payload = '{}' where id = (select min(id) from worker_event)",
        "update worker_event set actor = 'person:eve' where id = (select max(id) from worker_event)",
        "update worker_event set at = at - interval '1 hour' where id = (select min(id) + 1 from worker_event)",
    ],
)
def test_a_changed_event_is_found(sealed: list[Event], statement: str) -> None:
    tamper(statement)
    assert any("was changed" in fault for fault in events.verify().faults)


def test_a_removed_event_is_found(sealed: list[Event]) -> None:
    tamper("delete from worker_seal where id = 3")
    assert any("missing" in fault for fault in events.verify().faults)


def test_a_log_cut_at_its_end_is_found_by_the_anchor(sealed: list[Event]) -> None:
    events.anchor()
    tamper("delete from worker_seal where id > 3")
    assert any("anchor" in fault for fault in events.verify().faults)


def test_a_log_rewritten_from_the_start_is_found_by_the_anchor(sealed: list[Event]) -> None:
    events.anchor()
    tamper("update worker_event set reason = 'other'")
    tamper("delete from worker_seal")
    assert events.seal() == 5
    found = events.verify()
    assert any("anchor" in fault for fault in found.faults)
    assert not any("after it was sealed" in fault for fault in found.faults), "the chain alone would not show it"


def test_an_anchor_holds_position_and_hash_and_nothing_of_a_mail(sealed: list[Event]) -> None:
    line = events.anchor()
    assert line == json.loads(events.anchor_file().read_text().splitlines()[0])
    assert set(line or {}) == {"at", "position", "hash"}


def test_only_moves_of_the_table_can_be_written(waiting: Mail) -> None:
    with pytest.raises(IllegalMove):
        events.move(waiting, MailState.SENT, actor="process:test")


def test_the_way_of_a_mail_can_be_read_from_its_events(waiting: Mail) -> None:
    way = list(Event.objects.filter(object=f"mail:{waiting.pk}").order_by("pk").values_list("from_state", "to_state"))
    states = ["received", "read", "understood", "gathered", "drafted", "waiting"]
    assert way == list(pairwise(states))


def test_no_event_holds_text_of_the_mail_or_a_value_of_a_register(waiting: Mail) -> None:
    written = json.dumps(list(Event.objects.values("actor", "reason", "payload")))
    assert not any(secret in written for secret in ("Maj-Lis", "majlis", "118342", "4386", "dela upp"))
