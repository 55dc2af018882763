"""What of a batch is new to staging: pure functions and the memory of a running snapshot.

Read before: `cdc.changes`. Used by `cdc.staging.stage`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl

from cdc.changes import ChangeBatch, TableChanges, TableName
from cdc.staging.checkpoints import StoredCheckpoint


@dataclass(frozen=True)
class Incoming:
    """The new changes of a batch by table, and how many echoes were left out.

    Args:
        tables: changes later than the checkpoint that are not our own; no empty frames.
        suppressed: our own writes read back, by table.
    """

    tables: Mapping[TableName, TableChanges]
    suppressed: Mapping[TableName, int]

    @property
    def moments(self) -> list[datetime]:
        """First and last commit time of each table's changes."""
        found = []
        for changes in self.tables.values():
            low, high = changes.frame.select(
                pl.col("committed_at").min().alias("low"), pl.col("committed_at").max().alias("high")
            ).row(0)
            found += [low, high]
        return found

    @property
    def positions(self) -> list[int]:
        """Last position of each table's changes."""
        return [int(str(changes.frame["position"].max())) for changes in self.tables.values()]

    def last_ordinal(self, position: int) -> int:
        """Greatest ordinal at that position, -1 if there is no change."""
        found = [
            changes.frame.filter(pl.col("position") == position)["ordinal"].max()
            for changes in self.tables.values()
        ]
        return max((int(str(ordinal)) for ordinal in found if ordinal is not None), default=-1)


@dataclass
class SnapshotPlaces:
    """Remembers a snapshot that is being staged.

    A snapshot that was broken off is read again, perhaps at the same position and in another order.
    Its rows are then put behind those staged already, so none is taken for one that was.
    """

    offset: int = 0
    position: int | None = None
    last_ordinal: int | None = None
    done: set[TableName] = field(default_factory=set)

    def shift(self, batch: ChangeBatch, stored: StoredCheckpoint | None) -> int:
        """What to add to the ordinals of a snapshot's batch."""
        first, last = _ordinals(batch)
        if first is None or last is None:
            return self.offset if self.position == int(batch.position) else 0
        if self.position != int(batch.position):
            self.offset, self.position, self.last_ordinal, self.done = 0, int(batch.position), None, set()
        if stored is not None and stored.position == self.position:
            before = stored.ordinal if self.last_ordinal is None else self.last_ordinal
            if first <= before:
                self.offset = stored.ordinal + 1
        self.last_ordinal = last
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


def incoming(batch: ChangeBatch, stored: StoredCheckpoint | None, places: SnapshotPlaces) -> Incoming:
    """Drop what is staged already and our own writes read back.

    Args:
        batch: as the reader yields it.
        stored: the checkpoint, None before the first batch.
        places: memory of the snapshot under way.
    """
    tables, suppressed = {}, dict(batch.suppressed)
    first_load = stored is None or not stored.snapshot_complete
    shift = places.shift(batch, stored) if first_load and _is_snapshot(batch) else 0
    for name, changes in batch.tables.items():
        frame = changes.frame
        if shift:
            frame = frame.with_columns(pl.col("ordinal") + shift)
        if stored is not None:
            later = (pl.col("position") == stored.position) & (pl.col("ordinal") > stored.ordinal)
            frame = frame.filter((pl.col("position") > stored.position) | later)
        kept = frame.filter(~pl.col("ours"))
        if kept.height < frame.height:
            suppressed[name] = suppressed.get(name, 0) + frame.height - kept.height
        if kept.height:
            tables[name] = replace(changes, frame=kept)
    return Incoming(tables, suppressed)


def _is_snapshot(batch: ChangeBatch) -> bool:
    return any((changes.frame["operation"] == "r").any() for changes in batch.tables.values())


def _ordinals(batch: ChangeBatch) -> tuple[int | None, int | None]:
    found = [
        changes.frame.select(pl.col("ordinal").min().alias("low"), pl.col("ordinal").max().alias("high")).row(
            0
        )
        for changes in batch.tables.values()
        if len(changes)
    ]
    if not found:
        return None, None
    return min(low for low, _ in found), max(high for _, high in found)
