"""Writes pgoutput messages as the server does, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import pack

UNCHANGED = object()
"""A cell whose TOAST value was not sent."""

Cell = str | None | object
_EPOCH_US = 946_684_800_000_000


def wal(body: bytes) -> bytes:
    """An XLogData message."""
    return b"w" + bytes(24) + body


def keepalive(wal_end: int, *, reply: bool = False) -> bytes:
    """A primary keepalive message."""
    return b"k" + pack(">QqB", wal_end, 0, reply)


def begin(commit_lsn: int, *, xid: int = 7, committed_us: int = _EPOCH_US) -> bytes:
    """Begin; the clock in microseconds since 1970."""
    return wal(b"B" + pack(">QqI", commit_lsn, committed_us - _EPOCH_US, xid))


def commit(commit_lsn: int, end_lsn: int) -> bytes:
    """Commit."""
    return wal(b"C" + pack(">BQQq", 0, commit_lsn, end_lsn, 0))


def origin(name: str) -> bytes:
    """Origin of the transaction."""
    return wal(b"O" + pack(">Q", 0) + name.encode() + b"\0")


def relation(
    oid: int, name: str, columns: Sequence[tuple[str, int, bool]], *, schema: str = "public"
) -> bytes:
    """Relation; columns as name, type oid, part of the replica identity."""
    body = (
        b"R" + pack(">I", oid) + schema.encode() + b"\0" + name.encode() + b"\0d" + pack(">H", len(columns))
    )
    for column, type_oid, identity in columns:
        body += pack(">B", identity) + column.encode() + b"\0" + pack(">Ii", type_oid, -1)
    return wal(body)


def truncate(*oids: int) -> bytes:
    """Truncate."""
    return wal(b"T" + pack(">IB", len(oids), 0) + b"".join(pack(">I", oid) for oid in oids))


def row(kind: str, oid: int, *tuples: tuple[str, Sequence[Cell]]) -> bytes:
    """Insert (I), update (U) or delete (D) with its tuples: kind N, K or O and cells."""
    body = kind.encode() + pack(">I", oid)
    for variant, cells in tuples:
        body += variant.encode() + pack(">H", len(cells)) + b"".join(map(_cell, cells))
    return wal(body)


def feed(*messages: bytes) -> Callable[[int], tuple[int, memoryview]]:
    """A stand-in for PGconn.get_copy_data that gives the messages, then nothing."""
    waiting = list(messages)

    def get(_: int) -> tuple[int, memoryview]:
        if not waiting:
            return 0, memoryview(b"")
        message = waiting.pop(0)
        return len(message), memoryview(message)

    return get


def _cell(cell: Cell) -> bytes:
    if cell is None:
        return b"n"
    if cell is UNCHANGED:
        return b"u"
    text = str(cell).encode()
    return b"t" + pack(">I", len(text)) + text
