"""The sink's own row in the target: how far it has written, and who may write.

The mark moves in the transaction that writes the rows, so after a crash the target itself says
what it holds. The fencing token in the same row keeps out a process that lost its lease without
noticing: every write first moves the row, and a smaller token moves nothing.
"""

from __future__ import annotations

from psycopg import sql

from cdc.errors import LeaseLost, OperatorError
from cdc.postgres.connect import Connection

TABLE = "sink_mark"


class SinkMark:
    """Reads and moves one sink's mark.

    Args:
        schema: schema of the sink's own tables in the target.
        sink: name of the sink, one row each.
        fencing_token: token of the lease under which this process writes; grows with each holder.
    """

    def __init__(self, schema: str, sink: str, fencing_token: int) -> None:
        self.schema, self.sink, self.fencing_token = schema, sink, fencing_token
        table = sql.Identifier(schema, TABLE)
        self._claim = (
            sql.SQL(
                "insert into {table} as mark (sink, staged_seq, fencing_token) values (%s, 0, %s) "
                "on conflict (sink) do update set fencing_token = excluded.fencing_token, moved_at = now() "
                "where mark.fencing_token <= excluded.fencing_token returning mark.staged_seq"
            )
            .format(table=table)
            .as_string()
        )
        self._move = (
            sql.SQL(
                "update {table} set staged_seq = greatest(staged_seq, %s), moved_at = now() "
                "where sink = %s and fencing_token = %s returning pg_current_xact_id()::text"
            )
            .format(table=table)
            .as_string()
        )

    def create(self, connection: Connection) -> None:
        """Create the mark table where it is missing; the schema must exist. The caller commits.

        Raises:
            psycopg.Error: the schema is missing, or the user may not create tables in it.
        """
        connection.execute(
            sql.SQL(
                "create table if not exists {table} ("
                " sink text constraint sink_mark_pkey primary key,"
                " staged_seq bigint not null,"
                " fencing_token bigint not null,"
                " moved_at timestamptz not null default now());"
                "comment on table {table} is 'How far ccbridge has written this database';"
                "comment on column {table}.sink is 'Name of the ccbridge sink';"
                "comment on column {table}.staged_seq is 'All staged rows up to this number are written';"
                "comment on column {table}.fencing_token is 'Only the holder of this token may write';"
                "comment on column {table}.moved_at is 'When the row last changed, database clock'"
            ).format(table=sql.Identifier(self.schema, TABLE))
        )

    def exists(self, connection: Connection) -> bool:
        """True if the mark table is there."""
        found = connection.execute(
            "select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace "
            "where n.nspname = %s and c.relname = %s",
            [self.schema, TABLE],
        ).fetchone()
        return found is not None

    def claim(self, connection: Connection) -> int:
        """Register our token and read the mark; the caller commits.

        Waits for a transaction of an earlier holder that is still open, so that afterwards no
        earlier write can be under way.

        Raises:
            LeaseLost: a later holder has registered.
        """
        row = connection.execute(self._claim, [self.sink, self.fencing_token]).fetchone()
        if row is None:
            raise self._lost(connection)
        return int(str(row[0]))

    def begin(self, connection: Connection, up_to: int) -> str:
        """Begin a writing transaction with moving the mark to `up_to`, never back.

        Args:
            connection: in autocommit, no transaction open; one is afterwards, see `commit`.
            up_to: the new mark.

        Returns:
            The transaction's id, for the delivery records.

        Raises:
            LeaseLost: the row no longer carries our token.
        """
        with connection.pipeline():
            connection.execute("begin")
            moved = connection.execute(self._move, [up_to, self.sink, self.fencing_token])
        row = moved.fetchone()
        if row is None:
            raise self._lost(connection)
        return str(row[0])

    def _lost(self, connection: Connection) -> LeaseLost:
        found = connection.execute(
            sql.SQL("select fencing_token from {} where sink = %s").format(
                sql.Identifier(self.schema, TABLE)
            ),
            [self.sink],
        ).fetchone()
        holder = "no row" if found is None else f"token {found[0]}"
        return LeaseLost(
            f"{self.schema}.{TABLE}: {self.sink} has {holder}, this process holds token {self.fencing_token}",
            hint="another process writes now; if staging was made anew, its tokens start again: "
            f"delete the row of {self.sink} there after checking that nothing else runs",
        )


def commit(connection: Connection) -> None:
    """Give the transaction its commit time and commit it.

    In a session with a replication origin PostgreSQL takes the origin's time for the commit's, in
    the log and for pg_xact_commit_timestamp. Left alone it is zero in the log, and later the time
    of the session's first commit (PostgreSQL 17, `xact.c`, RecordTransactionCommit).
    """
    with connection.pipeline():
        connection.execute("select pg_replication_origin_xact_setup('0/0', clock_timestamp())")
        connection.execute("commit")


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
