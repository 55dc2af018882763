"""Rows that were rejected for want of another one, retried when all others are written.

A parent may have come later in the same write, a unique value may have been freed, and rows may need each
other: a ring of foreign keys, two that exchange a value. The last is solved where the constraints can be
deferred: all such rows are written together and checked at the end; those still without a parent are
left out, and the rest is tried again.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from cdc.errors import RowError
from sinks.upsert.isolation import may_concern_a_row
from sinks.upsert.table_write import TableWrite
from sinks.upsert.target_session import TargetSession, check_now

_MAX_TRIED_AGAIN = 100
"""More rejections than this wait for the flow's next try; alone, each takes a round of its own."""

_MAX_ROUNDS = 8
"""How often rows without parent are left out: as often as a chain of them is long."""

Rejected = Sequence[tuple[TableWrite, int]]


def retry_rejected(session: TargetSession, parts: Sequence[TableWrite]) -> None:
    """Write what can be written of the rejected rows; the others stay rejected."""
    group = _worth_another_try(parts)
    if len(group) > _MAX_TRIED_AGAIN:
        return
    for _ in range(_MAX_ROUNDS if session.defers else 0):
        left = _together(session, parts, group) if len(group) > 1 else []
        if len(left) == len(group):
            break
        group = left
    for part, row in _worth_another_try(parts):
        part.retry(row)


def _worth_another_try(parts: Sequence[TableWrite]) -> Rejected:
    return [(part, row) for part in parts for row in part.worth_another_try]


def _together(session: TargetSession, parts: Sequence[TableWrite], rejected: Rejected) -> Rejected:
    """Write rows that may need each other; returns what is worth a next round, none if all are written.

    Nothing is written unless everything is.
    """
    states = [part.state() for part in parts]
    left = list(rejected)
    try:
        with session.connection.transaction():
            session.connection.execute("set constraints all deferred")
            left = [(part, row) for part, row in rejected if _written(session, part, row)]
            try:
                with session.connection.transaction():
                    check_now(session.connection)
            except psycopg.Error as exc:
                orphans = {(id(part), row) for part in parts for row in part.orphans(exc)}
                left = [(part, row) for part, row in left if (id(part), row) not in orphans]
                raise
            if len(left) < len(rejected):
                raise psycopg.Rollback
    except (psycopg.Error, RowError) as exc:
        if not may_concern_a_row(exc, doubtful=session.doubtful):
            raise
    else:
        if len(left) == len(rejected):
            return []
    for part, state in zip(parts, states, strict=True):
        part.restore(state)
    return left


def _written(session: TargetSession, part: TableWrite, row: int) -> bool:
    """Write one row, whatever can be checked later; False if it is rejected alone."""
    try:
        with session.connection.transaction():
            part.retry_unchecked(row)
    except (psycopg.Error, RowError) as exc:
        if not may_concern_a_row(exc, doubtful=session.doubtful):
            raise
        return False
    return True
