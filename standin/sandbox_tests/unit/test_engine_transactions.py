from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.interface import OracleFault
from sandbox_tests.unit.engine_client import Sql, a_database

WAIT_S = 10


@pytest.fixture
def database() -> Iterator[OracleDatabase]:
    database = a_database()
    database.run_script(
        "create table CISADM.T (ID number(5) primary key, V varchar2(10));"
        "insert into CISADM.T values (1, 'a'); insert into CISADM.T values (2, 'b')"
    )
    yield database
    for session in list(database.sessions.values()):
        session.close()


class Parallel:
    """A statement in a thread of its own."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.fault: OracleFault | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except OracleFault as fault:
            self.fault = fault

    def finish(self) -> OracleFault | None:
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "still waiting"
        return self.fault


def until_somebody_waits(database: OracleDatabase) -> None:
    """Return once any session waits for another."""
    pause = threading.Event()
    for _ in range(WAIT_S * 100):
        if any(each.waits_for is not None for each in list(database.storage.open_transactions)):
            return
        pause.wait(0.01)
    raise AssertionError("nobody waits")


def test_others_see_committed_work_only(database: OracleDatabase) -> None:
    """Own changes show at once, those of others with their commit, and a rollback leaves nothing."""
    one, two = Sql(database), Sql(database)
    one.run("update t set v = 'x' where id = 1")
    one.run("insert into t values (3, 'c')")
    assert one.rows("select v from t order by id") == [("x",), ("b",), ("c",)]
    assert two.rows("select v from t order by id") == [("a",), ("b",)]
    one.session.commit()
    assert two.rows("select v from t order by id") == [("x",), ("b",), ("c",)]
    two.run("delete from t")
    two.session.rollback()
    assert one.rows("select count(*) from t") == [(3,)]


def test_a_query_sees_the_moment_it_began(database: OracleDatabase) -> None:
    """Rows committed while a client fetches do not appear, however slowly it reads."""
    one, two = Sql(database), Sql(database)
    rows = one.run("select v from t order by v").rows
    two.run("update t set v = 'z'")
    two.run("insert into t values (3, 'c')")
    two.session.commit()
    assert list(rows) == [(b"a",), (b"b",)]


def test_flashback_reads_any_scn(database: OracleDatabase) -> None:
    """AS OF SCN gives the rows as they were committed then, keys that moved and rows deleted included."""
    sql = Sql(database)
    first = sql.scn()
    sql.run("update t set id = 9, v = 'moved' where id = 1")
    sql.run("delete from t where id = 2")
    sql.session.commit()
    second = sql.scn()
    sql.run("insert into t values (1, 'again')")
    sql.session.commit()
    assert sql.rows("select id, v from t as of scn :1 order by id", first) == [(1, "a"), (2, "b")]
    assert sql.rows("select v from t as of scn :1 where id = 1", first) == [("a",)]
    assert sql.rows("select id, v from t as of scn :1", second) == [(9, "moved")]
    assert sql.rows("select id from t order by id") == [(1,), (9,)]
    sql.run("alter table t add (n number)")
    with pytest.raises(OracleFault, match="ORA-01466"):
        sql.rows("select id from t as of scn :1", first)


def test_a_second_writer_waits_and_then_sees_the_new_row(database: OracleDatabase) -> None:
    """The update behind a lock runs on what was committed, not on what it first saw."""
    one, two = Sql(database), Sql(database)
    one.run("update t set v = v || '1' where id = 1")
    blocked = Parallel(lambda: two.run("update t set v = v || '2' where id = 1"))
    until_somebody_waits(database)
    one.session.commit()
    assert blocked.finish() is None
    two.session.commit()
    assert one.rows("select v from t where id = 1") == [("a12",)]


def test_a_deadlock_is_found(database: OracleDatabase) -> None:
    """Two sessions that wait for each other: one gets ORA-00060 and keeps its other work."""
    one, two = Sql(database), Sql(database)
    one.run("update t set v = '1' where id = 1")
    two.run("update t set v = '2' where id = 2")
    blocked = Parallel(lambda: one.run("update t set v = '1' where id = 2"))
    until_somebody_waits(database)
    with pytest.raises(OracleFault, match="ORA-00060"):
        two.run("update t set v = '2' where id = 1")
    two.session.commit()
    assert blocked.finish() is None
    one.session.commit()
    assert one.rows("select v from t order by id") == [("1",), ("1",)]


def test_the_same_new_key_waits_for_the_first(database: OracleDatabase) -> None:
    """A duplicate of an uncommitted key fails when that commits and succeeds when it is rolled back."""
    one, two = Sql(database), Sql(database)
    for ending, code in (("rollback", None), ("commit", 1)):
        one.run("insert into t values (7, 'one')")
        blocked = Parallel(lambda: two.run("insert into t values (7, 'two')"))
        until_somebody_waits(database)
        one.run(ending)
        fault = blocked.finish()
        assert (fault.code if fault else None) == code
        two.session.rollback()


def test_for_update_locks_and_nowait_refuses(database: OracleDatabase) -> None:
    """SELECT FOR UPDATE keeps others from writing; NOWAIT says so at once."""
    one, two = Sql(database), Sql(database)
    assert one.rows("select v from t where id = 1 for update") == [("a",)]
    with pytest.raises(OracleFault, match="ORA-00054"):
        two.rows("select v from t where id = 1 for update nowait")
    assert two.rows("select v from t where id = 2 for update nowait") == [("b",)]
    one.session.commit()
    assert two.rows("select v from t where id = 1 for update nowait") == [("a",)]


def test_a_failing_statement_changes_nothing(database: OracleDatabase) -> None:
    """One row of many that cannot be changed undoes the statement and only it."""
    sql = Sql(database)
    sql.run("insert into t values (3, 'kept')")
    with pytest.raises(OracleFault, match="ORA-12899"):
        sql.run("update t set v = decode(id, 3, 'much too long for it', 'changed')")
    with pytest.raises(OracleFault, match="ORA-00001"):
        sql.run("update t set id = 2 where id <> 2")
    sql.session.commit()
    assert sql.rows("select id, v from t order by id") == [(1, "a"), (2, "b"), (3, "kept")]


def test_savepoints_undo_what_came_later(database: OracleDatabase) -> None:
    """ROLLBACK TO keeps the transaction and what was before; later savepoints are gone."""
    sql = Sql(database)
    sql.run("update t set v = '1' where id = 1")
    sql.run("savepoint a")
    sql.run("delete from t")
    sql.run("savepoint b")
    sql.run("rollback to savepoint a")
    assert sql.session.in_transaction
    with pytest.raises(OracleFault, match="ORA-01086"):
        sql.run("rollback to b")
    sql.session.commit()
    assert sql.rows("select v from t order by id") == [("1",), ("b",)]


def test_a_cancelled_wait_ends(database: OracleDatabase) -> None:
    """A client that gives up waiting for a lock gets ORA-01013 and can go on."""
    one, two = Sql(database), Sql(database)
    one.run("update t set v = 'x' where id = 1")

    def cancel() -> None:
        raise OracleFault(1013, "user requested cancel of current operation")

    with pytest.raises(OracleFault, match="ORA-01013"):
        two.session.execute("update t set v = 'y' where id = 1", (), (), check_cancel=cancel)
    assert two.run("update t set v = 'y' where id = 2").row_count == 1


def test_keys_may_change_places_within_a_statement(database: OracleDatabase) -> None:
    """Uniqueness holds at the end of a statement, not after each of its rows."""
    sql = Sql(database)
    assert sql.run("update t set id = 3 - id").row_count == 2
    sql.session.commit()
    assert sql.rows("select id, v from t order by id") == [(1, "b"), (2, "a")]


def test_undo_is_kept_as_long_as_undo_retention_says() -> None:
    """A long query and an old SCN end in ORA-01555; without the parameter undo lasts for ever."""
    now = [1_700_000_000.0]
    database = a_database(clock=lambda: now[0])
    database.run_script(
        "create table CISADM.T (n number); insert into CISADM.T values (1);"
        "insert into CISADM.T values (2); commit;"
    )
    sql = Sql(database)
    ((scn,),) = Sql(database, "SYS").rows("select current_scn from v$database")
    now[0] += 5000
    assert sql.rows(f"select count(*) from t as of scn {scn}") == [(2,)]
    database.run_script("alter system set undo_retention = 900")
    with pytest.raises(OracleFault, match="ORA-01555"):
        sql.rows(f"select count(*) from t as of scn {scn}")
    rows = sql.run("select n from t order by n").rows
    assert next(rows) == (b"\xc1\x02",)
    now[0] += 901
    with pytest.raises(OracleFault, match="ORA-01555"):
        next(rows)
    assert len(sql.rows("select n from t")) == 2
