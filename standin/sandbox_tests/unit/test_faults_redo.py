"""Faults of the redo: late, lost and deleted logs, two threads, redo that is not flushed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.interface import OracleFault
from sandbox_tests.unit.engine_client import Sql, a_database

START = (
    "begin dbms_logmnr.start_logmnr(startscn => :1, endscn => :2, "
    "options => dbms_logmnr.dict_from_online_catalog); end;"
)
ADD = "begin dbms_logmnr.add_logfile(:1, dbms_logmnr.{0}); end;"
ARCHIVED = "select sequence# from v$archived_log where name is not null and status = 'A' order by 1"


@pytest.fixture
def database() -> Iterator[OracleDatabase]:
    database = a_database()
    database.run_script("create table CISADM.T (ID number(5) primary key);")
    yield database
    for session in list(database.sessions.values()):
        session.close()


@pytest.fixture
def system(database: OracleDatabase) -> Sql:
    return Sql(database, "SYSTEM")


@pytest.fixture
def writer(database: OracleDatabase) -> Sql:
    return Sql(database)


def call(sql: Sql, text: str) -> None:
    sql.run(f"begin sandbox_faults.{text}; end;")


def write(sql: Sql, *keys: int) -> None:
    for key in keys:
        sql.run("insert into t values (:1)", key)
    sql.session.commit()


def mined(database: OracleDatabase, names: list[str], start: int, end: int, columns: str) -> list[Any]:
    """The inserts of some logs in a range of SCN."""
    reader = Sql(database, "CCBRIDGE")
    try:
        for at, name in enumerate(names):
            reader.run(ADD.format("addfile" if at else "new"), name)
        reader.run(START, start, end)
        return reader.rows(
            f"select {columns} from v$logmnr_contents where operation_code = 1 and table_name = 'T' "
            f"and scn > {start} and scn <= {end}"
        )
    finally:
        reader.session.close()


def current_logs(sql: Sql, *threads: int) -> list[str]:
    found = dict(
        sql.rows(
            "select l.thread#, f.member from v$log l join v$logfile f on f.group# = l.group# "
            "where l.status = 'CURRENT'"
        )
    )
    return [found[thread] for thread in threads]


def test_logs_switch_by_themselves(system: Sql, writer: Sql) -> None:
    """Every so many redo records a new sequence begins."""
    call(system, "switch_logs(every => 4)")
    before = system.rows("select max(sequence#) from v$log")[0][0]
    for key in range(8):
        write(writer, key)  # START, INSERT, COMMIT
    assert system.rows("select max(sequence#) from v$log")[0][0] - before == 5  # 24 records


def test_a_late_archiver(system: Sql, writer: Sql) -> None:
    """A switched log is not yet archived for some looks, and V$LOG says so."""
    call(system, "delay_archiving(looks => 2)")
    system.run("alter system switch logfile")
    assert system.rows("select archived from v$log where sequence# = 1") == [("NO",)]
    assert [system.rows(ARCHIVED) for _ in range(3)] == [[], [], [(1,)]]
    assert system.rows("select archived from v$log where sequence# = 1") == [("YES",)]


def test_deleted_logs_say_so_and_come_back(system: Sql) -> None:
    """After RMAN deleted a log its row has no name and status D; restoring brings it back."""
    system.run("alter system switch logfile")
    system.run("alter system switch logfile")
    call(system, "purge_logs(up_to => 1)")
    assert system.rows("select name, deleted, status from v$archived_log where sequence# = 1") == [
        (None, "YES", "D")
    ]
    assert system.rows(ARCHIVED) == [(2,)]
    call(system, "restore_logs")
    assert system.rows(ARCHIVED) == [(1,), (2,)]


def test_lost_logs_are_found_out_when_they_are_opened(database: OracleDatabase, system: Sql) -> None:
    """A file that somebody removed still has its row; LogMiner cannot open it."""
    system.run("alter system switch logfile")
    name = system.rows("select name from v$archived_log")[0][0]
    reader = Sql(database, "CCBRIDGE")
    reader.run(ADD.format("new"), name)
    scn = system.rows("select first_change#, next_change# from v$archived_log")[0]
    reader.run(START, scn[0], scn[1])
    call(system, "purge_logs(how => 'LOST')")
    with pytest.raises(OracleFault, match="ORA-00308: cannot open archived log"):
        reader.rows("select scn from v$logmnr_contents")
    with pytest.raises(OracleFault, match="ORA-01284"):
        reader.run(ADD.format("new"), name)
    assert system.rows(ARCHIVED) == [(1,)]


def test_two_threads_have_logs_of_their_own(database: OracleDatabase, system: Sql, writer: Sql) -> None:
    """Each instance writes to its thread's logs; mining needs the logs of both."""
    call(system, "open_thread(thread => 2)")
    other = Sql(database)
    call(other, "use_thread(thread => 2)")
    start = system.scn()
    write(writer, 1)
    write(other, 2)
    system.run("alter system switch logfile")
    write(writer, 3)
    end = system.scn()
    assert system.rows("select thread#, status, sequence# from v$thread order by 1") == [
        (1, "OPEN", 2),
        (2, "OPEN", 1),
    ]
    first = system.rows("select name from v$archived_log where thread# = 1")[0][0]
    one, two = current_logs(system, 1, 2)
    columns = "thread#, trim(substr(sql_redo, -4))"
    assert mined(database, [first, one, two], start, end, columns) == [
        (1, "1');"),
        (2, "2');"),
        (1, "3');"),
    ]
    assert [thread for thread, _ in mined(database, [first, one], start, end, columns)] == [1, 1]
    with pytest.raises(OracleFault, match="ORA-01291"):
        mined(database, [one, two], start, end, columns)


