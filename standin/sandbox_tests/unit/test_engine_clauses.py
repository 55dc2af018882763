"""A clause the stand-in does not know is refused, wherever it stands, and then nothing has changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.interface import OracleFault
from sandbox_tests.unit.engine_client import Sql, a_database

UNKNOWN = (
    "frobnicate",
    "frobnicate (v)",
    "frobnicate = 1",
    "with frobnicate option",
    "enable frobnicate",
    "set frobnicate",
)
STATEMENTS = (
    "create table n (i number) {}",
    "create table n (i number {})",
    "create table n (i number, constraint k primary key (i) {})",
    "create table n (i number, constraint k check (i > 0) {})",
    "create table n (i number) tablespace users {} pctfree 5",
    "create table n (i number) storage (initial 64k {})",
    "create table n (i number, c clob) lob (c) store as securefile (chunk 8192 {})",
    "create global temporary table n (i number) on commit preserve rows {}",
    "create table n as select * from t where i = 1 {}",
    "create index x on t (v) {}",
    "create unique index x on t (i) tablespace users {}",
    "create sequence q {}",
    "create sequence q start with 1 {} increment by 1",
    "create synonym y for t {}",
    "create user u identified by u {}",
    "create user u identified by u default tablespace users {} account unlock",
    "create role r {}",
    "alter table t {}",
    "alter table t add (w number) {}",
    "alter table t add (w number {})",
    "alter table t add constraint k unique (v) {}",
    "alter table t modify (v varchar2(50) {})",
    "alter table t modify v not null {}",
    "alter table t drop column v {}",
    "alter table t set unused (v) {}",
    "alter table t rename column v to w {}",
    "alter table t rename to w {}",
    "alter table t add supplemental log data (all) columns {}",
    "alter table t drop primary key {}",
    "alter index x_t {}",
    "alter index x_t rebuild {}",
    "alter sequence s {}",
    "alter sequence s increment by 2 {}",
    "alter session {}",
    "alter session set nls_date_format = 'YYYY' {}",
    "alter session set {}",
    "alter user reader {}",
    "alter user reader identified by r {}",
    "alter user reader account lock {}",
    "alter system {}",
    "alter system switch logfile {}",
    "alter system checkpoint {}",
    "alter system set open_cursors = 100 {}",
    "alter database {}",
    "alter database force logging {}",
    "alter database open {}",
    "alter database add supplemental log data (all) columns {}",
    "drop table t {}",
    "drop table t purge {}",
    "drop index x_t {}",
    "drop sequence s {}",
    "drop user reader {}",
    "drop role r {}",
    "truncate table t {}",
    "truncate table t reuse storage {}",
    "comment on table t is 'x' {}",
    "grant select on t to reader {}",
    "grant create session to reader with admin option {}",
    "revoke select on t from reader {}",
    "lock table t in exclusive mode {}",
    "lock table t in {} mode",
    "analyze table t compute statistics {}",
    "analyze table t {}",
    "purge recyclebin {}",
    "purge {}",
    "set role {}",
    "set transaction {}",
    "set transaction read write {}",
    "commit {}",
    "commit work {}",
    "rollback {}",
    "rollback to savepoint p {}",
    "savepoint p {}",
    "insert into t values (9, 'x') {}",
    "insert into t (i) select 9 from dual where 1 = 1 {}",
    "update t set v = 'y' where i = 1 {}",
    "delete from t where i = 1 {}",
    "select * from t where i = 1 {}",
    "select * from t order by i {}",
    "select * from t for update {}",
    "merge into t using (select 1 n from dual) s on (t.i = s.n) when matched then update set v = 'z' {}",
)
CLASS = {
    *range(900, 1000),
    1735,
    1737,
    1740,
    1780,
    1801,
    2065,
    2143,
    2158,
    2231,
    2243,
    2248,
    3291,
    22853,
    38302,
}
"""Parse errors, and those of single statements."""


@pytest.fixture(scope="module")
def database() -> OracleDatabase:
    database = a_database()
    database.run_script(
        "create table CISADM.T (i number primary key, v varchar2(40));"
        "create index CISADM.X_T on CISADM.T (v);"
        "create sequence CISADM.S; create role R; create user READER identified by r;"
        "insert into CISADM.T values (1, 'one'); commit; grant dba to CISADM;"
    )
    return database


@pytest.fixture
def sql(database: OracleDatabase) -> Iterator[Sql]:
    session = Sql(database)
    yield session
    session.session.close()


def state(database: OracleDatabase) -> list[object]:
    """What statements change."""
    looker = Sql(database)
    found: list[object] = [
        looker.rows("select dbms_metadata.get_ddl('TABLE', 'T') from dual"),
        looker.rows("select i, v from t"),
        looker.rows("select object_name, object_type, object_id from all_objects where owner = 'CISADM'"),
        looker.rows("select index_name, uniqueness from user_indexes"),
        looker.rows("select username, account_status from dba_users"),
        looker.rows("select grantee, privilege from dba_tab_privs where owner = 'CISADM'"),
        looker.rows("select grantee, privilege, admin_option from dba_sys_privs"),
        looker.rows("select name, value from v$parameter"),
        looker.rows("select group#, sequence# from v$log"),
        looker.rows("select force_logging, supplemental_log_data_all from v$database"),
        looker.rows("select comments from user_tab_comments"),
    ]
    looker.session.close()
    return found


@pytest.mark.parametrize("statement", STATEMENTS)
def test_unknown_clauses_are_refused(database: OracleDatabase, sql: Sql, statement: str) -> None:
    """With an error of the parser's class, before anything is done."""
    before = state(database)
    for clause in UNKNOWN:
        with pytest.raises(OracleFault) as caught:
            sql.run(statement.format(clause))
        assert caught.value.code in CLASS, (clause, caught.value)
    assert state(database) == before


