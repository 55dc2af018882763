"""The variable length integers and byte strings every TTC message is made of.

Writers return `bytes`; `Reader` takes them apart and pulls the next packet when it runs dry, as no
message says how long it is.
"""

from __future__ import annotations

from collections.abc import Callable

SHORT_MAX = 252
"""Longest byte string with a single length byte; longer ones travel in chunks."""

CHUNK = 32767
LONG_MARK = 254
ESCAPE = 253
NULL_LENGTHS = (0, 255)


class WireError(Exception):
    """The client sent bytes that are no message of this protocol."""


def _unsigned(value: int) -> bytes:
    width = (value.bit_length() + 7) >> 3
    return bytes((width,)) + value.to_bytes(width, "big")


_SMALL = tuple(_unsigned(value) for value in range(1024))


def ub(value: int) -> bytes:
    """A non-negative integer: its width in bytes, then the bytes, big endian; 0 is a single 0."""
    return _SMALL[value] if value < 1024 else _unsigned(value)


def sb(value: int) -> bytes:
    """A signed integer: as `ub` with bit 0x80 of the width for negative ones."""
    if value >= 0:
        return ub(value)
    encoded = ub(-value)
    return bytes((encoded[0] | 0x80,)) + encoded[1:]


def text(value: bytes | None) -> bytes:
    """A byte string behind its length byte, in chunks from 253 bytes on; None and b"" are NULL."""
    if not value:
        return b"\0"
    if len(value) <= SHORT_MAX:
        return bytes((len(value),)) + value
    parts = [bytes((LONG_MARK,))]
    for start in range(0, len(value), CHUNK):
        chunk = value[start : start + CHUNK]
        parts += (ub(len(chunk)), chunk)
    parts.append(b"\0")
    return b"".join(parts)


def long_text(value: bytes | None) -> bytes:
    """A byte string behind its total length as `ub`; NULL is the length 0 alone."""
    return ub(len(value)) + text(value) if value else b"\0"


class Reader:
    """A cursor over the bytes of one request.

    Args:
        refill: gives the payload of the next packet(s); raises when there is none.
        buffer: bytes already at hand.
    """

    __slots__ = ("buffer", "position", "refill")

    def __init__(self, refill: Callable[[], bytes], buffer: bytes = b"") -> None:
        self.refill = refill
        self.buffer = buffer
        self.position = 0

    @property
    def available(self) -> int:
        """Bytes at hand without another packet."""
        return len(self.buffer) - self.position

    def pull(self) -> None:
        """Append what the next packet brings; what was read already is forgotten."""
        more = self.refill()
        self.buffer = self.buffer[self.position :] + more
        self.position = 0

    def raw(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        if len(self.buffer) - self.position < count:
            parts = [self.buffer[self.position :]]
            have = len(parts[0])
            while have < count:
                parts.append(self.refill())
                have += len(parts[-1])
            self.buffer, self.position = b"".join(parts), 0
        start = self.position
        self.position = start + count
        return self.buffer[start : self.position]

    def peek(self) -> int:
        """The next byte, which is not consumed."""
        while self.position >= len(self.buffer):
            self.pull()
        return self.buffer[self.position]

    def u8(self) -> int:
        """One byte."""
        value = self.peek()
        self.position += 1
        return value

    def u16(self) -> int:
        """Two bytes, big endian."""
        return int.from_bytes(self.raw(2), "big")

    def ub(self) -> int:
        """A non-negative variable length integer."""
        width = self.u8()
        if width == 0:
            return 0
        if width > 8:
            raise WireError(f"integer of {width} bytes, expected 8 or fewer")
        return int.from_bytes(self.raw(width), "big")

    def sb(self) -> int:
        """A signed variable length integer."""
        width = self.u8()
        negative, width = width & 0x80, width & 0x7F
        if width > 8:
            raise WireError(f"integer of {width} bytes, expected 8 or fewer")
        value = int.from_bytes(self.raw(width), "big")
        return -value if negative else value

    def text(self) -> bytes | None:
        """A byte string as written by `text`; None for NULL."""
        length = self.u8()
        if length == LONG_MARK:
            parts = []
            while size := self.ub():
                parts.append(self.raw(size))
            return b"".join(parts) or None
        if length in NULL_LENGTHS:
            return None
        return self.raw(length)

    def long_text(self) -> bytes | None:
        """A byte string as written by `long_text`; None for NULL."""
        return self.text() if self.ub() else None

    def terminated(self) -> bytes:
        """Bytes up to a zero byte, which is consumed."""
        while (end := self.buffer.find(b"\0", self.position)) < 0:
            self.pull()
        value = self.buffer[self.position : end]
        self.position = end + 1
        return value

    def skip(self, pattern: str) -> None:
        """Skip fields: `1` a byte, `v` a variable length integer, `t` a byte string."""
        for kind in pattern:
            if kind == "1":
                self.u8()
            elif kind == "v":
                self.sb()
            else:
                self.text()
