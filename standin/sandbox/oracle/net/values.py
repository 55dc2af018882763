"""Cells on their way out: rows of queries, OUT values, values behind RETURNING.

Most cells are written as they are behind a length byte, in one loop over all rows of an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sandbox.oracle.interface import Cell, Column, DbType, Row
from sandbox.oracle.net.answers import rowid_fields
from sandbox.oracle.net.binds import BOOLEAN, ROW, WireBind
from sandbox.oracle.net.lob import LobStore
from sandbox.oracle.net.wire import SHORT_MAX, text

LOBS = frozenset({DbType.CLOB, DbType.BLOB})
LONGS = frozenset({DbType.LONG, DbType.LONG_RAW})
_AS_WHOLE = frozenset({DbType.LONG, DbType.LONG_RAW, DbType.VARCHAR2, DbType.RAW})
_ROWID_LENGTH = b"\x0e"
_ZERO = b"\x80"
RowEncoder = Callable[[Iterable[Row], bytearray], None]


def row_encoder(
    columns: Sequence[Column], defines: Sequence[WireBind], lobs: LobStore, owned: list[int]
) -> RowEncoder:
    """A function that appends rows to an answer, each with its message byte.

    Args:
        columns: of the query.
        defines: what the client wants them as; empty when it did not say.
        lobs: keeps the objects whose locators are handed out.
        owned: receives the numbers of these objects.
    """
    special = {
        index: _encoder(column, defines[index] if index < len(defines) else None, lobs, owned)
        for index, column in enumerate(columns)
        if column.type in LOBS or column.type in LONGS or column.type == DbType.ROWID or column.national
    }
    if not special:
        return _plain_rows
    encoders = [special.get(index, text) for index in range(len(columns))]

    def encode(rows: Iterable[Row], out: bytearray) -> None:
        for row in rows:
            out.append(ROW)
            for encoder, cell in zip(encoders, row, strict=True):
                out += encoder(cell)

    return encode


def _plain_rows(rows: Iterable[Row], out: bytearray) -> None:
    append = out.append
    for row in rows:
        append(ROW)
        for cell in row:
            if cell:
                length = len(cell)
                if length <= SHORT_MAX:
                    append(length)
                    out += cell
                else:
                    out += text(cell)
            else:
                append(0)


def _encoder(
    column: Column, define: WireBind | None, lobs: LobStore, owned: list[int]
) -> Callable[[Cell], bytes]:
    if column.type == DbType.ROWID:
        return _rowid
    if column.national:
        return text if define is not None and not define.utf16 else _utf16
    if column.type in LONGS or (define is not None and define.number in _AS_WHOLE):
        return _whole
    prefetch = define.prefetch if define else None
    return lambda cell: lobs.value(column.type, cell, prefetch=prefetch, owned=owned)


def _rowid(cell: Cell) -> bytes:
    return _ROWID_LENGTH + rowid_fields(cell) if cell else b"\0"


def _utf16(cell: Cell) -> bytes:
    return text(cell.decode().encode("utf-16-be") if cell else cell)


def _whole(cell: Cell) -> bytes:
    return text(cell) + b"\0\0"  # null indicator, return code


def out_value(bind: WireBind, cell: Cell, lobs: LobStore, owned: list[int]) -> bytes:
    """A value for a bind of the client, with its "actual length" of 0 = not truncated."""
    if bind.number in LOBS:
        value = lobs.value(DbType(bind.number), cell, prefetch=bind.prefetch, owned=owned)
    elif bind.number == BOOLEAN:
        if cell is None:
            return b"\0\x81\x01"
        value = b"\x01\0" if cell == _ZERO else b"\x02\x01\x01"
    elif cell and bind.utf16:
        value = text(cell.decode("utf-8", "replace").encode("utf-16-be"))
    else:
        value = text(cell)
    return value + b"\0"
