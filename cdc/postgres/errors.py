"""psycopg errors become ours, by SQLSTATE.

The table is the only place that decides which PostgreSQL error is retried, which stops the flow and
which concerns one row. Source: PostgreSQL 17 documentation, appendix A "PostgreSQL Error Codes".
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

_BY_STATE: dict[str, type[CcbridgeError]] = {
    "28P01": LoginRefused,  # invalid password
    "28000": LoginRefused,  # no pg_hba entry, or the role may not log in
    "3D000": OperatorError,  # database does not exist
    "42501": NotGranted,  # insufficient privilege
    "55006": TransientError,  # object in use: the slot is still held by the former session
    "55P03": TransientError,  # lock not available
    "57P01": DatabaseUnreachable,  # administrator shut the session down
    "57P02": DatabaseUnreachable,  # crash shutdown
    "57P03": DatabaseUnreachable,  # starting up or in recovery
    "40001": TransientError,  # serialization failure
    "40P01": TransientError,  # deadlock
    "25006": OperatorError,  # read-only: a standby, or default_transaction_read_only
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
    "53": TransientError,  # insufficient resources: disk full, too many connections
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


@contextmanager
def postgres_errors(subject: str) -> Iterator[None]:
    """Raise our error for any psycopg error inside."""
    try:
        yield
    except psycopg.Error as exc:
        raise translated(exc, subject) from exc
