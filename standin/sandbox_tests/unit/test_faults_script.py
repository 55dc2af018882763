"""Faults that wait for a statement, a row, a commit or a login."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.interface import Disconnect, OracleFault
from sandbox_tests.unit.engine_client import Sql, a_database


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


def code_of(call: object, *arguments: str) -> int:
    """The ORA number of what a statement raises, 0 when nothing."""
    try:
        call(*arguments)  # type: ignore[operator]
    except OracleFault as fault:
        return fault.code
    return 0


def test_an_error_waits_for_its_statement_and_ends(database: OracleDatabase, system: Sql) -> None:
    """It lets other statements and `skip` fitting ones pass, happens `times` times, and is over."""
    system.run(
        "begin sandbox_faults.add_error(code => 1291, statement => 'FROM t', skip => 1, times => 2); end;"
    )
    sql = Sql(database)
    assert code_of(sql.run, "select 1 from dual") == 0
    assert [code_of(sql.run, "select id from T") for _ in range(4)] == [0, 1291, 1291, 0]
    assert system.rows("select code, fired, times_left from v$sandbox_faults") == [(1291, 2, 0)]


def test_an_error_of_one_user_hits_nobody_else(database: OracleDatabase, system: Sql) -> None:
    """A fault for the reader leaves the application alone."""
    system.run("begin sandbox_faults.add_error(code => 4036, username => 'ccbridge'); end;")
    assert code_of(Sql(database).run, "select 1 from dual") == 0
    with pytest.raises(OracleFault, match="ORA-04036: PGA memory"):
        Sql(database, "CCBRIDGE")


def test_texts_are_those_of_oracle(database: OracleDatabase, system: Sql) -> None:
    """ORA-00600 carries its argument, ORA-00604 the error below it."""
    system.run(
        "begin sandbox_faults.add_error(code => 600, argument => 'krvrdGetUID', statement => 'from t'); end;"
    )
    system.run("begin sandbox_faults.add_error(code => 604, below => 1001, statement => 'from t'); end;")
    sql = Sql(database)
    with pytest.raises(OracleFault, match=r"ORA-00600: internal error code, arguments: \[krvrdGetUID\]"):
        sql.run("select id from t")
    with pytest.raises(OracleFault, match=r"ORA-00604: .*\nORA-01001: invalid cursor"):
        sql.run("select id from t")


def test_a_connection_is_cut_in_the_middle_of_a_query(database: OracleDatabase, system: Sql) -> None:
    """The rows before come, and then the session's process dies."""
    sql = Sql(database)
    for key in range(5):
        sql.run("insert into t values (:1)", key)
    sql.session.commit()
    system.run("begin sandbox_faults.add_disconnect(statement => 'from t', after_rows => 3); end;")
    rows = sql.run("select id from t").rows
    assert [len(next(rows)) for _ in range(3)] == [1, 1, 1]
    with pytest.raises(Disconnect):
        next(rows)


@pytest.mark.parametrize(("moment", "stored"), [("COMMIT", 0), ("COMMITTED", 1)])
def test_a_cut_at_commit_is_before_or_after_it(
    database: OracleDatabase, system: Sql, moment: str, stored: int
) -> None:
    """The client sees the same lost connection; only the database knows whether the work is there."""
    sql = Sql(database)
    sql.run("insert into t values (1)")
    system.run(f"begin sandbox_faults.add_disconnect(moment => '{moment}', username => 'CISADM'); end;")
    with pytest.raises(Disconnect):
        sql.session.commit()
    sql.session.close()
    assert Sql(database).rows("select count(*) from t") == [(stored,)]


def test_logins_can_be_refused(database: OracleDatabase, system: Sql) -> None:
    """A locked account refuses the login, once."""
    system.run("begin sandbox_faults.add_error(code => 28000, moment => 'LOGIN', username => 'CISADM'); end;")
    with pytest.raises(OracleFault, match="ORA-28000: the account is locked"):
        Sql(database)
    Sql(database)


def test_cleared_faults_do_not_happen(database: OracleDatabase, system: Sql) -> None:
    """The list can be emptied, also while a fault waits for everything."""
    system.run("begin sandbox_faults.add_error(code => 3113, times => 99, username => 'CISADM'); end;")
    system.run("begin sandbox_faults.clear; end;")
    assert code_of(Sql(database).run, "select 1 from dual") == 0


def test_only_administrators_set_faults(database: OracleDatabase) -> None:
    """For everybody else the package is not there."""
    with pytest.raises(OracleFault, match="PLS-00201"):
        Sql(database).run("begin sandbox_faults.clear; end;")


def test_wrong_arguments_are_refused(system: Sql) -> None:
    """A fault that could never happen is not taken silently."""
    with pytest.raises(OracleFault, match="moment is one of"):
        system.run("begin sandbox_faults.add_error(code => 1, moment => 'SOME DAY'); end;")
    with pytest.raises(OracleFault, match="code is an ORA number"):
        system.run("begin sandbox_faults.add_error(statement => 'x'); end;")
