"""Committed changes, as columns: what readers yield and everything else consumes.

A `ChangeBatch` holds whole committed transactions of one system; inside it each table has one
Polars frame. Values are the source's own values as *text* in one canonical form per type (see
`SourceType`), so nothing is rounded or retyped on the way; types are applied by the mapping rules.

A frame has the columns of `META_SCHEMA`, then `before.<column>` and `after.<column>` (String) for
each column of the table. SQL NULL is null. A column whose value the log does not hold is *absent*,
which is not NULL: `before_shape` and `after_shape` index `TableChanges.shapes`, where each shape is
the set of absent columns; shape 0 is always the empty set. The value of an absent cell is null and
must not be looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import polars as pl

from cdc.errors import OperatorError
from cdc.positions import Position


class Operation(StrEnum):
    """What happened to a row; `READ` comes from a snapshot, `TRUNCATE` empties the table."""

    CREATE = "c"
    UPDATE = "u"
    DELETE = "d"
    READ = "r"
    TRUNCATE = "t"


class SourceType(StrEnum):
    """Kinds of source column, with the canonical text of their values.

    NUMBER: plain decimal, no exponent, no leading plus (`-0.01`, `1200`; `NaN` from PostgreSQL only).
    TEXT: as is (CHAR keeps its padding). BOOLEAN: `t` or `f`. DATE: `2024-02-29`.
    TIMESTAMP: `2024-02-29 10:11:12` with fraction if not zero, no zone (Oracle DATE too).
    TIMESTAMP_TZ: the same in UTC followed by `+00`. BINARY: lower-case hexadecimal.
    OTHER: the source's own text.
    """

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIMESTAMP_TZ = "timestamp_tz"
    BINARY = "binary"
    OTHER = "other"


@dataclass(frozen=True, order=True)
class TableName:
    """A table of a source, spelled as its database spells it."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class SourceColumn:
    """A column of a captured table; `length` in characters, None where it has no bound.

    A `large` one is logged apart from its row (LOB, extended string): it is read only where a rule
    names it, so rules need neither map nor ignore it.
    """

    name: str
    type: SourceType
    declared: str
    nullable: bool = True
    length: int | None = None
    scale: int | None = None
    large: bool = False


@dataclass(frozen=True)
class SourceTable:
    """A captured table as the source describes it; `key` are its primary key columns in order."""

    name: TableName
    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...]

    def column(self, name: str) -> SourceColumn | None:
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in table order."""
        return tuple(column.name for column in self.columns)


META_SCHEMA: Mapping[str, Any] = {
    "operation": pl.String,
    "position": pl.Int64,
    "ordinal": pl.Int64,
    "transaction_id": pl.String,
    "committed_at": pl.Datetime("us", "UTC"),
    "ours": pl.Boolean,
    "before_shape": pl.Int16,
    "after_shape": pl.Int16,
}
"""Columns every frame starts with.

`position` is the commit position of the transaction (the snapshot's position for READ); `ordinal`
orders the changes that share a position, over all tables. (position, ordinal) grows strictly along
the stream and is the same when the stream is read again. `ours` marks our own writes read back.
"""

WHO: tuple[str, ...] = ("source_user", "source_client")
"""Columns (String) after all others in the frames of a reader whose log tells them: the database user, and
the client identifier that the application set; null where a change has none."""

BEFORE = "before."
AFTER = "after."
ALL_PRESENT: frozenset[str] = frozenset()

UNREADABLE = "\ufdd0"
"""First character of a cell whose value could not be read, see `unreadable`; no text has it: Unicode keeps it
for a program's own use."""
NOT_TEXT = "bytes that are not text in the character set"


def unreadable(reason: str, raw: str) -> str:
    r"""What stands in a cell whose value could not be read: `\ufdd0[reason] raw`.

    Args:
        reason: what was found, without the value, in plain words.
        raw: the source's own text as far as there is one; bytes that are not text as `\\xhh`.
    """
    return f"{UNREADABLE}[{reason}] {raw.replace(UNREADABLE, '')}"


def frame_schema(table: SourceTable) -> dict[str, Any]:
    """Column names and types of a frame of `table`, in order."""
    sides = [f"{side}{column.name}" for side in (BEFORE, AFTER) for column in table.columns]
    return {**META_SCHEMA, **dict.fromkeys(sides, pl.String)}


@dataclass(frozen=True)
class TableChanges:
    """Changes of one table in stream order; see the module text for the frame's columns.

    `unreadable` names the columns of which some cell holds no value but says why (`unreadable`): after
    images, and keys of before images. Who needs the value of such a cell refuses its row.
    """

    table: SourceTable
    frame: pl.DataFrame
    shapes: tuple[frozenset[str], ...] = (ALL_PRESENT,)
    unreadable: frozenset[str] = frozenset()

    def absent(self, side: str, column: str) -> pl.Expr:
        """Expression: True where the log does not hold `column` on that side (BEFORE or AFTER)."""
        holding = [index for index, shape in enumerate(self.shapes) if column in shape]
        if not holding:
            return pl.lit(False)
        return pl.col(f"{side}shape".replace(".", "_")).is_in(holding)

    def __len__(self) -> int:
        return self.frame.height


@dataclass(frozen=True)
class ChangeBatch:
    """Whole committed transactions of one system in commit order, or a slice of a very large one.

    Args:
        system: name of the source system in the configuration.
        position: all changes up to and including this position are in this batch or earlier ones;
            a batch without tables only moves the position on.
        tables: changes by table; tables without a change are left out.
        resume: what the reader needs to continue after this batch, JSON types only; opaque to others.
        continues: True for a slice whose transaction continues in the next batch. Nothing of it may
            become visible before the batch that ends it.
        snapshot_done: tables whose snapshot at `position` ends with this batch: rows that it did
            not hold no longer exist.
        suppressed: our own writes read back and left out by the reader itself, by table.
        stopped: captured tables that are no longer read, each with the reason; the others are.
        definitions: what the reader saw of captured tables for the first time, or changed since; JSON types
            only. Stored with the batch and given back with `resume` as `tables`.
        held_back: what the source waits for meanwhile, if it does.
        behind: the source has more log already, which was not read yet.
        outdated: captured tables that are read on, and whose older rows have values that no change brings.
    """

    system: str
    position: Position
    tables: Mapping[TableName, TableChanges]
    resume: Mapping[str, Any]
    continues: bool = False
    snapshot_done: tuple[TableName, ...] = ()
    suppressed: Mapping[TableName, int] = field(default_factory=dict)
    stopped: Mapping[TableName, OperatorError] = field(default_factory=dict)
    definitions: Mapping[TableName, Mapping[str, Any]] = field(default_factory=dict)
    held_back: OperatorError | None = None
    behind: bool = False
    outdated: Mapping[TableName, OperatorError] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of changes over all tables."""
        return sum(len(changes) for changes in self.tables.values())

    @property
    def changed_at(self) -> datetime | None:
        """When the source committed the last change, by its clock; None without a change."""
        last = (changes.frame["committed_at"][-1] for changes in self.tables.values() if len(changes))
        return max(last, default=None)
