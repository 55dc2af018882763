"""The LogMiner reader on the Oracle stand-in, beyond the contract of all readers."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import oracledb
import pytest
import structlog

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.errors import LoginRefused, OperatorError, RedoNotAvailable, TableChanged
from cdc.readers.logminer import LogMinerReader
from cdc.readers.logminer.mining import session as session_module
from tests.contract.logminer_source import (
    COLUMNS,
    SECRET,
    TABLES,
    OracleSource,
    needs_stand_in,
    oracle_server,
    system_session,
)
from tests.contract.reader_suite import Event, Reading, events, insert, snapshot


@pytest.fixture
def reader(source: OracleSource) -> Iterator[LogMinerReader]:
    made = new_reader(source)
    yield made
    made.close()


def new_reader(source: OracleSource) -> LogMinerReader:
    return LogMinerReader("ccb", source.settings, [TableName(source.owner, name) for name in TABLES])


def administer(source: OracleSource, *statements: str) -> None:
    with system_session(source.settings.dsn) as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_log_switches_lose_nothing(source: OracleSource, reader: LogMinerReader) -> None:
    """A transaction that spans log switches comes whole, whether its logs are archived or online."""
    reading = Reading(reader, snapshot(reader)[-1].resume)
    with source.session() as session:
        for key in range(8):
            session.execute(insert(key))
            administer(source, "alter system switch logfile")
        session.commit()
    assert [event.after["id"] for event in reading.take(8)] == [str(key) for key in range(8)]
    administer(source, "alter system switch logfile")
    with source.session() as session:
        session.execute(insert(100))
        session.commit()
    assert reading.take(1)[0].after["id"] == "100"


def test_restart_inside_an_open_transaction(source: OracleSource, reader: LogMinerReader) -> None:
    """A transaction open over a restart comes whole and once, and nothing committed comes again."""
    reading = Reading(reader, snapshot(reader)[-1].resume)
    with source.session() as slow, source.session() as quick:
        slow.execute(insert(1, "slow"))
        for key in range(2, 6):
            quick.execute(insert(key, "quick"))
            quick.commit()
        first = reading.take(4)
        reader.close()
        slow.execute(insert(9, "slow"))
        again = new_reader(source)
        try:
            after = Reading(again, reading.resume)
            slow.commit()
            second = after.take(2)
        finally:
            again.close()
    assert [event.after["id"] for event in first] == ["2", "3", "4", "5"]
    assert [event.after["id"] for event in second] == ["1", "9"]
    assert len({event.position for event in second}) == 1
    assert second[0].position > first[-1].position


def test_wide_rows_come_whole(source: OracleSource, reader: LogMinerReader) -> None:
    """SQL_REDO over 4000 bytes comes in pieces, cut anywhere, and is put together again."""
    administer(source, f"alter table {source.owner}.ACCOUNT modify (note varchar2(4000))")
    note = "L'été d''avant, \"où\" = 'x' and || 😀 " * 80
    reading = Reading(reader, snapshot(reader)[-1].resume)
    quoted = note.replace("'", "''")
    with source.session() as session:
        session.execute(f"insert into account (id, name, note) values (1, 'wide', '{quoted}')")
        session.execute("update account set name = 'wider' where id = 1")
        session.commit()
    created, updated = reading.take(2)
    assert created.after["note"] == note
    assert (updated.before["note"], updated.after["note"], updated.after["name"]) == (note, note, "wider")


def test_added_column_continues(source: OracleSource, reader: LogMinerReader) -> None:
    """Additive DDL does not stop the stream; rows after it hold the new column."""
    reading = Reading(reader, snapshot(reader)[-1].resume)
    with source.session() as session:
        session.execute(insert(1))
        session.commit()
    administer(source, f"alter table {source.owner}.ACCOUNT add (city varchar2(30))")
    with source.session() as session:
        session.execute("insert into account (id, name, city) values (2, 'b', 'Douala')")
        session.commit()
    found = reading.take(2)
    assert [event.after["id"] for event in found] == ["1", "2"]
    assert found[-1].after["city"] == "Douala"


@pytest.mark.parametrize(
    "ddl", ["truncate cluster {owner}.HEAP", "drop cluster {owner}.HEAP including tables"]
)
def test_what_empties_a_cluster_stops_its_tables(source: OracleSource, ddl: str) -> None:
    """Its one row of DDL names the cluster, no table: those in it are known from the dictionary."""
    owner, user = source.owner, source.settings.user
    names = [TableName(owner, name) for name in ("FIRST", "SECOND", "RECHARGE")]
    administer(source, f"create cluster {owner}.HEAP (id number(19))")
    for name in names[:2]:
        administer(
            source,
            f"create table {name} (id number(19) primary key) cluster {owner}.HEAP (id)",
            f"alter table {name} add supplemental log data (all) columns",
            f"grant select, flashback on {name} to {user}",
        )
    with closing(LogMinerReader("ccb", source.settings, names)) as reader:
        resume = snapshot(reader)[-1].resume
        with source.session() as session:
            session.execute("insert into first (id) values (1)")
            session.commit()
            administer(source, ddl.format(owner=owner))
            session.execute(insert(2, into="recharge"))
            session.commit()
        reading = Reading(reader, resume)
        assert [event.table for event in reading.take(2)] == ["first", "recharge"]
        stopped = reading.batches[-1].stopped
    assert sorted(stopped) == names[:2]
    assert "the cluster of" in str(stopped[names[0]])


def test_what_a_truncated_table_takes_along_is_stopped(source: OracleSource) -> None:
    """With CASCADE, also through a table that no one captures or may see; the row names the first alone."""
    owner, user = source.owner, source.settings.user
    key = "id number(19) primary key"
    refers = f"parent number(19) references {owner}.{{}} on delete cascade"
    hidden = f"create table {owner}.HIDDEN ({key}, {refers.format('TOP')})"
    names = [TableName(owner, name) for name in ("CHILD", "GRANDCHILD", "UNRELATED", "RECHARGE")]
    columns = [
        refers.format("TOP"),
        refers.format("HIDDEN"),
        f"parent number(19) references {owner}.HIDDEN_TOO",
    ]
    administer(
        source, f"create table {owner}.TOP ({key})", f"create table {owner}.HIDDEN_TOO ({key})", hidden
    )
    for name, column in zip(names, columns, strict=False):
        administer(
            source,
            f"create table {name} ({key}, {column})",
            f"alter table {name} add supplemental log data (all) columns",
            f"grant select, flashback on {name} to {user}",
        )
    with closing(LogMinerReader("ccb", source.settings, names)) as reader:
        resume = snapshot(reader)[-1].resume
        with source.session() as session:
            session.execute("insert into child (id) values (1)")
            session.commit()
            administer(source, f"truncate table {owner}.HIDDEN_TOO", f"truncate table {owner}.TOP cascade")
            session.execute("insert into unrelated (id) values (2)")
            session.execute(insert(2, into="recharge"))
            session.commit()
        reading = Reading(reader, resume)
        assert [event.table for event in reading.take(3)] == ["child", "unrelated", "recharge"]
        stopped = reading.batches[-1].stopped
    assert sorted(stopped) == names[:2]
    assert f"{owner}.TOP was truncated with the tables that refer to it" in str(stopped[names[0]])


def test_a_user_who_is_dropped_takes_his_tables_along(source: OracleSource) -> None:
    """The row of DDL names the user."""
    gone = f"{source.owner}_B"
    name, other = TableName(gone, "KEPT"), TableName(source.owner, "RECHARGE")
    administer(
        source,
        f'create user {gone} identified by "x"',
        f"alter user {gone} quota unlimited on USERS",
        f"create table {name} (id number(19) primary key)",
        f"alter table {name} add supplemental log data (all) columns",
        f"grant select, flashback on {name} to {source.settings.user}",
    )
    with closing(LogMinerReader("ccb", source.settings, [name, other])) as reader:
        resume = snapshot(reader)[-1].resume
        administer(source, f"insert into {name} values (1)", f"drop user {gone} cascade")
        with source.session() as session:
            session.execute(insert(2, into="recharge"))
            session.commit()
        reading = Reading(reader, resume)
        reading.take(2)
        stopped = reading.batches[-1].stopped
    assert list(stopped) == [name]
    assert f"user {gone} was dropped" in str(stopped[name])


@pytest.mark.parametrize(
    ("ddl", "lost"),
    [
        ("alter table {table} drop column note", "column NOTE"),
        ("truncate table {table}", "all rows"),
        ("drop table {table}", "the table"),
    ],
)
def test_destructive_ddl_stops_its_table_only(
    source: OracleSource, reader: LogMinerReader, ddl: str, lost: str
) -> None:
    """What was lost is named with table and SCN, rows before it are handed out, other tables continue."""
    resume = snapshot(reader)[-1].resume
    with source.session() as session:
        session.execute(insert(1))
        session.commit()
        administer(source, ddl.format(table=f"{source.owner}.ACCOUNT"))
        session.execute(insert(2, into="recharge"))
        session.commit()
    reading = Reading(reader, resume)
    found = reading.take(2)
    assert [(event.table, event.after["id"]) for event in found] == [("account", "1"), ("recharge", "2")]
    error = reading.batches[-1].stopped[TableName(source.owner, "ACCOUNT")]
    assert isinstance(error, TableChanged)
    assert re.search(rf"{source.owner}\.ACCOUNT removed: .*{lost}; at SCN \d+", str(error))


@pytest.mark.parametrize(
    ("ddl", "lost"),
    [
        (["drop table {table}", "create table {table} ({columns})"], "DROP of .* removed: the table"),
        (
            [
                "create table {table}_NEW ({columns})",
                "alter table {table} rename to ACCOUNT_OLD",
                "alter table {table}_NEW rename to ACCOUNT",
            ],
            "ALTER of .* removed: the table",
        ),
        (
            [
                "create table {table}_PARTS ({columns})",
                "alter table {table}_PARTS exchange partition p1 with table {table}",
            ],
            "exchanged with a partition",
        ),
    ],
    ids=["dropped", "renamed", "exchanged"],
)
def test_a_table_of_the_same_name_and_columns_is_another_one(
    source: OracleSource, reader: LogMinerReader, ddl: list[str], lost: str
) -> None:
    """Rows that went without a delete stop the table, though today's dictionary looks as before."""
    table = TableName(source.owner, "ACCOUNT")
    resume = snapshot(reader)[-1].resume
    administer(source, *(one.format(table=table, columns=COLUMNS) for one in ddl))
    with source.session() as session:
        session.execute(insert(2, into="recharge"))
        session.commit()
    reading = Reading(reader, resume)
    assert [event.table for event in reading.take(1)] == ["recharge"]
    assert re.search(lost, str(reading.batches[-1].stopped[table]))


