"""A captured table that changed under us stops by name before its first wrong row; the others flow.

Each case is tried in three ways: rows follow the change at once, nothing follows it, and it happened while
no one read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from cdc.changes import TableName
from cdc.ports import ColumnsRead
from cdc.readers.pgoutput import PgoutputReader
from cdc.readers.pgoutput.tables import captured
from tests.contract.reader_suite import Event, Reading, snapshot
from tests.integration.pgoutput.source import Prepaid

T, OK = TableName("public", "t"), TableName("public", "ok")
READ = ColumnsRead(frozenset({"id", "v", "amount"}), frozenset({"id"}), frozenset({"id"}))
MADE = (
    "create table t (id int primary key, v text not null unique, amount numeric(10,2), extra int, gone int)",
    "create table ok (id int primary key)",
    "insert into t values (1, 'a', 100, 1, 1), (2, 'b', 200, 2, 2)",
)
LOSES: dict[str, tuple[tuple[str, ...], str]] = {
    # name: statements, what is reported
    "rewritten, same type": (
        ("alter table t alter amount type numeric(10,2) using amount / 100",),
        "values of column amount",
    ),
    "rewritten, narrower": (("alter table t alter amount type numeric(10,1)",), "values of column amount"),
    "rewritten text": (("alter table t alter v type text using upper(v)",), "values of column v"),
    "retyped": (("alter table t alter amount type text",), "type of column amount"),
    "column dropped and added": (
        ("alter table t drop amount", "alter table t add amount numeric(10,2)"),
        "dropped and added again",
    ),
    "column dropped": (("alter table t drop amount",), "column amount"),
    "column renamed": (("alter table t rename amount to price",), "column amount"),
    "columns swapped": (
        ("alter table t rename v to w", "alter table t rename gone to v", "alter table t rename w to gone"),
        "column v",
    ),
    "key renamed": (("alter table t rename id to key",), "column id"),
    "table renamed": (("alter table t rename to old",), "the table"),
    "table moved": (("create schema elsewhere", "alter table t set schema elsewhere"), "the table"),
    "table dropped": (("drop table t",), "the table"),
    "table dropped and created": (
        (
            "drop table t",
            "create table t (id int primary key, v text, amount numeric(10,2))",
            "alter publication ccbridge add table t",
        ),
        "another table",
    ),
    "swapped by rename": (
        (
            "create table n (like t including all)",
            "insert into n select id, upper(v), amount from t",
            "alter table t rename to old",
            "alter table n rename to t",
            "alter publication ccbridge add table t",
        ),
        "another table",
    ),
    "identity without the key": (("alter table t replica identity using index t_v_key",), "key column id"),
    "identity nothing": (("alter table t replica identity nothing",), "key column id"),
    "taken out of the publication": (
        ("alter publication ccbridge drop table t",),
        "its place in the publication",
    ),
    "taken out and put back": (
        (
            "alter publication ccbridge drop table t",
            "update t set amount = 7",
            "alter publication ccbridge add table t",
        ),
        "taken out of the publication",
    ),
    "row filter": (("alter publication ccbridge set table ok, t where (id > 1)",), "row filter|taken out"),
    "column list": (("alter publication ccbridge set table ok, t (id, v)",), "column amount|taken out"),
}
KEEPS: dict[str, tuple[str, ...]] = {
    "column added": ("alter table t add later text",),
    "column added with a default": ("alter table t add later int default 7",),
    "column added, table rewritten": ("alter table t add later float default random()",),
    "other column dropped": ("alter table t drop gone",),
    "other column renamed": ("alter table t rename gone to other",),
    "other column rewritten": ("alter table t alter extra type bigint using extra * 2",),
    "wider": ("alter table t alter amount type numeric(12,2)",),
    "constraint": ("alter table t alter amount set not null", "alter table t add check (amount > 0)"),
    "statistics": ("alter table t alter v set statistics 500", "analyze t"),
    "vacuumed": ("vacuum full t",),
    "clustered": ("cluster t using t_pkey",),
    "identity full": ("alter table t replica identity full",),
    "identity by the key's index": ("alter table t replica identity using index t_pkey",),
    "another table published": ("create table more (id int)", "alter publication ccbridge add table more"),
    "another owner of the publication": ("alter publication ccbridge owner to pg_monitor",),
    "comment, index, triggers": (
        "comment on table t is 'x'",
        "create index on t (amount)",
        "alter table t disable trigger all",
    ),
}


@pytest.fixture
def prepaid(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prepaid]:
    monkeypatch.setattr(captured, "LOOK_EVERY_S", 0.1)
    made = Prepaid(database)
    made.execute(*MADE)
    made.publish("t", "ok")
    yield made
    made.close()


class Kept(Reading):
    """Reads with what staging keeps of the tables between two starts."""

    definitions: dict[TableName, Mapping[str, Any]]

    def until(self, done: Callable[[list[Event]], bool], *, expect: str = "events") -> list[Event]:
        """As any reading; each call is a new start."""
        tables = [[name.schema, name.name, one, None] for name, one in self.definitions.items()]
        stopped = self.batches[-1].stopped if self.batches else {}
        self.resume = {
            **self.resume,
            "tables": tables,
            "stopped": [[name.schema, name.name, str(error)] for name, error in stopped.items()],
        }
        known = len(self.batches)
        found = super().until(done, expect=expect)
        for batch in self.batches[known:]:
            self.definitions |= batch.definitions
        return found


def reader_of(prepaid: Prepaid) -> PgoutputReader:
    key = ColumnsRead(READ.key, READ.key, READ.key)
    made = PgoutputReader("prepaid", prepaid.settings, [T, OK], {T: READ, OK: key})
    prepaid.readers.append(made)
    return made


def started(prepaid: Prepaid) -> Kept:
    """A stream behind a snapshot."""
    reader = reader_of(prepaid)
    batches = snapshot(reader)
    reading = Kept(reader, batches[-1].resume)
    reading.definitions = {name: one for batch in batches for name, one in batch.definitions.items()}
    return reading


def write(prepaid: Prepaid, number: int) -> None:
    """A row of each table, as far as there is one that takes it."""
    with suppress(psycopg.Error):
        prepaid.execute(f"insert into t (id, v) values ({number}, 'n{number}')")
    prepaid.execute(f"insert into ok values ({number})")


WAYS = ("rows follow", "nothing follows", "while no one read")
TRIED = [
    pytest.param(name, way, marks=() if (number + place) % 6 == 0 else pytest.mark.slow)
    for number, name in enumerate(LOSES)
    for place, way in enumerate(WAYS)
]
"""Each way with some of the cases in the ordinary suite, all of them in the slow one."""


@pytest.mark.parametrize(("name", "way"), TRIED)
def test_what_may_have_lost_rows_stops_its_table(prepaid: Prepaid, name: str, way: str) -> None:
    """No row after the change is reported, the stop names what was found and the way back, `ok` flows."""
    statements, reported = LOSES[name]
    reading = started(prepaid)
    prepaid.execute("insert into t values (3, 'c', 300, 3, 3)", "insert into ok values (0)")
    assert [event.table for event in reading.take(2)] == ["t", "ok"]
    if way == "while no one read":
        reading.reader.close()
    prepaid.execute(*statements)
    if way == "nothing follows":
        reading.until(lambda _: bool(reading.batches[-1].stopped), expect="stopped table")
    write(prepaid, 10)
    after = reading.until(lambda events: any(event.table == "ok" for event in events))
    assert [event for event in after if event.table == "t"] == []
    assert list(reading.batches[-1].stopped) == [T]
    error = reading.batches[-1].stopped[T]
    assert re.search(reported, str(error)), error
    assert "ccbridge snapshot prepaid public.t" in error.hint


def test_an_operation_that_is_no_longer_published_stops_every_table(prepaid: Prepaid) -> None:
    """It is the publication's: deletes would be missed in all of its tables."""
    reading = started(prepaid)
    prepaid.execute("alter publication ccbridge set (publish = 'insert, update')", "delete from t")
    reading.until(lambda _: len(reading.batches[-1].stopped) == 2, expect="stopped tables")
    assert all("delete, truncate in the publication" in str(e) for e in reading.batches[-1].stopped.values())


