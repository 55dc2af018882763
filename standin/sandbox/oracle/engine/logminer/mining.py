"""LogMiner runs: what a session may add and start, and which logs they need."""

from __future__ import annotations

from itertools import groupby

from sandbox.oracle.engine.state.context import Instance, Session
from sandbox.oracle.engine.state.mining_run import OPTIONS, AddedLog, MiningRun
from sandbox.oracle.engine.store.journal import LogFile
from sandbox.oracle.interface import OracleFault

FILE_OPTIONS = {"NEW": 1, "REMOVEFILE": 2, "ADDFILE": 3}


def member_name(database: Instance, group: int) -> str:
    """File name of an online log group."""
    return f"/opt/oracle/oradata/{database.name}/redo{group:02d}.log"


def archive_name(database: Instance, log: LogFile) -> str:
    """File name of an archived log."""
    return f"/opt/oracle/archive/{database.name}/{log.thread}_{log.sequence}_{database.dbid}.arc"


def copy_name(database: Instance, log: LogFile) -> str:
    """File name of an archived copy of a log that went on."""
    return f"{archive_name(database, log)}.{log.next_scn}"


def online_logs(database: Instance) -> dict[int, LogFile]:
    """Newest log of each group."""
    return {log.group: log for log in database.storage.journal.online()}


def find_log(database: Instance, name: str) -> AddedLog:
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


def add_log(database: Instance, added: list[AddedLog], name: str, option: int) -> list[AddedLog]:
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


def require_logmining(session: Session) -> None:
    """Raise ORA-01031 without LOGMINING, or SELECT ANY TRANSACTION from before there was that."""
    users = session.users
    if not users.has(session.user, "LOGMINING") and not users.has(session.user, "SELECT ANY TRANSACTION"):
        raise OracleFault(1031, "insufficient privileges")


def logs_between(database: Instance, start_scn: int, end_scn: int) -> list[AddedLog]:
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
    database: Instance,
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
    database: Instance, number: int, added: list[LogFile], start_scn: int, end_scn: int
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


def shown_scn(database: Instance, number: int) -> int:
    """LAST_REDO_CHANGE# of a thread now."""
    storage = database.storage
    with storage.lock:
        written = storage.journal.flush_point(storage.scn)
        thread = storage.journal.threads[number]
        return thread.last_redo(written, database.clock(), storage.journal.heartbeat_s)
