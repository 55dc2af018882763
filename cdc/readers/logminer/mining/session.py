"""One LogMiner session: look at the redo, choose logs, start, query rows in arrays.

The session belongs to one connection and one thread. Whatever goes wrong closes both; the caller
opens a new one and reads again from its saved position.

Source: Oracle Database PL/SQL Packages and Types Reference 19c, DBMS_LOGMNR; Database Reference 19c.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import repeat
from typing import Any

import oracledb
import structlog

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.errors import CcbridgeError, RedoNotAvailable, snapshot_hint
from cdc.oracle.apply_log import apply_log
from cdc.oracle.connect import close, connect, hurry
from cdc.oracle.errors import oracle_errors
from cdc.oracle.heartbeat import heartbeat
from cdc.positions import Scn
from cdc.readers.logminer.mining.available_logs import available_logs
from cdc.readers.logminer.mining.containers import container_of
from cdc.readers.logminer.mining.contents import commits_query, contents_query
from cdc.readers.logminer.mining.host_time import HostTime, parsed_offset
from cdc.readers.logminer.mining.listed_logs import ListedLogs
from cdc.readers.logminer.mining.logs import Gap, LogList, RedoThread, logs_to_mine
from cdc.readers.logminer.mining.rows import LogRow
from cdc.readers.logminer.mining.unseen_rows import show_archived_rows
from cdc.readers.logminer.mining.window import RedoState

ARRAY_ROWS = 5_000
FIRST_ROWS = 500
"""Rows that come with the answer to the query itself, so that a small window is one round trip."""
ARCHIVER_PAUSES_S = (0.2, 0.4, 0.8, 1.6, 3.2)
"""Waits for a log that was switched out of and is not yet registered as archived."""

LOOK = """
select t.thread#, t.status, t.enabled, t.enable_change#, t.disable_change#, t.last_redo_change#,
  t.checkpoint_change#, t.sequence#, cast(systimestamp as date), to_char(systimestamp, 'TZH:TZM')
from v$thread t
order by t.thread#"""
CURRENT = "select current_scn from v$database"
OPEN_TRANSACTIONS = "select t.xid from gv$transaction t"
NO_END = 0
"""END_SCN of a run that ends with the redo on disk."""
LISTED_AHEAD = 4
"""Windows behind the next one whose logs are given to LogMiner with those of the next."""
NUDGE_SCNS = 1_000
"""More than lie between the row of a nudge and its commit."""

START = """
begin
  dbms_logmnr.start_logmnr(startscn => :start_scn, endscn => :end_scn,
    options => dbms_logmnr.dict_from_online_catalog + dbms_logmnr.no_rowid_in_stmt);
end;"""

ADD = """
begin
  dbms_logmnr.add_logfile(logfilename => :name, options => {option});
end;"""

END = "begin dbms_logmnr.end_logmnr; end;"

# no such property where undo is shared, as it always is in 12.1
LOCAL_UNDO = "select property_value from database_properties where property_name = 'LOCAL_UNDO_ENABLED'"

PGA = """
select sum(m.value) from v$mystat m join v$statname n on n.statistic# = m.statistic#
where n.name = 'session pga memory'"""
PGA_EVERY_S = 60.0

log = structlog.get_logger(__name__)


