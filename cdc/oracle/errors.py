"""Translates ORA and DPY codes to our errors, by number; the driver's own errors never leave this package.

What happens next is decided, in this order, by
1. the error under the wrappers: ORA-12801, ORA-00604 and the like only say where something failed;
2. the tables below: row error, transient error or operator error for a number;
3. ORA-20000 to ORA-20999, which an application raises about its rows: row error;
4. ORA-00900 to ORA-00999 and ORA-03049, a statement that the database does not accept: operator error;
5. the other numbers of the network and of failing over: transient error, reported once it persists;
6. the driver: session dead, or recoverable, or its own internal error: likewise;
7. else operator error.

By the ORA number first: the driver reports ORA-00600 and other database errors as DPY-4011 "connection
closed" and recoverable, while `.code` keeps the ORA number; an ORA-00600 is not a network failure. A password
is never tried twice, because a retry can lock the account. What the driver raises of Python's own (a value it
cannot decode, a socket error) is recognised by where it was raised.
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
    RedoLogFailure,
    RowError,
    ServerFailure,
    ServerMemory,
    SessionLost,
    SnapshotTooOld,
    TransientError,
    UnclassifiedError,
)
from cdc.oracle.calls import in_progress

_UNREACHABLE = (
    28,
    376,
    1012,
    1033,
    1034,
    1041,
    1089,
    1090,
    1092,
    1115,
    2396,
    2399,
    3113,
    3114,
    3135,
    12170,
    12505,
    12514,
    12528,
    12537,
    12541,
    12543,
    12547,
    12570,
    12571,
    12583,
    12757,
    # starting, closing, or not yet open
    1014,
    1109,
    1219,
    1507,
    27101,
    # restricted, for maintenance
    1035,
    # for now no session more, or no handler; archiver without room
    18,
    20,
    257,
    12516,
    12518,
    12519,
    12520,
    12526,
    12527,
    # limits of the user's profile that end the session, or let none begin
    2391,
    2392,
    2394,
    2397,
    # archiver or recovery area without room; evicted from the cluster
    16014,
    16038,
    19809,
    29740,
    # network below the listener
    3136,
    12150,
    12152,
    12153,
    12535,
    12545,
    12560,
    12606,
    12609,
)
_SESSION = (
    # cancelled; no LogMiner session
    1001,
    1002,
    1013,
    1306,
    1307,
    # by the profile or the resource manager, which end calls that take too much
    40,
    2393,
    2395,
    56720,
    56735,
    # what a session has gathered: open cursors, packages that were compiled since
    1000,
    4061,
    4065,
    4068,
)
# SCN or time range refused, LogMiner's fatal error: it is computed once more, then it is reported
_SERVER = (600, 1280, 1281, 1282)
_MEMORY = (4030, 4031, 4036)
_LOGS = (
    # not opened, listed twice, missing, removed, overwritten while read, corrupt
    1284,
    1289,
    1291,
    1292,
    308,
    334,
    27037,
    310,
    1368,
    353,
    368,
    1343,
    # no member opened, not the current copy, not read, another log or incarnation than was named
    313,
    322,
    340,
    341,
    342,
    27041,
    27048,
    27072,
)
# read too old, changed since, cut under the reader, LOB version gone, SCN not mapped
_SNAPSHOT = (1555, 1466, 8103, 1410, 8176, 22924, 8181)
_TRANSIENT = (
    # locks and busy objects
    51,
    54,
    60,
    1591,
    2049,
    4020,
    4021,
    8177,
    30006,
    # control file written while it was read; dictionary mode of LogMiner; instance moves
    235,
    1327,
    1333,
    1371,
    25303,
    26653,
    # a tablespace is full
    1628,
    1652,
    1653,
    1654,
    30036,
    # parallel servers; a wrapper alone
    604,
    12801,
    12805,
    12829,
    12850,
    12853,
)
_LOGIN = (1017, 28000, 28001)
_RIGHTS = (942, 1031)
_ROW = (
    # a constraint, a policy, a view's condition, a partition that is not there
    1,
    1400,
    1402,
    1407,
    2290,
    2291,
    2292,
    14400,
    14402,
    28115,
    # a value that is too long or not of its type
    1401,
    1438,
    1461,
    1426,
    1476,
    1722,
    1830,
    1839,
    1840,
    1841,
    1843,
    1847,
    1850,
    1851,
    1852,
    1858,
    1861,
    6502,
    12899,
    4088,  # a trigger fails for it
)
_APPLICATION = range(20000, 21000)
_NETWORK = frozenset((*range(3106, 3200), *range(12150, 12630), *range(25400, 25427)))
"""Oracle Net, without its security services, whose errors are of a configuration; fail-over of a session."""
_STATEMENT = frozenset((*range(900, 1000), 3049))
_BY_ORA: dict[int, type[CcbridgeError]] = (
    dict.fromkeys(_UNREACHABLE, DatabaseUnreachable)
    | dict.fromkeys(_SESSION, SessionLost)
    | dict.fromkeys(_SERVER, ServerFailure)
    | dict.fromkeys(_MEMORY, ServerMemory)
    | dict.fromkeys(_LOGS, RedoLogFailure)
    | dict.fromkeys(_SNAPSHOT, SnapshotTooOld)
    | dict.fromkeys(_TRANSIENT, TransientError)
    | dict.fromkeys(_LOGIN, LoginRefused)
    | dict.fromkeys(_RIGHTS, NotGranted)
    | dict.fromkeys(_ROW, RowError)
)
_WRAPPERS = frozenset((604, 2063, 2091, 4088, 6512, 6550, 12801, 29400, 29913))
"""Errors that only say where another one happened: recursive SQL, a database link, the commit, a trigger, a
line of PL/SQL, the compilation of a block, a parallel server, a data cartridge."""
_VALUES = (4002, 4003, 4004, 4012, 4013, 4014, 4015, 4016, 8000, 8001)
"""The driver cannot send a value."""
_BY_DPY: dict[str, type[CcbridgeError]] = {
    "DPY-6000": DatabaseUnreachable,
    "DPY-6001": DatabaseUnreachable,  # service not known to the listener
    "DPY-6003": DatabaseUnreachable,
    "DPY-6004": DatabaseUnreachable,  # no way through the network proxy
    "DPY-6005": DatabaseUnreachable,  # no listener
    "DPY-4033": DatabaseUnreachable,  # idle for too long
    "DPY-4035": DatabaseUnreachable,  # an answer to the login that is none
    "DPY-4024": SessionLost,  # call timeout: the state of the call is unknown
    "DPY-1001": DatabaseUnreachable,  # not connected
    "DPY-1006": SessionLost,  # cursor not open
    "DPY-2046": SessionLost,  # cursor closed by the database
    **{f"DPY-{number}": RowError for number in _VALUES},
}
_HINTS = {
    904: "a column does not exist in the captured table or in this Oracle release; run: ccbridge check",
    942: "run: ccbridge check, which prints the missing grants",
    1031: "run: ccbridge check, which prints the missing grants",
    1017: "check user and password of the system, and whether the password was changed in the database",
    1035: "the database is in restricted mode; when it is over, run: alter system disable restricted session",
    1300: "LogMiner needs the primary database, open READ WRITE: let dsn name the service of the primary",
    1325: "switch the database to ARCHIVELOG mode",
    1347: "supplemental logging was switched off; changes since then may be incomplete: "
    "take a new snapshot of the source by removing its row from staging.checkpoint",
    1354: "run: alter database add supplemental log data",
    1536: "run: alter user .. quota unlimited on the tablespace that the message names",
    1552: "the tablespace needs undo: bring an undo tablespace online",
    1950: "run: alter user .. quota unlimited on the tablespace that the message names",
    12505: "the listener does not know the SID: check dsn against lsnrctl status",
    12514: "the listener does not know the service: check dsn against lsnrctl status, and that it is started",
    12541: "no listener at this address: check host and port of dsn, start the listener",
    16000: "the database is open read only: let dsn name the service of the primary",
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
    "DPY-6000": "the listener refused the connection: check the service of dsn against lsnrctl status",
    "DPY-6001": "the listener does not know the service: check dsn against lsnrctl status, or start it",
    "DPY-6003": "the listener does not know the SID: check dsn against lsnrctl status",
    "DPY-6005": "check host and port of dsn, the listener and firewalls",
    "DPY-4027": "no TNS configuration was found: give host:port/service or a full descriptor as dsn",
}
_HINTS_BY_WORDS = {
    "certificate_verify_failed": "the server's certificate is of another host or CA, or has expired: "
    "check wallet, and that dsn has a name that is in the certificate",
    "certificate": "check wallet, and that dsn has a name that is in the server's certificate",
    "ssl": "TLS negotiation failed: check that the listener has TCPS at this port",
    "connection refused": "no listener at this address: check host and port of dsn, start the listener",
    "dpy-6001": _HINTS_BY_DPY["DPY-6001"],
    "dpy-6003": _HINTS_BY_DPY["DPY-6003"],
    "name or service not known": "the host name of dsn is not known: check it and the name service",
    "timed out": "no answer: check host, port and firewalls",
}
"""What the driver says below DPY-6005, its code for any connection that could not be made."""
_INTERNAL, _NOT_COMPILED = 600, 6550
_DDL_RACE = ("krvrdGetUID", "krvrdccs10", "krvrdccs30")
"""Arguments of ORA-00600 seen when DDL meets mining with the online catalog; they pass."""
_ORA = re.compile(r"ORA-(\d{5})")
_CONNECTION_CLOSED, _NO_CONNECTION, _DRIVER_INTERNAL = "DPY-4011", "DPY-6005", "DPY-5"


def translated(exc: oracledb.Error, subject: str) -> CcbridgeError:
    """Our error for a driver error; `subject` names the database or object the call was about."""
    error = exc.args[0] if exc.args else None
    full_code = getattr(error, "full_code", "") or ""
    whole = str(error)
    number = _unwrapped(getattr(error, "code", 0) or 0, whole)
    kind = _kind(number, full_code, error)
    if number == _INTERNAL and any(argument in whole for argument in _DDL_RACE):
        kind = TransientError
    lines = whole.splitlines() or [""]
    if full_code == _NO_CONNECTION or number == _NOT_COMPILED:
        lines = [" ".join(lines[:2])]  # the second line says why
    text = next((line for line in lines if f"ORA-{number:05d}" in line), lines[0])
    if kind is RowError:
        text = f"ORA-{number:05d}" if number else full_code  # the full text may hold values
    hint = _HINTS.get(number) or _HINTS_BY_DPY.get(full_code, "")
    if full_code == _NO_CONNECTION:
        hint = next((text for words, text in _HINTS_BY_WORDS.items() if words in whole.lower()), hint)
    return kind(f"{subject}: {text}", hint=hint)


def _unwrapped(number: int, whole: str) -> int:
    """The number of the error under the wrappers; the outermost one if there is nothing else."""
    if number not in _WRAPPERS:
        return number
    below = (code for found in _ORA.findall(whole) if (code := int(found)) not in _WRAPPERS)
    return next(below, number)


def _kind(number: int, full_code: str, error: object) -> type[CcbridgeError]:
    """What happens next; see the module text."""
    known = _BY_ORA.get(number) if number else _BY_DPY.get(full_code)
    if known is not None:
        return known
    if number in _APPLICATION:
        return RowError
    if number in _STATEMENT or number in _HINTS or full_code in _HINTS_BY_DPY:
        return OperatorError
    if number in _NETWORK:
        return UnclassifiedError
    if not number and full_code == _CONNECTION_CLOSED:
        return DatabaseUnreachable
    passes = full_code == _CONNECTION_CLOSED or full_code.startswith(_DRIVER_INTERNAL)
    if passes or getattr(error, "isrecoverable", False) or getattr(error, "is_session_dead", False):
        return UnclassifiedError
    return OperatorError


def ora_code(exc: oracledb.Error) -> int:
    """The ORA number of a driver error, 0 if it has none."""
    return getattr(exc.args[0], "code", 0) or 0 if exc.args else 0


@contextmanager
def oracle_errors(subject: str) -> Iterator[None]:
    """Raise our error for anything that the driver raises inside, and note that a call is in progress."""
    with in_progress(subject):
        try:
            yield
        except oracledb.Error as exc:
            raise translated(exc, subject) from exc
        except CcbridgeError:
            raise
        except OSError as exc:
            if not _of_driver(exc):
                raise
            raise DatabaseUnreachable(
                f"{subject}: {type(exc).__name__} in the driver", hint="check the network and the server"
            ) from exc
        except Exception as exc:
            if not _of_driver(exc):
                raise
            # the text may hold values
            raise UnclassifiedError(
                f"{subject}: the driver could not read what the database sent ({type(exc).__name__})",
                hint="see the log for where; if it persists, check for values that no client can represent",
            ) from exc


def _of_driver(exc: BaseException) -> bool:
    """Was it raised inside of the driver?"""
    at = exc.__traceback__
    while at is not None:
        if str(at.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == oracledb.__name__:
            return True
        at = at.tb_next
    return False