@pytest.mark.parametrize(
    "statement",
    [
        "alter table t read only",
        "alter table t move",
        "alter table t shrink space",
        "alter table t enable constraint k",
        "alter table t add (w number default on null 1)",
        "alter table t add (w number invisible) frobnicate",
        "create index x on t (v) local",
        "create unique index x on t (upper(v))",
        "create table n (i number) partition by hash (i) partitions 4",
        "alter table t enable novalidate",
        "create table n (i number) cluster c (i)",
        "create table n (i number) on commit delete rows",
        "create global temporary table n (i number) on commit delete rows",
        "create sequence q cycle",
        "alter user reader password expire",
        "alter user reader default role none",
        "grant update (v) on t to reader",
        "set role none",
        "set transaction isolation level serializable",
        "set transaction read only",
        "alter session set isolation_level = serializable",
        "alter session advise commit",
        "alter database open read only",
        "alter system flush redo to 'x'",
        "alter system enable restricted session",
        "truncate table t cascade constraints",
        "drop table t cascade",
        "comment on index x_t is 'x'",
        "select listagg(v) within group (order by i) from t",
        "select * from t for update skip locked",
        "with r (n) as (select 1 from dual union all select n + 1 from r where n < 3) select * from r",
    ],
)
def test_clauses_of_oracle_that_are_not_simulated_are_refused(
    database: OracleDatabase, sql: Sql, statement: str
) -> None:
    """Loudly: a test that used them would prove nothing."""
    before = state(database)
    with pytest.raises(OracleFault):
        sql.run(statement)
    assert state(database) == before


STORED = (
    "create table n (i number not null enable, c clob, c_v char(1), constraint k primary key (i) "
    "using index pctfree 10 initrans 2 storage (initial 64k next 1m buffer_pool default) enable) "
    "segment creation immediate pctfree 10 pctused 40 nocompress logging storage (initial 1m) "
    "tablespace users parallel 4 monitoring lob (c) store as securefile "
    "(tablespace users enable storage in row chunk 8192 nocache)",
    "create index x_n on n (c_v desc) online tablespace users parallel 2 nologging compute statistics",
    "create sequence q_n start with 5 increment by 2 minvalue 1 maxvalue 9999999999999999999999999999 "
    "nocycle cache 20 noorder",
    "create user n identified by n default tablespace users temporary tablespace temp quota 10m on users "
    "profile default account unlock",
    "alter table t enable row movement",
    "alter index x_t rebuild online tablespace users",
    "alter sequence s increment by 1 nocache",
    "alter session enable parallel dml",
    "alter system set open_cursors = 300 scope = both sid = '*'",
    "truncate table n drop storage",
    "drop index x_n",
    "drop table n cascade constraints purge",
    "drop sequence q_n",
    "drop user n cascade",
    "purge recyclebin",
)
"""What scripts of DBAs are full of; the stand-in stores nothing on a disk."""


def test_clauses_of_storage_are_accepted(sql: Sql) -> None:
    """One after the other."""
    for statement in STORED:
        sql.run(statement)


