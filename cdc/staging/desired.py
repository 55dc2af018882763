"""What a target should hold, computed from staging by the outbound rules' SQL.

A sink follows `staged_seq`: the keys touched between its mark and `high_staged_seq` are put into a
temporary table, and one query gives the desired row of each. Values leave as text, so nothing is
rounded; NULL and the empty text stay different.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

import polars as pl
from psycopg import sql

from cdc.errors import OperatorError
from cdc.postgres.connect import Connection
from cdc.postgres.copy import copy_frame
from cdc.postgres.errors import postgres_errors

MAX_KEY_COLUMNS = 8
_AFFECTED = sql.Identifier("pg_temp", "affected_key")
_MANY = 1000
"""From so many keys on it pays to tell the planner about them."""

_WITH_STAGED_SEQ = """
select c.relname from pg_class c
where c.relnamespace = 'staging'::regnamespace and c.relkind = 'r'
    and c.relname not in ('delivery', 'flow_state')
    and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'staged_seq')
    and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'superseded_seq')
"""
_TRUNCATE_FROM = 2_000
"""Keys put in since the table was last truncated; truncating makes new files, so it is done rarely."""


@dataclass
class _Session:
    """What is remembered of a connection."""

    highest: sql.Composed | None = None
    keys_put: int = 0


_sessions: WeakKeyDictionary[Connection, _Session] = WeakKeyDictionary()


class DesiredRows(Protocol):
    """What is needed of `mapping_rules.OutboundProgram`."""

    @property
    def name(self) -> str:
        """The rule's name."""

    @property
    def key(self) -> tuple[str, ...]:
        """Key columns of the target."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The other columns written."""

    @property
    def changed_keys_sql(self) -> str:
        """Root keys k1..kn touched with %(low)s < staged_seq <= %(high)s."""

    @property
    def desired_sql(self) -> str:
        """Target row, `_deleted` and `_staged_seq` for each root key in pg_temp.affected_key."""


def high_staged_seq(connection: Connection) -> int:
    """Highest committed number of any staged version; 0 while there is none.

    Nothing with a smaller number can still become visible, see `cdc.staging.order`.
    """
    with postgres_errors("staging"), connection.transaction():
        session = _sessions.setdefault(connection, _Session())
        if session.highest is None:
            session.highest = _highest(connection)
        row = connection.execute(session.highest).fetchone()
    return int(str(row[0])) if row is not None else 0


def desired_rows(connection: Connection, program: DesiredRows, low: int, high: int) -> pl.DataFrame:
    """Desired rows of the keys touched with low < staged_seq <= high.

    Staging may have moved beyond `high`: rows show its newest state, and come again later.

    Returns:
        The program's key columns and columns as text, `_deleted` Boolean, `_staged_seq` Int64; a
        row for each target row that should exist, or should not (`_deleted`).
    """
    subject = f"outbound rule {program.name}"
    with postgres_errors(subject), connection.transaction():
        _clear(connection)
        cursor = connection.execute(
            sql.SQL(
                "with changed as ({}) insert into {} ({names}) select distinct {names} from changed"
            ).format(
                sql.SQL(program.changed_keys_sql),
                _AFFECTED,
                names=_key_names(program),
            ),
            {"low": low, "high": high},
        )
        return _desired(connection, program, cursor.rowcount)


def desired_rows_for_keys(connection: Connection, program: DesiredRows, keys: pl.DataFrame) -> pl.DataFrame:
    """Desired rows of given keys, for keys that wait.

    Args:
        connection: to staging.
        program: the compiled outbound rule.
        keys: one column for each key column of the target, named like it.

    Returns:
        As `desired_rows`.
    """
    subject = f"outbound rule {program.name}"
    with postgres_errors(subject), connection.transaction(), connection.cursor() as cursor:
        _clear(connection)
        named = keys.select(
            pl.col(name).cast(pl.String).alias(f"k{number}") for number, name in enumerate(program.key, 1)
        )
        copy_frame(cursor, _AFFECTED, named.unique())
        return _desired(connection, program, keys.height)


def _highest(connection: Connection) -> sql.Composed:
    """One statement over every table that has a staged_seq, receipts included."""
    tables = connection.execute(_WITH_STAGED_SEQ).fetchall()
    highest = [
        sql.SQL("(select max(staged_seq) from {})").format(sql.Identifier("staging", str(name)))
        for (name,) in tables
    ]
    return sql.SQL("select coalesce(greatest({}), 0)").format(sql.SQL(", ").join([*highest, sql.SQL("0")]))


def _clear(connection: Connection) -> None:
    """An empty table for keys; it is made once per session, because making one costs catalog rows."""
    if connection.execute("select to_regclass('pg_temp.affected_key')").fetchone() == (None,):
        columns = sql.SQL(", ").join(sql.SQL(f"k{n} text") for n in range(1, MAX_KEY_COLUMNS + 1))
        connection.execute(sql.SQL("create temporary table affected_key ({})").format(columns))
        return
    session = _sessions.setdefault(connection, _Session())
    many = session.keys_put >= _TRUNCATE_FROM
    connection.execute(sql.SQL("truncate {}" if many else "delete from {}").format(_AFFECTED))
    if many:
        session.keys_put = 0


def _key_names(program: DesiredRows) -> sql.Composed:
    if len(program.key) > MAX_KEY_COLUMNS:
        raise OperatorError(
            f"outbound rule {program.name}: found {len(program.key)} key columns, "
            f"expected at most {MAX_KEY_COLUMNS}"
        )
    return sql.SQL(", ").join(sql.Identifier(f"k{n}") for n in range(1, len(program.key) + 1))


def _desired(connection: Connection, program: DesiredRows, keys: int) -> pl.DataFrame:
    names = [*program.key, *program.columns]
    schema = {**dict.fromkeys(names, pl.String), "_deleted": pl.String, "_staged_seq": pl.Int64}
    text = io.BytesIO()
    _sessions.setdefault(connection, _Session()).keys_put += keys
    if keys >= _MANY:
        connection.execute(sql.SQL("analyze {}").format(_AFFECTED))
    if keys:
        query = sql.SQL("copy (select {} from ({}) as desired) to stdout (format csv)").format(
            sql.SQL(", ").join(map(sql.Identifier, schema)),
            sql.SQL(program.desired_sql),
        )
        with connection.cursor() as cursor, cursor.copy(query) as copy:
            for part in copy:
                text.write(part)
    if not text.tell():
        frame = pl.DataFrame(schema=schema)
    else:
        text.seek(0)
        frame = pl.read_csv(text, has_header=False, new_columns=list(schema), schema=schema)
    return frame.with_columns(pl.col("_deleted") == "t")
