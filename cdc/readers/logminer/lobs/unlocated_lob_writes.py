"""Writes to LOBs without a locator: which column of which row they belong to, by elimination.

An out-of-row BASICFILE LOB is written before the row that owns it, and nothing names either. If one column
of one row of the transaction can be meant, it is that one; if more can, none is guessed: all are read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import structlog

from cdc.changes import SourceColumn, SourceType, TableName
from cdc.readers.logminer.lobs.large_values import FETCH, Fetch, LargeRow
from cdc.readers.logminer.lobs.lobs import LobValue
from cdc.readers.logminer.redo_sql.blocks import LobText
from cdc.readers.logminer.redo_sql.redo_values import RedoSyntaxError
from cdc.readers.logminer.redo_sql.row_images import ImageReader
from cdc.readers.logminer.transactions.undo import Kept

MAX_HELD = 10_000
"""Rows held back until it is known which of them writes belong to; then all that can be are read again."""

log = structlog.get_logger(__name__)


@dataclass
class _Loose:
    """Writes before some rows, and the rows and columns that they can belong to."""

    writes: list[LobText | None] = field(default_factory=list)
    owners: list[tuple[int, tuple[SourceColumn, ...]]] = field(default_factory=list)


class UnlocatedLobWrites:
    """Holds rows back while writes wait for their owner.

    Args:
        system: name of the source, for the log.
        readers: know which columns of each table are captured; the others may be meant, but get nothing.
        from_redo: columns whose values come from the redo where it tells them.
        unplaced: called for each table of which a row was changed and nothing says which.
    """

    def __init__(
        self,
        system: str,
        readers: Mapping[TableName, ImageReader],
        from_redo: Mapping[TableName, frozenset[str]],
        unplaced: Callable[[TableName], None],
    ) -> None:
        self._system, self._readers, self._from_redo = system, readers, from_redo
        self._unplaced = unplaced
        self._waiting: dict[TableName, _Loose] = {}
        self._held: list[Kept] = []

    def waits_for(self, table: TableName) -> bool:
        """Are there writes without an owner?"""
        return table in self._waiting

    def write(self, table: TableName, lob: LobText | None) -> None:
        """Take a write; None for one that cannot be read."""
        loose = self._waiting.get(table)
        if loose is not None and loose.owners:  # those before belong to a row that has passed
            self._settle(table)
            loose = None
        if loose is None:
            loose = self._waiting[table] = _Loose()
        loose.writes.append(lob)

    def give(self, kept: Kept, columns: tuple[SourceColumn, ...] = ()) -> Iterable[Kept]:
        """Take the next data row and its columns that loose writes may be meant for; yield what is clear."""
        return self._hold(kept, columns) if self._waiting else (kept,)  # then none is held back

    def _hold(self, kept: Kept, columns: tuple[SourceColumn, ...]) -> Iterator[Kept]:
        loose = self._waiting.get(kept[0])
        if loose is not None and columns:
            binary = any(write is not None and write.binary for write in loose.writes)
            fitting = tuple(one for one in columns if (one.type is SourceType.BINARY) == binary)
            if fitting:
                loose.owners.append((len(self._held), fitting))
        self._held.append(kept)
        if len(self._held) > MAX_HELD:
            yield from self.end()

    def end(self) -> Iterator[Kept]:
        """The transaction ends here: everything that was held back."""
        for table in list(self._waiting):
            self._settle(table)
        held, self._held = self._held, []
        yield from held

    def _settle(self, table: TableName) -> None:
        loose = self._waiting.pop(table)
        if not loose.owners:
            log.warning("lob_writes_unplaced", system=self._system, table=str(table), rows=len(loose.writes))
            self._unplaced(table)
            return
        certain = len(loose.owners) == 1 and len(loose.owners[0][1]) == 1 and _is_one(loose.writes)
        from_redo, captured = self._from_redo.get(table, frozenset()), self._readers[table].table
        for place, columns in loose.owners:
            parts = {
                one.name: _value(one, loose.writes) if certain and one.name in from_redo else FETCH
                for one in columns
                if captured.column(one.name) is not None
            }
            if not parts:
                continue
            row = self._held[place][1]
            if isinstance(row, LargeRow):
                parts = {**row.parts, **parts}
            self._held[place] = table, LargeRow.of(row, parts)


def _is_one(writes: list[LobText | None]) -> bool:
    """Do the writes make one value? A second one would begin at its start again."""
    starts = [write.offset for lob in writes if lob is not None for write in lob.writes]
    return None not in writes and starts.count(1) == 1 and starts[0] == 1


def _value(column: SourceColumn, writes: list[LobText | None]) -> str | Fetch | None:
    """The statement's own new value."""
    value = LobValue("", binary=column.type is SourceType.BINARY)
    try:
        for lob in writes:
            if lob is not None:
                value.apply(lob)
        return value.value or None
    except RedoSyntaxError:
        return FETCH
