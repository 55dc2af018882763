"""Joining sources: by hash on equalities, by index when few rows look for partners, else by loop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sandbox.oracle.engine.functions.expressions import Condition, Run, all_true
from sandbox.oracle.engine.plan.access import CHECK_EVERY, Access, TableAccess, checked
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.store.tables import Key, KeyIndex
from sandbox.oracle.interface import Cell, Row

INDEX_ADVANTAGE = 4
"""A hash build reads the whole table; looking up pays while it reads that many times fewer rows."""


@dataclass
class JoinStep:
    """One more source behind the rows so far."""

    access: Access
    width: int
    left_keys: list[Run] = field(default_factory=list)
    right_keys: list[Run] = field(default_factory=list)
    right_places: list[int | None] = field(default_factory=list)
    on: list[Condition] = field(default_factory=list)
    filters: list[Condition] = field(default_factory=list)
    outer_join: bool = False

    def rows(self, left: Iterable[Row], env: Env, outer: Row) -> Iterator[Row]:
        """Rows of the left side with their partners; `outer` is the start of each left row."""
        rows = list(left)
        index = self._index()
        if (
            index is not None
            and isinstance(self.access, TableAccess)
            and len(rows) * INDEX_ADVANTAGE < len(self.access.table.rows) + 16
        ):
            yield from self._filtered(self._by_index(rows, self.access, index, env, outer), env)
            return
        yield from self._filtered(self._by_hash(rows, env, outer), env)

    def _filtered(self, rows: Iterator[Row], env: Env) -> Iterator[Row]:
        if not self.filters:
            return rows
        tests = [condition.test for condition in self.filters]
        return (row for row in rows if all_true(tests, row, env))

    def _index(self) -> KeyIndex | None:
        access = self.access
        if not isinstance(access, TableAccess) or access.as_of is not None:
            return None
        places = set(self.right_places) - {None}
        for index in access.table.indexes:
            if places and set(index.places) == places and len(self.right_places) == len(places):
                return index
        return None

    def _by_index(
        self, rows: Sequence[Row], access: TableAccess, index: KeyIndex, env: Env, outer: Row
    ) -> Iterator[Row]:
        order = [self.right_places.index(place) for place in index.places]
        tests = [condition.test for condition in access.filters]
        on = [condition.test for condition in self.on]
        for row in rows:
            values = [self.left_keys[at](row, env) for at in order]
            matched = False
            if None not in values:
                key: Key = values[0] if len(values) == 1 else tuple(values)
                with access.storage.entered(env.check):
                    partners = list(access.lookup(index, key, env))
                for partner in partners:
                    own = outer + partner
                    joined = row + partner
                    if all_true(tests, own, env) and all_true(on, joined, env):
                        matched = True
                        yield joined
            if self.outer_join and not matched:
                yield row + (None,) * self.width

    def _by_hash(self, rows: Sequence[Row], env: Env, outer: Row) -> Iterator[Row]:
        groups: dict[tuple[Cell, ...], list[Row]] = defaultdict(list)
        if rows:
            for partner in self.access.rows(env, outer):
                own = outer + partner
                groups[tuple([run(own, env) for run in self.right_keys])].append(partner)
        on = [condition.test for condition in self.on]
        nobody: list[Row] = []
        seen = 0
        for row in rows:
            key = tuple([run(row, env) for run in self.left_keys])
            matched = False
            group = nobody if None in key else groups.get(key, nobody)
            seen += len(group) + 1
            partners: Iterable[Row] = group
            if seen >= CHECK_EVERY:
                seen, partners = 0, checked(group, env)
            for partner in partners:
                joined = row + partner
                if not on or all_true(on, joined, env):
                    matched = True
                    yield joined
            if self.outer_join and not matched:
                yield row + (None,) * self.width
