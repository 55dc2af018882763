"""What of a batch is new to staging: pure functions and the memory of a running snapshot."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl

from cdc.changes import ChangeBatch, Operation, TableChanges, TableName
from cdc.staging.checkpoints import StoredCheckpoint


@dataclass(frozen=True)
class Extent:
    """From where to where the changes of one table go; `reads` if some come from a snapshot."""

    first: tuple[int, int]
    last: tuple[int, int]
    oldest: datetime
    newest: datetime
    reads: bool


@dataclass(frozen=True)
class Incoming:
    """The new changes of a batch by table, and how many echoes were left out.

    Args:
        tables: changes later than the checkpoint that are not our own; no empty frames.
        suppressed: our own writes read back, by table.
        last: position and ordinal of the last change, echoes included; None without any.
        moments: first and last commit time of each table's changes.
        own: our own writes read back, as far as they are later than the checkpoint.
    """

    tables: Mapping[TableName, TableChanges]
    suppressed: Mapping[TableName, int]
    last: tuple[int, int] | None
    moments: Sequence[datetime]
    own: Mapping[TableName, TableChanges] = field(default_factory=dict)


@dataclass
class SnapshotProgress:
    """Remembers a snapshot that is being staged.

    A snapshot that was broken off is read again, perhaps at the same position and in another order.
    Its rows are then put behind those staged already, so none is taken for one that was.
    """

    offset: int = 0
    position: int | None = None
    last_ordinal: int | None = None
    done: set[TableName] = field(default_factory=set)

    def shift(self, position: int, extents: Collection[Extent], stored: StoredCheckpoint | None) -> int:
        """What to add to the ordinals of a snapshot's batch."""
        first = min(extent.first[1] for extent in extents)
        if self.position != position:
            self.offset, self.position, self.last_ordinal, self.done = 0, position, None, set()
        if stored is not None and stored.position == position:
            before = stored.ordinal if self.last_ordinal is None else self.last_ordinal
            if first <= before:
                self.offset = stored.ordinal + 1
        self.last_ordinal = max(extent.last[1] for extent in extents)
        return self.offset

    def swept(self, batch: ChangeBatch, feeders: Mapping[str, frozenset[TableName]]) -> list[str]:
        """Entities all of whose tables are now read completely at the batch's position."""
        if not batch.snapshot_done:
            return []
        if self.position != int(batch.position):
            self.position, self.done = int(batch.position), set()
        self.done |= set(batch.snapshot_done)
        news = set(batch.snapshot_done)
        return sorted(name for name, tables in feeders.items() if tables & news and tables <= self.done)


def incoming(batch: ChangeBatch, stored: StoredCheckpoint | None, places: SnapshotProgress) -> Incoming:
    """Drop what is staged already and our own writes read back.

    Args:
        batch: as the reader yields it.
        stored: the checkpoint, None before the first batch.
        places: memory of the snapshot under way.
    """
    extents = {name: _extent(changes) for name, changes in batch.tables.items() if len(changes)}
    first_load = stored is None or not stored.snapshot_complete
    shift = 0
    if first_load and any(extent.reads for extent in extents.values()):
        shift = places.shift(int(batch.position), extents.values(), stored)
    done = (stored.position, stored.ordinal) if stored is not None else (-1, -1)
    tables, own, suppressed, moments = {}, {}, dict(batch.suppressed), []
    for name, extent in extents.items():
        frame = batch.tables[name].frame
        if shift:
            frame = frame.with_columns_seq(pl.col("ordinal") + shift)
        if (extent.first[0], extent.first[1] + shift) <= done:
            later = (pl.col("position") == done[0]) & (pl.col("ordinal") > done[1])
            frame = frame.filter((pl.col("position") > done[0]) | later)
        if frame["ours"].any():
            kept = frame.filter(~pl.col("ours"))
            own[name] = replace(batch.tables[name], frame=frame.filter("ours"))
            suppressed[name] = suppressed.get(name, 0) + frame.height - kept.height
            frame = kept
        if frame.height:
            tables[name] = replace(batch.tables[name], frame=frame)
            moments += [extent.oldest, extent.newest]
    last = max(((e.last[0], e.last[1] + shift) for e in extents.values()), default=None)
    return Incoming(tables, suppressed, last, moments, own)


def _extent(changes: TableChanges) -> Extent:
    """Changes are in stream order, so their first and last row tell."""
    frame = changes.frame
    moments = frame["committed_at"]
    reads = (frame["operation"] == Operation.READ).any()
    return Extent(_place(frame, 0), _place(frame, -1), moments.min(), moments.max(), reads)  # type: ignore[arg-type]


def _place(frame: pl.DataFrame, row: int) -> tuple[int, int]:
    return frame["position"][row], frame["ordinal"][row]
