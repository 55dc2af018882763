"""Which redo and archived logs one LogMiner session needs, and whether they are all there.

A log that is missing from the list is the classic silent loss: LogMiner mines what it is given. So
the list is checked for each redo thread before mining: sequences without a gap from the log that
holds the start on to the current one. Read next: `cdc.readers.logminer.session`.

Source: Oracle Database Reference 19c: V$LOG, V$LOGFILE, V$ARCHIVED_LOG, V$THREAD.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class LogFile:
    """An online or archived log; `next_scn` is None while it is written to.

    `usable` is False for archived logs whose file was deleted; `destination` is DEST_ID of an archived one.
    An online log is there once for each member of its group, `doubtful` if V$LOGFILE has a status for it.
    """

    name: str
    thread: int
    sequence: int
    first_scn: int
    next_scn: int | None
    archived: bool
    usable: bool = True
    destination: int = 0
    doubtful: bool = False


@dataclass(frozen=True)
class RedoThread:
    """A redo thread of V$THREAD; PRIVATE threads and closed ones may have no log to mine."""

    thread: int
    is_open: bool
    last_redo_scn: int
    enabled_scn: int | None = None
    sequence: int = 0
    private: bool = False


@dataclass(frozen=True)
class Gap:
    """Logs of one thread that are needed and not there."""

    thread: int
    first_sequence: int | None
    last_sequence: int | None
    deleted: bool = False

    def __str__(self) -> str:
        if self.first_sequence is None:
            older = f", sequences below {self.last_sequence} are missing" if self.last_sequence else ""
            return f"thread {self.thread}: no log reaches back to the start{older}"
        span = f"{self.first_sequence}"
        if self.last_sequence != self.first_sequence:
            span += f" to {self.last_sequence}" if self.last_sequence else " and later"
        what = "was archived and its file deleted since (RMAN)" if self.deleted else "was never archived"
        return f"thread {self.thread} sequence {span} {what}"


@dataclass(frozen=True)
class LogList:
    """Logs to add to the session, oldest first, and what is missing; usable only without gaps."""

    logs: tuple[LogFile, ...]
    gaps: tuple[Gap, ...]


def logs_to_mine(
    start: int,
    available: Iterable[LogFile],
    threads: Sequence[RedoThread],
    destinations: Sequence[int] = (),
    turn: int = 0,
) -> LogList:
    """Pick the logs for mining from `start` on.

    Args:
        start: SCN that the first log must hold.
        available: online and archived logs in any order; a log that is both counts as archived.
        threads: the database's redo threads; logs of other threads are left out.
        destinations: archive destinations whose copies may be used, the preferred first; all, the one
            with the smallest number first, if there is none.
        turn: which of a log's copies, the best being 0; one more than before when it could not be read.

    Returns:
        The logs of all threads and the gaps among them.
    """
    copies: dict[tuple[int, int], list[LogFile]] = {}
    for log in available:
        if not (log.archived and destinations and log.destination not in destinations):
            copies.setdefault((log.thread, log.sequence), []).append(log)
    by_place = {place: _copy(some, destinations, turn) for place, some in copies.items()}
    chosen: list[LogFile] = []
    gaps: list[Gap] = []
    for thread in threads:
        if thread.private:
            continue
        logs = sorted(
            (log for log in by_place.values() if log.thread == thread.thread), key=lambda log: log.sequence
        )
        needed = thread.is_open or thread.last_redo_scn >= start
        if needed:
            gaps.extend(_gaps(start, logs, thread))
        chosen.extend(log for log in logs if log.usable)
    chosen.sort(key=lambda log: (log.first_scn, log.thread))
    return LogList(tuple(chosen), tuple(gaps))


def _copy(copies: Sequence[LogFile], destinations: Sequence[int], turn: int) -> LogFile:
    """One copy of a log; all that are there have their turn."""
    ranked = sorted(copies, key=lambda log: _rank(log, destinations))
    there = [log for log in ranked if log.usable] or ranked[:1]
    return there[turn % len(there)]


def _rank(log: LogFile, destinations: Sequence[int]) -> tuple[bool, bool, int, str]:
    """The smallest is the best copy: archived, at the preferred destination, not doubtful."""
    preference = destinations.index(log.destination) if log.destination in destinations else log.destination
    return not log.archived, log.doubtful, preference, log.name


def _gaps(start: int, logs: Sequence[LogFile], thread: RedoThread) -> list[Gap]:
    if not logs:
        return [Gap(thread.thread, None, None)]
    gaps = list(_deleted(logs, thread.thread))
    enabled_later = thread.enabled_scn is not None and thread.enabled_scn > start
    if logs[0].first_scn > start and not enabled_later:
        gaps.append(Gap(thread.thread, None, logs[0].sequence))
    gaps.extend(
        Gap(thread.thread, log.sequence + 1, following.sequence - 1)
        for log, following in pairwise(logs)
        if following.sequence != log.sequence + 1
    )
    end = logs[-1].next_scn
    if end is not None and (thread.is_open or end < thread.last_redo_scn):
        gaps.append(Gap(thread.thread, logs[-1].sequence + 1, None))
    return gaps


def _deleted(logs: Sequence[LogFile], thread: int) -> Iterator[Gap]:
    """Logs that are known and whose files are gone, runs of sequences together."""
    run: list[int] = []
    for log in logs:
        if log.usable:
            continue
        if run and log.sequence != run[-1] + 1:
            yield Gap(thread, run[0], run[-1], deleted=True)
            run = []
        run.append(log.sequence)
    if run:
        yield Gap(thread, run[0], run[-1], deleted=True)
