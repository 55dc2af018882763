"""Values of large columns read again by key, many rows a query, as of the commit of their change.

The redo does not hold them, or not in full. Undo may be gone by then: the newest value is read instead,
which may be newer than the change; later changes of the row bring the same value again.

Source: Oracle Database SQL Language Reference 19c, flashback query; Error Messages: ORA-01555, ORA-22924.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import oracledb
import polars as pl
import structlog

from cdc.changes import SourceColumn, SourceTable, SourceType
from cdc.errors import SnapshotTooOld
from cdc.oracle.connect import identifier
from cdc.oracle.errors import oracle_errors
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.redo_sql.values import canonical, marked
from cdc.readers.logminer.tables.selected import LARGE_ROWS, as_text, quoted, text_of_large

KEYS = (1, 8, 64, 500)
"""Keys in one branch of a query; a branch is filled up, so a table has few texts to parse."""
BRANCHES = (1, 16)
"""SCNs in one query, for branches of at most `SMALL` keys."""
SMALL = 8

Key = tuple[str | None, ...]
Requested = Mapping[int, Sequence[Key]]
"""Keys by the SCN as of which their rows are asked for."""
Found = dict[tuple[int, Key], tuple[str | None, ...]]
Branch = tuple[int | None, tuple[Key, ...]]

log = structlog.get_logger(__name__)


class Reselect:
    """Reads large columns by key.

    Args:
        system: name of the source, for messages.
        session: gives the connection that sees the tables.

    Attributes:
        counts: rows `read`, and those of them `newer` than their change or `gone` since.
    """

    def __init__(self, system: str, session: MiningSession) -> None:
        self._system, self._session = system, session
        self.counts: Counter[str] = Counter()

    def values(self, table: SourceTable, columns: Sequence[SourceColumn], requested: Requested) -> Found:
        """Canonical texts of the columns by SCN and key; rows that are gone are left out.

        Raises:
            TransientError: the connection was lost.
            OperatorError: the table may not be read any more.
        """
        found: Found = {}
        asked = 0
        for group in _queries(requested):
            asked += sum(len(set(keys)) for _, keys in group)
            try:
                found.update(self._read(table, columns, group))
            except SnapshotTooOld:
                for branch in group:
                    found.update(self._singly(table, columns, branch))
        self.counts["read"] += len(found)
        self.counts["gone"] += asked - len(found)
        return found

    def _singly(self, table: SourceTable, columns: Sequence[SourceColumn], branch: Branch) -> Found:
        scn, keys = branch
        try:
            return self._read(table, columns, (branch,))
        except SnapshotTooOld as exc:
            newest = self._read(table, columns, ((None, keys),))
            self.counts["newer"] += len(newest)
            log.warning(
                "large_values_newer",
                system=self._system,
                table=str(table.name),
                rows=len(newest),
                position=scn,
                reason=str(exc),
            )
            return {(scn or 0, key): values for (_, key), values in newest.items()}

    def _read(self, table: SourceTable, columns: Sequence[SourceColumn], group: Sequence[Branch]) -> Found:
        keys, binds = _keys(table), dict[str, object]()
        for number, (scn, some) in enumerate(group):
            binds[f"p{number}"] = scn or 0
            if scn is not None:
                binds[f"s{number}"] = scn + 1  # a commit may become visible one SCN behind its record
            for row, key in enumerate(some):
                texts = map(bind_text, keys, key)
                binds |= {f"k{number}_{row}_{at}": text for at, text in enumerate(texts)}
        rows: list[list[str | None]] = []
        with (
            oracle_errors(f"{self._system}: {table.name}"),
            self._session.tables_connection.cursor() as cursor,
        ):
            cursor.arraysize = cursor.prefetchrows = LARGE_ROWS
            cursor.setinputsizes(**_national(keys, group))
            cursor.execute(query(table, columns, group), binds)
            while some_rows := cursor.fetchmany(LARGE_ROWS):
                rows += [[text_of_large(value) for value in row] for row in some_rows]
        return _canonical(rows, keys, columns)


def _national(keys: Sequence[SourceColumn], group: Sequence[Branch]) -> dict[str, oracledb.DbType]:
    """Types of binds for NCHAR and NVARCHAR2 keys: others lose what is not in the database's own set."""
    places = [at for at, column in enumerate(keys) if column.declared.startswith(("NCHAR", "NVARCHAR2"))]
    return {
        f"k{number}_{row}_{at}": oracledb.DB_TYPE_NVARCHAR
        for number, (_, some) in enumerate(group)
        for row in range(len(some))
        for at in places
    }


