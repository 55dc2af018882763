"""A multitenant stand-in: a root that mines and one pluggable database that holds the tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.interface import Client, OracleFault
from tests.unit.sandbox.engine_client import Sql, a_database


@pytest.fixture
def database() -> Iterator[OracleDatabase]:
    database = a_database()
    database.run_script("create table CISADM.T (ID number(5) primary key);")
    database.run_script("grant set container to CCBRIDGE;")
    database.run_script("begin sandbox_faults.open_pdb(name => 'CCBPDB'); end;\n/\n")
    yield database
    for session in list(database.sessions.values()):
        session.close()


def at(database: OracleDatabase, user: str, service: str) -> Sql:
    """A session that logged in to a service."""
    sql = Sql(database, "SYS" if user == "SYS" else user)
    sql.session.close()
    sql.session = database.open_session(Client(user, service=service))
    return sql


def test_a_service_leads_to_its_container(database: OracleDatabase) -> None:
    """The database's service is the root, the pluggable database has one of its own name."""
    assert "CCBPDB" in database.services
    name = "sys_context('userenv', 'con_name')"
    assert at(database, "CCBRIDGE", "CCB").value(name) == "CDB$ROOT"
    assert at(database, "CCBRIDGE", "ccbpdb").value(name) == "CCBPDB"
    root = at(database, "CCBRIDGE", "CCB")
    assert root.rows("select cdb from v$database") == [("YES",)]
    assert root.rows("select name from v$containers order by con_id") == [
        ("CDB$ROOT",), ("PDB$SEED",), ("CCBPDB",),
    ]  # fmt: skip


def test_tables_are_seen_in_the_pluggable_database_only(database: OracleDatabase) -> None:
    """The root knows nothing of the application, not in its dictionary either."""
    root = at(database, "CCBRIDGE", "CCB")
    with pytest.raises(OracleFault, match="ORA-00942"):
        root.rows("select count(*) from cisadm.t")
    assert root.rows("select table_name from all_tables where owner = 'CISADM'") == []
    root.run("alter session set container = CCBPDB")
    assert root.rows("select count(*) from cisadm.t") == [(0,)]
    assert root.rows("select table_name from all_tables where owner = 'CISADM'") == [("T",)]


def test_mining_is_for_the_root(database: OracleDatabase) -> None:
    """In the pluggable database LogMiner cannot be used; its rows name their container."""
    inside = at(database, "CCBRIDGE", "CCBPDB")
    with pytest.raises(OracleFault, match="ORA-65040"):
        inside.run("begin dbms_logmnr.add_logfile('x'); end;")
    root = at(database, "CCBRIDGE", "CCB")
    writer = at(database, "CISADM", "CCBPDB")
    start = writer.scn()
    writer.run("insert into t values (1)")
    writer.session.commit()
    name = root.rows("select f.member from v$log l join v$logfile f on f.group# = l.group# where rownum = 1")
    root.run("begin dbms_logmnr.add_logfile(:1, dbms_logmnr.new); end;", name[0][0])
    root.run(
        "begin dbms_logmnr.start_logmnr(startscn => :1, "
        "options => dbms_logmnr.dict_from_online_catalog); end;",
        start,
    )
    rows = root.rows("select src_con_name, src_con_id from v$logmnr_contents where operation_code = 1")
    assert rows == [("CCBPDB", 3)]


def test_containers_are_entered_with_the_right(database: OracleDatabase) -> None:
    """An unknown container, a missing right and an open transaction are refused."""
    bridge = at(database, "CCBRIDGE", "CCBPDB")
    with pytest.raises(OracleFault, match="ORA-65011"):
        bridge.run("alter session set container = ELSEWHERE")
    writer = at(database, "CISADM", "CCBPDB")
    writer.run("insert into t values (2)")
    with pytest.raises(OracleFault, match="ORA-65023"):
        writer.run("alter session set container = cdb$root")
    database.run_script("create user BARE identified by bare; grant create session to BARE;")
    with pytest.raises(OracleFault, match="ORA-01031"):
        at(database, "BARE", "CCB").run("alter session set container = CCBPDB")
