"""A multitenant stand-in: a root that mines, two pluggable databases with users and tables of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.interface import Client, OracleFault
from sandbox_tests.unit.engine_client import Sql, a_database

MULTITENANT = """
create table CISADM.T (ID number(5) primary key);
begin sandbox_faults.open_pdb(name => 'CCBPDB'); end;
/
alter session set container = CDB$ROOT;
create pluggable database OTHERPDB admin user ADMIN identified by "admin";
alter pluggable database OTHERPDB open;
create user C##CCBRIDGE identified by "ccbridge" container = all;
grant create session, set container to C##CCBRIDGE container = all;
grant logmining, select_catalog_role, execute_catalog_role to C##CCBRIDGE container = all;
alter session set container = OTHERPDB;
create user CISADM identified by "other";
grant connect, resource to CISADM;
create table CISADM.T (ID number(5) primary key, CITY varchar2(10));
"""
BRIDGE = "C##CCBRIDGE"


@pytest.fixture
def database() -> Iterator[OracleDatabase]:
    database = a_database()
    database.run_script(MULTITENANT)
    yield database
    for session in list(database.sessions.values()):
        session.close()


def at(database: OracleDatabase, user: str, service: str) -> Sql:
    """A session that logged in to a service."""
    sql = Sql.__new__(Sql)
    sql.session = database.open_session(Client(user, service=service))
    return sql


def test_a_service_leads_to_its_container(database: OracleDatabase) -> None:
    """The database's service is the root, each pluggable database has one of its own name."""
    assert {"CCB", "CCBPDB", "OTHERPDB"} <= database.services
    name = "sys_context('userenv', 'con_name') || sys_context('userenv', 'con_id')"
    assert at(database, BRIDGE, "CCB").value(name) == "CDB$ROOT1"
    assert at(database, BRIDGE, "ccbpdb").value(name) == "CCBPDB3"
    assert at(database, BRIDGE, "OtherPdb").value(name) == "OTHERPDB4"
    assert at(database, BRIDGE, "CCB").rows("select cdb from v$database") == [("YES",)]


def test_each_container_has_tables_and_local_users_of_its_own(database: OracleDatabase) -> None:
    """Same names, other tables and other passwords; the root knows nothing of either."""
    root = at(database, BRIDGE, "CCB")
    with pytest.raises(OracleFault, match="ORA-00942"):
        root.rows("select count(*) from cisadm.t")
    columns = "select column_name from dba_tab_columns where owner = 'CISADM' order by column_id"
    assert root.rows(columns) == []
    root.run("alter session set container = CCBPDB")
    assert root.rows(columns) == [("ID",)]
    root.run("alter session set container = OTHERPDB")
    assert root.rows(columns) == [("ID",), ("CITY",)]
    assert database.verifier("CISADM", "CCB") is None
    assert database.verifier("CISADM", "CCBPDB") != database.verifier("CISADM", "OTHERPDB")
    assert database.verifier(BRIDGE, "CCB") == database.verifier(BRIDGE, "OTHERPDB")


def test_one_redo_holds_the_rows_of_all_containers(database: OracleDatabase) -> None:
    """Rows name their container; transactions of different ones may have the same XID."""
    start = at(database, BRIDGE, "CCB").scn()
    for service in ("CCBPDB", "OTHERPDB"):
        writer = at(database, "CISADM", service)
        writer.run("insert into t (id) values (1)")
        writer.session.commit()
    root = at(database, BRIDGE, "CCB")
    name = root.rows("select f.member from v$log l join v$logfile f on f.group# = l.group# where rownum = 1")
    root.run("begin dbms_logmnr.add_logfile(:1, dbms_logmnr.new); end;", name[0][0])
    root.run(
        "begin dbms_logmnr.start_logmnr(startscn => :1, "
        "options => dbms_logmnr.dict_from_online_catalog); end;",
        start,
    )
    rows = root.rows(
        "select src_con_name, src_con_id, seg_owner, table_name, operation, xid from v$logmnr_contents "
        "where operation_code in (1, 7) order by scn"
    )
    assert [row[:5] for row in rows] == [
        ("CCBPDB", 3, "CISADM", "T", "INSERT"),
        ("CCBPDB", 3, None, None, "COMMIT"),
        ("OTHERPDB", 4, "CISADM", "T", "INSERT"),
        ("OTHERPDB", 4, None, None, "COMMIT"),
    ]
    first = at(database, "CISADM", "OTHERPDB").session.new_transaction()
    second = database.storage.new_transaction("X", 1, 1, 5)
    third = database.storage.new_transaction("X", 1, 1, 6)
    assert second.xid == third.xid
    assert first.container == 4


