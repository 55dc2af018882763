"""What is known of each captured table: `staging.source_table`.

A row says whether the table was read, what the reader saw of it, which columns rules read, and why it is
no longer read. It changes in the transaction that stages the batch in question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cdc.changes import TableName
from cdc.postgres.connect import Connection

State = Literal["read", "reading", "stopped"]

_LOAD = """
select schema_name, table_name, state, definition, columns, read_position, error_code, reason,
    requested_at is not null as requested
from staging.source_table where system = %s order by schema_name, table_name
"""
_SAVE = """
insert into staging.source_table as mine (system, schema_name, table_name, state, definition, columns,
    read_position, error_code, reason, changed_at)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, now())
on conflict (system, schema_name, table_name) do update set
    state = excluded.state, definition = excluded.definition, columns = excluded.columns,
    read_position = excluded.read_position, error_code = excluded.error_code, reason = excluded.reason,
    requested_at = case when %s then mine.requested_at end,
    requested_by = case when %s then mine.requested_by end, changed_at = now()
"""
_FORGET = "delete from staging.source_table where system = %s and schema_name = %s and table_name = %s"
_REQUEST = """
update staging.source_table set requested_at = now(), requested_by = session_user
where system = %s and schema_name = %s and table_name = %s
"""
_NOTE = """
insert into staging.operator_action (who, action, object, detail)
values (session_user, 'snapshot', %s, %s)
"""


@dataclass(frozen=True)
class StoredTable:
    """A captured table as staging knows it.

    Args:
        state: `read`: its changes are staged. `reading`: its rows are read beside the stream, or that was
            broken off. `stopped`: it is no longer read, `error_code` and `reason` say why.
        definition: the reader's own, JSON types only; None where it gave none.
        columns: columns that rules read of it; None where that is not known.
        read_position: as of which all its rows were read last.
        requested: a snapshot of the table was requested.
    """

    state: State
    definition: Mapping[str, Any] | None = None
    columns: frozenset[str] | None = None
    read_position: int | None = None
    error_code: str | None = None
    reason: str | None = None
    requested: bool = False


class SourceTables:
    """Reads and writes the rows of one system; the caller's transaction, the caller commits."""

    def __init__(self, connection: Connection, system: str) -> None:
        self._connection, self._system = connection, system

    def load(self) -> dict[TableName, StoredTable]:
        """Every table of the system that staging knows."""
        found: dict[TableName, StoredTable] = {}
        with self._connection.cursor(row_factory=dict_row) as cursor:
            for row in cursor.execute(_LOAD, [self._system]):
                columns = row.pop("columns")
                name = TableName(row.pop("schema_name"), row.pop("table_name"))
                known = None if columns is None else frozenset(columns)
                found[name] = StoredTable(columns=known, **row)
        return found

    def save(self, tables: Mapping[TableName, StoredTable]) -> None:
        """Write these; a request that was made meanwhile stays unless the table is being read for it."""
        for name, one in tables.items():
            keeps = one.state != "reading"
            self._connection.execute(
                _SAVE,
                [
                    self._system,
                    name.schema,
                    name.name,
                    one.state,
                    None if one.definition is None else Jsonb(dict(one.definition)),
                    None if one.columns is None else Jsonb(sorted(one.columns)),
                    one.read_position,
                    one.error_code,
                    one.reason,
                    keeps,
                    keeps,
                ],
            )

    def forget(self, names: Iterable[TableName]) -> None:
        """Tables that no rule reads any more: their changes are lost from here on."""
        for name in names:
            self._connection.execute(_FORGET, [self._system, name.schema, name.name])

    def request(self, name: TableName) -> bool:
        """Ask for a table's rows to be read again; False if staging does not know it."""
        found = self._connection.execute(_REQUEST, [self._system, name.schema, name.name]).rowcount
        if found:
            self._connection.execute(_NOTE, [f"{self._system}: {name}", Jsonb({})])
        return found > 0
