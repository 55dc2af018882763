"""Tables of a PostgreSQL source by ranges of their key: `cdc.ports.TableReader`.

A look is a transaction with one snapshot, REPEATABLE READ and read only. Texts come by COPY, where the server
writes them with the same output functions as in the stream.

Source: PostgreSQL 17 documentation, "Transaction Isolation"; "Row and Array Comparisons"; "Collation
Support"; "Backup Control Functions".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import polars as pl
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from cdc.changes import AFTER, SourceColumn, SourceTable, SourceType, TableName
from cdc.config import PostgresSystem
from cdc.digests.definition import DELIMITED, RowDigest
from cdc.digests.postgres import digest as digest_sql
from cdc.digests.sort_key import decode, keyed, sort_key
from cdc.ports import RANGE_SCHEMA, KeyRange, ReaderOpening
from cdc.positions import Lsn
from cdc.postgres.connect import Connection, conninfo
from cdc.postgres.errors import postgres_errors
from cdc.readers.pgoutput.reread import key_literals
from cdc.readers.pgoutput.session import WalSender
from cdc.readers.pgoutput.snapshot import read_lines
from cdc.readers.pgoutput.tables.catalog import Catalog, row_estimates
from cdc.readers.pgoutput.visibility import MARGIN_BYTES, Visible, last_commit
from cdc.readers.pgoutput.wire.canonical import SESSION_OPTIONS, canonical

KEYS_OF_A_QUERY = 500
_BYTEWISE = frozenset(("uuid", "bytea"))
"""Further types whose own order is that of their canonical texts."""

_WAL_INSERT = (
    "case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end::text"
)
_BEFORE = f"select {_WAL_INSERT}, current_setting('wal_block_size')::int, current_setting('server_encoding')"
_AT = f"select pg_current_snapshot()::text, {_WAL_INSERT}"
"""The snapshot is there before the first function is called."""
_NUDGE = "select case when not pg_is_in_recovery() then pg_current_xact_id() end"
_COLLATIONS = """
-- columns that the server sorts by code point anyway
select a.attname::text from pg_attribute a join pg_collation c on c.oid = a.attcollation
where a.attrelid = (select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = %s and c.relname = %s)
    and case c.collprovider
        when 'd' then (select datcollate from pg_database where datname = current_database())
        else c.collcollate end in ('C', 'POSIX')
