"""Redo threads: who writes redo, and how much of it is on disk.

A single instance has thread 1. A cluster has one thread an instance; each has its own log groups and
sequences, and may be behind the others with what it has flushed.
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
        is_private: it belongs to the instance that names it.
        read_only: its instance was opened READ ONLY, and writes no redo.
        enabled_scn: since when instances may use it.
        disabled_scn: since when none may; None while it is enabled.
        closed_scn: where its last log ended.
        last_scn: of its last record.
        delayed: what it has flushed shows one look late.
        flushed: what is on disk while it is delayed or held; None for all that is written.
        written: what was written at the last look while it is delayed.
        shown: LAST_REDO_CHANGE# of the last heartbeat, while heartbeats are asked for.
    """

    number: int
    opened_scn: int
    opened_at: float
    is_open: bool = True
    is_private: bool = False
    read_only: bool = False
    enabled_scn: int = 0
    disabled_scn: int | None = None
    closed_scn: int | None = None
    last_scn: int = 0
    delayed: bool = False
    flushed: Flush | None = None
    written: Flush | None = None
    shown: int | None = None
    _beat: int = -1

    @property
    def enabled(self) -> str:
        """ENABLED of V$THREAD."""
        if self.disabled_scn is not None:
            return "DISABLED"
        return "PRIVATE" if self.is_private else "PUBLIC"

    def look(self, now: Flush) -> Flush:
        """What V$THREAD shows at a look, everything being written up to `now`."""
        if self.delayed:
            self.flushed, self.written = self.written or now, now
        return self.flushed or now

    def last_redo(self, now: Flush, at: float, heartbeat_s: float) -> int:
        """LAST_REDO_CHANGE# at a time in seconds.

        Without heartbeats it is the SCN of now. With them it is, as the checkpoint process writes it down
        every few seconds, that of the thread's last record: an instance that does nothing does not move it.
        """
        if not self.is_open:
            return 0
        flushed = self.look(now).scn
        if not heartbeat_s:
            return flushed
        beat = int(at / heartbeat_s)
        if beat != self._beat or self.shown is None:
            self._beat, self.shown = beat, min(flushed, max(self.last_scn, self.opened_scn))
        return self.shown
