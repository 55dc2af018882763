"""What a target should hold, computed from staging by the outbound rules' SQL.

A sink follows `staged_seq`: the keys touched between its mark and `high_staged_seq` are put into a
temporary table, and one query gives the desired row of each. Values leave as text, so nothing is
rounded; NULL and the empty text stay different.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from weakref import WeakKeyDictionary

import polars as pl
import psycopg
from psycopg import sql

from cdc.errors import OperatorError
from cdc.postgres.connect import Connection, one_statement
from cdc.postgres.copy import copy_frame, execute_as_text, fetch_frame
from cdc.postgres.errors import postgres_errors
from cdc.postgres.planning import without_now
from cdc.postgres.scratch import ScratchRows
from mapping_rules import OutboundProgram

MAX_KEY_COLUMNS = 8
_AFFECTED = "pg_temp.affected_key"
_FOLLOW_KEYS = without_now("hashjoin", "mergejoin", "seqscan")

WITH_STAGED_SEQ = """
select c.relname from pg_class c
where c.relnamespace = 'staging'::regnamespace and c.relkind = 'r'
    and c.relname not in ('delivery', 'flow_state')
    and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'staged_seq')
    and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'superseded_seq')
"""
_NEWEST = 2**63 - 1


@dataclass
class _Session:
    """What is remembered of a connection."""

    newest: str | None = None
    tables: tuple[str, ...] = ()
    has_keys: bool = False
    keys: ScratchRows = field(default_factory=ScratchRows)


_sessions: WeakKeyDictionary[Connection, _Session] = WeakKeyDictionary()


def high_staged_seq(connection: Connection) -> int:
    """Highest committed number of any staged version; 0 while there is none.

    Nothing with a smaller number can still become visible, see `cdc.staging.staged_seq`.
    """
    return max(newest_staged_seq(connection).values(), default=0)


def newest_staged_seq(connection: Connection) -> Mapping[str, int]:
    """Highest committed number of each entity's versions; 0 while there is none.

    The row that was changed last carries it, so an entity without a row beyond a number has not
    changed since.
    """
    with postgres_errors("staging"), one_statement(connection):
        session = _sessions.setdefault(connection, _Session())
        if session.newest is None:
            session.tables = tuple(str(name) for (name,) in connection.execute(WITH_STAGED_SEQ))
            session.newest = _newest(session.tables)
        row = connection.execute(session.newest).fetchone() or ()
    return {name: int(str(highest or 0)) for name, highest in zip(session.tables, row, strict=True)}


def desired_rows(connection: Connection, program: OutboundProgram, low: int, high: int) -> pl.DataFrame:
    """Desired rows of the keys touched with low < staged_seq <= high.

    Staging may have moved beyond `high`: rows show its newest state, and come again later.

    Returns:
        The program's key columns and columns as text, `_deleted` Boolean, `_staged_seq` Int64; a
        row for each target row that should exist, or should not (`_deleted`).
    """
    subject = f"outbound rule {program.name}"
    put = _put_changed_keys(program.changed_keys_sql, _key_names(program))
    with postgres_errors(subject), connection.cursor() as keys, connection.cursor() as rows:
        session = _prepared(connection)
        # one round trip for all of it
        with connection.pipeline(), connection.transaction():
            keys.execute(put, {"low": low, "high": high})
            execute_as_text(rows, _select_desired(program.desired_sql, _columns(program)))
        (count, *_) = keys.fetchone() or (0,)
        session.keys.add(int(str(count)))
        return _desired(rows, program)


def desired_rows_for_keys(
    connection: Connection, program: OutboundProgram, keys: pl.DataFrame
) -> pl.DataFrame:
    """Desired rows of given keys, for keys that wait.

    Args:
        connection: to staging.
        program: the compiled outbound rule.
        keys: one column for each key column of the target, named like it.

    Returns:
        As `desired_rows`.
    """
    subject = f"outbound rule {program.name}"
    with postgres_errors(subject), connection.cursor() as cursor:
        session = _prepared(connection)
        named = keys.select_seq(
            pl.col(name).cast(pl.String).alias(f"k{number}") for number, name in enumerate(program.key, 1)
        )
        with connection.transaction():
            cursor.execute(f"delete from {_AFFECTED}")  # noqa: S608 - our own name
            copy_frame(cursor, sql.SQL(_AFFECTED), named.unique())
            cursor.execute(f"select {_FOLLOW_KEYS}")
            execute_as_text(cursor, _select_desired(program.desired_sql, _columns(program)))
            session.keys.add(keys.height)
            return _desired(cursor, program)


_FOLDED = {
    # a character outside ASCII may be one in it for another database's locale
    "case": "lower({0}) = lower({1}) or octet_length({0}) <> char_length({0})",
    "number": "case when {0} ~ '^-?[0-9]+([.][0-9]+)?$' then trim_scale({0}::numeric)::text else {0} end = "
    "case when {1} ~ '^-?[0-9]+([.][0-9]+)?$' then trim_scale({1}::numeric)::text else {1} end",
    "any": "true",
}
"""How texts of a key may differ and be one value of the target; a superset, as only the target knows."""


def live_keys(
    connection: Connection, program: OutboundProgram, keys: pl.DataFrame, likeness: Mapping[str, str]
) -> pl.DataFrame:
    """Keys of rows that should exist and may have one of the given keys for the target.

    Upper and lower case (`spelling`) are looked up; any other likeness reads all keys of the root.

    Args:
        connection: to staging.
        program: the compiled outbound rule.
        keys: one column for each key column of the target, named like it.
        likeness: for key columns that are not compared by their text: `spelling`, `case`, `number`, `any`.

    Returns:
        Key columns as text; those given may be among them.
    """
    alike = keys
    if any(likeness[name] != "spelling" for name in likeness):
        alike = _alike(connection, program, keys, likeness)
    for name, kind in likeness.items():
        if kind == "spelling":
            spelt = pl.concat_list(name, pl.col(name).str.to_lowercase(), pl.col(name).str.to_uppercase())
            alike = alike.with_columns(spelt.alias(name)).explode(name)
    rows = desired_rows_for_keys(connection, program, alike)
    return rows.filter(~pl.col("_deleted")).select(program.key)


def _alike(
    connection: Connection, program: OutboundProgram, keys: pl.DataFrame, likeness: Mapping[str, str]
) -> pl.DataFrame:
    """Root keys, live or not, that are like a given one in each column."""
    columns = list(enumerate(program.key, 1))
    conditions = " and ".join(
        f"({_FOLDED.get(likeness.get(name, ''), '{0} = {1}').format(f'r.k{n}', f'g.k{n}')})"
        for n, name in columns
    )
    given = ", ".join(f"k{n} text" for n, _ in columns)
    statement = (
        f"select distinct {', '.join(f'r.k{n}' for n, _ in columns)} from ({program.changed_keys_sql}) r "  # noqa: S608
        f"join jsonb_to_recordset(%(given)s::jsonb) as g({given}) on {conditions}"
    )
    listed = [{f"k{n}": row[name] for n, name in columns} for row in keys.rows(named=True)]
    with postgres_errors(f"outbound rule {program.name}"), connection.cursor() as cursor:
        with connection.transaction():
            execute_as_text(
                cursor, sql.SQL(statement), {"low": 0, "high": _NEWEST, "given": json.dumps(listed)}
            )
        return fetch_frame(cursor, dict.fromkeys(program.key, pl.String))


def _newest(tables: Sequence[str]) -> str:
    """One statement over every table that has a staged_seq, those of sinks included.

    Without max(): a server that takes a table for empty would read all of it for that.
    """
    one = sql.SQL("(select staged_seq from {} order by staged_seq desc limit 1)")
    highest = [one.format(sql.Identifier("staging", name)) for name in tables]
    return sql.SQL("select {}").format(sql.SQL(", ").join(highest)).as_string()


def _prepared(connection: Connection) -> _Session:
    """The session with its table for keys, made once; the rows in it are old ones, which each use deletes."""
    session = _sessions.setdefault(connection, _Session())
    if not session.has_keys:
        columns = ", ".join(f"k{n} text" for n in range(1, MAX_KEY_COLUMNS + 1))
        with one_statement(connection):
            connection.execute(f"create temporary table affected_key ({columns})")
        session.has_keys = True

    def truncate() -> None:
        with one_statement(connection):
            connection.execute(f"truncate {_AFFECTED}")

    session.keys.make_room(truncate)
    return session


@cache
def _put_changed_keys(changed_keys_sql: str, names: str) -> str:
    """Put the changed keys in, tell how many, and have the next statements of the transaction follow them."""
    return (
        f"with forgotten as (delete from {_AFFECTED}), changed as ({changed_keys_sql}), "  # noqa: S608
        f"put as (insert into {_AFFECTED} ({names}) select {names} from changed returning 1) "
        f"select count(*), {_FOLLOW_KEYS} from put"
    )


@cache
def _select_desired(desired_sql: str, columns: tuple[str, ...]) -> sql.SQL:
    names = sql.SQL(", ").join(map(sql.Identifier, columns)).as_string()
    return sql.SQL(f"select {names} from ({desired_sql}) as desired")  # noqa: S608 - a compiled rule


def _key_names(program: OutboundProgram) -> str:
    if len(program.key) > MAX_KEY_COLUMNS:
        raise OperatorError(
            f"outbound rule {program.name}: found {len(program.key)} key columns, "
            f"expected at most {MAX_KEY_COLUMNS}",
            hint="give the rule a key of fewer columns; run: ccbridge rules check",
        )
    return ", ".join(f"k{n}" for n in range(1, len(program.key) + 1))


def _columns(program: OutboundProgram) -> tuple[str, ...]:
    return (*program.key, *program.columns, "_deleted", "_staged_seq")


def _desired(cursor: psycopg.Cursor[tuple[object, ...]], program: OutboundProgram) -> pl.DataFrame:
    """The rows of a query that was asked."""
    frame = fetch_frame(cursor, dict.fromkeys(_columns(program), pl.String) | {"_staged_seq": pl.Int64})
    return frame.with_columns_seq(pl.col("_deleted") == "t")