class MiningSession:
    """A connection with its LogMiner session; opened at the first use.

    Args:
        system: name of the system, for messages and V$SESSION.MODULE.
        settings: how to reach it.
        tables: the captured tables.
    """

    def __init__(self, system: str, settings: OracleSystem, tables: Sequence[TableName]) -> None:
        self._system, self._settings = system, settings
        log = apply_log(settings)
        self._tables = [*tables, log.table] if log is not None else list(tables)
        self._query: str | None = None
        self._connection: oracledb.Connection | None = None
        self._in_pdb: oracledb.Connection | None = None
        self._opened_at = self._pga_looked_at = 0.0
        self._listed: ListedLogs | None = None
        self._copies_turn = 0
        self._finds_logs: bool | None = None
        self.host_time = HostTime(zone=settings.time_zone)

    @property
    def connection(self) -> oracledb.Connection:
        """The open connection.

        Raises:
            DatabaseUnreachable: none could be opened.
            LoginRefused: user or password refused.
        """
        if self._connection is None:
            self._connection = self._open(in_root=True)
            self._opened_at = self._pga_looked_at = time.monotonic()
        return self._connection

    @property
    def tables_connection(self) -> oracledb.Connection:
        """The connection that sees the tables: in the pluggable database if there is one.

        Raises:
            DatabaseUnreachable, LoginRefused: as for `connection`.
            OperatorError: the pluggable database does not exist or may not be entered.
        """
        if self._settings.pdb is None:
            return self.connection
        if self._in_pdb is None:
            self._in_pdb = self._open(in_root=False)
        return self._in_pdb

    @property
    def finds_logs(self) -> bool:
        """True inside a pluggable database: LogMiner finds the logs by itself, none can be added."""
        if self._finds_logs is None:
            self._finds_logs = container_of(self.connection, self._system).is_pdb
        return self._finds_logs

    def _open(self, *, in_root: bool) -> oracledb.Connection:
        opened = connect(self._settings, module=f"ccbridge reader {self._system}", in_root=in_root)
        if not in_root or self._settings.pdb is None:
            show_archived_rows(opened, self._tables, self._system)
        return opened

    def renew_if_old(self) -> None:
        """Give up a LogMiner session that is old or large; the next use opens another one."""
        if self._connection is None:
            return
        now = time.monotonic()
        reason = ""
        if now - self._opened_at > self._settings.session_max_age_s:
            reason = "age"
        elif self._settings.session_max_pga_bytes and now - self._pga_looked_at >= PGA_EVERY_S:
            self._pga_looked_at = now
            with oracle_errors(self._system), self._connection.cursor() as cursor:
                cursor.execute(PGA, fetch_decimals=False)
                if int(cursor.fetchone()[0] or 0) > self._settings.session_max_pga_bytes:
                    reason = "memory"
        if reason:
            log.info("mining_session_renewed", system=self._system, reason=reason)
            self.close()

    def _has_local_undo(self) -> bool:
        """Has each container undo of its own? In a multitenant database queries depend on it."""
        if self._settings.pdb is None:
            return True
        with oracle_errors(self._system), self.connection.cursor() as cursor:
            cursor.execute(LOCAL_UNDO)
            return bool(cursor.fetchone() == ("TRUE",))

    def look(self) -> RedoState:
        """Where the redo ends now; also notes the host's offset from UTC, which changes with the season."""
        with oracle_errors(self._system), self.connection.cursor() as cursor:
            cursor.execute(LOOK, fetch_decimals=False)
            rows = cursor.fetchall()
        threads = tuple(
            RedoThread(
                thread=int(row[0]),
                is_open=row[1] == "OPEN",
                private=row[2] == "PRIVATE",
                enabled_scn=int(row[3]) if row[3] else None,
                disabled_scn=int(row[4] or 0),
                last_redo_scn=int(row[5] or 0),
                checkpoint_scn=int(row[6] or 0),
                sequence=int(row[7] or 0),
            )
            for row in rows
        )
        offset = parsed_offset(str(rows[0][9]))
        written = max((thread.last_redo_scn for thread in threads), default=0)
        self.host_time.look(
            self.current_scn() if self.host_time.turns(offset) else written, rows[0][8], offset
        )
        return RedoState(None, threads, time.monotonic())

    def current_scn(self) -> int:
        """The database's SCN now; asking for it reads the control file."""
        with oracle_errors(self._system), self.connection.cursor() as cursor:
            cursor.execute(CURRENT, fetch_decimals=False)
            return int(cursor.fetchone()[0])

    def open_transactions(self) -> frozenset[str]:
        """XIDs of the transactions that are open in any instance, in lower-case hexadecimal digits."""
        with oracle_errors(self._system), self.connection.cursor() as cursor:
            cursor.execute(OPEN_TRANSACTIONS)
            return frozenset(xid.hex() for (xid,) in cursor)

    def rows(self, start: int, read_to: int, end: int, state: RedoState) -> Iterator[list[LogRow]]:
        """Mine what comes after `start` and yield the rows with read_to < SCN <= end, in arrays.

        Raises:
            RedoNotAvailable: logs are missing.
            TransientError: the session or the connection was lost.
        """
        if self._query is None:
            self._query = contents_query(self._tables, self._settings.pdb, local_undo=self._has_local_undo())
        binds = {"read_to": read_to, "end_scn": end}
        start = self._overlap(start, read_to, end, state)
        for array in self.mined(self._query, binds, start, end, state):
            yield list(map(_log_row, array))

    def others_committed(self, read_to: int, state: RedoState) -> bool:
        """Did anybody but our nudges commit behind what can be read, as far as redo is on disk?

        What is there may have gaps while a thread is behind, so nothing is captured of it.

        Args:
            read_to: SCN up to which everything is read; that of `flushed_scn` is about to be.
            state: the redo threads now.

        Raises: as `rows`.
        """
        furthest = state.furthest_scn
        read_to = max(read_to, state.flushed_scn)
        start = self._overlap(max(0, read_to - NUDGE_SCNS), read_to, furthest, state)
        own = heartbeat(self._settings.user).table
        statement = commits_query(own, self._settings.pdb, local_undo=self._has_local_undo())
        ours: set[bytes] = set()
        for array in self.mined(statement, {"read_to": read_to}, start, furthest, state):
            for xid, is_commit in array:
                if not is_commit:
                    ours.add(xid)
                elif xid not in ours:
                    return True
        return False

    def _overlap(self, start: int, read_to: int, end: int, state: RedoState) -> int:
        """Where mining can begin: the overlap alone may be gone, its rows were read."""
        try:
            self._list_logs(start, end, state)
        except RedoNotAvailable:
            if start >= read_to:
                raise
            return read_to
        return start

    def mined(
        self, statement: str, binds: Mapping[str, object], start: int, end: int, state: RedoState
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Mine what comes after `start`, up to `end`, and yield the rows of a query on V$LOGMNR_CONTENTS.

        They come in arrays. Raises: as for `rows`.
        """
        # STARTSCN is part of the range, and the log that ends with `start` is not among those given
        start = max(start + 1, self._list_logs(start, end, state))
        if start > end:
            return  # no instance was up meanwhile
        # LogMiner looks beyond its end: where nothing is on disk there it finds a log missing (ORA-01291)
        bound = end if start < end < state.flushed_scn else NO_END
        with oracle_errors(self._system), self.connection.cursor() as cursor:
            cursor.execute(START, start_scn=start, end_scn=bound)
        with oracle_errors(self._system):
            cursor = self.connection.cursor()
        with cursor:
            with oracle_errors(self._system):
                cursor.arraysize, cursor.prefetchrows = ARRAY_ROWS, FIRST_ROWS
                cursor.execute(statement, dict(binds), fetch_decimals=False)
            while True:
                with oracle_errors(self._system):  # a call each: what is done with the rows takes its time
                    rows = cursor.fetchmany()
                if not rows:
                    return
                yield rows

    def _list_logs(self, start: int, end: int, state: RedoState) -> int:
        """Give LogMiner the logs of a range unless it has them; returns the first SCN that they hold.

        All logs from the start on must be there, but only those of the next windows are given: LogMiner opens
        every file that it is given.
        """
        if self.finds_logs:
            return start
        if self._listed is not None and self._listed.serves(start, end, state):
            return self._listed.first_scn
        found = self._complete_logs(start, state)
        reach = end + LISTED_AHEAD * (end - start)
        near = found.until(reach)
        with oracle_errors(self._system), self.connection.cursor() as cursor:
            if self._listed is not None:
                with suppress(oracledb.DatabaseError):  # ORA-01307: no session to end
                    cursor.execute(END)
            self._listed = None
            for option, file in zip(_options(), near.logs, strict=False):
                cursor.execute(ADD.format(option=option), name=file.name)
        self._listed = ListedLogs.of(near, start, None if near == found else reach, state)
        log.debug("redo_logs_listed", system=self._system, logs=len(near.logs), start=start)
        return self._listed.first_scn

    def use_other_copies(self) -> None:
        """A log could not be read: the next list names another member or destination where there is one."""
        self._copies_turn += 1

    def gaps(self, start: int) -> tuple[Gap, ...]:
        """Logs from `start` on that are not there now; none is named where LogMiner finds them itself."""
        if self.finds_logs:
            return ()
        return self._logs(start, self.look().threads).gaps

    def _logs(self, start: int, threads: Sequence[RedoThread]) -> LogList:
        available = available_logs(self.connection, self._system, start)
        return logs_to_mine(
            start,
            available.logs,
            threads,
            self._settings.archive_destinations,
            self._copies_turn,
            ended=available.ended,
        )

    def _complete_logs(self, start: int, state: RedoState) -> LogList:
        threads, found = state.threads, LogList((), ())
        for pause in (*ARCHIVER_PAUSES_S, None):
            found = self._logs(start, threads)
            if not found.gaps:
                return found
            if pause is None or any(gap.deleted for gap in found.gaps):
                break
            time.sleep(pause)
            threads = self.look().threads  # one may have been closed since
        chosen = ", ".join(map(str, self._settings.archive_destinations))
        raise RedoNotAvailable(
            f"{self._system}: redo from {Scn(start)} on is incomplete: "
            + "; ".join(map(str, found.gaps))
            + (f" (of archive_destinations {chosen})" if chosen else ""),
            hint="restore the archived logs (RMAN: restore archivelog), reading then continues where it was; "
            f"or, {snapshot_hint(self._system)}",
        )

    def close(self) -> None:
        """End the session and the connection; safe to call twice and after a failure."""
        mining, self._connection, self._listed = self._connection, None, None
        self._finds_logs = None
        in_pdb, self._in_pdb = self._in_pdb, None
        if mining is not None:
            with suppress(CcbridgeError), oracle_errors(self._system), mining.cursor() as cursor:
                hurry(mining)
                cursor.execute(END)
        for connection in (mining, in_pdb):
            if connection is not None:
                close(connection)


def _options() -> Iterator[str]:
    yield "dbms_logmnr.new"
    yield from repeat("dbms_logmnr.addfile")


def _log_row(row: tuple[Any, ...]) -> LogRow:
    """A fetched row; XID and PXID are RAW."""
    made = LogRow(*row)
    xid, pxid = row[2], row[18]
    made.xid = xid.hex() if isinstance(xid, bytes) else ""
    made.pxid = made.xid if pxid == xid else pxid.hex() if isinstance(pxid, bytes) else ""
    return made
