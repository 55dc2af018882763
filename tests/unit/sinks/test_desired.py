"""Desired rows before they reach the target."""

from __future__ import annotations

import polars as pl

from cdc.changes import TableName
from mapping_rules import OutboundProgram
from sinks.upsert.desired import DesiredRows, numbered_rows
from sinks.upsert.statements.layout import Layout
from sinks.upsert.statements.target_tables import TargetColumn, TargetTable


def text(name: str) -> TargetColumn:
    return TargetColumn(name, "text", "text", "S", None, False, False, False, False)


TABLE = TargetTable(
    TableName("public", "t"), (text("id"), text("name"), text("active")), (frozenset(["id"]),)
)
PROGRAM = OutboundProgram(
    name="t",
    sink="upsert",
    table=TABLE.name,
    key=("id",),
    columns=("name",),
    column_types={},
    update_only=False,
    on_delete="deactivate",
    deactivate_column="active",
    entities=(),
    changed_keys_sql="",
    desired_sql="",
)
LAYOUT = Layout.of(PROGRAM, TABLE, 0, "UTC")


def expected(*rows: tuple[str, str | None, bool], first_row: int = 0) -> DesiredRows:
    frame = pl.DataFrame(
        [(*row, number) for number, row in enumerate(rows)],
        schema={"id": pl.String, "name": pl.String, "_deleted": pl.Boolean, "_staged_seq": pl.Int64},
        orient="row",
    )
    return numbered_rows(LAYOUT, frame, first_row=first_row)


def test_rows_are_numbered_from_the_first_free_row_in_a_session() -> None:
    """Rows of one write never mix with those of an earlier one in the same temporary table."""
    found = expected(("a", "A", False), ("b", "B", True), first_row=70)
    assert (found.rows, found.doubled) == (2, 0)
    assert found.frame["_row"].to_list() == [70, 71]


def test_flag_of_a_expected_row_is_set_though_no_rule_maps_it() -> None:
    """Otherwise a row that was deactivated once could never come back."""
    assert expected(("a", "A", False)).frame["active"].to_list() == [True]


def test_key_that_is_gone_and_expected_is_expected() -> None:
    """A row taken over by another root must not flicker."""
    found = expected(("a", None, True), ("a", "A", False), ("b", None, True), ("b", None, True))
    assert found.doubled == 0
    assert found.frame.select("id", "name", "_deleted").rows() == [("a", "A", False), ("b", None, True)]


def test_key_expected_in_two_ways_comes_after_the_rows_to_write() -> None:
    """It is reported once, and no statement that writes sees it."""
    found = expected(("a", "A", False), ("a", "B", False), ("c", "C", False), ("c", "C", False))
    assert (found.rows, found.doubled) == (1, 1)
    assert found.frame.select("_row", "id").rows() == [(0, "c"), (1, "a")]
