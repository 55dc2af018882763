"""Rows that a target refuses, and why: names of objects, never a value."""

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
"""Refusals that a later row of the same write can lift: a parent, or a freed unique value."""

_CAST_FAILURES = frozenset(("22P02", "22003", "22007", "22008", "22018", "22023"))
"""SQLSTATEs of a text that is no value of the wanted type; PostgreSQL does not name the column."""


class Altered(RowError):
    """A trigger or policy of the target made something else of what was written.

    Args:
        message: which table and how.
        reason_code: code of the row's refusal.
    """

    def __init__(self, message: str, reason_code: str) -> None:
        super().__init__(message)
        self.reason_code = reason_code


@dataclass(frozen=True)
class Refusal:
    """A row that the target refuses, and why."""

    row: int
    reason_code: str
    reason: str


def locked(table: TableName, row: int) -> Refusal:
    """A row that another session has locked for longer than we wait."""
    return Refusal(row, LOCKED, f"{table}: another session holds a lock that the write needs")


def refused(table: TableName, row: int, exc: psycopg.Error, find_column: Callable[[], str | None]) -> Refusal:
    """Name the constraint or column that refused a row, never a value.

    Args:
        table: the target table.
        row: the row's number.
        exc: what the server said.
        find_column: names the column whose text is no value of its type, if that is the trouble.
    """
    if exc.sqlstate == LOCK_NOT_AVAILABLE:
        return locked(table, row)
    detail = exc.diag
    code = condition(exc)
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


def condition(exc: psycopg.Error) -> str:
    """PostgreSQL's name of the condition, `sqlstate_RA001` for a state of the target's own."""
    if type(exc).sqlstate is None:
        return f"sqlstate_{exc.sqlstate}"
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(exc).__name__).lower()


def misfit(table: TableName, row: int, column: TargetColumn, code: str) -> Refusal:
    """What is wrong with a value that was found before it was written."""
    place = f"{table}.{column.name}"
    if code == TOO_LONG:
        return Refusal(row, code, f"{place}: the value is longer than {column.declared} holds")
    if code == ROUNDED:
        return Refusal(row, code, f"{place}: {column.declared} cannot hold the value as it is")
    return Refusal(row, code, f"{place}: no value, and the target requires one")
