from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.interface import OracleFault
from sandbox_tests.unit.engine_client import Sql, a_database

TABLES = """
create table CISADM.PER (ID char(4), EMAIL varchar2(20), N number(15,2), D date, TS timestamp(6), NOTE clob,
  constraint XPK primary key (ID));
alter table CISADM.PER add supplemental log data (all) columns;
create table CISADM.KEYED (ID number primary key, A varchar2(4000), B varchar2(4000));
alter table CISADM.KEYED add supplemental log data (primary key) columns;
create table CISADM.BARE (ID number primary key, A varchar2(10), B varchar2(10));
"""
START, COMMIT, ROLLBACK = "set transaction read write;", "commit;", "rollback;"
OPTIONS = "dbms_logmnr.dict_from_online_catalog + dbms_logmnr.no_rowid_in_stmt"


@pytest.fixture
def database() -> Iterator[OracleDatabase]:
    database = a_database(time_zone="Africa/Douala")
    database.run_script(TABLES)
    yield database
    for session in list(database.sessions.values()):
        session.close()


@pytest.fixture
def app(database: OracleDatabase) -> Sql:
    return Sql(database)


@pytest.fixture
def reader(database: OracleDatabase) -> Sql:
    return Sql(database, "CCBRIDGE")


def mine(reader: Sql, start: int, columns: str = "sql_redo", *, options: str = OPTIONS) -> list[Any]:
    """Rows since an SCN, of the logs that the views list."""
    names = reader.rows("select name from v$archived_log where deleted = 'NO'") + reader.rows(
        "select f.member from v$logfile f join v$log l on l.group# = f.group# where l.status = 'CURRENT'"
    )
    option = "dbms_logmnr.new"
    for (name,) in names:
        reader.run(f"begin dbms_logmnr.add_logfile(logfilename => :1, options => {option}); end;", name)
        option = "dbms_logmnr.addfile"
    reader.run(f"begin sys.dbms_logmnr.start_logmnr(startscn => :1, options => {options}); end;", start)
    rows = reader.rows(f"select {columns} from v$logmnr_contents where scn > :1", start)
    return [row[0] for row in rows] if "," not in columns else rows


def test_changes_read_as_oracle_writes_them(app: Sql, reader: Sql) -> None:
    """Quoted numbers, doubled apostrophes, NULL and IS NULL, times with their functions, whole rows."""
    start = app.scn()
    app.run(
        "insert into per values ('1', 'it''s', 12.50,"
        " to_date('2024-02-29 10:11:12', 'YYYY-MM-DD HH24:MI:SS'),"
        " timestamp '2024-02-29 10:11:12.123456', null)"
    )
    app.run("update per set email = 'b', n = null")
    app.run("update per set n = -.01, note = 'short'")
    app.run("delete from per")
    app.session.commit()
    moment = "TO_DATE('2024-02-29 10:11:12', 'YYYY-MM-DD HH24:MI:SS')"
    stamp = "TO_TIMESTAMP('2024-02-29 10:11:12.123456')"
    key, rest = """"ID" = '1   ' and """, f"""and "D" = {moment} and "TS" = {stamp};"""
    assert mine(reader, start) == [
        START,
        'insert into "CISADM"."PER"("ID","EMAIL","N","D","TS","NOTE") values '
        f"('1   ','it''s','12.5',{moment},{stamp},NULL);",
        f"""update "CISADM"."PER" set "NOTE" = NULL where {key}"EMAIL" = 'it''s' and "N" = '12.5' {rest}""",
        f"""update "CISADM"."PER" set "EMAIL" = 'b', "N" = NULL where {key}"EMAIL" = 'it''s' """
        f"""and "N" = '12.5' {rest}""",
        f"""update "CISADM"."PER" set "N" = '-.01', "NOTE" = EMPTY_CLOB() where {key}"EMAIL" = 'b' """
        f"""and "N" IS NULL {rest}""",
        f"""update "CISADM"."PER" set "NOTE" = 'short' where {key}"EMAIL" = 'b' and "N" = '-.01' {rest}""",
        """delete from "CISADM"."PER" where "ID" = '1   ' and "EMAIL" = 'b' and "N" = '-.01' """ + rest,
        COMMIT,
    ]


