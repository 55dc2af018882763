"""The logs that the database has now, as its views tell.

Source: Oracle Database Reference 19c: V$LOG, V$LOGFILE, V$ARCHIVED_LOG, V$LOG_HISTORY.
"""

from __future__ import annotations

from dataclasses import dataclass

import oracledb

from cdc.oracle.errors import oracle_errors
from cdc.readers.logminer.mining.logs import LogFile

# a group that was never used, or is being cleared, may have the sequence 0
ONLINE_LOGS = """
select l.thread#, l.sequence#, l.first_change#, l.next_change#, l.status, f.member, f.status
from v$log l join v$logfile f on f.group# = l.group#
where l.status <> 'UNUSED' and l.sequence# > 0"""
CLEARED = ("CLEARING", "CLEARING_CURRENT")
"""States of a group whose redo is gone or going (ALTER DATABASE CLEAR LOGFILE)."""

ARCHIVED_LOGS = """
select a.thread#, a.sequence#, a.first_change#, a.next_change#, a.status, a.name, a.dest_id
from v$archived_log a, v$database d
where a.next_change# > :needed and a.archived = 'YES' and a.standby_dest = 'NO'
and a.resetlogs_change# = d.resetlogs_change#
order by a.thread#, a.sequence#, a.dest_id"""

HISTORY = """
select h.thread#, h.sequence#, h.first_change#, h.next_change#
from v$log_history h, v$database d
where h.next_change# > :needed and h.resetlogs_change# = d.resetlogs_change#"""

# whether its file is there does not matter: it proves that nothing lies between it and the next one
ENDED_LOGS = """
select e.thread#, max(e.sequence#) from (
  select a.thread#, a.sequence# from v$archived_log a, v$database d
  where a.next_change# <= :needed and a.resetlogs_change# = d.resetlogs_change#
  union all
  select h.thread#, h.sequence# from v$log_history h, v$database d
  where h.next_change# <= :needed and h.resetlogs_change# = d.resetlogs_change#) e
group by e.thread#"""


@dataclass(frozen=True)
class AvailableLogs:
    """Logs with redo behind a start, copies included; of each thread, the newest sequence ended before."""

    logs: list[LogFile]
    ended: dict[int, int]


def available_logs(connection: oracledb.Connection, system: str, start: int) -> AvailableLogs:
    """What the views tell of the redo behind an SCN."""
    needed = {"needed": start + 1}
    with oracle_errors(system), connection.cursor() as cursor:
        cursor.execute(ONLINE_LOGS, fetch_decimals=False)
        online = [_online(*row) for row in cursor]
        cursor.execute(ARCHIVED_LOGS, needed, fetch_decimals=False)
        logs = [
            LogFile(
                str(row[5]),
                row[0],
                row[1],
                row[2],
                row[3],
                archived=True,
                usable=row[4] == "A" and row[5] is not None,
                destination=row[6] or 0,
            )
            for row in cursor
        ]
        cursor.execute(HISTORY, needed, fetch_decimals=False)
        logs += [
            LogFile("", row[0], row[1], row[2], row[3], archived=False, usable=False, known_only=True)
            for row in cursor
        ]
        cursor.execute(ENDED_LOGS, needed, fetch_decimals=False)
        ended = dict(cursor.fetchall())
    for log in online:
        if log.next_scn is None or log.next_scn > start + 1:
            logs.append(log)
        else:  # of no use itself, and may be overwritten
            ended[log.thread] = max(ended.get(log.thread, 0), log.sequence)
    return AvailableLogs(logs, ended)


def _online(
    thread: int, sequence: int, first_scn: int, next_scn: int, status: str, member: str, doubtful: str | None
) -> LogFile:
    cleared = status in CLEARED
    return LogFile(
        str(member),
        thread,
        sequence,
        first_scn,
        None if status in ("CURRENT", "CLEARING_CURRENT") else next_scn,
        archived=False,
        usable=not cleared,
        doubtful=doubtful is not None,
        known_only=cleared,
    )
