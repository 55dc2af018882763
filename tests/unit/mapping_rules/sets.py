"""Small rule sets and change frames, written as short as they can be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import polars as pl

from cdc.changes import (
    AFTER,
    BEFORE,
    SourceColumn,
    SourceTable,
    SourceType,
    TableChanges,
    TableName,
    frame_schema,
)
from mapping_rules import InboundProgram, RuleSet, compile_inbound, from_files

SYSTEMS = "ccb: {conventions: ouaf, schema: CISADM}\nprepaid: {conventions: plain, schema: public}\n"
COMMITTED = datetime(2024, 2, 29, 12, tzinfo=UTC)
PRESENT: frozenset[str] = frozenset()


def rule_set(**files: str) -> RuleSet:
    """A rule set of files named like `inbound__ci_acct`."""
    return from_files("test", texts(**files))


def texts(**files: str) -> dict[str, str]:
    """Files by path."""
    named = {f"{name.replace('__', '/')}.yaml": text for name, text in files.items()}
    return {"systems.yaml": SYSTEMS, **named}


def table(columns: Mapping[str, SourceType], key: Sequence[str], *, name: str = "T") -> SourceTable:
    """A source table CISADM.T."""
    described = tuple(SourceColumn(column, kind, kind.value) for column, kind in columns.items())
    return SourceTable(TableName("CISADM", name), described, tuple(key))


def changes(
    source: SourceTable,
    rows: Iterable[Mapping[str, Any]],
    shapes: tuple[frozenset[str], ...] = (PRESENT,),
) -> TableChanges:
    """A frame of rows like `{"operation": "u", "before": {...}, "after": {...}, "position": 7}`."""
    flat = []
    for number, row in enumerate(rows, 1):
        flat.append(
            {
                "operation": row["operation"],
                "position": row.get("position", number),
                "ordinal": row.get("ordinal", number),
                "transaction_id": str(row.get("position", number)),
                "committed_at": COMMITTED,
                "ours": False,
                "before_shape": row.get("before_shape", 0),
                "after_shape": row.get("after_shape", 0),
                **{BEFORE + name: value for name, value in row.get("before", {}).items()},
                **{AFTER + name: value for name, value in row.get("after", {}).items()},
            }
        )
    return TableChanges(source, pl.DataFrame(flat, schema=frame_schema(source)), shapes)


def program(
    loaded: RuleSet,
    *,
    system: str = "ccb",
    kind: Literal["oracle", "postgres"] = "oracle",
    time_zone: str = "UTC",
) -> InboundProgram:
    """The only inbound program of a system."""
    (programs,) = compile_inbound(loaded, system, kind=kind, time_zone=time_zone).values()
    (only,) = programs
    return only
