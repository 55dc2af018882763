"""TRUNCATE in the stream of a source."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl
import pytest

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
from cdc.flows.truncation import until_truncate
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
                schema=frame_schema(table), orient="row",
            )  # fmt: skip
            tables[table.name] = TableChanges(table, frame)
    return ChangeBatch("prepaid", Lsn(upto), tables, {"lsn": upto}, continues=continues)


def taken(batches: Sequence[ChangeBatch]) -> tuple[list[ChangeBatch], TableTruncated]:
    """What passes, and the error that ends it."""
    passed: list[ChangeBatch] = []
    with pytest.raises(TableTruncated) as caught:
        passed.extend(until_truncate(batches, {"lsn": 1}))
    return passed, caught.value


def test_batches_without_a_truncate_pass_unchanged() -> None:
    """The ordinary case costs nothing and changes nothing."""
    batches = [batch([("recharge", 5, "c")], upto=9), batch([], upto=12)]
    assert list(until_truncate(batches, {"lsn": 1})) == batches


def test_what_was_committed_before_a_truncate_is_kept_and_nothing_after_it() -> None:
    """A recharge of the same batch is not lost; the place to resume from lies before the truncate."""
    mixed = [
        ("recharge", 20, "c"), ("account", 21, "u"),
        ("recharge", 25, "t"), ("account", 25, "t"), ("recharge", 30, "c"),
    ]  # fmt: skip
    passed, error = taken([batch([("account", 5, "c")], upto=9), batch(mixed, upto=30)])
    kept = passed[1]
    assert {str(name): frame.frame["position"].to_list() for name, frame in kept.tables.items()} == {
        "public.recharge": [20],
        "public.account": [21],
    }
    assert kept.position == Lsn(24)
    assert kept.resume == {"lsn": 9}
    assert error.tables == ("public.account", "public.recharge")
    assert "delete from staging.checkpoint where system = 'prepaid';" in error.hint


def test_a_truncate_that_comes_first_lets_nothing_pass() -> None:
    """Nothing but the error, with the place."""
    passed, error = taken([batch([("recharge", 7, "t")], upto=7)])
    assert passed == []
    assert str(error) == "prepaid: TRUNCATE of public.recharge at LSN 0/7 took away: all rows"


def test_a_truncate_inside_a_sliced_transaction_ends_the_transaction_unfinished() -> None:
    """Slices that came before it in the transaction must not become visible."""
    slices = [batch([("recharge", 7, "c")], upto=7, continues=True), batch([("recharge", 7, "t")], upto=7)]
    passed, _ = taken(slices)
    assert [one.continues for one in passed] == [True]
