"""Reads an Oracle database through LogMiner.

`LogMinerReader` is the port; the work is done by `stream` (window after window), `session` (LogMiner and
its logs), `assembly` (transactions out of rows), `captured` (tables and DDL), `batches` and `images`
(texts into columns), `snapshot` and `preflight`.

A change's position is its transaction's commit SCN, its ordinal a number among the changes that share that
SCN (`output`). `resume` holds `committed`, the commit SCN up to which all is read; `read_from`, the SCN after
which mining must begin to see again every transaction that was open then; `restart_from` and `open`,
the later SCN that will do if the named transactions are on disk (`open_work`); and what must be known
of the tables (`captured`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import structlog

from cdc.changes import ChangeBatch, SourceTable, TableName
from cdc.config import OracleSystem
from cdc.errors import OperatorError, RedoLogFailure, SourceChanged, snapshot_hint
from cdc.oracle.errors import oracle_errors
from cdc.oracle.identity import database_identity
from cdc.ports import (
    ColumnsRead,
    Finding,
    ReaderOpening,
    RereadValues,
    Resume,
    SourceKey,
    StopAsked,
)
from cdc.readers.logminer.checks import preflight
from cdc.readers.logminer.flashback.snapshot import Snapshot, take_point
from cdc.readers.logminer.lobs.large_values import LargeValues, from_redo
from cdc.readers.logminer.lobs.reselect import Reselect
from cdc.readers.logminer.mining.idle_threads import IdleThreads
from cdc.readers.logminer.mining.nudges import Nudges
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.mining.window import WindowSize
from cdc.readers.logminer.recovery import SESSION_ERRORS, Recovery, wait
from cdc.readers.logminer.streaming.stream import Stream
from cdc.readers.logminer.tables import dictionary
from cdc.readers.logminer.tables.captured import CapturedTables
from cdc.readers.logminer.transactions.open_transaction_age import OldestOpen
from cdc.readers.logminer.transactions.open_transactions import SpillStore

CURRENT_SCN = "select current_scn from v$database"

log = structlog.get_logger(__name__)


class LogMinerReader:
    """Reads the committed changes of captured tables; see `cdc.ports.ChangeReader`.

    Args:
        system: name of the source system in the configuration.
        settings: how to reach it.
        tables: the captured tables; LONG and XML columns of theirs are not captured.
        read: what rules read of each; LOB columns and extended strings are captured only if it names them.
    """

    def __init__(
        self,
        system: str,
        settings: OracleSystem,
        tables: Sequence[TableName],
        read: Mapping[TableName, ColumnsRead] = MappingProxyType({}),
    ) -> None:
        self.system = system
        self._settings = settings
        self._tables = tuple(tables)
        self._session = MiningSession(system, settings, self._tables)
        self._captured = CapturedTables(
            system, self._session, self._tables, read=read, relaxed=settings.unescaped_apostrophes
        )
        self._read, self._reselect = read, Reselect(system, self._session)
        self._open_work = SpillStore(
            system, settings.spill_directory, every_s=settings.open_transaction_write_s
        )
        self._oldest_open = OldestOpen(system, alarm_share=settings.open_transaction_alarm_share)
        self._nudges = Nudges(system, settings)
        self._idle = IdleThreads(system, self._nudges)
        self._window, self._recovery = WindowSize(settings.max_window_scn), Recovery()
        self._stream: Stream | None = None

    def preflight(self) -> list[Finding]:
        """Everything that would keep this reader from reading, all at once; read only."""
        return preflight.findings(self._session, self.system, self._settings, self._tables, self._read)

    def missing_log(self, resume: Resume) -> list[Finding]:
        """Archived logs that are gone; reading would wait until they are restored."""
        return preflight.missing_logs(self._session, self.system, resume)

    def identity(self) -> Mapping[str, str]:
        """DBID and the incarnation: a position means nothing in another one."""
        with oracle_errors(self.system):
            return database_identity(self._session.connection)

    def describe(self) -> Mapping[TableName, SourceTable]:
        """The captured tables that exist and are visible, without LONG, XML and virtual columns."""
        return self._captured.describe()

    def estimates(self) -> Mapping[TableName, int]:
        """Row counts as the optimizer's statistics tell; tables never analysed are left out."""
        return dictionary.estimates(self._session.tables_connection, self._tables, self.system)

    def snapshot(self, *, max_rows: int, stop: StopAsked) -> Iterator[ChangeBatch]:
        """Read every captured table as of one SCN; see the port.

        Raises:
            SnapshotTooOld: undo does not reach back to the SCN any more; call again.
        """
        try:
            tables = self._captured.begin_snapshot()
            point = take_point(self._session.connection, self.system)
            log.info("snapshot_started", system=self.system, position=point.position, tables=len(tables))
            resume = {**point.resume, **self._captured.resume()}
            reading = Snapshot(self._session.tables_connection, self.system, point, resume)
            yield from reading.read(tables, max_rows=max_rows, stop=stop)
        except BaseException:
            self._session.close()
            raise

    def read(self, resume: Resume, *, max_changes: int, stop: StopAsked) -> Iterator[ChangeBatch]:
        """Yield batches of whole transactions committed after `resume`; see the port.

        A failed LogMiner session is replaced, and the last batch's `resume` read on from: the caller
        must have stored the last batch when it asks for the next one. A table that lost something by DDL is
        named in each batch's `stopped`.

        Raises:
            RedoNotAvailable: logs from `read_from` on are missing; nothing is skipped.
            SourceChanged: another database, or another incarnation, answers since reading began.
            RedoUnreadable: a row cannot be understood.
            TransientError: the connection was lost, or new LogMiner sessions did not help; call again.
        """
        unfinished = False
        begun = self.identity()
        try:
            while not stop():
                try:
                    self._refuse_another(begun)
                    for batch in self._new_stream().batches(
                        resume, begun, max_changes=max_changes, stop=stop
                    ):
                        yield batch
                        resume, unfinished = batch.resume, batch.continues
                except SESSION_ERRORS as exc:
                    if unfinished:
                        raise  # a slice was handed out whose transaction must be read again
                    self._session.close()
                    pause_s = self._recovery.pause_s(exc)
                    if self._recovery.wants_smaller_window(exc):
                        self._window.halve()
                    if isinstance(exc, RedoLogFailure):
                        self._session.use_other_copies()
                    log.warning(
                        "mining_session_failed",
                        system=self.system,
                        error_code=exc.code,
                        reason=str(exc),
                        window_scn=self._window.scns,
                    )
                    wait(pause_s, stop)
        except BaseException:
            self._session.close()
            raise

    def _refuse_another(self, begun: Mapping[str, str]) -> None:
        """A new session may be one with a restored or failed-over database: the position is not of it."""
        found = self.identity()
        if found != begun:
            raise SourceChanged(
                f"{self.system}: the database became another one while it was read: "
                f"DBID {begun['dbid']}, RESETLOGS SCN {begun['resetlogs_change']}; now DBID {found['dbid']}, "
                f"RESETLOGS SCN {found['resetlogs_change']}",
                hint="connect to the former database; or, if the change was meant, "
                + snapshot_hint(self.system),
            )

    def reread(
        self, table: SourceTable, columns: Sequence[str], rows: Mapping[int, Sequence[SourceKey]]
    ) -> RereadValues:
        """Columns of rows as of the commit, or as they are now where undo is gone; see the port."""
        found = [column for name in columns if (column := table.column(name)) is not None]
        return self._reselect.values(table, found, rows)

    can_read_tables = False

    def read_tables(
        self, tables: Sequence[TableName], *, max_rows: int, stop: StopAsked
    ) -> Iterator[ChangeBatch | None]:
        """Not by this reader: the whole source is read again."""
        raise OperatorError(
            f"{self.system}: {', '.join(map(str, tables))} cannot be read alone",
            hint=snapshot_hint(self.system),
        )

    def acknowledge(self, resume: Resume) -> None:
        """Files of open transactions that no checkpoint needs any more go; logs are Oracle's own matter."""
        self._open_work.acknowledged(resume)

    def source_lag(self) -> Mapping[str, float | int]:
        """How far reading is behind, and how old the oldest open transaction is.

        `lag_scn`: SCNs between what was read and the database's current one. `open_transactions` with
        captured rows; of the oldest of them `oldest_open_s`, `oldest_open_scn`, `oldest_open_rows`;
        `redo_retained_s`: age of the oldest archived log. `skipped_rows`: undecoded rows of objects that
        the dictionary does not know. `reselected_rows`: rows whose large columns were read again by key;
        `newer_rows` of them were read as they are now, because undo was gone. `held_by_thread`: a redo thread
        that reading waits for, for `held_s` now.
        """
        with oracle_errors(self.system), self._session.connection.cursor() as cursor:
            cursor.execute(CURRENT_SCN, fetch_decimals=False)
            current = int(cursor.fetchone()[0])
        read_to = self._stream.read_to if self._stream is not None else 0
        return {
            "lag_scn": max(0, current - read_to) if read_to else 0,
            "skipped_rows": self._captured.skipped_rows,
            "reselected_rows": self._reselect.counts["read"],
            "newer_rows": self._reselect.counts["newer"],
            **self._oldest_open.figures,
            **self._idle.figures,
        }

    def close(self) -> None:
        """Release the connections and files no checkpoint needs; safe to call twice."""
        self._nudges.close()
        self._session.close()
        self._open_work.close()

    def _new_stream(self) -> Stream:
        self._stream = Stream(
            self.system,
            self._settings,
            self._session,
            self._captured,
            self._open_work,
            window=self._window,
            recovery=self._recovery,
            oldest_open=self._oldest_open,
            large=LargeValues(self._reselect, from_redo(self._settings), self._read),
            idle=self._idle,
        )
        return self._stream


def open_reader(opening: ReaderOpening) -> LogMinerReader:
    """The reader's entry in `cdc.kinds`; it connects when first used."""
    return LogMinerReader(opening.system, opening.source, opening.tables, opening.read)