def test_ddl_older_than_the_checkpoint_stops_nothing(source: OracleSource, reader: LogMinerReader) -> None:
    """An open transaction keeps reading far back: what was truncated before the snapshot stops nothing."""
    with source.session() as holder, source.session() as session:
        holder.execute(insert(1, into="recharge"))
        administer(source, f"truncate table {source.owner}.ACCOUNT")
        resume = snapshot(reader)[-1].resume
        session.execute(insert(2))
        session.commit()
        holder.commit()
        reading = Reading(reader, resume)
        assert [event.after["id"] for event in reading.take(2)] == ["2", "1"]
    assert reading.batches[-1].stopped == {}


def test_stopped_table_stays_stopped_over_a_restart(source: OracleSource, reader: LogMinerReader) -> None:
    """The checkpoint remembers it; only reading again takes the table up again."""
    table = TableName(source.owner, "ACCOUNT")
    reading = Reading(reader, snapshot(reader)[-1].resume)
    administer(source, f"truncate table {table}")
    with source.session() as session:
        session.execute(insert(1))
        session.execute(insert(2, into="recharge"))
        session.commit()
        reading.take(1)
        reader.close()
        again = new_reader(source)
        try:
            session.execute(insert(3))
            session.execute(insert(4, into="recharge"))
            session.commit()
            after = Reading(again, reading.resume)
            assert [event.table for event in after.take(1)] == ["recharge"]
            assert "all rows" in str(after.batches[-1].stopped[table])
            batches = snapshot(again)
            read = {e.after["id"] for batch in batches for e in events(batch) if e.table == "account"}
            assert read == {"1", "3"}
            session.execute(insert(5))
            session.commit()
            taken = Reading(again, batches[-1].resume)
            assert [event.after["id"] for event in taken.take(1)] == ["5"]
            assert taken.batches[-1].stopped == {}
        finally:
            again.close()


