"""DML, transactions, PL/SQL and large objects through the unmodified oracledb driver."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import oracledb
import pytest

from sandbox_tests.integration.net_bench import DIALECTS, Bench, served
from sandbox_tests.unit.fake_oracle import ROWID

INSERT = "insert into t values (:1, :2)"


@pytest.fixture(params=list(DIALECTS.values()), ids=list(DIALECTS))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with served(**request.param) as running:
        yield running


@pytest.fixture
def connection(bench: Bench) -> oracledb.Connection:
    return bench.connect()


@pytest.fixture
def cursor(connection: oracledb.Connection) -> Iterator[oracledb.Cursor]:
    with connection.cursor() as opened:
        yield opened


def open_transaction(connection: oracledb.Connection) -> bool:
    return connection.transaction_in_progress


def count(connection: oracledb.Connection) -> int:
    with connection.cursor() as cursor:
        (found,) = cursor.execute("select count(*) from t").fetchone()
    return int(found)


def test_an_insert_tells_row_and_row_id(connection: oracledb.Connection, cursor: oracledb.Cursor) -> None:
    """And the transaction it opened, until it ends."""
    cursor.execute(INSERT, [1, "a"])
    assert (cursor.rowcount, cursor.lastrowid) == (1, ROWID)
    assert open_transaction(connection)
    connection.rollback()
    assert not open_transaction(connection)
    assert count(connection) == 0


def test_only_committed_rows_are_seen_by_others(bench: Bench, connection: oracledb.Connection) -> None:
    """Sessions are apart."""
    other = bench.connect()
    with connection.cursor() as cursor:
        cursor.executemany(INSERT, [(1, "a"), (2, None)])
    assert (count(connection), count(other)) == (2, 0)
    connection.commit()
    assert count(other) == 2


def test_autocommit_on_first_and_later_runs(bench: Bench, connection: oracledb.Connection) -> None:
    """Each run is committed with the call that makes it."""
    connection.autocommit = True
    with connection.cursor() as cursor:
        for number in range(4):
            cursor.execute(INSERT, [number, "x"])
            assert not connection.transaction_in_progress
    assert len(bench.database.table) == 4


def test_ten_thousand_rows_in_one_call(bench: Bench, cursor: oracledb.Cursor) -> None:
    """Rows cut by packets arrive whole, NULLs and long strings among them."""
    rows = [(number, None if number % 5 == 0 else "ü" * (number % 300)) for number in range(10000)]
    cursor.executemany(INSERT, rows)
    assert cursor.rowcount == 10000
    cursor.connection.commit()
    lengths = [len(cell) if cell else 0 for cell in bench.database.table.values()]
    assert lengths == [2 * len(name or "") for _, name in rows]


def test_1200_rows_with_long_strings(bench: Bench, cursor: oracledb.Cursor) -> None:
    """Strings above 252 bytes travel in chunks; above 4000 some dialects send them last."""
    rows = [(number, "s" * (3990 + number % 30)) for number in range(1200)]
    cursor.executemany(INSERT, rows)
    cursor.connection.commit()
    assert [len(cell or b"") for cell in bench.database.table.values()] == [len(name) for _, name in rows]


def test_a_failing_row_stops_and_is_named(connection: oracledb.Connection, cursor: oracledb.Cursor) -> None:
    """The rows before it stay in the transaction; the statement works again."""
    with pytest.raises(oracledb.IntegrityError, match="ORA-00001") as caught:
        cursor.executemany(INSERT, [(1, "a"), (2, "b"), (1, "c"), (3, "d")])
    assert caught.value.args[0].offset == 2
    assert cursor.rowcount == 2
    assert count(connection) == 2
    cursor.execute(INSERT, [9, "again"])
    assert count(connection) == 3


def test_batch_errors_name_every_failing_row(cursor: oracledb.Cursor) -> None:
    """First, last and in between; the others are written."""
    cursor.execute(INSERT, [1, "there"])
    rows = [(1, "a"), (2, "b"), (2, "c"), (3, "d"), (1, "e")]
    cursor.executemany(INSERT, rows, batcherrors=True, arraydmlrowcounts=True)
    faults = cursor.getbatcherrors()
    assert [(fault.offset, fault.full_code) for fault in faults] == [
        (0, "ORA-00001"),
        (2, "ORA-00001"),
        (4, "ORA-00001"),
    ]
    assert "unique constraint" in faults[0].message
    assert cursor.getarraydmlrowcounts() == [0, 1, 0, 1, 0]
    assert cursor.rowcount == 2


def test_returning_of_one_and_of_many_rows(cursor: oracledb.Cursor) -> None:
    """One list per run, whatever the number of rows."""
    key = cursor.var(int, arraysize=3)
    cursor.setinputsizes(None, None, key)
    cursor.executemany("insert into t values (:1, :2) returning id into :3", [(5, "x"), (6, "y"), (7, "z")])
    assert [key.getvalue(run) for run in range(3)] == [[5], [6], [7]]
    changed = cursor.var(int)
    cursor.execute("update t set a = a returning id into :changed", changed=changed)
    assert changed.getvalue() == [1, 2, 3]
    assert cursor.rowcount == 3


def test_a_block_gives_values_back(cursor: oracledb.Cursor) -> None:
    """OUT and IN OUT, again and again with the same cursor."""
    text, number = cursor.var(str), cursor.var(int)
    for given, start in (("abc", 1), ("grüße", 41), (None, 5)):
        number.setvalue(0, start)
        cursor.execute("begin :o := upper(:i); :n := :n + 1; end;", o=text, i=given, n=number)
        assert text.getvalue() == (given.upper() if given else None)
        assert number.getvalue() == start + 1


def test_a_block_opens_a_cursor(cursor: oracledb.Cursor) -> None:
    """A REF CURSOR is fetched like any other, and can be opened many times."""
    for rows in (0, 3, 250):
        opened = cursor.var(oracledb.DB_TYPE_CURSOR)
        cursor.execute(f"begin open :c for {rows}; end;", [opened])
        result = opened.getvalue()
        assert [column.name for column in result.description] == ["ID", "NAME"]
        assert len(result.fetchall()) == rows
        result.close()


def test_an_array_goes_in_and_comes_back(cursor: oracledb.Cursor) -> None:
    """PL/SQL arrays have a count in front of their values."""
    names = cursor.arrayvar(str, ["a", None, "ccc"], 10)
    cursor.execute("begin reverse(:names); end;", [names])
    assert names.getvalue() == ["ccc", None, "a"]


def test_an_error_of_a_block_has_its_own_number(cursor: oracledb.Cursor) -> None:
    """And the session goes on."""
    for _ in range(3):
        with pytest.raises(oracledb.DatabaseError, match="ORA-20001: my own error"):
            cursor.execute("begin raise_it(:1); end;", [5])
    assert cursor.execute("select count(*) from t").fetchone() == (0,)


def test_large_objects_as_locators(cursor: oracledb.Cursor) -> None:
    """Whole, in parts and after later rows were fetched; twice with the same statement."""
    for _ in range(2):
        rows = cursor.execute("select * from lobs_3", fetch_lobs=True).fetchall()
        assert [row[0] for row in rows] == [1, 2, 3, 99]
        _, text, binary, name = rows[1]
        whole = "täxt 2 " * 2000
        assert text.size() == len(whole)
        assert text.read() == whole
        assert text.read(8, 5) == "täxt "
        assert binary.read(2, 3) == b"\xff\x00\xff"
        assert text.getchunksize() > 0
        assert name == "n2"
        assert rows[3][1:] == (None, None, "none")


def test_large_objects_as_values(cursor: oracledb.Cursor) -> None:
    """The same statement, without locators, in one round trip per batch."""
    for _ in range(2):
        rows = cursor.execute("select * from lobs_30", fetch_lobs=False).fetchall()
        assert [(row[0], row[1], row[2], row[3]) for row in rows[:30]] == [
            (at, f"täxt {at} " * at * 1000, b"\x00\xff" * at * 1000, f"n{at}") for at in range(1, 31)
        ]
        assert rows[30] == (99, None, None, "none")


def test_a_temporary_large_object_is_written_trimmed_and_bound(
    connection: oracledb.Connection, cursor: oracledb.Cursor
) -> None:
    """Offsets count characters; text behind the end is filled up with blanks."""
    lob = connection.createlob(oracledb.DB_TYPE_CLOB, "grüße")
    lob.write(" und mehr 😀", 6)
    assert lob.read() == "grüße und mehr 😀"
    lob.trim(9)
    assert lob.read() == "grüße und"
    lob.open()
    assert lob.isopen()
    lob.close()
    cursor.execute(INSERT, [1, lob])
    text = cursor.var(oracledb.DB_TYPE_CLOB)
    cursor.execute("begin :o := big; end;", [text])
    found: Any = text.getvalue()
    assert found.read() == "grüße " * 20000
    connection.commit()
    binary = connection.createlob(oracledb.DB_TYPE_BLOB, b"\x01")
    binary.write(b"\x03", 3)
    assert binary.read() == b"\x01\x00\x03"


def test_a_bound_large_object_arrives_whole(bench: Bench, connection: oracledb.Connection) -> None:
    """The engine sees the content, not the locator."""
    lob = connection.createlob(oracledb.DB_TYPE_CLOB, "ä" * 50000)
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [1, lob])
        connection.commit()
    assert list(bench.database.table.values()) == ["ä".encode() * 50000]


def test_a_pool_of_threads(bench: Bench) -> None:
    """Sessions are served side by side."""
    pool = oracledb.create_pool(user="scott", password="tiger", dsn=bench.dsn, min=1, max=4)
    try:

        def work(number: int) -> int:
            with pool.acquire() as connection, connection.cursor() as cursor:
                cursor.execute(INSERT, [number, "p"])
                connection.commit()
                return len(cursor.execute("select * from numbers_500").fetchall())

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(work, range(40))) == [500] * 40
    finally:
        pool.close(force=True)
    assert len(bench.database.table) == 40
