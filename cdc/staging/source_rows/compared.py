"""What judging single keys asks of staging: rows, changes near a look, and the values of a row.

The rows are those as of `staging.source_row_state`; all that is read together is read in one transaction of
the caller's, REPEATABLE READ.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from psycopg import sql

from cdc.changes import UNREADABLE, Operation, TableName
from cdc.digests.definition import RowDigest
from cdc.digests.postgres import sort_key_of_images
from cdc.postgres.connect import Connection
from cdc.staging.source_rows.images import gave_up_a_key, value_of

_STATE = """
-- how far the rows are, and whether the table is followed at all
select s.position, t.state, t.read_position
from staging.source_row_state s
left join staging.source_table t using (system, schema_name, table_name)
where s.system = %(system)s and s.schema_name = %(schema)s and s.table_name = %(table)s
"""
_ROWS = """
select key, digest, source_position from staging.source_row
where system = %(system)s and schema_name = %(schema)s and table_name = %(table)s and not tombstone
    and key = any (%(keys)s)
"""
_BOUND = """
select key from staging.source_row
where system = %(system)s and schema_name = %(schema)s and table_name = %(table)s and not tombstone
    and key >= %(low)s
order by key offset %(rows)s limit 1
"""
_CHANGES = """
-- changes behind a position, with the key each one touched and the one that it gave up
select c.operation, {key}, case when {key_moved} then {former_key} end,
    c.source_position, c.transaction_id
from staging.change c
where c.system = %(system)s and c.schema_name = %(schema)s and c.table_name = %(table)s
    and c.source_position > %(low)s and c.source_position <= %(position)s
union all
select 'u', o.key, null, o.position, o.transaction_id
from staging.own_change c, unnest(c.keys, c.positions, c.transactions) o (key, position, transaction_id)
where c.system = %(system)s and c.schema_name = %(schema)s and c.table_name = %(table)s
    and o.position > %(low)s and o.position <= %(position)s
"""
_TEXTS = """
-- every value of these rows that the change log knows
select key, name, value #>> '{{}}' from (
    select r.key, n.name, {value} as value
    from staging.source_row r
    join staging.change c on c.system = r.system and c.source_position = r.source_position
        and c.source_ordinal = r.source_ordinal
    cross join lateral unnest(%(names)s::text[]) n (name)
    where r.system = %(system)s and r.schema_name = %(schema)s and r.table_name = %(table)s
        and r.key = any (%(keys)s) and c.operation in ('c', 'u', 'r')) known
where value is not null
"""
_LETTERS = """
select key, dead_letter_id, reason_code from staging.dead_letter
where resolved_at is null and stage = 'map' and system = %(system)s and table_name = %(name)s
order by dead_letter_id
"""


class ComparedTable:
    """Queries about one table; the caller's transaction.

    Args:
        connection: to staging.
        system: the source.
        digest: of the table's rows.
    """

    def __init__(self, connection: Connection, system: str, digest: RowDigest) -> None:
        self._connection, self._digest = connection, digest
        name = digest.table
        self._names = {"system": system, "schema": name.schema, "table": name.name, "name": str(name)}

    def state(self) -> tuple[int, str | None, int | None] | None:
        """Position that the rows are as of, state of the table, as of where all its rows were read last."""
        row = self._connection.execute(_STATE, self._names).fetchone()
        if row is None:
            return None
        position, state, read = row
        return (
            int(str(position)),
            None if state is None else str(state),
            None if read is None else int(str(read)),
        )

    def rows(self, keys: Collection[str]) -> dict[str, tuple[int | None, int]]:
        """Digest, None where it is not known, and position of the last change, by sort key."""
        found = self._connection.execute(_ROWS, {**self._names, "keys": list(keys)}).fetchall()
        return {str(key): (digest, position) for key, digest, position in found}  # type: ignore[misc]

    def bound(self, low: str | None, rows: int) -> str | None:
        """Sort key of the row that has so many rows before it, from `low` on; None if there is none."""
        parameters = {**self._names, "low": low or "", "rows": rows}
        row = self._connection.execute(_BOUND, parameters).fetchone()
        return None if row is None else str(row[0])

    def changes(self, low: int, position: int) -> list[tuple[int, str | None, tuple[str, ...] | None]]:
        """Changes later than `low`, up to `position`: position, transaction, keys; None for all keys."""
        query = _CHANGES.format(
            key=sort_key_of_images(self._digest, "c.key").replace("%", "%%"),
            former_key=sort_key_of_images(self._digest, "c.before").replace("%", "%%"),
            key_moved=gave_up_a_key(self._digest, "c").replace("%", "%%"),
        )
        parameters = {**self._names, "low": low, "position": position}
        rows: list[Any] = self._connection.execute(sql.SQL(query), parameters).fetchall()
        return [
            (at, transaction, None if operation == Operation.TRUNCATE else tuple(filter(None, keys)))
            for operation, *keys, at, transaction in rows
        ]

    def texts(self, keys: Collection[str]) -> dict[str, dict[str, str | None]]:
        """Values of rows by sort key and column, as far as the change log knows them."""
        names = [column.name for column in self._digest.columns]
        parameters = {**self._names, "keys": list(keys), "names": names}
        found: dict[str, dict[str, str | None]] = {}
        query = _TEXTS.format(value=value_of(self._digest, "n.name"))
        rows: list[Any] = self._connection.execute(sql.SQL(query), parameters).fetchall()
        for key, name, text in rows:
            if not (text or "").startswith(UNREADABLE):
                found.setdefault(key, {})[name] = text
        return found

    def letters(self) -> list[tuple[Mapping[str, Any], int, str]]:
        """Open dead letters of the table's rows: key, number, reason code."""
        rows: list[Any] = self._connection.execute(_LETTERS, self._names).fetchall()
        return [(key, number, code) for key, number, code in rows]


def checkpoint_position(connection: Connection, system: str) -> int | None:
    """Up to where the source is staged now; None if it never was."""
    row = connection.execute(
        "select source_position from staging.checkpoint where system = %s", [system]
    ).fetchone()
    return None if row is None else int(str(row[0]))


def counted_rows(connection: Connection, system: str) -> dict[TableName, int]:
    """Rows of each table as of its last refresh."""
    rows: list[Any] = connection.execute(
        "select schema_name, table_name, count(*) from staging.source_row "
        "where system = %s and not tombstone group by schema_name, table_name",
        [system],
    ).fetchall()
    return {TableName(schema, name): count for schema, name, count in rows}
