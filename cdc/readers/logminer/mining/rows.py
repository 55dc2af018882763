"""Rows of V$LOGMNR_CONTENTS: what is asked for, operation codes, and which rows carry no data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum


class Code(IntEnum):
    """OPERATION_CODE values that mean something to a reader."""

    INTERNAL = 0
    INSERT = 1
    DELETE = 2
    UPDATE = 3
    DDL = 5
    START = 6
    COMMIT = 7
    SELECT_LOB_LOCATOR = 9
    LOB_WRITE = 10
    LOB_TRIM = 11
    SELECT_FOR_UPDATE = 25
    REPLICATION_MARKER = 27
    LOB_ERASE_DOCUMENTED = 28
    LOB_ERASE = 29
    MISSING_SCN = 34
    ROLLBACK = 36
    XML_BEGIN = 68
    XML_WRITE = 70
    XML_END = 71
    LONG_BEGIN = 91
    LONG_WRITE = 92
    LONG_END = 93
    UNSUPPORTED = 255


@dataclass(slots=True)
class LogRow:
    """One row of V$LOGMNR_CONTENTS; the fields are columns of the view, in the order selected.

    A row is not changed once it was read: `dataclasses.replace` makes another one. There are very many of
    them, and slots that are not frozen are made and read in half the time of a tuple with names.

    `xid` and `pxid` are RAW(8) as 16 hexadecimal digits in lower case; `when` is TIMESTAMP, host
    local time without zone; `rollback` is 1 for compensation of an earlier row; `sequence` is larger than 1
    where a logical change has several rows and this is not the first, 0 where it is not known.
    """

    scn: int
    operation_code: int
    xid: str
    sql_redo: str | None = None
    csf: int = 0
    rollback: int = 0
    status: int = 0
    row_id: str | None = None
    data_obj: int | None = None
    owner: str | None = None
    table: str | None = None
    thread: int = 1
    rs_id: str | None = None
    ssn: int = 0
    username: str | None = None
    client_id: str | None = None
    info: str | None = None
    when: object = None
    pxid: str | None = None
    operation: str = ""
    sequence: int = 0


COLUMNS = (
    "SCN",
    "OPERATION_CODE",
    "XID",
    "SQL_REDO",
    "CSF",
    "ROLLBACK",
    "STATUS",
    "ROW_ID",
    "DATA_OBJ#",
    "SEG_OWNER",
    "TABLE_NAME",
    "THREAD#",
    "RS_ID",
    "SSN",
    "USERNAME",
    "CLIENT_ID",
    "INFO",
    "TIMESTAMP",
    "PXID",
    "OPERATION",
    "SEQUENCE#",
)
"""Columns of the view behind the fields of `LogRow`."""

NO_ROW = "AAAAAAAAAAAA"
"""File, block and row of a row id that names no row; its object may be named all the same."""

_NO_DATA = frozenset(
    ("START", "COMMIT", "ROLLBACK", "INTERNAL", "SELECT_FOR_UPDATE", "UNSUPPORTED", "XML_END")
)


def carries_no_data(operation: str, text: str | None) -> bool:
    """True for rows that hold no row data: transaction control, internal work, temporary tables.

    An UNSUPPORTED row is among them, but the assembly must report its table, never skip it.
    """
    if operation in _NO_DATA or operation == "32K_END":
        return True
    return (text or "").lstrip().startswith("/* No SQL_REDO for temporary tables")


def has_no_row_id(row_id: str | None) -> bool:
    """True where a row of the view does not say which row of its table it is about."""
    return not row_id or row_id.endswith(NO_ROW)


def place(row: LogRow) -> str:
    """Where an operator finds the row in V$LOGMNR_CONTENTS, besides its SCN."""
    return f"transaction {transaction_name(row.xid)}, RS_ID {(row.rs_id or '').strip()}"


def refused(row: LogRow, reason: str) -> LogRow:
    """The row as one that cannot be read, and why; if its transaction commits, its table stops there.

    It is an UNSUPPORTED row whose text is the reason: so it spills, is restored and undone as rows are.
    """
    return replace(row, operation_code=Code.UNSUPPORTED, sql_redo=reason, csf=0)


def is_child(row: LogRow) -> bool:
    """Parallel DML: the child's rows belong to the parent transaction, which commits for it."""
    return bool(row.pxid) and row.pxid != row.xid and not set(row.pxid or "") <= {"0"}


def transaction_key(row: LogRow) -> str:
    """XID of the transaction that a row belongs to."""
    if row.pxid is None or row.pxid == row.xid:
        return row.xid
    return row.pxid if is_child(row) else row.xid


def transaction_name(xid: str) -> str:
    """`usn.slot.sequence` as V$TRANSACTION shows it, from the little-endian bytes of XID."""
    try:
        raw = bytes.fromhex(xid)
    except ValueError:
        return xid
    if len(raw) != 8:
        return xid
    parts = (raw[0:2], raw[2:4], raw[4:8])
    return ".".join(str(int.from_bytes(part, "little")) for part in parts)
