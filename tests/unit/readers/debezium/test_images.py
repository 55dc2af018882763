"""Debezium's change events become images in canonical text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import polars as pl
import pytest

from cdc.changes import AFTER, BEFORE, SourceColumn, SourceTable, SourceType, TableChanges, TableName
from cdc.errors import OperatorError
from cdc.readers.debezium.engine.connector import Connector, EventForm
from cdc.readers.debezium.events import cells
from cdc.readers.debezium.events.images import table_changes

TABLE = SourceTable(
    TableName("public", "account"),
    (
        SourceColumn("id", SourceType.NUMBER, "bigint", nullable=False),
        SourceColumn("name", SourceType.TEXT, "text"),
        SourceColumn("tags", SourceType.OTHER, "text[]"),
        SourceColumn("photo", SourceType.BINARY, "bytea"),
    ),
    ("id",),
)
PLACEHOLDER = "absent 4711"
Row = Mapping[str, Any]


class Described:
    """The part of a connector that decoding asks."""

    form = EventForm(
        source={"ts_us": pl.Int64, "txId": pl.Int64, "lsn": pl.Int64, "origin": pl.String},
        transaction=pl.col("txId").cast(pl.String),
        committed_us=pl.col("ts_us"),
        ours=pl.col("origin") == "ccbridge",
        same_row=("lsn",),
        absent=PLACEHOLDER,
    )

    def __init__(self, before: frozenset[str] | None) -> None:
        self.before = before

    def before_columns(self, table: TableName) -> frozenset[str] | None:
        return self.before

    def cell_type(self, table: SourceTable, column: str) -> Any:
        return pl.List(pl.String) if column == "tags" else pl.String

    def canonical(self, frame: pl.DataFrame, table: SourceTable, *sides: str) -> pl.DataFrame:
        return frame.with_columns(
            cells.array(pl.col(f"{side}tags"), elements="text").alias(f"{side}tags") for side in sides
        )


def event(operation: str, before: Row | None, after: Row | None, *, lsn: int = 0, **source: object) -> str:
    return json.dumps(
        {
            "before": before,
            "after": after,
            "op": operation,
            "source": {"ts_us": 5, "txId": 9, "lsn": lsn, **source},
        }
    )


def row(
    key: int, name: str | None = "a", tags: list[str | None] | None = None, photo: str | None = None
) -> Row:
    return {"id": key, "name": name, "tags": tags, "photo": photo}


def decode(lines: list[str], before: frozenset[str] | None = frozenset({"id"})) -> TableChanges:
    places = pl.DataFrame({"position": [7] * len(lines), "ordinal": range(len(lines))})
    return table_changes(cast(Connector, Described(before)), TABLE, lines, places)


def image(changes: TableChanges, side: str, number: int) -> dict[str, str | None]:
    """Present columns of one image."""
    frame = changes.frame.with_columns(
        changes.absent(side, name).alias(f"absent {name}") for name in TABLE.column_names
    )
    found = frame.row(number, named=True)
    return {name: found[f"{side}{name}"] for name in TABLE.column_names if not found[f"absent {name}"]}


def test_images_hold_what_the_log_holds() -> None:
    """With the default replica identity a before image is the key alone; NULL is not absence."""
    changes = decode(
        [
            event("c", None, row(1, None, ["x", None, 'b,"c\\', "", "null"]), lsn=1),
            event("u", None, row(1, "b"), lsn=2),
            event("d", row(1, ""), None, lsn=3, origin="ccbridge"),
            event("t", None, None, lsn=4),
        ]
    )
    assert changes.frame["operation"].to_list() == ["c", "u", "d", "t"]
    assert changes.frame["ours"].to_list() == [False, False, True, False]
    assert image(changes, BEFORE, 0) == {}
    assert image(changes, AFTER, 0) == {
        "id": "1",
        "name": None,
        "tags": r'{x,NULL,"b,\"c\\","","null"}',
        "photo": None,
    }
    assert image(changes, BEFORE, 1) == {"id": "1"}
    assert (image(changes, BEFORE, 2), image(changes, AFTER, 2)) == ({"id": "1"}, {})
    assert (image(changes, BEFORE, 3), image(changes, AFTER, 3)) == ({}, {})


def test_a_changed_key_becomes_one_update() -> None:
    """Debezium's delete and create of one log record are one change; a delete and an insert are two."""
    changes = decode(
        [
            event("d", row(1, ""), None, lsn=10),
            event("c", None, row(2, "moved"), lsn=10),
            event("d", row(2, ""), None, lsn=11),
            event("c", None, row(2, "again"), lsn=12),
        ]
    )
    assert changes.frame["operation"].to_list() == ["u", "d", "c"]
    assert changes.frame["ordinal"].to_list() == [0, 2, 3]
    assert image(changes, BEFORE, 0) == {"id": "1"}
    assert image(changes, AFTER, 0) == {"id": "2", "name": "moved", "tags": None, "photo": None}


