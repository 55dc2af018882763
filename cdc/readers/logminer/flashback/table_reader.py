"""Tables of an Oracle source by ranges of their key: `cdc.ports.TableReader`.

A look is an SCN; every query of it is a flashback query AS OF that SCN, so nothing is locked and no
transaction stays open. Keys are compared in the session's binary order, which is that of their sort keys.

Source: Oracle Database SQL Language Reference 19c, flashback query, "Data Type Comparison Rules".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import oracledb
import polars as pl

from cdc.changes import AFTER, SourceColumn, SourceTable, TableName
from cdc.config import OracleSystem
from cdc.digests.definition import RowDigest
from cdc.digests.oracle import digest as digest_sql
from cdc.digests.sort_key import decode, keyed, sort_key
from cdc.errors import TransientError
from cdc.oracle.connect import identifier
from cdc.oracle.errors import oracle_errors
from cdc.oracle.identity import database_identity
from cdc.ports import RANGE_SCHEMA, ColumnsRead, KeyRange, ReaderOpening
from cdc.positions import Scn
from cdc.readers.logminer.lobs.reselect import bind_text, bound
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.redo_sql.values import canonical, marked
from cdc.readers.logminer.tables import dictionary
from cdc.readers.logminer.tables.captured import CHARACTER_SET
from cdc.readers.logminer.tables.selected import as_text, quoted, text_of_large

KEYS_OF_A_QUERY = 500
ROWS_OF_AN_ARRAY = 1_000
CURRENT_SCN = "select current_scn from v$database"
_BINARY_ORDER = "alter session set nls_comp = 'BINARY' nls_sort = 'BINARY'"


class OracleTableReader:
    """Reads tables of one system; see the port.

    Args:
        system: its name.
        settings: the system.
        tables: the captured tables.
        read: what rules read of each.
    """

    def __init__(
        self,
        system: str,
        settings: OracleSystem,
        tables: Sequence[TableName],
        read: Mapping[TableName, ColumnsRead],
    ) -> None:
        self.system, self._tables, self._read = system, tuple(tables), read
        self._session = MiningSession(system, settings, tables)
        self._prepared: oracledb.Connection | None = None
        self.character_set = "AL32UTF8"

    def describe(self) -> Mapping[TableName, SourceTable]:
        """The captured tables that exist and are visible, with the columns that are captured."""
        found = dictionary.captured_tables(self.connection, self._tables, self.system, read=self._read)
        return {name: one.table for name, one in found.items()}

    def estimates(self) -> Mapping[TableName, int]:
        """Row counts as the optimizer's statistics tell; tables never analysed are left out."""
        return dictionary.estimates(self.connection, self._tables, self.system)

    def identity(self) -> Mapping[str, str]:
        """DBID and the incarnation."""
        with oracle_errors(self.system):
            return database_identity(self._session.connection)

    @contextmanager
    def look(self) -> Iterator[OracleTableLook]:
        """The SCN of now; see the port.

        Raises:
            TransientError: the connection was lost.
        """
        try:
            with oracle_errors(self.system), self._session.connection.cursor() as cursor:
                cursor.execute(CURRENT_SCN, fetch_decimals=False)
                scn = int(cursor.fetchone()[0])
            _ = self.connection  # digests need the character set that it finds out
            yield OracleTableLook(self, scn)
        except TransientError:
            self.close()
            raise

    def nudge(self) -> None:
        """Not needed: mining reads up to the current SCN, whatever is written."""

    @property
    def connection(self) -> oracledb.Connection:
        """A session that sees the tables and compares texts by their bytes."""
        opened = self._session.tables_connection
        if opened is not self._prepared:
            with oracle_errors(self.system), opened.cursor() as cursor:
                cursor.execute(_BINARY_ORDER)
                cursor.execute(CHARACTER_SET)
                row = cursor.fetchone()
            self._prepared, self.character_set = opened, str(row[0]) if row else self.character_set
        return opened

    def close(self) -> None:
        """End the sessions; safe to call twice."""
        self._session.close()
        self._prepared = None


@dataclass
class _Binds:
    """Values of a statement, and the types of those that are not of the database's own set."""

    values: dict[str, object] = field(default_factory=dict)
    sizes: dict[str, oracledb.DbType] = field(default_factory=dict)

    def add(self, column: SourceColumn, text: str) -> str:
        """Bind a canonical text; the expression of the column's type."""
        name = f"b{len(self.values)}"
        self.values[name] = bind_text(column, text)
        if column.declared.startswith(("NCHAR", "NVARCHAR2")):
            self.sizes[name] = oracledb.DB_TYPE_NVARCHAR
        return bound(column, f":{name}")


