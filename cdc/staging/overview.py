"""What is going on, from staging alone: for `ccbridge status` and the demo."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import sql
from psycopg.errors import UndefinedTable
from psycopg.rows import dict_row

from cdc.errors import StagingRevision
from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors

_FLOWS = """
select flow, status, position, staged_seq, rows, held, detail, error_code, error_text, hint,
       extract(epoch from now() - reported_at)::float8 as reported_s
from staging.flow_state order by flow
"""
_RECEIPTS = """
select state, count(*) as receipts, coalesce(sum(amount), 0) as amount,
       extract(epoch from now() - min(built_at))::float8 as oldest_s
from staging.receipt where not tombstone group by state order by state
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


def _rows(connection: Connection, statement: sql.SQL | sql.Composed | str) -> list[dict[str, Any]]:
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
    return _rows(connection, _FLOWS)


def receipts(connection: Connection) -> list[dict[str, Any]]:
    """Receipts by state: number, sum, age of the oldest in seconds."""
    return _rows(connection, _RECEIPTS)


def echoes(connection: Connection) -> list[dict[str, Any]]:
    """Our own writes read back and left out, by table: of the last day, 20,000 batches at most."""
    return _rows(connection, _ECHOES)


def dead_letters(connection: Connection) -> list[dict[str, Any]]:
    """Rows set aside and not settled, by rule and reason."""
    return _rows(connection, _DEAD_LETTERS)


def lag_s(connection: Connection, entities: Iterable[str], staged_seq: int) -> float:
    """Age of the oldest staged change that a sink at `staged_seq` has not delivered; 0 for none.

    Args:
        connection: to staging.
        entities: the entities that the sink's rules read.
        staged_seq: the sink's mark.
    """
    oldest = sql.SQL(" union all ").join(
        sql.SQL("select min(committed_at) as at from {} where staged_seq > {}").format(
            sql.Identifier("staging", entity), sql.Literal(staged_seq)
        )
        for entity in sorted(set(entities))
    )
    found = _rows(
        connection,
        sql.SQL("select extract(epoch from now() - min(at))::float8 as lag_s from ({}) as o").format(oldest),
    )
    return max(0.0, found[0]["lag_s"] or 0.0)
