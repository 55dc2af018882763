"""What sinks wrote: `staging.delivery`, committed just before the target's own commit.

If the process dies between the two, the records of that target transaction are voided on the next
start: append-only, so a voided record is followed by one that says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from psycopg import sql

from cdc.postgres.connect import Connection
from cdc.postgres.copy import copy_frame
from cdc.postgres.errors import postgres_errors
from cdc.staging.audit.change_log import storable_json
from cdc.staging.leases import Lease

_NOT_VOIDED = """
not exists (select from staging.delivery v where v.sink = d.sink
    and v.target_transaction = d.target_transaction and v.decision = 'void')
"""
_UNSETTLED = f"""
select distinct d.target_transaction from staging.delivery d
where d.sink = %(sink)s and d.target_transaction is not null and {_NOT_VOIDED}
    and (d.staged_seq > %(mark)s
        or d.delivery_id = (select max(delivery_id) from staging.delivery where sink = %(sink)s))
order by d.target_transaction
"""  # noqa: S608 - our own text
_VOID = f"""
insert into staging.delivery (sink, target_table, key, decision, before, after, staged_seq,
    target_transaction)
select d.sink, d.target_table, d.key, 'void', d.before, d.after, d.staged_seq, d.target_transaction
from staging.delivery d
where d.sink = %(sink)s and d.target_transaction = any(%(transactions)s) and {_NOT_VOIDED}
order by d.delivery_id
"""  # noqa: S608 - our own text


def record_deliveries(connection: Connection, deliveries: pl.DataFrame) -> None:
    """Store what is about to be committed in a target; the caller commits before the target does.

    Args:
        connection: to staging.
        deliveries: columns of staging.delivery but its number and time; key, before, after as json text.
    """
    storable = storable_json(deliveries, ("key", "before", "after"))
    with connection.cursor() as cursor:
        copy_frame(cursor, sql.Identifier("staging", "delivery"), storable)


def unsettled_deliveries(connection: Connection, sink: str, mark: int) -> list[str]:
    """Target transactions of which staging cannot know whether they committed.

    Those are the sink's last one, and any that went beyond the mark its target holds.
    """
    with postgres_errors("staging.delivery"), connection.transaction():
        rows = connection.execute(_UNSETTLED, {"sink": sink, "mark": mark}).fetchall()
    return [str(row[0]) for row in rows]


def void_deliveries(
    connection: Connection, sink: str, transactions: Sequence[str], lease: Lease | None = None
) -> int:
    """Say of every record of these target transactions that it was never committed; commits.

    Returns:
        How many records were voided; 0 when that had been said before.

    Raises:
        LeaseLost: another process is active; nothing was voided.
    """
    parameters = {"sink": sink, "transactions": list(transactions)}
    with postgres_errors("staging.delivery"), connection.transaction():
        if lease is not None:
            lease.verify(connection)
        return connection.execute(_VOID, parameters).rowcount
