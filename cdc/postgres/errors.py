"""psycopg errors become ours, by SQLSTATE.

The table is the only place that decides which PostgreSQL error is retried, which stops the flow and
which concerns one row. Where a sink can try rows one by one it does not ask the table whether an error
concerns one: it finds out (`is_environment`, `sinks.isolation`).
Source: PostgreSQL 17 documentation, appendix A "PostgreSQL Error Codes".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from cdc.errors import (
    CcbridgeError,
    DatabaseUnreachable,
    LoginRefused,
    NotGranted,
    OperatorError,
    RowError,
    TransientError,
)

LOCK_NOT_AVAILABLE = "55P03"

_BY_STATE: dict[str, type[CcbridgeError]] = {
    "28P01": LoginRefused,  # invalid password
    "28000": LoginRefused,  # no pg_hba entry, or the role may not log in
    "3D000": OperatorError,  # database does not exist
    "42501": NotGranted,  # insufficient privilege
    "25006": TransientError,  # read-only: a standby until its promotion, or a full disk
    "25P03": DatabaseUnreachable,  # session ended: idle in a transaction for too long
    "25P04": DatabaseUnreachable,  # session ended: the transaction took too long
    "40002": RowError,  # a deferred constraint refused the commit
    "55000": TransientError,  # object not in prerequisite state: a slot or a server that is about to change
    "55006": TransientError,  # object in use: the slot is still held by the former session
    LOCK_NOT_AVAILABLE: TransientError,
    "57014": TransientError,  # statement cancelled, by a person or by statement_timeout
    "57P01": DatabaseUnreachable,  # administrator shut the session down
    "57P02": DatabaseUnreachable,  # crash shutdown
    "57P03": DatabaseUnreachable,  # starting up or in recovery
    "57P04": DatabaseUnreachable,  # session ended: the database is being dropped
    "57P05": DatabaseUnreachable,  # session ended: idle for too long
}
_LOGIN_WORDS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "not permitted to log in",
)
"""libpq gives no SQLSTATE when a connection fails. A server that speaks another language is asked again."""
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
    state = exc.sqlstate
    text = (exc.diag.message_primary or str(exc).partition("\n")[0]).strip()
    if state is None:
        if any(words in str(exc) for words in _LOGIN_WORDS):
            return LoginRefused(f"{subject}: {text}", hint="check user, password and pg_hba.conf")
        return DatabaseUnreachable(f"{subject}: {text}", hint="is the server up and the address right?")
    kind = _BY_STATE.get(state) or _BY_CLASS.get(state[:2]) or OperatorError
    if kind is RowError:
        constraint = exc.diag.constraint_name or exc.diag.column_name
        text = f"{exc.diag.table_name or 'row'}: {constraint or type(exc).__name__}"
    return kind(f"{subject}: {text} (SQLSTATE {state})")


_ENVIRONMENT = frozenset(("08", "25", "28", "40", "53", "57", "58"))
"""Classes that say nothing about the rows of a statement: connection, transaction, login, deadlock,
resources, intervention by a person, system."""


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
