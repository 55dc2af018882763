"""Sorts the stream into whole transactions, with bounded memory.

`TransactionBuffer.take` is the hot loop: it only tells row messages from the rest and keeps their
bytes; they are decoded later, a batch at a time (`tuples`). What is ready leaves as a `Portion`.

Positions. The position of a transaction is the LSN at which its commit record starts: Begin tells
it first, so it is known before a large transaction has arrived. The LSN to resume from is the end
of the commit record: START_REPLICATION sends each transaction whose commit record starts at or
after it. While idle everything before the server's `wal_end` is done, so the position is
`wal_end - 1` and the LSN to resume from is `wal_end`; a commit record that starts right there is
later than both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from cdc.positions import Lsn
from cdc.readers.pgoutput.wire import messages
from cdc.readers.pgoutput.wire.messages import Begin, Relation

Get = Callable[[int], tuple[int, Any]]
"""PGconn.get_copy_data: (size, memoryview); size 0 means nothing there now, -1 the end."""


OID = slice(messages.HEADER_BYTES + 1, messages.HEADER_BYTES + 5)
"""Where a row message names its relation."""


class Taken(Enum):
    """Why `take` returned."""

    DRY = auto()  # nothing more can be read without waiting
    FULL = auto()  # the bound on rows or bytes is reached
    RELATION = auto()  # a table changes here: `TransactionBuffer.relation` holds the new description
    ENDED = auto()  # the server ended the stream


@dataclass
class Transaction:
    """A transaction, or the part of it that is in a portion."""

    begin: Begin
    ours: bool = False
    first_ordinal: int = 0
    rows: int = 0


@dataclass(frozen=True)
class Portion:
    """Row messages of whole transactions, or a slice of one.

    Args:
        messages: row messages in stream order, `sum(t.rows for t in transactions)` of them.
        transactions: their transactions in commit order.
        position: commit position of the last transaction.
        resume: LSN from which everything after this portion comes again; for a slice the one
            before its transaction.
        continues: the transaction continues in the next portion.
        ends_slices: the last portion of a transaction that came in slices.
    """

    messages: list[bytes]
    transactions: list[Transaction]
    position: Lsn
    resume: Lsn
    continues: bool = False
    ends_slices: bool = False


class TransactionBuffer:
    """What has been read and not yet handed on.

    Args:
        start: LSN the stream starts from.
        origin: replication origin of our own writes.
        max_rows: rows after which `take` returns FULL.
        max_bytes: the same for the size of the messages.
        known: table descriptions in force.
    """

    def __init__(
        self, start: Lsn, *, origin: str, max_rows: int, max_bytes: int, known: dict[int, Relation]
    ) -> None:
        self.resume = start
        self.wal_end = start
        self.reply_requested = False
        self.relation: Relation | None = None
        self._origin = origin
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._known = known
        self._rows: list[bytes] = []
        self._bytes = 0
        self._done: list[Transaction] = []
        self._done_rows = 0
        self._done_end = start
        self._open: Transaction | None = None
        self._sliced = False

    def take(self, get: Get) -> Taken:
        """Read messages until one of the reasons in `Taken`.

        Args:
            get: gives the next message without waiting; replaced in tests.
        """
        rows, append = self._rows, self._rows.append
        kinds, wal_data = messages.ROW_KINDS, messages.WAL_DATA
        room, held = self._max_rows - len(rows), self._bytes
        while True:
            size, view = get(1)
            if size <= 0:
                self._bytes = held
                return Taken.DRY if size == 0 else Taken.ENDED
            raw = bytes(view)
            if raw[0] == wal_data and raw[25] in kinds:
                append(raw)
                room -= 1
                held += size
                if room > 0 and held < self._max_bytes:
                    continue
                self._bytes = held
                return Taken.FULL
            if self._other(raw):
                self._bytes = held
                return Taken.RELATION
            if len(rows) >= self._max_rows:  # a truncate can add several rows
                self._bytes = held
                return Taken.FULL

    def portions(self, taken: Taken) -> Iterator[Portion]:
        """What has to leave now that `take` has returned.

        The complete transactions leave; a slice of the open one only if they are not enough to get
        below the bounds, or if rows under the old description of a changed table are among it.
        """
        if taken is Taken.RELATION and not self._needs_cut():
            return
        full = taken is Taken.FULL and not self._done
        if self._done:
            yield self._whole()
        if self._rows and (full or (taken is Taken.RELATION and self._needs_cut())):
            yield self._slice()

    def settle(self) -> Lsn:
        """The LSN to resume from, moved up to the server's end of WAL when nothing is pending."""
        if self._open is None and not self._done:
            self.resume = max(self.resume, self.wal_end)
        return self.resume

    @property
    def position(self) -> Lsn:
        """Commit position of the transaction that is being taken in."""
        return self._open.begin.commit_lsn if self._open is not None else self.resume

    def adopt(self) -> None:
        """Take the new description of the table as the one in force."""
        changed, self.relation = self.relation, None
        if changed is not None:
            for former in [oid for oid, relation in self._known.items() if relation.name == changed.name]:
                del self._known[former]
            self._known[changed.oid] = changed

    def _needs_cut(self) -> bool:
        """Whether rows under the old description of the changed table are still in here."""
        new = self.relation
        if new is None:
            return False
        same = [oid for oid, old in self._known.items() if oid == new.oid or old.name == new.name]
        oids = {oid.to_bytes(4) for oid in same}
        return any(raw[OID] in oids for raw in self._rows)

    def _whole(self) -> Portion:
        rows, self._rows = self._rows[: self._done_rows], self._rows[self._done_rows :]
        done, self._done, self._done_rows = self._done, [], 0
        self._bytes = sum(map(len, self._rows))
        self.resume = self._done_end
        ends_slices, self._sliced = self._sliced, False
        return Portion(rows, done, done[-1].begin.commit_lsn, self.resume, ends_slices=ends_slices)

    def _slice(self) -> Portion:
        opened = self._open
        if opened is None:
            raise AssertionError("rows outside a transaction")
        rows, self._rows, self._bytes = self._rows, [], 0
        part = Transaction(opened.begin, opened.ours, opened.first_ordinal, len(rows))
        opened.first_ordinal += len(rows)
        self._sliced = True
        return Portion(rows, [part], opened.begin.commit_lsn, self.resume, continues=True)

    def _other(self, raw: bytes) -> bool:
        """Handle a message that is not a row; True if the caller must adopt a changed table first."""
        if raw[0] == messages.KEEPALIVE:
            wal_end, reply_requested = messages.read_keepalive(raw)
            self.wal_end = max(self.wal_end, wal_end)
            self.reply_requested = self.reply_requested or reply_requested
            return False
        kind = raw[messages.HEADER_BYTES] if raw[0] == messages.WAL_DATA else 0
        if kind == messages.BEGIN:
            self._open = Transaction(messages.read_begin(raw))
        elif kind == messages.COMMIT:
            self._commit(messages.read_commit_end(raw))
        elif kind == messages.ORIGIN and self._open is not None:
            self._open.ours = messages.read_origin(raw) == self._origin
        elif kind == messages.RELATION:
            relation = messages.read_relation(raw)
            if self._known.get(relation.oid) != relation:
                self.relation = relation
                return True
        elif kind == messages.TRUNCATE:
            self._rows += [messages.truncate_row(oid) for oid in messages.read_truncated(raw)]
        return False

    def _commit(self, end: Lsn) -> None:
        if self._open is not None:
            self._open.rows = len(self._rows) - self._done_rows
            self._done.append(self._open)
        self._open = None
        self._done_rows = len(self._rows)
        self._done_end = end
        self.wal_end = max(self.wal_end, end)
