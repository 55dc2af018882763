"""How far one LogMiner run may read.

Three positions are kept apart: where the *session* starts (back to the oldest open transaction, so
that LogMiner knows user names and undo rows), where *reading* continues (after the last window), and
the *saved* position (before the oldest open transaction).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cdc.readers.logminer.mining.logs import RedoThread

FLUSH_S = 3.5
"""Redo stays in the log buffer for at most 3 seconds; then the log writer writes it, asked or not."""
COMFORTABLE_ROWS = 50_000
"""Rows of one window below which it may grow; four times as many, and it is halved."""
QUICK_S, SLOW_S = 5.0, 60.0
"""Seconds that a window takes, below which it may grow and above which it is halved."""


@dataclass(frozen=True)
class RedoState:
    """The end of the redo at one look: V$THREAD, and a steady clock.

    `current_scn` is V$DATABASE.CURRENT_SCN where it was asked for: each such query reads the control file,
    and the threads know better.
    """

    current_scn: int | None
    threads: tuple[RedoThread, ...]
    looked_at: float = 0.0

    @property
    def flushed_scn(self) -> int:
        """SCN up to which every open thread has redo on disk; records *at* it may still follow."""
        flushed = [thread.last_redo_scn for thread in self.threads if thread.is_open]
        if self.current_scn is not None:
            flushed.append(self.current_scn)
        return min(flushed, default=0)

    @property
    def furthest_scn(self) -> int:
        """SCN up to which any thread has redo on disk, one that is closed too: what it wrote may still wait.

        LAST_REDO_CHANGE# of a closed one may be 0; its checkpoint is where it was closed.
        """
        return max(
            (max(one.last_redo_scn, 0 if one.is_open else one.checkpoint_scn) for one in self.threads),
            default=0,
        )

    @property
    def sequences(self) -> tuple[tuple[int, int, bool], ...]:
        """Current log of each thread, and whether it is open: changes with a log switch."""
        return tuple((thread.thread, thread.sequence, thread.is_open) for thread in self.threads)


class WindowSize:
    """SCNs that one run covers: grows while windows are quick and small, halves when they are not.

    Args:
        largest: never more than this.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self.scns = largest

    def halve(self) -> None:
        """After the server ran out of memory, or a window took too long."""
        self.scns = max(1, self.scns // 2)

    def settle(self, rows: int, elapsed_s: float) -> None:
        """After a window with so many rows."""
        if rows > 4 * COMFORTABLE_ROWS or elapsed_s > SLOW_S:
            self.halve()
        elif rows < COMFORTABLE_ROWS and elapsed_s < QUICK_S:
            self.scns = min(self._largest, self.scns * 2)


def window_end(read_to: int, state: RedoState, since: RedoState | None, *, scns: int, still_s: float) -> int:
    """Last SCN of the next window; `read_to` if there is nothing to read.

    Redo is bounded by what every thread has flushed. Records with the very SCN of the last flush may
    still be in the log buffer, so that SCN is read only when it has stood still.

    Args:
        read_to: end of the last window.
        state: the latest look.
        since: the first look that saw the same flushed SCN.
        scns: SCNs that one window may cover.
        still_s: seconds that the flushed SCN must have stood still to be read itself.
    """
    flushed = state.flushed_scn
    still = (
        since is not None and since.flushed_scn == flushed and state.looked_at - since.looked_at >= still_s
    )
    end = flushed if still else flushed - 1
    return max(read_to, min(end, read_to + scns))


def session_start(
    read_to: int,
    starts: Iterable[int],
    *,
    max_distance: int,
    written: Iterable[int] = (),
    last_window: int | None = None,
) -> int:
    """SCN behind which to mine: before the oldest open transaction that is not too far back.

    LogMiner names users, undo rows and rows of several redo records only if it has seen where they began. A
    very old transaction would make every window mine its redo again; its rows are kept anyway, so it does not
    count, but the window before, and one SCN more, is mined again: what was being written at its end is seen
    from its start.

    Args:
        read_to: end of the last window.
        starts: start SCNs of the open transactions.
        max_distance: SCNs from `read_to` beyond which a transaction does not count.
        written: start SCNs of those that are on disk, which do not count either.
        last_window: SCN behind which the last window began.
    """
    starts = tuple(starts)
    found = min((start - 1 for start in starts if read_to - (start - 1) <= max_distance), default=read_to)
    if last_window is not None and any(start - 1 < found for start in (*starts, *written)):
        found = min(found, last_window - 1)
    return found
