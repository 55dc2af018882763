"""Captured tables that lose their rows by DDL on something else, which no row tells of them.

A cluster holds the rows of its tables; a user is dropped with what he owns; TRUNCATE .. CASCADE empties the
tables that refer to the one it names. Whether LogMiner shows rows of DDL for each of them no document says:
a table that one of those stops is stopped already.

Source: Oracle Database SQL Language Reference 19c, TRUNCATE CLUSTER, DROP CLUSTER, DROP USER, TRUNCATE TABLE
("CASCADE": tables with an enabled foreign key ON DELETE CASCADE, and those that refer to them).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import oracledb

from cdc.changes import TableName
from cdc.readers.logminer.ddl.statements import taking_along
from cdc.readers.logminer.tables import dictionary
from cdc.readers.logminer.transactions.events import DdlSeen


class Dependents:
    """What the captured tables depend on, as far as the dictionary shows it.

    Args:
        system: name of the source, for messages.
    """

    def __init__(self, system: str) -> None:
        self._system = system
        self._clusters: dict[TableName, tuple[str, str]] = {}
        self._parents: dict[TableName, frozenset[TableName | None]] = {}

    def learn(self, connection: oracledb.Connection, names: Sequence[TableName]) -> None:
        """Look at some tables; of one that is gone by now what was known stays."""
        self._clusters |= dictionary.clusters(connection, names, self._system)
        self._parents |= dictionary.references(connection, names, self._system)

    def emptied(
        self, event: DdlSeen, captured: Mapping[TableName, object]
    ) -> Iterator[tuple[TableName, str]]:
        """The captured tables that lose rows by DDL that does not name them, and what happened."""
        read = taking_along(event.row.sql_redo or "")
        if read is None or read.name is None:
            return
        owner = read.owner or event.row.owner or ""
        if read.kind == "CLUSTER":
            for name, cluster in self._clusters.items():
                if cluster == (owner, read.name):
                    yield name, f"the cluster of {name} was emptied: all its rows are gone"
        elif read.kind == "USER":
            for name in captured:
                if name.schema == read.name:
                    yield name, f"user {read.name} was dropped, and {name} with it"
        else:
            first = TableName(owner, read.name)
            for name in self._referring(first):
                yield name, f"{first} was truncated with the tables that refer to it, as {name} does"

    def _referring(self, table: TableName) -> set[TableName]:
        """Tables that refer to one, through others too; what refers to an unknown one may do so."""
        found: set[TableName] = set()
        reached: set[TableName | None] = {table, None}
        while more := {
            name for name, parents in self._parents.items() if name not in found and parents & reached
        }:
            found |= more
            reached |= more
        return found - {table}
