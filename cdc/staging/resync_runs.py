"""Runs that compare sources with staging, what each has compared, and what it found.

A chunk and what differs in it are recorded in one transaction, so a run that was killed is continued behind
the last chunk, and nothing is recorded twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cdc.changes import TableName
from cdc.ports import KeyRange
from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors
from cdc.staging.leases import LeaseCheck

Ending = Literal["done", "interrupted", "window ended", "failed"]
UNFINISHED = ("running", "interrupted", "window ended", "failed")
DIFFERENCE_COLUMNS = (
    "system",
    "schema_name",
    "table_name",
    "key",
    "class",
    "columns",
    "source",
    "staged",
    "source_position",
    "staged_position",
    "cause",
    "first_seen",
    "judged_at",
)
_CONTINUE = """
update staging.resync_run set state = 'running', host = %(host)s, continued_at = now(), ended_at = null,
    error_code = null, error_text = null
where run_id = (
        select run_id from staging.resync_run
        where command = %(command)s and scope = %(scope)s order by run_id desc limit 1)
    and rule_set = %(rule_set)s and state = any (%(unfinished)s)
returning run_id
"""
_BEGIN = """
insert into staging.resync_run (command, scope, rule_set, state, host)
values (%(command)s, %(scope)s, %(rule_set)s, 'running', %(host)s) returning run_id
"""
_END = """
update staging.resync_run set state = %s, ended_at = now(), error_code = %s, error_text = %s where run_id = %s
"""
_DONE = """
-- the last chunk of each table: where it ended
select distinct on (system, schema_name, table_name) system, schema_name, table_name, chunk_no, high
from staging.resync_chunk where run_id = %s order by system, schema_name, table_name, chunk_no desc
"""
_CHUNK = """
insert into staging.resync_chunk (run_id, system, schema_name, table_name, chunk_no, low, high, position,
    source_rows, staged_rows, rows_read, elapsed_ms)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_DIFFERENCE = """
insert into staging.resync_difference (run_id, system, schema_name, table_name, key, class, columns, source,
    staged, source_position, staged_position, cause, first_seen)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_ACCOUNT = """
select c.system, c.schema_name, c.table_name, count(*) as chunks, sum(c.source_rows)::bigint as source_rows,
    sum(c.staged_rows)::bigint as staged_rows, sum(c.rows_read)::bigint as rows_read,
    bool_or(c.low is null) and bool_or(c.high is null) as complete,
    coalesce(d.missing, 0) as missing, coalesce(d.extra, 0) as extra, coalesce(d.different, 0) as different,
    coalesce(d.postponed, 0) as postponed
from staging.resync_chunk c
left join (
    select system, schema_name, table_name, count(*) filter (where class = 'missing') as missing,
        count(*) filter (where class = 'extra') as extra,
        count(*) filter (where class = 'different') as different,
        count(*) filter (where class = 'postponed') as postponed
    from staging.resync_difference where run_id = %(run)s group by system, schema_name, table_name) d
    on d.system = c.system and d.schema_name = c.schema_name and d.table_name = c.table_name
