"""What a database holds and no reader can take: other rows and tables flow, also after a restart."""

from __future__ import annotations

import pytest

from cdc.changes import NOT_TEXT, TableName, unreadable
from cdc.ports import ColumnsRead
from cdc.readers.logminer import LogMinerReader
from tests.contract.logminer_source import BRIDGE, OracleSource, system_session
from tests.contract.reader_suite import ABSENT, Reading, events, snapshot

COLUMNS = "id number(9) primary key, v varchar2(40), n number, z timestamp(6) with time zone, note clob"
BYTES = "utl_raw.cast_to_varchar2(hextoraw('636166E9206E6F6972'))"
MARK = unreadable(NOT_TEXT, r"caf\xe9 noir")
LATE = "to_timestamp_tz('9999-12-31 23:59:59 -05:00', 'YYYY-MM-DD HH24:MI:SS TZH:TZM')"
EARLY = "to_timestamp_tz('0001-01-01 00:00:00 +02:00', 'YYYY-MM-DD HH24:MI:SS TZH:TZM')"
OUTSIDE = "the moment is outside the years 1 to 9999"
VALUES = [
    ("v", BYTES, MARK),
    ("z", LATE, unreadable(OUTSIDE, "9999-12-31 23:59:59.")),
    ("z", EARLY, unreadable(OUTSIDE, "0001-01-01 00:00:00.")),
]


@pytest.fixture
def tables(source: OracleSource) -> OracleSource:
    """The tables ODD and PLAIN in the source's schema."""
    with system_session(source.settings.dsn) as cursor:
        for name in ("ODD", "PLAIN"):
            table = f"{source.owner}.{name}"
            cursor.execute(f"create table {table} ({COLUMNS})")
            cursor.execute(f"alter table {table} add supplemental log data (all) columns")
            cursor.execute(f"grant select, flashback on {table} to {BRIDGE}")
    return source


def new_reader(source: OracleSource, *, note: bool = False) -> LogMinerReader:
    names = [TableName(source.owner, name) for name in ("ODD", "PLAIN")]
    read = {name: ColumnsRead(frozenset(("ID", "V", "N", "Z", "NOTE")), frozenset()) for name in names}
    return LogMinerReader("ccb", source.settings, names, read if note else {})


@pytest.mark.parametrize(("column", "value", "mark"), VALUES)
def test_a_value_that_cannot_be_read_is_reported_in_stream_and_snapshot(
    tables: OracleSource, column: str, value: str, mark: str
) -> None:
    """The row comes with its key and says why; so it does again in a snapshot; its correction comes whole."""
    reader = new_reader(tables)
    try:
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with tables.session() as session:
            session.execute("insert into plain (id) values (1)")
            session.execute(f"insert into odd (id, {column}) values (1, {value})")
            session.commit()
            session.execute("update odd set n = 5 where id = 1")
            session.execute("insert into plain (id) values (2)")
            session.commit()
        first, bad, again, last = reading.take(4)
        assert (first.after["id"], last.after["id"]) == ("1", "2")
        assert bad.after["id"] == "1"
        assert all((event.after[column] or "").startswith(mark) for event in (bad, again))
        assert (again.after["n"], again.before[column]) == ("5", ABSENT)
        with tables.session() as session:
            session.execute(f"update odd set {column} = null where id = 1")
            session.execute(f"insert into odd (id, {column}) values (2, {value})")
            session.execute("delete from odd where id = 2")
            session.commit()
        fixed, _, gone = reading.take(3)
        assert (fixed.after[column], gone.operation, gone.before["id"]) == (None, "d", "2")
    finally:
        reader.close()
    with tables.session() as session:
        session.execute(f"update odd set {column} = {value} where id = 1")
        session.commit()
    reader = new_reader(tables)
    try:
        found = [event for batch in snapshot(reader) for event in events(batch)]
        (odd,) = [event for event in found if event.table == "odd"]
        assert (odd.after["id"], (odd.after[column] or "").startswith(mark)) == ("1", True)
        assert len([event for event in found if event.table == "plain"]) == 2
    finally:
        reader.close()


def test_bytes_that_are_not_text_in_a_large_value_that_is_read_again(tables: OracleSource) -> None:
    """A CLOB does not come from the redo: the same holds where it is read by key."""
    reader = new_reader(tables, note=True)
    try:
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with tables.session() as session:
            session.execute(f"insert into odd (id, note, v) values (1, to_clob({BYTES}), {BYTES})")
            session.execute("insert into plain (id, note) values (1, 'fine')")
            session.commit()
        bad, good = reading.take(2)
        assert (bad.after["note"], bad.after["v"], good.after["note"]) == (MARK, MARK, "fine")
    finally:
        reader.close()


@pytest.mark.parametrize("restarted", [False, True])
def test_rows_that_no_dictionary_explains_stop_their_table(tables: OracleSource, *, restarted: bool) -> None:
    """A column added and dropped while no one read: its table stops, with a way back; others flow."""
    reader = new_reader(tables)
    odd = TableName(tables.owner, "ODD")
    try:
        resume = snapshot(reader)[-1].resume
        for statement in (
            "insert into odd (id) values (1)",
            "alter table odd add (x varchar2(9))",
            "insert into odd (id, x) values (2, 'x')",
            "alter table odd drop column x",
            "insert into odd (id) values (3)",
            "insert into plain (id) values (1)",
        ):
            with tables.session() as session:
                session.execute(statement)
                session.commit()
        if restarted:
            reader.close()
            reader = new_reader(tables)
        reading = Reading(reader, resume)
        found = reading.until(lambda some: any(event.table == "plain" for event in some))
        assert [event.after["id"] for event in found if event.table == "odd"] in ([], ["1"])
        error = reading.batches[-1].stopped[odd]
        assert error.code == "CDC-103"
        assert "ODD" in str(error)
        assert "delete from staging.checkpoint" in error.hint
        reader.close()
        reader = new_reader(tables)
        with tables.session() as session:
            session.execute("insert into odd (id) values (4)")
            session.execute("insert into plain (id) values (2)")
            session.commit()
        again = Reading(reader, reading.resume)
        assert [event.table for event in again.take(1)] == ["plain"]
        assert again.batches[-1].stopped[odd].code == "CDC-103"
    finally:
        reader.close()
