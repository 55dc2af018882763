"""Java exceptions become ours, by SQLSTATE or ORA number.

Debezium wraps the driver's exception several times; the first `SQLException` found counts. Texts of
other exceptions are given without what stands in quotes: it may be a statement with row values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import oracledb

from cdc.errors import CcbridgeError, DatabaseUnreachable, OperatorError, RowError, TransientError
from cdc.oracle import errors as oracle
from cdc.postgres.errors import kind_of
from cdc.postgres.login_errors import GENERAL, cause_of

SqlFailure = Callable[[Any, str], CcbridgeError]
"""Our error for a `java.sql.SQLException`; the text names the system."""

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_MAX_TEXT = 200
_JDBC_CODES = range(17000, 18800)
"""The JDBC driver's own errors: 17002 I/O error, 17008 closed connection, 17410 no more data."""
_TRANSIENT = (
    "java.io.EOFException",
    "java.net.ConnectException",
    "java.net.SocketException",
    "java.net.SocketTimeoutException",
    "java.net.UnknownHostException",
)
_RETRIABLE = (
    "org.apache.kafka.connect.errors.RetriableException",
    "io.debezium.DebeziumException: The connector task is being stopped",
)


def failure(error: Any, message: str, system: str, sql_failure: SqlFailure) -> CcbridgeError:
    """Our error for what ended an engine.

    Args:
        error: the Java exception, None if the engine gave only a message.
        message: what the engine said.
        system: name of the system.
        sql_failure: translates the database driver's exception.
    """
    chain = list(_causes(error))
    for cause in chain:
        if _is_sql(cause):
            return sql_failure(cause, system)
    for cause in chain:
        name = str(cause.getClass().getName())
        if name in _TRANSIENT:
            return DatabaseUnreachable(f"{system}: {name.rpartition('.')[2]}", hint=GENERAL.hint)
    root = chain[-1] if chain else None
    text = _message(str(root.getMessage()) if root is not None else message)
    kind = str(root.getClass().getSimpleName()) if root is not None else "engine"
    retriable = any(str(cause.getClass().getName()) in _RETRIABLE for cause in chain)
    found = TransientError if retriable else OperatorError
    return found(
        f"{system}: debezium stopped: {kind}: {text}",
        hint="set CCBRIDGE_DEBEZIUM_LOG_LEVEL=info to see what the engine does",
    )


def postgres_failure(exc: Any, system: str) -> CcbridgeError:
    """Our error for an exception of the PostgreSQL JDBC driver."""
    state = str(exc.getSQLState() or "")
    text = str(exc.getMessage() or "").partition("\n")[0].removeprefix("FATAL: ").removeprefix("ERROR: ")
    kind, shown = kind_of(state), _message(text)
    if not state or state.startswith("08"):
        cause = cause_of(text)
        kind = cause.kind
        return kind(f"{system}: {shown}", hint=cause.hint)
    if kind is RowError:
        shown = "row"  # the text may hold values
    return kind(f"{system}: {shown} (SQLSTATE {state})")


def oracle_failure(exc: Any, system: str) -> CcbridgeError:
    """Our error for an exception of the Oracle JDBC driver."""
    error = _JdbcError(int(exc.getErrorCode()), _message(str(exc.getMessage() or "")))
    if error.code in _JDBC_CODES:
        return DatabaseUnreachable(f"{system}: {error}", hint=GENERAL.hint)
    return oracle.translated(oracledb.DatabaseError(error), system)


@dataclass(frozen=True)
class _JdbcError:
    """What the Oracle driver for Python has in its errors."""

    code: int
    text: str
    full_code: str = ""

    def __str__(self) -> str:
        return self.text


def _causes(error: Any) -> Iterator[Any]:
    while error is not None:
        yield error
        error = error.getCause()


def _is_sql(cause: Any) -> bool:
    from cdc.readers.debezium.engine.jvm import java

    return isinstance(cause, java("java.sql.SQLException"))


def _message(text: str) -> str:
    """First line, without quoted parts, cut to a readable length."""
    return _QUOTED.sub("'...'", text.partition("\n")[0])[:_MAX_TEXT]
