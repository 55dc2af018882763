"""Finding the rows that the target refuses, by halving, while the others are written.

A set-based statement fails as a whole. The range of rows it worked on is tried again in halves
under savepoints until single rows are left: for one bad row among n, about 2 log2(n) attempts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from cdc.changes import TableName
from cdc.errors import RowError
from cdc.postgres.connect import Connection
from cdc.postgres.errors import translated

_CAST_FAILURES = frozenset(("22P02", "22003", "22007", "22008", "22018"))
"""SQLSTATEs of a text that is no value of the wanted type; PostgreSQL does not name the column."""


@dataclass(frozen=True)
class Refusal:
    """A row that the target refuses, and why."""

    row: int
    reason_code: str
    reason: str


def is_row_error(exc: psycopg.Error | RowError) -> bool:
    """True if the error concerns single rows, so that the others can be written."""
    return isinstance(exc, RowError) or isinstance(translated(exc, ""), RowError)


def halve_until_written(
    connection: Connection,
    low: int,
    high: int,
    attempt: Callable[[int, int], None],
    explain: Callable[[int, psycopg.Error | RowError], Refusal],
    adapt: Callable[[psycopg.Error | RowError], bool] = lambda exc: False,
) -> list[Refusal]:
    """Run `attempt` for the rows low <= row < high, setting aside the rows that make it fail.

    Each attempt runs under a savepoint and is undone if it fails. An error that does not concern
    single rows passes through.

    Args:
        connection: the session, in a transaction.
        low: first row.
        high: row after the last.
        attempt: works on a range of rows; raises if any of them is refused.
        explain: says why a single row was refused.
        adapt: True if, because of this error, `attempt` now sets such rows aside by itself and is
            to be run again for the same range.

    Returns:
        The refused rows in row order.
    """
    refused = []
    ranges = [(low, high)] if low < high else []
    while ranges:
        first, end = ranges.pop()
        try:
            with connection.transaction():
                attempt(first, end)
        except (psycopg.Error, RowError) as exc:
            if not is_row_error(exc):
                raise
            if adapt(exc):
                ranges.append((first, end))
            elif end - first == 1:
                refused.append(explain(first, exc))
            else:
                middle = (first + end) // 2
                ranges += [(middle, end), (first, middle)]
    return refused


def explain(table: TableName, row: int, exc: psycopg.Error, find_column: Callable[[], str | None]) -> Refusal:
    """Name the constraint or column that refused a row, never a value.

    Args:
        table: the target table.
        row: the row's number.
        exc: what the server said.
        find_column: names the column whose text is no value of its type, if that is the trouble.
    """
    detail = exc.diag
    code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(exc).__name__).lower()
    place = str(table)
    if detail.table_name and (detail.schema_name, detail.table_name) != (table.schema, table.name):
        place = f"{table}, by {detail.schema_name}.{detail.table_name}"
    if detail.constraint_name:
        return Refusal(row, code, f"{place}: refused by constraint {detail.constraint_name}")
    column = detail.column_name
    if column is None and exc.sqlstate in _CAST_FAILURES:
        column = find_column()
    if column is not None:
        return Refusal(row, code, f"{place}.{column}: refused, SQLSTATE {exc.sqlstate}")
    return Refusal(row, code, f"{place}: refused, SQLSTATE {exc.sqlstate}")
