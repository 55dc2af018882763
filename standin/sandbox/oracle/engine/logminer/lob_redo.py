# ruff: noqa: S608 - writes SQL that is read and never run
"""Redo of values that do not fit their row: LOBs by locator, extended strings by a block of their own.

A LOB comes as a locator block, then the pieces written through it; offsets count UTF-16 units or bytes. A LOB
that DBMS_LOB changed has no UPDATE row, only these rows. An extended string comes as a 32K block.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.oracle import cells
from sandbox.oracle.engine.logminer.redo_text import Renderer
from sandbox.oracle.engine.store.journal import LobChange, Record
from sandbox.oracle.interface import DbType

LOCATOR, WRITE, TRIM, ERASE = 9, 10, 11, 29
LONG_BEGIN, LONG_WRITE, LONG_END = 91, 92, 93
PIECE_UNITS = 2000
NAMES = {
    LOCATOR: "SELECT_LOB_LOCATOR",
    WRITE: "LOB_WRITE",
    TRIM: "LOB_TRIM",
    ERASE: "LOB_ERASE",
    LONG_BEGIN: "32K_BEGIN",
    LONG_WRITE: "32K_WRITE",
    LONG_END: "32K_END",
}

_DECLARE = (
    "DECLARE \n loc_c CLOB; \n buf_c VARCHAR2(6156); \n loc_b BLOB; \n buf_b RAW(6156); \n"
    " loc_nc NCLOB; \n buf_nc NVARCHAR2(6156); \nBEGIN\n"
)
_DECLARE_LONG = (
    "DECLARE\n TempLob CLOB;\n buf_c   VARCHAR2(32767);\n Stmt    CLOB;\nBEGIN\n"
    " DBMS_LOB.CreateTemporary(TempLob, FALSE);\n"
)


def lob_rows(renderer: Renderer, record: Record) -> Iterator[tuple[int, str]]:
    """Operation code and text of the rows behind an insert or update, or of a change by DBMS_LOB."""
    if record.after is None or record.undo:
        return
    if record.lob is not None:
        yield from _changed(renderer, record, record.lob)
        return
    for place, cell in renderer.long_lobs(record):
        yield LOCATOR, _locator(renderer, record, place)
        yield from _writes(renderer, place, cell, 0)
    for place, cell in renderer.long_strings(record):
        yield from _extended(renderer, record, place, cell)


def _changed(renderer: Renderer, record: Record, change: LobChange) -> Iterator[tuple[int, str]]:
    yield LOCATOR, _locator(renderer, record, change.place)
    variable = _variable(renderer, change.place)
    if change.kind == "write":
        yield from _writes(renderer, change.place, change.data, change.offset - 1)
    elif change.kind == "trim":
        yield TRIM, f" dbms_lob.trim({variable}, {change.amount});\nEND;"
    else:
        yield ERASE, f" dbms_lob.erase({variable}, {change.amount}, {change.offset});\nEND;"


def _variable(renderer: Renderer, place: int) -> str:
    return "loc_b" if renderer.shape.columns[place].type.base is DbType.BLOB else "loc_c"


def _locator(renderer: Renderer, record: Record, place: int) -> str:
    variable, column = _variable(renderer, place), renderer.names[place]
    where = renderer.row_conditions(record)
    return f"{_DECLARE} select {column} into {variable} from {renderer.object} where {where} for update;"


def _writes(renderer: Renderer, place: int, cell: bytes, start: int) -> Iterator[tuple[int, str]]:
    if _variable(renderer, place) == "loc_b":
        for at in range(0, len(cell), PIECE_UNITS):
            piece = cell[at : at + PIECE_UNITS]
            call = f"dbms_lob.write(loc_b, {len(piece)}, {start + at + 1}, buf_b);"
            yield WRITE, f" buf_b := HEXTORAW('{piece.hex()}'); \n  {call}\nEND;"
        return
    at = start
    for text in _pieces(cell.decode(errors=cells.AS_IT_IS)):
        units = len(text.encode("utf-16-be", "surrogatepass")) // 2
        quoted = text.replace("'", "''")
        yield WRITE, f" buf_c := '{quoted}'; \n  dbms_lob.write(loc_c, {units}, {at + 1}, buf_c);\nEND;"
        at += units


def _extended(renderer: Renderer, record: Record, place: int, cell: bytes) -> Iterator[tuple[int, str]]:
    column = renderer.names[place]
    where = renderer.row_conditions(record, alias="a.")
    update = f"update {renderer.object} a set a.{column} = :{column.strip(chr(34))} where {where};"
    quoted = update.replace("'", "''")
    yield LONG_BEGIN, f"{_DECLARE_LONG} Stmt := '{quoted}';"
    binary = renderer.shape.columns[place].type.base is DbType.RAW
    for piece in _pieces(cell.hex() if binary else cell.decode(errors=cells.AS_IT_IS)):
        text = f"HEXTORAW('{piece}')" if binary else "'" + piece.replace("'", "''") + "'"
        length = len(piece) // 2 if binary else len(piece.encode("utf-16-be", "surrogatepass")) // 2
        yield LONG_WRITE, f" buf_c := {text}; \n  DBMS_LOB.WRITEAPPEND(TempLob, {length}, buf_c);"
    yield LONG_END, " EXECUTE IMMEDIATE Stmt USING TempLob;\n DBMS_LOB.FREETEMPORARY(TempLob);\nEND;"


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE_UNITS):
        yield text[start : start + PIECE_UNITS]
