"""Verdicts on sessions: formats, cancelling, time-outs, arrays in a block."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import oracledb

from cdc.assumptions import Check, NotTried, Said, differs, holds, judge
from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.oracle.connect import SESSION_FORMATS, connect
from cdc.oracle.errors import ora_code, oracle_errors
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.probing.scratch import Scratch
from cdc.readers.logminer.tables.selected import quoted

CANCELLED, TIMED_OUT = 1013, "DPY-4024"
PATIENCE_S = 15.0
IN_FORCE = "select parameter, value from nls_session_parameters"
NAMES = (
    "NLS_DATE_FORMAT",
    "NLS_TIMESTAMP_FORMAT",
    "NLS_TIMESTAMP_TZ_FORMAT",
    "NLS_NUMERIC_CHARACTERS",
)

_NOTHING_DONE = 20001
_ARRAYS = """declare
  type numbers is table of number index by binary_integer;
  procedure remove(ids numbers) is
  begin
    forall i in 1 .. ids.count delete from {table} where ID = ids(i);
    if sql%rowcount <> ids.count then
      raise_application_error(-20001, 'no such rows');
    end if;
    commit;
  exception
    when others then
      rollback;
      raise;
  end;
begin
  remove(:1);
end;"""
"""A block of the form by which a sink writes rows in one call; there are no such rows: it changes nothing."""


class CallChecks:
    """Checks on sessions of the bridge.

    Args:
        system: name of the system, for messages.
        settings: how to reach it.
        session: the bridge's sessions.
        scratch: has a table for a query that takes long.
        require: raises NotTried where the schema is not open.
    """

    def __init__(
        self,
        system: str,
        settings: OracleSystem,
        session: MiningSession,
        scratch: Scratch,
        require: Callable[[], None],
    ) -> None:
        self._require = require
        self._system, self._settings = system, settings
        self._session, self._scratch = session, scratch

    @property
    def checks(self) -> dict[str, Check]:
        """Each check by the name of its assumption."""
        return {
            "session-formats": self._session_formats,
            "cancel": self._cancel,
            "call-timeout": self._call_timeout,
            "array-block": self._array_block,
        }

    def _session_formats(self) -> Said:
        wrong = []
        for connection in (self._session.connection, self._session.tables_connection):
            with oracle_errors(self._system), connection.cursor() as cursor:
                cursor.execute(IN_FORCE)
                values = dict(cursor.fetchall())
            wrong += [name for name in NAMES if f"'{values.get(name)}'" not in SESSION_FORMATS]
        return judge(
            not wrong, f"not in force: {', '.join(sorted(set(wrong)))}" if wrong else ", ".join(NAMES)
        )

    def _cancel(self) -> Said:
        def cancelled(connection: oracledb.Connection) -> None:
            timer = threading.Timer(0.5, connection.cancel)
            timer.start()
            try:
                self._long(connection)
            finally:
                timer.cancel()

        return self._ended(cancelled, lambda exc: ora_code(exc) == CANCELLED, "ORA-01013")

    def _call_timeout(self) -> Said:
        def timed_out(connection: oracledb.Connection) -> None:
            connection.call_timeout = 500
            self._long(connection)

        return self._ended(timed_out, lambda exc: exc.args[0].full_code == TIMED_OUT, TIMED_OUT)

    def _array_block(self) -> Said:
        self._require()
        table = quoted(TableName(self._scratch.schema, "CCBP_PLAIN"))
        with closing(self._scratch.login()) as connection, connection.cursor() as cursor:
            ids = cursor.arrayvar(oracledb.DB_TYPE_NUMBER, [-1, -2])
            try:
                cursor.execute(_ARRAYS.format(table=table), [ids])
            except oracledb.DatabaseError as exc:
                if ora_code(exc) != _NOTHING_DONE:
                    return differs(str(exc.args[0]))
                left = connection.transaction_in_progress
                return judge(not left, "a transaction is left open" if left else "it ran, and rolled back")
        return differs("SQL%ROWCOUNT counts rows that FORALL did not find")

    def _ended(
        self,
        call: Callable[[oracledb.Connection], None],
        expected: Callable[[oracledb.Error], bool],
        name: str,
    ) -> Said:
        self._require()
        with self._connected() as connection:
            began = time.monotonic()
            try:
                call(connection)
            except oracledb.Error as exc:
                if not expected(exc):
                    return differs(f"ended with {exc.args[0].full_code}")
            else:
                raise NotTried("the query was too quick to be cancelled")
            took = time.monotonic() - began
            if not connection.is_healthy():  # its properties must not be touched any more
                return differs(f"{name} after {took:.1f} s, but the session is lost")
            connection.call_timeout = int(PATIENCE_S * 1000)
            try:
                with connection.cursor() as cursor:
                    cursor.execute("select 1 from dual")
            except oracledb.Error as exc:
                return differs(f"{name} after {took:.1f} s, but the session is lost: {exc.args[0].full_code}")
            text = f"{name} after {took:.1f} s, the session remained usable"
            return holds(text) if took < PATIENCE_S else differs(text)

    @contextmanager
    def _connected(self) -> Iterator[oracledb.Connection]:
        connection = connect(self._settings, module="ccbridge probe call")
        try:
            connection.call_timeout = int(PATIENCE_S * 1000)
            yield connection
        finally:
            connection.close()

    def _long(self, connection: oracledb.Connection) -> None:
        """A query that takes long, on the probe's own table alone."""
        table = quoted(TableName(self._scratch.schema, "CCBP_PLAIN"))
        joined = ", ".join(f"{table} {name}" for name in "ABCDEF")
        summed = " + ".join(f"{name}.ID" for name in "ABCDEF")
        with connection.cursor() as cursor:
            cursor.execute(f"select count(*) from {joined} where {summed} < 0")  # noqa: S608 - our own table
            cursor.fetchone()
