"""What judging single keys asks of staging: rows, changes near a look, and the values of a row.

The rows are those as of `staging.source_row_state`; all that is read together is read in one transaction of
the caller's, REPEATABLE READ.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from psycopg import sql

from cdc.changes import UNREADABLE, Operation, TableName
from cdc.digests.definition import RowDigest
from cdc.digests.postgres import literal, sort_key_of_images
from cdc.postgres.connect import Connection

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
select c.operation, {key}, case when c.operation = 'u' and c.before ?& {key_names} then {former_key} end,
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
-- the last image of each row; what it leaves out is taken from earlier changes of the row, if they have it
select r.key, n.name, coalesce(c.after ? n.name, false) or coalesce(c.before ? n.name, false) or e.known,
    case when c.after ? n.name then c.after ->> n.name when c.before ? n.name then c.before ->> n.name
        else e.value end
from staging.source_row r
join staging.change c on c.system = r.system and c.source_position = r.source_position
    and c.source_ordinal = r.source_ordinal
cross join lateral unnest(%(names)s::text[]) n (name)
left join lateral (
    select true as known, e.after ->> n.name as value from staging.change e
    where not c.after ? n.name and not coalesce(c.before ? n.name, false)
        and e.system = c.system and e.schema_name = c.schema_name and e.table_name = c.table_name
        and e.key = c.key and e.after ? n.name
        and (e.source_position, e.source_ordinal) < (c.source_position, c.source_ordinal)
        and e.source_position > coalesce(r.own_position, -1)  -- what we wrote is in no image
    order by e.source_position desc, e.source_ordinal desc limit 1) e on true
where r.system = %(system)s and r.schema_name = %(schema)s and r.table_name = %(table)s
    and r.key = any (%(keys)s) and c.operation in ('c', 'u', 'r')
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
            key_names=_array([column.name for column in self._digest.key]),
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
        rows: list[Any] = self._connection.execute(_TEXTS, parameters).fetchall()
        for key, name, is_known, text in rows:
            if is_known and not (text or "").startswith(UNREADABLE):
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


def _array(names: Sequence[str]) -> str:
    return f"array[{', '.join(map(literal, names))}]::text[]"
