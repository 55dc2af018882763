"""Places in a source's stream of changes.

An `Scn` is Oracle's number, an `Lsn` PostgreSQL's. Both are plain integers that grow; they are
never compared across sources. In frames and in staging they are 64-bit integers.
"""

from __future__ import annotations


class Scn(int):
    """Oracle system change number."""

    def __repr__(self) -> str:
        return f"SCN {int(self)}"

    __str__ = __repr__


class Lsn(int):
    """PostgreSQL log sequence number: a byte position in the write-ahead log."""

    @classmethod
    def parse(cls, text: str) -> Lsn:
        """Read PostgreSQL's `high/low` hexadecimal form, for example `0/16B3748`."""
        high, _, low = text.partition("/")
        return cls((int(high, 16) << 32) | int(low, 16))

    @property
    def text(self) -> str:
        """PostgreSQL's own form, as its functions take it."""
        return f"{int(self) >> 32:X}/{int(self) & 0xFFFFFFFF:X}"

    def __repr__(self) -> str:
        return f"LSN {self.text}"

    __str__ = __repr__


type_of_position = {"oracle": Scn, "postgres": Lsn}
Position = Scn | Lsn