def test_supplemental_logging_decides_the_where_clause(app: Sql, reader: Sql) -> None:
    """With key logging the key and the changed columns, without any only what changed."""
    start = app.scn()
    for table in ("keyed", "bare"):
        app.run(f"insert into {table} values (1, 'a', 'b')")
        app.run(f"update {table} set a = 'c'")
    app.session.commit()
    found = [text for text in mine(reader, start) if text.startswith("update")]
    assert found == [
        """update "CISADM"."KEYED" set "A" = 'c' where "ID" = '1' and "A" = 'a';""",
        """update "CISADM"."BARE" set "A" = 'c' where "A" = 'a';""",
    ]
    with_row_id = mine(reader, start, options="dbms_logmnr.dict_from_online_catalog")
    row_id = reader.rows("select rowidtochar(rowid) from cisadm.bare")[0][0]
    assert (
        with_row_id[4] == f"""update "CISADM"."BARE" set "A" = 'c' where "A" = 'a' and ROWID = '{row_id}';"""
    )


def test_transactions_interleave_in_the_order_of_change(
    database: OracleDatabase, app: Sql, reader: Sql
) -> None:
    """Each change has its own SCN; uncommitted and undone work is there, under its transaction's XID."""
    other = Sql(database)
    start = app.scn()
    app.run("insert into bare values (1, 'x', null)")
    other.run("insert into bare values (2, 'y', null)")
    app.run("insert into bare values (3, 'x', null)")
    other.session.rollback()
    app.session.commit()
    rows = mine(reader, start, "scn, xid, operation, rollback, username, commit_scn")
    assert [row[2:5] for row in rows] == [
        ("START", 0, "CISADM"),
        ("INSERT", 0, "CISADM"),
        ("START", 0, "CISADM"),
        ("INSERT", 0, "CISADM"),
        ("INSERT", 0, "CISADM"),
        ("DELETE", 1, "CISADM"),
        ("ROLLBACK", 0, "CISADM"),
        ("COMMIT", 0, "CISADM"),
    ]
    assert [row[0] for row in rows] == sorted({row[0] for row in rows})
    first, second = rows[0][1], rows[2][1]
    assert [row[1] for row in rows] == [first, first, second, second, first, second, second, first]
    assert rows[-1][5] == rows[-1][0]


def test_partial_rollbacks_leave_compensation_rows(app: Sql, reader: Sql) -> None:
    """A savepoint and a failing statement are undone newest first, each row named by its row id."""
    app.run("insert into bare values (1, 'a', null)")
    app.session.commit()
    start = app.scn()
    app.run("savepoint s")
    app.run("insert into bare values (2, 'b', null)")
    app.run("update bare set a = 'z'")
    app.run("delete from bare where id = 1")
    app.run("rollback to s")
    with pytest.raises(OracleFault):
        app.run("insert into bare values (1, 'dup', null)")
    app.session.commit()
    rows = mine(reader, start, "operation, rollback, row_id, sql_redo")
    forward = [row for row in rows if row[0] in ("INSERT", "UPDATE", "DELETE") and not row[1]]
    undone = [row for row in rows if row[1]]
    inverse = {"INSERT": "DELETE", "UPDATE": "UPDATE", "DELETE": "INSERT"}
    expected = [*reversed(forward[:4]), forward[4]]
    assert [(row[0], row[2]) for row in undone] == [(inverse[row[0]], row[2]) for row in expected]
    assert undone[3][3] == 'delete from "CISADM"."BARE";'  # the row id is in its column only
    assert rows[-1][0] == "COMMIT"


def test_long_texts_go_on_in_further_rows(app: Sql, reader: Sql) -> None:
    """Pieces of at most 4000 bytes, CSF 1 until the last, joined without anything between."""
    start = app.scn()
    app.run("insert into keyed values (1, rpad('''', 3900, 'ä'), rpad('x', 3900, '''y'))")
    app.session.commit()
    rows = mine(reader, start, "sql_redo, csf, operation_code")
    pieces = [row for row in rows if row[2] == 1]
    assert [csf for _, csf, _ in pieces] == [1] * (len(pieces) - 1) + [0]
    assert max(len(text.encode()) for text, _, _ in pieces) <= 4000
    whole = "".join(text for text, _, _ in pieces)
    ((a, b),) = app.rows("select a, b from keyed")
    quoted = (a.replace("'", "''"), b.replace("'", "''"))
    assert whole == """insert into "CISADM"."KEYED"("ID","A","B") values ('1','%s','%s');""" % quoted  # noqa: UP031


