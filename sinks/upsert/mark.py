"""The sink's own row in the target: how far it has written, and who may write.

The mark moves in the transaction that writes the rows, so after a crash the target itself says
what it holds. The fencing token in the same row keeps out a process that lost its lease without
noticing: every write first moves the row, and a smaller token moves nothing. The row also says from which
staging database the target is written, and how often it was: `cdc.bindings` compares that with staging.
"""

from __future__ import annotations

from psycopg import sql

from cdc.bindings import TIMELINE, Mark
from cdc.errors import CcbridgeError, LeaseLost, OperatorError, TransientError
from cdc.ports import Admission
from cdc.postgres.connect import Connection

TABLE = "sink_mark"
IDENTITY = """
select system_identifier::text, (select oid::text from pg_database where datname = current_database()),
    (select timeline_id::text from pg_control_checkpoint())
from pg_control_system()
"""
ADDED = {"staging_id": "uuid", "writes": "bigint not null default 0"}
"""Columns that the mark table of earlier releases does not have."""
_COMMENTS = {
    "sink": "Name of the ccbridge sink",
    "staged_seq": "All staged rows up to this number are written",
    "fencing_token": "Only the holder of this token may write",
    "moved_at": "When the row last changed, database clock",
    "staging_id": "Staging database that writes here, see its staging.installation",
    "writes": "Committed writes that changed a row; staging counts them too, see staging.target_binding",
}


def identity(connection: Connection) -> dict[str, str]:
    """What tells this database from others, copies made by CREATE DATABASE or on another server included.

    A physical standby has it too, with a greater timeline once it was promoted.
    """
    row = connection.execute(IDENTITY).fetchone() or ()
    return dict(zip(("system_identifier", "database_oid", TIMELINE), map(str, row), strict=True))


