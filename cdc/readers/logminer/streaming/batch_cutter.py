"""Committed transactions on their way into batches, cut between commit SCNs only.

All transactions that share a commit SCN are in one batch, so a position is never half read, and a restart
drops whole commit SCNs: nothing is ever counted. They are put in order by their COMMIT's place in the redo
and their ids, and each has a range of ordinals of its own, so what LogMiner shows of one, and between which
others, does not change the places of another. A very large transaction comes in slices; their `resume`
still leads to its start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from cdc.changes import ChangeBatch, TableChanges, TableName
from cdc.errors import OperatorError, RedoUnreadable
from cdc.positions import Scn
from cdc.readers.logminer.lobs.large_rows import LargeRows, text_size
from cdc.readers.logminer.streaming.batches import BatchMaker, Slice
from cdc.readers.logminer.transactions.assembly import Assembly
from cdc.readers.logminer.transactions.events import Committed
from cdc.readers.logminer.transactions.transaction import Transaction
from cdc.readers.logminer.transactions.undo import Kept

Checkpoint = Callable[[Sequence[Transaction], int, bool], dict[str, Any]]
HandedOut = Callable[[Committed], None]

ORDINALS = 2**32
"""Of one transaction: the first at a commit SCN counts from 0, the next one from here."""

MAX_TEXT_CHARACTERS = 8 * 2**20
"""SQL_REDO texts of one batch: wide rows make smaller batches than `max_changes` says.

