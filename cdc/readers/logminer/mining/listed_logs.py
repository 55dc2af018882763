"""The logs that a LogMiner session was given, and how long that list will do."""

from __future__ import annotations

from dataclasses import dataclass

from cdc.readers.logminer.mining.logs import LogList
from cdc.readers.logminer.mining.window import RedoState


@dataclass(frozen=True)
class ListedLogs:
    """What was given.

    `first_scn` is the first one in any of them; `until` the last SCN for which they will do, None where they
    end with the current logs; `current` the current logs of the threads then, None if no online log is given:
    archived ones stay as they are whatever is switched.
    """

    start: int
    first_scn: int
    until: int | None
    current: tuple[tuple[int, int, bool], ...] | None

    @classmethod
    def of(cls, given: LogList, start: int, until: int | None, state: RedoState) -> ListedLogs:
        """The list for redo from `start` on."""
        online = any(not log.archived for log in given.logs)
        first = min((log.first_scn for log in given.logs), default=start)
        return cls(start, first, until, state.sequences if online else None)

    def serves(self, start: int, end: int, state: RedoState) -> bool:
        """Does it hold the logs of a range, in the copies that last?"""
        reaches = self.start <= start and (self.until is None or end <= self.until)
        return reaches and self.current in (None, state.sequences)
