"""The logs that the database has now, as its views tell.

Read next: `cdc.readers.logminer.logs`, which chooses among them.

Source: Oracle Database Reference 19c: V$LOG, V$LOGFILE, V$ARCHIVED_LOG.
"""

from __future__ import annotations

import oracledb

from cdc.oracle.errors import oracle_errors
from cdc.readers.logminer.logs import LogFile

ONLINE_LOGS = """
select l.thread#, l.sequence#, l.first_change#, l.next_change#, l.status, f.member, f.status
from v$log l join v$logfile f on f.group# = l.group#
where l.status <> 'UNUSED'"""

ARCHIVED_LOGS = """
select a.thread#, a.sequence#, a.first_change#, a.next_change#, a.status, a.name, a.dest_id
from v$archived_log a, v$database d
where a.next_change# > :start_scn and a.archived = 'YES' and a.standby_dest = 'NO'
and a.resetlogs_change# = d.resetlogs_change#
order by a.thread#, a.sequence#, a.dest_id"""


def available_logs(connection: oracledb.Connection, system: str, start: int) -> list[LogFile]:
    """Online and archived logs with redo from an SCN on, in any order, copies included."""
    with oracle_errors(system), connection.cursor() as cursor:
        cursor.execute(ONLINE_LOGS, fetch_decimals=False)
        logs = [
            LogFile(
                str(row[5]),
                row[0],
                row[1],
                row[2],
                None if row[4] == "CURRENT" else row[3],
                archived=False,
                doubtful=row[6] is not None,
            )
            for row in cursor
        ]
        # an online log that ended before the start is of no use and may be overwritten
        logs = [log for log in logs if log.next_scn is None or log.next_scn > start]
        cursor.execute(ARCHIVED_LOGS, {"start_scn": start}, fetch_decimals=False)
        logs += [
            LogFile(
                str(row[5]),
                row[0],
                row[1],
                row[2],
                row[3],
                archived=True,
                usable=row[4] == "A" and row[5] is not None,
                destination=row[6],
            )
            for row in cursor
        ]
    return logs
