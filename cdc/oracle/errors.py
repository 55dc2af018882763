"""ORA and DPY codes become ours, by number.

Classify by the ORA number first: the driver reports ORA-00600 and other database errors as
DPY-4011 "connection closed" and recoverable, while `.code` keeps the ORA number; an ORA-00600 is
not a network fault. Sources: Oracle Database Error Messages 19c; python-oracledb 26 errors module.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import oracledb

from cdc.errors import (
    CcbridgeError,
    DatabaseUnreachable,
    LoginRefused,
    NotGranted,
    OperatorError,
    RowError,
    TransientError,
)

_UNREACHABLE = (
    28, 1012, 1033, 1034, 1041, 1089, 1090, 1092, 2396, 3113, 3114, 3135, 12170, 12505, 12514,
    12528, 12537, 12541, 12543, 12547, 12570, 12571, 12583,
)  # fmt: skip
_TRANSIENT = (54, 60, 604, 1001, 1002, 1013, 1306, 1307, 4030, 4036, 1327, 1333, 1371)
_LOGIN = (1017, 28000, 28001)
_RIGHTS = (942, 1031)
_ROW = (1, 1400, 1407, 1438, 1722, 2290, 2291, 2292, 12899)
_BY_ORA: dict[int, type[CcbridgeError]] = (
    dict.fromkeys(_UNREACHABLE, DatabaseUnreachable)
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
    "DPY-4024": TransientError,  # call timeout
    "DPY-1001": DatabaseUnreachable,  # not connected
}


def translated(exc: oracledb.Error, subject: str) -> CcbridgeError:
    """Our error for a driver error; `subject` names the database or object the call was about."""
    fault = exc.args[0] if exc.args else None
    number = getattr(fault, "code", 0) or 0
    full_code = getattr(fault, "full_code", "") or ""
    kind = _BY_ORA.get(number) if number else _BY_DPY.get(full_code)
    text = str(fault).partition("\n")[0]
    if kind is RowError:
        text = f"ORA-{number:05d}"  # the full text may hold values
    return (kind or OperatorError)(f"{subject}: {text}")


@contextmanager
def oracle_errors(subject: str) -> Iterator[None]:
    """Raise our error for any oracledb error inside."""
    try:
        yield
    except oracledb.Error as exc:
        raise translated(exc, subject) from exc
