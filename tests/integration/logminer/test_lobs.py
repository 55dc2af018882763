"""Large columns through the LogMiner reader: LOBs and extended strings, from snapshot, redo and re-select."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import oracledb
import pytest
import structlog

from cdc.changes import TableName
from cdc.ports import ColumnsRead
from cdc.readers.logminer import LogMinerReader
from tests.contract.logminer_source import (
    BRIDGE,
    SECRET,
    OracleSource,
    needs_stand_in,
    oracle_server,
    system_session,
)
from tests.contract.reader_suite import ABSENT, Event, Reading, events, snapshot

COLUMNS = "id number(9) primary key, kind varchar2(10), note clob, wide nclob, bytes blob, margin clob"
WORDS = "l'été d''avant, 😀 \"x\" = 'y' and "


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with oracle_server(tmp_path_factory.mktemp("oracle")) as dsn:
        yield dsn


class Documents:
    """A table with LOBs, of which the rules read all but MARGIN."""

    def __init__(self, dsn: str, *, columns: str = COLUMNS) -> None:
        self.source = OracleSource(dsn)
        self.owner = self.source.owner
        self.dsn = dsn
        self.table = TableName(self.owner, "DOC")
        with system_session(dsn) as cursor:
            cursor.execute(f"create table {self.table} ({columns})")
            cursor.execute(f"alter table {self.table} add supplemental log data (all) columns")
            cursor.execute(f"grant select, flashback on {self.table} to {BRIDGE}")

    def reader(self, *, from_redo: tuple[str, ...] = (), **settings: Any) -> LogMinerReader:
        names = frozenset({"ID", "KIND", "NOTE", "WIDE", "BYTES"})
        read = {self.table: ColumnsRead(names, frozenset({"ID", "KIND"}))}
        columns = tuple(f"{self.table}.{name}" for name in from_redo)
        changed = self.source.settings.model_copy(update={"lobs_from_redo": columns, **settings})
        return LogMinerReader("ccb", changed, [self.table], read)

    @contextmanager
    def cursor(self) -> Iterator[oracledb.Cursor]:
        with oracledb.connect(user=self.owner, password=SECRET, dsn=self.dsn) as connection:
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()

    def rows(self) -> Mapping[str, Mapping[str, str | None]]:
        with self.cursor() as cursor:
            cursor.execute("select to_char(id), kind, note, wide, bytes from doc")
            names = ("id", "kind", "note", "wide", "bytes")
            return {
                row[0]: dict(
                    zip(names, [v.hex() if isinstance(v, bytes) else v or None for v in row], strict=True)
                )
                for row in cursor
            }


@pytest.fixture
def documents(oracle: str) -> Documents:
    return Documents(oracle)


def applied(found: list[Event], rows: dict[str, dict[str, str | None]]) -> None:
    """Apply events as staging does: absent columns keep their value."""
    for event in found:
        if event.operation == "d":
            rows.pop(str(event.before["id"]), None)
            continue
        row = rows.setdefault(str(event.after["id"]), dict.fromkeys(event.after))
        row.update({name: value for name, value in event.after.items() if value is not ABSENT})


def text(pick: random.Random, size: int) -> str | None:
    if size == 0:
        return None
    return "".join(pick.choice(WORDS) for _ in range(size))


def insert(cursor: oracledb.Cursor, key: int, pick: random.Random, size: int) -> None:
    cursor.setinputsizes(None, None, oracledb.DB_TYPE_CLOB, oracledb.DB_TYPE_CLOB, oracledb.DB_TYPE_BLOB)
    cursor.execute(
        "insert into doc (id, kind, note, wide, bytes) values (:1, :2, :3, :4, :5)",
        [key, "a", text(pick, size), text(pick, size), pick.randbytes(size) or None],
    )


FROM_REDO = [(), ("NOTE", "WIDE", "BYTES")]


@pytest.mark.parametrize("from_redo", FROM_REDO, ids=["reselect", "redo"])
def test_lobs_are_followed(documents: Documents, from_redo: tuple[str, ...]) -> None:
    """Small, large, null LOBs of new and changed rows arrive as they are; unchanged ones stay absent."""
    pick = random.Random(1)  # noqa: S311 - data, no secret
    with documents.cursor() as cursor:
        for key, size in enumerate((0, 10, 9_000)):
            insert(cursor, key, pick, size)
    reader = documents.reader(from_redo=from_redo)
    rows: dict[str, dict[str, str | None]] = {}
    try:
        batches = snapshot(reader)
        for batch in batches:
            applied(events(batch), rows)
        assert rows == documents.rows()
        with documents.cursor() as cursor:
            for key, size in enumerate((0, 5, 5_000, 100_000), 10):
                insert(cursor, key, pick, size)
            cursor.execute("update doc set kind = 'b' where id in (2, 12)")
            cursor.setinputsizes(oracledb.DB_TYPE_CLOB)
            cursor.execute("update doc set note = :1 where id = 1", [text(pick, 20_000)])
            cursor.execute("update doc set wide = null, bytes = null where id = 2")
            cursor.execute("delete from doc where id = 0")
        found = Reading(reader, batches[-1].resume).take(9)
        applied(found, rows)
        assert rows == documents.rows()
        (changed,) = [event for event in found if event.operation == "u" and event.after["id"] == "1"]
        assert changed.after["wide"] is ABSENT
    finally:
        reader.close()


NATIONAL_KEYS = ("plain", "é", "Жук", "漢😀", "a'\\б")


@pytest.mark.parametrize("kind", ["nvarchar2(10)", "nchar(10)"])
def test_keys_that_the_database_character_set_does_not_hold(oracle: str, kind: str) -> None:
    """A bind of that set would lose them: the row would look gone, and its LOB stay as it was."""
    needs_stand_in()
    columns = f"id {kind} primary key, kind varchar2(10), note clob, wide nclob, bytes blob, margin clob"
    documents = Documents(oracle, columns=columns)
    with system_session(oracle) as cursor:
        cursor.execute("begin sandbox_faults.set_character_set(name => 'WE8ISO8859P1'); end;")
    reader = documents.reader()
    try:
        with documents.cursor() as cursor:
            cursor.setinputsizes(oracledb.DB_TYPE_NVARCHAR)
            cursor.executemany(
                "insert into doc (id, note) values (:1, 'old')", [[key] for key in NATIONAL_KEYS]
            )
        batches = snapshot(reader)
        with documents.cursor() as cursor:
            cursor.execute("update doc set note = 'new'")
        found = Reading(reader, batches[-1].resume).take(len(NATIONAL_KEYS))
        figures = reader.source_lag()
    finally:
        reader.close()
        with system_session(oracle) as cursor:
            cursor.execute("begin sandbox_faults.set_character_set; end;")
    reported = {str(one.after["id"]).rstrip(): one.after["note"] for one in found}
    assert reported == dict.fromkeys(NATIONAL_KEYS, "new")
    assert figures["reselected_rows"] == len(NATIONAL_KEYS)


CHANGES = (
    "dbms_lob.write(l, 5, 11, :1);",
    "dbms_lob.writeappend(l, 3, :1);",
    "dbms_lob.trim(l, 7);",
    "dbms_lob.trim(l, 0); dbms_lob.write(l, 4, 3, :1);",
    "dbms_lob.erase(l, 4, 2);",
    "dbms_lob.trim(l, 0);",
)


@pytest.mark.parametrize("from_redo", FROM_REDO, ids=["reselect", "redo"])
@pytest.mark.parametrize("size", [20, 9_000])
def test_lobs_changed_in_place(documents: Documents, from_redo: tuple[str, ...], size: int) -> None:
    """Writes, trims and erases by DBMS_LOB are followed, though a large LOB's change has no UPDATE row."""
    pick = random.Random(size)  # noqa: S311 - data, no secret
    with documents.cursor() as cursor:
        for key in range(len(CHANGES)):
            insert(cursor, key, pick, size)
    reader = documents.reader(from_redo=from_redo)
    rows: dict[str, dict[str, str | None]] = {}
    try:
        batches = snapshot(reader)
        for batch in batches:
            applied(events(batch), rows)
        with documents.cursor() as cursor:
            insert(cursor, 100, pick, size)
            for key, change in enumerate((*CHANGES, CHANGES[0])):
                where = f"where id = {key if key < len(CHANGES) else 100} for update"
                for kind, column in (("clob", "note"), ("blob", "bytes")):
                    data = "😀éxyz" if kind == "clob" else b"\xff\x01abc"
                    block = f"declare l {kind}; begin select {column} into l from doc {where}; {change} end;"
                    cursor.execute(block, [data] if ":1" in change else [])
        found = Reading(reader, batches[-1].resume).take(len(CHANGES) + 1)
        applied(found, rows)
        assert rows == documents.rows()
        assert len({event.place for event in found}) == len(found)
    finally:
        reader.close()


