"""Transactions: who changes what, under which XID, and what has to be undone."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.oracle.engine.store.journal import Record
    from sandbox.oracle.engine.store.tables import Table

OPEN = 1 << 62
"""SCN of a transaction that is open or rolled back: later than anything a reader may see."""


@dataclass(eq=False)
class Transaction:
    """One transaction; `scn` becomes the commit SCN, which makes its versions visible at once."""

    number: int
    user: str
    session_id: int
    serial: int
    client_id: str = ""
    session_info: str = ""
    name: str = ""
    thread: int = 1
    container: int = 0
    start_scn: int = 0
    started_at: float = 0.0
    scn: int = OPEN
    is_open: bool = True
    is_empty: bool = False
    end_scn: int = OPEN
    changes: list[Record] = field(default_factory=list)
    savepoints: dict[str, int] = field(default_factory=dict)
    locked: list[tuple[Table, int]] = field(default_factory=list)
    waits_for: Transaction | None = None

    @property
    def undo_segment(self) -> int:
        """First part of the XID."""
        return 1 + self.number % 10

    @property
    def slot(self) -> int:
        """Second part of the XID."""
        return self.number // 10 % 34

    @property
    def sequence(self) -> int:
        """Third part of the XID; it tells apart the transactions that reuse a slot."""
        return 100 + self.number // 340

    @property
    def xid(self) -> bytes:
        """RAW(8), each part little-endian."""
        return struct.pack("<HHI", self.undo_segment, self.slot, self.sequence)
