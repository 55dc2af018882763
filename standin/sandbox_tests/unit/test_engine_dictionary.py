from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.oracle.engine.database import OracleDatabase
from sandbox_tests.unit.engine_client import Sql, a_database

TABLES = """
create table CISADM.PER (PER_ID char(10) not null, NAME varchar2(254) default ' ', AMT number(15,2), N number,
  D date, TS timestamp(6), NOTE clob, R raw(16), constraint XPK_PER primary key (PER_ID));
create index CISADM.XF1 on CISADM.PER (NAME, D);
alter table CISADM.PER add supplemental log data (all) columns;
"""


@pytest.fixture
def database() -> Iterator[OracleDatabase]:
    database = a_database(name="CCBT", services=("other",))
    database.run_script(TABLES)
    yield database
    for session in list(database.sessions.values()):
        session.close()


def test_every_view_yields_rows_as_wide_as_its_columns(database: OracleDatabase) -> None:
    """No view promises a column that its rows lack, under any of its names."""
    sql = Sql(database, "CCBRIDGE")
    sql.session.begin()
    database.switch_log()
    for name, view in database.views.items():
        if not name.endswith("LOGMNR_CONTENTS"):
            outcome = sql.run(f"select * from {name}")
            assert [column.name for column in outcome.columns] == [column.name for column in view.columns]
            assert {len(row) for row in outcome.rows} <= {len(view.columns)}, name


def test_columns_are_listed_with_their_limits(database: OracleDatabase) -> None:
    """CHAR_LENGTH in characters, DATA_LENGTH in bytes, precision, scale and nullability as declared."""
    sql = Sql(database, "CCBRIDGE")
    assert sql.rows(
        "select column_name, data_type, data_length, data_precision, data_scale, char_length, nullable,"
        " column_id from all_tab_columns where owner = :1 and table_name = 'PER' order by column_id",
        "CISADM",
    ) == [
        ("PER_ID", "CHAR", 40, None, None, 10, "N", 1),
        ("NAME", "VARCHAR2", 1016, None, None, 254, "Y", 2),
        ("AMT", "NUMBER", 22, 15, 2, 0, "Y", 3),
        ("N", "NUMBER", 22, None, None, 0, "Y", 4),
        ("D", "DATE", 7, None, None, 0, "Y", 5),
        ("TS", "TIMESTAMP(6)", 11, None, 6, 0, "Y", 6),
        ("NOTE", "CLOB", 4000, None, None, 0, "Y", 7),
        ("R", "RAW", 16, None, None, 0, "Y", 8),
    ]


def test_keys_indexes_and_log_groups_are_listed(database: OracleDatabase) -> None:
    """What preflight checks look at."""
    sql = Sql(database)
    assert sql.rows(
        "select c.constraint_name, k.column_name from user_constraints c join all_cons_columns k"
        " on k.owner = c.owner and k.constraint_name = c.constraint_name where c.constraint_type = 'P'"
    ) == [("XPK_PER", "PER_ID")]
    assert sql.rows("select index_name, column_name from user_ind_columns order by 1, column_position") == [
        ("XF1", "NAME"),
        ("XF1", "D"),
        ("XPK_PER", "PER_ID"),
    ]
    assert sql.rows("select log_group_type from all_log_groups where table_name = 'PER'") == [
        ("ALL COLUMN LOGGING",)
    ]
    ddl = sql.value("dbms_metadata.get_ddl('TABLE', 'PER', 'CISADM')")
    assert 'CONSTRAINT "XPK_PER" PRIMARY KEY ("PER_ID")' in ddl
    assert "SUPPLEMENTAL LOG DATA (ALL) COLUMNS" in ddl


def test_the_database_describes_itself(database: OracleDatabase) -> None:
    """Identity and logging levels; the SCN rises although nothing happens; the banner says what it is."""
    sql = Sql(database, "CCBRIDGE")
    columns = "name, log_mode, supplemental_log_data_min, supplemental_log_data_all, open_mode, cdb"
    assert sql.rows(f"select {columns} from v$database") == [
        ("CCBT", "ARCHIVELOG", "YES", "NO", "READ WRITE", "NO")
    ]
    first, second = (sql.rows("select current_scn from v$database")[0][0] for _ in range(2))
    assert second > first
    assert "not an Oracle Database" in sql.rows("select banner from v$version")[0][0]
    database.run_script(
        "alter database add supplemental log data (all) columns; alter database force logging"
    )
    assert sql.rows("select supplemental_log_data_all, force_logging from v$database") == [("YES", "YES")]


def test_open_transactions_are_listed_with_their_start(database: OracleDatabase) -> None:
    """GV$TRANSACTION gives the SCN a snapshot has to go back to."""
    writer, reader = Sql(database), Sql(database, "CCBRIDGE")
    assert reader.rows("select count(*) from gv$transaction") == [(0,)]
    before = writer.scn()
    writer.run("insert into per (per_id) values ('1')")
    ((started, xid),) = reader.rows("select start_scn, xid from v$transaction")
    assert before < started <= before + 2
    assert xid == writer.session.transaction.xid  # type: ignore[union-attr]
    writer.session.rollback()


def test_sessions_show_what_clients_say_of_themselves(database: OracleDatabase) -> None:
    """Module and identifier are visible to the DBA."""
    sql, reader = Sql(database), Sql(database, "CCBRIDGE")
    sql.run("begin dbms_application_info.set_module('billing', 'night'); end;")
    found = reader.rows("select username, module, action from v$session where sid = :1", sql.session.id)
    assert found == [("CISADM", "billing", "night")]


def test_scn_and_time_convert(database: OracleDatabase) -> None:
    """An SCN has a time near now; one of the future is refused."""
    sql = Sql(database, "CCBRIDGE")
    scn = sql.scn()
    gap = sql.value("sysdate - cast(scn_to_timestamp(:1) as date)", scn)
    assert abs(gap) < 1
    assert sql.value("timestamp_to_scn(scn_to_timestamp(:1))", scn) <= scn
