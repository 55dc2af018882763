"""The state of replication, from staging alone: for `ccbridge status` and the demo."""

from __future__ import annotations

from typing import Any

from psycopg import sql
from psycopg.errors import UndefinedTable
from psycopg.rows import dict_row

from cdc.errors import StagingRevision
from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors
from cdc.staging.desired import WITH_STAGED_SEQ

_FLOWS = """
select flow, status, position, staged_seq, rows, held, detail, error_code, error_text, hint, run_id,
       changed_at, greatest(0, extract(epoch from now() - current_to))::float8 as lag_s,
       extract(epoch from now() - status_since)::float8 as status_s,
       extract(epoch from now() - reported_at)::float8 as reported_s
from staging.flow_state order by flow
"""
_ACTIVE = """
select holder, acquired_at, version, rule_set, expires_at > clock_timestamp() as alive,
       (select count(*) from pg_stat_activity
        where application_name = 'ccbridge lease' and datname = current_database()) as standbys
from staging.lease where name = {}
"""
_ECHOES = """
select system, t.key as table_name, sum((t.value ->> 'suppressed')::bigint)::bigint as suppressed,
       max(b.staged_at) as last_at
from (select system, counts, staged_at from staging.batch order by batch_id desc limit 20000) as b,
     jsonb_each(b.counts) as t
where b.staged_at > now() - interval '1 day' and (t.value ->> 'suppressed')::bigint > 0
group by system, t.key order by system, t.key
"""
_DEAD_LETTERS = """
select stage, system, rule, reason_code, count(*) as rows, max(retries) as retries,
       extract(epoch from now() - min(first_seen))::float8 as oldest_s
from staging.dead_letter where resolved_at is null
group by stage, system, rule, reason_code order by stage, system, rule, reason_code
"""


def rows(connection: Connection, statement: sql.SQL | sql.Composed | str) -> list[dict[str, Any]]:
    """What a query of staging's tables gives, by column.

    Raises:
        StagingRevision: a table is missing.
    """
    with postgres_errors("staging"), connection.cursor(row_factory=dict_row) as cursor:
        try:
            cursor.execute(statement)
        except UndefinedTable as exc:
            raise StagingRevision(
                "staging: a table of this release is missing", hint="run: ccbridge migrate"
            ) from exc
        return cursor.fetchall()


def flows(connection: Connection) -> list[dict[str, Any]]:
    """The last word of each flow, with its age in seconds."""
    return rows(connection, _FLOWS)


def active(connection: Connection, lease: str) -> dict[str, Any] | None:
    """Who holds a lease, since when and with which release and rule set; None if it was never held.

    `alive` is False once it ended or fell silent, `standbys` are the processes that wait for it.
    """
    found = rows(connection, sql.SQL(_ACTIVE).format(sql.Literal(lease)))
    return found[0] if found else None


def echoes(connection: Connection) -> list[dict[str, Any]]:
    """Our own writes read back and left out, by table: of the last day, 20,000 batches at most."""
    return rows(connection, _ECHOES)


def dead_letters(connection: Connection) -> list[dict[str, Any]]:
    """Open dead letters by rule and reason."""
    return rows(connection, _DEAD_LETTERS)


def lag_s(connection: Connection, staged_seq: int) -> float:
    """Age of the oldest staged change that a sink at `staged_seq` has not looked at; 0 for none.

    A sink's mark moves over the versions of every entity, also those that its rules do not read.
    """
    entities = [one["relname"] for one in rows(connection, WITH_STAGED_SEQ)]
    if not entities:
        return 0.0
    oldest = sql.SQL(" union all ").join(
        sql.SQL("select min(committed_at) as at from {} where staged_seq > {}").format(
            sql.Identifier("staging", entity), sql.Literal(staged_seq)
        )
        for entity in sorted(entities)
    )
    found = rows(
        connection,
        sql.SQL("select extract(epoch from now() - min(at))::float8 as lag_s from ({}) as o").format(oldest),
    )
    return max(0.0, found[0]["lag_s"] or 0.0)