where c.run_id = %(run)s
group by c.system, c.schema_name, c.table_name, d.missing, d.extra, d.different, d.postponed
order by c.system, c.schema_name, c.table_name
"""


@dataclass(frozen=True)
class Begun:
    """A run under way; `ended_at` has number and upper bound of the last chunk of each table begun."""

    run_id: int
    is_continued: bool
    ended_at: Mapping[tuple[str, TableName], tuple[int, str | None]]


@dataclass(frozen=True)
class ChunkRecord:
    """A range that was compared, every key of it judged."""

    number: int
    within: KeyRange
    position: int
    source_rows: int
    staged_rows: int
    rows_read: int
    elapsed_ms: int


@dataclass(frozen=True)
class Difference:
    """A row that differs, or that could not be judged: the columns of staging.resync_difference."""

    key: Mapping[str, str | None]
    kind: Literal["missing", "extra", "different", "postponed"]
    source_position: int
    first_seen: datetime
    columns: Sequence[str] | None = None
    source: Mapping[str, str | None] | None = None
    staged: Mapping[str, str | None] | None = None
    staged_position: int | None = None
    cause: str | None = None


class ResyncRuns:
    """Writes and reads runs.

    Args:
        connection: to staging, with no transaction open; not in autocommit.
        lease: verified in every transaction that writes.
    """

    def __init__(self, connection: Connection, lease: LeaseCheck) -> None:
        self._connection, self._lease = connection, lease

    def begin(
        self, command: str, scope: Mapping[str, Any], rule_set: str, host: str, *, fresh: bool
    ) -> Begun:
        """Continue the last run of that command and scope if it is not done and rules are the same; or begin.

        Raises:
            LeaseLost: another process is active.
        """
        parameters = {
            "command": command,
            "scope": Jsonb(dict(scope)),
            "rule_set": rule_set,
            "host": host,
            "unfinished": list(UNFINISHED),
        }
        with postgres_errors("staging.resync_run"), self._connection.transaction():
            self._lease.verify(self._connection)
            row = None if fresh else self._connection.execute(_CONTINUE, parameters).fetchone()
            is_continued = row is not None
            row = row or self._connection.execute(_BEGIN, parameters).fetchone() or (0,)
            run_id = int(str(row[0]))
            ends: list[Any] = self._connection.execute(_DONE, [run_id]).fetchall()
        ended = {(system, TableName(schema, name)): (no, high) for system, schema, name, no, high in ends}
        return Begun(run_id, is_continued, ended)

    def record(
        self, run_id: int, system: str, table: TableName, chunk: ChunkRecord, found: Sequence[Difference]
    ) -> None:
        """Record a chunk with what differs in it.

        Raises:
            LeaseLost: another process is active; nothing was recorded.
        """
        names = [run_id, system, table.schema, table.name]
        with postgres_errors("staging.resync_chunk"), self._connection.transaction():
            self._lease.verify(self._connection)
            self._connection.execute(
                _CHUNK,
                [
                    *names,
                    chunk.number,
                    chunk.within.low,
                    chunk.within.high,
                    chunk.position,
                    chunk.source_rows,
                    chunk.staged_rows,
                    chunk.rows_read,
                    chunk.elapsed_ms,
                ],
            )
            with self._connection.cursor() as cursor:
                cursor.executemany(_DIFFERENCE, [[*names, *_values(one)] for one in found])

    def end(self, run_id: int, state: Ending, error: tuple[str, str] | None = None) -> None:
        """Say how a run ended; `error` is code and text."""
        code, text = error or (None, None)
        with postgres_errors("staging.resync_run"), self._connection.transaction():
            self._lease.verify(self._connection)
            self._connection.execute(_END, [state, code, text, run_id])

    def account(self, run_id: int) -> list[dict[str, Any]]:
        """What was compared of each table, whether all of its key space, and what was found."""
        return self._rows(_ACCOUNT, {"run": run_id})

    def differences(self, run_id: int) -> list[dict[str, Any]]:
        """What a run found: DIFFERENCE_COLUMNS, in the order of judging."""
        columns = ", ".join(DIFFERENCE_COLUMNS)
        query = (
            f"select {columns} from staging.resync_difference where run_id = %(run)s order by difference_id"  # noqa: S608
        )
        return self._rows(query, {"run": run_id})

    def _rows(self, query: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
        with (
            postgres_errors("staging.resync_run"),
            self._connection.transaction(),
            self._connection.cursor(row_factory=dict_row) as cursor,
        ):
            return cursor.execute(query.encode(), parameters).fetchall()


def _values(found: Difference) -> list[object]:
    return [
        Jsonb(dict(found.key)),
        found.kind,
        None if found.columns is None else list(found.columns),
        None if found.source is None else Jsonb(dict(found.source)),
        None if found.staged is None else Jsonb(dict(found.staged)),
        found.source_position,
        found.staged_position,
        found.cause,
        found.first_seen,
    ]
