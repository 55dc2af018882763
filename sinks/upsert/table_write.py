"""One program's part in a write: its rows into the session's tables, compared, written, reported.

`sinks.upsert.sink` runs the parts inside one transaction: first every `write` in the programs' order,
then every `delete` in the opposite order, then what might succeed once the rest is in.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial

import polars as pl
import psycopg
from psycopg import sql

from cdc.errors import RowError
from cdc.ports import Live
from cdc.postgres.copy import copy_frame, execute_as_text, fetch_frame
from sinks.upsert import missing_parents, rivals, unique_swaps
from sinks.upsert.desired import numbered_rows
from sinks.upsert.isolation import bisect_until_written
from sinks.upsert.missing_parents import ForeignKey
from sinks.upsert.statements import comparison, rejections
from sinks.upsert.statements.rejections import Rejection
from sinks.upsert.target_session import (
    PreparedTable,
    TargetSession,
    as_application,
    check_now,
    name_uncastable,
)
from sinks.upsert.unique_swaps import Exchange
from sinks.upsert.write_probe import takes_writes

_MANY_ROWS = 200
"""From so many rows on an index pays when a write is halved."""

_DELIVERY_COLUMNS = {
    "key": pl.String,
    "decision": pl.String,
    "before": pl.String,
    "after": pl.String,
    "staged_seq": pl.Int64,
}
_HELD_COLUMNS = {"key": pl.String, "staged_seq": pl.Int64, "reason_code": pl.String, "reason": pl.String}


class TableWrite:
    """The desired rows of one program on their way into the target.

    Args:
        session: the sink's session, in the writing transaction.
        prepared: the program's statements.
        desired: key columns, columns, `_deleted`, `_staged_seq`.
        isolated: collect rows that are rejected or locked; otherwise a rejection is raised.
        live: asks staging for rows that may have a key of this write in another spelling.
    """

    def __init__(
        self,
        session: TargetSession,
        prepared: PreparedTable,
        desired: pl.DataFrame,
        *,
        isolated: bool,
        live: Live | None = None,
    ) -> None:
        self._session, self._connection = session, session.connection
        self._prepared, self.in_isolation, self._live = prepared, isolated, live
        self._table = prepared.layout.table.name
        probe = partial(takes_writes, self._connection, session.own_schema, self._table)
        self._server_writes = probe if session.doubtful else None
        prepared.scratch.make_room(lambda: self._connection.execute(prepared.empty))
        self._low = prepared.scratch.rows
        numbered = numbered_rows(prepared.layout, desired, first_row=self._low)
        self._frame = numbered.frame
        self._high = self._low + numbered.rows
        self.total = numbered.frame.height
        prepared.scratch.add(self.total)
        self.deletes = prepared.layout.program.on_delete == "delete" and bool(desired["_deleted"].any())
        self._rejected = {
            row: Rejection(row, rejections.DOUBLED, f"{self._table}: several desired rows for one key")
            for row in range(self._high, self._low + self.total)
        }
        self._decided: Counter[str] = Counter()
        self._foreign_keys: dict[str, ForeignKey] = {}
        self._exchanges: dict[str, Exchange] = {}

    @property
    def written(self) -> int:
        """Target rows written so far."""
        return sum(n for decision, n in self._decided.items() if decision != comparison.MISSING)

    def write(self) -> None:
        """Update, insert and deactivate; rows that are rejected are collected, or raised.

        Raises:
            psycopg.Error, RowError: a row was refused and this part does not work in isolation.
        """
        if not self.in_isolation:
            self._load(self._low, self._high)
            if self._low < self._high:
                if self._prepared.layout.loose:
                    self._cast(self._low, self._high)
                    self._judge_keys()
                self._attempt(self._low, self._high)
            return
        low, high = self._low, self._high
        # sent into tables of ours, which have no triggers: an error about the server is the server's
        self._keep(bisect_until_written(self._connection, low, high, self._load, self._explain))
        if high - low > _MANY_ROWS:
            self._connection.execute(self._prepared.index_rows)
        if self._prepared.layout.loose:
            self._leave_out(self._bisect(low, high, self._cast))
            self._judge_keys()
        self._keep(self._isolated(low, high))

    def delete(self) -> None:
        """Delete what is gone; rows that are still referred to are rejected."""
        if not self.deletes:
            return
        if self.in_isolation:
            self._keep(self._isolated_delete(self._low, self._high))
        else:
            self._attempt_delete(self._low, self._high)

    @property
    def worth_another_try(self) -> list[int]:
        """Rejected rows that a later write of the same transaction may have made possible."""
        return [
            row
            for row, rejection in self._rejected.items()
            if rejection.reason_code in rejections.WORTH_ANOTHER_TRY
        ]

    def retry(self, row: int) -> None:
        """Retry a rejected row."""
        self._take_back(row)
        self._keep(self._isolated(row, row + 1))
        if self.deletes:
            self._keep(self._isolated_delete(row, row + 1))

    def retry_unchecked(self, row: int) -> None:
        """Write a rejected row; whether its constraints hold is for the caller to see.

        Raises:
            psycopg.Error, RowError: refused again, by what cannot be deferred.
        """
        self._take_back(row)
        self._foreign_keys.clear()
        self._write_range(row, row + 1)
        if self.deletes:
            self._attempt_delete(row, row + 1)

    def orphans(self, exc: psycopg.Error) -> list[int]:
        """Rows of this part without the parent that a foreign key requires."""
        key = missing_parents.violated_key(self._connection, self._prepared.layout, exc)
        if key is None:
            return []
        rows = self._connection.execute(
            missing_parents.reject_orphans(self._prepared.layout, key), self._limits
        )
        return [int(str(row)) for row, _ in rows.fetchall()]

    def state(self) -> tuple[dict[int, Rejection], Counter[str], dict[str, ForeignKey]]:
        """What is known of the rows, to be given back to `restore` when a savepoint undid them."""
        return dict(self._rejected), self._decided.copy(), dict(self._foreign_keys)

    def restore(self, state: tuple[dict[int, Rejection], Counter[str], dict[str, ForeignKey]]) -> None:
        """Know again what was known when `state` was taken."""
        self._rejected, self._decided, self._foreign_keys = state

    def deliveries(self) -> pl.DataFrame:
        """What was written: key, decision, before, after as json texts, staged_seq."""
        if not self.written:
            return pl.DataFrame(schema=_DELIVERY_COLUMNS)
        with self._connection.cursor() as cursor:
            execute_as_text(cursor, sql.SQL(self._prepared.deliveries), self._limits)
            return fetch_frame(cursor, _DELIVERY_COLUMNS)

    def held(self) -> pl.DataFrame:
        """The rejected rows: key as json text, staged_seq, reason_code, reason; in row order."""
        if self._decided[comparison.MISSING]:
            missing = {"decision": comparison.MISSING} | self._limits
            for (row,) in self._connection.execute(self._prepared.rows_decided, missing).fetchall():
                reason = f"{self._table}: no row with this key, and the rule only updates"
                self._rejected[int(str(row))] = Rejection(int(str(row)), rejections.MISSING, reason)
        if not self._rejected:
            return pl.DataFrame(schema=_HELD_COLUMNS)
        reasons = [self._rejected[row] for row in sorted(self._rejected)]
        rows = self._frame[[rejection.row - self._low for rejection in reasons]]
        keys = rows.select(column.name for column in self._prepared.layout.key)
        return pl.DataFrame(
            {
                "key": [json.dumps(key, ensure_ascii=False) for key in keys.iter_rows(named=True)],
                "staged_seq": rows["_staged_seq"],
                "reason_code": [rejection.reason_code for rejection in reasons],
                "reason": [rejection.reason for rejection in reasons],
            },
            schema=_HELD_COLUMNS,
        )

    @property
    def _limits(self) -> dict[str, object]:
        return {"low": self._low, "high": self._high}

    def _keep(self, refused: list[Rejection]) -> None:
        for rejection in refused:  # why a row was refused first says more than what followed from it
            self._rejected.setdefault(rejection.row, rejection)

    def _take_back(self, row: int) -> None:
        del self._rejected[row]
        self._connection.execute(self._prepared.forget, {"low": row, "high": row + 1})

    def _load(self, low: int, high: int) -> None:
        """Send rows to the target as text; a character that is not in its encoding is rejected here."""
        with self._connection.cursor() as cursor:
            copy_frame(cursor, self._prepared.layout.desired, self._frame[low - self._low : high - self._low])

    def _cast(self, low: int, high: int) -> None:
        """Cast a range, for the keys to be compared; the rows are cast again when they are written."""
        self._connection.execute(self._prepared.cast, {"low": low, "high": high}).fetchall()

    def _judge_keys(self) -> None:
        """Leave out rows whose key another row has, where the target's type takes two texts for one value."""
        layout, execute = self._prepared.layout, self._connection.execute
        found = execute(rivals.within(layout), self._limits).fetchall()
        if self._live is not None:
            found += rivals.outside(self._connection, layout, self._live, self._limits)
        execute(self._prepared.forget, self._limits)
        reason = f"{self._table}: several rows of staging have one key in the target"
        self._leave_out([Rejection(int(str(row)), str(code).rstrip(":"), reason) for row, code in found])

    def _leave_out(self, refused: list[Rejection]) -> None:
        """Take rows out of the write; one that is gone while another row has its key is just done."""
        rows = [rejection.row for rejection in refused]
        if rows:
            self._connection.execute(self._prepared.leave_out, {"rows": rows})
            self._keep([rejection for rejection in refused if rejection.reason_code != rivals.TAKEN])

    def _isolated(self, low: int, high: int) -> list[Rejection]:
        return self._bisect(low, high, self._attempt, self._adapt)

    def _isolated_delete(self, low: int, high: int) -> list[Rejection]:
        refused = self._bisect(low, high, self._attempt_delete)
        for rejection in refused:
            limits = {"low": rejection.row, "high": rejection.row + 1}
            self._connection.execute(self._prepared.forget, limits)
            self._decided[comparison.DELETE] -= 1
        return refused

    def _bisect(
        self,
        low: int,
        high: int,
        attempt: Callable[[int, int], None],
        adapt: Callable[[psycopg.Error | RowError], bool] = lambda exc: False,
    ) -> list[Rejection]:
        return bisect_until_written(
            self._connection, low, high, attempt, self._explain, adapt, server_writes=self._server_writes
        )

    def _attempt(self, low: int, high: int) -> None:
        """All statements for a range but the deletions; takes note only when all went well."""
        if low == high:
            self._prepared.try_without_rows(self._connection)
            return
        self._write_range(low, high)
        if self.in_isolation:
            self._check_deferred()

    def _write_range(self, low: int, high: int) -> None:
        execute, prepared = self._connection.execute, self._prepared
        limits = {"low": low, "high": high}
        checks = [missing_parents.reject_orphans(prepared.layout, key) for key in self._foreign_keys.values()]
        # sent together; what was cast and rejected is in the session's tables
        with self._connection.pipeline():
            found = [execute(prepared.cast, limits), *(execute(check, limits) for check in checks)]
            compared = execute(prepared.decide_unlocked if self.in_isolation else prepared.decide, limits)
        unfit = [row for cursor in found for row in cursor.fetchall()]
        decided: Counter[str] = Counter()
        differing = 0
        for decision, rows, mask in compared.fetchall():
            decided[str(decision)] = int(str(rows))
            differing |= int(str(mask))
        locked = execute(prepared.locked, limits).fetchall() if self.in_isolation else []
        statements = {
            comparison.UPDATE: prepared.update(differing) if differing else "",
            comparison.DEACTIVATE: prepared.deactivate,
            comparison.INSERT: prepared.insert,
        }
        due = {decision: text for decision, text in statements.items() if decided[decision]}
        if due:
            with as_application(self._connection):
                if comparison.UPDATE in due:
                    for exchange in self._exchanges.values():
                        execute(unique_swaps.release_values(prepared.layout, exchange), limits)
                written = {decision: execute(text, limits) for decision, text in due.items()}
            for decision, cursor in written.items():
                prepared.require_written(decision, cursor, decided[decision])
        self._decided += decided
        self._keep([self._rejection_of(int(str(row)), str(code)) for row, code in unfit])
        self._keep([rejections.locked(self._table, int(str(row))) for (row,) in locked])

    def _attempt_delete(self, low: int, high: int) -> None:
        with as_application(self._connection):
            self._connection.execute(self._prepared.delete, {"low": low, "high": high})
        if self.in_isolation:
            self._check_deferred()

    def _check_deferred(self) -> None:
        """Check deferred constraints now, where the rows can be distinguished."""
        if self._session.defers:
            check_now(self._connection)

    def _adapt(self, exc: psycopg.Error | RowError) -> bool:
        """True if the attempt now deals with such rows by itself and is worth repeating as it was."""
        known = self._foreign_keys.keys() | self._exchanges.keys()
        if not isinstance(exc, psycopg.Error) or exc.diag.constraint_name in known:
            return False
        key = missing_parents.violated_key(self._connection, self._prepared.layout, exc)
        if key is not None:
            self._foreign_keys[key.constraint] = key
        exchange = unique_swaps.violated_exchange(self._connection, self._prepared.layout, exc)
        if exchange is not None:
            self._exchanges[exchange.index] = exchange
        return key is not None or exchange is not None

    def _rejection_of(self, row: int, code_and_name: str) -> Rejection:
        code, _, name = code_and_name.partition(":")
        column = self._prepared.layout.table.column(name)
        if code == missing_parents.CODE or column is None:
            return Rejection(row, code, f"{self._table}: refused by constraint {name}")
        return rejections.value_rejection(self._table, row, column, code)

    def _explain(self, row: int, exc: psycopg.Error | RowError) -> Rejection:
        if isinstance(exc, rejections.Altered):
            return Rejection(row, exc.reason_code, str(exc))
        assert isinstance(exc, psycopg.Error)  # noqa: S101 - nothing else is raised for a row
        return rejections.refused(
            self._table, row, exc, lambda: name_uncastable(self._connection, self._prepared, row)
        )
