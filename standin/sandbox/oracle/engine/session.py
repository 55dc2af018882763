"""One session: statements in, outcomes out; its transaction, its formats, its mining run."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sandbox.oracle.engine.plan.dml import Effect
from sandbox.oracle.engine.plan.prepare import DmlPlan, Prepared, bind_type, prepared_for
from sandbox.oracle.engine.plan.query import QueryPlan
from sandbox.oracle.engine.sql.syntax import Select
from sandbox.oracle.engine.sql.tokens import place_of_name
from sandbox.oracle.engine.state import instances
from sandbox.oracle.engine.state.catalog import Catalog
from sandbox.oracle.engine.state.containers import Container
from sandbox.oracle.engine.state.context import Env, Instance, View
from sandbox.oracle.engine.state.mining_run import AddedLog, MiningRun
from sandbox.oracle.engine.state.nls import NLS
from sandbox.oracle.engine.state.users import Users
from sandbox.oracle.engine.statements import commands, plsql
from sandbox.oracle.engine.store.storage import Restart, Storage, snapshot_too_old, within
from sandbox.oracle.engine.store.tables import Table
from sandbox.oracle.engine.store.transactions import Transaction
from sandbox.oracle.engine.values import character_sets
from sandbox.oracle.engine.values.zones import offset_minutes, zone
from sandbox.oracle.faults.script import Moment
from sandbox.oracle.interface import (
    BatchFault,
    Bind,
    Cell,
    CheckCancel,
    Client,
    Column,
    OracleFault,
    Outcome,
    Row,
)

log = logging.getLogger("sandbox.oracle")


BATCH_CHECKED = 256
"""Rows of an array DML between two looks whether the client wants to cancel."""
POLL_S = 0.02


def never_cancelled() -> None:
    """For work that no client can cancel."""


class EngineSession:
    """See `sandbox.oracle.interface.Session`."""

    def __init__(self, database: Instance, client: Client, number: int, serial: int) -> None:
        self.database: Instance = database
        self.storage: Storage = database.storage
        self.client: Client = client
        self.id: int = number
        self.serial: int = serial
        self.user: str = client.user
        self.schema: str = client.user
        self.logged_on_at = database.clock()
        self.sequence_values: dict[tuple[str, str], bytes] = {}
        self.mining: MiningRun | None = None
        self.mining_files: list[AddedLog] = []
        self.transaction: Transaction | None = None
        self.transaction_name = ""
        self.statement = ""
        self.check: CheckCancel = never_cancelled
        self.killed = self.shows_archived = False
        self.ddl_lock_timeout_s = 0
        self.container: Container
        self.container, self.thread = instances.reached(database, client.service)
        self.nls: dict[str, str] = {}
        self.time_zone = ""
        self.reset_formats()

    def reset_formats(self) -> None:
        """Formats and time zone as a session has them that has just entered its container."""
        self.nls = {**NLS, **self.container.nls}
        self.time_zone = self.database.time_zone

    @property
    def users(self) -> Users:
        """Users of the container the session is in."""
        return self.container.users

    @property
    def catalog(self) -> Catalog:
        """Objects of the container the session is in."""
        return self.container.catalog

    def find(self, owner: str | None, name: str, privilege: str) -> Table | View:
        """A table or view this session may use so."""
        return self.catalog.find(owner, name, user=self.user, schema=self.schema, privilege=privilege)

    def local_time(self, seconds: float) -> datetime:
        """Time in the session's zone, without the zone."""
        return datetime.fromtimestamp(seconds, zone(self.time_zone)).replace(tzinfo=None)

    def offset_minutes(self, seconds: float) -> int:
        """Offset of the session's zone from UTC."""
        return offset_minutes(self.time_zone, seconds)

    def wait(self, seconds: float) -> None:
        """Let time pass; the client may end it."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(POLL_S, left))

    def env(self, binds: Sequence[Cell], check: CheckCancel = never_cancelled) -> Env:
        """What a statement beginning now sees."""
        return Env(self, binds, self.storage.scn, self.transaction, check)

    def describe(self, statement: str) -> tuple[Column, ...]:
        """See `interface.Session`."""
        if plsql.is_block(statement):
            return ()
        with located(statement):
            prepared = prepared_for(self, statement, ())
        return prepared.query.columns if prepared.query else ()

    def execute(
        self,
        statement: str,
        binds: Sequence[Bind],
        rows: Sequence[Sequence[Cell | list[Cell]]],
        *,
        batch_errors: bool = False,
        check_cancel: CheckCancel = never_cancelled,
    ) -> Outcome:
        """See `interface.Session`."""
        codec = character_sets.NARROW.get(self.container.character_set)
        statement = character_sets.held(statement, codec)
        rows = character_sets.converted(binds, rows, codec)
        self.statement, self.check = statement, check_cancel
        self.database.before_statement(self, statement)
        try:
            if plsql.is_block(statement):
                return plsql.run(self, statement, binds, rows, check_cancel)
            with located(statement):
                return self._execute(statement, binds, rows, batch_errors, check_cancel)
        except OracleFault as fault:
            if 900 <= fault.code <= 999 and fault.code not in (942, 955):
                log.warning("%s in: %s", fault, statement)
            raise

    def _execute(
        self,
        statement: str,
        binds: Sequence[Bind],
        rows: Sequence[Sequence[Cell | list[Cell]]],
        batch_errors: bool,
        check: CheckCancel,
    ) -> Outcome:
        kinds = tuple([bind_type(bind) for bind in binds if not bind.returning])
        prepared = prepared_for(self, statement, kinds)
        if prepared.query is not None:
            return self._query(prepared, rows[0] if rows else (), check)
        if prepared.dml is not None:
            return self._change(prepared.dml, rows or [()], batch_errors, check)
        commands.run(self, prepared, statement)
        return Outcome()

    def _query(self, prepared: Prepared, binds: Sequence[Cell | list[Cell]], check: CheckCancel) -> Outcome:
        plan = prepared.query
        if plan is None:
            raise OracleFault(900, "invalid SQL statement")
        if plan.locks is not None and isinstance(prepared.statement, Select):
            self._lock(plan, prepared.statement, plain(binds), check)
        env = self.env(plain(binds), check)
        rows = self.database.faults.rows(self.user, self.statement, iter(plan.rows(env, ())), self.wait)
        if plan.tables and self.database.undo_retention_s is not None:
            rows = self._while_undo_lasts(rows, env.now)
        return Outcome(columns=plan.columns, rows=_first_now(rows))

    def _while_undo_lasts(self, rows: Iterator[Row], begun: float) -> Iterator[Row]:
        """Rows of one snapshot, as long as UNDO_RETENTION says."""
        for row in rows:
            if self.database.clock() - begun > (self.database.undo_retention_s or 0.0):
                raise snapshot_too_old()
            yield row

    def _lock(self, plan: QueryPlan, statement: Select, binds: Sequence[Cell], check: CheckCancel) -> None:
        if plan.locks is None:
            return
        if statement.skip_locked:
            raise OracleFault(900, "SKIP LOCKED is not simulated")
        check = within(statement.wait, check)
        while True:
            with self.storage.entered(check):
                env = self.env(binds, check)
                numbers = [number for number, _ in plan.locks.numbered(env, ())]
                try:
                    for number in numbers:
                        self.storage.lock_row(
                            self.begin(),
                            plan.locks.table,
                            number,
                            env.snapshot,
                            check,
                            no_wait=statement.no_wait,
                        )
                except Restart:
                    continue
                return

    def _change(
        self,
        plan: DmlPlan,
        rows: Sequence[Sequence[Cell | list[Cell]]],
        batch_errors: bool,
        check: CheckCancel,
    ) -> Outcome:
        outcome = Outcome()
        effect = Effect()
        with self.storage.entered(check):
            for at, row in enumerate(rows):
                if not at % BATCH_CHECKED:
                    check()
                try:
                    effect = self._run_once(plan, plain(row), check)
                except OracleFault as fault:
                    if not batch_errors or fault.code == 1013:
                        fault.row = at
                        raise
                    outcome.batch_faults.append(BatchFault(at, fault.code, fault.text))
                    outcome.row_counts.append(0)
                    continue
                outcome.row_count += effect.row_count
                outcome.row_counts.append(effect.row_count)
                if getattr(plan, "_returning", None):
                    outcome.returning.append([list(values) for values in zip(*effect.returned, strict=True)])
        outcome.last_rowid = effect.last_row_id
        return outcome

    def _run_once(self, plan: DmlPlan, binds: Sequence[Cell], check: CheckCancel) -> Effect:
        """One statement: all of it or nothing, again when a row changed while it waited."""
        while True:
            mark = len(self.transaction.changes) if self.transaction else 0
            env = Env(self, binds, self.storage.scn, self.transaction, check)
            try:
                return plan.run(self, env)
            except Restart:
                if self.transaction:
                    self.storage.undo_to(self.transaction, mark)
            except BaseException:
                if self.transaction:
                    self.storage.undo_to(self.transaction, mark)
                raise

    def new_transaction(self) -> Transaction:
        """A transaction of this session that has not begun.

        Raises:
            OracleFault: ORA-16000, the container is not open for changes.
        """
        if not self.container.is_writable or self.storage.journal.threads[self.thread].read_only:
            raise OracleFault(16000, "database or pluggable database open for read-only access")
        transaction = self.storage.new_transaction(self.user, self.id, self.serial, self.container.number)
        transaction.client_id = self.client.identifier
        transaction.session_info = (
            f"login_username={self.user} client_info={self.client.info} OS_username=oracle "
            f"Machine_name={self.client.machine} OS_terminal=unknown OS_process_id={4000 + self.id} "
            f"OS_program_name={self.client.program}"
        )
        transaction.name = self.transaction_name
        transaction.thread = self.thread
        if self.database.parameters.get("_transaction_auditing") == "FALSE":
            transaction.user = ""
        return transaction

    def begin(self) -> Transaction:
        """The open transaction, begun if there is none."""
        if self.transaction is None:
            transaction = self.new_transaction()
            with self.storage.lock:
                self.storage.begin(transaction)
            self.transaction = transaction
        return self.transaction

    def commit(self) -> None:
        """See `interface.Session`."""
        faults = self.database.faults
        if self.transaction is not None:
            faults.at(Moment.COMMIT, self.user, wait=self.wait)
        transaction, self.transaction, self.transaction_name = self.transaction, None, ""
        if transaction is not None:
            self.storage.commit(transaction)
            faults.at(Moment.COMMITTED, self.user, wait=self.wait)

    def rollback(self) -> None:
        """See `interface.Session`."""
        transaction, self.transaction, self.transaction_name = self.transaction, None, ""
        if transaction is not None:
            self.storage.rollback(transaction)

    @property
    def in_transaction(self) -> bool:
        """See `interface.Session`."""
        return self.transaction is not None

    def savepoint(self, name: str) -> None:
        """Set a savepoint; it begins a transaction."""
        transaction = self.begin()
        transaction.savepoints.pop(name, None)
        transaction.savepoints[name] = len(transaction.changes)

    def rollback_to(self, name: str) -> None:
        """Undo back to a savepoint; those set later are gone."""
        transaction = self.transaction
        if transaction is None or name not in transaction.savepoints:
            raise OracleFault(1086, f"savepoint '{name}' never established in this session or is invalid")
        mark = transaction.savepoints[name]
        self.storage.undo_to(transaction, mark)
        names = list(transaction.savepoints)
        for later in names[names.index(name) + 1 :]:
            del transaction.savepoints[later]

    def identify(self, client: Client) -> None:
        """See `interface.Session`."""
        self.client = client

    def set_current_schema(self, schema: str) -> None:
        """See `interface.Session`."""
        if not self.users.exists(schema):
            raise OracleFault(1435, "user does not exist")
        self.schema = schema

    def close(self) -> None:
        """See `interface.Session`."""
        self.rollback()
        if self.client.service:
            instances.audit(self)
        self.mining = None
        self.database.forget(self)


@contextmanager
def located(statement: str) -> Iterator[None]:
    """An error about a name of the statement tells where it stands there."""
    try:
        yield
    except OracleFault as fault:
        if fault.name and not fault.offset:
            fault.offset = place_of_name(statement, fault.name)
        raise


def plain(binds: Sequence[Cell | list[Cell]]) -> Sequence[Cell]:
    """Binds of SQL: arrays are for PL/SQL only."""
    for bind in binds:
        if isinstance(bind, list):
            raise OracleFault(1484, "arrays can only be bound to PL/SQL statements")
    return binds  # type: ignore[return-value]


def _first_now(rows: Iterator[Row]) -> Iterator[Row]:
    """Fetch the first row at once, so that what fails at once fails on execute."""
    first = next(rows, None)
    if first is None:
        return iter(())
    return _chained(first, rows)


def _chained(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows
