"""The messages of the logical replication stream that are not rows.

Row messages (insert, update, delete) are decoded in bulk, see `tuples`; everything else comes here
one by one.

Source: PostgreSQL 17 documentation, "Streaming Replication Protocol" and "Logical Replication
Message Formats", protocol version 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from cdc.changes import TableName
from cdc.positions import Lsn

WAL_DATA = ord("w")
KEEPALIVE = ord("k")
HEADER_BYTES = 25
"""An XLogData message starts with its kind, two LSNs and a clock; the pgoutput message follows."""

BEGIN, COMMIT, ORIGIN, RELATION, TRUNCATE = (ord(kind) for kind in "BCORT")
INSERT, UPDATE, DELETE = (ord(kind) for kind in "IUD")
ROW_KINDS = frozenset({INSERT, UPDATE, DELETE})

_EPOCH_US = 946_684_800_000_000  # PostgreSQL counts from 2000-01-01, we from 1970-01-01
_BODY = HEADER_BYTES + 1
_KEEPALIVE = Struct(">QqB")
_BEGIN = Struct(">QqI")
_COMMIT = Struct(">BQQq")
_STATUS = Struct(">cQQQqB")
_RELATION_COLUMN = Struct(">Ii")


class Keepalive(NamedTuple):
    """The server is alive; all transactions that commit before `wal_end` have been sent."""

    wal_end: Lsn
    reply_requested: bool


class Begin(NamedTuple):
    """A transaction follows whole; `commit_lsn` is where its commit record starts."""

    commit_lsn: Lsn
    committed_us: int
    transaction_id: int


class RelationColumn(NamedTuple):
    """A published column; `identity` if it belongs to the replica identity."""

    name: str
    type_oid: int
    type_modifier: int
    identity: bool


@dataclass(frozen=True)
class Relation:
    """How the rows of a table look from here on in the stream."""

    oid: int
    name: TableName
    columns: tuple[RelationColumn, ...]

    @property
    def identity(self) -> frozenset[str]:
        """Columns of the replica identity: all of them under REPLICA IDENTITY FULL."""
        return frozenset(column.name for column in self.columns if column.identity)


def read_keepalive(raw: bytes) -> Keepalive:
    """Read a primary keepalive message."""
    wal_end, _, reply = _KEEPALIVE.unpack_from(raw, 1)
    return Keepalive(Lsn(wal_end), bool(reply))


def read_begin(raw: bytes) -> Begin:
    """Read the Begin message of an XLogData message."""
    commit_lsn, committed, transaction_id = _BEGIN.unpack_from(raw, _BODY)
    return Begin(Lsn(commit_lsn), committed + _EPOCH_US, transaction_id)


def read_commit_end(raw: bytes) -> Lsn:
    """Where the commit record of the transaction ends."""
    return Lsn(_COMMIT.unpack_from(raw, _BODY)[2])


def read_origin(raw: bytes) -> str:
    """Name of the replication origin under which the transaction was written."""
    return _text(raw, _BODY + 8)[0]


def read_relation(raw: bytes) -> Relation:
    """Read the description of a table that precedes its first row and follows each change of it."""
    oid = int.from_bytes(raw[_BODY : _BODY + 4])
    schema, at = _text(raw, _BODY + 4)
    name, at = _text(raw, at)
    count = int.from_bytes(raw[at + 1 : at + 3])  # after the replica identity setting
    at += 3
    columns = []
    for _ in range(count):
        identity = bool(raw[at] & 1)
        column, at = _text(raw, at + 1)
        type_oid, modifier = _RELATION_COLUMN.unpack_from(raw, at)
        at += _RELATION_COLUMN.size
        columns.append(RelationColumn(column, type_oid, modifier, identity))
    return Relation(oid, TableName(schema or "pg_catalog", name), tuple(columns))


def read_truncated(raw: bytes) -> Sequence[int]:
    """Relation oids that one TRUNCATE emptied, in the server's order."""
    count = int.from_bytes(raw[_BODY : _BODY + 4])
    first = _BODY + 5
    return [int.from_bytes(raw[first + 4 * i : first + 4 * i + 4]) for i in range(count)]


def truncate_row(oid: int) -> bytes:
    """A row message without tuples that stands for one emptied table."""
    return bytes(HEADER_BYTES) + b"T" + oid.to_bytes(4) + b"-"


def status_update(*, received: Lsn, flushed: Lsn, clock_us: int) -> bytes:
    """A standby status update: the server may discard WAL before `flushed`.

    Args:
        received: end of what has arrived.
        flushed: end of what is durably staged.
        clock_us: microseconds since 1970; the server only shows it.
    """
    return _STATUS.pack(b"r", received, flushed, flushed, clock_us - _EPOCH_US, 0)


def _text(raw: bytes, at: int) -> tuple[str, int]:
    end = raw.index(0, at)
    return raw[at:end].decode(), end + 1
