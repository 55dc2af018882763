"""Redo threads: who writes redo, and how much of it is on disk.

A single instance has thread 1. A cluster has one thread an instance; each has its own log groups and
sequences, and may be behind the others with what it has flushed. Read next: `journal`.
"""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = 3
"""Online log groups of a thread."""


@dataclass(frozen=True)
class Flush:
    """End of the redo on disk: the records before `place`, the last of them written at `scn`."""

    place: int
    scn: int


@dataclass
class RedoThread:
    """A redo thread.

    Attributes:
        number: THREAD#.
        opened_scn: where its first log began.
        opened_at: seconds since 1970.
        is_open: does an instance write to it?
        closed_scn: where its last log ended.
        delayed: what it has flushed shows one look late.
        flushed: what is on disk while it is delayed or held; None for all that is written.
        written: what was written at the last look while it is delayed.
    """

    number: int
    opened_scn: int
    opened_at: float
    is_open: bool = True
    closed_scn: int | None = None
    delayed: bool = False
    flushed: Flush | None = None
    written: Flush | None = None

    def look(self, now: Flush) -> Flush:
        """What V$THREAD shows at a look, everything being written up to `now`."""
        if self.delayed:
            self.flushed, self.written = self.written or now, now
        return self.flushed or now
