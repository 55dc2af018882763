"""An instance of a cluster, reached by an address of its own: is it the one that is meant, and can it write?

Source: Oracle Database Reference 19c, V$INSTANCE (THREAD#: the redo thread that the instance opened),
V$DATABASE (OPEN_MODE); Real Application Clusters Administration and Deployment Guide 19c, "Services".
"""

from __future__ import annotations

from collections.abc import Mapping

import oracledb

from cdc.config import OracleSystem
from cdc.errors import OperatorError
from cdc.oracle.connect import close, connect
from cdc.oracle.errors import oracle_errors
from cdc.oracle.heartbeat import heartbeat
from cdc.oracle.identity import database_identity

REACHED = "select i.thread#, d.open_mode from v$instance i cross join v$database d"
READ_WRITE = "READ WRITE"


class Instance:
    """One address of `instances`; opened at the first use, and kept: a login writes redo of its own.

    Args:
        system: name of the source, for messages and V$SESSION.MODULE.
        settings: user, wallet and deadlines are those of the main connection.
        thread: redo thread of the instance.
        dsn: what is to reach that instance alone.
    """

    def __init__(self, system: str, settings: OracleSystem, thread: int, dsn: str) -> None:
        self._system, self.thread, self.dsn, self.user = system, thread, dsn, settings.user
        self.subject = f"{system}: instances.{thread}"
        self._settings = settings.model_copy(update={"dsn": dsn})
        self._heartbeat = heartbeat(settings.user)
        self._connection: oracledb.Connection | None = None

    def write(self, identity: Mapping[str, str]) -> None:
        """Commit one row there.

        Raises:
            CcbridgeError: it does not answer in time, or is not the instance; the connection is closed then.
        """
        try:
            connection = self.open(identity)
            with oracle_errors(self.subject):
                self._heartbeat.write(connection, self.thread)
        except BaseException:
            self.close()
            raise

    def open(self, identity: Mapping[str, str]) -> oracledb.Connection:
        """Connect unless that was done; each call may take `connect_timeout_s`.

        Args:
            identity: of the database that is read.

        Raises:
            CcbridgeError: it does not answer in time.
            OperatorError: it is another instance, or another database, or open read only.
        """
        if self._connection is not None:
            return self._connection
        made = connect(self._settings, module=f"ccbridge nudge {self._system}", in_root=True)
        try:
            made.call_timeout = self._settings.connect_timeout_s * 1000
            self._refuse_another(made, identity)
        except BaseException:
            close(made)
            raise
        self._connection = made
        return made

    def _refuse_another(self, connection: oracledb.Connection, identity: Mapping[str, str]) -> None:
        with oracle_errors(self.subject), connection.cursor() as cursor:
            found = database_identity(connection)
            cursor.execute(REACHED, fetch_decimals=False)
            thread, mode = cursor.fetchone()
        only = f"name a service or SID that only the instance of redo thread {self.thread} has"
        if found != identity:
            raise OperatorError(
                f"{self.subject}: reaches another database, DBID {found['dbid']} instead of "
                f"{identity['dbid']} or another incarnation of it",
                hint=only,
            )
        if thread != self.thread:
            raise OperatorError(
                f"{self.subject}: reaches the instance of redo thread {thread}, not of {self.thread}",
                hint=only,
            )
        if mode != READ_WRITE:
            raise OperatorError(
                f"{self.subject}: the instance is open {mode}: nothing can be committed there",
                hint="open it READ WRITE, or remove its address",
            )

    def close(self) -> None:
        """Release the connection; safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            close(connection)
