"""Random work in several sessions at once, then the redo of it run on an empty database."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.interface import OracleFault
from sandbox_tests.unit.engine_client import Sql, a_database

SESSIONS, STEPS, ROWS, TOTAL = 6, 80, 12, 12 * 100
TABLE = """
create table CISADM.ACCT (ID number(5) primary key, BALANCE number(15,2) not null, NOTE varchar2(60), D date);
alter table CISADM.ACCT add supplemental log data (all) columns;
"""
INVERSE = {1: 2, 2: 1, 3: 3}


@pytest.fixture
def database() -> Iterator[OracleDatabase]:
    database = a_database(records_per_log=400)
    database.run_script(TABLE)
    yield database
    for session in list(database.sessions.values()):
        session.close()


class Player(threading.Thread):
    """Moves money between rows, adds and removes notes, undoes some of it; the total never changes."""

    def __init__(self, database: OracleDatabase, seed: int) -> None:
        super().__init__()
        self.sql, self.random = Sql(database), random.Random(seed)  # noqa: S311 - reproducible work
        self.error: BaseException | None = None
        self.deadlocks = 0

    def run(self) -> None:
        try:
            for step in range(STEPS):
                self._step(step)
        except BaseException as exc:  # noqa: BLE001 - reported by the test
            self.error = exc
        finally:
            self.sql.session.close()

    def _step(self, step: int) -> None:
        sql, pick = self.sql, self.random
        try:
            one, two = pick.sample(range(ROWS), 2)
            amount = pick.randrange(1, 5000) / 100
            sql.run(f"update acct set balance = balance - {amount} where id = :1", one)
            sql.run(f"update acct set balance = balance + {amount}, d = sysdate where id = :1", two)
            if pick.random() < 0.3:
                sql.run("savepoint s")
                sql.run("update acct set balance = balance * 2, note = 'it''s ' || to_char(id)")
                sql.run("rollback to s")
            if pick.random() < 0.3:
                with suppress(OracleFault):
                    sql.run("insert into acct values (:1, 1, null, null)", one)
            if pick.random() < 0.3:
                number = 1000 + step * 10 + pick.randrange(10)
                sql.run("insert into acct values (:1, 0, rpad('é''', 50, 'x'), sysdate)", number)
                sql.run("delete from acct where id > 1000 and rownum <= 2")
            assert sql.rows("select sum(balance) from acct") == [(TOTAL,)]
        except OracleFault as fault:
            sql.session.rollback()
            if fault.code not in (1, 60):
                raise
            self.deadlocks += fault.code == 60
            return
        if pick.random() < 0.2:
            sql.session.rollback()
        else:
            sql.session.commit()


def surviving(rows: list[tuple[Any, ...]]) -> list[str]:
    """SQL of committed transactions in commit order, without what compensation rows undo."""
    open_now: dict[bytes, list[tuple[int, str, str]]] = {}
    result: list[str] = []
    pieces = ""
    for xid, code, undo, row_id, text, more in rows:
        pieces += text or ""
        if more:
            continue
        statement, pieces = pieces, ""
        if code == 6:
            open_now[xid] = []
        elif code == 7:
            result.extend(text for _, _, text in open_now.pop(xid))
        elif code == 36:
            assert open_now.pop(xid) == [], "a rollback undoes every change first"
        elif undo:
            held = open_now[xid]
            at = max(
                place
                for place, (kind, where, _) in enumerate(held)
                if (kind, where) == (INVERSE[code], row_id)
            )
            del held[at]
        elif code in INVERSE:
            open_now[xid].append((code, row_id, statement))
    assert not open_now
    return result


def test_the_redo_of_random_work_builds_the_same_table(database: OracleDatabase) -> None:
    """Whatever sessions did to each other, the committed redo in order gives the rows that are there."""
    setup = Sql(database)
    start = setup.scn()
    for number in range(ROWS):
        setup.run("insert into acct values (:1, 100, null, null)", number)
    setup.session.commit()
    players = [Player(database, seed) for seed in range(SESSIONS)]
    for player in players:
        player.start()
    for player in players:
        player.join(120)
        assert not player.is_alive(), "a session hangs"
        assert player.error is None, player.error
    reader = Sql(database, "CCBRIDGE")
    option = "dbms_logmnr.new"
    for (name,) in reader.rows(
        "select name from v$archived_log union all select member from v$logfile f join v$log l"
        " on l.group# = f.group# and l.status = 'CURRENT'"
    ):
        reader.run(f"begin dbms_logmnr.add_logfile(:1, {option}); end;", name)
        option = "dbms_logmnr.addfile"
    reader.run(
        "begin dbms_logmnr.start_logmnr(startscn => :1, options => dbms_logmnr.dict_from_online_catalog +"
        " dbms_logmnr.no_rowid_in_stmt); end;",
        start,
    )
    columns = "xid, operation_code, rollback, row_id, sql_redo, csf"
    redo = surviving(reader.rows(f"select {columns} from v$logmnr_contents where scn > :1", start))
    copy = a_database()
    copy.run_script(TABLE)
    writer = Sql(copy)
    for statement in redo:
        assert writer.run(statement.rstrip(";")).row_count == 1, statement
    writer.session.commit()
    query = "select id, balance, note, d from acct order by id"
    assert writer.rows(query) == Sql(database).rows(query)
    assert len(redo) > SESSIONS * STEPS
    assert len(database.storage.journal.logs) > 5, "the work should span several logs"
