"""A second opinion: Debezium's Oracle connector reads the same history as our LogMiner reader.

Both read the Oracle stand-in, Debezium through its own engine and Oracle's JDBC driver. Any difference is
a failure of our reader or of the stand-in.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.errors import LoginRefused, RedoNotAvailable
from cdc.ports import ChangeReader, Resume
from sandbox.oracle_process import SYSTEM_PASSWORD
from tests.contract.logminer_source import TABLES, OracleSource
from tests.contract.reader_suite import Event, Reading, events, insert, snapshot

pytest.importorskip("pydbzengine", reason="the extra debezium is not installed")

from cdc.readers.debezium import DebeziumReader
from cdc.readers.logminer import LogMinerReader

LAST = 999


def debezium(source: OracleSource, *, password: str = SYSTEM_PASSWORD) -> DebeziumReader:
    """Debezium has more rights than our reader needs."""
    settings = OracleSystem(
        kind="oracle",
        dsn=source.settings.dsn,
        user="SYSTEM",
        password=password,
        insecure=True,
        poll_interval_ms=25,
    )
    return DebeziumReader("ccb", settings, [TableName(source.owner, name) for name in TABLES])


def ours(source: OracleSource) -> LogMinerReader:
    return LogMinerReader("ccb", source.settings, [TableName(source.owner, name) for name in TABLES])


def reported(reader: ChangeReader, resume: Resume) -> list[Event]:
    """Every change up to the last one of the history."""
    return Reading(reader, resume).until(
        lambda found: bool(found) and found[-1].after["id"] == str(LAST), expect="end of the history"
    )


def typed_row(source: OracleSource) -> str:
    columns = ", ".join(case.column for case in source.type_cases)
    literals = ", ".join(case.literal for case in source.type_cases)
    return f"insert into typed (id, {columns}) values (1, {literals})"


def make_history(source: OracleSource) -> None:
    with source.session() as session, source.session() as other:
        session.execute(insert(1, "it''s é 😀", note="n"))
        other.execute(insert(2, "interleaved", into="recharge"))
        session.execute("update account set id = 3 where id = 1")
        other.commit()
        session.execute("update account set note = null, name = 'a ''b'' c' where id = 3")
        session.execute("savepoint here")
        session.execute(insert(4, "rolled back"))
        session.execute("update account set name = 'rolled back' where id = 3")
        session.execute("rollback to savepoint here")
        session.execute(insert(5, "x", amount="-0.01", into="recharge"))
        session.commit()
        session.execute(insert(6, "never"))
        session.rollback()
        session.execute(typed_row(source))
        session.execute("update typed set date_c = null, int_c = 7 where id = 1")
        session.execute("delete from typed where id = 1")
        session.commit()
        session.execute("delete from account where id = 3")
        session.execute(insert(3, "again"))
        session.commit()
        session.execute(insert(LAST))
        session.commit()


def without_ordinal(found: list[Event]) -> list[Event]:
    """Debezium tells a changed key as two events, so it counts one more there."""
    assert [event.place for event in found] == sorted({event.place for event in found})
    return [replace(event, ordinal=0) for event in found]


def test_both_readers_tell_the_same_history(source: OracleSource) -> None:
    """Every change, in the same order, with the same images and the same commit SCN; and so again."""
    with closing(debezium(source)) as theirs, closing(ours(source)) as mine:
        their_start, my_start = snapshot(theirs)[-1].resume, snapshot(mine)[-1].resume
        make_history(source)
        expected, found = reported(mine, my_start), reported(theirs, their_start)
        again = reported(theirs, their_start)
    assert len(expected) == 11
    assert without_ordinal(found) == without_ordinal(expected)
    assert again == found


def test_both_readers_take_the_same_snapshot(source: OracleSource) -> None:
    """Every row, with the same text for each type."""
    make_history(source)
    with source.session() as session:
        session.execute(typed_row(source))
        session.commit()
    with closing(debezium(source)) as theirs, closing(ours(source)) as mine:
        found, expected = (
            {
                (event.table, event.after["id"]): event.after
                for batch in snapshot(reader)
                for event in events(batch)
            }
            for reader in (theirs, mine)
        )
    assert found == expected
    assert len(found) == 5


def test_a_transaction_open_at_the_snapshot_is_reported(source: OracleSource) -> None:
    """Debezium's default would leave it out of both."""
    with closing(debezium(source)) as reader, source.session() as session:
        session.execute(insert(1, "before"))
        batches = snapshot(reader)
        assert [event for batch in batches for event in events(batch)] == []
        session.execute(insert(LAST, "behind"))
        session.commit()
        found = reported(reader, batches[-1].resume)
    assert [event.after["id"] for event in found] == ["1", str(LAST)]


def test_failures_are_reported_as_by_our_reader(source: OracleSource) -> None:
    """A wrong password is never retried, and redo that is gone is never jumped."""
    with closing(debezium(source, password="wrong")) as reader, pytest.raises(LoginRefused):
        snapshot(reader)
    gone = {"position": 1, "offset": {"scn": "1", "commit_scn": "1:1:00", "snapshot_scn": "1"}}
    with closing(debezium(source)) as reader, pytest.raises(RedoNotAvailable, match="SCN 1 "):
        next(reader.read(gone, max_changes=1, stop=lambda: False))
