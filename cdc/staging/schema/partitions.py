"""Month partitions of `staging.change`, made when a batch first needs them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from psycopg import sql

from cdc.postgres.connect import Connection

# two flows may need the same new month at the same time; attaching takes the same lock
_LOCK = "lock table only staging.change in share update exclusive mode"
Month = tuple[int, int]


def months_of(moments: Iterable[datetime]) -> set[Month]:
    """Year and month, in UTC, of each moment."""
    return {(moment.year, moment.month) for moment in (m.astimezone(UTC) for m in moments)}


def partition_name(month: Month) -> str:
    """`change_2024_02` for February 2024."""
    return f"change_{month[0]:04d}_{month[1]:02d}"


def ensure_partitions(connection: Connection, months: Iterable[Month]) -> None:
    """Make the partitions that are missing, in the caller's transaction.

    The table is made first and attached then: attaching lets others read and write meanwhile.
    """
    for month in sorted(months):
        name = sql.Identifier("staging", partition_name(month))
        if _exists(connection, month):
            continue
        connection.execute(_LOCK)
        if _exists(connection, month):
            continue
        after = (month[0] + month[1] // 12, month[1] % 12 + 1)
        low, high = (
            sql.Literal(f"{year:04d}-{number:02d}-01 00:00:00+00") for year, number in (month, after)
        )
        connection.execute(
            sql.SQL(
                "create table {name} (like staging.change including all); "
                "comment on table {name} is {comment}; "
                "alter table staging.change attach partition {name} for values from ({low}) to ({high})"
            ).format(
                name=name,
                low=low,
                high=high,
                comment=sql.Literal(f"Changes committed in {month[0]:04d}-{month[1]:02d}, UTC"),
            )
        )


def _exists(connection: Connection, month: Month) -> bool:
    found = connection.execute("select to_regclass(%s)", [f"staging.{partition_name(month)}"]).fetchone()
    return found is not None and found[0] is not None
