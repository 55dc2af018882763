"""Tables in memory: rows as tuples of cells, each with its versions by SCN, and indexes on keys.

Nothing here locks: callers hold the lock of `storage.Storage`.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from sandbox.oracle import cells as wire
from sandbox.oracle.engine.sql.syntax import Expression
from sandbox.oracle.engine.store.transactions import Transaction
from sandbox.oracle.engine.values.sql_types import LOBS, SqlType, is_extended
from sandbox.oracle.interface import Cell, Row

Key = Cell | tuple[Cell, ...]
ARCHIVE_STATE = "ORA_ARCHIVE_STATE"
"""Hidden column of a table with ROW ARCHIVAL: rows whose value is not 0 are archived."""
ROWS_PER_BLOCK = 64
DATA_FILE = 7


class FastDefault(bytes):
    """A value that a row from before ADD COLUMN .. DEFAULT has: the dictionary's, in no block and no redo."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A partition, subpartition or index with an object number of its own; `stored`: it holds rows."""

    name: str
    kind: str
    object_id: int
    stored: bool = True


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column of a table; `identity` survives renames and drops of others.

    `invisible` ones are named or not seen; `system` ones are the database's own.
    """

    name: str
    type: SqlType
    nullable: bool = True
    default: Expression | None = None
    identity: int = 0
    invisible: bool = False
    system: bool = False


@dataclass(frozen=True, eq=False)
class Shape:
    """What a table looked like at some time: redo records keep theirs.

    `logged` are the places of the columns that supplemental logging adds to every update; LogMiner does
    not support a table that is `opaque`; `segments` are what of the table has an object number of its own.
    """

    owner: str
    name: str
    columns: tuple[StoredColumn, ...]
    key: tuple[int, ...]
    logged: tuple[int, ...]
    logged_all: bool
    logged_key: bool
    object_id: int
    data_object_id: int
    version: int
    temporary: bool = False
    opaque: bool = False
    segments: tuple[Segment, ...] = ()

    def segment_id(self, row: int) -> int:
        """The object that holds a row: rows go to the parts in turn."""
        stored = [segment.object_id for segment in self.segments if segment.stored]
        return stored[row % len(stored)] if stored else self.object_id

    @cached_property
    def large(self) -> tuple[int, ...]:
        """Places of the columns whose values have redo records of their own."""
        return tuple(
            place
            for place, column in enumerate(self.columns)
            if column.type.base in LOBS or is_extended(column.type)
        )

    @property
    def organized_by_key(self) -> bool:
        """Is it an index-organized table, whose rows have no row id in LogMiner?"""
        return any(segment.kind == "INDEX" for segment in self.segments)

    def place(self, name: str) -> int | None:
        """Place of a column by name."""
        for place, column in enumerate(self.columns):
            if column.name == name:
                return place
        return None


class Version:
    """A state of a row: visible once its transaction has an SCN; cells None means deleted."""

    __slots__ = ("cells", "previous", "transaction")

    def __init__(self, transaction: Transaction, cells: Row | None, previous: Version | None) -> None:
        self.transaction, self.cells, self.previous = transaction, cells, previous


def visible(version: Version | None, scn: int, reader: Transaction | None) -> Row | None:
    """The state a reader sees: his own changes, else the newest committed at or before an SCN."""
    while version is not None:
        transaction = version.transaction
        if transaction is reader or transaction.scn <= scn:
            return version.cells
        version = version.previous
    return None


class KeyIndex:
    """Rows by key. Entries outlive deletes (old versions stay findable), so every hit is verified."""

    def __init__(
        self, name: str, owner: str, places: tuple[int, ...], *, unique: bool, primary: bool
    ) -> None:
        self.name, self.owner, self.places = name, owner, places
        self.unique, self.primary = unique, primary
        self.constraint = primary
        self.object_id = 0
        self.enabled = self.validated = True
        self._rows: dict[Key, int | list[int]] = {}
        self._sorted: list[Key] = []
        self._unsorted: list[Key] = []

    def key(self, row: Row) -> Key:
        """Key of a row: a cell, or a tuple of them."""
        if len(self.places) == 1:
            return row[self.places[0]]
        return tuple([row[place] for place in self.places])

    def is_null(self, key: Key) -> bool:
        """Keys that are wholly NULL are not indexed."""
        return key is None or (isinstance(key, tuple) and all(cell is None for cell in key))

    def add(self, key: Key, row_id: int) -> None:
        """Enter a row."""
        held = self._rows.get(key)
        if held is None:
            self._rows[key] = row_id
            self._unsorted.append(key)
        elif isinstance(held, list):
            if row_id not in held[-8:]:
                held.append(row_id)
        elif held != row_id:
            self._rows[key] = [held, row_id]

    def find(self, key: Key) -> Iterable[int]:
        """Rows that have or had a key."""
        held = self._rows.get(key)
        if held is None:
            return ()
        return held if isinstance(held, list) else (held,)

    def between(self, low: Key, high: Key, *, low_open: bool, high_open: bool) -> Iterator[tuple[int, Key]]:
        """Rows under each key they have or had, leading cell in a range, in key order; None is no bound."""
        if self._unsorted:
            self._sorted.extend(key for key in self._unsorted if not _has_null(key))
            self._sorted.sort()
            self._unsorted = []
        keys = self._sorted
        leading = (lambda key: key) if len(self.places) == 1 else (lambda key: key[0])
        start = 0
        if low is not None:
            start = (bisect.bisect_right if low_open else bisect.bisect_left)(keys, low, key=leading)
        stop = len(keys)
        if high is not None:
            stop = (bisect.bisect_left if high_open else bisect.bisect_right)(keys, high, key=leading)
        return ((number, key) for key in keys[start:stop] for number in self.find(key))

    def clear(self) -> None:
        """Forget everything (TRUNCATE)."""
        self._rows, self._sorted, self._unsorted = {}, [], []


def _has_null(key: Key) -> bool:
    return key is None or (isinstance(key, tuple) and None in key)


@dataclass(frozen=True)
class ForeignKey:
    """A table that another one refers to; not enforced."""

    owner: str
    table: str
    delete_rule: str
    enabled: bool


@dataclass(eq=False)
class Table:
    """A table with its rows by row number."""

    shape: Shape
    rows: dict[int, Version] = field(default_factory=dict)
    indexes: list[KeyIndex] = field(default_factory=list)
    next_row: int = 0
    next_identity: int = 1
    locks: dict[int, Transaction] = field(default_factory=dict)
    defined_scn: int = 0
    defined_at: float = 0.0
    created_at: float = 0.0
    supplemental: dict[str, tuple[str, ...]] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    dropped: bool = False
    other_constraints: set[str] = field(default_factory=set)
    foreign_keys: dict[str, ForeignKey] = field(default_factory=dict)
    policies: list[str] = field(default_factory=list)
    redacted: dict[str, str] = field(default_factory=dict)
    cluster: tuple[str, str] | None = None

    @property
    def owner(self) -> str:
        """Owning schema."""
        return self.shape.owner

    @property
    def name(self) -> str:
        """Table name."""
        return self.shape.name

    def primary(self) -> KeyIndex | None:
        """Index of the primary key."""
        return next((index for index in self.indexes if index.primary), None)

    def scan(self, scn: int, reader: Transaction | None, rows: list[Version]) -> Iterator[Row]:
        """Visible rows among versions that were the newest when the statement began."""
        for version in rows:
            transaction = version.transaction
            if transaction is reader or transaction.scn <= scn:
                row = version.cells
            else:
                row = visible(version.previous, scn, reader)
            if row is not None:
                yield row


def row_id_text(shape: Shape, row: int) -> str:
    """The 18 characters of a row's id."""
    return wire.rowid_text(shape.data_object_id, DATA_FILE, 128 + row // ROWS_PER_BLOCK, row % ROWS_PER_BLOCK)


def logged_row_id(shape: Shape, row: int) -> str:
    """The row id as LogMiner shows it: none of an index-organized table, but its object."""
    text = row_id_text(shape, row)
    return text[:6] + "A" * 12 if shape.organized_by_key else text


def row_number(shape: Shape, text: str) -> int | None:
    """Row number of a row id of this table, None if it is none of it."""
    try:
        data_object, _, block, slot = wire.rowid_parts(text)
    except ValueError:
        return None
    if data_object != shape.data_object_id:
        return None
    return (block - 128) * ROWS_PER_BLOCK + slot
