"""A batch on its way into staging: what its transaction has done so far.

Most batches are one call of `Stager.stage`; a very large transaction comes in slices that share one
`OpenBatch`, one database transaction and one row in `staging.batch`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b

import polars as pl
import psycopg
from psycopg.types.json import Jsonb

from cdc.changes import ChangeBatch
from cdc.staging.audit.audit_chain import batch_digest, rows_hash
from cdc.staging.batches.replay_filter import Incoming
from cdc.staging.checkpoints import StoredCheckpoint
from cdc.staging.entity_rows.merge import Merged

_WRITE = """
insert into staging.batch (batch_id, system, reader, run_id, from_position, to_position, change_count,
    counts, rule_set_id, rows_digest, previous_digest, digest)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


@dataclass(frozen=True)
class Staged:
    """What one call of `Stager.stage` did.

    Args:
        batch_id: None for a batch that only moved the position, and for a slice that continues.
        staged_seq: greatest number given to a new version, None if no entity row changed.
        rows: new versions, in entity tables and histories.
        rejected: rejected rows.
        oldest_committed_at: of the changes logged, None without any.
        newest_committed_at: the same.
    """

    batch_id: int | None = None
    staged_seq: int | None = None
    rows: int = 0
    rejected: int = 0
    oldest_committed_at: datetime | None = None
    newest_committed_at: datetime | None = None


@dataclass(frozen=True)
class Load:
    """Versions of one entity that wait to be merged; `number` is the slice they came in."""

    entity: str
    number: int
    versions: int
    chained: bool


@dataclass
class OpenBatch:
    """One batch, from its first slice to its commit."""

    batch_id: int
    system: str
    stored: StoredCheckpoint | None
    previous_digest: bytes | None
    rows_hash: blake2b = field(default_factory=rows_hash)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    change_count: int = 0
    loads: list[Load] = field(default_factory=list)
    slices: int = 0
    rejected: int = 0
    rows: int = 0
    staged_seq: int | None = None
    oldest: datetime | None = None
    newest: datetime | None = None

    def count(self, new: Incoming) -> None:
        """Add the changes of one slice to the counts."""
        self.slices += 1
        for name, changes in new.tables.items():
            self._of_table(str(name))["rows"] += len(changes)
            self.change_count += len(changes)
        for name, suppressed in new.suppressed.items():
            self._of_table(str(name))["suppressed"] += suppressed
        moments = [*new.moments, *(m for m in (self.oldest, self.newest) if m is not None)]
        self.oldest, self.newest = min(moments, default=None), max(moments, default=None)

    def add(self, entity: str, ordered: pl.DataFrame) -> Load:
        """Note that these versions of an entity wait to be merged."""
        load = Load(entity, self.slices, ordered.height, not bool(ordered["_last"].all()))
        self.loads.append(load)
        return load

    def merged(self, merged: Merged) -> None:
        """Add what a merge did."""
        self.rows += merged.rows
        if merged.staged_seq is not None:
            self.staged_seq = max(merged.staged_seq, self.staged_seq or 0)

    def checkpoint(
        self, batch: ChangeBatch, new: Incoming, reader: str, identity: Mapping[str, str] | None
    ) -> StoredCheckpoint:
        """Where reading continues once this batch is committed."""
        stored = self.stored
        position, ordinal = max((int(batch.position), -1), new.last or (-1, -1))
        if stored is not None and stored.position == position:
            ordinal = max(ordinal, stored.ordinal)
        if identity is None:
            identity = stored.identity if stored is not None else {}
        return StoredCheckpoint(
            self.system,
            reader,
            identity,
            position,
            ordinal,
            batch.resume,
            snapshot_complete=stored is not None and stored.snapshot_complete,
            batch_id=self.batch_id if self.is_recorded else stored.batch_id if stored is not None else None,
        )

    @property
    def is_recorded(self) -> bool:
        """Whether the batch gets a row of its own: it brought, suppressed or swept something."""
        return bool(self.counts) or self.rows > 0

    def write(
        self,
        cursor: psycopg.Cursor[tuple[object, ...]],
        checkpoint: StoredCheckpoint,
        rule_set_id: int,
        run_id: uuid.UUID,
    ) -> bytes:
        """Write the batch's row, chained to the one before it; returns its digest."""
        low = self.stored.position if self.stored is not None else None
        facts: dict[str, object] = {
            "batch_id": self.batch_id,
            "system": self.system,
            "from_position": low,
            "to_position": checkpoint.position,
            "change_count": self.change_count,
            "counts": self.counts,
            "rule_set_id": rule_set_id,
            "run_id": str(run_id),
            "reader": checkpoint.reader,
        }
        rows_digest = self.rows_hash.digest()
        digest = batch_digest(self.previous_digest, facts, rows_digest)
        cursor.execute(
            _WRITE,
            [
                self.batch_id,
                self.system,
                checkpoint.reader,
                run_id,
                low,
                checkpoint.position,
                self.change_count,
                Jsonb(self.counts),
                rule_set_id,
                rows_digest,
                self.previous_digest,
                digest,
            ],
        )
        return digest

    def staged(self, batch_id: int | None) -> Staged:
        """What was done, for the flow."""
        return Staged(batch_id, self.staged_seq, self.rows, self.rejected, self.oldest, self.newest)

    def _of_table(self, name: str) -> dict[str, int]:
        return self.counts.setdefault(name, {"rows": 0, "suppressed": 0})
