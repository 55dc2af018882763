"""Versions of one entity that wait for the end of their transaction, which comes in slices.

They are kept in a temporary table of the session. What the rows are that earlier slices left is asked only
where a change does not hold a value; the index for it is made when that is first the case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from cdc.postgres.copy import copy_frame
from cdc.staging.entity_rows.versions import MERGE_SCHEMA
from mapping_rules import Entity

Cursor = psycopg.Cursor[tuple[object, ...]]

_NEWEST = """
select c.n, m.tombstone, m.source_position, m.source_ordinal, m._absent, {values}
from jsonb_to_recordset(%s) as c (n bigint, {key_types})
cross join lateral (
    select * from {spool} m where {same_key} order by m._slice desc, m._row desc limit 1
) m
"""


@dataclass(frozen=True)
class Version:
    """What an earlier slice made of a row.

    Args:
        tombstone: the row ended.
        place: position and ordinal of the change.
        known: those of the requested values that the slices hold.
    """

    tombstone: bool
    place: tuple[int, int]
    known: Mapping[str, object]


class Spool:
    """The spooled versions of one entity on one session.

    Args:
        entity: its key and columns.

    Attributes:
        is_empty: no slice waits.
    """

    def __init__(self, entity: Entity) -> None:
        self.entity = entity
        self._columns = {name: column.type.sql for name, column in entity.columns.items()} | MERGE_SCHEMA
        self._table = sql.Identifier("pg_temp", f"spool_{entity.name}")
        self._index = f"spool_{entity.name}_key"
        self.is_empty, self._is_indexed = True, False

    def prepare(self, cursor: Cursor) -> None:
        """Create the session's table again."""
        cursor.execute(sql.SQL("drop table if exists {}").format(self._table))
        columns = [sql.SQL("{} {}").format(_name(n), sql.SQL(t)) for n, t in self._columns.items()]
        cursor.execute(
            sql.SQL("create temporary table {} (_slice integer, {})").format(self._table, _list(columns))
        )
        cursor.execute(sql.SQL("create index on {} (_slice)").format(self._table))

    def add(self, cursor: Cursor, versions: pl.DataFrame, number: int) -> None:
        """Keep the versions of slice `number` in the database until its transaction ends."""
        copy_frame(cursor, self._table, versions.select_seq(pl.lit(number).alias("_slice"), pl.all()))
        self.is_empty = False

    def unload(self, cursor: Cursor, number: int, target: sql.Composable) -> None:
        """Copy the versions of slice `number` into another table."""
        names = _list(map(_name, self._columns))
        cursor.execute(
            sql.SQL("insert into {} ({names}) select {names} from {} where _slice = {}").format(
                target, self._table, number, names=names
            )
        )

    def newest(
        self, cursor: Cursor, keys: Sequence[Sequence[str | None]], columns: Collection[str]
    ) -> dict[int, Version]:
        """The newest spooled version of each key that has one.

        Args:
            cursor: to the session.
            keys: entity keys as texts.
            columns: which values are requested.

        Returns:
            By number of the key.
        """
        self._make_index(cursor)
        asked = [{"n": n, **dict(zip(self.entity.key, key, strict=True))} for n, key in enumerate(keys)]
        names = sorted(columns)
        statement = sql.SQL(_NEWEST).format(
            values=_list(sql.SQL("m.{}").format(_name(name)) for name in names),
            key_types=_list(
                sql.SQL("{} {}").format(_name(name), sql.SQL(self._columns[name])) for name in self.entity.key
            ),
            spool=self._table,
            same_key=sql.SQL(" and ").join(
                sql.SQL("m.{0} = c.{0}").format(_name(name)) for name in self.entity.key
            ),
        )
        found = {}
        for number, tombstone, position, ordinal, absent, *values in cursor.execute(
            statement, [Jsonb(asked)]
        ):
            unknown = frozenset(map(str, absent if isinstance(absent, list) else ()))
            known = {name: value for name, value in zip(names, values, strict=True) if name not in unknown}
            place = int(str(position)), int(str(ordinal))
            found[int(str(number))] = Version(bool(tombstone), place, known)
        return found

    def rolled_back(self) -> None:
        """The table is as it was before the transaction: empty, without the index."""
        self.is_empty, self._is_indexed = True, False

    def clear(self, cursor: Cursor) -> None:
        """Forget the spooled versions; the next transaction may do without the index."""
        cursor.execute(sql.SQL("truncate {}").format(self._table))
        if self._is_indexed:
            cursor.execute(sql.SQL("drop index {}").format(sql.Identifier("pg_temp", self._index)))
        self.is_empty, self._is_indexed = True, False

    def _make_index(self, cursor: Cursor) -> None:
        if not self._is_indexed:
            cursor.execute(
                sql.SQL("create index {} on {} ({})").format(
                    _name(self._index), self._table, _list(map(_name, [*self.entity.key, "_slice", "_row"]))
                )
            )
            self._is_indexed = True


def _name(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
