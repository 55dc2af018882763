"""What the pgoutput reader makes of tables: identities, TOAST, changed definitions, odd names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc.changes import ChangeBatch, SourceType, TableName
from cdc.positions import Lsn
from tests.contract.reader_suite import ABSENT, Event, Reading, events, snapshot
from tests.integration.pgoutput.source import Prepaid

LONG = "x" * 100 + "".join(chr(33 + n * n % 90) for n in range(20_000))


@pytest.fixture
def prepaid(database: str) -> Iterator[Prepaid]:
    made = Prepaid(database)
    yield made
    made.close()


def test_an_unchanged_long_value_is_absent_and_not_null(prepaid: Prepaid) -> None:
    """An update of another column does not log a TOAST value."""
    prepaid.execute("create table doc (id bigint primary key, body text, title text)")
    prepaid.execute("alter table doc alter body set storage external")
    reading = prepaid.start("doc")
    prepaid.execute(f"insert into doc values (1, $q${LONG}$q$, 'a')", "update doc set title = 'b'")
    prepaid.execute("alter table doc replica identity full", "update doc set title = 'c'")
    created, by_default, in_full = reading.take(3)
    assert created.after["body"] == LONG
    assert by_default.after == {"id": "1", "body": ABSENT, "title": "b"}
    assert by_default.before == {"id": "1", "body": ABSENT, "title": ABSENT}
    assert in_full.after == {"id": "1", "body": LONG, "title": "c"}
    assert in_full.before == {"id": "1", "body": LONG, "title": "b"}


def test_a_delete_has_the_key_and_with_full_identity_the_row(prepaid: Prepaid) -> None:
    """Composite keys included."""
    prepaid.execute("create table pair (a bigint, b text, note text, primary key (b, a))")
    reading = prepaid.start("pair")
    prepaid.execute("insert into pair values (1, 'x', 'n'), (2, 'y', null)", "delete from pair where a = 1")
    prepaid.execute("alter table pair replica identity full", "delete from pair")
    *_, by_default, in_full = reading.take(4)
    assert by_default.before == {"a": "1", "b": "x", "note": ABSENT}
    assert in_full.before == {"a": "2", "b": "y", "note": None}
    assert prepaid.readers[0].describe()[TableName("public", "pair")].key == ("b", "a")


def test_a_truncate_is_one_change_of_each_emptied_table(prepaid: Prepaid) -> None:
    """The flow decides what to do; the reader only tells."""
    prepaid.execute("create table a (id int primary key)", "create table b (id int primary key)")
    reading = prepaid.start("a", "b")
    prepaid.transaction("insert into a values (1)", "truncate a, b", "insert into b values (2)")
    found = reading.take(4)
    assert [(event.operation, event.table) for event in found[1:3]] in (
        [("t", "a"), ("t", "b")],
        [("t", "b"), ("t", "a")],
    )
    assert (found[0].operation, found[3].after) == ("c", {"id": "2"})


def test_columns_added_dropped_and_retyped_show_from_their_change_on(prepaid: Prepaid) -> None:
    """Every row is reported under the definition it was written with; no column shifts."""
    prepaid.execute("create table t (id int primary key, a text, b text)")
    reading = prepaid.start("t")
    prepaid.transaction(
        "insert into t values (1, 'a1', 'b1')",
        "alter table t add c numeric(9,3) default 7",
        "insert into t values (2, 'a2', 'b2', 1.5)",
    )
    prepaid.execute(
        "alter table t drop a",
        "insert into t values (3, 'b3', 2)",
        "alter table t alter b type integer using 5",
        "insert into t values (4, 8, 3)",
        "alter table t rename c to cost",
        "insert into t values (5, 9, 4)",
    )
    found = reading.until(lambda events_: events_[-1].after["id"] == "5")
    assert [event.after for event in found if event.operation == "c"] == [
        {"id": "1", "a": "a1", "b": "b1"},
        {"id": "2", "a": "a2", "b": "b2", "c": "1.500"},
        {"id": "3", "b": "b3", "c": "2.000"},
        {"id": "4", "b": "8", "c": "3.000"},
        {"id": "5", "b": "9", "cost": "4.000"},
    ]
    places = [event.place for event in found]
    assert places == sorted(set(places))
    first, second, *_ = reading.batches
    assert (first.continues, second.continues) == (True, False)
    last = reading.batches[-1].tables[TableName("public", "t")].table
    assert [(c.name, c.type, c.declared) for c in last.columns] == [
        ("id", SourceType.NUMBER, "integer"),
        ("b", SourceType.NUMBER, "integer"),
        ("cost", SourceType.NUMBER, "numeric(9,3)"),
    ]


def test_a_table_created_again_under_its_name_stops(prepaid: Prepaid) -> None:
    """Another oid: what became of the former rows no change tells."""
    prepaid.execute("create table t (id int primary key, a text)")
    reading = prepaid.start("t")
    prepaid.transaction(
        "insert into t values (1, 'a')",
        "drop table t",
        "create table t (id int primary key, b date)",
        "alter publication ccbridge add table t",
        "insert into t values (2, '2024-01-31')",
    )
    name = TableName("public", "t")
    found = reading.until(lambda _: name in reading.batches[-1].stopped, expect="stopped table")
    assert [event.after["id"] for event in found] in ([], ["1"])
    assert "the name is that of another table now" in str(reading.batches[-1].stopped[name])


def test_a_renamed_table_stops_and_the_others_continue(prepaid: Prepaid) -> None:
    """Its changes would otherwise be dropped like those of any uncaptured table."""
    prepaid.execute("create table t (id int primary key)", "create table other (id int primary key)")
    reading = prepaid.start("t", "other")
    prepaid.execute(
        "insert into t values (1)",
        "alter table t rename to u",
        "insert into u values (2)",
        "insert into other values (3)",
    )
    found = reading.until(lambda events_: bool(events_) and events_[-1].table == "other")
    assert "2" not in [event.after["id"] for event in found]
    (error,) = reading.batches[-1].stopped.values()
    assert "public.t lost the table" in str(error)


def test_uncaptured_tables_are_dropped_but_move_the_position(prepaid: Prepaid) -> None:
    """Someone else's busy table must not make the server keep its WAL."""
    prepaid.execute("create table mine (id int primary key)", "create table other (id int primary key)")
    prepaid.publish("other")
    reading = prepaid.start("mine", max_changes=10)
    prepaid.execute("insert into other select generate_series(1, 100)")
    end = prepaid.value("select pg_current_wal_lsn()::text")
    seen: list[ChangeBatch] = []
    for batch in reading.reader.read(reading.resume, max_changes=10, stop=lambda: bool(seen)):
        assert batch.tables == {}
        seen.append(batch)
    assert Lsn.parse(seen[0].resume["lsn"]) >= Lsn.parse(str(end))


