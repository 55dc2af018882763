"""Character sets of a container: what a narrow one cannot hold is lost on the way in.

Rows are UTF-8 whatever the set says. The text of a statement and binds that are not of the national set are
converted to it by the server first, so characters that it lacks become `¿`, also on their way into a column
of the national set. Sets that are not listed hold everything.

Source: Oracle Database Globalization Support Guide 19c, "Programming with Unicode", data loss in conversions.
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.oracle.interface import Bind, Cell, DbType

NARROW = {
    "US7ASCII": "ascii",
    "WE8ISO8859P1": "iso8859-1",
    "WE8ISO8859P15": "iso8859-15",
    "WE8MSWIN1252": "cp1252",
}
"""Codec of each set that does not hold all characters."""
LOST = "\u00bf"
_TEXTS = frozenset((DbType.VARCHAR2, DbType.CHAR, DbType.LONG, DbType.CLOB))
Values = Sequence[Cell | list[Cell]]


def held(text: str, codec: str | None) -> str:
    """A text after it was converted to a set and back."""
    if codec is None or text.isascii():
        return text
    return "".join(one if one.encode(codec, "ignore") else LOST for one in text)


def is_held(text: str, codec: str | None) -> bool:
    """Does a set have all characters of a text?"""
    return held(text, codec) == text


def converted(binds: Sequence[Bind], rows: Sequence[Values], codec: str | None) -> Sequence[Values]:
    """Rows of bind values as the server takes them."""
    if codec is None:
        return rows
    places = {at for at, bind in enumerate(binds) if bind.type in _TEXTS and not bind.national}
    return [[_cell(value, codec) if at in places else value for at, value in enumerate(row)] for row in rows]


def _cell(value: Cell | list[Cell], codec: str) -> Cell | list[Cell]:
    if isinstance(value, bytes):
        try:
            return held(value.decode(), codec).encode()
        except UnicodeDecodeError:
            return value
    return value


def unistr(text: str) -> str:
    """A literal of a text of the national set, whatever the database's own set has."""
    units = text.encode("utf-16-be")
    numbers = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return f"UNISTR('{''.join(map(_unit, numbers))}')"


def _unit(number: int) -> str:
    if number >= ord("\x7f"):
        return f"\\{number:04X}"
    return {"\\": "\\\\", "'": "''"}.get(chr(number), chr(number))
