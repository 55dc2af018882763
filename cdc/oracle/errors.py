"""ORA and DPY codes become ours, by number.

Classify by the ORA number first: the driver reports ORA-00600 and other database errors as
DPY-4011 "connection closed" and recoverable, while `.code` keeps the ORA number; an ORA-00600 is
not a network fault. A password is never tried twice, because a retry can lock the account.
Sources: Oracle Database Error Messages 19c; python-oracledb 26 errors module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import oracledb

from cdc.errors import (
    CcbridgeError,
    DatabaseUnreachable,
    LoginRefused,
    NotGranted,
    OperatorError,
    RedoLogTrouble,
    RowError,
    ServerFault,
    ServerMemory,
    SessionLost,
    SnapshotTooOld,
    TransientError,
)

_UNREACHABLE = (
    28, 376, 1012, 1033, 1034, 1041, 1089, 1090, 1092, 1115, 2396, 3113, 3114, 3135, 12170, 12505, 12514,
    12528, 12537, 12541, 12543, 12547, 12570, 12571, 12583, 12757,
    # starting, closing, or not yet open
    1014, 1109, 1219, 1507, 27101,
    # restricted, for maintenance
    1035,
    # for now no session more, or no handler; archiver without room
    18, 20, 257, 12516, 12518, 12519, 12520, 12526, 12527,
    # network below the listener
    3136, 12150, 12152, 12153, 12535, 12545, 12560, 12606, 12609,
)  # fmt: skip
# 1013 cancelled, 1306/1307 no LogMiner session
_SESSION = (1001, 1002, 1013, 1306, 1307)
# SCN or time range refused: it is computed anew once, then it is a fault of ours
_FAULTS = (1281, 1282)
_MEMORY = (4030, 4036)
# not opened, listed twice, missing, removed, overwritten while read, corrupt
_LOGS = (1284, 1289, 1291, 1292, 308, 334, 27037, 310, 1368, 353, 368, 1343)
# read too old, changed since, cut under the reader, LOB version gone, SCN not mapped
_SNAPSHOT = (1555, 1466, 8103, 1410, 8176, 22924, 8181)
# locks and busy objects; dictionary mode of LogMiner; instance moves
_TRANSIENT = (51, 54, 60, 4020, 4021, 30006, 1327, 1333, 1371, 25303, 26653)
_LOGIN = (1017, 28000, 28001)
_RIGHTS = (942, 1031)
_ROW = (1, 1400, 1407, 1438, 1722, 2290, 2291, 2292, 12899)
_BY_ORA: dict[int, type[CcbridgeError]] = (
    dict.fromkeys(_UNREACHABLE, DatabaseUnreachable)
    | dict.fromkeys(_SESSION, SessionLost)
    | dict.fromkeys(_FAULTS, ServerFault)
    | dict.fromkeys(_MEMORY, ServerMemory)
    | dict.fromkeys(_LOGS, RedoLogTrouble)
    | dict.fromkeys(_SNAPSHOT, SnapshotTooOld)
    | dict.fromkeys(_TRANSIENT, TransientError)
    | dict.fromkeys(_LOGIN, LoginRefused)
    | dict.fromkeys(_RIGHTS, NotGranted)
    | dict.fromkeys(_ROW, RowError)
)
_BY_DPY: dict[str, type[CcbridgeError]] = {
    "DPY-6000": DatabaseUnreachable,
    "DPY-6001": DatabaseUnreachable,  # service not known to the listener
    "DPY-6003": DatabaseUnreachable,
    "DPY-6005": DatabaseUnreachable,  # no listener
    "DPY-4011": DatabaseUnreachable,  # connection closed
    "DPY-4024": SessionLost,  # call timeout: the state of the call is unknown
    "DPY-1001": DatabaseUnreachable,  # not connected
}
_HINTS = {
    904: "the captured table or this release of the database lacks a column; run: ccbridge check",
    942: "run: ccbridge check, it prints the missing grants",
    1031: "run: ccbridge check, it prints the missing grants",
    1035: "the database is in restricted mode: alter system disable restricted session",
    1300: "LogMiner needs the primary database, open READ WRITE: let dsn name the service of the primary",
    1536: "alter user .. quota unlimited on the tablespace that the message names",
    1552: "the tablespace needs undo: bring an undo tablespace online",
    1950: "alter user .. quota unlimited on the tablespace that the message names",
    16000: "the database is open read only: let dsn name the service of the primary",
    1325: "switch the database to ARCHIVELOG mode",
    1347: "supplemental logging was switched off; changes since then may be incomplete: "
    "read the source anew by removing its row from staging.checkpoint",
    1354: "alter database add supplemental log data",
    28000: "unlock the account, then start again",
    28001: "change the expired password, then start again",
    65011: "set pdb to the name of an open pluggable database: select name from v$pdbs",
    65040: "the session is in the wrong container: use the service of the root for mining",
}
_HINTS_BY_DPY = {
    "DPY-3001": "the thin driver has no Native Network Encryption: use TLS (dsn tcps://..) or switch it off",
    "DPY-3010": "the database is older than 12.1",
    "DPY-3015": "the user has a 10G password verifier only: set the password again",
    "DPY-4000": "no TNS configuration was found: give host:port/service or a full descriptor as dsn",
    "DPY-4027": "no TNS configuration was found: give host:port/service or a full descriptor as dsn",
}
_INTERNAL, _WRAPPER = 600, 604
_DDL_RACE = ("krvrdGetUID", "krvrdccs10", "krvrdccs30")
"""Arguments of ORA-00600 seen when DDL meets mining with the online catalog; they pass."""
_ORA = re.compile(r"ORA-(\d{5})")


def translated(exc: oracledb.Error, subject: str) -> CcbridgeError:
    """Our error for a driver error; `subject` names the database or object the call was about."""
    fault = exc.args[0] if exc.args else None
    number = getattr(fault, "code", 0) or 0
    full_code = getattr(fault, "full_code", "") or ""
    whole = str(fault)
    if number == _WRAPPER:  # the error below is the one that counts
        below = [int(code) for code in _ORA.findall(whole) if int(code) != _WRAPPER]
        number = below[0] if below else number
    kind = _BY_ORA.get(number) if number else _BY_DPY.get(full_code)
    if number == _INTERNAL:
        kind = TransientError if any(argument in whole for argument in _DDL_RACE) else ServerFault
    elif number == _WRAPPER:
        kind = TransientError
    lines = whole.splitlines() or [""]
    text = next((line for line in lines if f"ORA-{number:05d}" in line), lines[0])
    if kind is RowError:
        text = f"ORA-{number:05d}"  # the full text may hold values
    hint = _HINTS.get(number) or _HINTS_BY_DPY.get(full_code, "")
    return (kind or OperatorError)(f"{subject}: {text}", hint=hint)


def ora_code(exc: oracledb.Error) -> int:
    """The ORA number of a driver error, 0 if it has none."""
    return getattr(exc.args[0], "code", 0) or 0 if exc.args else 0


@contextmanager
def oracle_errors(subject: str) -> Iterator[None]:
    """Raise our error for any oracledb error inside."""
    try:
        yield
    except oracledb.Error as exc:
        raise translated(exc, subject) from exc