@pytest.mark.parametrize("ddl", ["alter table {table} drop column amount", "drop table {table}"])
def test_table_altered_while_no_one_read_is_not_decoded_by_guess(source: OracleSource, ddl: str) -> None:
    """Rows older than today's columns cannot be read with them: the table stops, no value is misplaced."""
    table = TableName(source.owner, "ACCOUNT")
    first = new_reader(source)
    resume = snapshot(first)[-1].resume
    first.close()
    with source.session() as session:
        session.execute(insert(1, note="not an amount"))
        session.commit()
        administer(source, ddl.format(table=table))
        session.execute(insert(2, into="recharge"))
        session.commit()
    again = new_reader(source)
    try:
        reading = Reading(again, resume)
        assert [(event.table, event.after["id"]) for event in reading.take(1)] == [("recharge", "2")]
        assert table in reading.batches[-1].stopped
    finally:
        again.close()


@pytest.mark.parametrize("taken", ["drop primary key", "drop constraint ACCOUNT_KEY"])
def test_a_key_that_was_away_while_no_one_read_stops_its_table(source: OracleSource, taken: str) -> None:
    """It is there again, but rows that came in between may have had one key between them."""
    table = TableName(source.owner, "ACCOUNT")
    given = f"alter table {table} add constraint ACCOUNT_KEY primary key (id)"
    administer(source, f"alter table {table} drop primary key", given)
    with source.session() as session:
        session.execute(insert(1, name="gone"))
        session.commit()
        with closing(new_reader(source)) as first:
            resume = snapshot(first)[-1].resume
        administer(source, f"alter table {table} {taken}")
        session.execute(insert(1, name="stays"))
        session.execute("delete from account where name = 'gone'")
        session.commit()
        administer(source, given)
        session.execute(insert(2, into="recharge"))
        session.commit()
    with closing(new_reader(source)) as again:
        reading = Reading(again, resume)
        assert [(event.table, event.after["id"]) for event in reading.take(1)] == [("recharge", "2")]
        assert "primary key (ID)" in str(reading.batches[-1].stopped[table])


