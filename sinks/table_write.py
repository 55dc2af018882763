"""One program's part in a write: its rows into the session's tables, compared, written, reported.

`sinks.upsert` runs the parts inside one transaction: first every `write` in the programs' order,
then every `delete` in the opposite order, then `again` for what might succeed once the rest is in.
"""

from __future__ import annotations

from collections import Counter

import polars as pl
import psycopg
from psycopg import sql

from cdc.errors import RowError
from cdc.postgres.connect import Connection
from cdc.postgres.copy import ask, copy_frame, frame_of
from sinks import comparison, exchanges, orphans
from sinks.casting import misfit_reason
from sinks.desired import wanted_rows
from sinks.exchanges import Exchange
from sinks.isolation import Refusal, explain, halve_until_written
from sinks.orphans import ForeignKey
from sinks.target_session import PreparedTable, name_uncastable

MISSING_CODE = "target_row_missing"
DOUBLED_CODE = "duplicate_key"
_WORTH_ANOTHER_TRY = frozenset(
    ("foreign_key_violation", "unique_violation", "exclusion_violation", "restrict_violation")
)
"""Refusals that a later row of the same write can lift: a parent, or a freed unique value."""

_MAX_KEPT_ROWS = 2_000
"""Rows of earlier writes that stay in the session's temporary tables before they are emptied."""

_MAX_TRIED_AGAIN = 100
"""More refusals than this wait for the flow's next try; alone, each takes a round of its own."""

_DELIVERY_COLUMNS = {
    "key": pl.String,
    "decision": pl.String,
    "before": pl.String,
    "after": pl.String,
    "staged_seq": pl.Int64,
}


