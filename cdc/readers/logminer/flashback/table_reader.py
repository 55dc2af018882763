"""Tables of an Oracle source by ranges of their key: `cdc.ports.TableReader`.

A look is an SCN; every query of it is a flashback query AS OF that SCN, so nothing is locked and no
transaction stays open. Keys are compared in the session's binary order, which is that of their sort keys.

Source: Oracle Database SQL Language Reference 19c, flashback query, "Data Type Comparison Rules".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import oracledb
import polars as pl

from cdc.changes import AFTER, SourceColumn, SourceTable, TableName
from cdc.config import OracleSystem
from cdc.digests.definition import RowDigest
from cdc.digests.sort_key import keyed, sort_key
from cdc.errors import TransientError
from cdc.oracle.errors import oracle_errors
from cdc.oracle.identity import database_identity
from cdc.ports import RANGE_SCHEMA, ColumnsRead, KeyRange, ReaderOpening
from cdc.positions import Scn
from cdc.readers.logminer.flashback.range_queries import Query, RangeQueries
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.redo_sql.values import canonical, marked
from cdc.readers.logminer.tables import dictionary
from cdc.readers.logminer.tables.captured import CHARACTER_SET
from cdc.readers.logminer.tables.selected import text_of_large

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
        rows = self._fetch(digest, self._queries(digest).sums(within.cut(bounds)))
        found = [(int(n), int(c), int(s) % 2**64, int(c) - int(k)) for n, c, s, k in rows]
        return pl.DataFrame(found, schema=RANGE_SCHEMA, orient="row").sort("range_no")

    def digests_in(self, digest: RowDigest, within: KeyRange) -> pl.DataFrame:
        """See the port."""
        rows = self._fetch(digest, self._queries(digest).digests(within))
        numbers = [None if row[-1] is None else int(Decimal(row[-1])) for row in rows]
        keys = _texts([row[:-1] for row in rows], digest.key)
        return keys.select(sort_key(keyed(digest), AFTER).alias("sort_key")).with_columns(
            pl.Series("digest", numbers, dtype=pl.Int64)
        )

    def rows(self, digest: RowDigest, keys: Sequence[str]) -> pl.DataFrame:
        """See the port."""
        columns = digest.columns
        found = [pl.DataFrame(schema=dict.fromkeys(("sort_key", *(c.name for c in columns)), pl.String))]
        for first in range(0, len(keys), KEYS_OF_A_QUERY):
            query = self._queries(digest).rows(keys[first : first + KEYS_OF_A_QUERY])
            frame = _texts(self._fetch(digest, query), columns)
            texts = (pl.col(AFTER + column.name).alias(column.name) for column in columns)
            found.append(frame.select(sort_key(keyed(digest), AFTER).alias("sort_key"), *texts))
        return pl.concat(found)

    def bound(self, digest: RowDigest, within: KeyRange, *, rows: int) -> str | None:
        """See the port."""
        found = self._keys(digest, self._queries(digest).key_behind(within, rows))
        return found[0] if found else None

    def bounds(self, digest: RowDigest, within: KeyRange, *, rows: int) -> list[str]:
        """See the port."""
        return sorted(self._keys(digest, self._queries(digest).every_key(within, max(rows, 2))))

    def _queries(self, digest: RowDigest) -> RangeQueries:
        return RangeQueries(digest, int(self.position), self._reader.character_set)

    def _keys(self, digest: RowDigest, query: Query) -> list[str]:
        frame = _texts(self._fetch(digest, query), digest.key)
        keys: list[str] = frame.select(sort_key(keyed(digest), AFTER)).to_series().to_list()
        return keys

    def _fetch(self, digest: RowDigest, query: Query) -> list[tuple[Any, ...]]:
        subject = f"{self._reader.system}: {digest.table}"
        with oracle_errors(subject), self._reader.connection.cursor() as cursor:
            cursor.arraysize = cursor.prefetchrows = ROWS_OF_AN_ARRAY
            if query.sizes:
                cursor.setinputsizes(**query.sizes)
            cursor.execute(query.text, query.values)
            return list(cursor.fetchall())


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