def test_values_the_log_does_not_hold_are_absent() -> None:
    """Debezium's placeholder is not a value, whatever the column's type; a full before image fills it in."""
    unknown = row(1, PLACEHOLDER, [PLACEHOLDER], PLACEHOLDER.encode().hex())
    first = decode([event("u", None, unknown)])
    assert image(first, AFTER, 0) == {"id": "1"}
    full = decode([event("u", row(1, "old", ["t"], "00ff"), unknown)], before=None)
    assert image(full, AFTER, 0) == {"id": "1", "name": "old", "tags": "{t}", "photo": "00ff"}
    assert image(full, BEFORE, 0) == {"id": "1", "name": "old", "tags": "{t}", "photo": "00ff"}


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "null",
        '{"op": "c"}',
        '{"op": "c", "source": "x"}',
        event("x", None, row(1)),
        event("c", None, None),
        event("d", None, None),
        event("c", None, row(1))[:-3],
        event("c", None, {"id": 1, "tags": "no list"}),
    ],
)
def test_a_malformed_event_stops_the_reader_and_tells_no_value(line: str) -> None:
    """In progress would lose a change."""
    with pytest.raises(OperatorError, match=r"public\.account: events of an unexpected form") as failed:
        decode([event("c", None, row(1)), line])
    assert "no list" not in str(failed.value)


def test_canonical_text_of_moments() -> None:
    """Times keep their fraction to the digit, zones become UTC, other texts stay."""
    frame = pl.DataFrame({"x": ["2024-02-29T00:11:12.123456789+01:00", "2024-12-31T23:00:00Z", None]})
    assert frame.select(cells.timestamp_with_offset(pl.col("x")))["x"].to_list() == [
        "2024-02-28 23:11:12.123456789+00",
        "2024-12-31 23:00:00+00",
        None,
    ]
    frame = pl.DataFrame(
        {"x": ["2024-02-29T10:00:00.100Z", "2024-02-29T10:00:00Z", "2024-02-29T10:00:00.000Z"]}
    )
    assert frame.select(cells.timestamp(pl.col("x")))["x"].to_list() == [
        "2024-02-29 10:00:00.1",
        "2024-02-29 10:00:00",
        "2024-02-29 10:00:00",
    ]
    frame = pl.DataFrame({"x": ["-0043-03-15", "+12024-01-01", "2024-02-29", "+5000-01-01"]})
    dates = cells.exact_dates(frame, ["x"], {"+5000-01-01": "infinity"})
    assert dates["x"].to_list() == ["0044-03-15 BC", "12024-01-01", "2024-02-29", "infinity"]


def test_canonical_text_of_numbers() -> None:
    """Zeros that only fill a fraction go, those of a whole number stay."""
    frame = pl.DataFrame({"x": ["12.50", "100", "-0.010", "7.00"]})
    assert frame.select(cells.short_number(pl.col("x")))["x"].to_list() == ["12.5", "100", "-0.01", "7"]
    frame = pl.DataFrame({"x": ["NAN", "POSITIVE_INFINITY", "1.50"]})
    assert frame.select(cells.number(pl.col("x")))["x"].to_list() == ["NaN", "Infinity", "1.50"]
