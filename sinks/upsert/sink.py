"""Compare and set: brings tables of a PostgreSQL target to what staging says, and no more.

`UpsertSink.write` takes desired rows and does, in one target transaction: cast them, compare them
with the target under lock, update the columns that differ, insert what is missing, deactivate or
delete what is gone, have the deliveries recorded, move the mark, commit. Rows the target refuses
are held with their reason, rows that another session has locked for a while too; all others are written.
Statements: `sinks.upsert.statements.comparison`, `sinks.upsert.statements.writing`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import polars as pl
import psycopg

from cdc.bindings import Bound
from cdc.config import PostgresSystem
from cdc.errors import RowError, TransientError
from cdc.ports import (
    DELIVERY_SCHEMA,
    LOCKED,
    NEVER_S,
    REJECTION_SCHEMA,
    Admission,
    Desired,
    Finding,
    Live,
    Polled,
    Problem,
    Record,
    StopAsked,
    Store,
    Written,
)
from cdc.postgres.connect import connect
from cdc.postgres.errors import postgres_errors
from cdc.postgres.sessions import Holder
from mapping_rules import OutboundProgram
from sinks.upsert import mark
from sinks.upsert.checks import target_checks
from sinks.upsert.isolation import may_concern_a_row
from sinks.upsert.mark import SinkMark, identity
from sinks.upsert.second_try import retry_rejected
from sinks.upsert.statements.rejections import condition
from sinks.upsert.table_write import TableWrite
from sinks.upsert.target_session import PreparedTable, TargetSession, check_now

HASTE = "50ms"
"""How long a write in isolation waits for a lock: what needs it is tried again soon."""


class UpsertSink:
    """Writes one PostgreSQL system: a `cdc.ports.Sink`, whose position and count of writes lie in the target.

    Args:
        system: name of the system in the configuration.
        settings: where and as whom.
        fencing_token: token of the lease under which this process writes.
        holder: the same lease, by which sessions of former holders in the target are found and ended.
    """

    def __init__(
        self, system: str, settings: PostgresSystem, *, fencing_token: int, holder: Holder | None = None
    ) -> None:
        self.system, self.settings, self._holder = system, settings, holder
        self.name = f"{system}.upsert"
        self._mark = SinkMark(settings.mark_schema, self.name, fencing_token)
        self._session: TargetSession | None = None
        self._in_haste = False
        self.doubtful = self.outlived = False

    @property
    def admission(self) -> Admission | None:
        """Who decides whether the target may be written; None for a tool that runs alone."""
        return self._mark.admission

    @admission.setter
    def admission(self, admission: Admission | None) -> None:
        self._mark.admission = admission

    @property
    def next_write(self) -> int:
        """Number that the next write gets if it changes a row."""
        return self._mark.writes + 1

    def preflight(self, programs: Sequence[OutboundProgram]) -> list[Finding]:
        """Everything that would keep this sink from writing, all at once; read only."""
        return target_checks.findings(self.system, self.settings, programs)

    def prepare(self) -> None:
        """Create the mark table and the replication origin where they are missing.

        Raises:
            TargetRefused: the target may not be written; nothing was made in it.
            NotGranted: the user may not; `preflight` has the statements for an administrator.
        """
        target_checks.prepare(self.system, self.settings, self._mark)

    def look(self) -> None:
        """Return if the target may be written as it is now; nothing is claimed.

        Raises:
            TargetRefused: it may not.
            CcbridgeError: it cannot be reached, or refuses the login.
        """
        application = f"ccbridge check {self.system}"
        with (
            connect(self.settings, application=application, autocommit=True) as connection,
            postgres_errors(target_checks.subject(self.settings)),
        ):
            self._mark.require(connection)

    def bind(self, staging: str, newest_seq: int, store: Store) -> list[Problem]:
        """Have the target written from a staging database from now on, whatever it said before.

        What is missing in it is made. A write under way is waited for.

        Args:
            staging: identity of the staging database.
            newest_seq: highest number of a row in it.
            store: has staging remember the target; called while it cannot be written.

        Raises:
            NotGranted: `preflight` has the statements for an administrator.
            TransientError: not reachable.
        """
        self.prepare()
        application = f"ccbridge targets {self.system}"
        with (
            connect(self.settings, application=application) as connection,
            postgres_errors(target_checks.subject(self.settings)),
        ):
            mark = self._mark.lock(connection)
            store(Bound(identity(connection), mark.writes if mark else 0, 0))
            self._mark.bind(connection, staging, newest_seq)
        return []

    def position(self) -> int:
        """All staged rows up to this number are written. Claims the target for our fencing token.

        Afterwards no write of an earlier process can be under way, so its outcome is known.

        Raises:
            TargetRefused: the target may not be written.
            LeaseLost: a later holder writes this target.
            TransientError: not reachable, or a former session still holds the origin.
        """
        self.close()
        marked = self._open().staged_seq
        return marked if self.admission is None else self.admission.low(marked)

    def committed(self, target_transaction: str) -> bool | None:
        """Did that transaction of the target commit? None if the target no longer knows."""
        session = self._open()
        with postgres_errors(session.subject):
            return mark.committed(session.connection, target_transaction)

    def write(
        self,
        desired: Desired,
        *,
        up_to: int,
        record: Record,
        hold: Record | None = None,
        live: Live | None = None,
    ) -> Written:
        """Bring the target to the desired rows, then move the mark to `up_to`, in one transaction.

        As `cdc.ports.Sink.write`. Without `hold` nothing is stored of what is held; without `live` only the
        rows of this write are compared (`sinks.upsert.rivals`).

        Raises:
            LeaseLost: another process writes now; nothing was written.
            TransientError: nothing was written, or the answer to the commit was lost. Ask
                `position` and `committed`, which know; then write again.
            OperatorError: the target cannot be written at all.
        """
        started = time.perf_counter()
        session = self._open()
        session.doubtful, self.outlived = self.doubtful, False
        try:
            with postgres_errors(session.subject):
                tables = [session.table(program) for program, _ in desired]
                try:
                    parts, transaction = self._put(session, tables, desired, up_to, live)
                except psycopg.Error as exc:
                    self.outlived = exc.sqlstate is not None and not session.connection.closed
                    raise
                deliveries = self._deliveries(desired, parts, transaction)
                held = _held(desired, parts)
                if hold is not None and held.height:
                    hold(held)
                if deliveries.height:
                    record(deliveries)
                self._commit(session, counted=deliveries.height > 0)
                self._in_haste = LOCKED in held["reason_code"]
                if held.height or any(part.in_isolation for part in parts):
                    session.forget_tables()
        except BaseException:
            self.close()
            raise
        unchanged = sum(part.total for part in parts) - deliveries.height - held.height
        return Written(deliveries.height, unchanged, held, time.perf_counter() - started)

    def _put(
        self,
        session: TargetSession,
        tables: Sequence[PreparedTable],
        desired: Desired,
        up_to: int,
        live: Live | None,
    ) -> tuple[list[TableWrite], str]:
        """Everything but the records, in a transaction that stays open; returns its id too.

        Rows are refused rarely, so the first try goes without savepoints; a rejection begins the
        transaction again with them. While rows are known to be locked there is no first try: it would
        wait for them each time. Constraints that can wait are checked once all rows are in, so rows
        may refer to each other and exchange their values.
        """
        for isolated in (True,) if self._in_haste else (False, True):
            transaction = self._mark.begin(session.connection, up_to)
            if isolated:
                session.connection.execute(f"set local lock_timeout = '{HASTE}'")
            if session.defers:
                session.connection.execute("set constraints all deferred")
            try:
                parts = [
                    TableWrite(session, prepared, frame, isolated=isolated, live=live)
                    for prepared, (_, frame) in zip(tables, desired, strict=True)
                ]
                _write_all(session, parts, isolated=isolated)
                if session.defers:
                    check_now(session.connection)
            except (psycopg.Error, RowError) as exc:
                if isolated or not may_concern_a_row(exc, doubtful=session.doubtful):
                    raise
                session.connection.rollback()
                for prepared in tables:
                    prepared.scratch.rolled_back()
            else:
                break
        return parts, transaction

    def _deliveries(self, desired: Desired, parts: Sequence[TableWrite], transaction: str) -> pl.DataFrame:
        frames = [
            part.deliveries().select_seq(
                pl.lit(self.name).alias("sink"),
                pl.lit(str(program.table)).alias("target_table"),
                pl.all(),
                pl.lit(transaction).alias("target_transaction"),
            )
            for (program, _), part in zip(desired, parts, strict=True)
        ]
        return pl.concat([pl.DataFrame(schema=DELIVERY_SCHEMA), *frames])

    def _commit(self, session: TargetSession, *, counted: bool) -> None:
        """Commit; what was checked before cannot be refused now, unless a constraint was made meanwhile.

        Raises:
            TransientError: refused all the same. In a new session the constraint is known.
        """
        try:
            self._mark.commit(session.connection, counted=counted)
        except psycopg.Error as exc:
            if may_concern_a_row(exc, doubtful=session.doubtful):
                text = f"{session.subject}: the commit was refused by {condition(exc)}"
                raise TransientError(text, hint="its rows are tried one by one") from exc
            raise

    def due_in_s(self) -> float:
        """Never: all is done by `write`."""
        return NEVER_S

    def poll(self, stop: StopAsked) -> Polled:
        """Nothing is left to do after a write."""
        del stop
        return Polled()

    def close(self) -> None:
        """Close the session; safe to call twice."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _open(self) -> TargetSession:
        if self._session is None:
            self._session = TargetSession(
                self.settings, self._mark, application=f"ccbridge sink {self.system}", holder=self._holder
            )
        return self._session


def _write_all(session: TargetSession, parts: Sequence[TableWrite], *, isolated: bool) -> None:
    """Parents first, deletions children first, then once more what was refused for want of either."""
    for part in parts:
        part.write()
    for part in reversed(parts):
        part.delete()
    if isolated:
        retry_rejected(session, parts)


def _held(desired: Desired, parts: Sequence[TableWrite]) -> pl.DataFrame:
    frames = [
        part.held().select_seq(
            pl.lit(program.name).alias("program"), pl.lit(str(program.table)).alias("target_table"), pl.all()
        )
        for (program, _), part in zip(desired, parts, strict=True)
    ]
    return pl.concat([pl.DataFrame(schema=REJECTION_SCHEMA), *frames])
