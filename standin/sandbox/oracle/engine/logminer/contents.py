"""V$LOGMNR_CONTENTS: rows of the journal for the session that started mining.

Rows come in the order of their change, uncommitted and undone work included, as LogMiner gives them.
Cheap columns are filled first and tested; only what passes is rendered to SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sandbox.oracle import cells
from sandbox.oracle.engine.logminer.lob_statements import INTERNAL, Part, statement_rows
from sandbox.oracle.engine.logminer.log_rows import COLUMNS, NO_ROW, LogContext, builder
from sandbox.oracle.engine.logminer.mining import require_logmining
from sandbox.oracle.engine.logminer.redo_text import Renderer, Style
from sandbox.oracle.engine.plan.access import checked
from sandbox.oracle.engine.state.context import Env, Reading, ScopeColumn
from sandbox.oracle.engine.state.mining_run import MiningRun
from sandbox.oracle.engine.state.views import FixedView, kind_of
from sandbox.oracle.engine.store.journal import MORE_SCNS, Operation, Record
from sandbox.oracle.engine.store.tables import Shape
from sandbox.oracle.engine.store.transactions import Transaction
from sandbox.oracle.engine.values.character_sets import NARROW
from sandbox.oracle.interface import Cell, OracleFault, Row

PIECE_BYTES = 4000
"""SQL_REDO is VARCHAR2(4000): a longer text goes on in the next row, CSF says so."""

_PLACES = {name: place for place, (name, _) in enumerate(COLUMNS)}
_REDO, _UNDO, _CSF = _PLACES["SQL_REDO"], _PLACES["SQL_UNDO"], _PLACES["CSF"]
_CODE, _NAME, _SCN = _PLACES["OPERATION_CODE"], _PLACES["OPERATION"], _PLACES["SCN"]
_STATUS = _PLACES["STATUS"]
_UNSUPPORTED, _NOT_EXECUTABLE = cells.encode_number(255), cells.encode_number(2)
_ROW_ID, _SEQUENCE = _PLACES["ROW_ID"], _PLACES["SEQUENCE#"]
_OWNER, _SEGMENT, _TABLE = _PLACES["SEG_OWNER"], _PLACES["SEG_NAME"], _PLACES["TABLE_NAME"]
_YES, _NO = cells.encode_number(1), cells.ZERO
_FIXED_TEXT = {
    Operation.START: b"set transaction read write",
    Operation.COMMIT: b"commit",
    Operation.ROLLBACK: b"rollback",
}


@dataclass
class ContentsView(FixedView):
    """The view itself."""

    late: frozenset[int] = field(default_factory=lambda: frozenset({_REDO, _UNDO, _CSF}))

    def rows(self, env: Env, reading: Reading) -> Iterator[Row]:
        """See `context.View`; the range of SCN is looked up, not searched."""
        require_logmining(env.session)
        run = env.session.mining
        if run is None:
            raise OracleFault(
                1306, "dbms_logmnr.start_logmnr() must be invoked before selecting from v$logmnr_contents"
            )
        return Mining(env, run, reading).rows()


class Mining:
    """One reading of the view."""

    def __init__(self, env: Env, run: MiningRun, reading: Reading) -> None:
        database = env.session.database
        self._env = env
        self.database, self.run, self.journal = database, run, database.storage.journal
        self.context = LogContext(database, run)
        self._build = builder(self.context, reading.wanted)
        self._wanted, self._early = reading.wanted, reading.early
        nls = env.session.nls
        self._style = Style(
            row_id=not run.has("NO_ROWID_IN_STMT"),
            delimiter=not run.has("NO_SQL_DELIMITER"),
            date_format=nls["NLS_DATE_FORMAT"],
            timestamp_format=nls["NLS_TIMESTAMP_FORMAT"],
            zone_format=nls["NLS_TIMESTAMP_TZ_FORMAT"],
            escaped=not database.unescaped_strings,
            codec=NARROW.get(env.session.container.character_set),
        )
        self._renderers: dict[Shape, Renderer] = {}
        self._end = b";" if self._style.delimiter else b""
        low, high = reading.bounds.get(_SCN, (None, None))
        self._low = max(run.start_scn, cells.decode_integer(low) if low else 0)
        self._high = min(
            run.end_scn or database.storage.scn, cells.decode_integer(high) if high else database.storage.scn
        )
        self._check_files()

    def _check_files(self) -> None:
        """An online log that was overwritten since it was added cannot be read any more."""
        newest = {log.group: log for log in self.journal.online()}
        for added in self.run.logs:
            if added.online and newest[added.log.group] is not added.log:
                raise OracleFault(
                    310,
                    f"archived log contains sequence {newest[added.log.group].sequence}; "
                    f"sequence {added.log.sequence} required",
                )
            if not added.online and not added.log.on_disk:
                raise OracleFault(308, f"cannot open archived log '{added.name}'")

    def rows(self) -> Iterator[Row]:
        """Rows of the range, texts cut into pieces."""
        places = self._places()
        if self.run.has("COMMITTED_DATA_ONLY"):
            places = _committed(places)
        early, build = self._early, self._build
        rendered = bool(self._wanted & {_REDO, _UNDO, _CSF})
        for place, record in checked(places, self._env):
            if record.first_scn > self._high:
                continue
            row = build(place, record)
            if self._begun_behind(record):
                if record.operation is not Operation.COMMIT:
                    yield from self._unsupported(row)
                continue
            if record.shape is not None and record.shape.opaque and record.operation in _DATA:
                yield from self._unsupported(row)
                continue
            parts = self._parts(record)
            if parts is not None:
                yield from self._statement(row, record, parts, rendered=rendered)
            elif early is None or early(tuple(row)):
                yield from self._with_text(row, record) if rendered else (tuple(row),)

    def _parts(self, record: Record) -> list[Part] | None:
        """The rows of a change of several rows."""
        if record.shape is None or record.operation not in _DATA:
            return None
        return statement_rows(self._renderer(record.shape), record)

    def _statement(
        self, row: list[Cell], record: Record, parts: list[Part], *, rendered: bool
    ) -> Iterator[Row]:
        """Its rows, whose SCNs rise: a range may end between them."""
        for number, part in enumerate(parts, start=1):
            scn = record.scn if number == len(parts) else min(record.scn, record.first_scn + number - 1)
            if not self._low <= scn <= self._high:
                continue
            copy = list(row)
            copy[_SCN] = cells.encode_number(scn)
            copy[_CODE], copy[_NAME] = cells.encode_number(part.code), part.name.encode()
            copy[_SEQUENCE] = cells.encode_number(part.sequence)
            if not part.has_row_id:
                copy[_ROW_ID] = NO_ROW
            if part.code == INTERNAL:
                copy[_OWNER] = copy[_SEGMENT] = copy[_TABLE] = None
            if self._early is not None and not self._early(tuple(copy)):
                continue
            if not rendered:
                yield tuple(copy)
            elif part.text is None:
                copy[_REDO], copy[_CSF] = None, _NO
                yield tuple(copy)
            else:
                yield from _pieces(copy, part.text.encode(errors=cells.AS_IT_IS))

    def _begun_behind(self, record: Record) -> bool:
        """Was the run begun behind what must be seen to show a record, where that is asked for?

        That is the first redo record of a row, or for a COMMIT the start of its transaction.
        """
        began = record.transaction.start_scn
        if record.operation is Operation.COMMIT:
            return self.journal.loses_commits and began < self.run.start_scn
        first = max(began, record.first_scn - self.journal.record_scns)
        return record.operation in _DATA and not record.undo and first < self.run.start_scn <= record.scn

    def _unsupported(self, row: list[Cell]) -> Iterator[Row]:
        """A row of a table with a type that LogMiner does not know: that something changed, and no more."""
        row[_CODE], row[_NAME], row[_STATUS] = _UNSUPPORTED, b"UNSUPPORTED", _NOT_EXECUTABLE
        if self._early is None or self._early(tuple(row)):
            yield tuple(row)

    def _places(self) -> Iterable[tuple[int, Record]]:
        """Records of the range that are in the logs given and on disk."""
        first, stop = self.journal.span(self._low, self._high + MORE_SCNS)
        ranges: dict[int, tuple[int, int]] = {}
        for added in self.run.logs:
            log, thread = added.log, self.journal.threads[added.log.thread]
            begin = min(log.first_record, ranges.get(thread.number, (log.first_record,))[0])
            end = stop if log.end_record is None else min(stop, log.end_record)
            ranges[thread.number] = begin, min(end, thread.flushed.place) if thread.flushed else end
        first = max(first, min(begin for begin, _ in ranges.values()))
        stop = max(first, max(end for _, end in ranges.values()))
        places: Iterable[tuple[int, Record]] = zip(
            range(first, stop), self.journal.records[first:stop], strict=True
        )
        if self.run.container is not None:
            own = self.run.container
            places = ((place, record) for place, record in places if record.transaction.container == own)
        if len(self.journal.threads) == 1:
            return places
        nothing = (0, 0)
        return (
            (place, record)
            for place, record in places
            for begin, end in (ranges.get(record.transaction.thread, nothing),)
            if begin <= place < end
        )

    def _with_text(self, row: list[Cell], record: Record) -> Iterator[Row]:
        redo = self._redo(record)
        if _UNDO in self._wanted and record.shape is not None and record.operation in _DATA:
            row[_UNDO] = (
                self._renderer(record.shape).undo_text(record).encode(errors=cells.AS_IT_IS)[:PIECE_BYTES]
            )
        if len(redo) <= PIECE_BYTES:
            row[_REDO], row[_CSF] = redo or None, _NO
            yield tuple(row)
            return
        yield from _pieces(row, redo)

    def _redo(self, record: Record) -> bytes:
        if record.operation in _DATA and record.shape is not None:
            text, shape = self._renderer(record.shape).text(record), record.shape
            if shape.segments and not self.context.is_known(shape):
                text = text.replace(f"OBJ# {shape.object_id}", f"OBJ# {shape.segment_id(record.row)}", 1)
            return text.encode(errors=cells.AS_IT_IS)
        if record.operation is Operation.DDL and record.after:
            return (record.after[0] or b"") + self._end
        return _FIXED_TEXT[record.operation] + self._end

    def _renderer(self, shape: Shape) -> Renderer:
        found = self._renderers.get(shape)
        if found is None:
            found = Renderer(shape, self._style, known=self.context.is_known(shape))
            self._renderers[shape] = found
        return found


_DATA = (Operation.INSERT, Operation.UPDATE, Operation.DELETE)


def _pieces(row: list[Cell], redo: bytes) -> Iterator[Row]:
    """Cut a text into rows of 4000 bytes, never inside a character."""
    while redo:
        end = min(PIECE_BYTES, len(redo))
        while end < len(redo) and redo[end] & 0xC0 == 0x80:
            end -= 1
        piece, redo = redo[:end], redo[end:]
        row[_REDO], row[_CSF] = piece, _YES if redo else _NO
        yield tuple(row)


def _committed(places: Iterable[tuple[int, Record]]) -> Iterator[tuple[int, Record]]:
    """COMMITTED_DATA_ONLY: whole transactions in commit order, without what was undone."""
    waiting: dict[Transaction, list[tuple[int, Record]]] = {}
    for place, record in places:
        held = waiting.setdefault(record.transaction, [])
        if record.undo:
            _cancel(held, record)
            continue
        held.append((place, record))
        if record.operation is Operation.COMMIT:
            yield from waiting.pop(record.transaction)
        elif record.operation is Operation.ROLLBACK:
            del waiting[record.transaction]


def _cancel(held: list[tuple[int, Record]], undone: Record) -> None:
    for at in range(len(held) - 1, -1, -1):
        record = held[at][1]
        if record.row == undone.row and _object(record) == _object(undone):
            del held[at]
            return


def _object(record: Record) -> int | None:
    return record.shape.object_id if record.shape is not None else None


def views() -> list[FixedView]:
    """V$LOGMNR_CONTENTS under its names."""
    columns: Sequence[ScopeColumn] = [ScopeColumn(name, kind_of(code)) for name, code in COLUMNS]
    return [
        ContentsView(name, columns, lambda env: ()) for name in ("V$LOGMNR_CONTENTS", "V_$LOGMNR_CONTENTS")
    ]