def test_values_from_the_redo_are_not_selected_again(documents: Documents) -> None:
    """Only what the redo cannot tell costs the source a query, and an unmapped LOB nothing at all."""
    pick = random.Random(3)  # noqa: S311 - data, no secret
    reader = documents.reader(from_redo=("NOTE", "WIDE", "BYTES"))
    try:
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with documents.cursor() as cursor:
            insert(cursor, 1, pick, 9_000)
            cursor.setinputsizes(oracledb.DB_TYPE_CLOB)
            cursor.execute("update doc set margin = :1 where id = 1", [text(pick, 9_000)])
            cursor.execute(
                "declare l clob; begin select note into l from doc where id = 1 for update; "
                "dbms_lob.trim(l, 0); dbms_lob.writeappend(l, 2, 'ab'); end;"
            )
        found = reading.take(3)
        assert reader.source_lag()["reselected_rows"] == 0
        assert [event.after["note"] for event in found][-1] == "ab"
        assert "margin" not in found[0].after
        with documents.cursor() as cursor:
            cursor.execute("update doc set id = 2 where id = 1")
        (moved,) = reading.take(1)
        assert (moved.after["id"], moved.after["note"]) == ("2", "ab")
        assert reader.source_lag()["reselected_rows"] == 1
    finally:
        reader.close()


