"""One program's part in a write: its rows into the session's tables, compared, written, reported.

`sinks.upsert.sink` runs the parts inside one transaction: first every `write` in the programs' order,
then every `delete` in the opposite order, then what might succeed once the rest is in.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import partial

import polars as pl
import psycopg
from psycopg import sql

from cdc.errors import RowError
from cdc.ports import Live
from cdc.postgres.copy import ask, copy_frame, frame_of
from sinks.upsert import exchanges, orphans, rivals
from sinks.upsert.desired import wanted_rows
from sinks.upsert.exchanges import Exchange
from sinks.upsert.isolation import halve_until_written
from sinks.upsert.orphans import ForeignKey
from sinks.upsert.statements import comparison, refusals
from sinks.upsert.statements.refusals import Refusal
from sinks.upsert.target_session import (
    PreparedTable,
    TargetSession,
    as_application,
    check_now,
    name_uncastable,
)

_MAX_KEPT_ROWS = 2_000
"""Rows of earlier writes that stay in the session's temporary tables before they are emptied."""

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
        isolated: set aside the rows that are refused or locked; otherwise a refusal is raised.
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
        self._session, self._connection, self._doubtful = session, session.connection, session.doubtful
        self._prepared, self.in_isolation, self._live = prepared, isolated, live
        self._table = prepared.layout.table.name
        if prepared.next_row is None or prepared.next_row > _MAX_KEPT_ROWS:
            self._connection.execute(prepared.empty)
            prepared.next_row = 0
        self._low = prepared.next_row
        wanted = wanted_rows(prepared.layout, desired, first_row=self._low)
        self._frame = wanted.frame
        self._high = self._low + wanted.rows
        self.total = wanted.frame.height
        prepared.next_row = self._low + self.total
        self.deletes = prepared.layout.program.on_delete == "delete" and bool(desired["_deleted"].any())
        self._set_aside = {
            row: Refusal(row, refusals.DOUBLED, f"{self._table}: several rows wanted for one key")
            for row in range(self._high, prepared.next_row)
        }
        self._decided: Counter[str] = Counter()
        self._foreign_keys: dict[str, ForeignKey] = {}
        self._exchanges: dict[str, Exchange] = {}

    @property
    def written(self) -> int:
        """Target rows written so far."""
        return sum(n for decision, n in self._decided.items() if decision != comparison.MISSING)

    def write(self) -> None:
        """Update, insert and deactivate; rows that are refused are set aside, or raised.

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
        halve = partial(halve_until_written, doubtful=self._doubtful)
        low, high = self._low, self._high
        self._keep(halve(self._connection, low, high, self._load, self._explain))
        if high - low > _MANY_ROWS:
            self._connection.execute(self._prepared.index_rows)
        if self._prepared.layout.loose:
            self._leave_out(halve(self._connection, low, high, self._cast, self._explain))
            self._judge_keys()
        self._keep(self._isolated(low, high))

    def delete(self) -> None:
        """Delete what is gone; rows that are still referred to are set aside."""
        if not self.deletes:
            return
        if self.in_isolation:
            self._keep(self._isolated_delete(self._low, self._high))
        else:
            self._attempt_delete(self._low, self._high)

    @property
    def worth_another_try(self) -> list[int]:
        """Rows set aside that something written since may have made room for."""
        return [
            row
            for row, refusal in self._set_aside.items()
            if refusal.reason_code in refusals.WORTH_ANOTHER_TRY
        ]

    def again(self, row: int) -> None:
        """Try a row that was set aside once more."""
        self._take_back(row)
        self._keep(self._isolated(row, row + 1))
        if self.deletes:
            self._keep(self._isolated_delete(row, row + 1))

    def again_unchecked(self, row: int) -> None:
        """Write a row that was set aside; whether its constraints hold is for the caller to see.

        Raises:
            psycopg.Error, RowError: refused again, by what cannot be deferred.
        """
        self._take_back(row)
        self._foreign_keys.clear()
        self._write_range(row, row + 1)
        if self.deletes:
            self._attempt_delete(row, row + 1)

    def orphans(self, exc: psycopg.Error) -> list[int]:
        """Rows of this part that lack the parent which a foreign key asked for in vain."""
        key = orphans.violated_key(self._connection, self._prepared.layout, exc)
        if key is None:
            return []
        rows = self._connection.execute(orphans.set_aside(self._prepared.layout, key), self._limits)
        return [int(str(row)) for row, _ in rows.fetchall()]

    def state(self) -> tuple[dict[int, Refusal], Counter[str], dict[str, ForeignKey]]:
        """What is known of the rows, to be given back to `restore` when a savepoint undid them."""
        return dict(self._set_aside), self._decided.copy(), dict(self._foreign_keys)

    def restore(self, state: tuple[dict[int, Refusal], Counter[str], dict[str, ForeignKey]]) -> None:
        """Know again what was known when `state` was taken."""
        self._set_aside, self._decided, self._foreign_keys = state

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
                self._set_aside[int(str(row))] = Refusal(int(str(row)), refusals.MISSING, reason)
        if not self._set_aside:
            return pl.DataFrame(schema=_HELD_COLUMNS)
        reasons = [self._set_aside[row] for row in sorted(self._set_aside)]
        rows = self._frame[[refusal.row - self._low for refusal in reasons]]
        keys = rows.select(column.name for column in self._prepared.layout.key)
        return pl.DataFrame(
            {
                "key": [json.dumps(key, ensure_ascii=False) for key in keys.iter_rows(named=True)],
                "staged_seq": rows["_staged_seq"],
                "reason_code": [refusal.reason_code for refusal in reasons],
                "reason": [refusal.reason for refusal in reasons],
            },
            schema=_HELD_COLUMNS,
        )

    @property
    def _limits(self) -> dict[str, object]:
        return {"low": self._low, "high": self._high}

    def _keep(self, refused: list[Refusal]) -> None:
        for refusal in refused:  # why a row was refused first says more than what followed from it
            self._set_aside.setdefault(refusal.row, refusal)

    def _take_back(self, row: int) -> None:
        del self._set_aside[row]
        self._connection.execute(self._prepared.forget, {"low": row, "high": row + 1})

    def _load(self, low: int, high: int) -> None:
        """Send rows to the target as text; a character that its encoding lacks is refused here."""
        with self._connection.cursor() as cursor:
            copy_frame(cursor, self._prepared.layout.wanted, self._frame[low - self._low : high - self._low])

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
        self._leave_out([Refusal(int(str(row)), str(fault).rstrip(":"), reason) for row, fault in found])

    def _leave_out(self, refused: list[Refusal]) -> None:
        """Take rows out of the write; one that is gone while another row has its key is just done."""
        rows = [refusal.row for refusal in refused]
        if rows:
            self._connection.execute(self._prepared.leave_out, {"rows": rows})
            self._keep([refusal for refusal in refused if refusal.reason_code != rivals.TAKEN])

    def _isolated(self, low: int, high: int) -> list[Refusal]:
        return halve_until_written(
            self._connection, low, high, self._attempt, self._explain, self._adapt, doubtful=self._doubtful
        )

    def _isolated_delete(self, low: int, high: int) -> list[Refusal]:
        refused = halve_until_written(
            self._connection, low, high, self._attempt_delete, self._explain, doubtful=self._doubtful
        )
        for refusal in refused:
            limits = {"low": refusal.row, "high": refusal.row + 1}
            self._connection.execute(self._prepared.forget, limits)
            self._decided[comparison.DELETE] -= 1
        return refused

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
        checks = [orphans.set_aside(prepared.layout, key) for key in self._foreign_keys.values()]
        # sent together; what was cast and set aside is in the session's tables
        with self._connection.pipeline():
            found = [execute(prepared.cast, limits), *(execute(check, limits) for check in checks)]
            compared = execute(prepared.decide_unlocked if self.in_isolation else prepared.decide, limits)
        faults = [fault for cursor in found for fault in cursor.fetchall()]
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
                        execute(exchanges.give_up(prepared.layout, exchange), limits)
                written = {decision: execute(text, limits) for decision, text in due.items()}
            for decision, cursor in written.items():
                prepared.require_written(decision, cursor, decided[decision])
        self._decided += decided
        self._keep([self._misfit(int(str(row)), str(fault)) for row, fault in faults])
        self._keep([refusals.locked(self._table, int(str(row))) for (row,) in locked])

    def _attempt_delete(self, low: int, high: int) -> None:
        with as_application(self._connection):
            self._connection.execute(self._prepared.delete, {"low": low, "high": high})
        if self.in_isolation:
            self._check_deferred()

    def _check_deferred(self) -> None:
        """Have constraints that wait for the commit refuse now, where the rows can be told apart."""
        if self._session.defers:
            check_now(self._connection)

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
        column = self._prepared.layout.table.column(name)
        if code == orphans.CODE or column is None:
            return Refusal(row, code, f"{self._table}: refused by constraint {name}")
        return refusals.misfit(self._table, row, column, code)

    def _explain(self, row: int, exc: psycopg.Error | RowError) -> Refusal:
        if isinstance(exc, refusals.Altered):
            return Refusal(row, exc.reason_code, str(exc))
        assert isinstance(exc, psycopg.Error)  # noqa: S101 - nothing else is raised for a row
        return refusals.refused(
            self._table, row, exc, lambda: name_uncastable(self._connection, self._prepared, row)
        )
