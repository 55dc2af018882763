"""Messages of the stream that are not rows, byte by byte."""

from __future__ import annotations

from struct import unpack

from cdc.changes import TableName
from cdc.positions import Lsn
from cdc.readers.pgoutput.wire import messages
from tests.unit.readers.pgoutput import stream

CLOCK_US = 1_709_208_000_000_000  # 2024-02-29 12:00:00
OF_2000_US = 946_684_800_000_000


def test_begin_and_commit() -> None:
    """The server counts microseconds from 2000, we from 1970."""
    begun = messages.read_begin(stream.begin(5, xid=9, committed_us=CLOCK_US))
    assert begun == (Lsn(5), CLOCK_US, 9)
    assert messages.read_commit_end(stream.commit(5, 8)) == Lsn(8)
    assert messages.read_origin(stream.origin("ccbridge")) == "ccbridge"


def test_keepalive() -> None:
    """Where the server is, and whether it waits for an answer."""
    assert messages.read_keepalive(stream.keepalive(7)) == (Lsn(7), False)
    assert messages.read_keepalive(stream.keepalive(7, reply=True)) == (Lsn(7), True)


def test_relation() -> None:
    """The flag of a column tells whether it identifies the row; no schema means pg_catalog."""
    columns = [("id", 20, True), ("note", 25, False), ("number", 23, True)]
    found = messages.read_relation(stream.relation(16_400, "t", columns))
    assert (found.oid, found.name) == (16_400, TableName("public", "t"))
    assert found.identity == frozenset(("id", "number"))
    assert found.columns == tuple((name, oid, -1, identity) for name, oid, identity in columns)
    assert messages.read_relation(stream.relation(1, "t", [], schema="")).name == TableName("pg_catalog", "t")


def test_truncate_of_several_tables() -> None:
    """Each becomes a row message of its own, without tuples."""
    oids = messages.read_truncated(stream.truncate(70_000, 7, 16_400))
    assert oids == [70_000, 7, 16_400]
    body = messages.truncate_row(oids[0])[messages.HEADER_BYTES :]
    assert unpack(">cIc", body) == (b"T", 70_000, b"-")


def test_status_update() -> None:
    """What is flushed is what may be discarded; no answer is asked for."""
    sent = messages.status_update(received=Lsn(30), flushed=Lsn(20), clock_us=CLOCK_US)
    assert unpack(">cQQQqB", sent) == (b"r", 30, 20, 20, CLOCK_US - OF_2000_US, 0)