@pytest.mark.parametrize("code", [1555, 22924, 1466, 8181])
def test_newest_value_where_undo_is_gone(documents: Documents, code: int) -> None:
    """The value of now is taken and said to be newer; a row that is gone keeps its LOB unknown."""
    needs_stand_in()
    pick = random.Random(4)  # noqa: S311 - data, no secret
    reader = documents.reader()
    try:
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with documents.cursor() as cursor:
            insert(cursor, 1, pick, 9_000)
            insert(cursor, 2, pick, 9_000)
        with documents.cursor() as cursor:
            cursor.execute("update doc set note = 'newer' where id = 1")
            cursor.execute("delete from doc where id = 2")
        with system_session(documents.dsn) as cursor:
            cursor.execute(
                "begin sandbox_faults.add_error(code => :1, statement => 'as of scn', times => 100); end;",
                [code],
            )
        with structlog.testing.capture_logs() as logs:
            found = reading.take(4)
        assert [event.after.get("note") for event in found[:3]] == ["newer", ABSENT, "newer"]
        assert {entry["event"] for entry in logs} >= {"large_values_newer"}
        assert reader.source_lag()["newer_rows"] >= 2
    finally:
        with system_session(documents.dsn) as cursor:
            cursor.execute("begin sandbox_faults.clear; end;")
        reader.close()


