"""Finding the rows that the target rejects, by bisecting, while the others are written.

A set-based statement fails as a whole. The range of rows it worked on is tried again in halves
under savepoints until single rows are left: for one bad row among n, about 2 log2(n) attempts.

Whether an error concerns a row is found out, not looked up: the error follows a row unless it comes without
any row too. An error about the server (`cdc.postgres.errors.is_environment`) passes through. Where it has
come again and again while the session lived it is doubted, because a trigger may have raised it, or met it
elsewhere: it is the table's if the server takes a write that has nothing to do with the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from cdc.errors import RowError
from cdc.postgres.connect import Connection
from cdc.postgres.errors import is_environment, translated
from sinks.upsert.statements.rejections import Rejection

_MANY = 100
"""So many rows rejected and none written: the table is the cause. What is left is not halved any more."""

_SEVERAL, _LONG_S = 5, 2.0
"""The same where a trigger takes long to fail: so many rows after that time."""


class _Undone(Exception):
    """Ends an attempt that was only to see whether it fails."""


def may_concern_a_row(exc: psycopg.Error | RowError, *, doubtful: bool) -> bool:
    """True if trying rows by themselves can get other rows through.

    Args:
        exc: what was raised.
        doubtful: errors about the server are none of it alone any more; a session that was lost still is.
    """
    return isinstance(exc, RowError) or not is_environment(exc) or (doubtful and exc.sqlstate is not None)


def bisect_until_written(
    connection: Connection,
    low: int,
    high: int,
    attempt: Callable[[int, int], None],
    explain: Callable[[int, psycopg.Error | RowError], Rejection],
    adapt: Callable[[psycopg.Error | RowError], bool] = lambda exc: False,
    *,
    server_writes: Callable[[], bool] | None = None,
) -> list[Rejection]:
    """Run `attempt` for the rows low <= row < high, collecting the rows that make it fail.

    Each attempt runs under a savepoint and is undone if it fails. An error that does not concern
    rows of this table passes through. A table that rejects everything is not searched to the end: its rows
    are rejected together, and tried again like any other.

    Args:
        connection: the session, in a transaction.
        low: first row.
        high: row after the last.
        attempt: works on a range of rows; raises if any of them is refused. For an empty range it runs
            every statement it has, so that what fails for any row fails for none.
        explain: says why a single row was refused.
        adapt: True if, because of this error, `attempt` now rejects such rows without failing and is
            to be run again for the same range.
        server_writes: errors about the server are doubted: True if the server takes a write elsewhere. None
            where they are not.

    Returns:
        The refused rows in row order.
    """
    refused: list[Rejection] = []
    written = 0
    acquitted: set[str | None] = set()
    ranges = [(low, high)] if low < high else []
    started = time.monotonic()
    while ranges:
        first, end = ranges.pop()
        try:
            with connection.transaction():
                attempt(first, end)
        except (psycopg.Error, RowError) as exc:
            if connection.closed or not may_concern_a_row(exc, doubtful=server_writes is not None):
                raise
            whole = False
            if isinstance(exc, psycopg.Error) and not _is_known_row_error(exc):
                if exc.sqlstate not in acquitted:
                    if not _is_the_tables(connection, low, attempt, exc, server_writes):
                        raise
                    acquitted.add(exc.sqlstate)
                whole = not written and _rejects_everything(len(refused), time.monotonic() - started)
            if adapt(exc):
                ranges.append((first, end))
            elif whole or end - first == 1:
                refused += [explain(row, exc) for row in range(first, end)]
            else:
                middle = (first + end) // 2
                ranges += [(middle, end), (first, middle)]
        else:
            written += end - first
    return refused


def _rejects_everything(refused: int, elapsed_s: float) -> bool:
    """True if so many rows were rejected, where none was written, that the others will be too."""
    return refused >= _MANY or (refused >= _SEVERAL and elapsed_s > _LONG_S)


def _is_the_tables(
    connection: Connection,
    row: int,
    attempt: Callable[[int, int], None],
    exc: psycopg.Error,
    server_writes: Callable[[], bool] | None,
) -> bool:
    """True if the error is one of this table and its rows, and not of the server or of what we may."""
    if is_environment(exc):
        return server_writes is not None and server_writes()
    return not _fails_without_rows(connection, row, attempt, exc)


def _is_known_row_error(exc: psycopg.Error) -> bool:
    """True for data exceptions and violated constraints, which never come without a row."""
    return isinstance(translated(exc, ""), RowError)


def _fails_without_rows(
    connection: Connection, row: int, attempt: Callable[[int, int], None], exc: psycopg.Error
) -> bool:
    """True if the statements fail in the same way for no row: a right or a column is missing, for example."""
    try:
        with connection.transaction():
            attempt(row, row)
            raise _Undone  # what triggers of the statement did
    except _Undone:
        return False
    except (psycopg.Error, RowError) as other:
        return isinstance(other, psycopg.Error) and other.sqlstate == exc.sqlstate