@pytest.mark.parametrize(
    ("service", "statement", "code"),
    [
        ("CCBPDB", "begin dbms_logmnr.add_logfile('x'); end;", 65040),
        ("CCBPDB", "alter system switch logfile", 65040),
        ("CCBPDB", "alter database force logging", 65040),
        ("CCBPDB", "create pluggable database X admin user A identified by a", 65040),
        ("CCB", "create pluggable database OTHERPDB admin user A identified by a", 65012),
        ("CCB", "create user LOCAL_ONE identified by x", 65096),
        ("CCB", "create user C##ONE identified by x container = current", 65049),
        ("CCBPDB", "create user C##ONE identified by x", 65094),
        ("CCBPDB", "create user ONE identified by x container = all", 65050),
        ("CCBPDB", "grant select any table to CISADM container = all", 65050),
        ("CCBPDB", "alter user C##CCBRIDGE identified by x", 65066),
        ("CCBPDB", "drop user C##CCBRIDGE", 65050),
        ("CCB", "alter user C##CCBRIDGE set container_data = (CCBPDB) container = current", 65057),
        ("CCB", "alter session set container = ELSEWHERE", 65011),
    ],
)
def test_what_a_container_does_not_allow(
    database: OracleDatabase, service: str, statement: str, code: int
) -> None:
    """Oracle's own errors for things done in the wrong container, or for names of the wrong kind."""
    with pytest.raises(OracleFault, match=f"ORA-{code}"):
        at(database, "SYS", service).run(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "alter session set container = CCBPDB",
        "create user ONE identified by x container = all",
        "grant select any table to CISADM container = current",
        "create pluggable database X admin user A identified by a",
    ],
)
def test_a_database_that_is_not_multitenant_refuses_containers(statement: str) -> None:
    """ORA-65090, as for a script written for the other kind of database."""
    plain = a_database()
    with pytest.raises(OracleFault, match="ORA-65090"):
        at(plain, "SYS", "CCB").run(statement)


def test_a_grant_is_for_one_container_or_for_all(database: OracleDatabase) -> None:
    """Without the clause a right is held in the current container only; later containers get common ones."""
    database.run_script(
        "create user C##BARE identified by x; grant create session to C##BARE;"
        "create pluggable database LATERPDB admin user A identified by a;"
    )
    assert at(database, "C##BARE", "CCB").rows("select privilege from session_privs") == [("CREATE SESSION",)]
    with pytest.raises(OracleFault, match="ORA-01045"):
        at(database, "C##BARE", "CCBPDB")
    later = at(database, BRIDGE, "LATERPDB")
    assert ("LOGMINING",) in later.rows("select privilege from session_privs")
    database.run_script("revoke create session from C##CCBRIDGE container = all;")
    with pytest.raises(OracleFault, match="ORA-01045"):
        at(database, BRIDGE, "LATERPDB")


def test_containers_are_entered_with_the_right(database: OracleDatabase) -> None:
    """A local user, a missing right and an open transaction are refused."""
    with pytest.raises(OracleFault, match="ORA-01031"):
        at(database, "CISADM", "CCBPDB").run("alter session set container = OTHERPDB")
    database.run_script("create user C##BARE identified by x; grant create session to C##BARE;")
    with pytest.raises(OracleFault, match="ORA-01031"):
        at(database, "C##BARE", "CCB").run("alter session set container = CCBPDB")
    database.run_script("alter session set container = CCBPDB; grant insert on CISADM.T to C##CCBRIDGE;")
    bridge = at(database, BRIDGE, "CCBPDB")
    bridge.run("insert into cisadm.t values (7)")
    with pytest.raises(OracleFault, match="ORA-65023"):
        bridge.run("alter session set container = OTHERPDB")


def test_a_pluggable_database_is_mined_from_within(database: OracleDatabase) -> None:
    """LogMiner finds the logs by SCN, archived ones too, shows its own rows alone, and asks for rights."""
    start = at(database, BRIDGE, "CCB").scn()
    for service in ("OTHERPDB", "CCBPDB"):
        writer = at(database, "CISADM", service)
        writer.run("insert into t (id) values (1)")
        writer.session.commit()
        database.switch_log()
    inside = at(database, BRIDGE, "CCBPDB")
    begin = "begin dbms_logmnr.start_logmnr(startscn => :1, options => 16); end;"
    with pytest.raises(OracleFault, match="ORA-65040"):
        inside.run("begin dbms_logmnr.add_logfile('x'); end;")
    with pytest.raises(OracleFault, match="ORA-01031"):
        inside.run(begin, start)
    database.run_script(
        "alter session set container = CCBPDB;"
        "begin dbms_goldengate_auth.grant_admin_privilege(grantee => 'C##CCBRIDGE'); end;"
    )
    inside.run(begin, start)
    query = "select src_con_name, table_name, operation from v$logmnr_contents where operation_code in (1, 7)"
    assert inside.rows(query) == [("CCBPDB", "T", "INSERT"), ("CCBPDB", None, "COMMIT")]
    database.switch_log()
    database.delete_archived_logs(1)
    with pytest.raises(OracleFault, match="ORA-01291"):
        inside.run(begin, start)
    database.run_script("begin sandbox_faults.mine_in_root_only; end;")
    with pytest.raises(OracleFault, match="ORA-65040"):
        inside.run(begin, start)