@pytest.mark.parametrize("from_redo", FROM_REDO, ids=["reselect", "redo"])
def test_long_transaction_is_spilled_and_read_on(
    documents: Documents, tmp_path: Path, from_redo: tuple[str, ...]
) -> None:
    """LOB rows on disk, a restart in the middle, several batches: each value once and whole."""
    pick = random.Random(5)  # noqa: S311 - data, no secret
    options = {
        "open_transaction_bytes": 20_000,
        "spill_directory": tmp_path,
        "open_transaction_write_s": 0,
    }
    reader = documents.reader(from_redo=from_redo, **options)
    reading = Reading(reader, snapshot(reader)[-1].resume)
    with documents.cursor() as long, documents.cursor() as quick:
        for key in range(20):
            insert(long, key, pick, 6_000)
        insert(quick, 900, pick, 10)
        quick.connection.commit()
        found = reading.take(1)
        reader.close()
        assert list(tmp_path.rglob("*.rows"))
        for key in range(10, 30):
            long.execute("delete from doc where id = :1", [key])
            insert(long, key, pick, 6_000)
        insert(long, 99, pick, 1_200_000)
    reader = documents.reader(from_redo=from_redo, **options)
    try:
        reading = Reading(reader, reading.resume, max_changes=7)
        found += reading.take(51)
        rows: dict[str, dict[str, str | None]] = {}
        applied(found, rows)
        assert rows == documents.rows()
        assert len({event.place for event in found}) == len(found)
    finally:
        reader.close()


@pytest.mark.parametrize("unescaped", [False, True])
@pytest.mark.parametrize("from_redo", [(), ("NOTE", "BYTES")], ids=["reselect", "redo"])
def test_extended_strings_are_followed(tmp_path: Path, from_redo: tuple[str, ...], unescaped: bool) -> None:
    """VARCHAR2 and RAW beyond 4000 bytes, short and long, changed with and without their row."""
    needs_stand_in()
    pick = random.Random(6)  # noqa: S311 - data, no secret
    with oracle_server(tmp_path) as dsn:
        with system_session(dsn) as cursor:
            cursor.execute("alter system set max_string_size = extended scope = spfile")
            if unescaped:
                cursor.execute("begin sandbox_faults.leave_apostrophes; end;")
        columns = "id number primary key, kind varchar2(9), note varchar2(32767), wide clob, bytes raw(32767)"
        documents = Documents(dsn, columns=columns)
        reader = documents.reader(from_redo=from_redo, unescaped_apostrophes=unescaped)
        rows: dict[str, dict[str, str | None]] = {}
        try:
            assert [finding for finding in reader.preflight() if not finding.advice] == []
            with documents.cursor() as cursor:
                extended(cursor, 1, pick, 1_000)
            batches = snapshot(reader)
            for batch in batches:
                applied(events(batch), rows)
            assert rows == documents.rows()
            with documents.cursor() as cursor:
                for key, size in enumerate((0, 3, 100, 1_000), 10):
                    extended(cursor, key, pick, size)
                cursor.execute("update doc set note = 'it''s short' where id = 1")
                cursor.execute("update doc set note = :1 where id = 10", ["né'😀" * 3_000])
                cursor.execute("update doc set kind = 'b', note = :1 where id = 11", ["x'" * 3_000])
                cursor.execute("update doc set note = null where id = 13")
                cursor.execute("delete from doc where id = 12")
            reading = Reading(reader, batches[-1].resume)
            applied(reading.take(9), rows)
            assert rows == documents.rows()
        finally:
            reader.close()


def extended(cursor: oracledb.Cursor, key: int, pick: random.Random, size: int) -> None:
    with cursor.connection.cursor() as fresh:  # a cursor keeps the types of its first binds
        fresh.execute(
            "insert into doc (id, kind, note, bytes) values (:1, :2, :3, :4)",
            [key, "a", "l'été d'avant, 'x' 😀 " * size or None, pick.randbytes(size) or None],
        )


def test_check_refuses_columns_that_no_rule_reads(documents: Documents) -> None:
    """A misspelled or unmapped column is named with its nearest name; known ones are in order."""
    reader = documents.reader(from_redo=("NOTES", "MARGIN", "WIDE"))
    try:
        found = [finding for finding in reader.preflight() if finding.subject == "setting lobs_from_redo"]
    finally:
        reader.close()
    assert [(one.found.rpartition(".")[2], one.fix.rpartition(".")[2]) for one in found][1] == (
        "NOTES",
        "NOTE?",
    )
    assert {one.found.rpartition(".")[2] for one in found} == {"MARGIN", "NOTES"}
