"""Bind and define metadata, and the rows of bind values in a request.

Rows are decoded in one loop over the bytes at hand; a row cut by the end of a packet is started
again when the next packet is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.oracle.interface import Bind, Cell, DbType, OracleFault
from sandbox.oracle.net.lob import LobStore
from sandbox.oracle.net.sqltext import Placeholder
from sandbox.oracle.net.terms import Terms
from sandbox.oracle.net.wire import ESCAPE, Reader, WireError

ROW = 7
BOOLEAN = 252
UTF16_FORM = 2
_ARRAY = 0x40
_LOB_PREFETCH = 0x2000000
_SCALED = frozenset({2, 180, 181, 182, 183, 231})
_ALIASES = {
    **dict.fromkeys((5, 9, 97, 208), DbType.VARCHAR2),
    **dict.fromkeys((3, 6, 68, BOOLEAN), DbType.NUMBER),
    **{21: DbType.BINARY_FLOAT, 22: DbType.BINARY_DOUBLE, 15: DbType.RAW, 104: DbType.ROWID},
    **{187: DbType.TIMESTAMP, 188: DbType.TIMESTAMP_TZ, 232: DbType.TIMESTAMP_LTZ},
}
_TRUE, _FALSE = b"\xc1\x02", b"\x80"
Value = Cell | list[Cell]


@dataclass(frozen=True)
class WireBind:
    """Metadata of one bind or define as the client wrote it.

    Attributes:
        number: type number of the wire.
        size: buffer size in bytes.
        array: a PL/SQL array.
        utf16: text in UTF-16 (national character set).
        prefetch: large objects: units to send along with the locator; None for the locator alone,
            without size and chunk size.
    """

    number: int
    size: int
    array: bool = False
    utf16: bool = False
    prefetch: int | None = None

    @property
    def type(self) -> DbType:
        """The type the engine sees.

        Raises:
            OracleFault: 3115, a type this server does not know.
        """
        try:
            return _ALIASES.get(self.number) or DbType(self.number)
        except ValueError:
            raise OracleFault(3115, f"unsupported network datatype {self.number}") from None

    @property
    def plain(self) -> bool:
        """True when values are byte strings that are cells already."""
        return not (self.array or self.utf16 or self.number in (BOOLEAN, *_SPECIAL))


_SPECIAL = (DbType.CLOB, DbType.BLOB, DbType.REF_CURSOR)


def read_metadata(reader: Reader, count: int, terms: Terms) -> tuple[WireBind, ...]:
    """Read the metadata of `count` binds or defines."""
    return tuple(_read_one(reader, terms) for _ in range(count))


def _read_one(reader: Reader, terms: Terms) -> WireBind:
    number, flags = reader.u8(), reader.u8()
    reader.u8()  # precision
    if terms.wide_scale and number in _SCALED:
        reader.sb()
    else:
        reader.u8()
    size = reader.ub()
    reader.ub()  # most elements of an array
    extra = reader.ub()
    reader.long_text()  # object type
    reader.skip("vv")  # its version, character set
    form = reader.u8()
    characters = reader.ub()
    if terms.field_version >= 8:
        reader.ub()
    is_lob = number in (DbType.CLOB, DbType.BLOB)
    return WireBind(
        number,
        size,
        array=bool(flags & _ARRAY),
        utf16=form == UTF16_FORM,
        prefetch=characters if is_lob and extra & _LOB_PREFETCH else None,
    )


def engine_binds(binds: Sequence[WireBind], names: Sequence[Placeholder]) -> tuple[Bind, ...]:
    """The binds as the engine knows them."""
    padded = [*names, *(Placeholder("") for _ in range(len(binds) - len(names)))]
    return tuple(
        Bind(
            place.name, bind.type, bind.size, array=bind.array, returning=place.returning, national=bind.utf16
        )
        for bind, place in zip(binds, padded, strict=False)
    )


def read_rows(
    reader: Reader,
    binds: Sequence[WireBind],
    count: int,
    *,
    returning: Sequence[bool],
    long_last: int | None,
    lobs: LobStore,
) -> list[list[Value]]:
    """Read `count` rows of bind values.

    Args:
        reader: stands at the first row.
        binds: metadata of all binds.
        count: number of rows.
        returning: per bind, True when it has no value in the rows (None is put there).
        long_last: binds larger than this many bytes come behind the others; None keeps the order.
        lobs: where bound locators lead to.
    """
    order = [index for index in range(len(binds)) if not returning[index]]
    if long_last is not None:
        order.sort(key=lambda index: binds[index].size > long_last)
    if not order:
        return [[None] * len(binds) for _ in range(count)]
    sent = [binds[index] for index in order]
    if all(bind.plain for bind in sent):
        rows = _plain_rows(reader, sent, count, lobs)
    else:
        rows = [_any_row(reader, sent, lobs) for _ in range(count)]
    if order == list(range(len(binds))):
        return rows
    places: list[int | None] = [None] * len(binds)
    for place, index in enumerate(order):
        places[index] = place
    return [[None if place is None else row[place] for place in places] for row in rows]


def _plain_rows(reader: Reader, binds: Sequence[WireBind], count: int, lobs: LobStore) -> list[list[Value]]:
    rows: list[list[Value]] = []
    columns = range(len(binds))
    buffer, position = reader.buffer, reader.position
    start = position
    while len(rows) < count:
        try:
            start = position
            if buffer[position] != ROW:
                raise WireError(f"message {buffer[position]} where a row of binds was expected")
            position += 1
            row: list[Value] = []
            for _ in columns:
                length = buffer[position]
                position += 1
                if length == 0:
                    row.append(None)
                elif length < ESCAPE:
                    end = position + length
                    row.append(buffer[position:end])
                    position = end
                else:  # long or unusual: this row value by value
                    reader.position = start
                    row = _any_row(reader, binds, lobs)
                    buffer, position = reader.buffer, reader.position
                    break
            if position > len(buffer):
                raise IndexError
            rows.append(row)
        except IndexError:
            reader.position = start
            reader.pull()
            buffer, position = reader.buffer, 0
    reader.position = position
    return rows


def _any_row(reader: Reader, binds: Sequence[WireBind], lobs: LobStore) -> list[Value]:
    message = reader.u8()
    if message != ROW:
        raise WireError(f"message {message} where a row of binds was expected")
    return [
        [_value(reader, bind, lobs) for _ in range(reader.ub())] if bind.array else _value(reader, bind, lobs)
        for bind in binds
    ]


def _value(reader: Reader, bind: WireBind, lobs: LobStore) -> Cell:
    if bind.number in (DbType.CLOB, DbType.BLOB):
        return lobs.content(reader.long_text())
    if bind.number == DbType.REF_CURSOR:
        if reader.u8() and reader.u8():
            reader.ub()  # a cursor handed in; blocks here only assign cursors
        return None
    if bind.number == BOOLEAN:
        length = reader.u8()
        value = reader.raw(1 if length == ESCAPE else length)
        if length == ESCAPE or not value:
            return None
        return _TRUE if value[-1] else _FALSE
    cell = reader.text()
    if cell and bind.utf16:
        return cell.decode("utf-16-be", "replace").encode()
    return cell
