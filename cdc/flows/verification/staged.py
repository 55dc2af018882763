"""What staging has of one table, as a side of the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from cdc.digests.definition import RowDigest
from cdc.digests.sort_key import encode, keyed
from cdc.flows.verification.judging import SourceRow, StagedChange, StagedRow, StagedState
from cdc.ports import KeyRange, TableLook
from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors
from cdc.staging.resync_runs import Difference
from cdc.staging.source_rows import ranges
from cdc.staging.source_rows.compared import ComparedTable, checkpoint_position
from cdc.staging.source_rows.refresh import refresh

_ONE_MOMENT = "set transaction isolation level repeatable read, read only"


class StagedTable:
    """Rows of a table as staging has them.

    Args:
        connection: to staging, with no transaction open; not in autocommit.
        system: the source.
        digest: of the table's rows.
    """

    def __init__(self, connection: Connection, system: str, digest: RowDigest) -> None:
        self._connection, self._system, self._digest = connection, system, digest
        self._table = ComparedTable(connection, system, digest)
        self._subject = f"staging of {system}: {digest.table}"

    def refresh(self) -> None:
        """Take over what was staged meanwhile; nothing else changes the rows."""
        refresh(self._connection, self._system, {self._digest.table: self._digest})

    def staged_to(self) -> int | None:
        """Up to where the source is staged now."""
        with postgres_errors(self._subject), self._connection.transaction():
            return checkpoint_position(self._connection, self._system)

    def range_sums(self, within: KeyRange, bounds: Sequence[str] = ()) -> pl.DataFrame:
        """Counts and sums of the parts: RANGE_SCHEMA."""
        with postgres_errors(self._subject), self._connection.transaction():
            return ranges.range_sums(self._connection, self._system, self._digest.table, within.cut(bounds))

    def digests_in(self, within: KeyRange) -> pl.DataFrame:
        """`sort_key` and `digest` of each row."""
        with postgres_errors(self._subject), self._connection.transaction():
            return ranges.digests_in(self._connection, self._system, self._digest.table, within)

    def bounds(self, within: KeyRange, *, rows: int) -> list[str]:
        """Keys that cut the range into parts of so many rows."""
        with postgres_errors(self._subject), self._connection.transaction():
            return ranges.bounds(self._connection, self._system, self._digest.table, rows, within)

    def bound(self, within: KeyRange, *, rows: int) -> str | None:
        """Key of the row that has so many rows before it; None if there is none."""
        with postgres_errors(self._subject), self._connection.transaction():
            return self._table.bound(within.low, rows)

    def count(self, keys: Sequence[str]) -> int:
        """How many of these rows there are."""
        with postgres_errors(self._subject), self._connection.transaction():
            return len(self._table.rows(keys))

    def state(self, seen: Mapping[str, SourceRow | None], look: TableLook) -> StagedState:
        """Staging as of one position, with all that judging the keys that a look saw needs."""
        with postgres_errors(self._subject), self._connection.transaction():
            self._connection.execute(_ONE_MOMENT)
            found = self._table.state()
            if found is None:
                return StagedState(0, {}, settled=False)
            position, table_state, read_position = found
            rows = {key: StagedRow(*row) for key, row in self._table.rows(seen).items()}
            unlike = [key for key, row in rows.items() if not _equal(seen[key], row)]
            texts = self._table.texts(unlike) if unlike else {}
            changes = [StagedChange(*one) for one in self._table.changes(look.low, position)]
        return StagedState(
            position,
            {key: replace(row, texts=texts.get(key, {})) for key, row in rows.items()},
            changes,
            settled=table_state == "read" and look.includes(read_position or 0, None),
        )

    def explained(self, found: Sequence[Difference]) -> list[Difference]:
        """Differences with their cause, where an open dead letter is it."""
        if not found:
            return []
        with postgres_errors(self._subject), self._connection.transaction():
            letters = self._table.letters()
        causes = {
            self._key(key): f"dead letter {number} ({code})"
            for key, number, code in letters
            if all(key.get(column.name) is not None for column in self._digest.key)
        }
        return [
            replace(one, cause=one.cause or causes.get(self._key(one.key))) if causes else one
            for one in found
        ]

    def _key(self, key: Mapping[str, str | None]) -> str:
        return encode(keyed(self._digest), [str(key[column.name]) for column in self._digest.key])


def _equal(source: SourceRow | None, staged: StagedRow) -> bool:
    return source is not None and source.digest is not None and source.digest == staged.digest
