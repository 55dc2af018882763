"""Protocol and engine together, as the product meets them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from decimal import Decimal

import oracledb
import pytest

from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.server import OracleServer

FIRST = "first"
TABLE = (
    "create table account (id number(10) primary key, name varchar2(40), amount number(15,2), "
    "opened date, changed timestamp(6), class char(5), note clob, picture blob)"
)


@pytest.fixture
def server() -> Iterator[OracleServer]:
    database = OracleDatabase("CCB")
    database.run_script('create user CISADM identified by "first"; grant dba to CISADM;')
    with OracleServer(database) as running:
        yield running


def connect(server: OracleServer, password: str = FIRST) -> oracledb.Connection:
    return oracledb.connect(user="cisadm", password=password, dsn=f"127.0.0.1:{server.port}/CCB")


def test_rows_of_every_type_go_in_and_come_out(server: OracleServer) -> None:
    """Money is exact, CHAR is padded, long texts are whole."""
    moment = datetime(2024, 2, 29, 1, 2, 3)  # noqa: DTZ001 (DATE has no zone)
    row = (1, "grüße", Decimal("12.50"), moment, moment, "ab", "ä" * 50000, b"\x00\x01" * 30000)
    with closing(connect(server)) as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.execute("insert into account values (:1, :2, :3, :4, :5, :6, :7, :8)", row)
        cursor.execute("insert into account (id, name) values (2, '')")
        connection.commit()
        cursor.execute("select * from account order by id", fetch_lobs=False, fetch_decimals=True)
        first, second = cursor.fetchall()
    assert first == (*row[:5], "ab   ", *row[6:])
    assert second == (2, *[None] * 7)


def test_array_inserts_and_batches_of_rows(server: OracleServer) -> None:
    """Ten thousand rows in one call and back."""
    rows = [(number, f"name {number}", Decimal(number) / 100) for number in range(10000)]
    with closing(connect(server)) as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.executemany("insert into account (id, name, amount) values (:1, :2, :3)", rows)
        connection.commit()
        cursor.arraysize = 1000
        cursor.execute("select id, name, amount from account order by id", fetch_decimals=True)
        assert cursor.fetchall() == rows
        key = cursor.var(int)
        cursor.execute("update account set name = 'x' where id < 3 returning id into :key", key=key)
        assert sorted(key.getvalue()) == [0, 1, 2]


def test_a_statement_that_waits_for_a_lock_can_be_given_up(server: OracleServer) -> None:
    """The waiting session goes on, and gets the row once it is free."""
    with (
        closing(connect(server)) as holder,
        closing(connect(server)) as waiter,
        holder.cursor() as first,
        waiter.cursor() as second,
    ):
        first.execute(TABLE)
        first.execute("insert into account (id) values (1)")
        holder.commit()
        first.execute("update account set name = 'held' where id = 1")
        waiter.call_timeout = 200
        with pytest.raises(oracledb.DatabaseError, match="DPY-4024"):
            second.execute("update account set name = 'mine' where id = 1")
        waiter.call_timeout = 0
        release = threading.Timer(0.1, holder.commit)
        release.start()
        second.execute("update account set name = 'mine' where id = 1")
        release.join()
        waiter.commit()
        assert first.execute("select name from account").fetchall() == [("mine",)]


def test_a_changed_password_counts_at_the_next_login(server: OracleServer) -> None:
    """The old one is refused."""
    with closing(connect(server)) as connection:
        connection.changepassword("first", "second")
    with pytest.raises(oracledb.DatabaseError, match="ORA-01017"):
        connect(server)
    connect(server, "second").close()


def test_a_killed_session_loses_its_changes(server: OracleServer) -> None:
    """Its client sees that the connection is gone."""
    with closing(connect(server)) as keeper:
        connection = connect(server)
        with keeper.cursor() as cursor, connection.cursor() as doomed:
            cursor.execute(TABLE)
            doomed.execute("insert into account (id) values (1)")
            database = server.database
            assert isinstance(database, OracleDatabase)
            database.kill(connection.session_id)
            with pytest.raises(oracledb.DatabaseError, match="DPY-4011"):
                doomed.execute("select 1 from dual")
            assert cursor.execute("select count(*) from account").fetchone() == (0,)
