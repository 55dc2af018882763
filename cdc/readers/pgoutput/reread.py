"""Values of rows as they are now, by key: what an update left out of the log because it left it alone.

The server writes them with the same output functions as in snapshot and stream. One session, opened
when first needed; each call is a transaction of its own, so no snapshot is kept open.

Source: PostgreSQL 17 documentation, COPY; "Logical Replication Message Formats" (unchanged TOASTed
values).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from cdc.changes import AFTER, SourceTable, SourceType
from cdc.config import PostgresSystem
from cdc.ports import RereadValues, SourceKey
from cdc.postgres.connect import Connection, conninfo
from cdc.postgres.errors import postgres_errors
from cdc.readers.pgoutput.snapshot import read_lines
from cdc.readers.pgoutput.wire.canonical import SESSION_OPTIONS, canonical

KEYS_OF_A_QUERY = 500


class Reread:
    """Reads rows by their primary key.

    Args:
        settings: the system.
        system: its name, for messages.
    """

    def __init__(self, settings: PostgresSystem, system: str) -> None:
        self._settings, self._system = settings, system
        self._connection: Connection | None = None

    def values(
        self, table: SourceTable, columns: Sequence[str], rows: Mapping[int, Sequence[SourceKey]]
    ) -> RereadValues:
        """See `cdc.ports.ChangeReader.reread`; the values are those of now, whatever the position.

        `columns` holds no key column.

        Raises:
            DatabaseUnreachable: no connection, or it was lost.
            OperatorError: the table, a column or a right is missing.
        """
        keys = list({key: None for some in rows.values() for key in some if None not in key})
        found: dict[SourceKey, tuple[str | None, ...]] = {}
        for first in range(0, len(keys), KEYS_OF_A_QUERY):
            found.update(self._read(table, columns, keys[first : first + KEYS_OF_A_QUERY]))
        return {
            (position, key): found[key] for position, some in rows.items() for key in some if key in found
        }

    def close(self) -> None:
        """End the session; safe to call twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(
        self, table: SourceTable, columns: Sequence[str], keys: Sequence[SourceKey]
    ) -> dict[SourceKey, tuple[str | None, ...]]:
        names = [*table.key, *columns]
        statement = sql.SQL(
            "copy (select {} from only {} where ({}) in ({})) to stdout (format csv, force_quote *)"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.Identifier(table.name.schema, table.name.name),
            sql.SQL(", ").join(map(sql.Identifier, table.key)),
            sql.SQL(", ").join(key_literals(table, key) for key in keys),
        )
        with postgres_errors(f"{self._system}: {table.name}"):
            session = self._session()
            try:
                with session.cursor() as cursor, cursor.copy(statement) as copy:
                    lines = [bytes(line) for line in copy]
            except psycopg.OperationalError:
                self.close()
                raise
        frame = read_lines(lines, [f"{AFTER}{name}" for name in names])
        texts = canonical(frame, _only(table, names), AFTER)
        width = len(table.key)
        return {tuple(row[:width]): tuple(row[width:]) for row in texts.iter_rows()}

    def _session(self) -> Connection:
        if self._connection is None or self._connection.closed:
            info = conninfo(self._settings, application=f"ccbridge reread {self._system}")
            self._connection = psycopg.connect(make_conninfo(info, options=SESSION_OPTIONS), autocommit=True)
        return self._connection


def key_literals(table: SourceTable, key: SourceKey) -> sql.Composed:
    """One key in parentheses; literals without a type take that of the key's columns: its index is used."""
    texts = []
    for name, text in zip(table.key, key, strict=True):
        column = table.column(name)
        is_binary = column is not None and column.type is SourceType.BINARY
        texts.append(sql.Literal(f"\\x{text}" if is_binary else text))
    return sql.SQL("({})").format(sql.SQL(", ").join(texts))


def _only(table: SourceTable, names: Sequence[str]) -> SourceTable:
    columns = tuple(column for column in table.columns if column.name in names)
    return SourceTable(table.name, columns, table.key)
