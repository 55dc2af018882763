"""TRUNCATE in the stream of a source."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from cdc.changes import (
    ChangeBatch,
    SourceColumn,
    SourceTable,
    SourceType,
    TableChanges,
    TableName,
    frame_schema,
)
from cdc.errors import TableTruncated
from cdc.flows.truncation import without_truncated
from cdc.positions import Lsn

NAMES = ("recharge", "account")


def batch(rows: Sequence[tuple[str, int, str]], *, upto: int, continues: bool = False) -> ChangeBatch:
    """A batch of rows given as table, position and operation."""
    tables = {}
    for name in NAMES:
        table = SourceTable(
            TableName("public", name), (SourceColumn("id", SourceType.TEXT, "text"),), ("id",)
        )
        mine = [(at, operation) for other, at, operation in rows if other == name]
        if mine:
            frame = pl.DataFrame(
                [
                    (operation, at, place, "1", datetime(2026, 1, 1, tzinfo=UTC), False, 0, 0, None, "k")
                    for place, (at, operation) in enumerate(mine)
                ],
                schema=frame_schema(table),
                orient="row",
            )
            tables[table.name] = TableChanges(table, frame)
    return ChangeBatch("prepaid", Lsn(upto), tables, {"lsn": upto}, continues=continues)


def places(one: ChangeBatch) -> dict[str, list[int]]:
    """Positions of the rows of each table that are left."""
    return {name.name: changes.frame["position"].to_list() for name, changes in one.tables.items()}


def test_batches_without_a_truncate_pass_unchanged() -> None:
    """The ordinary case costs nothing and changes nothing."""
    batches = [batch([("recharge", 5, "c")], upto=9), batch([], upto=12)]
    assert list(without_truncated(batches, {"lsn": 1})) == batches


def test_the_table_stands_still_from_its_truncate_on_and_the_others_continue() -> None:
    """A recharge committed before it in the same batch is not lost, and no later one is taken."""
    mixed = [
        ("recharge", 20, "c"),
        ("account", 21, "u"),
        ("recharge", 25, "t"),
        ("recharge", 25, "c"),
        ("account", 30, "u"),
    ]
    later = batch([("recharge", 40, "c"), ("account", 41, "u")], upto=41)
    passed = list(without_truncated([batch(mixed, upto=30), later], {"lsn": 1}))
    assert [places(one) for one in passed] == [
        {"recharge": [20], "account": [21, 30]},
        {"account": [41]},
    ]
    for one in passed:
        (error,) = one.stopped.values()
        assert isinstance(error, TableTruncated)
        assert str(error).startswith("prepaid: TRUNCATE of public.recharge at LSN 0/19 removed: all rows")
        assert "delete from staging.checkpoint where system = 'prepaid';" in error.hint


def test_a_table_stays_stopped_after_a_restart() -> None:
    """The checkpoint remembers it, also when nothing came after it."""
    (first,) = without_truncated([batch([("recharge", 7, "t"), ("account", 7, "t")], upto=7)], {"lsn": 1})
    assert places(first) == {}
    (idle, again) = without_truncated(
        [batch([], upto=8), batch([("recharge", 9, "c")], upto=9)], {**first.resume}
    )
    assert {str(name) for name in idle.stopped} == {"public.account", "public.recharge"}
    assert places(again) == {}
    assert idle.resume["truncated"] == again.resume["truncated"] == first.resume["truncated"]
    assert again.resume["lsn"] == 9


def test_a_truncate_inside_a_sliced_transaction_leaves_its_other_tables_whole() -> None:
    """Slices stay slices of one transaction."""
    slices = [
        batch([("recharge", 7, "c")], upto=7, continues=True),
        batch([("recharge", 7, "t"), ("account", 7, "u")], upto=7),
    ]
    passed = list(without_truncated(slices, {"lsn": 1}))
    assert [(one.continues, places(one)) for one in passed] == [
        (True, {"recharge": [7]}),
        (False, {"account": [7]}),
    ]


def test_the_truncate_is_found_behind_tables_without_one() -> None:
    """Whichever table of the batch it is."""
    mixed = batch([("recharge", 20, "c"), ("account", 21, "u"), ("account", 25, "t")], upto=30)
    (one,) = without_truncated([mixed], {"lsn": 1})
    assert places(one) == {"recharge": [20], "account": [21]}
    assert [name.name for name in one.stopped] == ["account"]
