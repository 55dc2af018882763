"""Rows that a target rejects, and why: names of objects, never a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from cdc.changes import TableName
from cdc.errors import RowError
from cdc.ports import LOCKED
from cdc.postgres.errors import LOCK_NOT_AVAILABLE
from sinks.upsert.statements.target_tables import TargetColumn

TOO_LONG = "value_too_long"
ROUNDED = "value_not_representable"
NULL = "null_refused"
MISSING = "target_row_missing"
DOUBLED = "duplicate_key"
SUPPRESSED = "write_suppressed"
KEY_ALTERED = "key_altered"

WORTH_ANOTHER_TRY = frozenset(
    ("foreign_key_violation", "unique_violation", "exclusion_violation", "restrict_violation")
)
"""Rejections that a later row of the same write can lift: a parent, or a freed unique value."""

_CAST_FAILURES = frozenset(("22P02", "22003", "22007", "22008", "22018", "22023"))
"""SQLSTATEs of a text that is not a value of the desired type; PostgreSQL does not name the column."""


class Altered(RowError):
    """A trigger or policy of the target made something else of what was written.

    Args:
        message: which table and how.
        reason_code: code of the row's rejection.
    """

    def __init__(self, message: str, reason_code: str) -> None:
        super().__init__(message)
        self.reason_code = reason_code


@dataclass(frozen=True)
class Rejection:
    """A row that the target rejects, and why."""

    row: int
    reason_code: str
    reason: str


def locked(table: TableName, row: int) -> Rejection:
    """A row that another session has locked for longer than we wait."""
    return Rejection(row, LOCKED, f"{table}: another session holds a lock that the write needs")


def refused(
    table: TableName, row: int, exc: psycopg.Error, find_column: Callable[[], str | None]
) -> Rejection:
    """Name the constraint or column that refused a row, never a value.

    Args:
        table: the target table.
        row: the row's number.
        exc: what the server said.
        find_column: names the column whose text is not a value of its type, if that is the reason.
    """
    if exc.sqlstate == LOCK_NOT_AVAILABLE:
        return locked(table, row)
    detail = exc.diag
    code = condition(exc)
    place = str(table)
    if detail.table_name and (detail.schema_name, detail.table_name) != (table.schema, table.name):
        place = f"{table}, by {detail.schema_name}.{detail.table_name}"
    if detail.constraint_name:
        return Rejection(row, code, f"{place}: refused by constraint {detail.constraint_name}")
    column = detail.column_name
    if column is None and exc.sqlstate in _CAST_FAILURES:
        column = find_column()
    if column is not None:
        return Rejection(row, code, f"{place}.{column}: refused, SQLSTATE {exc.sqlstate}")
    return Rejection(row, code, f"{place}: refused, SQLSTATE {exc.sqlstate}")


def condition(exc: psycopg.Error) -> str:
    """PostgreSQL's name of the condition, `sqlstate_RA001` for a state of the target's own."""
    if type(exc).sqlstate is None:
        return f"sqlstate_{exc.sqlstate}"
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(exc).__name__).lower()


def value_rejection(table: TableName, row: int, column: TargetColumn, code: str) -> Rejection:
    """What is wrong with a value that was found before it was written."""
    place = f"{table}.{column.name}"
    if code == TOO_LONG:
        return Rejection(row, code, f"{place}: the value is longer than {column.declared} holds")
    if code == ROUNDED:
        return Rejection(row, code, f"{place}: {column.declared} cannot hold the value as it is")
    return Rejection(row, code, f"{place}: no value, and the target requires one")