def test_column_added_while_no_one_read_keeps_older_rows(source: OracleSource) -> None:
    """Rows from before come undecoded; the columns they have are still the first ones of the table."""
    first = new_reader(source)
    resume = snapshot(first)[-1].resume
    first.close()
    with source.session() as session:
        session.execute(insert(1, "é", "-0.5", "n"))
        session.commit()
        administer(source, f"alter table {source.owner}.ACCOUNT add (city varchar2(30))")
        session.execute("insert into account (id, name, city) values (2, 'b', 'Douala')")
        session.commit()
    again = new_reader(source)
    try:
        old, new = Reading(again, resume).take(2)
    finally:
        again.close()
    assert [old.after[name] for name in ("id", "name", "amount", "note")] == ["1", "é", "-0.5", "n"]
    assert new.after["city"] == "Douala"


def test_each_table_changes_where_its_own_ddl_is(source: OracleSource, reader: LogMinerReader) -> None:
    """DDL of one table does not hide what later DDL of another one removed."""
    reading = Reading(reader, snapshot(reader)[-1].resume)
    administer(
        source,
        f"alter table {source.owner}.ACCOUNT add (city varchar2(30))",
        f"alter table {source.owner}.RECHARGE drop column note",
    )
    with source.session() as session:
        session.execute(insert(1))
        session.commit()
    assert [event.table for event in reading.take(1)] == ["account"]
    assert list(reading.batches[-1].stopped) == [TableName(source.owner, "RECHARGE")]


def inject(source: OracleSource, call: str) -> None:
    needs_stand_in()
    administer(source, f"begin sandbox_faults.{call}; end;")


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[OracleSource]:
    """A schema on a server of its own, whose logs may be deleted."""
    with oracle_server(tmp_path) as dsn:
        yield OracleSource(dsn)


