"""Functions of text: case, trimming, padding, parts, searching."""

from __future__ import annotations

import re
from collections.abc import Callable

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.conversions import (
    to_number,
    to_text,
)
from sandbox.oracle.engine.functions.expressions import Expr, derived, hoist, strict
from sandbox.oracle.engine.functions.registered import FUNCTIONS, Build, function, sql_literal, sql_number
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.sql_types import NUMBER, SqlType, text
from sandbox.oracle.interface import Cell, DbType, Row


def _textual(change: Callable[[str], str]) -> Build:
    def build(args: list[Expr]) -> Expr:
        operand = to_text(args[0])
        return strict(_text_of(operand), lambda cell: change(cell.decode()).encode() or None, operand)

    return build


def _text_of(expr: Expr) -> SqlType:
    return sql_types.CLOB if expr.type.base is DbType.CLOB else text(expr.type.chars or 1000)


function("UPPER", 1)(_textual(str.upper))
function("LOWER", 1)(_textual(str.lower))
function("INITCAP", 1)(_textual(str.title))
function("REVERSE", 1)(_textual(lambda value: value[::-1]))


@function("TRIM", 3)
def _trim(args: list[Expr]) -> Expr:
    strip = {b"BOTH": bytes.strip, b"LEADING": bytes.lstrip, b"TRAILING": bytes.rstrip}
    side = args[2].run((), None)  # type: ignore[arg-type]
    cut = strip[side or b"BOTH"]
    operand = to_text(args[0])
    return strict(_text_of(operand), lambda cell, marks: cut(cell, marks) or None, operand, to_text(args[1]))


def _side_trim(left: bool) -> Build:
    def build(args: list[Expr]) -> Expr:
        operand = to_text(args[0])
        marks = to_text(args[1]) if len(args) > 1 else sql_literal(" ")

        def cut(cell: bytes, unwanted: bytes) -> Cell:
            value, letters = cell.decode(), unwanted.decode()
            return (value.lstrip(letters) if left else value.rstrip(letters)).encode() or None

        return strict(_text_of(operand), cut, operand, marks)

    return build


function("LTRIM", 1, 2)(_side_trim(True))
function("RTRIM", 1, 2)(_side_trim(False))


def _side_pad(left: bool) -> Build:
    def build(args: list[Expr]) -> Expr:
        marks = to_text(args[2]) if len(args) > 2 else sql_literal(" ")

        def fill(cell: bytes, length: bytes, mark: bytes) -> Cell:
            value, letters, wanted = cell.decode(), mark.decode(), cells.decode_integer(length)
            if len(value) >= wanted:
                return value[: max(0, wanted)].encode() or None
            missing = wanted - len(value)
            filler = (letters * (missing // len(letters) + 1))[:missing]
            return (filler + value if left else value + filler).encode()

        return strict(text(4000), fill, to_text(args[0]), to_number(args[1]), marks)

    return build


function("LPAD", 2, 3)(_side_pad(True))
function("RPAD", 2, 3)(_side_pad(False))


def _substring(characters: str, start: int, length: int | None) -> str:
    if start < 0:
        start += len(characters) + 1
        if start < 1:
            return ""
    start = max(start, 1) - 1
    if length is None:
        return characters[start:]
    return characters[start : start + length] if length > 0 else ""


@function("SUBSTR", 2, 3)
def _substr(args: list[Expr]) -> Expr:
    operand, start = to_text(args[0]), to_number(args[1])
    if len(args) == 2:
        return strict(
            _text_of(operand),
            lambda cell, at: _substring(cell.decode(), cells.decode_integer(at), None).encode() or None,
            operand,
            start,
        )
    return strict(
        _text_of(operand),
        lambda cell, at, size: (
            _substring(cell.decode(), cells.decode_integer(at), cells.decode_integer(size)).encode() or None
        ),
        operand,
        start,
        to_number(args[2]),
    )


FUNCTIONS["DBMS_LOB.SUBSTR"] = lambda args: FUNCTIONS["SUBSTR"](
    [args[0], args[2] if len(args) > 2 else sql_number(1), args[1]]
)


def _length(measure: Callable[[bytes], int]) -> Build:
    return lambda args: strict(NUMBER, lambda cell: cells.encode_number(measure(cell)), to_text(args[0]))


function("LENGTH", 1)(_length(lambda cell: len(cell.decode())))
function("LENGTHB", 1)(_length(len))
function("ASCII", 1)(_length(lambda cell: ord(cell.decode()[0])))
FUNCTIONS["DBMS_LOB.GETLENGTH"] = FUNCTIONS["LENGTH"]
function("CHR", 1)(
    lambda args: strict(text(1), lambda cell: chr(cells.decode_integer(cell)).encode(), to_number(args[0]))
)


def _of_code_units(text_: str) -> str:
    r"""UNISTR: `\XXXX` is a code unit of UTF-16, two backslashes are one."""
    units = re.sub(
        r"\\(\\|[0-9A-Fa-f]{4})",
        lambda found: "\\" if found[1] == "\\" else chr(int(found[1], 16)),
        text_,
    )
    return units.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")


function("UNISTR", 1)(_textual(_of_code_units))


@function("INSTR", 2, 3)
def _instr(args: list[Expr]) -> Expr:
    start = to_number(args[2]) if len(args) > 2 else sql_number(1)

    def find(cell: bytes, part: bytes, at: bytes) -> bytes:
        return cells.encode_number(cell.decode().find(part.decode(), cells.decode_integer(at) - 1) + 1)

    return strict(NUMBER, find, to_text(args[0]), to_text(args[1]), start)


@function("REPLACE", 2, 3)
def _replace(args: list[Expr]) -> Expr:
    runs = [hoist(to_text(arg)).run for arg in args]

    def run(row: Row, env: Env) -> Cell:
        cell, old = runs[0](row, env), runs[1](row, env)
        if cell is None or old is None:
            return cell
        new = runs[2](row, env) if len(runs) > 2 else None
        return cell.replace(old, new or b"") or None

    return derived(text(4000), run, *args)


@function("TRANSLATE", 3)
def _translate(args: list[Expr]) -> Expr:
    def change(cell: bytes, old: bytes, new: bytes) -> Cell:
        olds, news = old.decode(), new.decode()
        table = {ord(letter): news[at] if at < len(news) else None for at, letter in enumerate(olds)}
        return cell.decode().translate(table).encode() or None

    return strict(text(4000), change, *(to_text(arg) for arg in args))


@function("CONCAT", 2)
def _concat(args: list[Expr]) -> Expr:
    left, right = to_text(args[0]).run, to_text(args[1]).run
    return derived(
        text(4000), lambda row, env: (left(row, env) or b"") + (right(row, env) or b"") or None, *args
    )
