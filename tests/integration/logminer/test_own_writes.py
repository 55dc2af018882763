"""Own writes distinguished from others' in the redo: by user, client identifier, apply log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import oracledb
import pytest

from cdc.changes import TableName
from cdc.oracle.apply_log import ApplyLog
from cdc.readers.logminer import LogMinerReader
from tests.contract.logminer_source import OracleSource, as_bridge, inside, system_session
from tests.contract.reader_suite import Reading, insert, snapshot


@pytest.fixture
def marked(source: OracleSource) -> OracleSource:
    """A source with an apply log."""
    log = log_of(source)
    with system_session(inside(source.settings.dsn, source.settings.pdb)) as cursor:
        for statement in log.ddl():
            cursor.execute(statement.rstrip(";"))
    source.settings = source.settings.model_copy(update={"apply_log": f"{source.owner}.APPLY_LOG"})
    return source


def log_of(source: OracleSource) -> ApplyLog:
    return ApplyLog(TableName(source.owner, "APPLY_LOG"), source.settings.user)


def new_reader(source: OracleSource) -> LogMinerReader:
    return LogMinerReader("ccb", source.settings, [TableName(source.owner, "ACCOUNT")])


@contextmanager
def bridge(source: OracleSource, *, client: str = "") -> Iterator[oracledb.Cursor]:
    """A session of the bridge's user that sets this client identifier; commits at the end."""
    with as_bridge(source.settings, client=client) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"alter session set current_schema = {source.owner}")
            yield cursor
        connection.commit()


def test_without_an_apply_log_the_user_is_ours_unless_another_identifier_says_no(
    source: OracleSource,
) -> None:
    """A DBA's SQL under our name without identifier is taken for ours: the name is for no one else."""
    with closing(new_reader(source)) as reader:
        reading = Reading(reader, snapshot(reader)[-1].resume)
        for key, client in ((1, "ccbridge"), (2, ""), (3, "toad")):
            with bridge(source, client=client) as cursor:
                cursor.execute(insert(key))
        with source.session() as writer:
            writer.execute(insert(4))
            writer.commit()
        found = reading.take(4)
    assert [(event.after["id"], event.ours) for event in found] == [
        ("1", True),
        ("2", True),
        ("3", False),
        ("4", False),
    ]


def test_with_an_apply_log_a_dba_under_our_name_is_seen(marked: OracleSource) -> None:
    """Only a transaction with a row in the apply log is ours; one whose row was undone is not."""
    log = log_of(marked)
    with closing(new_reader(marked)) as reader:
        assert reader.preflight() == []
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with bridge(marked, client="ccbridge") as cursor:
            cursor.execute(log.insert_of(":1"), ["20260101"])
            cursor.execute(insert(1))
        with bridge(marked) as cursor:
            cursor.execute(insert(2))
        with bridge(marked, client="ccbridge") as cursor:
            cursor.execute("savepoint before")
            cursor.execute(log.insert_of(":1"), ["20260102"])
            cursor.execute("rollback to before")
            cursor.execute(insert(3))
        found = reading.take(3)
    assert [(event.after["id"], event.ours) for event in found] == [("1", True), ("2", False), ("3", False)]


@pytest.mark.parametrize("how", ["nothing", "client identifier", "apply log"])
def test_a_transaction_from_before_reading_began(
    source: OracleSource, request: pytest.FixtureRequest, how: str
) -> None:
    """Mining begins in the middle of it, so LogMiner names no user: only a row in the apply log tells."""
    if how == "apply log":
        request.getfixturevalue("marked")
    with closing(new_reader(source)) as first:
        resume = dict(snapshot(first)[-1].resume)
    with bridge(source, client="ccbridge" if how == "client identifier" else "") as cursor:
        cursor.execute(insert(1))
        with system_session(source.settings.dsn) as system:
            system.execute("select current_scn from v$database")
            (now,) = system.fetchone()
        if how == "apply log":
            cursor.execute(log_of(source).insert_of(":1"), ["20260103"])
        cursor.execute(insert(2))
    resume["read_from"] = resume["committed"] = now
    with closing(new_reader(source)) as reader:
        (event,) = Reading(reader, resume).take(1)
    assert event.after["id"] == "2"
    assert event.ours == (how == "apply log")


def test_a_mark_is_kept_over_a_restart(
    marked: OracleSource, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A long transaction of ours that was written to disk is still ours when it commits after a restart."""
    marked.settings = marked.settings.model_copy(
        update={"spill_directory": tmp_path_factory.mktemp("spill"), "open_transaction_write_s": 0}
    )
    with closing(new_reader(marked)) as reader:
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with bridge(marked) as cursor:
            cursor.execute(log_of(marked).insert_of(":1"), ["20260104"])
            cursor.execute(insert(1))
            reading.until(lambda _: "restart_from" in reading.batches[-1].resume, expect="rows on disk")
            resume = reading.batches[-1].resume
            reader.close()
    with closing(new_reader(marked)) as reader:
        (event,) = Reading(reader, resume).take(1)
    assert (event.after["id"], event.ours) == ("1", True)


def test_an_apply_log_that_is_missing_is_a_finding(source: OracleSource) -> None:
    """Check prints the table's DDL and the grant."""
    log = log_of(source)
    source.settings = source.settings.model_copy(update={"apply_log": f"{source.owner}.APPLY_LOG"})
    with closing(new_reader(source)) as reader:
        (finding,) = reader.preflight()
        assert finding.fix.splitlines()[-2:] == list(log.ddl())
        with system_session(source.settings.dsn) as cursor:
            for statement in finding.fix.splitlines():
                cursor.execute(statement.rstrip(";"))
        assert reader.preflight() == []