@pytest.mark.parametrize("code", [4036, 4030, 1013, 1306, 310, 308, 1291, 600])
def test_failed_mining_session_is_replaced(source: OracleSource, reader: LogMinerReader, code: int) -> None:
    """The reader begins again at its last batch by itself: nothing is lost and nothing comes twice."""
    reading = Reading(reader, snapshot(reader)[-1].resume, max_changes=3)
    found: list[Event] = []
    try:
        with source.session() as session:
            for first in (0, 4, 8):
                for key in range(first, first + 4):
                    session.execute(insert(key))
                session.commit()
                inject(
                    source,
                    f"add_error(code => {code}, statement => 'v$logmnr_contents', "
                    "username => 'CCBRIDGE', after_rows => 2)",
                )
                found += reading.take(4)
    finally:
        inject(source, "clear")
    assert [event.after["id"] for event in found] == [str(key) for key in range(12)]
    places = [event.place for event in found]
    assert places == sorted(set(places))


def test_internal_error_again_and_again_is_for_an_operator(
    source: OracleSource, reader: LogMinerReader
) -> None:
    """An ORA-00600 may pass once; that comes back has a trace file, and its arguments are reported."""
    resume = snapshot(reader)[-1].resume
    with source.session() as session:
        session.execute(insert(1))
        session.commit()
    inject(
        source,
        "add_error(code => 600, statement => 'v$logmnr_contents', username => 'CCBRIDGE', times => 9, "
        "argument => 'kdli_iread')",
    )
    try:
        with pytest.raises(OperatorError, match=r"ORA-00600.*\[kdli_iread\].*2 times running"):
            Reading(reader, resume).take(1)
    finally:
        inject(source, "clear")


def test_deleted_logs_stop_the_source_until_they_are_restored(own_server: OracleSource) -> None:
    """The thread and its sequences are named, nothing is passed over, and after the restore all is there."""
    reader = new_reader(own_server)
    try:
        resume = snapshot(reader)[-1].resume
        with own_server.session() as session:
            for key in range(6):
                session.execute(insert(key))
                session.commit()
                administer(own_server, "alter system switch logfile")
        inject(own_server, "purge_logs(how => 'DELETED')")
        with pytest.raises(
            RedoNotAvailable, match=r"thread 1 sequence 1 to \d was archived and its file del"
        ):
            Reading(reader, resume).take(1)
        inject(own_server, "restore_logs")
        found = Reading(reader, resume).take(6)
    finally:
        reader.close()
    assert [event.after["id"] for event in found] == [str(key) for key in range(6)]


def test_open_transaction_outlives_the_logs_of_its_start(own_server: OracleSource, tmp_path: Path) -> None:
    """With a spill directory a restart needs no redo from before: the rows of then are on disk."""
    settings = {"spill_directory": tmp_path / "redo", "open_transaction_write_s": 0}
    own_server.settings = own_server.settings.model_copy(update=settings)
    reader = new_reader(own_server)
    reading = Reading(reader, snapshot(reader)[-1].resume)
    try:
        with own_server.session() as slow, own_server.session() as quick:
            for key in (1, 2, 3):
                slow.execute(insert(key, "slow"))
            slow.execute("savepoint s")
            slow.execute("update account set name = 'undone' where id = 2")
            quick.execute(insert(50))
            quick.commit()
            reading.until(lambda found: bool(found) and bool(reading.resume.get("open")))
            for key in range(51, 56):
                administer(own_server, "alter system switch logfile")
                quick.execute(insert(key))
                quick.commit()
            reading.until(lambda found: bool(found) and found[-1].after["id"] == "55")
            reader.close()
            inject(own_server, "purge_logs(how => 'DELETED', up_to => 2)")
            reader = new_reader(own_server)
            slow.execute("rollback to savepoint s")
            slow.execute(insert(4, "slow"))
            slow.commit()
            found = Reading(reader, reading.resume).take(4)
    finally:
        reader.close()
    assert [(event.after["id"], event.after["name"]) for event in found] == [
        (str(k), "slow") for k in (1, 2, 3, 4)
    ]


def test_archiver_that_is_late_is_waited_for(own_server: OracleSource) -> None:
    """A log is registered some time after its switch; that is not a gap yet."""
    reader = new_reader(own_server)
    try:
        reading = Reading(reader, snapshot(reader)[-1].resume)
        inject(own_server, "delay_archiving(looks => 2)")
        with own_server.session() as session:
            for key in range(8):
                session.execute(insert(key))
                session.commit()
                administer(own_server, "alter system switch logfile")
        assert [event.after["id"] for event in reading.take(8)] == [str(key) for key in range(8)]
    finally:
        reader.close()


