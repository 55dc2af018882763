"""The one order of staged versions over all flows: `staged_seq`.

Several flows stage at the same time, sinks follow one number. A flow takes the lock as late in its
transaction as it can, takes its numbers, and commits: so numbers become visible in growing order,
and a sink that has seen `n` never misses a row with a smaller number. Sinks read
the highest number from `cdc.staging.desired`.
"""

from __future__ import annotations

import psycopg

NEXT_STAGED_SEQ = "nextval('staging.staged_seq')"
"""SQL for one more number; only valid after `lock_sequence` in the same transaction."""

# a table, as any role that may connect could take an advisory lock and hold up every flow
_LOCK = "lock table staging.staged_order in exclusive mode"

# setval and nextval are two steps: safe only because the lock comes before both
_RESERVE = "select setval('staging.staged_seq', nextval('staging.staged_seq') + %s::bigint - 1)"


def lock_sequence(cursor: psycopg.Cursor[tuple[object, ...]]) -> None:
    """Wait for the right to give numbers; held until the transaction ends, so commit soon."""
    cursor.execute(_LOCK)


def reserve_numbers(cursor: psycopg.Cursor[tuple[object, ...]], count: int) -> int:
    """Take the order lock and `count` numbers in a row.

    Returns:
        The first one. Numbers that are not used leave a gap, which means nothing.
    """
    with cursor.connection.pipeline():
        lock_sequence(cursor)
        cursor.execute(_RESERVE, [max(count, 1)])
    row = cursor.fetchone()
    last = row[0] if row is not None else None
    if not isinstance(last, int):
        raise TypeError("setval gave no number")
    return last - max(count, 1) + 1
