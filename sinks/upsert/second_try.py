"""Rows that were refused for want of another one, tried once more when all others are in.

A parent may have come later in the same write, a unique value may have been freed, and rows may need each
other: a ring of foreign keys, two that exchange a value. The last is solved where the constraints can be
deferred: all such rows are written together and checked at the end; those that still lack a parent are
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
"""More refusals than this wait for the flow's next try; alone, each takes a round of its own."""

_MAX_ROUNDS = 8
"""How often rows without parent are left out: as often as a chain of them is long."""

Refused = Sequence[tuple[TableWrite, int]]


def try_again(session: TargetSession, parts: Sequence[TableWrite]) -> None:
    """Write what can be written of the rows set aside; the others stay set aside."""
    group = _worth_another_try(parts)
    if len(group) > _MAX_TRIED_AGAIN:
        return
    for _ in range(_MAX_ROUNDS if session.defers else 0):
        left = _together(session, parts, group) if len(group) > 1 else []
        if len(left) == len(group):
            break
        group = left
    for part, row in _worth_another_try(parts):
        part.again(row)


def _worth_another_try(parts: Sequence[TableWrite]) -> Refused:
    return [(part, row) for part in parts for row in part.worth_another_try]


def _together(session: TargetSession, parts: Sequence[TableWrite], refused: Refused) -> Refused:
    """Write rows that may need each other; returns what is worth a next round, none if all is in.

    Nothing is written unless everything is.
    """
    states = [part.state() for part in parts]
    left = list(refused)
    try:
        with session.connection.transaction():
            session.connection.execute("set constraints all deferred")
            left = [(part, row) for part, row in refused if _written(session, part, row)]
            try:
                with session.connection.transaction():
                    check_now(session.connection)
            except psycopg.Error as exc:
                orphans = {(id(part), row) for part in parts for row in part.orphans(exc)}
                left = [(part, row) for part, row in left if (id(part), row) not in orphans]
                raise
            if len(left) < len(refused):
                raise psycopg.Rollback
    except (psycopg.Error, RowError) as exc:
        if not may_concern_a_row(exc, doubtful=session.doubtful):
            raise
    else:
        if len(left) == len(refused):
            return []
    for part, state in zip(parts, states, strict=True):
        part.restore(state)
    return left


def _written(session: TargetSession, part: TableWrite, row: int) -> bool:
    """Write one row, whatever can be checked later; False if it is refused by itself."""
    try:
        with session.connection.transaction():
            part.again_unchecked(row)
    except (psycopg.Error, RowError) as exc:
        if not may_concern_a_row(exc, doubtful=session.doubtful):
            raise
        return False
    return True