def test_two_redo_threads_are_read_in_commit_order(own_server: OracleSource) -> None:
    """A cluster's instances write logs of their own; the one that flushes late holds the window back."""
    reader = new_reader(own_server)
    try:
        reading = Reading(reader, snapshot(reader)[-1].resume)
        inject(own_server, "open_thread(thread => 2)")
        with own_server.session() as one, own_server.session() as two:
            two.execute("begin sandbox_faults.use_thread(thread => 2); end;")
            for key in range(10):
                session = (one, two)[key % 2]
                session.execute(insert(key))
                session.commit()
                if key == 5:
                    administer(own_server, "alter system switch logfile")
        assert [event.after["id"] for event in reading.take(10)] == [str(key) for key in range(10)]
    finally:
        reader.close()


@pytest.mark.parametrize("limit", [{"session_max_pga_bytes": 1}, {"session_max_age_s": 1}])
def test_session_is_renewed_by_age_and_by_memory(
    source: OracleSource, limit: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """LogMiner's memory only comes back with a new session; the stream does not notice."""
    monkeypatch.setattr(session_module, "PGA_EVERY_S", 0.0)
    views = [f"grant select on sys.{view} to {source.settings.user}" for view in ("V_$MYSTAT", "V_$STATNAME")]
    administer(source, *views)
    source.settings = source.settings.model_copy(update=limit)
    reader = new_reader(source)
    written: list[str] = []
    try:
        assert reader.preflight() == []
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with structlog.testing.capture_logs() as logs, source.session() as session:

            def renewed(found: list[Event]) -> bool:
                done = sum(entry["event"] == "mining_session_renewed" for entry in logs) > 1
                if not done:
                    session.execute(insert(len(written)))
                    session.commit()
                    written.append(str(len(written)))
                return done and len(found) == len(written)

            found = reading.until(renewed, expect="renewed sessions")
    finally:
        reader.close()
    assert [event.after["id"] for event in found] == written


def test_preflight_lists_every_failure_and_its_sql_fixes_it(source: OracleSource) -> None:
    """A user without rights and tables without logging: all findings at once, and their fixes work."""
    dsn, user, table = source.settings.dsn, f"U{uuid.uuid4().hex[:10].upper()}", f"{source.owner}.BARE"
    administer(
        source,
        f'create user {user} identified by "{SECRET}"',
        f"grant create session to {user}",
        f"create table {table} (id number primary key)",
    )
    settings = OracleSystem(
        kind="oracle", dsn=dsn, user=user, password=SECRET, insecure=True, poll_interval_ms=25
    )
    rounds = []
    for _ in range(4):
        reader = LogMinerReader("ccb", settings, [TableName(source.owner, "BARE")])
        try:
            found = reader.preflight()
        finally:
            reader.close()
        rounds.append({finding.subject for finding in found})
        if not found:
            break
        administer(source, *(sql.strip() for one in found for sql in one.fix.split(";") if sql.strip()))
    assert rounds[-1] == set()
    assert rounds[0] >= {"V$DATABASE", "V$LOGMNR_CONTENTS", "GV$TRANSACTION", "DBMS_LOGMNR"}
    assert table in set().union(*rounds)


def test_spill_directory_that_cannot_be_written_is_a_finding(source: OracleSource, tmp_path: Path) -> None:
    """Known before a large transaction comes, not when it does."""
    (tmp_path / "file").write_text("")
    for directory, findings in ((tmp_path / "file" / "redo", 1), (tmp_path / "made" / "later", 0)):
        settings = source.settings.model_copy(update={"spill_directory": directory})
        reader = LogMinerReader("ccb", settings, [TableName(source.owner, "ACCOUNT")])
        try:
            assert [one.subject for one in reader.preflight()] == ["setting spill_directory"] * findings
        finally:
            reader.close()


def test_missing_table_is_a_finding(source: OracleSource) -> None:
    """A table that is not there is named among the findings, with what would make it visible."""
    reader = LogMinerReader("ccb", source.settings, [TableName(source.owner, "NOWHERE")])
    try:
        (finding,) = reader.preflight()
    finally:
        reader.close()
    assert finding.subject == f"{source.owner}.NOWHERE"
    assert f'grant select, flashback on "{source.owner}"."NOWHERE"' in finding.fix


def test_wrong_password_is_refused_once(source: OracleSource) -> None:
    """A refused login is an error for an operator, never retried: a retry can lock the account."""
    settings = source.settings.model_copy(update={"user": "NO_ONE"})
    with pytest.raises(LoginRefused):
        LogMinerReader("ccb", settings, [TableName(source.owner, "ACCOUNT")]).identity()


def test_lob_columns_are_left_out(source: OracleSource) -> None:
    """A LOB column that no rule reads is described but not captured; rows that hold it come all the same."""
    table = f"{source.owner}.AREA"
    administer(
        source,
        f"create table {table} (id number primary key, data_area clob, name varchar2(20))",
        f"alter table {table} add supplemental log data (all) columns",
        f"grant select, flashback on {table} to {source.settings.user}",
    )
    reader = LogMinerReader("ccb", source.settings, [TableName(source.owner, "AREA")])
    try:
        (described,) = reader.describe().values()
        assert described.column_names == ("ID", "DATA_AREA", "NAME")
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with source.session() as session:
            session.execute(f"insert into {table} values (1, '<a>{'x' * 200}</a>', 'n')")
            session.execute(
                f"insert into {table} values (2, to_clob(rpad('x', 3999, 'y')) || rpad('x', 3999, 'y'), 'm')"
            )
            session.execute(f"update {table} set data_area = 'short' where id = 1")
            session.execute(f"update {table} set name = 'z' where id = 2")
            session.commit()
        found = reading.until(lambda events: events[-1].after["name"] == "z")
    finally:
        reader.close()
    assert [(e.after["id"], e.after["name"]) for e in found if e.operation == "c"] == [("1", "n"), ("2", "m")]


@pytest.mark.parametrize("seed", range(3))
def test_random_histories_end_in_the_same_rows(source: OracleSource, seed: int) -> None:
    """Whatever interleaving, savepoints, key changes and restarts: the stream leads to the table's rows."""
    pick = random.Random(seed)  # noqa: S311 - data, no secret
    reader = new_reader(source)
    resume = snapshot(reader)[-1].resume
    state: dict[str | None, object] = {}
    places: list[tuple[int, int]] = []
    try:
        with source.session() as a, source.session() as b, source.session() as c:
            # each session has keys of its own, so that none waits for another
            for step in range(120):
                number = pick.randrange(3)
                session, key = (a, b, c)[number], number * 1_000 + pick.randrange(12)
                action = pick.random()
                try:
                    if action < 0.4:
                        session.execute(insert(key, f"s{step}"))
                    elif action < 0.6:
                        session.execute(f"update account set amount = {step} where id = {key}")
                    elif action < 0.65:
                        session.execute(
                            f"update account set id = {number * 1_000 + 50 + step} where id = {key}"
                        )
                    elif action < 0.75:
                        session.execute(f"delete from account where id = {key}")
                    elif action < 0.8:
                        session.execute("savepoint s")
                        session.execute(
                            f"update account set name = 'undone' where id between {key} and {key + 3}"
                        )
                        session.execute("rollback to savepoint s")
                    elif action < 0.9:
                        session.commit()
                    elif action < 0.95:
                        session.rollback()
                    else:
                        administer(source, "alter system switch logfile")
                except oracledb.IntegrityError:
                    pass  # the key exists: the statement is undone, the transaction continues
            for session in (a, b, c):
                session.commit()
            a.execute(insert(999_999))
            a.commit()
        done = False
        while not done:
            reading = Reading(reader, resume, max_changes=pick.choice([3, 50]))
            found = reading.until(lambda events: bool(events))
            resume = reading.resume
            for event in found:
                places.append(event.place)
                if event.operation in "ud":
                    del state[event.before["id"]]
                if event.operation in "cu":
                    assert event.after["id"] not in state
                    state[event.after["id"]] = event.after
            done = "999999" in state
            reader.close()
            reader = new_reader(source)
    finally:
        reader.close()
    assert places == sorted(set(places))
    assert state == source.rows("account")
