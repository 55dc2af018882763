"""A session in the target under which a sink writes: claimed, marked as ours, ready to compare.

Opening one claims the mark with our fencing token first, so that an outdated process gets no
further, then takes the replication origin by which our own reader recognises the writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from cdc.config import PostgresSystem
from cdc.errors import OperatorError
from cdc.postgres.connect import Connection, connect
from cdc.postgres.errors import postgres_errors
from cdc.postgres.scratch import ScratchRows
from cdc.postgres.sessions import Holder
from mapping_rules import OutboundProgram
from sinks.upsert.mark import SinkMark
from sinks.upsert.statements import casting, comparison, writing
from sinks.upsert.statements.layout import Layout
from sinks.upsert.statements.rejections import KEY_ALTERED, SUPPRESSED, Altered
from sinks.upsert.statements.target_tables import TargetColumn, describe

_SETTINGS = """
set intervalstyle = 'postgres'; set extra_float_digits = 1; set bytea_output = 'hex';
set plan_cache_mode = force_custom_plan;
set lock_timeout = '30s';  -- while the mark is claimed: a former holder may still commit
set idle_in_transaction_session_timeout = '60s'
"""
"""Why each: a type has one text, the one it has in the source; the temporary tables hold 1 or 20,000 rows, so
plans are not reused; a session that lost its client frees mark and origin within a minute. The limit on idle
transactions does not hold right after a pipeline: the driver ends one with a Flush, at which the server stops
that clock. A client whose host is gone is found by keepalives all the same, a frozen one by who takes over.
"""
REMEMBER_PATH = """
select set_config('ccbridge.application_path', 'pg_catalog, ' || reset_val, false)
from pg_settings where name = 'search_path'
"""
"""What the session had for a search_path before we set ours; it may differ by role and database."""
_APPLICATION_PATH = "select set_config('search_path', current_setting('ccbridge.application_path'), true)"
_OWN_PATH = "set local search_path = pg_catalog, pg_temp"
PATIENCE = "1s"
"""How long a write waits for a lock of the application before it goes round the rows that need it."""

_CAN_BE_DEFERRED = """
select exists (select from pg_constraint where condeferrable)
"""


class PreparedTable:
    """Rendered statements for one program; rendering once saves more than the server takes.

    Rows of earlier writes stay in the session's temporary tables, distinguished by their numbers:
    `scratch` counts them.
    """

    def __init__(self, layout: Layout) -> None:
        def render(statement: sql.Composed) -> str:
            return statement.as_string()

        self.layout = layout
        self.scratch = ScratchRows()
        self.cast = render(casting.cast_rows(layout))
        self.decide = render(comparison.decide(layout))
        self.decide_unlocked = render(comparison.decide(layout, skip_locked=True))
        self.locked = render(comparison.locked(layout))
        self.insert = render(writing.insert(layout))
        self.deactivate = (
            render(writing.deactivate(layout)) if layout.program.on_delete == "deactivate" else ""
        )
        self.delete = render(writing.delete(layout))
        self.rows_decided = render(writing.rows_decided(layout))
        self.leave_out = render(casting.leave_out(layout))
        self.forget = render(writing.forget(layout))
        self.deliveries = render(writing.deliveries(layout))
        self.index_rows = render(casting.index_rows(layout))
        self.drop = render(casting.drop_tables(layout))
        self.empty = render(casting.empty_tables(layout))
        self._updates: dict[int, str] = {}

    def update(self, differing: int) -> str:
        """The update of the columns in the mask."""
        if differing not in self._updates:
            self._updates[differing] = writing.update(self.layout, differing).as_string()
        return self._updates[differing]

    def try_without_rows(self, connection: Connection, *, deleting: bool = False) -> None:
        """Run every statement that may be needed on no row at all, in an open transaction."""
        nothing = {"low": 0, "high": 0}
        for statement in (self.cast, self.decide_unlocked, self.locked):
            connection.execute(statement, nothing)
        writing = [] if self.layout.program.update_only else [self.insert]
        if self.layout.compared:
            writing.append(self.update((1 << len(self.layout.compared)) - 1))
        if self.deactivate:
            writing.append(self.deactivate)
        if deleting and self.layout.program.on_delete == "delete":
            writing.append(self.delete)
        with as_application(connection):
            for statement in writing:
                connection.execute(statement, nothing)

    def require_written(self, decision: str, cursor: psycopg.Cursor[tuple[object, ...]], rows: int) -> None:
        """Compare what a statement has written with what it was to write.

        Raises:
            Altered: a trigger or policy kept a row away, or gave it another key.
        """
        written = found = cursor.rowcount
        if self.layout.table.has_row_triggers:
            written, found = (int(str(count)) for count in cursor.fetchone() or (0, 0))
        name = self.layout.table.name
        if written != rows:
            raise Altered(f"{name}: {decision} was suppressed by a trigger or policy", SUPPRESSED)
        if found != written:
            raise Altered(f"{name}: a trigger altered the key of what was written", KEY_ALTERED)

    def cast_one(self, column: TargetColumn) -> str:
        """The cast of one column of one row."""
        return casting.cast_one(self.layout, column).as_string()


class TargetSession:
    """One open session of a sink.

    Args:
        settings: the target system.
        mark: the sink's mark, claimed at once.
        application: application_name of the session, without the lease.
        holder: the lease under which it works. What former holders left open here holds the mark, the
            origin and rows; it is ended.

    Attributes:
        doubtful: errors about the server may concern single rows (`sinks.upsert.isolation`).
        own_schema: where the mark is.

    Raises:
        TargetRefused: the target may not be written.
        LeaseLost: another holder has claimed the mark.
        TransientError: target not reachable, or origin still held by a former session.
        OperatorError: mark table or origin missing; run the sink's `prepare` or see its findings.
    """

    def __init__(
        self, settings: PostgresSystem, mark: SinkMark, *, application: str, holder: Holder | None = None
    ) -> None:
        self.subject = f"{settings.user}@{settings.host}:{settings.port}/{settings.database}"
        self.connection = connect(settings, application=application, autocommit=True, holder=holder)
        self.doubtful, self.own_schema = False, mark.schema
        self._time_zone = settings.time_zone
        self._tables: dict[str, PreparedTable] = {}
        self._created = 0
        try:
            with postgres_errors(self.subject):
                self.connection.execute(_SETTINGS)
                self.connection.execute(REMEMBER_PATH)
                if not mark.exists(self.connection):
                    mark.require(self.connection)
                    raise OperatorError(
                        f"{settings.database}: no table {mark.schema}.sink_mark",
                        hint="run: ccbridge migrate; ccbridge check shows what it needs for that",
                    )
                self.staged_seq = mark.claim(self.connection)
                self.connection.execute("select pg_replication_origin_session_setup(%s)", [settings.origin])
                self.connection.execute(f"set lock_timeout = '{PATIENCE}'")
                self.defers = self._can_be_deferred()
        except BaseException:
            self.connection.close()
            raise

    def table(self, program: OutboundProgram) -> PreparedTable:
        """The program's statements; its temporary tables are made on first use, outside a write.

        Raises:
            OperatorError: the target table or a column is missing.
        """
        prepared = self._tables.get(program.name)
        if prepared is None:
            described = describe(self.connection, program.table)
            if described is None:
                raise OperatorError(
                    f"{program.table}: no such table, expected by outbound rule {program.name}",
                    hint="run: ccbridge check",
                )
            layout = Layout.of(program, described, self._created, self._time_zone)
            self._created += 1
            self.connection.execute(casting.create_tables(layout))
            prepared = self._tables[program.name] = PreparedTable(layout)
        return prepared

    def forget_tables(self) -> None:
        """Describe every target table again at its next use: it may have been altered."""
        for prepared in self._tables.values():
            self.connection.execute(prepared.drop)
        self._tables.clear()
        self.defers = self._can_be_deferred()

    def _can_be_deferred(self) -> bool:
        """True if the target has a constraint that may be checked as late as at the commit."""
        row = self.connection.execute(_CAN_BE_DEFERRED).fetchone()
        return row is not None and row[0] is True

    def close(self) -> None:
        """Close the session; the server undoes what is open."""
        self.connection.close()


@contextmanager
def as_application(connection: Connection) -> Iterator[None]:
    """Around statements that write the target, in an open transaction: their triggers see its search_path.

    Nothing else runs so. Who may create functions or operators in a schema of that path could otherwise have
    them called as our user, where their arguments fit better than those of pg_catalog. The statements are
    sent together; their results are there afterwards.
    Source: PostgreSQL 17 documentation, "Operator Type Resolution" and "Writing SECURITY DEFINER Functions
    Safely".
    """
    with connection.pipeline():
        connection.execute(_APPLICATION_PATH)
        yield
        connection.execute(_OWN_PATH)


def check_now(connection: Connection) -> None:
    """Have what waits for the commit, constraints and triggers, run now."""
    with as_application(connection):
        connection.execute("set constraints all immediate")


def name_uncastable(connection: Connection, prepared: PreparedTable, row: int) -> str | None:
    """The first column of a desired row whose text is not a value of the column's type."""
    for column in prepared.layout.all_columns:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(prepared.cast_one(column), {"row": row})
        except psycopg.DataError:
            return column.name
    return None
