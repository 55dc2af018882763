"""How the rows of one source are reached: by key, by key range, or one after the other.

A source's own conditions run here, on its rows alone. An index only narrows down; every condition is
tested again on the version that the reader may see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.expressions import Condition, Expr, Run, all_true
from sandbox.oracle.engine.plan.conditions import comparable
from sandbox.oracle.engine.state.context import Env, Reading, View
from sandbox.oracle.engine.store.storage import Storage, snapshot_too_old
from sandbox.oracle.engine.store.tables import Key, KeyIndex, Table, Version, row_id_text, visible
from sandbox.oracle.engine.store.transactions import Transaction
from sandbox.oracle.engine.values.sql_types import pad
from sandbox.oracle.interface import Cell, DbType, OracleFault, Row

CHECK_EVERY = 2048
Item = TypeVar("Item")


@dataclass
class Narrowing:
    """What the conditions say about columns, by place: values of equality, bounds of a range."""

    equal: dict[int, list[Run]] = field(default_factory=dict)
    low: dict[int, tuple[Run, bool]] = field(default_factory=dict)
    high: dict[int, tuple[Run, bool]] = field(default_factory=dict)

    def note(self, sign: str, column: Expr, value: Expr, place: int, width: int) -> None:
        """Take note of `column sign value` if an index on the column could answer it.

        `width` is that of the row of the query around, which the value may use.
        """
        if value.volatile or column.place is None or any(used >= width for used in value.uses):
            return
        run = key_value(column, value)
        if run is None:
            return
        if sign == "=":
            self.equal.setdefault(place, [run])
        elif sign in (">", ">="):
            self.low.setdefault(place, (run, sign == ">"))
        elif sign in ("<", "<="):
            self.high.setdefault(place, (run, sign == "<"))


def key_value(column: Expr, value: Expr) -> Run | None:
    """What yields the cell to look up for a column, None when an index does not help."""
    left, right = comparable(column, value)
    if left is column:
        return right.run
    if column.type.base is DbType.CHAR and value.type.base is DbType.CHAR:
        chars, run = column.type.chars, value.run

        def padded(row: Row, env: Env) -> Cell:
            cell = run(row, env)
            return None if cell is None else pad(cell.rstrip(b" "), chars)

        return padded
    return None


class Access(Protocol):
    """Rows of one source that meet its own conditions."""

    def rows(self, env: Env, outer: Row) -> Iterable[Row]:
        """The rows, without those of the query around."""


def _tests(filters: Sequence[Condition], env: Env, outer: Row) -> Callable[[Row], bool] | None:
    tests = [condition.test for condition in filters]
    if not tests:
        return None
    if len(tests) == 1:
        single = tests[0]
        if outer:
            return lambda row: single(outer + row, env) is True
        return lambda row: single(row, env) is True
    return lambda row: all_true(tests, outer + row, env)


def checked(rows: Iterable[Item], env: Env) -> Iterator[Item]:
    """Look at the start and now and then whether the client wants to cancel.

    The look at the start is for subqueries that read few rows, once for each row of the query around.
    """
    env.check()
    for count, row in enumerate(rows, 1):
        if not count % CHECK_EVERY:
            env.check()
        yield row


@dataclass
class Candidates:
    """Rows to look at with their newest versions; of an index also the key each was found under."""

    heads: Iterable[tuple[int, Version | None, Key]]
    index: KeyIndex | None = None


@dataclass
class TableAccess:
    """Rows of a table, optionally as of an SCN, optionally with ROWID and ORA_ROWSCN behind them."""

    storage: Storage
    table: Table
    filters: list[Condition]
    narrowing: Narrowing
    with_row_id: bool
    as_of: Run | None = None
    ordered_by: KeyIndex | None = None

    def rows(self, env: Env, outer: Row) -> Iterable[Row]:
        """Visible rows that meet the conditions."""
        if self.as_of is not None or self.with_row_id:
            return (row for _, row in self.numbered(env, outer))
        candidates = self._candidates(env, outer)
        if candidates is not None:
            return (row for _, row in self._visible(candidates, env.snapshot, env.reader, env, outer))
        test = _tests(self.filters, env, outer)
        found: Iterable[Row] = self.table.scan(env.snapshot, env.reader, self.storage.snapshot(self.table))
        return checked(filter(test, found) if test else found, env)

    def numbered(self, env: Env, outer: Row) -> Iterator[tuple[int, Row]]:
        """The same with row numbers: what DML works on."""
        snapshot, reader = env.snapshot, env.reader
        if self.as_of is not None:
            snapshot, reader = self._scn(env, outer), None
        candidates = self._candidates(env, outer)
        if candidates is None:
            heads = self.storage.numbered_snapshot(self.table)
            candidates = Candidates([(number, head, None) for number, head in heads])
        return self._visible(candidates, snapshot, reader, env, outer)

    def _visible(
        self, candidates: Candidates, snapshot: int, reader: Transaction | None, env: Env, outer: Row
    ) -> Iterator[tuple[int, Row]]:
        test = _tests(self.filters, env, outer)
        index = candidates.index
        env.check()
        for count, (number, head, key) in enumerate(candidates.heads, 1):
            if not count % CHECK_EVERY:
                env.check()
            row = visible(head, snapshot, reader)
            if row is None or (index is not None and index.key(row) != key):
                continue  # a row is in the index under every key it ever had
            if self.with_row_id:
                row = self._extended(number, row, snapshot)
            if test is None or test(row):
                yield number, row

    def _extended(self, number: int, row: Row, snapshot: int) -> Row:
        head = self.table.rows[number]
        scn = cells.encode_number(min(head.transaction.scn, snapshot))
        return (*row, row_id_text(self.table.shape, number).encode(), scn)

    def _scn(self, env: Env, outer: Row) -> int:
        cell = self.as_of(outer, env) if self.as_of else None
        if cell is None:
            raise OracleFault(8181, "specified number is not a valid system change number")
        scn = cells.decode_integer(cell)
        if not 0 < scn <= self.storage.scn:
            raise OracleFault(8181, "specified number is not a valid system change number")
        kept_s = env.session.database.undo_retention_s
        if kept_s is not None and self.storage.journal.time_of(scn) < env.now - kept_s:
            raise snapshot_too_old()
        if scn < self.table.defined_scn:
            raise OracleFault(1466, "unable to read data - table definition has changed")
        return scn

    def _candidates(self, env: Env, outer: Row) -> Candidates | None:
        """Rows to look at, in key order where a range was asked for; None for all."""
        narrowing = self.narrowing
        with self.storage.entered(env.check):
            for index in sorted(self.table.indexes, key=lambda index: not index.unique):
                if self.ordered_by is None and all(place in narrowing.equal for place in index.places):
                    return self._heads(index, self._by_key(index, env, outer))
            ranged = self.ordered_by or self._ranged_index()
            if ranged is None:
                return None
            place = ranged.places[0]
            low, low_open = self._bound(narrowing.low.get(place), env, outer)
            high, high_open = self._bound(narrowing.high.get(place), env, outer)
            if place in narrowing.equal and len(narrowing.equal[place]) == 1:
                low = high = narrowing.equal[place][0](outer, env)
                low_open = high_open = False
            return self._heads(ranged, ranged.between(low, high, low_open=low_open, high_open=high_open))

    def _heads(self, index: KeyIndex, found: Iterable[tuple[int, Key]]) -> Candidates:
        rows = self.table.rows  # looked at while the client fetches: the SCN decides what it sees
        return Candidates(((number, rows.get(number), key) for number, key in found), index)

    def _ranged_index(self) -> KeyIndex | None:
        narrowing = self.narrowing
        for index in self.table.indexes:
            if len(index.places) > 1 and not index.primary:
                continue  # rows with a NULL further on are not in its order
            place = index.places[0]
            if place in narrowing.low or place in narrowing.high or len(narrowing.equal.get(place, ())) == 1:
                return index
        return None

    def _by_key(self, index: KeyIndex, env: Env, outer: Row) -> list[tuple[int, Key]]:
        keys: list[tuple[Cell, ...]] = [()]
        for place in index.places:
            values = dict.fromkeys(run(outer, env) for run in self.narrowing.equal[place])
            keys = [(*key, value) for key in keys for value in values]
        found: list[tuple[int, Key]] = []
        for key in keys:
            if None not in key:
                wanted: Key = key[0] if len(key) == 1 else key
                found.extend((number, wanted) for number in index.find(wanted))
        return found

    def _bound(self, bound: tuple[Run, bool] | None, env: Env, outer: Row) -> tuple[Cell, bool]:
        return (None, False) if bound is None else (bound[0](outer, env), bound[1])

    def lookup(self, index: KeyIndex, key: Key, env: Env) -> Iterator[Row]:
        """Visible rows by a whole key (joins); conditions are not applied."""
        for number in list(index.find(key)):
            row = visible(self.table.rows.get(number), env.snapshot, env.reader)
            if row is not None and index.key(row) == key:
                yield self._extended(number, row, env.snapshot) if self.with_row_id else row


@dataclass
class ViewAccess:
    """Rows of a fixed view."""

    view: View
    filters: list[Condition]
    narrowing: Narrowing
    base: int
    used: set[int]

    def rows(self, env: Env, outer: Row) -> Iterable[Row]:
        """Its rows that meet the conditions; early conditions are handed down to it."""
        late = {self.base + place for place in self.view.late}
        early = [condition for condition in self.filters if not condition.uses & late]
        after = [condition for condition in self.filters if condition.uses & late]
        bounds: dict[int, tuple[Cell, Cell]] = {}
        for place in {*self.narrowing.low, *self.narrowing.high, *self.narrowing.equal}:
            low = self.narrowing.low.get(place)
            high = self.narrowing.high.get(place)
            equal = self.narrowing.equal.get(place)
            exact = equal[0](outer, env) if equal and len(equal) == 1 else None
            bounds[place] = (
                exact or (low[0](outer, env) if low else None),
                exact or (high[0](outer, env) if high else None),
            )
        first = _tests(early, env, outer)
        if self.view.late:
            found = self.view.rows(env, Reading(frozenset(self.used), bounds, first))
        else:
            found = self.view.rows(env, Reading(frozenset(self.used), bounds))
            found = filter(first, found) if first else found
        second = _tests(after, env, outer)
        return checked(filter(second, found) if second else found, env)


@dataclass
class QueryAccess:
    """Rows of an inline view."""

    produce: Callable[[Env, Row], Iterable[Row]]
    filters: list[Condition]

    def rows(self, env: Env, outer: Row) -> Iterable[Row]:
        """Its rows that meet the conditions."""
        found = self.produce(env, outer)
        test = _tests(self.filters, env, outer)
        return filter(test, found) if test else found