def test_odd_names_domains_generated_columns_and_column_lists(prepaid: Prepaid) -> None:
    """Snapshot, stream and description agree on the published columns."""
    prepaid.execute(
        "create domain cents as numeric(12,2) check (value >= 0)",
        'create table "Tärif ""x""" ("Key" int primary key, "select" cents, '
        'twice numeric generated always as ("select" * 2) stored, hidden text default \'h\', "a.b" text)',
        'alter publication ccbridge add table "Tärif ""x""" ("Key", "select", "a.b")',
        'insert into "Tärif ""x""" values (1, 1.5, default, default, \'old\')',
    )
    reader = prepaid.reader('Tärif "x"')
    batches = snapshot(reader)
    prepaid.execute('insert into "Tärif ""x""" values (2, 2.5, default, default, \'new\')')
    found = [*events(batches[0]), *Reading(reader, batches[-1].resume).take(1)]
    assert [event.after for event in found] == [
        {"key": "1", "select": "1.50", "a.b": "old"},
        {"key": "2", "select": "2.50", "a.b": "new"},
    ]
    (table,) = reader.describe().values()
    assert table.column_names == ("Key", "select", "a.b")
    assert (table.columns[1].type, table.columns[1].scale) == (SourceType.NUMBER, 2)
    assert reader.preflight() == []


def test_estimates_come_from_the_planner(prepaid: Prepaid) -> None:
    """A never analysed table is left out instead of called empty."""
    prepaid.execute("create table a (id int primary key)", "create table b (id int primary key)")
    prepaid.execute("insert into a select generate_series(1, 500)", "analyze a")
    assert prepaid.reader("a", "b").estimates() == {TableName("public", "a"): 500}


def test_one_batch_tells_tables_apart(prepaid: Prepaid) -> None:
    """Rows of several tables in one transaction keep their own columns and their common order."""
    prepaid.execute("create table a (id int primary key)", "create table b (id int primary key, x text)")
    reading = prepaid.start("a", "b")
    prepaid.transaction(
        *(f"insert into a values ({n}); insert into b values ({n}, 'x{n}')" for n in range(400))
    )
    found = reading.take(800)
    assert [_reported(event) for event in found] == [
        reported
        for n in range(400)
        for reported in (("a", {"id": str(n)}), ("b", {"id": str(n), "x": f"x{n}"}))
    ]
    assert [event.ordinal for event in found] == list(range(800))


def _reported(event: Event) -> tuple[str, object]:
    return event.table, event.after