On its way into staging a text takes some thirty times its size: cut, as columns, as before and after
images, as JSON.
"""


class BatchCutter:
    """Collects committed transactions and makes batches of them.

    Args:
        system: name of the source.
        maker: makes the frames.
        assembly: knows the open transactions.
        checkpoint: makes the resume of a batch from the open transactions, its position, and whether all
            rows until there and none later were read.
        stopped: tables that are no longer read.
        outdated: tables whose older rows have values that no redo brings.
        committed: commit SCN up to which all was read before; older transactions are dropped.
        max_changes: changes in one batch, about.
        resume: where reading began.
        large: joins LOB rows to the rows they belong to; None where no rule reads a large column.
        handed_out: called for each transaction whose rows are not read again.

    Attributes:
        begun: SCN up to which all was handed out before reading began.
    """

    def __init__(
        self,
        system: str,
        maker: BatchMaker,
        assembly: Assembly,
        checkpoint: Checkpoint,
        stopped: Mapping[TableName, OperatorError],
        committed: int,
        max_changes: int,
        resume: dict[str, Any],
        large: LargeRows | None = None,
        outdated: Mapping[TableName, OperatorError] = MappingProxyType({}),
        handed_out: HandedOut = lambda transaction: None,
    ) -> None:
        self._system, self._maker, self._assembly = system, maker, assembly
        self._checkpoint, self._stopped, self._outdated = checkpoint, stopped, outdated
        self.begun = self._committed = committed
        self._max_changes, self._resume = max_changes, resume
        self._large, self._handed_out = large, handed_out
        self._same: list[Committed] = []
        self._slices: list[Slice] = []
        self._rows = self._ordinal = self._characters = 0
        self._scn = 0

    @property
    def waiting(self) -> bool:
        """True while there is something to flush."""
        return bool(self._slices or self._same)

    def take(self, transaction: Committed) -> Iterator[ChangeBatch]:
        """Take a transaction, which waits for others of its commit SCN; yield what is full before it.

        Raises:
            RedoUnreadable: it committed before one that was taken already, and would be lost.
        """
        if transaction.scn <= self.begun:
            self._handed_out(transaction)
            return
        last = self._same[0].scn if self._same else self._scn
        if transaction.scn < last or transaction.scn <= self._committed:
            raise RedoUnreadable(
                f"{self._system}: transaction {transaction.name} committed at SCN {transaction.scn} comes "
                f"after one of SCN {max(last, self._committed)}",
                hint="start again: the redo since the last checkpoint is then read once more",
            )
        yield from self.passed(transaction.scn, held=(transaction,))
        self._same.append(transaction)

    def passed(self, scn: int, *, held: Sequence[Committed] = ()) -> Iterator[ChangeBatch]:
        """No more comes from before `scn`: put what waited into batches, yield those that are full.

        `held` are transactions that are out of the assembly and not yet taken.
        """
        if not self._same or self._same[0].scn >= scn:
            return
        full = self._rows + sum(len(one.rows) for one in self._same) > self._max_changes
        if self._rows and (full or self._characters > MAX_TEXT_CHARACTERS):
            yield self._flush(self._scn, all_read=False, held=held)
        same, self._same = sorted(self._same, key=_redo_place), []
        self._scn = same[0].scn
        for number, transaction in enumerate(same):
            self._ordinal = number * ORDINALS
            yield from self._put(transaction)
            self._handed_out(transaction)

    def flush(self, position: int) -> Iterator[ChangeBatch]:
        """Everything up to `position`, the end of a window, as batches; the last one may be empty."""
        yield from self.passed(position + 1)
        yield self._flush(position, all_read=True)

    def cut(self, scn: int) -> Iterator[ChangeBatch]:
        """Hand out what was committed before `scn`, in the middle of a window: a table changes there."""
        yield from self.passed(scn)
        if self._slices and self._scn < scn:  # else more may follow at the same SCN
            yield self._flush(self._scn, all_read=False)

    def _put(self, transaction: Committed) -> Iterator[ChangeBatch]:
        """Put a transaction into the batch; yield slices of it if it is very large."""
        waiting: Sequence[Kept] = ()
        size = 0
        rows = transaction.rows if self._large is None else self._large.rows(transaction)
        for part, characters in _parts(rows, self._max_changes, self._size):
            if waiting:
                self._add(transaction, waiting, size)
                yield self._batch(transaction.scn, self._tables(), continues=True)
            waiting, size = part, characters
        self._add(transaction, waiting, size)

    def _flush(self, position: int, *, all_read: bool, held: Sequence[Committed] = ()) -> ChangeBatch:
        """`held` are transactions out of the assembly that are neither in a batch nor waiting."""
        out = (one.transaction for one in (*self._same, *held))
        open_then = [*self._assembly.open, *(one for one in out if one is not None)]
        tables = self._tables()  # a table may stop here, which the checkpoint must tell
        # while redo is read again, what was handed out stays so
        self._committed = max(position, self.begun)
        self._resume = {**self._checkpoint(open_then, position, all_read), "committed": self._committed}
        return self._batch(self._committed, tables, continues=False)

    def _add(self, transaction: Committed, rows: Sequence[Kept], characters: int) -> None:
        self._slices.append(Slice(transaction, rows, self._ordinal))
        self._ordinal += len(rows)
        self._rows += len(rows)
        self._characters += characters

    @property
    def _size(self) -> Callable[[Kept], int]:
        """What a row adds to a batch, in characters."""
        return self._large.size if self._large is not None and self._large.is_needed else text_size

    def _tables(self) -> dict[TableName, TableChanges]:
        tables = self._maker.tables(self._slices)
        self._slices, self._rows, self._characters = [], 0, 0
        return tables

    def _batch(self, position: int, tables: dict[TableName, TableChanges], *, continues: bool) -> ChangeBatch:
        return ChangeBatch(
            self._system,
            Scn(position),
            tables,
            self._resume,
            continues=continues,
            stopped=dict(self._stopped),
            outdated=dict(self._outdated),
        )


def _redo_place(transaction: Committed) -> tuple[str, str]:
    """The order of transactions that share a commit SCN: in one thread that of the redo, else any.

    None of them has seen the work of one in another thread, whose block would have brought its SCN along.
    """
    return transaction.rs_id, transaction.xid


def _parts(
    rows: Iterable[Kept], max_rows: int, size: Callable[[Kept], int]
) -> Iterator[tuple[Sequence[Kept], int]]:
    """Cut a transaction by rows and by the size of their texts, which is given with each part.

    It may be on disk, so it is read once.
    """
    part: list[Kept] = []
    characters = 0
    for kept in rows:
        part.append(kept)
        characters += size(kept)
        if len(part) >= max_rows or characters >= MAX_TEXT_CHARACTERS:
            yield part, characters
            part, characters = [], 0
    if part:
        yield part, characters
