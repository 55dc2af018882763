# ruff: noqa: S608 - writes SQL that is read and never run
"""SQL_REDO of a record, in the forms LogMiner writes: quoted numbers, doubled apostrophes, IS NULL.

One renderer per table shape and style; it works on cells and decodes only what it prints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from sandbox.oracle import cells
from sandbox.oracle.engine.store.journal import Operation, Record
from sandbox.oracle.engine.store.tables import FastDefault, Shape, logged_row_id
from sandbox.oracle.engine.values import character_sets
from sandbox.oracle.engine.values.formats import date_to_text, moment_of
from sandbox.oracle.engine.values.intervals import interval_text
from sandbox.oracle.engine.values.sql_types import LOBS, SqlType, is_extended
from sandbox.oracle.interface import Cell, DbType, Row

Printer = Callable[[bytes], str]

INLINE_LOB_BYTES = 3964
"""A longer CLOB does not fit its row: the text says EMPTY_CLOB() and LOB_WRITE rows follow."""
INLINE_STRING_BYTES = 4000
"""A longer value of an extended string does not fit a statement: a 32K block follows."""

_FAST_DATE, _FAST_SIGNED = "YYYY-MM-DD HH24:MI:SS", "SYYYY-MM-DD HH24:MI:SS"


@dataclass(frozen=True)
class Style:
    """What shapes the text: options of START_LOGMNR and the session's formats.

    Apostrophes of extended strings are not doubled unless `escaped`, as in some releases. What the database's
    set, of which `codec` is, does not have can only be of the national one, and is written with UNISTR.
    """

    row_id: bool = True
    delimiter: bool = True
    date_format: str = _FAST_DATE
    timestamp_format: str = "YYYY-MM-DD HH24:MI:SS.FF9"
    zone_format: str = "YYYY-MM-DD HH24:MI:SS.FF9 TZH:TZM"
    escaped: bool = True
    codec: str | None = None


@lru_cache(maxsize=131072)
def _number(cell: bytes) -> str:
    return f"'{cells.number_text(cell)}'"


@lru_cache(maxsize=131072)
def _plain_date(cell: bytes) -> str:
    return f"TO_DATE('{cells.date_text(cell)}', 'YYYY-MM-DD HH24:MI:SS')"


@lru_cache(maxsize=131072)
def _signed_date(cell: bytes) -> str:
    return f"TO_DATE(' {cells.date_text(cell)}', '{_FAST_SIGNED}')"


def _text(cell: bytes) -> str:
    text = cell.decode(errors=cells.AS_IT_IS)
    if "'" in text:
        text = text.replace("'", "''")
    return f"'{text}'"


def _raw_printer(kind: SqlType) -> Printer:
    if kind.base in LOBS:
        return _unknown_lob
    return (lambda cell: _hex(cell.decode().encode("utf-16-be"))) if kind.national else _hex


def _national(codec: str) -> Printer:
    def show(cell: bytes) -> str:
        text = cell.decode(errors=cells.AS_IT_IS)
        return _text(cell) if character_sets.is_held(text, codec) else character_sets.unistr(text)

    return show


def _unescaped(cell: bytes) -> str:
    return f"'{cell.decode(errors=cells.AS_IT_IS)}'"


def lob_limit(base: DbType) -> int:
    """Bytes of a LOB that still lies in its row."""
    return INLINE_LOB_BYTES // 2 if base is DbType.BLOB else INLINE_LOB_BYTES


def _hex(cell: bytes) -> str:
    return f"HEXTORAW('{cell.hex()}')"


def _interval(kind: SqlType) -> Printer:
    name = "TO_YMINTERVAL" if kind.base is DbType.INTERVAL_YM else "TO_DSINTERVAL"
    text = interval_text(kind)
    return lambda cell: f"{name}('{text(cell).decode()}')"


def _clob(cell: bytes) -> str:
    return _text(cell) if 0 < len(cell) <= INLINE_LOB_BYTES else "EMPTY_CLOB()"


def _blob(cell: bytes) -> str:
    return _hex(cell) if 0 < len(cell) <= INLINE_LOB_BYTES // 2 else "EMPTY_BLOB()"


def _unknown_lob(cell: bytes) -> str:
    return _hex(cell) if 0 < len(cell) <= INLINE_LOB_BYTES // 2 else "EMPTY_CLOB()"


def _double(cell: bytes) -> str:
    """All digits of the value, as in `2.5E+000`."""
    _, digits, exponent = Decimal(repr(cells.decode_binary_double(cell))).normalize().as_tuple()
    if isinstance(exponent, str):
        return f"'{cells.decode_binary_double(cell):E}'"
    sign = "-" if cells.decode_binary_double(cell) < 0 else ""
    fraction = "".join(map(str, digits[1:])) or "0"
    return f"'{sign}{digits[0]}.{fraction}E{exponent + len(digits) - 1:+04d}'"


def _date(form: str) -> Printer:
    return lambda cell: f"TO_DATE('{date_to_text(moment_of(cell), 0, form)}', '{form}')"


def _timestamp(name: str, form: str, scale: int) -> Printer:
    """The fraction has as many digits as the column keeps."""
    fitted = form.replace("FF9", f"FF{scale}" if scale else "")

    def show(cell: bytes) -> str:
        return f"{name}('{date_to_text(moment_of(cell), cells.nanoseconds(cell), fitted)}')"

    return show


def _printer(kind: SqlType, style: Style) -> Printer:
    base = kind.base
    if is_extended(kind) and base is DbType.VARCHAR2 and not style.escaped:
        return _unescaped
    if base is DbType.NUMBER:
        return _number
    if base is DbType.DATE:
        fast = {_FAST_DATE: _plain_date, _FAST_SIGNED: _signed_date}
        return fast.get(style.date_format) or _date(style.date_format)
    if base in (DbType.TIMESTAMP, DbType.TIMESTAMP_LTZ):
        return _timestamp("TO_TIMESTAMP", style.timestamp_format, kind.scale)
    if base is DbType.TIMESTAMP_TZ:
        return _timestamp("TO_TIMESTAMP_TZ", style.zone_format, kind.scale)
    if kind.family in ("interval", "months"):
        return _interval(kind)
    return {
        DbType.CLOB: _clob,
        DbType.LONG: _clob,
        DbType.BLOB: _blob,
        DbType.RAW: _hex,
        DbType.LONG_RAW: _blob,
        DbType.BINARY_DOUBLE: _double,
        DbType.BINARY_FLOAT: _double,
    }.get(base, _text if style.codec is None else _national(style.codec))


class Renderer:
    """Texts of the records of one table shape.

    Args:
        shape: the table as it was when the records were written.
        style: options and formats.
        known: False when today's dictionary no longer fits: then `COL n` and HEXTORAW.
    """

    def __init__(self, shape: Shape, style: Style, *, known: bool) -> None:
        self.shape, self.style = shape, style
        if known:
            names = [f'"{column.name}"' for column in shape.columns]
            self.owner, self.table = shape.owner, shape.name
        else:
            names = [f'"COL {at}"' for at in range(1, len(shape.columns) + 1)]
            self.owner, self.table = "UNKNOWN", f"OBJ# {shape.object_id}"
        self.names = names
        self.object = self._object = f'"{self.owner}"."{self.table}"'
        raw = [_raw_printer(column.type) for column in shape.columns]
        self._printers = [_printer(column.type, style) for column in shape.columns] if known else raw
        self._equals = [f"{name} = " for name in names]
        self._nulls = [f"{name} IS NULL" for name in names]
        self._insert = f"insert into {self._object}({','.join(names)}) values ("
        strings = [at for at, column in enumerate(shape.columns) if is_extended(column.type)]
        self._strings = frozenset(strings)
        self._lobs = frozenset(
            [*strings, *(at for at, column in enumerate(shape.columns) if column.type.base in LOBS)]
        )
        self._whole = [at for at in range(len(shape.columns)) if at not in self._lobs]
        self._logged = [at for at in shape.logged if at not in self._lobs]
        self._end = ";" if style.delimiter else ""

    def text(self, record: Record) -> str:
        """SQL_REDO of a record."""
        return self._render(record.operation, record.before, record.after, record)

    def undo_text(self, record: Record) -> str:
        """SQL_UNDO of a record."""
        inverse = {Operation.INSERT: Operation.DELETE, Operation.DELETE: Operation.INSERT}
        operation = inverse.get(record.operation, record.operation)
        return self._render(operation, record.after, record.before, record)

    def _render(self, operation: Operation, before: Row | None, after: Row | None, record: Record) -> str:
        if operation is Operation.INSERT and after is not None:
            values = [
                "NULL" if cell is None or self._is_long(at, cell) else show(cell)
                for at, (show, cell) in enumerate(zip(self._printers, after, strict=True))
            ]
            return f"{self._insert}{','.join(values)}){self._end}"
        if operation is Operation.UPDATE and before is not None and after is not None:
            return self._update(before, after, record)
        if record.undo or before is None:  # compensation knows the row by its id only
            return f"delete from {self._object}{self._where_row(record)}{self._end}"
        conditions = self._conditions(self._whole, before, record)
        return f"delete from {self._object} where {conditions}{self._end}"

    def _update(self, before: Row, after: Row, record: Record) -> str:
        changed = [at for at in self.changed(before, after) if not self._is_long(at, after[at])]
        sets = ", ".join(
            [
                self._equals[at] + ("NULL" if (cell := after[at]) is None else self._printers[at](cell))
                for at in changed
            ]
        )
        if record.undo:
            return f"update {self._object} set {sets}{self._where_row(record)}{self._end}"
        places: Sequence[int] = self._logged
        if len(places) < len(self._whole):
            places = sorted({*places, *(at for at in changed if at not in self._lobs)})
        conditions = self._conditions(places, before, record)
        where = f" where {conditions}" if conditions else ""
        return f"update {self._object} set {sets}{where}{self._end}"

    def _where_row(self, record: Record) -> str:
        return f" where ROWID = '{self.row_id(record)}'" if self.style.row_id else ""

    def large(self, record: Record) -> list[int]:
        """Columns of a change that do not lie in its first row: LOBs, and extended strings that are long."""
        before, after = record.before, record.after or ()
        changed = [at for at in sorted(self._lobs) if before is None or before[at] != after[at]]
        return [
            at
            for at in changed
            if self.shape.columns[at].type.base in (DbType.CLOB, DbType.BLOB) or self._is_long(at, after[at])
        ]

    def first_text(self, record: Record, large: list[int], *, has_lob_rows: bool) -> str | None:
        """The row without row id: plain columns, LOBs empty; None if it has nothing to tell."""
        after = record.after or ()
        shown = {at: self._empty(at, after[at]) for at in large}
        if record.operation is Operation.INSERT:
            values = [
                shown.get(at) or ("NULL" if cell is None else self._printers[at](cell))
                for at, cell in enumerate(after)
            ]
            return f"{self._insert}{','.join(values)}){self._end}"
        before = record.before or ()
        plain = [at for at in self.changed(before, after) if at not in large]
        if not plain and has_lob_rows:
            return None
        sets = [
            self._equals[at]
            + (shown.get(at) or ("NULL" if (cell := after[at]) is None else self._printers[at](cell)))
            for at in sorted([*plain, *(at for at in large if at not in self._strings)])
        ]
        conditions = self._conditions(self._logged or self._whole, before, record)
        where = f" where {conditions}" if conditions else ""
        return f"update {self._object} set {', '.join(sets)}{where}{self._end}" if sets else None

    def last_text(self, record: Record, large: list[int]) -> str | None:
        """The update of LOBs that lie in the row or are NULL; None if there are none."""
        after = record.after or ()
        inside = [
            at
            for at in large
            if at not in self._strings
            and ((cell := after[at]) is None or 0 < len(cell) <= lob_limit(self.shape.columns[at].type.base))
        ]
        if not inside:
            return None
        sets = [
            self._equals[at] + ("NULL" if (cell := after[at]) is None else self._printers[at](cell))
            for at in inside
        ]
        where = self.row_conditions(record)
        return f"update {self._object} set {', '.join(sets)} where {where}{self._end}"

    def _empty(self, at: int, cell: Cell) -> str:
        if cell is None or at in self._strings:
            return "NULL"
        return "EMPTY_BLOB()" if self.shape.columns[at].type.base is DbType.BLOB else "EMPTY_CLOB()"

    def _is_long(self, at: int, cell: Cell) -> bool:
        return at in self._strings and cell is not None and len(cell) > INLINE_STRING_BYTES

    def changed(self, before: Row, after: Row) -> list[int]:
        """Columns an update changed; all that are logged when it changed none."""
        found = [
            at
            for at, (old, new) in enumerate(zip(before, after, strict=True))
            if old is not new and old != new
        ]
        return found or self._logged or self._whole

    def _conditions(self, places: Sequence[int], row: Row, record: Record) -> str:
        printers, equals, nulls = self._printers, self._equals, self._nulls
        parts = [
            nulls[at] if (cell := row[at]) is None else equals[at] + printers[at](cell)
            for at in places
            if not isinstance(row[at], FastDefault)  # in the dictionary, not in the row
        ]
        if self.style.row_id:
            parts.append(f"ROWID = '{self.row_id(record)}'")
        return " and ".join(parts)

    def row_id(self, record: Record) -> str:
        """Row id of a record's row."""
        return logged_row_id(self.shape, record.row)

    def long_lobs(self, record: Record) -> list[tuple[int, bytes]]:
        """LOB columns whose value does not fit the statement, with what was written to them."""
        return [
            (at, cell)
            for at, cell in self._written(record, self._lobs)
            if (base := self.shape.columns[at].type.base) in (DbType.CLOB, DbType.BLOB)
            and len(cell) > lob_limit(base)
        ]

    def long_strings(self, record: Record) -> list[tuple[int, bytes]]:
        """The same for extended strings."""
        return [(at, cell) for at, cell in self._written(record, self._strings) if self._is_long(at, cell)]

    def _written(self, record: Record, places: frozenset[int]) -> list[tuple[int, bytes]]:
        after = record.after
        if not places or after is None or record.undo:
            return []
        return [
            (at, cell)
            for at in sorted(places)
            if (cell := after[at]) is not None and (record.before is None or record.before[at] != cell)
        ]

    def row_conditions(self, record: Record, alias: str = "") -> str:
        """The where clause of a LOB locator: what supplemental logging adds, else the key, else all."""
        row = record.after or ()
        places = self._logged or self.shape.key or self._whole
        parts = [
            alias
            + (self._nulls[at] if (cell := row[at]) is None else self._equals[at] + self._printers[at](cell))
            for at in places
        ]
        if self.style.row_id and not alias:
            parts.append(f"ROWID = '{self.row_id(record)}'")
        return " and ".join(parts)
