"""Large columns of changes: which values the redo holds, which are read again by key.

An update that does not name a large column left it as it was: it stays absent. A value that was put
together from the redo is taken for columns the site chose; what else an insert or update names, or LOB
rows write to, is read again by key. So is every large column where a deciding column changed: the row may
be new to its staged entity, which then has no earlier value to keep.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from operator import attrgetter

import polars as pl

from cdc.changes import AFTER, BEFORE, SourceColumn, TableChanges, TableName
from cdc.config import OracleSystem
from cdc.ports import ColumnsRead
from cdc.readers.logminer.lobs.reselect import Found, Key, Reselect
from cdc.readers.logminer.mining.rows import LogRow
from cdc.readers.logminer.redo_sql.canonical_columns import has_unreadable
from cdc.readers.logminer.redo_sql.values import EMPTY_LOB, UNKNOWN_LOB, canonical, marked


class Fetch(Enum):
    """A value that the redo does not hold: it is read again."""

    FETCH = "fetch"


FETCH = Fetch.FETCH
_SIDES = (BEFORE, AFTER)
Parts = Mapping[str, str | Fetch | None]


class Synthetic(Enum):
    """Is a row in the redo, or made up because LOB rows alone changed the table's row?

    Its other columns are those of the locator; but if work of its transaction was undone, the locator may
    speak of that work, and the whole row is read again.
    """

    NO = "no"
    FROM_LOCATOR = "from locator"
    FROM_SOURCE = "from source"


@dataclass(slots=True)
class LargeRow(LogRow):
    """A data row with what LOB rows say about it.

    `parts`: texts of its large columns, None where empty.
    """

    parts: Parts = field(default_factory=dict)
    made_up: Synthetic = Synthetic.NO

    @classmethod
    def of(cls, row: LogRow, parts: Parts, made_up: Synthetic = Synthetic.NO) -> LargeRow:
        """The row with its parts."""
        made = cls(*_of_view(row))
        made.parts, made.made_up = parts, made_up
        return made


def from_redo(settings: OracleSystem) -> Mapping[TableName, frozenset[str]]:
    """Columns by table whose values the site wants from the redo."""
    named: dict[TableName, frozenset[str]] = {}
    for text in settings.lobs_from_redo:
        *owner, table, column = text.split(".")
        name = TableName(owner[0] if owner else settings.owner, table)
        named[name] = named.get(name, frozenset()) | {column}
    return named


_of_view = attrgetter(*(one.name for one in fields(LogRow)))


class LargeValues:
    """Fills large columns into the changes of a table.

    Args:
        reselect: reads values by key.
        from_redo: columns by table whose values come from the redo where it holds them.
        read: what rules read of each table.
    """

    def __init__(
        self,
        reselect: Reselect,
        from_redo: Mapping[TableName, frozenset[str]],
        read: Mapping[TableName, ColumnsRead],
    ) -> None:
        self._reselect, self.from_redo, self._read = reselect, from_redo, read

    @property
    def digest(self) -> str:
        """Which columns LOB rows are kept of: rows kept for other ones do not have these."""
        kept = [(str(name), sorted(one.names)) for name, one in sorted(self._read.items())]
        taken = [(str(name), sorted(columns)) for name, columns in sorted(self.from_redo.items())]
        return f"{zlib.crc32(repr((kept, taken)).encode()):08x}"

    def fill(self, changes: TableChanges, rows: Sequence[LogRow]) -> TableChanges:
        """The changes with their large columns known, or absent.

        Args:
            changes: of one table; large columns hold texts, `EMPTY_LOB` or `UNKNOWN_LOB`.
            rows: the rows behind them.

        Raises:
            TransientError, OperatorError: values could not be read again.
        """
        large = [column for column in changes.table.columns if column.large]
        if not large or not changes.frame.height:
            return changes
        changes = self._renewed(changes, rows)
        columns = _LargeColumns(changes, large, self.from_redo.get(changes.table.name, frozenset()))
        read = self._read.get(changes.table.name)
        columns.renew(read.deciding if read else frozenset())
        columns.take_parts(rows)
        columns.take(self._reselect.values(changes.table, large, columns.to_read_again()))
        return columns.changes(rows)

    def _renewed(self, changes: TableChanges, rows: Sequence[LogRow]) -> TableChanges:
        """The other columns of rows made up where work was undone, read again too."""
        table = changes.table
        renewed = [isinstance(row, LargeRow) and row.made_up is Synthetic.FROM_SOURCE for row in rows]
        columns = [one for one in table.columns if not one.large and one.name not in table.key]
        if not any(renewed) or not columns:
            return changes
        keys = keys_of(changes)
        asked: dict[int, list[Key]] = {}
        for (scn, key), is_renewed in zip(keys, renewed, strict=True):
            if is_renewed:
                asked.setdefault(scn, []).append(key)
        found = self._reselect.values(table, columns, asked)
        names = [side + one.name for side in _SIDES for one in columns]
        values = {name: changes.frame[name].to_list() for name in names}
        for place, (at, is_renewed) in enumerate(zip(keys, renewed, strict=True)):
            if is_renewed and at in found:
                for column, value in zip(columns, found[at], strict=True):
                    for side in _SIDES:
                        values[side + column.name][place] = value
        frame = changes.frame.with_columns(
            pl.Series(name, column, dtype=pl.String) for name, column in values.items()
        )
        return TableChanges(
            table, frame, changes.shapes, changes.unreadable | unreadable_columns(frame, columns)
        )


def unreadable_columns(frame: pl.DataFrame, columns: Iterable[SourceColumn]) -> frozenset[str]:
    """Those of the columns of which some after image could not be read."""
    return frozenset(column.name for column in columns if has_unreadable(frame[AFTER + column.name]))


def keys_of(changes: TableChanges) -> list[tuple[int, Key]]:
    """Position and key after the change, row by row."""
    names = [AFTER + name for name in changes.table.key]
    columns = (changes.frame[name] for name in ("position", *names))
    return [(scn, tuple(key)) for scn, *key in zip(*columns, strict=True)]


class _LargeColumns:
    """One frame's large columns: value, whether it is known, whether it is to be read again."""

    def __init__(
        self, changes: TableChanges, large: Sequence[SourceColumn], from_redo: frozenset[str]
    ) -> None:
        self._changes, self._large = changes, large
        frame = changes.frame
        self._operations = frame["operation"].to_list()
        self.values: dict[str, list[str | None]] = {}
        self.known: dict[str, list[bool]] = {}
        self.fetch: dict[str, list[bool]] = {}
        for column in large:
            name = column.name
            state = frame.select(
                named=(pl.col("operation") != "d") & ~changes.absent(AFTER, name),
                null=pl.col(AFTER + name).is_null(),
                empty=(pl.col(AFTER + name) == EMPTY_LOB).fill_null(value=False),
                unknown=(pl.col(AFTER + name) == UNKNOWN_LOB).fill_null(value=False),
                created=pl.col("operation") == "c",
            )
            if name in from_redo:
                known = state.select(pl.col("named") & ~pl.col("unknown")).to_series()
            else:  # a new row without a value has none; all else is read again
                known = state.select(pl.col("named") & pl.col("null") & pl.col("created")).to_series()
            text = frame[AFTER + name].set(state["empty"] | state["unknown"] | ~known, None)
            self.values[name] = canonical(text, column).to_list()
            self.known[name] = known.to_list()
            self.fetch[name] = ((state["named"] | state["created"]) & ~known).to_list()

    def renew(self, deciding: frozenset[str]) -> None:
        """Read again what an update did not name, where a deciding column changed."""
        changed = [
            (pl.col(BEFORE + name) != pl.col(AFTER + name)).fill_null(
                pl.col(BEFORE + name).is_null() != pl.col(AFTER + name).is_null()
            )
            & ~self._changes.absent(AFTER, name)
            & ~self._changes.absent(BEFORE, name)
            for column in self._changes.table.columns
            if (name := column.name) in deciding and not column.large
        ]
        if not changed:
            return
        moved = self._changes.frame.select((pl.col("operation") == "u") & pl.any_horizontal(changed))
        for row, is_moved in enumerate(moved.to_series().to_list()):
            if is_moved:
                for name, known in self.known.items():
                    self.fetch[name][row] = not known[row]

    def take_parts(self, rows: Sequence[LogRow]) -> None:
        """What LOB rows say counts more than the row itself."""
        for place, row in enumerate(rows):
            if isinstance(row, LargeRow):
                for name, value in row.parts.items():
                    fetch = isinstance(value, Fetch)
                    self.fetch[name][place], self.known[name][place] = fetch, not fetch
                    self.values[name][place] = None if isinstance(value, Fetch) else value or None

    def _asked(self, place: int) -> bool:
        return any(fetch[place] for fetch in self.fetch.values())

    def to_read_again(self) -> dict[int, list[Key]]:
        """Keys to be read again, by commit SCN."""
        asked: dict[int, list[Key]] = {}
        if any(any(fetch) for fetch in self.fetch.values()):
            for place, (scn, key) in enumerate(keys_of(self._changes)):
                if self._asked(place):
                    asked.setdefault(scn, []).append(key)
        return asked

    def take(self, found: Found) -> None:
        """Values that were read again; those of rows that are gone stay unknown."""
        if not found:
            return
        for place, at in enumerate(keys_of(self._changes)):
            values = found.get(at)
            if values is None:
                continue
            for column, value in zip(self._large, values, strict=True):
                if self.fetch[column.name][place]:
                    self.values[column.name][place], self.known[column.name][place] = value, True

    def changes(self, rows: Sequence[LogRow]) -> TableChanges:
        """The changes, without those that LOB rows alone spoke of and whose row is not there."""
        table, frame = self._changes.table, self._changes.frame
        names = frozenset(column.name for column in self._large)
        shapes = {shape: number for number, shape in enumerate(self._changes.shapes)}
        of: dict[tuple[int, tuple[bool, ...]], int] = {}
        numbers = []
        for number, *known in zip(frame["after_shape"], *self.known.values(), strict=True):
            key = (number, tuple(known))
            if key not in of:
                absent = {name for name, is_known in zip(self.known, known, strict=True) if not is_known}
                shape = (self._changes.shapes[number] - names) | absent
                of[key] = shapes.setdefault(shape, len(shapes))
            numbers.append(of[key])
        filled = frame.with_columns(
            pl.Series("after_shape", numbers, dtype=pl.Int16),
            *(
                marked(pl.Series(AFTER + name, values, dtype=pl.String))
                for name, values in self.values.items()
            ),
        )
        gone = [
            isinstance(row, LargeRow)
            and row.made_up is not Synthetic.NO
            and any(self.fetch[name][place] and not self.known[name][place] for name in row.parts)
            for place, row in enumerate(rows)
        ]
        if any(gone):
            filled = filled.filter(~pl.Series(gone))
        unread = self._changes.unreadable | unreadable_columns(filled, self._large)
        return TableChanges(table, filled, tuple(shapes), unread)