def test_a_closed_thread_takes_no_more_work(database: OracleDatabase, system: Sql) -> None:
    """A stopped instance's thread keeps its logs and is closed in V$THREAD."""
    call(system, "open_thread(thread => 2)")
    other = Sql(database)
    call(other, "use_thread(thread => 2)")
    other.run("insert into t values (1)")
    with pytest.raises(OracleFault, match="open transactions"):
        call(system, "close_thread(thread => 2)")
    other.session.commit()
    call(system, "close_thread(thread => 2)")
    assert system.rows("select status from v$thread where thread# = 2") == [("CLOSED",)]
    with pytest.raises(OracleFault, match="thread 2 is not open"):
        call(other, "use_thread(thread => 2)")
    assert system.rows("select count(*) from v$archived_log where thread# = 2") == [(1,)]


def test_what_is_not_flushed_cannot_be_mined(database: OracleDatabase, system: Sql, writer: Sql) -> None:
    """Rows in the log buffer are missing from LogMiner without a word, and come later with low SCNs."""
    start = system.scn()
    write(writer, 1)
    call(system, "hold_flush(thread => 1)")
    write(writer, 2)
    end = system.scn()
    flushed = system.rows("select last_redo_change# from v$thread")[0][0]
    assert start < flushed < end
    names = current_logs(system, 1)
    assert len(mined(database, names, start, end, "scn")) == 1
    call(system, "flush")
    found = mined(database, names, start, end, "scn")
    assert len(found) == 2
    assert found[1][0] > flushed


def test_a_delayed_flush_shows_one_look_late(database: OracleDatabase, system: Sql, writer: Sql) -> None:
    """LAST_REDO_CHANGE# tells at each look what was written at the look before."""
    look = "select last_redo_change# from v$thread"
    call(system, "delay_flush(thread => 1)")
    first = system.rows(look)[0][0]
    write(writer, 1)
    written = system.scn()
    names = current_logs(system, 1)
    assert system.rows(look)[0][0] <= first < written
    assert mined(database, names, int(first) - 1, written, "scn") == []
    assert system.rows(look)[0][0] >= written
    assert len(mined(database, names, int(first) - 1, written, "scn")) == 1


def test_commits_share_an_scn(database: OracleDatabase, system: Sql, writer: Sql) -> None:
    """Two commits right after one another may have one SCN; both are there to be mined."""
    other = Sql(database)
    writer.run("insert into t values (1)")
    other.run("insert into t values (2)")
    call(system, "share_commits(times => 1)")
    writer.session.commit()
    other.session.commit()
    commits = [record.scn for record in database.storage.journal.records if record.operation == 7][-2:]
    assert commits[0] == commits[1]
    assert Sql(database).rows("select count(*) from t") == [(2,)]


def test_a_new_incarnation_changes_identity(system: Sql) -> None:
    """After OPEN RESETLOGS positions of the old line mean nothing."""
    before = system.rows("select resetlogs_change# from v$database")[0][0]
    call(system, "new_incarnation")
    assert system.rows("select resetlogs_change# from v$database")[0][0] > before
