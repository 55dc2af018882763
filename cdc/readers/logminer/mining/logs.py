"""Which redo and archived logs one LogMiner session needs, and whether they are all there.

A log that is missing from the list is the classic silent loss: LogMiner mines what it is given. So the
list is checked for each redo thread before mining. The proof is in the sequences, not in the SCNs: an
instance that was down leaves SCNs that no log holds, and log 8 is still the next one after log 7.

Source: Oracle Database Reference 19c: V$LOG, V$LOGFILE, V$ARCHIVED_LOG, V$LOG_HISTORY, V$THREAD.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cdc.readers.logminer.mining.thread_logs import Gap, LogFile, RedoThread, ThreadLogs

__all__ = ["Gap", "LogFile", "LogList", "RedoThread", "logs_to_mine"]

NOTHING_ENDED: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True)
class LogList:
    """Logs to add to the session, oldest first, and what is missing; usable only without gaps."""

    logs: tuple[LogFile, ...]
    gaps: tuple[Gap, ...]

    def until(self, scn: int) -> LogList:
        """The logs that hold redo up to an SCN, that one included."""
        return LogList(tuple(log for log in self.logs if log.first_scn <= scn), self.gaps)


def logs_to_mine(
    start: int,
    available: Iterable[LogFile],
    threads: Sequence[RedoThread],
    destinations: Sequence[int] = (),
    turn: int = 0,
    *,
    ended: Mapping[int, int] = NOTHING_ENDED,
) -> LogList:
    """Pick the logs for mining what comes after `start`.

    Args:
        start: SCN behind which redo is needed.
        available: online and archived logs in any order, copies included; of an archived copy of the
            current log the online one is taken, because it continues.
        threads: the database's redo threads; logs of other threads are left out. Closed ones count, and
            PRIVATE ones: there is redo of theirs if an instance used them.
        destinations: archive destinations whose copies may be used, the preferred first; all, the one
            with the smallest number first, if there is none. Restored logs have destination 0: they may
            always be used, and come last.
        turn: which of a log's copies, the best being 0; one more than before when it could not be read.
        ended: sequence of the newest log of each thread that ended before the redo that is needed.

    Returns:
        The logs of all threads and the gaps among them.
    """
    copies: dict[tuple[int, int], list[LogFile]] = {}
    for log in available:
        if log.sequence > 0 and _may_be_used(log, destinations):
            copies.setdefault((log.thread, log.sequence), []).append(log)
    by_place = {place: _copy(some, destinations, turn) for place, some in copies.items()}
    chosen: list[LogFile] = []
    gaps: list[Gap] = []
    for thread in threads:
        logs = [log for log in by_place.values() if log.thread == thread.thread]
        found = ThreadLogs(start, thread, logs, ended.get(thread.thread, 0))
        gaps.extend(found.gaps())
        chosen.extend(found.files)
    chosen.sort(key=lambda log: (log.first_scn, log.thread))
    return LogList(tuple(chosen), tuple(gaps))


def _may_be_used(log: LogFile, destinations: Sequence[int]) -> bool:
    return not (log.archived and destinations and log.destination not in (*destinations, 0))


def _copy(copies: Sequence[LogFile], destinations: Sequence[int], turn: int) -> LogFile:
    """One copy of a log; all that are there and whole have their turn."""
    whole = [log for log in copies if log.usable and log.next_scn is None]
    if not whole:  # a copy made while the log was written to ends before the log does
        end = max(log.next_scn or 0 for log in copies)
        whole = [log for log in copies if (log.next_scn or 0) == end]
    there = [log for log in whole if log.usable] or whole
    ranked = sorted(there, key=lambda log: _rank(log, destinations))
    return ranked[turn % len(ranked)]


def _rank(log: LogFile, destinations: Sequence[int]) -> tuple[bool, bool, bool, int, str]:
    """The smallest is the best copy: archived, at the preferred destination, not doubtful, not restored."""
    preference = destinations.index(log.destination) if log.destination in destinations else log.destination
    restored = log.archived and log.destination == 0
    return not log.archived, log.doubtful, restored, preference, log.name
