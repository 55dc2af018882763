"""The one place where data changes: SCNs, row locks, transactions, redo, under one lock.

The lock is never held while a client reads: readers take the list of newest versions and go through
it at their own pace, by SCN.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable

from sandbox.oracle.engine.store.journal import MORE_SCNS, Journal, LobChange, Operation, Record
from sandbox.oracle.engine.store.tables import KeyIndex, Shape, Table, Version
from sandbox.oracle.engine.store.transactions import OPEN, Transaction
from sandbox.oracle.interface import OracleFault, Row

CheckCancel = Callable[[], None]
WAIT_SLICE_S = 0.05


def within(seconds: str | float, check: CheckCancel) -> CheckCancel:
    """A check that gives up after some seconds (ORA-30006); '' for never."""
    if seconds == "":
        return check
    end = time.monotonic() + float(seconds)

    def checked() -> None:
        check()
        if time.monotonic() >= end:
            raise OracleFault(30006, "resource busy; acquire with WAIT timeout expired")

    return checked


def snapshot_too_old() -> OracleFault:
    """What a reader gets whose snapshot is older than the undo kept."""
    return OracleFault(1555, 'snapshot too old: rollback segment number 7 with name "_SYSSMU7$" too small')


class Restart(Exception):
    """A row changed between the statement's snapshot and its turn: run the statement again."""


class Entered:
    """Holds a lock in a `with` block; whoever waits for it looks now and then whether to give up."""

    __slots__ = ("_check", "_lock")

    def __init__(self, lock: threading.RLock, check: CheckCancel) -> None:
        self._lock, self._check = lock, check

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            while not self._lock.acquire(timeout=WAIT_SLICE_S):
                self._check()

    def __exit__(self, *details: object) -> None:
        self._lock.release()


