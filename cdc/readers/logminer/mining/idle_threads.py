"""Redo threads that hold reading back: open, and without new redo while others advance.

A window ends before what any open thread has not yet written to disk. An instance of a cluster that does
nothing, or hangs, writes nothing, so what the others commit waits for it: it must have a name, and it is
nudged where its address is known.

Source: Oracle Database Reference 19c: V$THREAD.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import structlog

from cdc.errors import CcbridgeError, RedoHeldBack, RedoNotAvailable
from cdc.readers.logminer.mining.nudges import AFTER_S, RETRY_S, Nudges
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.mining.window import RedoState
from cdc.readers.logminer.recovery import SESSION_ERRORS

IDLE_S = 10.0
"""A few heartbeats of the checkpoint process."""
ASK_SHARE = 10
"""Looking whether anybody committed takes at most one part in so many of the time."""

log = structlog.get_logger(__name__)


class IdleThreads:
    """Follows the looks of one reader.

    Args:
        system: name of the source.
        nudges: what is done about them.

    Attributes:
        figures: `held_by_thread` and `held_s`, while one holds reading back, if only our own commits.
        held_back: the same as an error with a hint; None while nothing of others is known to wait.
    """

    def __init__(self, system: str, nudges: Nudges) -> None:
        self._system, self._nudges = system, nudges
        self._moved: dict[int, tuple[int, float]] = {}
        self._ours_alone: dict[int, int] = {}
        self._ask_from = float("-inf")
        self._nudged: dict[int, tuple[int, float]] = {}
        self._not_asked: CcbridgeError | None = None
        self._shown: set[int] = set()
        self.figures: dict[str, float | int] = {}
        self.held_back: RedoHeldBack | None = None

    def look(self, state: RedoState, read_to: int = 0) -> None:
        """Take a look; warns once of each thread that begins to hold reading back.

        Args:
            state: the redo threads now.
            read_to: SCN up to which everything is read.
        """
        open_threads = _positions(state)
        behind = self._behind(state, read_to)
        self.figures, self.held_back = self._held(state, read_to), None
        idle = {
            thread: seconds
            for thread, seconds in behind.items()
            if seconds >= IDLE_S and self._has_a_name(thread, open_threads[thread], state.looked_at)
        }
        self._shown &= idle.keys()
        if not idle:
            return
        holding = min(idle, key=lambda thread: open_threads[thread])
        done, hint = self._said(holding)
        self.held_back = RedoHeldBack(
            f"{self._system}: redo thread {holding} stands at SCN {open_threads[holding]} for "
            f"{idle[holding]:.0f} s, others are at {state.furthest_scn}: what they committed since waits; "
            f"{done}",
            hint=hint,
        )
        for thread in sorted(idle.keys() - self._shown):
            self._shown.add(thread)
            log.warning(
                "redo_thread_idle",
                system=self._system,
                thread=thread,
                position=open_threads[thread],
                ahead=state.furthest_scn,
                idle_s=round(idle[thread], 1),
                nudge=self._said(thread)[0],
            )

    def _held(self, state: RedoState, read_to: int) -> dict[str, float | int]:
        """The thread that is furthest behind, as figures.

        Reported whatever LogMiner shows of what waits: nothing else would show that it shows too little.
        """
        positions, furthest = _positions(state), state.furthest_scn
        behind = [thread for thread, scn in positions.items() if read_to < furthest > scn]
        if not behind:
            return {}
        holding = min(behind, key=positions.__getitem__)
        held_s = state.looked_at - self._moved[holding][1]
        return {"held_by_thread": holding, "held_s": round(held_s, 1)} if held_s >= IDLE_S else {}

    def _said(self, thread: int) -> tuple[str, str]:
        """What came of nudging a thread, and a hint."""
        if self._not_asked is not None:
            return f"it is not nudged: {self._not_asked}", self._not_asked.hint
        return self._nudges.said(thread)

    def _has_a_name(self, thread: int, scn: int, now: float) -> bool:
        """Is operator action required? Where a nudge may help, it has its time first."""
        if self._not_asked is not None or not self._nudges.helps(thread):
            return True
        nudged, since = self._nudged.get(thread, (0, now))
        return nudged == scn and now - since >= IDLE_S

    def _behind(self, state: RedoState, read_to: int) -> dict[int, float]:
        """Seconds for which each thread has stood still while others have gone on to what is not read."""
        open_threads = _positions(state)
        self._moved = {
            thread: known
            if (known := self._moved.get(thread)) and known[0] == scn
            else (scn, state.looked_at)
            for thread, scn in open_threads.items()
        }
        furthest = state.furthest_scn
        if furthest <= read_to or open_threads == self._ours_alone:
            return {}
        return {
            thread: state.looked_at - since for thread, (scn, since) in self._moved.items() if scn < furthest
        }

    def nudge(
        self, session: MiningSession, state: RedoState, read_to: int, identity: Mapping[str, str]
    ) -> None:
        """Have idle instances commit something if what they hold back is more than our own commits.

        Raises:
            TransientError: the connection was lost; what else keeps LogMiner from telling is logged.
        """
        positions = _positions(state)
        due = self._nudges.due(self._behind(state, read_to), state.looked_at)
        if not due or state.looked_at < self._ask_from:
            return
        self._not_asked = None
        try:
            waits = session.others_committed(read_to, state)
        except (*SESSION_ERRORS, RedoNotAvailable) as exc:
            self._cannot_ask(session, due, exc)
            return
        if not waits:
            self._ours_alone = positions
            now = time.monotonic()
            self._ask_from = now + max(AFTER_S, ASK_SHARE * (now - state.looked_at))
            return
        for thread in due:
            self._nudges.begin(thread, identity)
            if self._nudged.get(thread, (0, 0.0))[0] != positions[thread]:
                self._nudged[thread] = positions[thread], state.looked_at

    def _cannot_ask(self, session: MiningSession, due: Sequence[int], exc: CcbridgeError) -> None:
        """No nudge without knowing that a commit waits; asked again later, in a new session."""
        session.close()
        self._not_asked, self._ask_from = exc, time.monotonic() + RETRY_S
        for thread in due:
            log.warning(
                "redo_thread_nudge_failed",
                system=self._system,
                thread=thread,
                error_code=exc.code,
                reason=str(exc),
                hint=exc.hint,
            )


def _positions(state: RedoState) -> dict[int, int]:
    """SCN up to which each open thread is known to have redo on disk."""
    return {one.thread: one.last_redo_scn for one in state.threads if one.is_open}
