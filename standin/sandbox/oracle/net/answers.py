"""The messages a response is made of: status, error block, describe, parameters, row header.

Most fields matter to no client and are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sandbox.oracle.cells import rowid_parts
from sandbox.oracle.interface import BatchFault, Column, DbType
from sandbox.oracle.net.terms import Terms
from sandbox.oracle.net.wire import long_text, sb, text, ub

NO_MORE_ROWS = 1403
BATCH_ERRORS = 24381
END_OF_RESPONSE = b"\x1d"
_IN_TRANSACTION = 0x2
_MAX_POSITION = 32767
_MAX_BATCH_FAULTS = 65535
_UTF8, _UTF16 = 873, 2000
_OWN_FORM, _NATIONAL_FORM = 1, 2
_TEXT = frozenset({DbType.VARCHAR2, DbType.CHAR, DbType.LONG, DbType.CLOB})
_BOUNDED_TEXT = frozenset({DbType.VARCHAR2, DbType.CHAR})
_SCALED = frozenset(
    {
        *(DbType.NUMBER, DbType.TIMESTAMP, DbType.TIMESTAMP_TZ),
        *(DbType.TIMESTAMP_LTZ, DbType.INTERVAL_YM, DbType.INTERVAL_DS),
    }
)
_BUFFER_SIZES = {
    **{DbType.NUMBER: 22, DbType.LONG: 0, DbType.LONG_RAW: 0, DbType.ROWID: 10, DbType.DATE: 7},
    **{DbType.BINARY_FLOAT: 4, DbType.BINARY_DOUBLE: 8, DbType.REF_CURSOR: 1},
    **{DbType.CLOB: 4000, DbType.BLOB: 4000, DbType.TIMESTAMP: 11, DbType.TIMESTAMP_TZ: 13},
    **{DbType.TIMESTAMP_LTZ: 11, DbType.INTERVAL_YM: 5, DbType.INTERVAL_DS: 11},
}
_DATE_OF_DESCRIBE = bytes.fromhex("787e0101010101")  # clients skip it


@dataclass
class CallResult:
    """What the block at the end of a response reports."""

    code: int = 0
    message: str = ""
    rows: int = 0
    cursor: int = 0
    position: int = 0
    rowid: str | None = None
    batch_faults: Sequence[BatchFault] = field(default_factory=tuple)


def status(*, in_transaction: bool) -> bytes:
    """The answer of calls that give nothing back."""
    return b"\x09" + ub(_IN_TRANSACTION if in_transaction else 0) + b"\x01\x01"


def result_block(result: CallResult, terms: Terms, *, in_transaction: bool, sequence: int) -> bytes:
    """The block that ends a response; clients compare `sequence` with that of their request."""
    faults = result.batch_faults[:_MAX_BATCH_FAULTS]
    count = ub(len(faults))
    listed = b"\0" if faults else b""
    parts = [
        b"\x04",
        ub(_IN_TRANSACTION if in_transaction else 0),
        b"\x01\x01",
        ub(result.rows & 0xFFFFFFFF),
        ub(result.code & 0xFFFF),
        b"\0\0",
        ub(result.cursor),
        sb(min(result.position, _MAX_POSITION)),
        b"\x03\0\0\0\0\0",
        rowid_fields(result.rowid),
        b"\0\0",
        bytes((sequence,)),
        b"\0\0\0",
        count + listed + b"".join(ub(fault.code) for fault in faults),
        count + listed + b"".join(ub(fault.row) for fault in faults),
        count + listed + b"".join(_batch_text(fault) for fault in faults),
        ub(result.code),
        ub(result.rows),
    ]
    if terms.field_version >= 14:
        parts.append(b"\0\0")
    if result.code:
        parts.append(text(f"ORA-{result.code:05d}: {result.message}\n".encode()))
    return b"".join(parts)


def _batch_text(fault: BatchFault) -> bytes:
    message = f"ORA-{fault.code:05d}: {fault.text}\n".encode()
    return ub(len(message)) + text(message) + b"\0\0"


def rowid_fields(rowid: str | bytes | None) -> bytes:
    """A ROWID as five fields; zeros for none."""
    if not rowid:
        return bytes(5)
    number, file, block, slot = rowid_parts(rowid if isinstance(rowid, str) else rowid.decode())
    return ub(number) + ub(file) + b"\0" + ub(block) + ub(slot)


def parameters(cursor: int, row_counts: Sequence[int] | None = None) -> bytes:
    """The return parameters of an execute; with a row count per iteration when asked."""
    answer = b"\x08\x01\x06\0\0" + ub(cursor) + b"\0\0\0\0\0\0"
    if row_counts is None:
        return answer
    return answer + ub(len(row_counts)) + b"".join(map(ub, row_counts))


def row_header(columns: int, rows: int) -> bytes:
    """The message in front of the rows of an answer."""
    count = ub(columns) if columns < 256 else ub(columns & 0xFF)
    return b"\x06\x22" + count + ub(columns >> 8) + ub(rows) + b"\0\0\0"


def io_vector(outs: Sequence[bool]) -> bytes:
    """Directions of the binds of a PL/SQL block: IN, or IN OUT for those it assigns."""
    count = len(outs)
    directions = bytes(48 if out else 32 for out in outs)
    return b"\x0b\0" + ub(count & 0xFF) + ub(count >> 8) + b"\0\0\0\0" + directions


def describe_message(columns: Sequence[Column], terms: Terms) -> bytes:
    """The description of a query's columns as a message of its own."""
    return b"\x10\x01\0" + describe_body(columns, terms)


def describe_body(columns: Sequence[Column], terms: Terms) -> bytes:
    """The description of a query's columns, as it also stands inside a REF CURSOR value."""
    parts = [ub(sum(column.size for column in columns)), ub(len(columns))]
    if columns:
        parts.append(b"\x01")
    parts += [_column(column, position, terms) for position, column in enumerate(columns, 1)]
    parts += [long_text(_DATE_OF_DESCRIBE), bytes(5)]
    return b"".join(parts)


def _column(column: Column, position: int, terms: Terms) -> bytes:
    wide = terms.wide_scale and column.type in _SCALED
    name = column.name.encode()
    is_text = column.type in _TEXT
    parts = [
        bytes((column.type, 0x80, column.precision & 0xFF)),
        sb(column.scale) if wide else bytes((column.scale & 0xFF,)),
        ub(_BUFFER_SIZES.get(column.type, max(column.size, 1))),
        b"\0\0\0\0",
        ub((_UTF16 if column.national else _UTF8) if is_text else 0)
        + bytes((_NATIONAL_FORM if column.national else _OWN_FORM if is_text else 0,)),
        ub((column.chars or column.size) if column.type in _BOUNDED_TEXT else 0),
    ]
    if terms.field_version >= 8:
        parts.append(b"\0")
    parts += [
        bytes((1 if column.nullable else 0, min(len(name), 255))),
        long_text(name),
        b"\0\0",
        ub(position),
        b"\0",
    ]
    if terms.field_version >= 17:
        parts.append(b"\0\0")
    if terms.field_version >= 20:
        parts.append(b"\0")
    if terms.field_version >= 24:
        parts.append(b"\0\0\0")
    return b"".join(parts)
