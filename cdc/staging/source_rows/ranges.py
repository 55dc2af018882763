"""What verification asks of `staging.source_row`: sums by key range, and the digests of one range.

The rows are those as of `staging.source_row_state`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
import psycopg

from cdc.changes import TableName
from cdc.ports import RANGE_SCHEMA, KeyRange
from cdc.postgres.connect import Connection
from cdc.postgres.copy import execute_as_text, fetch_frame

_ROWS = "system = %(system)s and schema_name = %(schema)s and table_name = %(table)s and not tombstone"
_SUMS = f"""
-- for each range: how many rows, their digests added up modulo 2^64, how many have no digest
select r.number - 1, s.rows, s.sum, s.unknown
from unnest(%(lows)s::text[], %(highs)s::text[]) with ordinality as r (low, high, number)
cross join lateral (
    select count(*) as rows, mod(coalesce(sum(digest), 0), 18446744073709551616) as sum,
        count(*) - count(digest) as unknown
    from staging.source_row
    where {_ROWS} and key >= r.low {{below}}) as s
order by r.number
"""  # noqa: S608 - no value is put in
_DIGESTS = f"""
select key, digest, source_position, source_ordinal from staging.source_row
where {_ROWS} and key >= %(low)s {{below}} order by key
"""  # noqa: S608
_BOUNDS = f"""
select key from (
    select key, row_number() over (order by key) as number from staging.source_row
    where {_ROWS} and key >= %(low)s {{below}}) as numbered
where number > 1 and (number - 1) %% %(rows)s = 0 order by key
"""  # noqa: S608
_SUM_SCHEMA = {**RANGE_SCHEMA, "sum": pl.String}
_DIGEST_SCHEMA = {
    "sort_key": pl.String,
    "digest": pl.Int64,
    "source_position": pl.Int64,
    "source_ordinal": pl.Int64,
}


def range_sums(
    connection: Connection, system: str, table: TableName, ranges: Sequence[KeyRange]
) -> pl.DataFrame:
    """Count and add up the rows of each range: RANGE_SCHEMA, in order; `unknown` rows are not in the sum."""
    found = []
    # an open end would hide the bound of the others from the index
    for is_open, below in ((False, "and key < r.high"), (True, "")):
        numbers = [number for number, one in enumerate(ranges) if (one.high is None) is is_open]
        if not numbers:
            continue
        parameters = {
            **_names(system, table),
            "lows": [ranges[number].low or "" for number in numbers],
            "highs": [ranges[number].high for number in numbers],
        }
        with connection.cursor() as cursor:
            execute_as_text(cursor, psycopg.sql.SQL(_SUMS.format(below=below)), parameters)
            sums = fetch_frame(cursor, _SUM_SCHEMA)
        found.append(sums.with_columns(pl.Series("range_no", numbers, dtype=pl.Int64)))
    if not found:
        return pl.DataFrame(schema=RANGE_SCHEMA)
    return pl.concat(found).with_columns(pl.col("sum").cast(pl.UInt64)).sort("range_no")


def digests_in(connection: Connection, system: str, table: TableName, within: KeyRange) -> pl.DataFrame:
    """The rows of a range: sort_key, digest (null: not known), source_position, source_ordinal; by key."""
    with connection.cursor() as cursor:
        _of_range(cursor, _DIGESTS, system, table, within)
        return fetch_frame(cursor, _DIGEST_SCHEMA)


def bounds(
    connection: Connection, system: str, table: TableName, rows: int, within: KeyRange | None = None
) -> list[str]:
    """Keys at which a range can be cut into ranges of `rows` rows; the last one may have fewer."""
    with connection.cursor() as cursor:
        _of_range(cursor, _BOUNDS, system, table, within or KeyRange(), rows=rows)
        return [str(key) for (key,) in cursor.fetchall()]


def _of_range(
    cursor: psycopg.Cursor[tuple[object, ...]],
    query: str,
    system: str,
    table: TableName,
    within: KeyRange,
    **others: object,
) -> None:
    below = "" if within.high is None else "and key < %(high)s"
    parameters = {**_names(system, table), "low": within.low or "", "high": within.high, **others}
    execute_as_text(cursor, psycopg.sql.SQL(query.format(below=below)), parameters)


def _names(system: str, table: TableName) -> Mapping[str, object]:
    return {"system": system, "schema": table.schema, "table": table.name}
