"""Flashback queries over ranges of keys: what `table_reader` sends, and `ccbridge probe --statements` parses.

Keys are compared column by column, as Oracle has no comparison of rows but equality.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import oracledb

from cdc.changes import SourceColumn
from cdc.digests.definition import RowDigest
from cdc.digests.oracle import digest as digest_of
from cdc.digests.sort_key import decode, keyed
from cdc.oracle.connect import identifier
from cdc.ports import KeyRange
from cdc.readers.logminer.lobs.reselect import bind_text, bound
from cdc.readers.logminer.tables.selected import as_text, quoted


@dataclass
class Query:
    """A statement, its values, and the types of those that are not of the database's own character set."""

    text: str = ""
    values: dict[str, object] = field(default_factory=dict)
    sizes: dict[str, oracledb.DbType] = field(default_factory=dict)

    def bind(self, column: SourceColumn, text: str) -> str:
        """Bind a canonical text; the expression of the column's type."""
        name = f"b{len(self.values)}"
        self.values[name] = bind_text(column, text)
        if column.declared.startswith(("NCHAR", "NVARCHAR2")):
            self.sizes[name] = oracledb.DB_TYPE_NVARCHAR
        return bound(column, f":{name}")


class RangeQueries:
    """The queries of one table as of one SCN.

    Args:
        digest: of its rows.
        scn: as of which rows are read.
        character_set: NLS_CHARACTERSET of the database.
    """

    def __init__(self, digest: RowDigest, scn: int, character_set: str) -> None:
        self._key, self._table, self._name = (
            digest.key,
            keyed(digest),
            f"{quoted(digest.table)} as of scn {scn}",
        )
        self._columns = digest.columns
        self._digest = digest_of(digest, character_set=character_set)

    def sums(self, ranges: Iterable[KeyRange]) -> Query:
        """Number, count of rows, sum and count of digests of each range."""
        query = Query()
        query.text = " union all ".join(
            f"select {number} n, count(*) c, nvl(sum(d), 0) s, count(d) k from "  # noqa: S608 - quoted names
            f"(select {self._digest} d from {self._rows_in(one, query)})"
            for number, one in enumerate(ranges)
        )
        return query

    def digests(self, within: KeyRange) -> Query:
        """The texts of the key and the digest of each row."""
        query = Query()
        what = ", ".join([*map(as_text, self._key), self._digest])
        query.text = f"select {what} from {self._rows_in(within, query)}"  # noqa: S608 - quoted names
        return query

    def rows(self, keys: Iterable[str]) -> Query:
        """The texts of all columns of the rows with these sort keys."""
        query = Query()
        compared = ", ".join(identifier(column.name) for column in self._key)
        listed = [
            ", ".join(
                query.bind(column, text)
                for column, text in zip(self._key, decode(self._table, key), strict=True)
            )
            for key in keys
        ]
        where = f"({compared}) in ({', '.join(f'({one})' for one in listed)})"
        what = ", ".join(map(as_text, self._columns))
        query.text = f"select {what} from {self._name} where {where}"  # noqa: S608 - quoted names
        return query

    def key_behind(self, within: KeyRange, rows: int) -> Query:
        """The texts of the key of the row that has so many rows before it."""
        return self._numbered(within, f"n_ = {rows + 1} and n_ <= {rows + 1}")

    def every_key(self, within: KeyRange, rows: int) -> Query:
        """The texts of the keys at which parts of so many rows begin, without the first."""
        return self._numbered(within, f"n_ > 1 and mod(n_, {rows}) = 1")

    def _numbered(self, within: KeyRange, where: str) -> Query:
        query = Query()
        names = ", ".join(identifier(column.name) for column in self._key)
        what = ", ".join(map(as_text, self._key))
        rows = self._rows_in(within, query)
        query.text = (
            f"select {what} from "  # noqa: S608 - quoted names
            f"(select {names}, row_number() over (order by {names}) n_ from {rows}) where {where}"
        )
        return query

    def _rows_in(self, within: KeyRange, query: Query) -> str:
        """The table and the condition of a range."""
        conditions = [
            _compared(self._key, decode(self._table, end), sign, last, query)
            for sign, last, end in ((">", ">=", within.low), ("<", "<", within.high))
            if end is not None
        ]
        where = f" where {' and '.join(conditions)}" if conditions else ""
        return f"{self._name}{where}"


def _compared(
    columns: Sequence[SourceColumn], texts: Sequence[str], sign: str, last: str, query: Query
) -> str:
    """A key before or behind another one, column by column; the first column's own bound is for its index."""
    name = identifier(columns[0].name)
    if len(columns) == 1:
        return f"{name} {last} {query.bind(columns[0], texts[0])}"
    at_least, beyond = (query.bind(columns[0], texts[0]) for _ in range(2))
    rest = _compared(columns[1:], texts[1:], sign, last, query)
    return f"{name} {sign}= {at_least} and ({name} {sign} {beyond} or {rest})"
