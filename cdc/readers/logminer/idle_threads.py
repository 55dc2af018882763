"""Redo threads that hold reading back: open, and without new redo while others go on.

A window ends before what any open thread has not yet written to disk. An instance of a cluster that does
nothing, or hangs, writes nothing, so what the others commit waits for it: it must have a name.

Read next: `cdc.readers.logminer.window`. Source: Oracle Database Reference 19c: V$THREAD.
"""

from __future__ import annotations

import structlog

from cdc.errors import RedoHeldBack
from cdc.readers.logminer.window import RedoState

IDLE_S = 10.0
"""A few heartbeats of the checkpoint process."""

log = structlog.get_logger(__name__)


class IdleThreads:
    """Follows the looks of one reader.

    Args:
        system: name of the source.

    Attributes:
        figures: `held_by_thread` and `held_s`, while one holds reading back.
        held_back: the same as an error with a hint; None while nothing does.
    """

    def __init__(self, system: str) -> None:
        self._system = system
        self._moved: dict[int, tuple[int, float]] = {}
        self._told: set[int] = set()
        self.figures: dict[str, float | int] = {}
        self.held_back: RedoHeldBack | None = None

    def look(self, state: RedoState) -> None:
        """Take a look; warns once of each thread that begins to hold reading back."""
        open_threads = {one.thread: one.last_redo_scn for one in state.threads if one.is_open}
        furthest = max(open_threads.values(), default=0)
        self._moved = {
            thread: known
            if (known := self._moved.get(thread)) and known[0] == scn
            else (scn, state.looked_at)
            for thread, scn in open_threads.items()
        }
        idle = {
            thread: state.looked_at - since
            for thread, (scn, since) in self._moved.items()
            if scn < furthest and state.looked_at - since >= IDLE_S
        }
        self._told &= idle.keys()
        self.figures, self.held_back = {}, None
        if not idle:
            return
        holding = min(idle, key=lambda thread: open_threads[thread])
        self.figures = {"held_by_thread": holding, "held_s": round(idle[holding], 1)}
        self.held_back = RedoHeldBack(
            f"{self._system}: redo thread {holding} stands at SCN {open_threads[holding]} for "
            f"{idle[holding]:.0f} s, others are at {furthest}: what they committed since waits",
            hint=f"commit something on the instance of thread {holding}, or see why it hangs; a job on each "
            "instance that commits every few seconds keeps idle ones moving",
        )
        for thread in sorted(idle.keys() - self._told):
            self._told.add(thread)
            log.warning(
                "redo_thread_idle", system=self._system, thread=thread, position=open_threads[thread],
                ahead=furthest, idle_s=round(idle[thread], 1),
            )  # fmt: skip
