"""New versions of receipts: rows of `staging.receipt`, with the replaced version kept in its history.

Receipts are made by ccbridge itself, so their versions come from no source's stream; apart from that
they are an entity like any other, and outbound rules can read them. `store` writes
what we do with a receipt, `progress` what CC&B made of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from cdc.postgres.connect import Connection
from cdc.staging.schema.tables import TRAILING
from cdc.staging.staged_seq import NEXT_STAGED_SEQ, lock_sequence
from sinks.ccb_payment_upload.receipts.tables import COLUMNS

SOURCE = "ccbridge"
"""source_system of every receipt."""


_ADD = f"""
insert into staging.receipt ({", ".join([*COLUMNS, *TRAILING])})
select {{values}}, '{SOURCE}', 0, 0, 'c', now(), now(), null, {NEXT_STAGED_SEQ}, false
from (select * from {{source}} order by recharge_id) as n
on conflict (recharge_id) do nothing
returning staged_seq
"""  # noqa: S608 - our own text
_REPLACE = f"""
with moving as materialized (
    select r.recharge_id, {{assigned}}, ({{committed_at}})::timestamptz as _committed_at
    from {{source}}
),
numbered as materialized (
    select m.*, {NEXT_STAGED_SEQ} as _staged_seq from (select * from moving order by recharge_id) as m
),
superseded as (
    insert into staging.receipt_history
        ({", ".join([*COLUMNS, *TRAILING])}, superseded_seq, valid_from, valid_to)
    select {", ".join(f"r.{name}" for name in [*COLUMNS, *TRAILING])},
        n._staged_seq, r.committed_at, greatest(r.committed_at, n._committed_at)
    from numbered n join staging.receipt r on r.recharge_id = n.recharge_id
)
update staging.receipt r set {{sets}}, operation = 'u', staged_seq = n._staged_seq, staged_at = now(),
    committed_at = greatest(r.committed_at, n._committed_at)
from numbered n where r.recharge_id = n.recharge_id
returning r.staged_seq
"""  # noqa: S608 - our own text


def adding(source: str, values: Mapping[str, str]) -> str:
    """SQL that adds receipts not there yet.

    Args:
        source: table expression with a column recharge_id.
        values: SQL expression over `n`, a row of the source, by column; others are null.
    """
    return _ADD.format(source=source, values=", ".join(values.get(name, "null") for name in COLUMNS))


def replacing(source: str, values: Mapping[str, str], *, committed_at: str = "now()") -> str:
    """SQL that gives receipts a new version.

    Args:
        source: from clause and condition, with the receipt as `r`, each at most once.
        values: SQL expression over the source, by column that changes.
        committed_at: SQL expression of when the change was made.
    """
    return _REPLACE.format(
        source=source,
        assigned=", ".join(f"{expression} as _{name}" for name, expression in values.items()),
        sets=", ".join(f"{name} = n._{name}" for name in values),
        committed_at=committed_at,
    )


def execute(connection: Connection, statement: str, parameters: Mapping[str, object]) -> int:
    """Run a statement of `adding` or `replacing` under the order lock, in the caller's transaction.

    Commit soon: other flows wait for the lock.

    Returns:
        How many receipts got a version.
    """
    with connection.cursor() as cursor:
        lock_sequence(cursor)
        # planned again each time: how many rows are touched differs a lot
        cursor.execute(statement, parameters, prepare=False)
        return cursor.rowcount
