"""Functions of bytes: RAWTOHEX, UTL_RAW, CONVERT, EMPTY_BLOB and kin.

A VARCHAR2 made of a RAW, or converted to another character set, holds its bytes as they are: that is how
values come about that are no UTF-8.

Source: Oracle Database PL/SQL Packages and Types Reference 19c, UTL_RAW; SQL Language Reference, CONVERT.
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.conversions import convert, to_number, to_raw, to_text
from sandbox.oracle.engine.functions.expressions import Expr, derived, literal, strict
from sandbox.oracle.engine.functions.registered import FUNCTIONS, Build, function, sql_literal, sql_number
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.sql_types import NUMBER, text
from sandbox.oracle.interface import Cell, DbType, OracleFault

RAW = sql_types.raw(2000)
BLOB = sql_types.SqlType(DbType.BLOB, 4000, 0, 0, 0)
_CODECS = {
    **{"AL32UTF8": "utf-8", "UTF8": "utf-8", "AL16UTF16": "utf-16-be", "US7ASCII": "ascii"},
    **{"WE8ISO8859P1": "latin-1", "WE8ISO8859P15": "iso8859-15", "WE8MSWIN1252": "cp1252"},
    **{"EE8ISO8859P2": "iso8859-2", "EE8MSWIN1250": "cp1250", "WE8PC850": "cp850", "JA16SJIS": "shift_jis"},
}


def codec(name: bytes) -> str:
    """Python's name of a character set.

    Raises:
        OracleFault: ORA-01482.
    """
    found = _CODECS.get(name.decode().upper().rpartition(".")[2])
    if found is None:
        raise OracleFault(1482, "unsupported character set")
    return found


def _converted(cell: bytes, target: bytes, source: bytes) -> Cell:
    return cell.decode(codec(source), "replace").encode(codec(target), "replace") or None


@function("CONVERT", 2, 3)
def _convert(args: list[Expr]) -> Expr:
    source = to_text(args[2]) if len(args) > 2 else sql_literal("AL32UTF8")
    return strict(text(4000), _converted, to_text(args[0]), to_text(args[1]), source)


def _hex_of_bytes(args: list[Expr]) -> Expr:
    """RAWTOHEX: text is taken as the bytes it consists of."""
    return strict(text(4000), lambda cell: cell.hex().upper().encode(), args[0])


function("RAWTOHEX", 1)(_hex_of_bytes)
function("RAWTONHEX", 1)(_hex_of_bytes)
function("TO_BLOB", 1, 2)(lambda args: strict(BLOB, bytes, to_raw(args[0])))
function("TO_NCLOB", 1)(lambda args: convert(to_text(args[0]), sql_types.CLOB))
function("EMPTY_BLOB", 0)(lambda args: literal(b"", BLOB))
function("VSIZE", 1)(lambda args: strict(NUMBER, lambda cell: cells.encode_number(len(cell)), args[0]))
for _name in ("XMLTYPE", "SYS.XMLTYPE", "JSON"):
    function(_name, 1)(lambda args: convert(to_text(args[0]), sql_types.CLOB))


@function("DUMP", 1, 2)
def _dump(args: list[Expr]) -> Expr:
    kind = int(args[0].type.base)
    base = to_number(args[1]) if len(args) > 1 else sql_number(10)

    def show(cell: bytes, form: bytes) -> bytes:
        digit = {8: "o", 16: "x"}.get(cells.decode_integer(form) % 1000, "d")
        return f"Typ={kind} Len={len(cell)}: {','.join(format(each, digit) for each in cell)}".encode()

    return strict(text(4000), show, args[0], base)


def _utl_raw(name: str, low: int, high: int | None = None) -> Callable[[Build], Build]:
    return function(f"UTL_RAW.{name}", low, high)


def _raw(work: Callable[..., Cell], *args: Expr) -> Expr:
    return strict(RAW, work, *args)


_utl_raw("CAST_TO_RAW", 1)(lambda args: _raw(bytes, to_text(args[0])))
_utl_raw("CAST_TO_VARCHAR2", 1)(lambda args: strict(text(2000), bytes, to_raw(args[0])))
FUNCTIONS["UTL_RAW.CAST_TO_NVARCHAR2"] = FUNCTIONS["UTL_RAW.CAST_TO_VARCHAR2"]
_utl_raw("LENGTH", 1)(
    lambda args: strict(NUMBER, lambda cell: cells.encode_number(len(cell)), to_raw(args[0]))
)
_utl_raw("REVERSE", 1)(lambda args: _raw(lambda cell: cell[::-1], to_raw(args[0])))
_utl_raw("BIT_COMPLEMENT", 1)(
    lambda args: _raw(lambda cell: bytes(255 - each for each in cell), to_raw(args[0]))
)
_utl_raw("COPIES", 2)(
    lambda args: _raw(
        lambda cell, times: cell * cells.decode_integer(times), to_raw(args[0]), to_number(args[1])
    )
)
_utl_raw("CONVERT", 3)(lambda args: _raw(_converted, to_raw(args[0]), to_text(args[1]), to_text(args[2])))
_utl_raw("CAST_FROM_NUMBER", 1)(lambda args: _raw(bytes, to_number(args[0])))
_utl_raw("CAST_TO_NUMBER", 1)(lambda args: strict(NUMBER, bytes, to_raw(args[0])))
_utl_raw("CAST_FROM_BINARY_INTEGER", 1)(
    lambda args: _raw(
        lambda cell: cells.decode_integer(cell).to_bytes(4, "big", signed=True), to_number(args[0])
    )
)
_utl_raw("CAST_TO_BINARY_INTEGER", 1)(
    lambda args: strict(
        NUMBER, lambda cell: cells.encode_number(int.from_bytes(cell, "big", signed=True)), to_raw(args[0])
    )
)


@_utl_raw("CONCAT", 1, 12)
def _concat(args: list[Expr]) -> Expr:
    runs = [to_raw(arg).run for arg in args]
    return derived(RAW, lambda row, env: b"".join(run(row, env) or b"" for run in runs) or None, *args)


@_utl_raw("SUBSTR", 2, 3)
def _substr(args: list[Expr]) -> Expr:
    """UTL_RAW.SUBSTR; unlike SUBSTR it refuses a range outside of the value (ORA-06502)."""
    length = to_number(args[2]) if len(args) > 2 else sql_number(0)

    def cut(cell: bytes, at: bytes, size: bytes) -> bytes:
        position = cells.decode_integer(at)
        start = position - 1 if position > 0 else len(cell) + position
        end = start + (cells.decode_integer(size) or len(cell) - start)
        if not position or not 0 <= start < end <= len(cell):
            raise OracleFault(6502, "PL/SQL: numeric or value error")
        return cell[start:end]

    return _raw(cut, to_raw(args[0]), to_number(args[1]), length)


def _bitwise(operate: Callable[[int, int], int]) -> Build:
    """Bytes of the longer value behind the shorter one stay as they are."""

    def combine(left: bytes, right: bytes) -> bytes:
        count = min(len(left), len(right))
        head = bytes(operate(a, b) for a, b in zip(left, right, strict=False))
        return head + (left if len(left) > count else right)[count:]

    return lambda args: _raw(combine, to_raw(args[0]), to_raw(args[1]))


_utl_raw("BIT_AND", 2)(_bitwise(lambda a, b: a & b))
_utl_raw("BIT_OR", 2)(_bitwise(lambda a, b: a | b))
_utl_raw("BIT_XOR", 2)(_bitwise(lambda a, b: a ^ b))


@_utl_raw("COMPARE", 2)
def _compare(args: list[Expr]) -> Expr:
    """Position of the first byte that differs, the shorter one filled up with zero bytes; 0 when equal."""

    def first(left: bytes, right: bytes) -> bytes:
        size = max(len(left), len(right))
        pairs = zip(left.ljust(size, b"\0"), right.ljust(size, b"\0"), strict=True)
        return cells.encode_number(next((at for at, (a, b) in enumerate(pairs, 1) if a != b), 0))

    return strict(NUMBER, first, to_raw(args[0]), to_raw(args[1]))
