"""What a flow needs of a source: `ChangeReader`, and what goes to and fro with it.

Suite: `tests/contract/reader_suite.py`. A walk-through: `docs/add-a-reader.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cdc.changes import ChangeBatch, SourceTable, TableName

if TYPE_CHECKING:
    from cdc.postgres.sessions import Holder

Resume = Mapping[str, Any]
"""Where a reader continues; JSON types only, meaningful to the reader that made it."""

SourceKey = tuple[str | None, ...]
"""Canonical texts of a row's primary key columns, in the key's order."""

RereadValues = Mapping[tuple[int, SourceKey], Sequence[str | None]]
"""Canonical texts of the columns asked for, by position and key; rows that are gone are left out."""

StopAsked = Callable[[], bool]
"""True once the process was asked to end; polled at least twice a second."""


@dataclass(frozen=True)
class Finding:
    """One problem found by a preflight check, with the exact statement or setting that fixes it.

    `advice` is what data may flow without. `table` is the captured table that the finding is about alone:
    once it was read, such a finding stops that table and nothing else.
    """

    subject: str
    found: str
    expected: str
    fix: str = ""
    advice: bool = False
    table: TableName | None = None


@dataclass(frozen=True)
class ColumnsRead:
    """What the rules of one table read.

    `names`: every column a rule reads. `deciding`: those of them that decide which staged row, if any, a
    change belongs to; where one of them changes, the whole row may be new to staging. `key`: the columns
    that rules name as the table's key.
    """

    names: frozenset[str]
    deciding: frozenset[str]
    key: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ReaderOpening:
    """What a reader is opened with.

    Args:
        system: name of the system in the configuration.
        source: its section there.
        tables: what rules read.
        read: columns that rules read, by table.
        holder: the lease under which it reads; sessions of former holders are ended. None for a check.
    """

    system: str
    source: Any
    tables: Sequence[TableName]
    read: Mapping[TableName, ColumnsRead]
    holder: Holder | None = None


class ChangeReader(Protocol):
    """Reads the committed changes of one source in commit order.

    Delivery is at least once: after a restart, changes later than the last stored `resume` come
    again with the same position and ordinal, so staging them must be idempotent.
    One reader, one thread; every call may raise `TransientError` (reopen and call again) or
    `OperatorError` (stop).
    """

    system: str

    def preflight(self) -> list[Finding]:
        """Everything that would keep this reader from reading, all at once; read only."""

    def missing_log(self, resume: Resume) -> list[Finding]:
        """What reading on from `resume` needs and the source's log no longer has, as far as it is known."""

    def identity(self) -> Mapping[str, str]:
        """What the saved position is bound to (DBID and resetlogs; system identifier, timeline, slot)."""

    def describe(self) -> Mapping[TableName, SourceTable]:
        """The captured tables as the source describes them now, with large columns that no rule reads."""

    def estimates(self) -> Mapping[TableName, int]:
        """Rows by table by the source's own estimate, for progress; tables without one are left out."""

    def snapshot(self, *, max_rows: int, stop: StopAsked) -> Iterator[ChangeBatch]:
        """Read every captured table at one position, in batches of READ changes.

        The last batch's `resume` lets `read` continue without gap or copy. If the iteration is left
        early, nothing was promised: the next call starts a new snapshot at a newer position.
        `snapshot_done` names each table in the batch that completes it.
        """

    def read(self, resume: Resume, *, max_changes: int, stop: StopAsked) -> Iterator[ChangeBatch]:
        """Yield batches of whole transactions later than `resume`, each about `max_changes` rows.

        Yields at once what is there, and an empty batch when only the position moved (at most one a
        second). Ends when `stop()` is true, after the current batch.
        """

    def reread(
        self, table: SourceTable, columns: Sequence[str], rows: Mapping[int, Sequence[SourceKey]]
    ) -> RereadValues:
        """Read columns of rows again by key, for values that the log left out and staging does not have.

        Args:
            table: the table as its changes describe it.
            columns: names of columns that are not in the table's key.
            rows: keys by the position of the change without the value.

        Returns:
            The values as of the position, or newer: whatever made them newer comes along the stream.

        Raises:
            OperatorError: these rows cannot be read, for want of a right for example.
        """

    can_read_tables: bool
    """Whether `read_tables` can be called."""

    def read_tables(
        self, tables: Sequence[TableName], *, max_rows: int, stop: StopAsked
    ) -> Iterator[ChangeBatch | None]:
        """Read some tables as of a position of their own while `read` continues.

        From the call on `read` yields their changes, also of tables that were stopped; call it between two
        batches. Rows are READ changes at that position; a change in the stream with a later position wins
        over them, an earlier one does not. While it waits it yields None. `resume` of its batches is of no
        use. If the iteration is left early, call it again.
        """

    def acknowledge(self, resume: Resume) -> None:
        """Everything up to `resume` is durably staged: the source may discard older log."""

    def source_lag(self) -> Mapping[str, float | int]:
        """Distance to the source's end: `lag_bytes` or `lag_scn`, and what the source retains."""

    def close(self) -> None:
        """Release connections; safe to call twice."""
