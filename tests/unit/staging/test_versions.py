"""Versions of a key within one batch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from cdc.staging.entity_rows.versions import MERGE_SCHEMA, versions
from mapping_rules import Entity
from tests.unit.staging.doubles import rule_set

ENTITY: Entity = rule_set().entities["customer"]
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)


def row(
    key: str,
    position: int,
    name: str | None = "Ada",
    note: str | None = None,
    *,
    absent: list[str] | None = None,
    tombstone: bool = False,
    at: int | None = None,
) -> dict[str, Any]:
    return {
        "customer_id": key,
        "name": name,
        "note": note,
        "credit": None,
        "source_position": position,
        "source_ordinal": 0,
        "committed_at": NOON + timedelta(seconds=position if at is None else at),
        "operation": "u",
        "tombstone": tombstone,
        "absent": absent,
    }


def ordered(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    schema: dict[str, Any] = {name: column.type.polars for name, column in ENTITY.columns.items()} | {
        "source_position": pl.Int64,
        "source_ordinal": pl.Int64,
        "committed_at": pl.Datetime("us", "UTC"),
        "operation": pl.String,
        "tombstone": pl.Boolean,
        "absent": pl.List(pl.String),
    }
    frame = versions(ENTITY, pl.DataFrame(rows, schema=schema, orient="row"))
    assert frame.columns == [*ENTITY.columns, *MERGE_SCHEMA]
    return frame.to_dicts()


def test_versions_of_a_key_stand_together_in_stream_order() -> None:
    """Whatever the order they come in; the newest is marked and each knows its neighbours."""
    found = ordered(row("b", 2, "B2"), row("a", 1), row("b", 1, "B1"))
    assert [(r["customer_id"], r["source_position"], r["_row"], r["_last"]) for r in found] == [
        ("a", 1, 0, True),
        ("b", 1, 1, False),
        ("b", 2, 2, True),
    ]
    assert found[1]["_next_committed_at"] == NOON + timedelta(seconds=2)
    assert (found[2]["_prev_position"], found[2]["_prev_ordinal"]) == (1, 0)
    assert found[2]["_next_committed_at"] is None


def test_versions_fill_absent_values_from_the_version_before() -> None:
    """A value the log does not hold is the one the row had, and never another row's."""
    found = ordered(
        row("a", 1, "Ada", "kept"), row("a", 2, "Eve", absent=["note"]), row("b", 1, "Bob", absent=["note"])
    )
    assert [(r["name"], r["note"], r["_absent"]) for r in found] == [
        ("Ada", "kept", None),
        ("Eve", "kept", None),
        ("Bob", None, '{"note"}'),
    ]


def test_versions_keep_null_and_absent_apart() -> None:
    """NULL overwrites, absent does not."""
    found = ordered(row("a", 1, note="old"), row("a", 2, note=None), row("a", 3, "Eve", absent=["note"]))
    assert [r["note"] for r in found] == ["old", None, None]
    assert {r["_absent"] for r in found} == {None}


def test_versions_carry_what_is_still_unknown() -> None:
    """Without an earlier version in the batch, the staged row has the value."""
    found = ordered(row("a", 1, "Ada", absent=["note"]), row("a", 2, "Eve", absent=["note", "credit"]))
    assert [r["_absent"] for r in found] == ['{"note"}', '{"note"}']


def test_versions_of_a_deleted_row_keep_its_values() -> None:
    """Auditors see what was deleted, though the log may hold the key only."""
    found = ordered(row("a", 1, "Ada", "n"), row("a", 2, None, None, tombstone=True))
    assert [(r["name"], r["note"], r["tombstone"]) for r in found] == [
        ("Ada", "n", False),
        ("Ada", "n", True),
    ]
    alone = ordered(row("a", 2, None, None, tombstone=True))
    assert alone[0]["_absent"] == '{"name","note","credit"}'


def test_versions_drop_what_changes_nothing() -> None:
    """Equal versions are one, known to hold until the last of them and made by the first."""
    found = ordered(row("a", 1), row("a", 2), row("a", 3, "Eve"), row("a", 4, "Eve"))
    assert [(r["name"], r["source_position"], r["committed_at"]) for r in found] == [
        ("Ada", 2, NOON + timedelta(seconds=1)),
        ("Eve", 4, NOON + timedelta(seconds=3)),
    ]


def test_versions_never_go_back_in_time() -> None:
    """A source clock set back must not make two versions valid at once."""
    found = ordered(row("a", 1, at=60), row("a", 2, "Eve", at=30), row("b", 3, at=5))
    assert [r["committed_at"] - NOON for r in found] == [
        timedelta(seconds=60),
        timedelta(seconds=60),
        timedelta(seconds=5),
    ]