def _canonical(
    rows: list[list[str | None]], keys: Sequence[SourceColumn], columns: Sequence[SourceColumn]
) -> Found:
    if not rows:
        return {}
    scns, *cells = zip(*rows, strict=True)
    texts = [
        canonical(marked(pl.Series(values, dtype=pl.String)), column).to_list()
        for values, column in zip(cells, (*keys, *columns), strict=True)
    ]
    width = len(keys)
    return {
        (int(scn or 0), tuple(row[:width])): tuple(row[width:])
        for scn, row in zip(scns, zip(*texts, strict=True), strict=True)
    }


def query(table: SourceTable, columns: Sequence[SourceColumn], group: Sequence[Branch]) -> str:
    """The query for the rows of several SCNs."""
    keys = _keys(table)
    parts = [_branch(table, keys, columns, number, scn, some) for number, (scn, some) in enumerate(group)]
    return " union all ".join(parts)


def _keys(table: SourceTable) -> list[SourceColumn]:
    return [column for name in table.key if (column := table.column(name)) is not None]


def _queries(requested: Requested) -> Iterator[tuple[Branch, ...]]:
    """Branches of one query each: many SCNs with few keys together, many keys of one SCN alone."""
    small: dict[int, list[Branch]] = {}
    for scn, keys in sorted(requested.items()):
        rest = iter(dict.fromkeys(keys))
        while some := tuple(islice(rest, KEYS[-1])):
            size = next(size for size in KEYS if size >= len(some))
            branch = scn, (*some, *[some[-1]] * (size - len(some)))
            if size > SMALL:
                yield (branch,)
            else:
                small.setdefault(size, []).append(branch)
    for branches in small.values():
        for at in range(0, len(branches), BRANCHES[-1]):
            group = branches[at : at + BRANCHES[-1]]
            size = next(size for size in BRANCHES if size >= len(group))
            yield (*group, *[group[-1]] * (size - len(group)))


def _branch(
    table: SourceTable,
    keys: Sequence[SourceColumn],
    columns: Sequence[SourceColumn],
    number: int,
    scn: int | None,
    some: Sequence[Key],
) -> str:
    """One SCN's rows; the SCN itself comes as first column, since a row may be asked for at several."""
    names = [as_text(column) for column in (*keys, *columns)]
    as_of = f" as of scn :s{number}" if scn is not None else ""
    compared = [identifier(column.name) for column in keys]
    items = [
        _row([bound(column, f":k{number}_{row}_{at}") for at, column in enumerate(keys)])
        for row in range(len(some))
    ]
    where = f"{_row(compared)} in ({', '.join(items)})"
    chosen = f"to_char(:p{number}), {', '.join(names)}"
    return f"select {chosen} from {quoted(table.name)}{as_of} where {where}"  # noqa: S608 - quoted names


def _row(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"({', '.join(items)})"


def bind_text(column: SourceColumn, text: str | None) -> str | None:
    """A canonical text in the full form that a format model takes."""
    if text is None or column.declared == "DATE":
        return text
    if column.type not in (SourceType.TIMESTAMP, SourceType.TIMESTAMP_TZ):
        return text
    moment, zone, _ = text.partition("+")
    whole, _, fraction = moment.partition(".")
    return f"{whole}.{fraction or '0'}" + (" +00:00" if zone else "")


def bound(column: SourceColumn, bind: str) -> str:
    """A canonical text as a value of the column's type."""
    match column.type:
        case SourceType.NUMBER:
            return f"to_number({bind})"
        case SourceType.TIMESTAMP if column.declared == "DATE":
            return f"to_date({bind}, 'YYYY-MM-DD HH24:MI:SS')"
        case SourceType.TIMESTAMP:
            return f"to_timestamp({bind}, 'YYYY-MM-DD HH24:MI:SS.FF9')"
        case SourceType.TIMESTAMP_TZ:
            return f"to_timestamp_tz({bind}, 'YYYY-MM-DD HH24:MI:SS.FF9 TZH:TZM')"
        case SourceType.BINARY:
            return f"hextoraw({bind})"
        case SourceType.OTHER:
            return f"to_{'ym' if column.declared.startswith('INTERVAL YEAR') else 'ds'}interval({bind})"
        case _:
            return bind