def test_a_long_clob_comes_in_pieces_behind_its_row(app: Sql, reader: Sql) -> None:
    """EMPTY_CLOB in the row, then the locator by key, then the text with its offsets, then the row id."""
    start = app.scn()
    app.run("insert into per (id, note) values ('9', rpad('é', 4500, 'd'))")
    app.session.commit()
    rows = mine(reader, start, "operation, sql_redo")
    assert [name for name, _ in rows] == [
        "START",
        "INSERT",
        "SELECT_LOB_LOCATOR",
        "LOB_WRITE",
        "LOB_WRITE",
        "LOB_WRITE",
        "INTERNAL",
        "COMMIT",
    ]
    assert rows[1][1].endswith("EMPTY_CLOB());")
    assert (
        """select "NOTE" into loc_c from "CISADM"."PER" where "ID" = '9   ' and "EMAIL" IS NULL"""
        in rows[2][1]
    )
    assert "dbms_lob.write(loc_c, 500, 4001, buf_c);" in rows[5][1]


def test_a_log_holds_the_scns_between_its_first_and_the_next_one(
    database: OracleDatabase, app: Sql, reader: Sql
) -> None:
    """Of a statement of several redo records too, in front of whose first one the log was switched."""
    system = Sql(database, "SYSTEM")
    system.run("begin sandbox_faults.switch_logs(every => 1); end;")
    for key in range(3):
        app.run(f"insert into per (id, note) values ('{key}', rpad('x', 4500, 'y'))")
        app.session.commit()
    ends = reader.rows(
        "select f.member, l.first_change#, l.next_change# "
        "from v$log l join v$logfile f on f.group# = l.group#"
    )
    for name, first, end in ends:
        reader.run(
            "begin dbms_logmnr.add_logfile(logfilename => :1, options => dbms_logmnr.new); "
            f"dbms_logmnr.start_logmnr(options => {OPTIONS}); end;",
            name,
        )
        found = [scn for (scn,) in reader.rows("select scn from v$logmnr_contents")]
        assert [scn for scn in found if not first <= scn < end] == []


LONG = "rpad('x', 4500, 'y')"
LOB_STATEMENTS = [
    ("insert into per (id, note) values ('9', null)", ["1z", "3r"]),
    ("insert into per (id, note) values ('9', 'short')", ["1z", "3r"]),
    ("insert into per (id, note) values ('9', empty_clob())", ["1z", "0r"]),
    (f"insert into per (id, note) values ('9', {LONG})", ["1z", "9z", "10z", "10z", "10z", "0r"]),
    ("update per set email = 'b'", ["3r"]),
    ("update per set note = 'short'", ["3z", "3r"]),
    ("update per set email = 'b', note = 'short'", ["3z", "3r"]),
    ("update per set note = null", ["3z", "3r"]),
    ("update per set note = empty_clob()", ["3z", "0r"]),
    (f"update per set note = {LONG}", ["9z", "10z", "10z", "10z", "0r"]),
    (f"update per set email = 'b', note = {LONG}", ["3z", "9z", "10z", "10z", "10z", "0r"]),
    ("delete from per", ["2r"]),
]


@pytest.mark.parametrize(("statement", "shown"), LOB_STATEMENTS)
def test_a_change_of_a_lob_is_several_rows_undone_by_one(
    app: Sql, reader: Sql, statement: str, shown: list[str]
) -> None:
    """Rows without row id, the last one with it, which may name no table; one row undoes them all."""
    if not statement.startswith("insert"):
        app.run("insert into per (id, note) values ('1', 'first')")
        app.session.commit()
    start = app.scn()
    app.run("savepoint s")
    app.run(statement)
    app.run("rollback to s")
    app.session.commit()
    rows = mine(reader, start, "operation_code, rollback, row_id, table_name, sequence#, sql_redo")[1:-1]
    names = [f"{code}{'z' if row_id == 'A' * 18 else 'r'}" for code, _, row_id, *_ in rows]
    assert names[:-1] == shown
    assert [row[1] for row in rows] == [0] * len(shown) + [1]
    assert len({row[2] for row in rows[-2:]}) == 1
    assert [row[3] for row in rows] == [None if row[0] == 0 else "PER" for row in rows]
    assert [row[4] for row in rows[:-1]] == list(range(1, len(shown) + 1))
    assert " where " not in rows[-1][5] or rows[-1][0] == 1


