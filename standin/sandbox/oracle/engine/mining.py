"""A LogMiner run of a session: the logs it was given, its range and its options."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from sandbox.oracle.engine.journal import LogFile
from sandbox.oracle.interface import OracleFault

if TYPE_CHECKING:
    from sandbox.oracle.engine.database import OracleDatabase
    from sandbox.oracle.engine.session import EngineSession

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
FILE_OPTIONS = {"NEW": 1, "REMOVEFILE": 2, "ADDFILE": 3}


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


def member_name(database: OracleDatabase, group: int) -> str:
    """File name of an online log group."""
    return f"/opt/oracle/oradata/{database.name}/redo{group:02d}.log"


def archive_name(database: OracleDatabase, log: LogFile) -> str:
    """File name of an archived log."""
    return f"/opt/oracle/archive/{database.name}/{log.thread}_{log.sequence}_{database.dbid}.arc"


def copy_name(database: OracleDatabase, log: LogFile) -> str:
    """File name of an archived copy of a log that went on."""
    return f"{archive_name(database, log)}.{log.next_scn}"


def online_logs(database: OracleDatabase) -> dict[int, LogFile]:
    """Newest log of each group."""
    return {log.group: log for log in database.storage.journal.online()}


def find_log(database: OracleDatabase, name: str) -> AddedLog:
    """The log behind a file name.

    Raises:
        OracleFault: ORA-01284 for an unknown file, also when it was deleted.
    """
    for group, log in online_logs(database).items():
        if member_name(database, group) == name and group not in database.storage.journal.cleared_groups:
            return AddedLog(name, log, online=True)
    if database.archive_log:
        for log in database.storage.journal.logs:
            if log.on_disk and archive_name(database, log) == name:
                return AddedLog(name, log, online=False)
        for log in database.storage.journal.copies:
            if copy_name(database, log) == name:
                return AddedLog(name, log, online=False)
    raise OracleFault(1284, f"file {name} cannot be opened")


def add_log(database: OracleDatabase, added: list[AddedLog], name: str, option: int) -> list[AddedLog]:
    """DBMS_LOGMNR.ADD_LOGFILE.

    Raises:
        OracleFault: ORA-01284, ORA-01289.
    """
    if option == FILE_OPTIONS["NEW"]:
        added = []
    if option == FILE_OPTIONS["REMOVEFILE"]:
        return [each for each in added if each.name != name]
    found = find_log(database, name)
    if any(each.log is found.log for each in added):
        raise OracleFault(1289, f"cannot add duplicate logfile {name}")
    return [*added, found]


def require_logmining(session: EngineSession) -> None:
    """Raise ORA-01031 without LOGMINING, or SELECT ANY TRANSACTION from before there was that."""
    users = session.users
    if not users.has(session.user, "LOGMINING") and not users.has(session.user, "SELECT ANY TRANSACTION"):
        raise OracleFault(1031, "insufficient privileges")


def logs_between(database: OracleDatabase, start_scn: int, end_scn: int) -> list[AddedLog]:
    """The logs that LogMiner finds by itself inside a pluggable database.

    Raises:
        OracleFault: ORA-01291 if one of them is not there any more.
    """
    online = {id(log): group for group, log in online_logs(database).items()}
    found = []
    for log in database.storage.journal.logs:
        if (log.next_scn is not None and log.next_scn <= start_scn) or (end_scn and log.first_scn > end_scn):
            continue
        if log.current or (not log.on_disk and id(log) in online):
            found.append(AddedLog(member_name(database, log.group), log, online=True))
        elif not log.on_disk:
            raise OracleFault(1291, "missing log file")
        else:
            found.append(AddedLog(archive_name(database, log), log, online=False))
    return found


def start(
    database: OracleDatabase,
    added: list[AddedLog],
    start_scn: int,
    end_scn: int,
    options: int,
    *,
    container: int | None = None,
) -> MiningRun:
    """DBMS_LOGMNR.START_LOGMNR.

    Raises:
        OracleFault: ORA-01292 without logs, ORA-01281 for a wrong range, ORA-01291 when a log of the
            range is missing, ORA-44609 for CONTINUOUS_MINE, ORA-01371 for a dictionary in the redo.
    """
    if options & OPTIONS["CONTINUOUS_MINE"]:
        raise OracleFault(44609, "CONTINOUS_MINE is desupported for use with DBMS_LOGMNR.START_LOGMNR.")
    if options & OPTIONS["DICT_FROM_REDO_LOGS"]:
        raise OracleFault(1371, "Complete LogMiner dictionary not found")
    if options & (OPTIONS["STRING_LITERALS_IN_STMT"] | OPTIONS["PRINT_PRETTY_SQL"]):
        raise OracleFault(1330, "this LogMiner option is not simulated")
    if not added:
        raise OracleFault(1292, "no log file has been specified for the current LogMiner session")
    if start_scn < 0 or (end_scn and end_scn <= start_scn):
        raise OracleFault(1281, "SCN range specified is invalid")
    if not next(iter(database.containers)).supplemental:
        raise OracleFault(1354, "Supplemental log data must be added to run this command")
    logs = sorted(added, key=lambda each: (each.log.thread, each.log.sequence))
    if start_scn and start_scn < min(each.log.first_scn for each in logs):
        raise OracleFault(1291, "missing log file")
    for thread, own in groupby(logs, key=lambda each: each.log.thread):
        _check_thread(database, thread, [one.log for one in own], start_scn, end_scn)
    return MiningRun(tuple(logs), start_scn, end_scn, options, container, database.storage.scn)


def _check_thread(
    database: OracleDatabase, number: int, added: list[LogFile], start_scn: int, end_scn: int
) -> None:
    """Every log of the range must be given; without an end it ends with the last one given.

    A thread of which nothing was added is not missed, as in Oracle: its work just does not show.
    """
    journal = database.storage.journal
    given = {log.sequence: log for log in added}
    last = added[-1]
    low = start_scn or added[0].first_scn
    for log in journal.of_thread(number):
        begins_in_time = log.first_scn < end_scn if end_scn else log.sequence <= last.sequence
        if not begins_in_time or (log.next_scn is not None and log.next_scn <= low):
            continue
        found = given.get(log.sequence)
        if found is None:
            raise OracleFault(1291, "missing log file")
        if found.next_scn is not None and found.next_scn != log.next_scn and end_scn > found.next_scn:
            raise OracleFault(1291, "missing log file")
    if journal.heartbeat_s and end_scn and last.current and end_scn >= shown_scn(database, number):
        raise OracleFault(1291, "missing log file")


def shown_scn(database: OracleDatabase, number: int) -> int:
    """LAST_REDO_CHANGE# of a thread now."""
    storage = database.storage
    with storage.lock:
        written = storage.journal.flush_point(storage.scn)
        thread = storage.journal.threads[number]
        return thread.last_redo(written, database.clock(), storage.journal.heartbeat_s)
