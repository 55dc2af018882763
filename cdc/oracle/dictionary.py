"""Questions to the dictionary views about many tables, asked owner by owner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import oracledb

from cdc.changes import TableName
from cdc.oracle.errors import oracle_errors

IN_LIST = 500
"""Names of one statement; Oracle takes 1,000."""


def rows_by_owner(
    connection: oracledb.Connection, statement: str, tables: Iterable[TableName], system: str
) -> list[tuple[str, tuple[Any, ...]]]:
    """Rows of a dictionary query, each with the owner it was asked for."""
    by_owner: dict[str, list[str]] = {}
    for table in tables:
        by_owner.setdefault(table.schema, []).append(table.name)
    found: list[tuple[str, tuple[Any, ...]]] = []
    with oracle_errors(system), connection.cursor() as cursor:
        for owner, names in by_owner.items():
            for at in range(0, len(names), IN_LIST):
                some = names[at : at + IN_LIST]
                holders = ", ".join(f":n{index}" for index in range(len(some)))
                binds = {"owner": owner} | {f"n{index}": name for index, name in enumerate(some)}
                cursor.execute(statement.format(names=holders), binds, fetch_decimals=False)
                found.extend((owner, row) for row in cursor)
    return found
