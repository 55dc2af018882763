"""What comparing needs of a source: `TableReader`, its `TableLook`, and what they give.

Suite: `tests/contract/table_reader_suite.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from cdc.changes import SourceTable, TableName
from cdc.positions import Position

if TYPE_CHECKING:
    from cdc.digests.definition import RowDigest

RANGE_SCHEMA: Mapping[str, Any] = {
    "range_no": pl.Int64,
    "count": pl.Int64,
    "sum": pl.UInt64,
    "unknown": pl.Int64,
}
"""One range of keys, numbered in key order from 0: its rows, the sum modulo 2^64 of their digests, and how
many of them have none."""


@dataclass(frozen=True)
class KeyRange:
    """The rows with `low` <= key < `high`, both sort keys (`cdc.digests.sort_key`); None is an open end."""

    low: str | None = None
    high: str | None = None

    def cut(self, bounds: Sequence[str]) -> list[KeyRange]:
        """The ranges that `bounds`, in order and inside this one, cut it into, without gap or overlap."""
        ends = [self.low, *bounds, self.high]
        return [KeyRange(low, high) for low, high in pairwise(ends)]


class TableLook(Protocol):
    """A source at one position: what is read of it is all of that position.

    One thread; every call may raise `TransientError` (look again) or `OperatorError`. `SnapshotTooOld`: the
    source no longer has its rows as they were; look again, at fewer rows.
    """

    @property
    def position(self) -> Position:
        """Everything that the look sees was committed at or before it."""

    @property
    def low(self) -> int:
        """Everything committed at or before it is in the look; of later commits `includes` tells."""

    def includes(self, position: int, transaction_id: str | None) -> bool:
        """Whether the look sees a change, by its place in the stream and its transaction there.

        True only where that is certain. Without a transaction the change is a row of a snapshot.
        """

    def range_sums(self, digest: RowDigest, within: KeyRange, bounds: Sequence[str] = ()) -> pl.DataFrame:
        """Rows and sums of the ranges that `bounds` cut `within` into: RANGE_SCHEMA, in order."""

    def digests_in(self, digest: RowDigest, within: KeyRange) -> pl.DataFrame:
        """Of each row `sort_key` (String) and `digest` (Int64, null where it has none); any order."""

    def rows(self, digest: RowDigest, keys: Sequence[str]) -> pl.DataFrame:
        """Rows by sort key: `sort_key`, then the canonical texts of `digest.columns` under their names.

        Keys without a row are left out.
        """

    def bound(self, digest: RowDigest, within: KeyRange, *, rows: int) -> str | None:
        """Sort key of the row that has `rows` rows before it in `within`; None if there is none."""

    def bounds(self, digest: RowDigest, within: KeyRange, *, rows: int) -> list[str]:
        """Sort keys that cut `within` into ranges of about `rows` rows; none if it has fewer."""


class TableReader(Protocol):
    """Reads tables of one source by ranges of their key, beside the stream and without a part in it."""

    system: str

    def identity(self) -> Mapping[str, str]:
        """What its positions are bound to; what `ChangeReader.identity` gives too has the same names."""

    def describe(self) -> Mapping[TableName, SourceTable]:
        """The captured tables as the source describes them now."""

    def estimates(self) -> Mapping[TableName, int]:
        """Rows by table by the source's own estimate; tables without one are left out."""

    def look(self) -> AbstractContextManager[TableLook]:
        """Look at the source as it is now; the look ends with the block."""

    def nudge(self) -> None:
        """Have the log move beyond what was looked at, where it does not by itself; changes no row."""

    def close(self) -> None:
        """Release connections; safe to call twice."""
