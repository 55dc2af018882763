"""Reads an Oracle database through LogMiner.

`LogMinerReader` is the port; the work is done by `session` (LogMiner and its logs), `assembly`
(transactions out of rows), `batches` and `images` (texts into columns), `snapshot`, `dictionary` and
`preflight`. How far a run may read is decided in `window`.

A change's position is its transaction's commit SCN, its ordinal counts the changes that share that
SCN. `resume` holds `committed`, the commit SCN up to which all is read, and `read_from`, the SCN
after which mining must begin to see again every transaction that was open then.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence

import structlog

from cdc.changes import ChangeBatch, SourceTable, TableName
from cdc.config import OracleSystem
from cdc.errors import (
    CcbridgeError,
    OperatorError,
    RedoLogTrouble,
    RedoNotAvailable,
    ServerFault,
    ServerMemory,
    TableChanged,
    TableTruncated,
    read_anew,
)
from cdc.oracle.errors import oracle_errors
from cdc.ports import Finding, Resume, StopAsked
from cdc.readers.logminer import dictionary, preflight
from cdc.readers.logminer.assembly import Assembly, Committed, DdlSeen, RolledBack
from cdc.readers.logminer.batches import BatchMaker
from cdc.readers.logminer.cells import RedoSyntaxError
from cdc.readers.logminer.charsets import codec
from cdc.readers.logminer.ddl import read_ddl
from cdc.readers.logminer.dictionary import CapturedTable
from cdc.readers.logminer.images import ImageReader
from cdc.readers.logminer.open_work import OpenWork
from cdc.readers.logminer.output import Output
from cdc.readers.logminer.rows import LogRow
from cdc.readers.logminer.session import MiningSession
from cdc.readers.logminer.snapshot import Snapshot, take_point
from cdc.readers.logminer.window import WindowSize, session_start, window_end

IDLE_BATCH_S = 1.0
"""How often an idle stream tells that its position moved on."""
COMFORTABLE_ROWS = 50_000
"""Rows of one window above which windows are made smaller."""
LOG_TRIES = 5
"""Failures to read the redo logs, one after the other, before a person must act."""

IDENTITY = "select dbid, resetlogs_change#, to_char(resetlogs_time, 'YYYY-MM-DD HH24:MI:SS') from v$database"
CHARACTER_SET = "select value from nls_database_parameters where parameter = 'NLS_CHARACTERSET'"

PARTITION_LOST = re.compile(r"\b(?:truncate|drop|exchange)\s+(?:sub)?partition", re.IGNORECASE)
"""Partition maintenance that removes rows without logging their deletes."""

log = structlog.get_logger(__name__)


class LogMinerReader:
    """Reads the committed changes of captured tables; see `cdc.ports.ChangeReader`.

    Args:
        system: name of the source system in the configuration.
        settings: how to reach it.
        tables: the captured tables; LOB, LONG and XML columns of theirs are not captured.
    """

    def __init__(self, system: str, settings: OracleSystem, tables: Sequence[TableName]) -> None:
        self.system = system
        self._settings = settings
        self._tables = tuple(tables)
        self._session = MiningSession(system, settings, self._tables)
        self._captured: Mapping[TableName, CapturedTable] = {}
        self._by_name: dict[tuple[str | None, str | None], TableName] = {}
        self._by_id: dict[int, TableName] = {}
        self._unknown_ids: set[int] = set()
        self._readers: dict[TableName, ImageReader] = {}
        self._window = WindowSize(settings.max_window_scn)
        self._open_work = OpenWork(
            system, settings.spill_directory, every_s=settings.open_transaction_write_s
        )
        self._log_failures = self._server_faults = 0
        self._read_to = 0

    # -- the port ------------------------------------------------------------------------------

    def preflight(self) -> list[Finding]:
        """Everything that would keep this reader from reading, all at once; read only."""
        return preflight.findings(self._session.connection, self.system, self._settings, self._tables)

    def identity(self) -> Mapping[str, str]:
        """DBID and the incarnation: a position means nothing in another one."""
        with oracle_errors(self.system), self._session.connection.cursor() as cursor:
            cursor.execute(IDENTITY, fetch_decimals=False)
            dbid, resetlogs, at = cursor.fetchone()
        return {"dbid": str(dbid), "resetlogs_change": str(resetlogs), "resetlogs_time": str(at)}

    def describe(self) -> Mapping[TableName, SourceTable]:
        """The captured tables that exist and are visible, without LOB, LONG and XML columns."""
        self._captured = dictionary.captured_tables(self._session.connection, self._tables, self.system)
        with oracle_errors(self.system), self._session.connection.cursor() as cursor:
            cursor.execute(CHARACTER_SET)
            row = cursor.fetchone()
        charset = codec(row[0] if row else "AL32UTF8")
        self._readers.clear()
        self._readers.update({name: _image_reader(one, charset) for name, one in self._captured.items()})
        self._by_name = {(name.schema, name.name): name for name in self._captured}
        self._by_id = {number: name for name, one in self._captured.items() for number in one.object_ids}
        self._unknown_ids.clear()
        return {name: captured.table for name, captured in self._captured.items()}

    def estimates(self) -> Mapping[TableName, int]:
        """Row counts as the optimizer's statistics tell; tables never analysed are left out."""
        return dictionary.estimates(self._session.connection, self._tables, self.system)

    def snapshot(self, *, max_rows: int, stop: StopAsked) -> Iterator[ChangeBatch]:
        """Read every captured table as of one SCN; see the port.

        Raises:
            SnapshotTooOld: undo does not reach back to the SCN any more; call again.
        """
        tables = self.describe()
        connection = self._session.connection
        point = take_point(connection, self.system, self._session.utc_offset)
        log.info("snapshot_started", system=self.system, position=point.scn, tables=len(tables))
        with self._closed_on_failure():
            yield from Snapshot(connection, self.system, point).read(tables, max_rows=max_rows, stop=stop)

    def read(self, resume: Resume, *, max_changes: int, stop: StopAsked) -> Iterator[ChangeBatch]:
        """Yield batches of whole transactions committed after `resume`; see the port.

        Raises:
            RedoNotAvailable: logs from `read_from` on are missing; nothing is skipped.
            RedoUnreadable: a row cannot be understood.
            TableChanged: DDL took away what a captured table needs.
            TransientError: the connection or the LogMiner session was lost; call again.
        """
        if not self._captured:
            self.describe()
        with self._closed_on_failure():
            yield from self._stream(resume, max_changes, stop)

    def acknowledge(self, resume: Resume) -> None:
        """Files of open transactions that no checkpoint needs any more go; logs are Oracle's own matter."""
        self._open_work.acknowledged(resume)

    def source_lag(self) -> Mapping[str, float | int]:
        """`lag_scn`: SCNs between what was read and the database's current one."""
        with oracle_errors(self.system), self._session.connection.cursor() as cursor:
            cursor.execute("select current_scn from v$database", fetch_decimals=False)
            current = int(cursor.fetchone()[0])
        return {"lag_scn": max(0, current - self._read_to) if self._read_to else 0}

    def close(self) -> None:
        """Release the connection and files no checkpoint needs; safe to call twice."""
        self._session.close()
        self._open_work.close()

    # -- the stream ----------------------------------------------------------------------------

    def _stream(self, resume: Resume, max_changes: int, stop: StopAsked) -> Iterator[ChangeBatch]:
        committed = int(resume["committed"])
        start, restored = self._open_work.begin(resume, self.identity())
        read_to = min(start, committed)
        maker = BatchMaker(self.system, self._readers, self._settings.user.upper())
        state = self._session.look()
        assembly = Assembly(
            self.system,
            self._table_of,
            private_threads=frozenset(one.thread for one in state.threads if one.private),
            restored=restored,
            max_bytes=self._settings.open_transaction_bytes,
            spill=self._open_work.spill,
        )
        output = Output(self.system, maker, assembly, self._open_work, committed, max_changes, dict(resume))
        since = state
        pause_s = self._settings.poll_interval_ms / 1000
        told_at = time.monotonic()
        while not stop():
            end = window_end(read_to, state, since, scns=self._window.scns, still_s=pause_s)
            rows = 0
            if end > read_to:
                start = session_start(
                    read_to,
                    (one.start_scn for one in assembly.open if not self._open_work.is_written(one)),
                    max_distance=self._settings.max_window_scn,
                )
                for array in self._session.rows(start, read_to, end, state):
                    rows += len(array)
                    for row in array:
                        event = assembly.add(row)
                        if isinstance(event, Committed):
                            yield from output.take(event, self._session.utc_offset)
                            if event.transaction is not None:
                                self._open_work.ended(event.transaction, event.scn)
                        elif isinstance(event, RolledBack):
                            self._open_work.ended(event.transaction, event.scn)
                        elif event is not None:
                            self._ddl(event)
                read_to = self._read_to = end
                self._window.settle(rows, comfortable_rows=COMFORTABLE_ROWS)
                self._log_failures = self._server_faults = 0
                if output.waiting or time.monotonic() - told_at >= IDLE_BATCH_S:
                    told_at = time.monotonic()
                    yield output.flush(end, self._session.utc_offset)
            if read_to < state.flushed_scn - 1:
                continue  # behind: the next window is known already
            if not rows and not stop():
                time.sleep(pause_s)
            now = self._session.look()
            if now.flushed_scn != since.flushed_scn:
                since = now
            state = now

    def _table_of(self, row: LogRow) -> TableName | None:
        """The captured table of a row, undecoded rows by their object id."""
        if row.owner != "UNKNOWN" or not (row.table or "").startswith("OBJ# "):
            return self._by_name.get((row.owner, row.table))
        number = int((row.table or "")[5:])
        if number not in self._by_id and number not in self._unknown_ids:
            # a partition or index made since; an id the dictionary does not know belongs to an object
            # that was dropped, so to none of the captured tables
            found = dictionary.object_ids(self._session.connection, tuple(self._captured), self.system)
            self._by_id.update({one: name for name, numbers in found.items() for one in numbers})
            if number not in self._by_id:
                self._unknown_ids.add(number)
                log.warning("undecoded_rows_skipped", system=self.system, object_id=number)
        return self._by_id.get(number)

    def _ddl(self, event: DdlSeen) -> None:
        """DDL on a captured table: additions go on, anything that loses something stops."""
        if event.table is None:
            return
        try:
            verb = read_ddl(event.row.sql_redo or "")
        except RedoSyntaxError:
            return
        if verb.kind not in ("TABLE", None):
            return
        before = self._captured[event.table].table
        lost = ["rows of a partition"] if PARTITION_LOST.search(event.row.sql_redo or "") else []
        self.describe()
        now = self._captured.get(event.table)
        lost += _lost(before, now.table if now else None)
        if verb.verb == "TRUNCATE":
            raise TableTruncated(self.system, [str(event.table)], at=f"SCN {event.row.scn}")
        if lost:
            raise TableChanged(
                f"{self.system}: {verb.verb} of {event.table} at SCN {event.row.scn} took away: "
                + ", ".join(lost),
                hint=f"adapt the rules if needed; then, {read_anew(self.system)}",
            )
        log.info("table_altered", system=self.system, table=str(event.table), position=event.row.scn)

    def _closed_on_failure(self) -> _ClosedOnFailure:
        return _ClosedOnFailure(self)

    def failed(self, exc: BaseException) -> CcbridgeError | None:
        """Close after a failure; the error to raise instead when retrying did not help."""
        self._session.close()
        if isinstance(exc, ServerMemory):
            self._window.halve()
            log.warning("window_halved", system=self.system, scns=self._window.scns)
        elif isinstance(exc, RedoLogTrouble):
            self._log_failures += 1
            if self._log_failures >= LOG_TRIES:
                return RedoNotAvailable(
                    f"{exc}, {self._log_failures} times running",
                    hint="restore the log, or repair its member; reading then goes on where it was",
                )
        elif isinstance(exc, ServerFault):
            self._server_faults += 1
            if self._server_faults > 1:
                return OperatorError(f"{exc}, twice running", hint="look for the trace file, ask the vendor")
        return None


class _ClosedOnFailure:
    """Context that closes the reader's session when something goes wrong inside."""

    def __init__(self, reader: LogMinerReader) -> None:
        self._reader = reader

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if exc is not None:
            instead = self._reader.failed(exc)
            if instead is not None:
                raise instead from exc


def _image_reader(captured: CapturedTable, charset: str) -> ImageReader:
    return ImageReader(
        captured.table,
        excluded=frozenset(captured.excluded),
        segment_columns=captured.segment_columns,
        charset=charset,
    )


def _lost(before: SourceTable, now: SourceTable | None) -> list[str]:
    """What a table had and has no more."""
    if now is None:
        return ["the table"]
    lost = []
    for column in before.columns:
        kept = now.column(column.name)
        if kept is None:
            lost.append(f"column {column.name}")
        elif kept.type is not column.type:
            lost.append(f"type {column.declared} of column {column.name}, now {kept.declared}")
    if before.key != now.key:
        lost.append(f"primary key ({', '.join(before.key)})")
    return lost