def test_a_quoted_container_name_is_taken_as_it_is(database: OracleDatabase) -> None:
    """`"ccbpdb"` is not CCBPDB, and a container made with a quoted name is found by that alone."""
    session = at(database, "SYS", "CCB")
    with pytest.raises(OracleFault, match="ORA-65011"):
        session.run('alter session set container = "ccbpdb"')
    session.run('create pluggable database "small" admin user ADMIN identified by "admin"')
    with pytest.raises(OracleFault, match="ORA-65011"):
        session.run("alter session set container = small")
    session.run('alter session set container = "small"')
    assert session.value("sys_context('userenv', 'con_name')") == "small"


def test_a_container_brings_its_own_formats(database: OracleDatabase) -> None:
    """What a session has set is gone once it enters another container."""
    database.run_script(
        "alter session set container = CCBPDB; alter system set nls_numeric_characters = ',.';"
    )
    session = at(database, "SYS", "CCB")
    session.run("alter session set nls_numeric_characters = '.,' nls_date_format = 'YYYY'")
    session.run("alter session set container = CCBPDB")
    assert session.value("to_char(1.5)") == "1,5"
    assert session.session.nls["NLS_DATE_FORMAT"] == "DD-MON-RR"


def test_a_standby_is_read_and_not_written(database: OracleDatabase) -> None:
    """ORA-16000 for a change, ORA-01300 for LogMiner with the online catalog; V$DATABASE says what it is."""
    database.run_script(
        "begin sandbox_faults.open_database(mode => 'READ ONLY WITH APPLY', role => 'PHYSICAL STANDBY'); end;"
    )
    root = at(database, BRIDGE, "CCB")
    assert root.rows("select open_mode, database_role from v$database") == [
        ("READ ONLY WITH APPLY", "PHYSICAL STANDBY")
    ]
    with pytest.raises(OracleFault, match="ORA-01300"):
        root.run("begin dbms_logmnr.start_logmnr(startscn => 1); end;")
    with pytest.raises(OracleFault, match="ORA-16000"):
        at(database, "CISADM", "CCBPDB").run("insert into t (id) values (1)")
    database.run_script("begin sandbox_faults.open_database(restricted => 1); end;")
    with pytest.raises(OracleFault, match="ORA-01035"):
        at(database, "CISADM", "CCBPDB")


def test_container_data_governs_what_the_root_is_shown(database: OracleDatabase) -> None:
    """Without it a common user in the root sees nothing of the pluggable databases: no open transaction."""
    for service in ("CCBPDB", "OTHERPDB"):
        at(database, "CISADM", service).run("insert into t (id) values (1)")
    looks = {
        "select name from v$containers order by con_id": "CDB$ROOT",
        "select con_id from gv$transaction order by 1": None,
        "select distinct con_id from cdb_tables order by 1": None,
        "select name from v$pdbs order by 1": None,
    }
    root = at(database, BRIDGE, "CCB")
    for look, only in looks.items():
        assert root.rows(look) == ([(only,)] if only else [])
    database.run_script("alter user C##CCBRIDGE set container_data = (CDB$ROOT, CCBPDB) container = current;")
    assert [root.rows(look) for look in looks] == [
        [("CDB$ROOT",), ("CCBPDB",)],
        [(3,)],
        [(3,)],
        [("CCBPDB",)],
    ]
    database.run_script("alter user C##CCBRIDGE set container_data = all container = current;")
    assert root.rows("select con_id from gv$transaction order by 1") == [(3,), (4,)]
    inside = at(database, BRIDGE, "OTHERPDB")
    assert inside.rows("select con_id from gv$transaction") == [(4,)]
    assert inside.rows("select name from v$pdbs") == [("OTHERPDB",)]


def test_supplemental_logging_of_the_root_holds_for_all(database: OracleDatabase) -> None:
    """A pluggable database can add levels to the root's, and only where the root has some."""

    def logged(service: str) -> bool:
        return database.containers.by_service(service).catalog.tables["CISADM", "T"].shape.logged_all

    assert not logged("CCBPDB")
    database.run_script(
        "alter session set container = CCBPDB; alter database add supplemental log data (all) columns;"
    )
    assert logged("CCBPDB")
    assert not logged("OTHERPDB")
    database.run_script("alter database drop supplemental log data;")
    with pytest.raises(OracleFault, match="ORA-31541"):
        database.run_script("alter session set container = CCBPDB; alter database add supplemental log data;")