class Storage:
    """Tables' rows and the redo journal."""

    def __init__(self, *, clock: Callable[[], float], first_scn: int, records_per_log: int) -> None:
        self.clock = clock
        self.scn = first_scn
        self.lock = threading.RLock()
        self.ended = threading.Condition(self.lock)
        self.journal = Journal(first_scn, clock, records_per_log=records_per_log)
        self.tables: dict[int, Table] = {}
        self.open_transactions: list[Transaction] = []
        self.shared_commits = 0
        self.late_commits = False
        self._numbers: Counter[int] = Counter()

    def entered(self, check: CheckCancel) -> Entered:
        """The lock, for work that its client may give up while another session holds it."""
        return Entered(self.lock, check)

    def next_scn(self) -> int:
        """Raise the SCN."""
        with self.lock:
            self.scn += 1
            self.journal.mark(self.scn)
            return self.scn

    def begin(self, transaction: Transaction) -> None:
        """Give a transaction its XID and write its START record."""
        transaction.start_scn = self.next_scn()
        transaction.started_at = self.clock()
        self.open_transactions.append(transaction)
        self.journal.append(Record(transaction.start_scn, transaction, Operation.START))

    def new_transaction(self, user: str, session_id: int, serial: int, container: int) -> Transaction:
        """A transaction that has not begun; each container has undo, and so XIDs, of its own."""
        with self.lock:
            self._numbers[container] += 1
            return Transaction(self._numbers[container], user, session_id, serial, container=container)

    def insert(self, transaction: Transaction, table: Table, row: Row, check: CheckCancel) -> int:
        """Insert a row; waits for another transaction that holds the same unique key.

        Raises:
            OracleFault: ORA-00001 with the constraint's name.
        """
        number = table.next_row
        table.next_row = number + 1
        for index in table.indexes:
            key = index.key(row)
            if index.unique and index.find(key) and not index.is_null(key):
                fault = self._conflict(transaction, table, index, row, -1, check)
                if fault:
                    # the table's block was written before the index found out, as in Oracle
                    self._log(transaction, Operation.INSERT, table.shape, number, None, row)
                    self._log(transaction, Operation.DELETE, table.shape, number, row, None, undo=True)
                    transaction.changes.pop()
                    transaction.changes.pop()
                    raise fault
        table.rows[number] = Version(transaction, row, None)
        for index in table.indexes:
            key = index.key(row)
            if not index.is_null(key):
                index.add(key, number)
        self._log(transaction, Operation.INSERT, table.shape, number, None, row)
        return number

    def update(
        self, transaction: Transaction, table: Table, number: int, row: Row, *, lob: LobChange | None = None
    ) -> bool:
        """Replace a row that this transaction has locked; `lob` if only a LOB outside of it changed.

        Returns:
            True when a unique key changed: `check_keys` must follow at the end of the statement, so
            that keys may change places within it.
        """
        moved = False
        head = table.rows[number]
        before = head.cells
        for index in table.indexes:
            key = index.key(row)
            if before is not None and index.key(before) == key:
                continue
            moved = moved or index.unique
            if not index.is_null(key):
                index.add(key, number)
        table.rows[number] = Version(transaction, row, head)
        self._log(transaction, Operation.UPDATE, table.shape, number, before, row, lob=lob)
        return moved

    def check_keys(
        self, transaction: Transaction, table: Table, numbers: Iterable[int], check: CheckCancel
    ) -> None:
        """See that the unique keys of changed rows are theirs alone.

        Raises:
            OracleFault: ORA-00001.
        """
        for number in numbers:
            row = table.rows[number].cells
            if row is None:
                continue
            for index in table.indexes:
                if index.unique and not index.is_null(index.key(row)):
                    fault = self._conflict(transaction, table, index, row, number, check)
                    if fault:
                        raise fault

    def delete(self, transaction: Transaction, table: Table, number: int) -> None:
        """Delete a row that this transaction has locked."""
        head = table.rows[number]
        table.rows[number] = Version(transaction, None, head)
        self._log(transaction, Operation.DELETE, table.shape, number, head.cells, None)

    def _conflict(
        self,
        transaction: Transaction,
        table: Table,
        index: KeyIndex,
        row: Row,
        own: int,
        check: CheckCancel,
    ) -> OracleFault | None:
        key = index.key(row)
        for number in list(index.find(key)):
            if number == own:
                continue
            while True:
                head = table.rows.get(number)
                if head is None:
                    break
                other = head.transaction
                if other is not transaction and other.is_open:
                    held = head.cells if head.cells is not None else (head.previous and head.previous.cells)
                    if held and index.key(held) == key:
                        self.wait(transaction, other, check)
                        continue
                if head.cells is not None and index.key(head.cells) == key:
                    name = f"{index.owner}.{index.name}"
                    return OracleFault(1, f"unique constraint ({name}) violated")
                break
        return None

    def lock_row(
        self,
        transaction: Transaction,
        table: Table,
        number: int,
        snapshot: int,
        check: CheckCancel,
        *,
        no_wait: bool = False,
    ) -> Row | None:
        """Lock a row and return it as it is now; None when it is gone.

        Raises:
            Restart: somebody committed a change of it after the snapshot.
            OracleFault: ORA-00054 when it may not wait, ORA-00060 in a deadlock.
        """
        while True:
            head = table.rows.get(number)
            if head is None:
                return None
            holder = table.locks.get(number)
            other = head.transaction if head.transaction.is_open else holder
            if other is None or other is transaction or not other.is_open:
                break
            if no_wait:
                raise OracleFault(54, "resource busy and acquire with NOWAIT specified or timeout expired")
            self.wait(transaction, other, check)
        if head.transaction is not transaction and head.transaction.scn > snapshot:
            raise Restart
        if table.locks.get(number) is not transaction:
            table.locks[number] = transaction
            transaction.locked.append((table, number))
        return head.cells

    def wait(self, transaction: Transaction, other: Transaction, check: CheckCancel) -> None:
        """Wait until another transaction ends; the storage is free meanwhile.

        Raises:
            OracleFault: ORA-00060 when the other one waits for us.
        """
        blocker: Transaction | None = other
        while blocker is not None:
            if blocker is transaction:
                raise OracleFault(60, "deadlock detected while waiting for resource")
            blocker = blocker.waits_for
        transaction.waits_for = other
        try:
            while other.is_open:
                self.ended.wait(WAIT_SLICE_S)
                check()
        finally:
            transaction.waits_for = None

    def _log(
        self,
        transaction: Transaction,
        operation: Operation,
        shape: Shape,
        number: int,
        before: Row | None,
        after: Row | None,
        *,
        undo: bool = False,
        lob: LobChange | None = None,
    ) -> None:
        first = self.scn + 1
        self.scn = first if undo else first + _more_scns(shape, before, after, lob)
        if shape.temporary:
            undo_only = Record(self.scn, transaction, operation, shape, number, before, after, undo=undo)
            transaction.changes.append(undo_only)
            return
        record = Record(
            self.scn,
            transaction,
            operation,
            shape,
            number,
            before,
            after,
            undo=undo,
            lob=lob,
            first_scn=first,
        )
        self.journal.append(record)
        transaction.changes.append(record)

    def undo_to(self, transaction: Transaction, mark: int) -> None:
        """Undo the changes behind a mark, newest first, with a compensation record for each."""
        with self.lock:
            while len(transaction.changes) > mark:
                record = transaction.changes.pop()
                shape = record.shape
                if shape is None:
                    continue
                table = self.tables[shape.object_id]
                head = table.rows.get(record.row)
                if head is not None and head.transaction is transaction:
                    if head.previous is None:
                        del table.rows[record.row]
                    else:
                        table.rows[record.row] = head.previous
                inverse = _INVERSE[record.operation]
                images = record.after, record.before
                self._log(transaction, inverse, shape, record.row, *images, undo=True, lob=record.lob)
                transaction.changes.pop()

    def commit(self, transaction: Transaction) -> int:
        """Commit: one new SCN, from which on everything is visible."""
        with self.lock:
            scn = self._commit_scn()
            logged = scn - 1 if self.late_commits else scn
            transaction.scn = transaction.end_scn = scn
            self.journal.append(Record(logged, transaction, Operation.COMMIT))
            self._end(transaction)
            return scn

    def _commit_scn(self) -> int:
        """The next SCN, or that of the commit just before, as asked for and while nobody has seen it."""
        last = self.journal.records[-1]
        if self.shared_commits and last.operation is Operation.COMMIT and last.scn == self.scn:
            self.shared_commits -= 1
            return self.scn
        return self.next_scn()

    def rollback(self, transaction: Transaction) -> None:
        """Undo everything and write the ROLLBACK record."""
        with self.lock:
            self.undo_to(transaction, 0)
            transaction.end_scn = self.next_scn()
            self.journal.append(Record(transaction.end_scn, transaction, Operation.ROLLBACK))
            self._end(transaction)

    def _end(self, transaction: Transaction) -> None:
        transaction.is_open = False
        transaction.is_empty = not transaction.changes
        transaction.changes = []
        transaction.savepoints = {}
        for table, number in transaction.locked:
            table.locks.pop(number, None)
        transaction.locked = []
        if transaction in self.open_transactions:
            self.open_transactions.remove(transaction)
        self.ended.notify_all()

    def snapshot(self, table: Table) -> list[Version]:
        """Newest versions of all rows, in row order of insertion."""
        with self.lock:
            return list(table.rows.values())

    def numbered_snapshot(self, table: Table) -> list[tuple[int, Version]]:
        """The same with row numbers."""
        with self.lock:
            return list(table.rows.items())


def _more_scns(shape: Shape, before: Row | None, after: Row | None, lob: LobChange | None) -> int:
    """SCNs that a change takes besides its first: large values have redo records of their own."""
    if after is None or not shape.large:
        return 0
    changed = lob is not None or before is None or any(before[at] != after[at] for at in shape.large)
    return MORE_SCNS if changed else 0


_INVERSE = {
    Operation.INSERT: Operation.DELETE,
    Operation.DELETE: Operation.INSERT,
    Operation.UPDATE: Operation.UPDATE,
}
__all__ = ["OPEN", "Restart", "Storage"]