def test_alter_table_does_all_it_is_told(sql: Sql) -> None:
    """Several clauses in one statement, columns and constraints in one list."""
    sql.run("create table m (i number, a varchar2(5), b varchar2(5), c number(9,2))")
    sql.run("insert into m values (1, 'abc', null, 12.34)")
    sql.session.commit()
    sql.run("alter table m add (d date, constraint k_m primary key (i)) add (e char(3) default 'x' not null)")
    sql.run("alter table m modify (a varchar2(3) not null, c number(10,2) default 7)")
    sql.run("alter table m rename constraint k_m to pk_m")
    ((ddl,),) = sql.rows("select dbms_metadata.get_ddl('TABLE', 'M') from dual")
    for line in (
        '"A" VARCHAR2(3 CHAR) NOT NULL',
        '"C" NUMBER(10,2)',
        '"D" DATE',
        '"E" CHAR(3 CHAR) NOT NULL',
        'CONSTRAINT "PK_M" PRIMARY KEY ("I")',
    ):
        assert line in ddl
    sql.run("insert into m (i, a) values (2, 'x')")
    assert sql.rows("select c, e from m where i = 2") == [(7, "x  ")]
    sql.session.commit()
    sql.run("alter table m drop constraint pk_m cascade")
    sql.run("alter table m set unused (b, d)")
    assert sql.rows("select * from m where i = 1")[0] == (1, "abc", sql.rows("select c from m")[0][0], "x  ")
    sql.run("alter table m drop unused columns")
    with pytest.raises(OracleFault, match="ORA-00904"):
        sql.rows("select b from m")


def test_truncate_cascade_follows_foreign_keys(sql: Sql) -> None:
    """Of rule ON DELETE CASCADE only: another one refuses it, and nothing has changed."""
    sql.run("create table top (i number primary key)")
    sql.run("create table mid (i number primary key, t number references top on delete cascade)")
    sql.run("create table low (m number, constraint f foreign key (m) references mid (i) on delete cascade)")
    for table in ("top", "mid", "low"):
        sql.run(f"insert into {table} select 1 {', 1' if table == 'mid' else ''} from dual")
    sql.session.commit()
    sql.run("create table other (t number constraint o references top)")
    with pytest.raises(OracleFault, match="ORA-14705"):
        sql.run("truncate table top cascade")
    assert sql.rows("select count(*) from low") == [(1,)]
    sql.run("drop table other")
    sql.run("truncate table top drop storage cascade")
    assert [sql.rows(f"select count(*) from {table}") for table in ("top", "mid", "low")] == [[(0,)]] * 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("modify (v varchar2(2))", 1441),
        ("modify (v number)", 1439),
        ("modify (a number(3))", 1440),
        ("modify (a number(9,1))", 1440),
        ("modify (n not null)", 2296),
        ("modify (nothing number)", 904),
        ("set unused (nothing)", 904),
        ("drop constraint nothing", 2443),
        ("rename constraint nothing to k", 2443),
        ("rename to other", 955),
        ("exchange partition p with table other", 14097),
    ],
)
def test_changes_that_existing_rows_forbid(sql: Sql, change: str, code: int) -> None:
    """As in Oracle, and nothing is cut or lost."""
    sql.run("create table f (v varchar2(10), a number(9,2), n number)")
    sql.run("create table other (i number)")
    try:
        sql.run("insert into f values ('long', 1234.56, null)")
        sql.session.commit()
        with pytest.raises(OracleFault, match=f"ORA-{code:05d}"):
            sql.run(f"alter table f {change}")
        assert sql.rows("select v, to_char(a) from f") == [("long", "1234.56")]
    finally:
        sql.run("drop table f")
        sql.run("drop table other")


def test_exchange_partition_swaps_rows_and_objects(sql: Sql) -> None:
    """A table is its only partition."""
    for name in ("left_one", "right_one"):
        sql.run(f"create table {name} (i number primary key)")
    sql.run("insert into right_one values (5)")
    sql.session.commit()
    numbers = (
        "select data_object_id from all_objects where object_name in ('LEFT_ONE', 'RIGHT_ONE') "
        "order by object_id"
    )
    before = sql.rows(numbers)
    sql.run("alter table left_one exchange partition p1 with table right_one including indexes")
    assert sql.rows(numbers) == before[::-1]
    assert sql.rows("select i from left_one where i = 5") == [(5,)]
    assert sql.rows("select count(*) from right_one") == [(0,)]


def test_waits_for_locks_end(database: OracleDatabase, sql: Sql) -> None:
    """WAIT n, and DDL_LOCK_TIMEOUT, in seconds."""
    holder = Sql(database)
    holder.run("update t set v = v")
    for statement, code in (
        ("select * from t for update wait 0", 30006),
        ("lock table t in exclusive mode wait 0", 30006),
        ("lock table t in exclusive mode nowait", 54),
        ("alter table t add (w number)", 54),
    ):
        with pytest.raises(OracleFault, match=f"ORA-{code:05d}"):
            sql.run(statement)
    holder.session.close()


def test_sequences_have_bounds(sql: Sql) -> None:
    """ORA-08004 behind MAXVALUE."""
    sql.run("create sequence bounded start with 2 maxvalue 3")
    assert [sql.rows("select bounded.nextval from dual")[0][0] for _ in range(2)] == [2, 3]
    with pytest.raises(OracleFault, match="ORA-08004"):
        sql.rows("select bounded.nextval from dual")
    sql.run("drop sequence bounded")