def test_ddl_makes_older_rows_unreadable(app: Sql, reader: Sql) -> None:
    """The online dictionary no longer fits rows from before the change: numbered columns and status 2."""
    start = app.scn()
    app.run("insert into bare values (1, 'a', null)")
    app.run("alter table bare add (c number default 7)")
    app.run("update bare set b = 'b'")
    app.session.commit()
    rows = mine(reader, start, "seg_owner, table_name, status, info, sql_redo")
    number = app.rows("select object_id from user_objects where object_name = 'BARE'")[0][0]
    assert rows[1] == (
        "UNKNOWN",
        f"OBJ# {number}",
        2,
        "Dictionary Version Mismatch",
        f"""insert into "UNKNOWN"."OBJ# {number}"("COL 1","COL 2","COL 3") values """
        "(HEXTORAW('c102'),HEXTORAW('61'),NULL);",
    )
    assert rows[4] == (
        "CISADM",
        "BARE",
        0,
        "USER DDL (PlSql=0 RecDep=0)",
        "alter table bare add (c number default 7);",
    )
    assert rows[7][4] == """update "CISADM"."BARE" set "B" = 'b' where "B" IS NULL;"""


def test_committed_data_only_groups_and_drops(database: OracleDatabase, app: Sql, reader: Sql) -> None:
    """Whole transactions in commit order; what was undone does not show."""
    other = Sql(database)
    start = app.scn()
    app.run("insert into bare values (1, 'begun', null)")
    other.run("insert into bare values (2, 'committed', null)")
    app.run("savepoint s")
    app.run("insert into bare values (3, 'undone', null)")
    app.run("rollback to s")
    other.session.commit()
    app.session.commit()
    found = mine(reader, start, options=f"{OPTIONS} + dbms_logmnr.committed_data_only")
    assert [text.split("'")[3] if "'" in text else text for text in found] == [
        START,
        "committed",
        COMMIT,
        START,
        "begun",
        COMMIT,
    ]


def test_a_run_that_begins_inside_a_transaction_knows_less(app: Sql, reader: Sql) -> None:
    """Without its START the user is UNKNOWN or NULL, and undo rows lack the sequence of the XID."""
    app.run("insert into bare values (1, 'a', null)")
    start = app.scn()
    app.run("savepoint s")
    app.run("insert into bare values (2, 'b', null)")
    app.run("rollback to s")
    app.session.commit()
    rows = mine(reader, start, "rollback, username, xid")
    xid = rows[0][2]
    user = rows[0][1]
    assert user in (None, "UNKNOWN")
    assert rows == [(0, user, xid), (1, user, xid[:4] + b"\xff" * 4), (0, user, xid)]


def test_log_switches_and_missing_logs(database: OracleDatabase, app: Sql, reader: Sql) -> None:
    """Logs are contiguous; a gap, an unknown file, a copy and an empty range are refused by their codes."""
    start = app.scn()
    for number in range(4):
        app.run("insert into bare values (:1, 'a', null)", number)
        app.session.commit()
        database.switch_log()
    logs = reader.rows("select sequence#, first_change#, next_change# from v$archived_log order by 1")
    assert [log[0] for log in logs] == [1, 2, 3, 4]
    assert [log[2] for log in logs[:-1]] == [log[1] for log in logs[1:]]
    assert len(mine(reader, start)) == 12
    names = [row[0] for row in reader.rows("select name from v$archived_log order by sequence#")]

    def add(name: str, option: str = "addfile") -> None:
        reader.run(f"begin dbms_logmnr.add_logfile(:1, dbms_logmnr.{option}); end;", name)

    add(names[0], "new")
    add(names[2])
    with pytest.raises(OracleFault, match="ORA-01291"):
        reader.run("begin dbms_logmnr.start_logmnr(startscn => :1); end;", start)
    with pytest.raises(OracleFault, match="ORA-01289"):
        add(names[0])
    with pytest.raises(OracleFault, match="ORA-01284"):
        add("/no/such/file")
    add(names[1])
    with pytest.raises(OracleFault, match="ORA-01281"):
        reader.run("begin dbms_logmnr.start_logmnr(startscn => :1, endscn => :2); end;", start + 5, start)
    reader.run("begin dbms_logmnr.end_logmnr; end;")
    with pytest.raises(OracleFault, match="ORA-01306"):
        reader.rows("select 1 from v$logmnr_contents")
    with pytest.raises(OracleFault, match="ORA-01292"):
        reader.run("begin dbms_logmnr.start_logmnr(startscn => :1); end;", start)


