"""Translates psycopg errors to ours, by SQLSTATE.

What happens next is decided, in this order, by
1. no SQLSTATE: there is no session; libpq's text says why (`cdc.postgres.login_errors`);
2. the state in `_BY_STATE`;
3. its class, the first two characters, in `_BY_CLASS`: 08, 40, 53 and 58 are transient, 22, 23 and P0 concern
a row;
4. else operator error: a privilege, a syntax, a missing object.

Where rows can be tried one by one, these tables do not decide whether an error concerns one: it is tried
(`is_environment`, `sinks.upsert.isolation`, `cdc.staging.batches.refused_rows`).
Source: PostgreSQL 17 documentation, appendix A "PostgreSQL Error Codes".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from cdc.errors import (
    CcbridgeError,
    ConnectionMisconfigured,
    DatabaseUnreachable,
    LoginRefused,
    NotGranted,
    OperatorError,
    RowError,
    TransientError,
)
from cdc.postgres.login_errors import cause_of

LOCK_NOT_AVAILABLE = "55P03"

_BY_STATE: dict[str, type[CcbridgeError]] = {
    "28P01": LoginRefused,  # invalid password
    "28000": LoginRefused,  # no pg_hba entry, or the role may not log in
    "3D000": ConnectionMisconfigured,  # database does not exist
    "42501": NotGranted,  # insufficient privilege
    "25006": TransientError,  # read-only: a standby until its promotion, or a full disk
    "25P03": DatabaseUnreachable,  # session ended: idle in a transaction for too long
    "25P04": DatabaseUnreachable,  # session ended: the transaction took too long
    "40002": RowError,  # a deferred constraint refused the commit
    "55000": TransientError,  # object not in prerequisite state: a slot or a server that is about to change
    "55006": TransientError,  # object in use: the slot is still held by the former session
    LOCK_NOT_AVAILABLE: TransientError,
    "57014": TransientError,  # statement cancelled, by a user or by statement_timeout
    "57P01": DatabaseUnreachable,  # administrator shut the session down
    "57P02": DatabaseUnreachable,  # crash shutdown
    "57P03": DatabaseUnreachable,  # starting up or in recovery
    "57P04": DatabaseUnreachable,  # session ended: the database is being dropped
    "57P05": DatabaseUnreachable,  # session ended: idle for too long
}
_HINTS = {
    "25006": "the server is read only; check for a standby, a full disk, or default_transaction_read_only "
    "of the server, the database or the role",
    "28000": "add a line to pg_hba.conf, or give the role LOGIN",
    "28P01": "check user and password",
    "3D000": "create the database, or set database to one that the server has",
    "42501": "run: ccbridge check, which prints the grant",
    "42P01": "a table is missing; run: ccbridge check",
    "42703": "a column is missing; run: ccbridge check",
    "53100": "free space on the disk of the server",
    "53300": "raise max_connections of the server, or the role's connection limit",
    "57014": "cancelled by a user or by statement_timeout of the server; it is retried",
}
_BY_CLASS: dict[str, type[CcbridgeError]] = {
    "08": DatabaseUnreachable,  # connection exception
    "22": RowError,  # data exception: value out of range, bad text
    "23": RowError,  # integrity constraint violation
    "40": TransientError,  # transaction rollback: serialization failure, deadlock, outcome unknown
    "53": TransientError,  # insufficient resources: disk full, too many connections
    "58": TransientError,  # system error: input or output failed
    "P0": RowError,  # raised by a trigger of the target
}


def translated(exc: psycopg.Error, subject: str) -> CcbridgeError:
    """Our error for a driver error; `subject` names the database or object the call was about.

    Only the primary message is taken: DETAIL and CONTEXT can hold row values.
    """
    text = (exc.diag.message_primary or str(exc).partition("\n")[0]).strip()
    if exc.sqlstate is None:
        # of several addresses that were tried each has a line, so the cause may be in any of them
        cause = cause_of(str(exc))
        return cause.kind(f"{subject}: {text}", hint=cause.hint)
    kind = kind_of(exc.sqlstate)
    if kind is RowError:
        constraint = exc.diag.constraint_name or exc.diag.column_name
        text = f"{exc.diag.table_name or 'row'}: {constraint or type(exc).__name__}"
    return kind(f"{subject}: {text} (SQLSTATE {exc.sqlstate})", hint=_HINTS.get(exc.sqlstate, ""))


def kind_of(state: str) -> type[CcbridgeError]:
    """What happens next after an error with this SQLSTATE; see the module text."""
    return _BY_STATE.get(state) or _BY_CLASS.get(state[:2]) or OperatorError


_ENVIRONMENT = frozenset(("08", "25", "28", "40", "53", "57", "58"))
"""Classes that say nothing about the rows of a statement: connection, transaction, login, deadlock,
resources, operator intervention, system."""


def is_environment(exc: psycopg.Error) -> bool:
    """True if the error is about server or session, whatever the rows of the statement.

    A lock that was not to be had (55P03) is not among them: it may be the lock of one row.
    """
    state = exc.sqlstate
    return state is None or (state[:2] in _ENVIRONMENT and state != "40002")


@contextmanager
def postgres_errors(subject: str) -> Iterator[None]:
    """Raise our error for any psycopg error inside."""
    try:
        yield
    except psycopg.Error as exc:
        raise translated(exc, subject) from exc
