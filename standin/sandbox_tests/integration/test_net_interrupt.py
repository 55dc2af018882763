"""A call ends when its client wants it to, whatever the server is doing, and the session goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import oracledb
import pytest

from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.faults.script import Moment
from sandbox.oracle.server import OracleServer

SOON_S = 1.0
ROWS = 1500
WORK = {
    "sleep": "begin dbms_session.sleep(30); end;",
    "sleep of dbms_lock": "begin dbms_lock.sleep(30); end;",
    "join without a condition": "select count(*) from t a, t b, t c",
    "join whose condition is never met": "select a.n from t a, t b, t c where a.n + b.n + c.n < 0",
    "outer join": "select count(*) from t a left join t b on a.n + b.n > 0 left join t c on c.n + b.n > 0",
    "subquery for each row": "select count(*) from t a, t x where not exists "
    "(select 1 from t b where b.n + a.n + x.n < 0)",
    "small subqueries": "select count(*) from t a, t x where not exists "
    "(select 1 from small b where b.n + a.n < 0)",
    "groups": "select a.n + b.n, count(*) from t a, t b, t c group by a.n + b.n",
    "order": "select a.n from t a, t b, t c order by a.n + b.n",
    "window": "select row_number() over (order by a.n) from t a, t b, t c",
    "union": "select a.n from t a, t b, t c union select n from t",
    "update": "update t set n = (select count(*) from t a, t b where a.n + b.n + t.n < 0)",
    "insert from a query": "insert into small select a.n from t a, t b, t c where a.n + b.n + c.n < 0",
    "delete": "delete from t where exists (select 1 from t a, t b where a.n + b.n + t.n < 0)",
    "merge": "merge into small using (select a.n from t a, t b, t c where a.n + b.n + c.n < 0) s "
    "on (small.n = s.n) when not matched then insert values (s.n)",
    "block": "begin update t set n = (select count(*) from t a, t b where a.n + b.n + t.n < 0); end;",
    "row lock": "update held set n = 3",
    "select for update": "select n from held for update",
    "lock table": "lock table held in exclusive mode",
    "duplicate key of an open transaction": "insert into held values (2)",
    "START_LOGMNR": "begin dbms_logmnr.start_logmnr(options => 16); end;",
    "V$LOGMNR_CONTENTS": "select count(*) from v$logmnr_contents",
}


@pytest.fixture(scope="module")
def server() -> Iterator[OracleServer]:
    database = OracleDatabase("CCB")
    database.run_script(
        'create user CISADM identified by "first"; alter user SYSTEM identified by "first"; '
        "grant dba, execute_catalog_role to CISADM; alter database add supplemental log data;"
    )
    with OracleServer(database) as running:
        with closing(connect(running)) as connection, connection.cursor() as cursor:
            cursor.execute("create table t (n number)")
            cursor.execute("create table small (n number)")
            cursor.execute("create table held (n number primary key)")
            cursor.executemany("insert into t values (:1)", [(n,) for n in range(ROWS)])
            cursor.executemany("insert into small values (:1)", [(n,) for n in range(200)])
            cursor.execute("insert into held values (1)")
            connection.commit()
        with closing(connect(running)) as holder, holder.cursor() as cursor:
            cursor.execute("update held set n = 2")
            yield running


def connect(server: OracleServer, user: str = "cisadm") -> oracledb.Connection:
    return oracledb.connect(user=user, password="first", dsn=f"127.0.0.1:{server.port}/CCB")


@pytest.fixture
def connection(server: OracleServer) -> Iterator[oracledb.Connection]:
    with closing(connect(server)) as connection:
        yield connection


def prepared(server: OracleServer, cursor: oracledb.Cursor, work: str) -> None:
    """Mining calls are made slow; a run is there to be read."""
    database = server.database
    assert isinstance(database, OracleDatabase)
    database.faults.clear()
    if "logmnr" not in work:
        return
    with closing(connect(server, "system")) as system, system.cursor() as other:
        other.execute(
            "begin sandbox_faults.add_delay(seconds => 30, statement => :1, username => 'CISADM'); end;",
            ["start_logmnr" if "start_logmnr" in work else "from v$logmnr_contents"],
        )
        member, scn = other.execute(
            "select f.member, d.current_scn from v$logfile f, v$log l, v$database d "
            "where l.group# = f.group# and l.status = 'CURRENT'"
        ).fetchone()
    cursor.execute("begin dbms_logmnr.add_logfile(:1, dbms_logmnr.new); end;", [member])
    if "start_logmnr" not in work:
        cursor.execute("begin dbms_logmnr.start_logmnr(startscn => :1, options => 16); end;", [scn])


@pytest.mark.parametrize(
    "work", [WORK[name] for name in ("sleep", "order", "row lock", "START_LOGMNR", "V$LOGMNR_CONTENTS")]
)
def test_a_call_time_out_ends_the_call_soon(
    server: OracleServer, connection: oracledb.Connection, work: str
) -> None:
    """DPY-4024, in time, and the same session goes on; DPY-4011 would be a lost connection."""
    with connection.cursor() as cursor:
        prepared(server, cursor, work)
        connection.call_timeout = 300
        begun = time.monotonic()
        with pytest.raises(oracledb.DatabaseError, match="DPY-4024"):
            cursor.execute(work).fetchall()
        assert time.monotonic() - begun < 0.3 + SOON_S
        connection.call_timeout = 0
        assert cursor.execute("select count(*) from t").fetchone() == (ROWS,)


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_a_cancel_ends_any_work_soon(
    server: OracleServer, connection: oracledb.Connection, work: str
) -> None:
    """ORA-01013 within a second, and the same session goes on."""
    with connection.cursor() as cursor:
        prepared(server, cursor, work)
        asked: list[float] = []

        def cancel() -> None:
            asked.append(time.monotonic())
            connection.cancel()

        timer = threading.Timer(0.08, cancel)
        timer.start()
        with pytest.raises(oracledb.DatabaseError, match="ORA-01013"):
            cursor.execute(work).fetchall()
        assert time.monotonic() - asked[0] < SOON_S
        timer.join()
        assert cursor.execute("select count(*) from t").fetchone() == (ROWS,)


def _failure(cursor: oracledb.Cursor, statement: str) -> str | None:
    try:
        cursor.execute(statement)
    except oracledb.DatabaseError as exc:
        return str(exc)
    return None


def test_whoever_waits_behind_another_sessions_long_statement_can_give_up(server: OracleServer) -> None:
    """The other one goes on until it is cancelled itself."""
    with closing(connect(server)) as busy, closing(connect(server)) as waiting:
        ended = threading.Event()

        def work() -> None:
            with busy.cursor() as cursor, pytest.raises(oracledb.DatabaseError, match="ORA-01013"):
                cursor.execute(WORK["update"])
            ended.set()

        thread = threading.Thread(target=work)
        thread.start()
        waiting.call_timeout = 300
        database = server.database
        assert isinstance(database, OracleDatabase)
        while not any(s.statement == WORK["update"] for s in list(database.sessions.values())):
            threading.Event().wait(0.01)
        with waiting.cursor() as cursor:
            while (failure := _failure(cursor, "update small set n = n where n = 1")) is None:
                waiting.rollback()
            assert "DPY-4024" in failure
        busy.cancel()
        thread.join(10)
        assert ended.is_set()
        waiting.call_timeout = 0
        waiting.ping()


def test_a_sleep_lasts_as_long_as_it_says(connection: oracledb.Connection) -> None:
    """Fractions of a second count."""
    with connection.cursor() as cursor:
        begun = time.monotonic()
        cursor.execute("begin dbms_session.sleep(0.25); end;")
        assert 0.25 <= time.monotonic() - begun < 0.25 + SOON_S


def test_a_cancelled_fetch_is_not_the_end_of_the_rows(
    server: OracleServer, connection: oracledb.Connection
) -> None:
    """Rows that were given are there, the next fetch is refused: no row is lost in silence."""
    database = server.database
    assert isinstance(database, OracleDatabase)
    database.faults.clear()
    database.faults.add(Moment.FETCH, 0, statement="from t where", after_rows=500, seconds=30.0)
    with connection.cursor() as cursor:
        cursor.arraysize = cursor.prefetchrows = 100
        cursor.execute("select n from t where n >= 0 order by n")
        assert [n for (n,) in cursor.fetchmany(400)] == list(range(400))
        connection.call_timeout = 200
        with pytest.raises(oracledb.DatabaseError, match="DPY-4024"):
            cursor.fetchmany(400)
        connection.call_timeout = 0
        with pytest.raises(oracledb.DatabaseError, match="ORA-01002"):
            cursor.fetchall()
        assert len(cursor.execute("select n from t").fetchall()) == ROWS