def test_an_overwritten_online_log_cannot_be_read_on(database: OracleDatabase, app: Sql, reader: Sql) -> None:
    """The group is used again three switches later: ORA-00310 names both sequences."""
    start = app.scn()
    assert mine(reader, start) == []
    for _ in range(3):
        database.switch_log()
    with pytest.raises(OracleFault, match="ORA-00310: archived log contains sequence 4; sequence 1 required"):
        reader.rows("select sql_redo from v$logmnr_contents")


def test_rows_name_who_and_when(app: Sql, reader: Sql) -> None:
    """Client identifier, transaction name and the host's local time reach the reader."""
    app.run("begin dbms_session.set_identifier('ccbridge'); end;")
    app.run("set transaction name 'upload'")
    start = app.scn()
    app.run("insert into bare values (1, 'a', null)")
    app.session.commit()
    client, name, session, moment = mine(reader, start, "client_id, tx_name, session_info, timestamp")[1]
    assert (client, name) == ("ccbridge", "upload")
    assert "login_username=CISADM" in session
    local = reader.rows("select cast(systimestamp as date) from dual")[0][0]
    assert abs((local - moment).total_seconds()) < 60
    assert isinstance(moment, datetime)


def test_mining_needs_its_rights(database: OracleDatabase) -> None:
    """EXECUTE is asked for by every call, LOGMINING by starting and by the view: adding a log needs none."""
    app = Sql(database)
    with pytest.raises(OracleFault, match="PLS-00201"):
        app.run("begin dbms_logmnr.add_logfile('x'); end;")
    database.run_script(
        "grant execute on sys.dbms_logmnr to CISADM; grant select on v_$logmnr_contents to CISADM"
    )
    with pytest.raises(OracleFault, match="ORA-01284"):
        app.run("begin dbms_logmnr.add_logfile('x'); end;")
    for statement in (
        "begin dbms_logmnr.start_logmnr(startscn => 1); end;",
        "select scn from v$logmnr_contents",
    ):
        with pytest.raises(OracleFault, match="ORA-01031"):
            app.run(statement)


def test_deleted_archived_logs_are_gone(database: OracleDatabase, app: Sql, reader: Sql) -> None:
    """Once a job removed them they keep their row without a name, and mining what they held is refused."""
    start = app.scn()
    for _ in range(3):
        database.switch_log()
    (name,) = reader.rows("select name from v$archived_log where sequence# = 1")[0]
    database.delete_archived_logs(1)
    query = "select name, status, deleted from v$archived_log where sequence# = 1"
    assert reader.rows(query) == [(None, "D", "YES")]
    with pytest.raises(OracleFault, match="ORA-01284"):
        reader.run("begin dbms_logmnr.add_logfile(:1, dbms_logmnr.new); end;", name)
    with pytest.raises(OracleFault, match="ORA-01291"):
        mine(reader, start)


def test_rows_behind_a_ddl_are_not_decoded_until_mining_is_started_again() -> None:
    """The dictionary is that of the start; rows before the DDL were known, and are no longer after it."""
    database = a_database()
    database.run_script("create table CISADM.T (n number primary key); create table CISADM.U (n number);")
    sql, reader = Sql(database), Sql(database, "CCBRIDGE")
    member, first = reader.rows(
        "select f.member, l.first_change# from v$logfile f, v$log l "
        "where l.group# = f.group# and l.status = 'CURRENT'"
    )[0]
    reader.run(f"begin dbms_logmnr.add_logfile('{member}', dbms_logmnr.new); end;")
    start = f"begin dbms_logmnr.start_logmnr(startscn => {first}, options => 16); end;"
    shown = "select table_name, info from v$logmnr_contents where operation_code = 1"
    reader.run(start)
    sql.run("insert into t values (1)")
    sql.run("alter table t add (v varchar2(5))")
    sql.run("insert into t values (2, 'x')")
    sql.run("insert into u values (1)")
    sql.session.commit()
    unknown = f"OBJ# {sql.rows('select object_id from user_objects where object_name = :1', 'T')[0][0]}"
    mismatch = "Dictionary Version Mismatch"
    assert reader.rows(shown) == [(unknown, mismatch), (unknown, mismatch), ("U", None)]
    reader.run(start)
    assert reader.rows(shown) == [(unknown, mismatch), ("T", None), ("U", None)]