"""


class PgTableReader:
    """Reads tables of one system; see the port.

    Args:
        system: its name.
        settings: the system.
        tables: the captured tables.
    """

    def __init__(self, system: str, settings: PostgresSystem, tables: Sequence[TableName]) -> None:
        self.system, self._settings = system, settings
        self._catalog = Catalog(settings, system, tables)
        self._connection: Connection | None = None
        self._orders: dict[TableName, tuple[sql.Composable, ...]] = {}

    def describe(self) -> Mapping[TableName, SourceTable]:
        """The captured tables that exist, with their published columns."""
        return self._catalog.describe()

    def estimates(self) -> Mapping[TableName, int]:
        """Row counts as the planner estimates them; never analysed tables are left out."""
        return row_estimates(self._catalog.facts())

    def identity(self) -> Mapping[str, str]:
        """System identifier and database."""
        with WalSender(self._settings, self.system) as sender:
            (row,) = sender.command("IDENTIFY_SYSTEM")
        return {"system_identifier": str(row["systemid"]), "database": self._settings.database}

    @contextmanager
    def look(self) -> Iterator[PgTableLook]:
        """A transaction with one snapshot; see the port.

        Raises:
            DatabaseUnreachable: no connection.
        """
        with postgres_errors(self.system):
            session = self._session()
            (before, page_bytes, encoding) = session.execute(_BEFORE).fetchone() or ("0/0", 8192, "UTF8")
            session.execute("begin transaction isolation level repeatable read, read only")
            (snapshot, inserted) = session.execute(_AT).fetchone() or ("", "0/0")
        try:
            yield PgTableLook(
                self,
                session,
                last_commit(Lsn.parse(str(inserted)), int(str(page_bytes))),
                Lsn.parse(str(before)) - MARGIN_BYTES,
                Visible.parse(str(snapshot)),
                str(encoding),
            )
        finally:
            with suppress(psycopg.Error):  # a session that was lost is replaced
                session.execute("rollback")

    def nudge(self) -> None:
        """Use up a transaction number: its commit is flushed, and with it what stands in the log before.

        The last records of an idle server, of a vacuum for example, may stay unflushed, and unread, for long.
        """
        with postgres_errors(self.system):
            self._session().execute(_NUDGE)

    def order(self, digest: RowDigest) -> tuple[sql.Composable, ...]:
        """Expressions that sort the rows of a table as their sort keys do, each over one key column.

        A text column is compared by code point; where the server sorts it so anyway, its index is used.
        """
        name = digest.table
        if name not in self._orders:
            found = self._session().execute(_COLLATIONS, [name.schema, name.name]).fetchall()
            by_code_point = {str(column) for (column,) in found}
            self._orders[name] = tuple(_ordered(column, by_code_point) for column in digest.key)
        return self._orders[name]

    def close(self) -> None:
        """End the sessions; safe to call twice."""
        self._catalog.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _session(self) -> Connection:
        if self._connection is None or self._connection.closed:
            info = conninfo(self._settings, application=f"ccbridge verify {self.system}")
            self._connection = psycopg.connect(make_conninfo(info, options=SESSION_OPTIONS), autocommit=True)
        return self._connection


class PgTableLook:
    """A source under one snapshot; see the port."""

    def __init__(
        self,
        reader: PgTableReader,
        session: Connection,
        position: Lsn,
        low: int,
        visible: Visible,
        encoding: str,
    ) -> None:
        self.position, self.low = position, low
        self._reader, self._session, self._visible, self._encoding = reader, session, visible, encoding

    def includes(self, position: int, transaction_id: str | None) -> bool:
        """By the snapshot's own list of transactions; a row of a snapshot by its position."""
        if position <= self.low:
            return True
        number = (transaction_id or "").partition(":")[0]
        if number.isdigit():
            return self._visible.sees(int(number))
        return transaction_id is None and position < self.low + MARGIN_BYTES

    def range_sums(self, digest: RowDigest, within: KeyRange, bounds: Sequence[str] = ()) -> pl.DataFrame:
        """One query, a branch a range; see the port."""
        branch = sql.SQL(
            "select {number}::bigint, count(*), coalesce(sum(d), 0), count(*) - count(d) "
            "from (select {digest} as d from only {table} where {where}) as r"
        )
        branches = [
            branch.format(
                number=sql.Literal(number),
                digest=self._digest(digest),
                table=_table(digest),
                where=self._where(digest, one),
            )
            for number, one in enumerate(within.cut(bounds))
        ]
        with postgres_errors(f"{self._reader.system}: {digest.table}"):
            rows = self._session.execute(sql.SQL(" union all ").join(branches)).fetchall()
        found = [(number, count, int(str(total)) % 2**64, unknown) for number, count, total, unknown in rows]
        return pl.DataFrame(found, schema=RANGE_SCHEMA, orient="row").sort("range_no")

    def digests_in(self, digest: RowDigest, within: KeyRange) -> pl.DataFrame:
        """See the port."""
        key = [column.name for column in digest.key]
        frame = self._copy(
            digest,
            [*map(sql.Identifier, key), self._digest(digest)],
            [*(AFTER + name for name in key), "digest"],
            self._where(digest, within),
        )
        return frame.select(sort_key(keyed(digest), AFTER).alias("sort_key"), pl.col("digest").cast(pl.Int64))

    def rows(self, digest: RowDigest, keys: Sequence[str]) -> pl.DataFrame:
        """See the port."""
        columns = digest.columns
        names = [column.name for column in columns]
        schema = dict.fromkeys(("sort_key", *names), pl.String)
        found = [pl.DataFrame(schema=schema)]
        for first in range(0, len(keys), KEYS_OF_A_QUERY):
            some = [decode(keyed(digest), key) for key in keys[first : first + KEYS_OF_A_QUERY]]
            where = sql.SQL("({}) in ({})").format(
                sql.SQL(", ").join(sql.Identifier(column.name) for column in digest.key),
                sql.SQL(", ").join(key_literals(keyed(digest), key) for key in some),
            )
            frame = self._copy(
                digest, list(map(sql.Identifier, names)), [AFTER + name for name in names], where
            )
            texts = (pl.col(AFTER + name).alias(name) for name in names)
            found.append(frame.select(sort_key(keyed(digest), AFTER).alias("sort_key"), *texts))
        return pl.concat(found)

    def bound(self, digest: RowDigest, within: KeyRange, *, rows: int) -> str | None:
        """See the port."""
        key = [column.name for column in digest.key]
        statement = sql.SQL(
            "select {keys} from only {table} where {where} order by {order} offset {rows} limit 1"
        ).format(
            keys=sql.SQL(", ").join(map(sql.Identifier, key)),
            table=_table(digest),
            where=self._where(digest, within),
            order=sql.SQL(", ").join(self._reader.order(digest)),
            rows=sql.Literal(rows),
        )
        frame = self._texts(digest, statement, [AFTER + name for name in key])
        found: list[str] = frame.select(sort_key(keyed(digest), AFTER)).to_series().to_list()
        return found[0] if found else None

    def bounds(self, digest: RowDigest, within: KeyRange, *, rows: int) -> list[str]:
        """See the port."""
        key = [column.name for column in digest.key]
        numbered = sql.SQL(
            "(select {keys}, row_number() over (order by {order}) as _n from only {table} where {where})"
        ).format(
            keys=sql.SQL(", ").join(map(sql.Identifier, key)),
            order=sql.SQL(", ").join(self._reader.order(digest)),
            table=_table(digest),
            where=self._where(digest, within),
        )
        statement = sql.SQL("select {} from {} as numbered where _n > 1 and _n % {} = 1").format(
            sql.SQL(", ").join(map(sql.Identifier, key)), numbered, sql.Literal(max(rows, 2))
        )
        frame = self._texts(digest, statement, [AFTER + name for name in key])
        return sorted(frame.select(sort_key(keyed(digest), AFTER)).to_series().to_list())

    def _digest(self, digest: RowDigest) -> sql.SQL:
        return sql.SQL(digest_sql(digest, encoding=self._encoding))

    def _copy(
        self, digest: RowDigest, what: Sequence[sql.Composable], names: list[str], where: sql.Composable
    ) -> pl.DataFrame:
        statement = sql.SQL("select {} from only {} where {}").format(
            sql.SQL(", ").join(what), _table(digest), where
        )
        return self._texts(digest, statement, names)

    def _texts(self, digest: RowDigest, query: sql.Composable, names: list[str]) -> pl.DataFrame:
        """The rows of a query as canonical texts."""
        statement = sql.SQL("copy ({}) to stdout (format csv, force_quote *)").format(query)
        with (
            postgres_errors(f"{self._reader.system}: {digest.table}"),
            self._session.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            lines = [bytes(line) for line in copy]
        columns = tuple(column for column in digest.columns if AFTER + column.name in names)
        return canonical(read_lines(lines, names), SourceTable(digest.table, columns, ()), AFTER)

    def _where(self, digest: RowDigest, within: KeyRange) -> sql.Composable:
        order = sql.SQL("({})").format(sql.SQL(", ").join(self._reader.order(digest)))
        conditions: list[sql.Composable] = [
            sql.SQL("{} {} {}").format(
                order, sql.SQL(sign), key_literals(keyed(digest), decode(keyed(digest), end))
            )
            for sign, end in ((">=", within.low), ("<", within.high))
            if end is not None
        ]
        return sql.SQL(" and ").join(conditions) if conditions else sql.SQL("true")


def _table(digest: RowDigest) -> sql.Identifier:
    return sql.Identifier(digest.table.schema, digest.table.name)


def _ordered(column: SourceColumn, by_code_point: set[str]) -> sql.Composable:
    name = sql.Identifier(column.name)
    if column.type in DELIMITED or column.declared in _BYTEWISE or column.name in by_code_point:
        return name
    # other types have no collation of their own
    text = '{} collate "C"' if column.type is SourceType.TEXT else '{}::text collate "C"'
    return sql.SQL(text).format(name)


def open_table_reader(opening: ReaderOpening) -> PgTableReader:
    """The reader's entry in `cdc.kinds`; it connects when first used."""
    return PgTableReader(opening.system, opening.source, opening.tables)