class SinkMark:
    """Reads and moves one sink's mark.

    Args:
        schema: schema of the sink's own tables in the target.
        sink: name of the sink, one row each.
        fencing_token: token of the lease under which this process writes; grows with each holder.

    Attributes:
        admission: asked before the mark is claimed; None for a tool that runs alone.
        writes: committed writes that changed a row, as far as this process knows.
    """

    def __init__(self, schema: str, sink: str, fencing_token: int) -> None:
        self.schema, self.sink, self.fencing_token = schema, sink, fencing_token
        self.admission: Admission | None = None
        self.writes = 0
        self._table = sql.Identifier(schema, TABLE)

        def rendered(statement: str) -> str:
            return sql.SQL(statement).format(table=self._table).as_string()

        self._look = rendered(
            "select staging_id::text, staged_seq, fencing_token, writes from {table} where sink = %s"
        )
        self._claim = rendered(
            "insert into {table} as mark (sink, staged_seq, fencing_token, staging_id) "
            "values (%s, 0, %s, %s) on conflict (sink) do update set "
            "fencing_token = excluded.fencing_token, moved_at = now(), "
            "staging_id = coalesce(excluded.staging_id, mark.staging_id) "
            "where mark.fencing_token <= excluded.fencing_token returning mark.staged_seq, mark.writes"
        )
        self._move = rendered(
            "update {table} set staged_seq = greatest(staged_seq, %s), moved_at = now() "
            "where sink = %s and fencing_token = %s and writes = %s returning pg_current_xact_id()::text"
        )
        self._count = rendered("update {table} set writes = %s where sink = %s")
        self._bind = rendered(
            "insert into {table} as mark (sink, staged_seq, fencing_token, staging_id) values (%s, 0, 0, %s) "
            "on conflict (sink) do update set fencing_token = 0, staging_id = excluded.staging_id, "
            "staged_seq = least(mark.staged_seq, %s), moved_at = now()"
        )

    def create(self, connection: Connection) -> None:
        """Create the mark table, or its columns, where they are missing; the schema must exist.

        The caller commits.

        Raises:
            psycopg.Error: the schema is missing, or the user may not create tables in it.
        """
        added = ", ".join(f"add column if not exists {name} {kind}" for name, kind in ADDED.items())
        comments = sql.SQL("").join(
            sql.SQL("comment on column {table}.{name} is {text};").format(
                table=self._table, name=sql.Identifier(name), text=sql.Literal(comment)
            )
            for name, comment in _COMMENTS.items()
        )
        connection.execute(
            sql.SQL(
                "create table if not exists {table} ("
                " sink text constraint sink_mark_pkey primary key,"
                " staged_seq bigint not null,"
                " fencing_token bigint not null,"
                " moved_at timestamptz not null default now());"
                "alter table {table} {added};"
                "comment on table {table} is 'How far ccbridge has written this database';{comments}"
            ).format(table=self._table, added=sql.SQL(added), comments=comments)
        )

    def exists(self, connection: Connection) -> bool:
        """True if the mark table is there, as this release needs it."""
        found = connection.execute(
            "select 1 from pg_attribute a join pg_class c on c.oid = a.attrelid "
            "join pg_namespace n on n.oid = c.relnamespace "
            "where n.nspname = %s and c.relname = %s and a.attname = 'writes'",
            [self.schema, TABLE],
        ).fetchone()
        return found is not None

    def look(self, connection: Connection) -> Mark | None:
        """What the target knows of the sink; None if the table, or the sink's row, is missing."""
        if not self.exists(connection):
            return None
        return self._read(connection, self._look)

    def lock(self, connection: Connection) -> Mark | None:
        """As `look`; no other session can move the mark until the transaction ends."""
        return self._read(connection, f"{self._look} for update")

    def require(self, connection: Connection) -> None:
        """Make sure that the target may be written, before anything is made in it.

        Raises:
            TargetRefused: it may not.
        """
        if self.admission is not None:
            self.admission.require(identity(connection), self.look(connection))

    def claim(self, connection: Connection) -> int:
        """Make sure that the target may be written, register our token and read the mark: commits.

        Waits for a transaction of an earlier holder that is still open, so that afterwards no
        earlier write can be under way.

        Raises:
            TargetRefused: the target may not be written.
            LeaseLost: a later holder has registered.
        """
        staging = None if self.admission is None else self.admission.staging
        with connection.transaction():
            if self.admission is not None:
                self.admission.admit(identity(connection), self.lock(connection))
            row = connection.execute(self._claim, [self.sink, self.fencing_token, staging]).fetchone()
        if row is None:
            raise self._lost(connection)
        self.writes = int(str(row[1]))
        return int(str(row[0]))

    def bind(self, connection: Connection, staging: str, newest_seq: int) -> None:
        """Have the target say that it is written from a staging database, whatever it said before.

        Args:
            connection: to the target; the caller commits.
            staging: identity of the staging database.
            newest_seq: highest number of a row in it.
        """
        connection.execute(self._bind, [self.sink, staging, newest_seq])

    def begin(self, connection: Connection, up_to: int) -> str:
        """Begin a writing transaction with moving the mark to `up_to`, never back.

        Args:
            connection: in autocommit, no transaction open; one is afterwards, see `commit`.
            up_to: the new mark.

        Returns:
            The transaction's id, for the delivery records.

        Raises:
            LeaseLost: the row no longer carries our token.
            TransientError: another session has written since; claim the mark again.
        """
        with connection.pipeline():
            connection.execute("begin")
            moved = connection.execute(self._move, [up_to, self.sink, self.fencing_token, self.writes])
        row = moved.fetchone()
        if row is None:
            raise self._lost(connection)
        return str(row[0])

    def commit(self, connection: Connection, *, counted: bool) -> None:
        """Give the transaction its commit time, count it if it changed a row, and commit it.

        In a session with a replication origin PostgreSQL takes the origin's time for the commit's, in
        the log and for pg_xact_commit_timestamp. Left alone it is zero in the log, and later the time
        of the session's first commit (PostgreSQL 17, `xact.c`, RecordTransactionCommit).
        """
        with connection.pipeline():
            if counted:
                connection.execute(self._count, [self.writes + 1, self.sink])
            connection.execute("select pg_replication_origin_xact_setup('0/0', clock_timestamp())")
            connection.execute("commit")
        self.writes += counted

    def _read(self, connection: Connection, statement: str) -> Mark | None:
        row = connection.execute(statement, [self.sink]).fetchone()
        return None if row is None else Mark(*row)  # type: ignore[arg-type]

    def _lost(self, connection: Connection) -> CcbridgeError:
        found = self._read(connection, self._look)
        where = f"{self.schema}.{TABLE}: {self.sink} has"
        if found is not None and found.fencing_token > self.fencing_token:
            return LeaseLost(
                f"{where} token {found.fencing_token}, this process holds token {self.fencing_token}",
                hint="another process writes now; start this one again to wait as its standby",
            )
        # bound again, written by a copy of staging, or deleted: what it is now is judged in a new session
        now = "no row" if found is None else f"{found.writes} writes"
        return TransientError(
            f"{where} {now} now", hint="another installation writes this target: run ccbridge targets show"
        )


def committed(connection: Connection, target_transaction: str) -> bool | None:
    """Did a transaction of the target commit?

    Call it after `SinkMark.claim`, when no earlier write can be open any more.

    Returns:
        None if the target no longer knows: too old, or the target was restored from a backup.

    Raises:
        OperatorError: the transaction is still open.
    """
    next_id = connection.execute("select pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
    if next_id is None or int(target_transaction) >= int(str(next_id[0])):
        return None
    row = connection.execute("select pg_xact_status(%s::text::xid8)", [target_transaction]).fetchone()
    status = row[0] if row else None
    if status == "in progress":
        raise OperatorError(
            f"target transaction {target_transaction} is still open", hint="claim the mark first, then ask"
        )
    return None if status is None else status == "committed"
