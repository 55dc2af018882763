"""What a session has of a LogMiner run: the logs it was given, its range and its options."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.oracle.engine.store.journal import LogFile

OPTIONS = {
    "COMMITTED_DATA_ONLY": 2,
    "SKIP_CORRUPTION": 4,
    "DDL_DICT_TRACKING": 8,
    "DICT_FROM_ONLINE_CATALOG": 16,
    "DICT_FROM_REDO_LOGS": 32,
    "NO_SQL_DELIMITER": 64,
    "PRINT_PRETTY_SQL": 512,
    "CONTINUOUS_MINE": 1024,
    "NO_ROWID_IN_STMT": 2048,
    "STRING_LITERALS_IN_STMT": 4096,
}


@dataclass(frozen=True)
class AddedLog:
    """A log given to a session; an online member may be overwritten while it is mined."""

    name: str
    log: LogFile
    online: bool


@dataclass(frozen=True)
class MiningRun:
    """Started mining; SCN 0 means unbounded. Only rows of `container` are shown, if there is one.

    The online dictionary is known as of `begun_at`, the SCN at which mining was started.
    """

    logs: tuple[AddedLog, ...]
    start_scn: int
    end_scn: int
    options: int
    container: int | None = None
    begun_at: int = 0

    def has(self, option: str) -> bool:
        """Was an option given?"""
        return bool(self.options & OPTIONS[option])
