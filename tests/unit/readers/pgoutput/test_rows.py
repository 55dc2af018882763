from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from cdc.changes import SourceColumn, SourceTable, SourceType, TableChanges, TableName
from cdc.errors import OperatorError
from cdc.positions import Lsn
from cdc.readers.pgoutput.batches import row_meta
from cdc.readers.pgoutput.snapshot import read_lines
from cdc.readers.pgoutput.wire.cells import cells_by_row, cells_in_bulk
from cdc.readers.pgoutput.wire.messages import Begin, truncate_row
from cdc.readers.pgoutput.wire.transactions import Transaction
from cdc.readers.pgoutput.wire.tuples import table_changes
from tests.unit.readers.pgoutput.stream import UNCHANGED, Cell, row

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)
CELL = st.one_of(st.none(), st.just(UNCHANGED), TEXT)
TUPLE = st.lists(CELL, min_size=3, max_size=3)
OLD = st.tuples(st.sampled_from("KO"), st.lists(st.one_of(st.none(), TEXT), min_size=3, max_size=3))
MESSAGE = st.one_of(
    st.builds(lambda new: row("I", 1, ("N", new)), TUPLE),
    st.builds(lambda new: row("U", 1, ("N", new)), TUPLE),
    st.builds(lambda old, new: row("U", 1, old, ("N", new)), OLD, TUPLE),
    st.builds(lambda old: row("D", 1, old), OLD),
    st.just(truncate_row(1)),
)
TABLE = SourceTable(
    TableName("public", "account"),
    (
        SourceColumn("id", SourceType.NUMBER, "bigint"),
        SourceColumn("name", SourceType.TEXT, "text"),
        SourceColumn("note", SourceType.TEXT, "text"),
    ),
    ("id",),
)
KEY, ALL = frozenset({"id"}), frozenset(TABLE.column_names)


def changes(*messages: bytes, identity: frozenset[str] = KEY, table: SourceTable = TABLE) -> TableChanges:
    meta = row_meta([Transaction(Begin(Lsn(5), 0, 7), rows=len(messages))])
    return table_changes(table, identity, list(messages), meta)


def images(found: TableChanges, side: str) -> list[dict[str, str | None]]:
    """Columns that are not absent, row by row."""
    frame = found.frame.with_columns(
        found.absent(side, name).alias(f"no.{name}") for name in found.table.column_names
    )
    return [
        {name: line[f"{side}{name}"] for name in found.table.column_names if not line[f"no.{name}"]}
        for line in frame.iter_rows(named=True)
    ]


@given(st.lists(MESSAGE, min_size=1, max_size=30))
def test_decoding_in_bulk_equals_decoding_row_by_row(messages: list[bytes]) -> None:
    """The size of a batch does not decide what its rows say."""
    with_old = any(message[30] in b"KO" for message in messages)
    bulk = cells_in_bulk(messages, 3, with_old=with_old)
    assert_frame_equal(bulk, cells_by_row(messages, 3, with_old=with_old), check_column_order=False)


@given(st.lists(st.lists(st.one_of(st.none(), TEXT), min_size=2, max_size=2), min_size=1, max_size=20))
def test_snapshot_lines_keep_null_apart_from_empty_text_and_odd_characters(
    rows: list[list[str | None]],
) -> None:
    """A value with quotes, commas, line ends or nothing in it is read as it was."""

    def line(values: list[str | None]) -> bytes:
        fields = ["" if value is None else '"' + value.replace('"', '""') + '"' for value in values]
        return (",".join(['"key"', *fields]) + "\n").encode()

    frame = read_lines([line(values) for values in rows], ["k", "a", "b"])
    assert frame.rows() == [("key", *values) for values in rows]


def test_an_insert_knows_its_row_and_nothing_before() -> None:
    found = changes(row("I", 1, ("N", ["1", "", None])))
    assert images(found, "after.") == [{"id": "1", "name": "", "note": None}]
    assert images(found, "before.") == [{}]
    assert found.frame["operation"].to_list() == ["c"]


@pytest.mark.parametrize(
    ("old", "identity", "before"),
    [
        ((), KEY, {"id": "1"}),
        ((("K", ["0", None, None]),), KEY, {"id": "0"}),
        ((("O", ["0", "was", None]),), ALL, {"id": "0", "name": "was", "note": None}),
    ],
    ids=["identity unchanged", "identity changed", "identity full"],
)
def test_the_before_image_of_an_update_holds_what_the_replica_identity_logs(
    old: tuple[tuple[str, list[Cell]], ...], identity: frozenset[str], before: dict[str, str | None]
) -> None:
    """What was not logged is absent, and a key that was not logged did not change."""
    found = changes(row("U", 1, *old, ("N", ["1", "is", "x"])), identity=identity)
    assert images(found, "before.") == [before]
    assert images(found, "after.") == [{"id": "1", "name": "is", "note": "x"}]


def test_a_delete_knows_its_key_only() -> None:
    found = changes(row("D", 1, ("K", ["1", None, None])))
    assert images(found, "before.") == [{"id": "1"}]
    assert images(found, "after.") == [{}]


def test_a_truncate_knows_no_row() -> None:
    found = changes(truncate_row(1))
    assert (images(found, "before."), images(found, "after.")) == ([{}], [{}])
    assert found.frame["operation"].to_list() == ["t"]


def test_an_unchanged_toast_value_is_absent_row_by_row() -> None:
    """It must never be taken for NULL, and other rows of the batch are not touched by it."""
    found = changes(
        row("U", 1, ("N", ["1", UNCHANGED, "x"])),
        row("U", 1, ("N", ["2", None, UNCHANGED])),
        row("U", 1, ("N", ["3", UNCHANGED, UNCHANGED])),
        row("I", 1, ("N", ["4", None, None])),
    )
    assert images(found, "after.") == [
        {"id": "1", "note": "x"},
        {"id": "2", "name": None},
        {"id": "3"},
        {"id": "4", "name": None, "note": None},
    ]


def test_an_unchanged_toast_value_is_taken_from_a_full_old_tuple() -> None:
    """REPLICA IDENTITY FULL logs it there."""
    found = changes(
        row("U", 1, ("O", ["1", "long", None]), ("N", ["1", UNCHANGED, "x"])),
        identity=ALL,
    )
    assert images(found, "after.") == [{"id": "1", "name": "long", "note": "x"}]


def test_a_tuple_of_another_width_stops_the_reader() -> None:
    """Shifted columns would be staged as if nothing were wrong."""
    with pytest.raises(OperatorError, match=r"public.account: .* rows of \[2\] columns, expected 3"):
        changes(row("I", 1, ("N", ["1", "x"])))


def test_values_are_brought_to_canonical_text() -> None:
    table = SourceTable(
        TableName("public", "reading"),
        (
            SourceColumn("id", SourceType.NUMBER, "bigint"),
            SourceColumn("level", SourceType.NUMBER, "double precision"),
            SourceColumn("raw", SourceType.BINARY, "bytea"),
        ),
        ("id",),
    )
    found = changes(
        row("I", 1, ("N", ["1", "1.5e-07", "\\x00ff"])),
        row("I", 1, ("N", ["2", "-Infinity", "\\x"])),
        row("I", 1, ("N", ["3", None, None])),
        table=table,
    )
    assert found.frame.select("after.level", "after.raw").rows() == [
        ("0.00000015", "00ff"),
        ("-Infinity", ""),
        (None, None),
    ]
    assert found.frame["after.level"].dtype == pl.String
