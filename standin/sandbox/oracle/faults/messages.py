"""Texts of the ORA errors a LogMiner reader may meet, as Oracle words them.

Source: Oracle Database Error Messages 19c.
"""

from __future__ import annotations

MESSAGES: dict[int, str] = {
    28: "your session has been killed",
    308: "cannot open archived log '/opt/oracle/archive/gone.arc'",
    310: "archived log contains sequence 14; sequence 11 required",
    334: "archived log: '/opt/oracle/archive/gone.arc'",
    353: "log corruption near block 2051 change 1000123 time 01/01/2024 00:00:00",
    368: "checksum error in redo log block",
    376: "file 4 cannot be read at this time",
    600: "internal error code, arguments: [{argument}], [], [], [], [], [], [], [], [], [], [], []",
    604: "error occurred at recursive SQL level 1\nORA-{below:05d}: {below_text}",
    904: '"NO_SUCH_COLUMN": invalid identifier',
    942: "table or view does not exist",
    1001: "invalid cursor",
    1002: "fetch out of sequence",
    1012: "not logged on",
    1013: "user requested cancel of current operation",
    1017: "invalid username/password; logon denied",
    1031: "insufficient privileges",
    1033: "ORACLE initialization or shutdown in progress",
    1034: "ORACLE not available",
    1041: "internal error. hostdef extension doesn't exist",
    1089: "immediate shutdown or close in progress - no operations are permitted",
    1090: "shutdown in progress - connection is not permitted",
    1092: "ORACLE instance terminated. Disconnection forced",
    1281: "SCN range specified is invalid",
    1282: "date range specified is invalid",
    1284: "file /opt/oracle/archive/gone.arc cannot be opened",
    1289: "cannot add duplicate logfile /opt/oracle/archive/twice.arc",
    1291: "missing logfile",
    1292: "no log file has been specified for the current LogMiner session",
    1306: "dbms_logmnr.start_logmnr() must be invoked before selecting from v$logmnr_contents",
    1307: "no LogMiner session is currently active",
    1325: "archive log mode must be enabled to build into the logstream",
    1327: "failed to exclusively lock system dictionary as required by build",
    1333: "failed to establish Logminer Dictionary",
    1343: "LogMiner encountered corruption in the logstream",
    1347: "Supplemental log data no longer found",
    1354: "Supplemental log data must be added to run this command",
    1368: "redo log file has been overwritten while it was mined",
    1371: "Complete LogMiner dictionary not found",
    1466: "unable to read data - table definition has changed",
    1555: 'snapshot too old: rollback segment number 7 with name "_SYSSMU7$" too small',
    2396: "exceeded maximum idle time, please connect again",
    3049: "SQL keyword 'BETWEEN' is not syntactically valid following '...'",
    3113: "end-of-file on communication channel",
    3114: "not connected to ORACLE",
    3135: "connection lost contact",
    4030: "out of process memory when trying to allocate 65568 bytes (Logminer LCR c,krvxrib:buffer)",
    4036: "PGA memory used by the instance exceeds PGA_AGGREGATE_LIMIT",
    8181: "specified number is not a valid system change number",
    12170: "TNS:Connect timeout occurred",
    12505: "TNS:listener does not currently know of SID given in connect descriptor",
    12514: "TNS:listener does not currently know of service requested in connect descriptor",
    12528: "TNS:listener: all appropriate instances are blocking new connections",
    12537: "TNS:connection closed",
    12541: "TNS:no listener",
    12543: "TNS:destination host unreachable",
    12547: "TNS:lost contact",
    12570: "TNS:packet reader failure",
    12571: "TNS:packet writer failure",
    12583: "TNS:no reader",
    22924: "snapshot too old",
    25303: "Buffered operation allowed only on the owner instance",
    26653: "Apply APP$1 did not start properly and is currently in state INITIALIZING",
    27037: "unable to obtain file status",
    28000: "the account is locked",
    28001: "the password has expired",
    65040: "operation not allowed from within a pluggable database",
}


def message(code: int, *, argument: str = "", below: int = 3113) -> str:
    """The text of an error.

    Args:
        code: ORA number.
        argument: first argument of ORA-00600.
        below: the error that ORA-00604 wraps.
    """
    text = MESSAGES.get(code, "simulated fault")
    return text.format(argument=argument, below=below, below_text=MESSAGES.get(below, "simulated fault"))
