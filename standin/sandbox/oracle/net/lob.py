"""Large objects behind locators: those handed out by queries and temporary ones of the client.

Text is kept in UTF-16 units, the unit in which Oracle counts CLOB offsets and amounts. Persistent
objects are read only here: changing them goes through SQL.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.oracle.interface import Cell, DbType, OracleFault
from sandbox.oracle.net.wire import Reader, WireError, sb, text, ub

CHUNK_SIZE = 8060
LOCATOR_SIZE = 40
_NUMBER_AT = 20
_READ, _LENGTH, _TRIM, _WRITE, _CHUNK, _CREATE = 0x2, 0x1, 0x20, 0x40, 0x4000, 0x110
_OPEN, _CLOSE, _IS_OPEN, _FREE = 0x8000, 0x10000, 0x11000, 0x111


@dataclass
class Lob:
    """One large object; `data` in UTF-16 for text."""

    type: DbType
    data: bytes
    temporary: bool
    opened: bool = False

    @property
    def unit(self) -> int:
        """Bytes per unit of offsets and amounts."""
        return 2 if self.type == DbType.CLOB else 1

    @property
    def size(self) -> int:
        """Length in units."""
        return len(self.data) // self.unit

    def encode(self, part: bytes) -> bytes:
        """Part of `data` as it travels: text in UTF-8."""
        if self.type == DbType.CLOB:
            return part.decode("utf-16-be", "replace").encode()
        return part

    def decode(self, content: bytes) -> bytes:
        """Content that travelled, as kept."""
        if self.type == DbType.CLOB:
            return content.decode("utf-8", "replace").encode("utf-16-be")
        return content


class LobStore:
    """The large objects of one session, by the number in their locator."""

    def __init__(self) -> None:
        self._lobs: dict[int, Lob] = {}
        self._next = 1

    def add(self, kind: DbType, content: bytes, *, temporary: bool = False) -> int:
        """Keep an object and give its number."""
        lob = Lob(kind, b"", temporary)
        lob.data = lob.decode(content)
        number = self._next
        self._next += 1
        self._lobs[number] = lob
        return number

    def drop(self, numbers: list[int]) -> None:
        """Forget objects; unknown numbers are fine."""
        for number in numbers:
            self._lobs.pop(number, None)

    def locator(self, number: int, size: int = LOCATOR_SIZE) -> bytes:
        """The locator of an object; it starts with the length of its rest."""
        lob = self._lobs[number]
        head = (size - 2).to_bytes(2, "big") + b"\0\x04"
        head += bytes((1 if lob.type == DbType.BLOB else 0, 0x08, 0, int(lob.temporary)))
        return (head.ljust(_NUMBER_AT, b"\0") + number.to_bytes(8, "big")).ljust(size, b"\0")

    def value(self, kind: DbType, content: Cell, *, prefetch: int | None, owned: list[int]) -> bytes:
        """A cell as locator value.

        Args:
            kind: CLOB or BLOB.
            content: the whole value.
            prefetch: units to send along; None leaves the sizes out too.
            owned: receives the number of the object.
        """
        if content is None:
            return b"\0"
        number = self.add(kind, content)
        owned.append(number)
        lob = self._lobs[number]
        parts = [ub(LOCATOR_SIZE)]
        if prefetch is not None:
            parts += [ub(lob.size), ub(CHUNK_SIZE)]
        if prefetch:
            parts += [
                b"\0\x01" if kind == DbType.CLOB else b"",
                text(lob.encode(lob.data[: prefetch * lob.unit])),
            ]
        parts.append(text(self.locator(number)))
        return b"".join(parts)

    def find(self, locator: bytes) -> Lob:
        """The object of a locator.

        Raises:
            OracleFault: 22922, it is gone or never was.
        """
        lob = self._lobs.get(int.from_bytes(locator[_NUMBER_AT : _NUMBER_AT + 8], "big"))
        if lob is None:
            raise OracleFault(22922, "nonexistent LOB value")
        return lob

    def content(self, locator: bytes | None) -> Cell:
        """The whole content behind a bound locator; None without one."""
        if not locator:
            return None
        lob = self.find(locator)
        return lob.encode(lob.data)

    def free(self, locators: bytes) -> None:
        """Forget the objects of locators that stand one behind another."""
        start = 0
        while start < len(locators):
            part = locators[start + _NUMBER_AT : start + _NUMBER_AT + 8]
            self._lobs.pop(int.from_bytes(part, "big"), None)
            start += int.from_bytes(locators[start : start + 2], "big") + 2

    def call(self, reader: Reader) -> bytes:
        """Read a LOB call behind its header, do it, and give the answer without its last block."""
        request = _read_call(reader)
        if request.operation == _CREATE:
            kind = DbType.BLOB if request.destination_offset == DbType.BLOB else DbType.CLOB
            number = self.add(kind, b"", temporary=True)
            locator = self.locator(number, max(len(request.locator), LOCATOR_SIZE))
            return b"\x08" + locator + b"\0" + _amount(request) + b"\0"
        if request.operation == _FREE:
            self.free(request.locator)
            return b"\x08" + request.locator + _amount(request)
        lob = self.find(request.locator)
        front, extra = _operate(lob, request)
        return front + b"\x08" + request.locator + extra


@dataclass
class _Call:
    operation: int
    locator: bytes
    offset: int
    destination_offset: int
    amount: int | None
    content: bytes | None


def _read_call(reader: Reader) -> _Call:
    has_source = reader.u8()
    source_length = reader.ub()
    reader.skip("1vvv111")
    operation = reader.ub()
    reader.u8()
    changes = reader.ub()  # change numbers that follow
    offset, destination_offset = reader.ub(), reader.ub()
    has_amount = reader.u8()
    reader.raw(6)
    locator = reader.raw(source_length) if has_source else b""
    if operation == _CREATE:
        reader.ub()
    for _ in range(changes):
        reader.ub()
    amount = reader.ub() if has_amount else None
    content = None
    if operation == _WRITE:
        if reader.u8() != 0x0E:
            raise WireError("a LOB write without its data")
        content = reader.text() or b""
    return _Call(operation, locator, offset, destination_offset, amount, content)


def _amount(call: _Call) -> bytes:
    return b"" if call.amount is None else sb(call.amount)


def _operate(lob: Lob, call: _Call) -> tuple[bytes, bytes]:
    """The data in front of the parameters, and what follows the locator."""
    start = max(call.offset - 1, 0) * lob.unit
    if call.operation == _READ:
        part = lob.data[start : start + (call.amount or 0) * lob.unit]
        front = b"\x0e" + text(lob.encode(part)) if part else b""
        return front, sb(len(part) // lob.unit)
    if call.operation == _LENGTH:
        return b"", sb(lob.size)
    if call.operation == _CHUNK:
        return b"", sb(CHUNK_SIZE)
    if call.operation == _IS_OPEN:
        return b"", bytes((lob.opened,))
    if call.operation in (_OPEN, _CLOSE):
        lob.opened = call.operation == _OPEN
        return b"", _amount(call)
    if not lob.temporary:
        raise OracleFault(22920, "row containing the LOB value is not locked")
    if call.operation == _TRIM:
        lob.data = lob.data[: (call.amount or 0) * lob.unit]
        return b"", _amount(call)
    if call.operation == _WRITE:
        content = lob.decode(call.content or b"")
        blank = " ".encode("utf-16-be") if lob.type == DbType.CLOB else b"\0"
        missing = max(start - len(lob.data), 0) // lob.unit
        before = lob.data[:start] + blank * missing
        lob.data = before + content + lob.data[start + len(content) :]
        return b"", _amount(call)
    raise WireError(f"LOB operation {call.operation:#x}")
