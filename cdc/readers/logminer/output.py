"""Committed transactions on their way into batches, cut between commit SCNs only.

All transactions that share a commit SCN are in one batch, so a position is never half read. A very
large transaction comes in slices; their `resume` still leads to its start. Read next:
`cdc.readers.logminer.batches`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from cdc.changes import ChangeBatch, TableName
from cdc.positions import Scn
from cdc.readers.logminer.assembly import Assembly, Committed
from cdc.readers.logminer.batches import BatchMaker, Slice
from cdc.readers.logminer.rows import LogRow


class Output:
    """Collects committed transactions and makes batches of them.

    Args:
        system: name of the source.
        maker: makes the frames.
        assembly: knows how far back the open transactions reach.
        committed: commit SCN up to which all was read before; older transactions are dropped.
        max_changes: changes in one batch, about.
        resume: where reading began.
    """

    def __init__(
        self,
        system: str,
        maker: BatchMaker,
        assembly: Assembly,
        committed: int,
        max_changes: int,
        resume: dict[str, Any],
    ) -> None:
        self._system, self._maker, self._assembly = system, maker, assembly
        self._committed, self._max_changes, self._resume = committed, max_changes, resume
        self._slices: list[Slice] = []
        self._rows = self._ordinal = 0
        self._scn = 0

    @property
    def waiting(self) -> bool:
        """True while there is something to flush."""
        return bool(self._slices)

    def take(self, transaction: Committed, utc_offset: timedelta) -> Iterator[ChangeBatch]:
        """Take a transaction; yield what is full before it, and its slices if it is very large."""
        if transaction.scn <= self._committed:
            return
        if transaction.scn != self._scn:
            if self._rows and self._rows + len(transaction.rows) > self._max_changes:
                yield self.flush(self._scn, utc_offset, held=transaction)
            self._scn, self._ordinal = transaction.scn, 0
        rows = transaction.rows
        at = 0
        while len(rows) - at > self._max_changes:
            self._add(transaction, rows[at : at + self._max_changes])
            at += self._max_changes
            yield self._batch(transaction.scn, utc_offset, continues=True)
        self._add(transaction, rows[at:])

    def flush(self, position: int, utc_offset: timedelta, held: Committed | None = None) -> ChangeBatch:
        """Everything up to `position` as a batch; without rows it only moves the position.

        `held` is a transaction that is out of the assembly and not yet in a batch.
        """
        read_from = self._assembly.low_watermark(position)
        if held is not None:
            read_from = min(read_from, held.start_scn - 1)
        self._resume = {"read_from": read_from, "committed": position}
        self._committed = position
        return self._batch(position, utc_offset, continues=False)

    def _add(self, transaction: Committed, rows: Sequence[tuple[TableName, LogRow]]) -> None:
        self._slices.append(Slice(transaction, rows, self._ordinal))
        self._ordinal += len(rows)
        self._rows += len(rows)

    def _batch(self, position: int, utc_offset: timedelta, *, continues: bool) -> ChangeBatch:
        tables = self._maker.tables(self._slices, utc_offset)
        self._slices, self._rows = [], 0
        return ChangeBatch(self._system, Scn(position), tables, self._resume, continues=continues)