class TableWrite:
    """The desired rows of one program on their way into the target.

    Args:
        connection: the sink's session, in the writing transaction.
        prepared: the program's statements.
        desired: key columns, columns, `_deleted`, `_staged_seq`.
        isolated: set aside the rows that are refused; otherwise a refusal is raised.
    """

    def __init__(
        self, connection: Connection, prepared: PreparedTable, desired: pl.DataFrame, *, isolated: bool
    ) -> None:
        self._connection, self._prepared, self._in_isolation = connection, prepared, isolated
        self._table = prepared.layout.table.name
        if prepared.next_row is None or prepared.next_row > _MAX_KEPT_ROWS:
            connection.execute(prepared.empty)
            prepared.next_row = 0
        self._low = prepared.next_row
        wanted = wanted_rows(prepared.layout, desired, first_row=self._low)
        self._high = self._low + wanted.rows
        self.total = wanted.frame.height
        prepared.next_row = self._low + self.total
        self.deletes = prepared.layout.program.on_delete == "delete" and bool(desired["_deleted"].any())
        self._set_aside = {
            row: Refusal(row, DOUBLED_CODE, f"{self._table}: several rows wanted for one key")
            for row in range(self._high, prepared.next_row)
        }
        self._decided: Counter[str] = Counter()
        self._foreign_keys: dict[str, ForeignKey] = {}
        self._exchanges: dict[str, Exchange] = {}
        with connection.cursor() as cursor:
            copy_frame(cursor, prepared.layout.wanted, wanted.frame)

    @property
    def written(self) -> int:
        """Target rows written so far."""
        return sum(n for decision, n in self._decided.items() if decision != comparison.MISSING)

    def write(self) -> None:
        """Update, insert and deactivate; rows that are refused are set aside, or raised.

        Raises:
            psycopg.Error, RowError: a row was refused and this part does not work in isolation.
        """
        self._keep(self._isolated(self._low, self._high))

    def delete(self) -> None:
        """Delete what is gone; rows that are still referred to are set aside."""
        if self.deletes:
            self._keep(self._isolated_delete(self._low, self._high))

    def again(self) -> None:
        """Try once more the rows that something written since may have made room for."""
        candidates = [
            row for row, refusal in self._set_aside.items() if refusal.reason_code in _WORTH_ANOTHER_TRY
        ]
        if len(candidates) > _MAX_TRIED_AGAIN:
            return
        for row in candidates:
            del self._set_aside[row]
            self._connection.execute(self._prepared.forget, {"low": row, "high": row + 1})
            self._keep(self._isolated(row, row + 1))
            if self.deletes:
                self._keep(self._isolated_delete(row, row + 1))

    def deliveries(self) -> pl.DataFrame:
        """What was written: key, decision, before, after as json texts, staged_seq."""
        if not self.written:
            return pl.DataFrame(schema=_DELIVERY_COLUMNS)
        with self._connection.cursor() as cursor:
            ask(cursor, sql.SQL(self._prepared.deliveries), self._limits)
            return frame_of(cursor, _DELIVERY_COLUMNS)

    def held(self) -> pl.DataFrame:
        """The rows set aside: key as json text, staged_seq, reason_code, reason; in row order."""
        if self._decided[comparison.MISSING]:
            wanted = {"decision": comparison.MISSING} | self._limits
            for (row,) in self._connection.execute(self._prepared.rows_decided, wanted).fetchall():
                reason = f"{self._table}: no row with this key, and the rule only updates"
                self._set_aside[int(str(row))] = Refusal(int(str(row)), MISSING_CODE, reason)
        keys = []
        if self._set_aside:
            rows = {"rows": list(self._set_aside)}
            keys = self._connection.execute(self._prepared.keys_of_rows, rows).fetchall()
        reasons = [self._set_aside[int(str(row))] for row, _, _ in keys]
        return pl.DataFrame(
            {
                "key": [key for _, key, _ in keys],
                "staged_seq": [staged_seq for _, _, staged_seq in keys],
                "reason_code": [refusal.reason_code for refusal in reasons],
                "reason": [refusal.reason for refusal in reasons],
            },
            schema={
                "key": pl.String,
                "staged_seq": pl.Int64,
                "reason_code": pl.String,
                "reason": pl.String,
            },
        )

    @property
    def _limits(self) -> dict[str, object]:
        return {"low": self._low, "high": self._high}

    def _keep(self, refusals: list[Refusal]) -> None:
        self._set_aside |= {refusal.row: refusal for refusal in refusals}

    def _isolated(self, low: int, high: int) -> list[Refusal]:
        if not self._in_isolation and low < high:
            self._attempt(low, high)
            return []
        return halve_until_written(self._connection, low, high, self._attempt, self._explain, self._adapt)

    def _isolated_delete(self, low: int, high: int) -> list[Refusal]:
        if not self._in_isolation:
            self._attempt_delete(low, high)
            return []
        refused = halve_until_written(self._connection, low, high, self._attempt_delete, self._explain)
        for refusal in refused:
            limits = {"low": refusal.row, "high": refusal.row + 1}
            self._connection.execute(self._prepared.forget, limits)
            self._decided[comparison.DELETE] -= 1
        return refused

    def _attempt(self, low: int, high: int) -> None:
        """All statements for a range but the deletions; takes note only when all went well."""
        execute, prepared = self._connection.execute, self._prepared
        limits = {"low": low, "high": high}
        checks = [orphans.set_aside(prepared.layout, key) for key in self._foreign_keys.values()]
        # sent together; what was cast and set aside is in the session's tables
        with self._connection.pipeline():
            found = [execute(prepared.cast, limits), *(execute(check, limits) for check in checks)]
            compared = execute(prepared.decide, limits)
        faults = [fault for cursor in found for fault in cursor.fetchall()]
        decided: Counter[str] = Counter()
        differing = 0
        for decision, rows, mask in compared.fetchall():
            decided[str(decision)] = int(str(rows))
            differing |= int(str(mask))
        if decided[comparison.UPDATE]:
            for exchange in self._exchanges.values():
                execute(exchanges.give_up(prepared.layout, exchange), limits)
        statements = {
            comparison.UPDATE: prepared.update(differing) if differing else "",
            comparison.DEACTIVATE: prepared.deactivate,
            comparison.INSERT: prepared.insert,
        }
        for decision, statement in statements.items():
            if decided[decision] and execute(statement, limits).rowcount != decided[decision]:
                raise RowError(f"{self._table}: {decision} was suppressed by a trigger or policy")
        self._decided += decided
        self._keep([self._misfit(int(str(row)), str(fault)) for row, fault in faults])

    def _attempt_delete(self, low: int, high: int) -> None:
        self._connection.execute(self._prepared.delete, {"low": low, "high": high})

    def _adapt(self, exc: psycopg.Error | RowError) -> bool:
        """True if the attempt now deals with such rows by itself and is worth repeating as it was."""
        known = self._foreign_keys.keys() | self._exchanges.keys()
        if not isinstance(exc, psycopg.Error) or exc.diag.constraint_name in known:
            return False
        key = orphans.violated_key(self._connection, self._prepared.layout, exc)
        if key is not None:
            self._foreign_keys[key.constraint] = key
        exchange = exchanges.refused_exchange(self._connection, self._prepared.layout, exc)
        if exchange is not None:
            self._exchanges[exchange.index] = exchange
        return key is not None or exchange is not None

    def _misfit(self, row: int, fault: str) -> Refusal:
        code, _, name = fault.partition(":")
        if code == orphans.CODE:
            return Refusal(row, code, f"{self._table}: refused by constraint {name}")
        column = self._prepared.layout.table.column(name)
        reason = misfit_reason(self._table, column, code) if column else fault
        return Refusal(row, code, reason)

    def _explain(self, row: int, exc: psycopg.Error | RowError) -> Refusal:
        if isinstance(exc, RowError):
            return Refusal(row, "write_suppressed", str(exc))
        return explain(self._table, row, exc, lambda: name_uncastable(self._connection, self._prepared, row))
