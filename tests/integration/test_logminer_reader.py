"""The LogMiner reader on the Oracle stand-in, beyond the contract of all readers."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator

import oracledb
import pytest

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.errors import LoginRefused, TableChanged
from cdc.readers.logminer import LogMinerReader
from tests.contract.logminer_source import (
    SECRET,
    TABLES,
    OracleSource,
    oracle_server,
    system_session,
)
from tests.contract.reader_suite import Reading, insert, snapshot


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests; each has a schema of its own."""
    with oracle_server(tmp_path_factory.mktemp("oracle")) as dsn:
        yield dsn


@pytest.fixture
def source(oracle: str) -> OracleSource:
    return OracleSource(oracle)


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


def test_added_column_goes_on(source: OracleSource, reader: LogMinerReader) -> None:
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
    ("ddl", "lost"),
    [
        ("alter table {table} drop column note", "column NOTE"),
        ("truncate table {table}", "all rows"),
        ("drop table {table}", "the table"),
    ],
)
def test_destructive_ddl_stops(source: OracleSource, reader: LogMinerReader, ddl: str, lost: str) -> None:
    """DDL that loses something is named with its table and SCN, never passed over."""
    reading = Reading(reader, snapshot(reader)[-1].resume)
    administer(source, ddl.format(table=f"{source.owner}.ACCOUNT"))
    with pytest.raises(TableChanged, match=rf"{source.owner}\.ACCOUNT at SCN \d+ took away: .*{lost}"):
        reading.take(1)


def test_preflight_lists_every_fault_and_its_sql_mends_it(source: OracleSource) -> None:
    """A user without rights and tables without logging: all findings at once, and their fixes work."""
    dsn, user, table = source.settings.dsn, f"U{uuid.uuid4().hex[:10].upper()}", f"{source.owner}.BARE"
    administer(
        source,
        f'create user {user} identified by "{SECRET}"',
        f"grant create session to {user}",
        f"create table {table} (id number primary key)",
    )
    settings = OracleSystem(kind="oracle", dsn=dsn, user=user, password=SECRET, insecure=True)
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
    """A refused login is an error for a person, never retried: a retry can lock the account."""
    settings = source.settings.model_copy(update={"user": "NOBODY"})
    with pytest.raises(LoginRefused):
        LogMinerReader("ccb", settings, [TableName(source.owner, "ACCOUNT")]).identity()


def test_lob_columns_are_left_out(source: OracleSource) -> None:
    """A table's LOB columns are not described, and rows that hold them come all the same."""
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
        assert described.column_names == ("ID", "NAME")
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with source.session() as session:
            session.execute(f"insert into {table} values (1, '<a>{'x' * 200}</a>', 'n')")
            session.execute(
                f"insert into {table} values (2, rpad('x', 3999, 'y') || rpad('x', 3999, 'y'), 'm')"
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
                    pass  # the key exists: the statement is undone, the transaction goes on
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