def test_an_operation_that_was_not_published_for_a_while_stops_every_table(prepaid: Prepaid) -> None:
    """No one read meanwhile, and the publication is as it was before: the deletes are missed all the same."""
    reading = started(prepaid)
    prepaid.execute("insert into t values (3, 'c', 300, 3, 3)")
    reading.take(1)
    reading.reader.close()
    prepaid.execute(
        "alter publication ccbridge set (publish = 'insert')",
        "delete from t",
        "alter publication ccbridge set (publish = 'insert, update, delete, truncate')",
    )
    write(prepaid, 10)
    reading.until(lambda _: len(reading.batches[-1].stopped) == 2, expect="stopped tables")
    assert all("the publication had other options" in str(e) for e in reading.batches[-1].stopped.values())


@pytest.mark.parametrize(
    "name", [n if i % 5 == 0 else pytest.param(n, marks=pytest.mark.slow) for i, n in enumerate(KEEPS)]
)
def test_what_loses_nothing_continues(prepaid: Prepaid, name: str) -> None:
    """Neither the rows that follow, nor a look at the catalog, nor a new start stops the table."""
    reading = started(prepaid)
    prepaid.execute("insert into t values (3, 'c', 300, 3, 3)")
    reading.take(1)
    prepaid.execute(*KEEPS[name])
    prepaid.execute("insert into t (id, v, amount) values (4, 'd', 4)")
    (row,) = reading.take(1)
    assert (row.after["id"], row.after["amount"]) == ("4", "4.00")
    prepaid.execute("update t set amount = 5 where id = 4")
    (row,) = reading.take(1)
    assert (row.after["amount"], reading.batches[-1].stopped) == ("5.00", {})
