"""What a SQL_REDO text says, before any type is applied: statements and their cells.

A cell has three states: a value, SQL NULL (`None`), or absent, which is not being in the mapping.
`cdc.readers.logminer.redo_sql.scanner` reads texts into these; `cdc.readers.logminer.redo_sql.values` turns
cells into the canonical text of a column's type.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


class RedoSyntaxError(ValueError):
    """A SQL_REDO text that is not of the known grammar; `offset` is where, the text is never shown."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} at character {offset}")
        self.reason, self.offset = reason, offset


@dataclass(frozen=True, slots=True)
class Bare:
    """An unquoted number, text as written."""

    text: str


@dataclass(frozen=True, slots=True)
class Hex:
    """`HEXTORAW('..')`: RAW values and all values of undecoded rows; digits as written."""

    digits: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function call or an ANSI literal such as `TIMESTAMP '..'` (`literal`)."""

    name: str
    args: tuple[Cell, ...]
    literal: bool = False


@dataclass(frozen=True, slots=True)
class Concat:
    """`a || b || ..`."""

    parts: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Bind:
    """A placeholder `:name`; the value follows in other rows."""

    name: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    """`Unsupported Type`: the value is not NULL, and unknown."""


@dataclass(frozen=True, slots=True)
class Hinted:
    """A value after a comment that says how it is meant, as in `/* JSON */ HEXTORAW('..')`."""

    hint: str
    cell: Cell


Cell = None | str | Bare | Hex | Call | Concat | Bind | Unsupported | Hinted


@dataclass(frozen=True, slots=True)
class Statement:
    """One insert, update or delete.

    `values` are the inserted or set columns, `where` the columns of the condition; `not_null` are
    the columns known only not to be NULL. `rowid` is the value of the ROWID condition, which is
    never a column. `owner` is None where the text does not name it.
    """

    operation: str
    owner: str | None
    name: str
    values: Mapping[str, Cell] = field(default_factory=dict)
    where: Mapping[str, Cell] = field(default_factory=dict)
    rowid: str | None = None
    not_null: tuple[str, ...] = ()

    @property
    def before(self) -> Mapping[str, Cell] | None:
        """Columns of the row as it was, as far as logged; None for an insert."""
        return None if self.operation == "INSERT" else self.where

    @property
    def after(self) -> Mapping[str, Cell] | None:
        """Columns of the row as it became, as far as logged; None for a delete."""
        if self.operation == "DELETE":
            return None
        return {**self.where, **self.values}


def text_of(cell: Cell) -> str | None:
    """The text of a string, UNISTR or concatenation cell; '' is NULL in Oracle and gives None.

    Raises:
        RedoSyntaxError: a bad UNISTR escape, half a surrogate pair, or a cell that is not text.
    """
    units = units_of(cell)
    if not units:
        return None
    try:
        return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError as exc:
        raise RedoSyntaxError("half a surrogate pair in UNISTR", exc.start // 2) from exc


def units_of(cell: Cell) -> str:
    """The text of a cell in UTF-16 units: half a surrogate pair may be at its ends.

    Raises:
        RedoSyntaxError: a bad UNISTR escape, or a cell that is not text.
    """
    return "".join(_units(cell))


def _units(cell: Cell) -> Iterator[str]:
    """Text with UTF-16 surrogates left apart: a pair may be cut between two UNISTR pieces."""
    if cell is None:
        return
    if isinstance(cell, str):
        yield cell
    elif isinstance(cell, Concat):
        for part in cell.parts:
            yield from _units(part)
    elif isinstance(cell, Call) and cell.name == "UNISTR" and len(cell.args) == 1:
        argument = cell.args[0]
        if isinstance(argument, str):
            yield unistr(argument)
    elif isinstance(cell, Call) and cell.name in ("CHR", "NCHR") and len(cell.args) == 1:
        argument = cell.args[0]
        if not isinstance(argument, Bare) or not argument.text.isdecimal():
            raise RedoSyntaxError("CHR without a number", 0)
        code = int(argument.text)
        if code > sys.maxunicode:
            raise RedoSyntaxError("CHR of no character", 0)
        yield chr(code)
    elif isinstance(cell, Call) and cell.name in ("TO_CLOB", "TO_NCLOB") and len(cell.args) == 1:
        yield from _units(cell.args[0])
    else:
        raise RedoSyntaxError("not a text value", 0)


def unistr(argument: str) -> str:
    r"""Decode a UNISTR argument: `\hhhh` is a UTF-16 unit, `\\` a backslash.

    Surrogates stay apart, since a pair may be cut between two pieces of a concatenation.
    """
    if "\\" not in argument:
        return argument
    pieces = argument.split("\\")
    out = [pieces[0]]
    at, index = len(pieces[0]), 1
    while index < len(pieces):
        piece = pieces[index]
        if piece == "" and index + 1 < len(pieces):
            out.append("\\" + pieces[index + 1])
            at += 2 + len(pieces[index + 1])
            index += 2
            continue
        digits = piece[:4]
        if len(digits) < 4:
            raise RedoSyntaxError("short UNISTR escape", at)
        if not all(digit in "0123456789abcdefABCDEF" for digit in digits):
            raise RedoSyntaxError("bad UNISTR escape", at)
        out.append(chr(int(digits, 16)) + piece[4:])
        at += 1 + len(piece)
        index += 1
    return "".join(out)
