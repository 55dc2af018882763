"""The stand-in's PL/SQL blocks that take arrays: as harsh as Oracle where a sink could be wrong about it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sandbox.oracle import cells
from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.interface import Bind, DbType, OracleFault
from sandbox_tests.unit.engine_client import Sql, a_database

BLOCK = """declare
  type texts is table of varchar2(8) index by binary_integer;
  type numbers is table of number index by pls_integer;
  procedure put(ids numbers, names texts) is
  begin
    forall i in 1 .. ids.count insert into T (ID, V) values (ids(i), names(i));
    forall i in 1 .. ids.count insert into LOG (ID)
      select ids(i) from dual where not exists (select null from LOG where ID = ids(i));
    if sql%rowcount <> ids.count then
      raise_application_error(-20001, 'there');
    end if;
    commit;
  exception
    when others then
      rollback;
      raise;
  end;
begin
  put(:1, :2);
end;"""
NUMBERS, TEXTS = Bind("1", DbType.NUMBER, 22, array=True), Bind("2", DbType.VARCHAR2, 100, array=True)


@pytest.fixture
def database() -> OracleDatabase:
    database = a_database()
    database.run_script(
        "create table CISADM.T (ID number(5) primary key, V varchar2(5)); create table CISADM.LOG (ID number)"
    )
    return database


def put(sql: Sql, ids: Sequence[int], names: Sequence[str | None], block: str = BLOCK) -> None:
    values = [
        [cells.encode(one, DbType.NUMBER) for one in ids],
        [cells.encode(one, DbType.VARCHAR2) for one in names],
    ]
    sql.session.execute(block, [NUMBERS, TEXTS], [values])


def fault_of(sql: Sql, ids: Sequence[int], names: Sequence[str | None], block: str = BLOCK) -> OracleFault:
    with pytest.raises(OracleFault) as caught:
        put(sql, ids, names, block)
    return caught.value


def test_arrays_go_into_several_tables_and_are_committed(database: OracleDatabase) -> None:
    """One call: others see all of it, and nothing of it is open."""
    sql = Sql(database)
    put(sql, [1, 2], ["a", None])
    assert not sql.session.in_transaction
    assert Sql(database).rows("select ID, V from T order by ID") == [(1, "a"), (2, None)]
    assert Sql(database).value("(select count(*) from LOG)") == 2


@pytest.mark.parametrize(
    ("ids", "names", "code"),
    [
        ([3, 1], ["a", "b"], 1),
        ([3, 4], ["a", "longer"], 12899),
        ([3, 4], ["a", "much longer"], 6502),
        ([3, 4], ["a"], 22160),
        ([3, 9], ["a", "b"], 20001),
    ],
    ids=["a key that is there", "too long for its column", "too long for its array", "no element", "raised"],
)
def test_whatever_fails_leaves_nothing_and_no_lock(
    database: OracleDatabase, ids: list[int], names: list[str], code: int
) -> None:
    """The handler takes back what was done, the error keeps its number, its lines follow."""
    database.run_script("insert into CISADM.T values (1, 'x'); insert into CISADM.LOG values (9)")
    sql = Sql(database)
    fault = fault_of(sql, ids, names)
    assert (fault.code, fault.row) == (code, None)
    assert "ORA-06512: at line" in fault.text
    assert not sql.session.in_transaction
    assert sql.rows("select ID from T") == [(1,)]


def test_forall_stops_at_the_first_failure_and_keeps_what_it_did(database: OracleDatabase) -> None:
    """Without a handler that takes it back; a block that ends with its error takes back everything."""
    kept = BLOCK.replace("rollback;\n      raise;", "commit;")
    put(Sql(database), [1, 2, 3], ["a", "longer", "c"], kept)
    assert Sql(database).rows("select ID from T") == [(1,)]
    sql = Sql(database)
    sql.run("insert into LOG values (7)")
    fault_of(sql, [5, 1], ["a", "b"], BLOCK.replace("rollback;\n      raise;", "raise;"))
    assert sql.rows("select ID from LOG") == [(7,)]
    assert sql.rows("select ID from T") == [(1,)]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("insert into LOG", "insert into NOWHERE", "ORA-00942"),
        ("(ID, V)", "(ID, W)", "ORA-00904"),
        ("names(i)", "names(j)", "PLS-00103"),
        ("names(i)", ":2", "PLS-00103"),
        ("names texts", "names dates", "PLS-00201"),
        ("put(:1, :2)", "put(:1)", "PLS-00306"),
        ("put(:1, :2)", "put(:2, :1)", "PLS-00418"),
        ("varchar2(8)", "varchar2(32768)", "PLS-00215"),
        ("commit;", "savepoint x;", "PLS-00103"),
    ],
)
def test_what_does_not_compile_runs_nothing(database: OracleDatabase, old: str, new: str, text: str) -> None:
    """The whole block is compiled first, so that nothing was done when its last statement is wrong."""
    sql = Sql(database)
    fault = fault_of(sql, [1], ["a"], BLOCK.replace(old, new, 1))
    assert fault.code == 6550
    assert text in fault.text
    assert sql.rows("select ID from T") == []


def test_a_scalar_for_an_array_is_refused(database: OracleDatabase) -> None:
    """As is an array where none is taken."""
    sql = Sql(database)
    with pytest.raises(OracleFault, match="PLS-00306"):
        sql.run(BLOCK, 1, "a")
    with pytest.raises(OracleFault, match="ORA-01484"):
        sql.session.execute("insert into LOG values (:1)", [NUMBERS], [[[cells.encode_number(1)]]])


def test_tables_of_others_need_their_rights(database: OracleDatabase) -> None:
    """Through a role too, as in any anonymous block; ORA-06550 wraps what is missing."""
    block = BLOCK.replace("into T", "into CISADM.T").replace("into LOG", "into CISADM.LOG")
    block = block.replace("from LOG", "from CISADM.LOG")
    fault = fault_of(Sql(database, "CCBRIDGE"), [1], ["a"], block)
    assert (fault.code, "ORA-01031" in fault.text) == (6550, True)
    database.run_script(
        "create role WRITER; grant insert on CISADM.T to WRITER; grant insert on CISADM.LOG to WRITER; "
        "grant WRITER to CCBRIDGE"
    )
    put(Sql(database, "CCBRIDGE"), [1], ["a"], block)
    assert Sql(database).rows("select ID from T") == [(1,)]