class OracleTableLook:
    """A source as of one SCN; see the port.

    Commits at the very SCN may be seen or not: they are not included for certain.
    """

    def __init__(self, reader: OracleTableReader, scn: int) -> None:
        self.position, self.low = Scn(scn), scn - 1
        self._reader = reader

    def includes(self, position: int, transaction_id: str | None) -> bool:
        """By the commit SCN."""
        del transaction_id
        return position <= self.low

    def range_sums(self, digest: RowDigest, within: KeyRange, bounds: Sequence[str] = ()) -> pl.DataFrame:
        """One query, a branch a range; see the port."""
        binds = _Binds()
        branches = [
            f"select {number} n, count(*) c, nvl(sum(d), 0) s, count(d) k from "  # noqa: S608 - quoted names
            f"(select {self._digest(digest)} d from {self._rows_in(digest, one, binds)})"
            for number, one in enumerate(within.cut(bounds))
        ]
        rows = self._fetch(digest, " union all ".join(branches), binds)
        found = [(int(n), int(c), int(s) % 2**64, int(c) - int(k)) for n, c, s, k in rows]
        return pl.DataFrame(found, schema=RANGE_SCHEMA, orient="row").sort("range_no")

    def digests_in(self, digest: RowDigest, within: KeyRange) -> pl.DataFrame:
        """See the port."""
        binds = _Binds()
        what = ", ".join([*map(as_text, digest.key), self._digest(digest)])
        rows = self._fetch(digest, f"select {what} from {self._rows_in(digest, within, binds)}", binds)  # noqa: S608
        numbers = [None if row[-1] is None else int(Decimal(row[-1])) for row in rows]
        keys = _texts([row[:-1] for row in rows], digest.key)
        return keys.select(sort_key(keyed(digest), AFTER).alias("sort_key")).with_columns(
            pl.Series("digest", numbers, dtype=pl.Int64)
        )

    def rows(self, digest: RowDigest, keys: Sequence[str]) -> pl.DataFrame:
        """See the port."""
        columns = digest.columns
        found = [pl.DataFrame(schema=dict.fromkeys(("sort_key", *(c.name for c in columns)), pl.String))]
        compared = ", ".join(identifier(column.name) for column in digest.key)
        what = ", ".join(map(as_text, columns))
        for first in range(0, len(keys), KEYS_OF_A_QUERY):
            binds = _Binds()
            listed = [
                ", ".join(
                    binds.add(column, text)
                    for column, text in zip(digest.key, decode(keyed(digest), key), strict=True)
                )
                for key in keys[first : first + KEYS_OF_A_QUERY]
            ]
            where = f"({compared}) in ({', '.join(f'({one})' for one in listed)})"
            query = f"select {what} from {self._table(digest)} where {where}"  # noqa: S608 - quoted names
            frame = _texts(self._fetch(digest, query, binds), columns)
            texts = (pl.col(AFTER + column.name).alias(column.name) for column in columns)
            found.append(frame.select(sort_key(keyed(digest), AFTER).alias("sort_key"), *texts))
        return pl.concat(found)

    def bound(self, digest: RowDigest, within: KeyRange, *, rows: int) -> str | None:
        """See the port."""
        found = self._numbered(digest, within, f"n_ = {rows + 1} and n_ <= {rows + 1}")
        return found[0] if found else None

    def bounds(self, digest: RowDigest, within: KeyRange, *, rows: int) -> list[str]:
        """See the port."""
        return sorted(self._numbered(digest, within, f"n_ > 1 and mod(n_, {max(rows, 2)}) = 1"))

    def _numbered(self, digest: RowDigest, within: KeyRange, where: str) -> list[str]:
        """Sort keys of rows by their number in the range, from 1."""
        binds = _Binds()
        names = ", ".join(identifier(column.name) for column in digest.key)
        numbered = f"select {names}, row_number() over (order by {names}) n_ from "  # noqa: S608
        query = (
            f"select {', '.join(map(as_text, digest.key))} from "  # noqa: S608 - quoted names
            f"({numbered}{self._rows_in(digest, within, binds)}) where {where}"
        )
        frame = _texts(self._fetch(digest, query, binds), digest.key)
        keys: list[str] = frame.select(sort_key(keyed(digest), AFTER)).to_series().to_list()
        return keys

    def _digest(self, digest: RowDigest) -> str:
        return digest_sql(digest, character_set=self._reader.character_set)

    def _table(self, digest: RowDigest) -> str:
        return f"{quoted(digest.table)} as of scn {int(self.position)}"

    def _rows_in(self, digest: RowDigest, within: KeyRange, binds: _Binds) -> str:
        """The table and the condition of a range."""
        conditions = [
            _compared(digest.key, decode(keyed(digest), end), sign, last, binds)
            for sign, last, end in ((">", ">=", within.low), ("<", "<", within.high))
            if end is not None
        ]
        where = f" where {' and '.join(conditions)}" if conditions else ""
        return f"{self._table(digest)}{where}"

    def _fetch(self, digest: RowDigest, query: str, binds: _Binds) -> list[tuple[Any, ...]]:
        subject = f"{self._reader.system}: {digest.table}"
        with oracle_errors(subject), self._reader.connection.cursor() as cursor:
            cursor.arraysize = cursor.prefetchrows = ROWS_OF_AN_ARRAY
            if binds.sizes:
                cursor.setinputsizes(**binds.sizes)
            cursor.execute(query, binds.values)
            return list(cursor.fetchall())


def _compared(
    columns: Sequence[SourceColumn], texts: Sequence[str], sign: str, last: str, binds: _Binds
) -> str:
    """A key before or behind another one, column by column; the first column's own bound is for its index."""
    name = identifier(columns[0].name)
    if len(columns) == 1:
        return f"{name} {last} {binds.add(columns[0], texts[0])}"
    at_least, beyond = (binds.add(columns[0], texts[0]) for _ in range(2))
    rest = _compared(columns[1:], texts[1:], sign, last, binds)
    return f"{name} {sign}= {at_least} and ({name} {sign} {beyond} or {rest})"


def _texts(rows: Sequence[Sequence[Any]], columns: Sequence[SourceColumn]) -> pl.DataFrame:
    """Fetched values as canonical texts, in columns with the prefix AFTER."""
    cells = zip(*rows, strict=True) if rows else [()] * len(columns)
    return pl.DataFrame(
        [
            canonical(
                marked(pl.Series(AFTER + column.name, map(text_of_large, values), dtype=pl.String)), column
            )
            if rows
            else pl.Series(AFTER + column.name, [], dtype=pl.String)
            for column, values in zip(columns, cells, strict=True)
        ]
    )


def open_table_reader(opening: ReaderOpening) -> OracleTableReader:
    """The reader's entry in `cdc.kinds`; it connects when first used."""
    return OracleTableReader(opening.system, opening.source, opening.tables, opening.read)
