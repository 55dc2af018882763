"""How V$THREAD.LAST_REDO_CHANGE# moves while there is work, looked at ten times a second.

The reader reads no further than that SCN, so its movement is the least latency that Oracle allows.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from cdc.readers.logminer.mining.window import FLUSH_S, RedoState

LOOK_EVERY_S = 0.1
BEAT_EVERY_S = 1.0
BOUNDS_S = (0.25, 0.5, 1.0, 2.0, 3.0, FLUSH_S, 5.0, 10.0)


@dataclass
class Watch:
    """What was seen.

    Attributes:
        steps_s: seconds between two changes of the flushed SCN.
        waits_s: seconds from a commit until the flushed SCN had passed it.
        looks: how often it was looked at.
    """

    steps_s: list[float] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    looks: int = 0

    @property
    def histogram(self) -> str:
        """Waits by their upper bound in seconds."""
        counts = Counter(next((b for b in BOUNDS_S if wait <= b), None) for wait in self.waits_s)
        shown = [f"<={bound:g}: {counts[bound]}" for bound in BOUNDS_S if counts[bound]]
        if counts[None]:
            shown.append(f">{BOUNDS_S[-1]:g}: {counts[None]}")
        return ", ".join(shown)

    @property
    def summary(self) -> str:
        """In one line."""
        if not self.waits_s:
            return f"no commit was passed in {self.looks} looks"
        middle = sorted(self.waits_s)[len(self.waits_s) // 2]
        steps = f", moved {len(self.steps_s)} times" if self.steps_s else ""
        return (
            f"{len(self.waits_s)} commits, passed after {middle:.1f} s (median), "
            f"{max(self.waits_s):.1f} s at most{steps}; histogram in s: {self.histogram}"
        )


def watched(
    look: Callable[[], RedoState],
    current_scn: Callable[[], int],
    beat: Callable[[], None],
    *,
    seconds: float,
    progress: Callable[[str], None],
) -> Watch:
    """Commit once a second and watch the flushed SCN for some time, then until it passed the last commit.

    Args:
        look: the state of the redo.
        current_scn: the SCN of now.
        beat: commits a row.
        seconds: how long.
        progress: called once a second with the progress.
    """
    watch = Watch()
    began = time.monotonic()
    waiting: list[tuple[int, float]] = []
    flushed, moved_at, next_beat = 0, 0.0, began
    while True:
        now = time.monotonic()
        over = now - began >= seconds
        if over and (not waiting or now - began >= seconds + 2 * FLUSH_S):
            break
        if not over and now >= next_beat:
            beat()
            waiting.append((current_scn(), time.monotonic()))
            next_beat = now + BEAT_EVERY_S
            progress(f"watching LAST_REDO_CHANGE#, {now - began:.0f} of {seconds:.0f} s")
        state, now = look(), time.monotonic()
        watch.looks += 1
        if state.flushed_scn != flushed:
            if moved_at:
                watch.steps_s.append(now - moved_at)
            flushed, moved_at = state.flushed_scn, now
        watch.waits_s += [now - since for scn, since in waiting if scn < flushed]
        waiting = [(scn, since) for scn, since in waiting if scn >= flushed]
        time.sleep(LOOK_EVERY_S)
    watch.waits_s += [time.monotonic() - since for _, since in waiting]
    return watch
