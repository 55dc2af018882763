"""Execute, re-execute and fetch: from the request to the messages of the answer.

`Executor` asks the engine through `sandbox.oracle.interface` and knows no SQL but the kind and the
placeholders of a statement.
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.oracle.interface import CheckCancel, DbType, OracleFault, Outcome, Session
from sandbox.oracle.net import answers
from sandbox.oracle.net.answers import CallResult
from sandbox.oracle.net.binds import ROW, Value, engine_binds, read_metadata, read_rows
from sandbox.oracle.net.cursors import Cursor, Cursors
from sandbox.oracle.net.faults import LocatedFault, guarded
from sandbox.oracle.net.lob import LobStore
from sandbox.oracle.net.requests import BATCH, COMMIT, EXECUTE, ExecuteRequest, read_execute
from sandbox.oracle.net.sqltext import Kind, placeholders
from sandbox.oracle.net.terms import Terms
from sandbox.oracle.net.values import out_value, row_encoder
from sandbox.oracle.net.wire import Reader, ub

KEEPS_CURSOR = frozenset({1, 1400, 1407, 1438, 2290, 2291, 2292, 21525, 40479})
"""Integrity errors: clients go on using the cursor after them."""

Answer = tuple[bytes | bytearray, CallResult]
"""The messages of a response and what its last block reports."""


class Executor:
    """Runs the statements of one session.

    Args:
        session: of the engine.
        terms: agreed with the client.
        check_cancel: handed to the engine.
    """

    def __init__(self, session: Session, terms: Terms, check_cancel: CheckCancel) -> None:
        self._session = session
        self._terms = terms
        self._check_cancel = check_cancel
        self.lobs = LobStore()
        self.cursors = Cursors(self.lobs)

    def execute(self, reader: Reader) -> Answer:
        """Answer an execute call; `reader` stands behind its header."""
        request = read_execute(reader, self._terms)
        cursor = self._cursor(request)
        try:
            return self._execute(request, cursor, reader)
        except OracleFault as fault:
            if not request.cursor and fault.code not in KEEPS_CURSOR:
                self.cursors.close(cursor.id)
                raise
            if request.statement is not None and fault.code not in KEEPS_CURSOR:
                cursor.statement = ""  # the client's cursor stays open for its next statement, as in JDBC
            raise LocatedFault(fault, cursor.id) from fault

    def re_execute(self, reader: Reader, *, fetch: bool) -> Answer:
        """Answer a call that runs a known cursor again, and fetches when `fetch`."""
        cursor = self.cursors.get(reader.ub())
        count = reader.ub()
        reader.ub()
        commit = bool(reader.ub() & 1)
        iterations = 1 if fetch or cursor.kind is Kind.QUERY else count
        try:
            rows = self._bind_rows(reader, cursor, iterations) if cursor.binds else []
            return self._run(cursor, rows, iterations=iterations, wanted=count if fetch else 0, commit=commit)
        except OracleFault as fault:
            raise LocatedFault(fault, cursor.id) from fault

    def fetch(self, reader: Reader) -> Answer:
        """Answer a fetch call."""
        cursor = self.cursors.get(reader.ub())
        try:
            return self._rows(cursor, reader.ub(), bytearray())
        except OracleFault as fault:
            raise LocatedFault(fault, cursor.id) from fault

    def _cursor(self, request: ExecuteRequest) -> Cursor:
        if not request.cursor:
            return self.cursors.new(request.statement or "")
        cursor = self.cursors.get(request.cursor)
        if request.statement is not None:
            cursor.statement = request.statement
            cursor.binds = cursor.defines = ()
            cursor.columns, cursor.rows = (), None
        return cursor

    def _execute(self, request: ExecuteRequest, cursor: Cursor, reader: Reader) -> Answer:
        if request.defines:
            cursor.defines = read_metadata(reader, request.defines, self._terms)
        elif request.binds:
            cursor.binds = read_metadata(reader, request.binds, self._terms)
        if not request.options & EXECUTE:
            if request.statement is not None:
                return self._describe(cursor)
            return self._rows(cursor, request.rows_wanted, bytearray(), defined=bool(request.defines))
        iterations = 1 if cursor.kind is Kind.QUERY else max(request.iterations, 1)
        follows = request.binds and not request.defines
        rows = self._bind_rows(reader, cursor, iterations) if follows or _row_waits(reader, cursor) else []
        return self._run(
            cursor,
            rows,
            iterations=iterations,
            wanted=request.rows_wanted,
            commit=bool(request.options & COMMIT),
            batch=bool(request.options & BATCH),
            row_counts=request.row_counts,
            parsed=request.statement is not None,
        )

    def _describe(self, cursor: Cursor) -> Answer:
        cursor.columns = guarded(lambda: self._session.describe(cursor.statement))
        out = bytearray()
        if cursor.columns:
            out += answers.describe_message(cursor.columns, self._terms)
        out += answers.parameters(cursor.id)
        return out, CallResult(cursor=cursor.id)

    def _bind_rows(self, reader: Reader, cursor: Cursor, count: int) -> list[list[Value]]:
        returning = [place.returning for place in placeholders(cursor.statement)[: len(cursor.binds)]]
        returning += [False] * (len(cursor.binds) - len(returning))
        return read_rows(
            reader,
            cursor.binds,
            count,
            returning=returning,
            long_last=None if cursor.kind is Kind.PLSQL else self._terms.long_limit,
            lobs=self.lobs,
        )

    def _run(
        self,
        cursor: Cursor,
        rows: Sequence[Sequence[Value]],
        *,
        iterations: int,
        wanted: int,
        commit: bool,
        batch: bool = False,
        row_counts: bool = False,
        parsed: bool = False,
    ) -> Answer:
        binds = engine_binds(cursor.binds, placeholders(cursor.statement)) if rows else ()
        outcome = guarded(
            lambda: self._session.execute(
                cursor.statement,
                binds,
                rows or [()] * iterations,
                batch_errors=batch,
                check_cancel=self._check_cancel,
            )
        )
        if outcome.columns:
            return self._query(cursor, outcome, wanted, parsed=parsed)
        out = bytearray()
        if cursor.kind is Kind.PLSQL and binds:
            out += self._outs(cursor, outcome)
        else:
            out += self._returned(cursor, outcome)
        out += answers.parameters(cursor.id, outcome.row_counts if row_counts else None)
        if commit and not outcome.batch_faults:
            guarded(self._session.commit)
        result = CallResult(rows=outcome.row_count, cursor=cursor.id, rowid=outcome.last_rowid)
        if outcome.batch_faults:
            result.code, result.message = answers.BATCH_ERRORS, "error(s) in array DML"
            result.batch_faults = outcome.batch_faults
        return out, result

    def _query(self, cursor: Cursor, outcome: Outcome, wanted: int, *, parsed: bool) -> Answer:
        out = bytearray()
        if parsed or outcome.columns != cursor.columns:
            out += answers.describe_message(outcome.columns, self._terms)
        cursor.columns = outcome.columns
        cursor.open(outcome.rows)
        out += answers.parameters(cursor.id)
        return self._rows(cursor, 0 if cursor.undefined else wanted, out)

    def _rows(self, cursor: Cursor, wanted: int, out: bytearray, *, defined: bool = False) -> Answer:
        """Append the next rows to an answer; parameters alone when only the defines came."""
        if defined and not wanted:
            return out + answers.parameters(cursor.id), CallResult(cursor=cursor.id)
        rows, done = guarded(lambda: cursor.take(wanted))
        if rows:
            out += answers.row_header(len(cursor.columns), len(rows))
            row_encoder(cursor.columns, cursor.defines, self.lobs, cursor.lobs)(rows, out)
        result = CallResult(rows=cursor.fetched, cursor=cursor.id)
        if done:
            result.code, result.message = answers.NO_MORE_ROWS, "no data found"
        return out, result

    def _outs(self, cursor: Cursor, outcome: Outcome) -> bytes:
        count = len(cursor.binds)
        parts = [answers.io_vector([index in outcome.outs for index in range(count)])]
        if outcome.outs:
            parts.append(bytes((ROW,)))
        for index in sorted(outcome.outs):
            bind, value = cursor.binds[index], outcome.outs[index]
            if isinstance(value, Outcome):
                parts.append(self._opened(value))
            elif isinstance(value, list):
                parts.append(ub(len(value)))
                parts += [out_value(bind, cell, self.lobs, cursor.lobs) for cell in value]
            elif bind.number == DbType.REF_CURSOR:
                parts.append(self._opened(Outcome(columns=())))
            else:
                parts.append(out_value(bind, value, self.lobs, cursor.lobs))
        return b"".join(parts)

    def _opened(self, outcome: Outcome) -> bytes:
        opened = self.cursors.new("")
        opened.columns = outcome.columns
        opened.open(outcome.rows)
        return b"\x01" + answers.describe_body(outcome.columns, self._terms) + ub(opened.id) + b"\0"

    def _returned(self, cursor: Cursor, outcome: Outcome) -> bytes:
        places = placeholders(cursor.statement)
        binds = [bind for bind, place in zip(cursor.binds, places, strict=False) if place.returning]
        if not binds:
            return b""
        parts = []
        for iteration in outcome.returning:
            parts.append(bytes((ROW,)))
            for bind, cells in zip(binds, iteration, strict=True):
                parts.append(ub(len(cells)))
                parts += [out_value(bind, cell, self.lobs, cursor.lobs) for cell in cells]
        return b"".join(parts)


def _row_waits(reader: Reader, cursor: Cursor) -> bool:
    """True when a row of values follows although its metadata was not sent again."""
    return bool(cursor.binds) and reader.available > 0 and reader.buffer[reader.position] == ROW
