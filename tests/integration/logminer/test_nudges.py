"""Instances that are idle are made to commit where their address is known; nothing else is, and not for ever.

The stand-in tells of redo as the checkpoint process does, so a thread without redo stands still.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import structlog

from cdc.changes import ChangeBatch, TableName
from cdc.errors import RedoHeldBack
from cdc.oracle.heartbeat import heartbeat
from cdc.ports import Finding
from cdc.readers.logminer import LogMinerReader
from cdc.readers.logminer.checks.grants import sys_grant
from cdc.readers.logminer.mining import idle_threads, nudges, session
from cdc.readers.logminer.streaming import stream
from sandbox.oracle_process import OracleProcess
from tests.contract.logminer_source import TABLES, OracleSource, needs_stand_in, prepared, system_session
from tests.integration.logminer.test_failures import Follower, administer, inject, write
from tests.integration.logminer.test_threads import instance, written_by_two
from tests.integration.oracle.test_login_deadline import listener, silent

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def cluster(oracle: str) -> str:
    """A database of which a test opens a second instance."""
    needs_stand_in()
    return oracle


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The times of a database that tells of its redo five times a second."""
    monkeypatch.setattr(stream, "FLUSH_S", 0.25)
    monkeypatch.setattr(nudges, "AFTER_S", 0.4)
    monkeypatch.setattr(idle_threads, "AFTER_S", 0.4)
    monkeypatch.setattr(idle_threads, "IDLE_S", 1.0)
    monkeypatch.setattr(session, "ARCHIVER_PAUSES_S", (0.01, 0.01, 0.01))


@pytest.fixture
def source(cluster: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OracleSource]:
    """A schema of its own, and the heartbeat table by the statements that `check` prints."""
    hurry(monkeypatch)
    made = OracleSource(cluster)
    administer(made, sys_grant("V$INSTANCE", made.settings.user).rstrip(";"))
    inject(made, "heartbeat(seconds => 0.2)")
    with instance(made):
        yield made
        for call in ("clear", "flush", "audit_logins(on => 0)", "heartbeat(seconds => 0)"):
            inject(made, call)
    with system_session(cluster) as cursor:
        cursor.execute("select count(*) from dba_tables where table_name = 'CCBRIDGE_HEARTBEAT'")
        if cursor.fetchone() == (1,):
            cursor.execute(f"drop table {heartbeat(made.settings.user).table}")


def with_addresses(source: OracleSource, addresses: dict[int, str], *, table: bool = True) -> OracleSource:
    """The source with addresses of instances; services of the stand-in by name."""
    base = source.settings.dsn.rpartition("/")[0]
    dsns = {thread: one if "/" in one else f"{base}/{one}" for thread, one in addresses.items()}
    source.settings = source.settings.model_copy(update={"instances": dsns})
    if table:
        administer(source, heartbeat(source.settings.user).ddl().partition(";")[0])
    return source


class Reading:
    """A reader that runs until a condition holds."""

    def __init__(self, source: OracleSource) -> None:
        self.follower = Follower(source)
        self.rows = 0
        self.batches: list[ChangeBatch] = []
        self.figures: dict[str, float | int] = {}

    def until(self, condition: Callable[[], object], *, seconds: float = PATIENCE_S) -> bool:
        """Read on until it holds; False if that does not happen in time."""
        deadline = time.monotonic() + seconds
        with closing(self.follower.reader()) as reader:
            for batch in reader.read(
                self.follower.resume,
                max_changes=99,
                stop=lambda: time.monotonic() > deadline or bool(condition()),
            ):
                self.follower.resume = batch.resume
                self.rows += batch.rows
                self.batches.append(batch)
                if batch.held_back is not None:
                    self.figures = dict(reader.source_lag())
        return bool(condition())

    @property
    def held_back(self) -> RedoHeldBack | None:
        """The newest that was reported."""
        found = next((one.held_back for one in reversed(self.batches) if one.held_back is not None), None)
        assert found is None or isinstance(found, RedoHeldBack)
        return found


@contextmanager
def looking(source: OracleSource) -> Iterator[Callable[[], dict[int, str]]]:
    """Tells, in one session, when each instance was made to commit last."""
    with system_session(source.settings.dsn) as cursor:

        def beats() -> dict[int, str]:
            cursor.execute(
                "select thread_number, to_char(written_at, 'SSSSS.FF6') "
                f"from {heartbeat(source.settings.user).table}"
            )
            return dict(cursor.fetchall())

        yield beats


def beats(source: OracleSource) -> dict[int, str]:
    with looking(source) as look:
        return look()


def test_without_addresses_an_idle_instance_is_named_only(source: OracleSource) -> None:
    """What the other one commits waits; the error says what would help."""
    reading = Reading(source)
    write(source, 1)
    assert reading.until(lambda: reading.held_back)
    assert reading.rows == 0
    assert "it is not nudged" in str(reading.held_back)
    assert reading.held_back is not None
    assert "[systems.ccb.instances]" in reading.held_back.hint
    assert reading.figures["held_by_thread"] == 2


def test_with_addresses_capture_continues(source: OracleSource) -> None:
    """Nothing is named: the instance is nudged before that; the nudge is not a change of anyone's."""
    with_addresses(source, {1: "CCB1", 2: "CCB2"})
    reading = Reading(source)
    with structlog.testing.capture_logs() as logs:
        write(source, 1, 2)
        assert reading.until(lambda: reading.rows == 2)
        write(source, 3)
        assert reading.until(lambda: reading.rows == 3)
    assert reading.held_back is None
    assert list(beats(source)) == [2]
    reported = [one for one in logs if one["event"] == "redo_thread_nudged" and one["log_level"] == "info"]
    assert [one["thread"] for one in reported] == [2, 2]  # a reader each
    assert {str(table) for one in reading.batches for table in one.tables} <= {
        f"{source.owner}.{name}" for name in TABLES
    }


@pytest.mark.parametrize("audited", [False, True])
def test_nudges_come_to_an_end(source: OracleSource, *, audited: bool) -> None:
    """Our own commits cause no other one, nor are for long the logins that they need."""
    with_addresses(source, {1: "CCB1", 2: "CCB2"})
    inject(source, f"audit_logins(on => {int(audited)})")
    reading = Reading(source)
    write(source, 1)
    seen: list[tuple[float, dict[int, str]]] = []
    with looking(source) as look:

        def at_rest() -> bool:
            """No one was nudged while several nudges would have been due."""
            if not seen or seen[-1][1] != look():
                seen.append((time.monotonic(), look()))
            return reading.rows == 1 and time.monotonic() - seen[-1][0] > 2

        assert reading.until(at_rest, seconds=40)
    assert reading.held_back is None
    assert 1 <= len(seen) - 1 <= (5 if audited else 1)


def test_a_quiet_instance_is_left_alone(source: OracleSource) -> None:
    """Idle for as long as it likes: where nothing is held back nothing is written."""
    with_addresses(source, {1: "CCB1", 2: "CCB2"})
    reading = Reading(source)
    assert not reading.until(lambda: False, seconds=1.5)
    assert beats(source) == {}


@pytest.mark.parametrize("addressed", [False, True])
def test_what_a_closed_instance_wrote_waits_for_an_idle_one_too(
    source: OracleSource, *, addressed: bool
) -> None:
    """The one that is left is nudged, or named: LAST_REDO_CHANGE# of the other thread is 0 by then."""
    if addressed:
        with_addresses(source, {1: "CCB1", 2: "CCB2"})
    reading = Reading(source)
    written_by_two(source, 1)
    inject(source, "close_thread(thread => 2)")
    try:
        assert reading.until(lambda: reading.rows or reading.held_back)
    finally:
        inject(source, "open_thread(thread => 2)")
    assert reading.rows == int(addressed)
    if not addressed:
        assert "redo thread 1 stands at SCN" in str(reading.held_back)
        assert reading.figures["held_by_thread"] == 1


def test_each_failure_of_a_nudge_says_what_helps(source: OracleSource) -> None:
    """Whatever the error: one that has no hint of its own, too."""
    with_addresses(source, {1: "CCB1", 2: "CCB2"})
    inject(source, "add_error(code => 1653, statement => 'merge into', username => 'CCBRIDGE', times => 99)")
    reading = Reading(source)
    write(source, 1)
    with structlog.testing.capture_logs() as logs:
        assert reading.until(lambda: "ORA-01653" in str(reading.held_back))
    assert reading.held_back is not None
    assert "commit something on the instance of thread 2" in reading.held_back.hint
    assert [one["hint"] for one in logs if one["event"] == "redo_thread_nudge_failed"] == [
        reading.held_back.hint
    ]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1:1/CCB2", "DPY-6005"),
        ("CCB1", "reaches the instance of redo thread 1, not of 2"),
    ],
)
def test_an_address_that_does_not_lead_there(source: OracleSource, address: str, reason: str) -> None:
    """Reported by check as advice and by a warning with a hint; reading continues when the thread does."""
    with_addresses(source, {1: "CCB1", 2: address})
    (advice,) = findings(source)
    assert (advice.subject, advice.advice) == ("setting instances, thread 2", True)
    assert reason in advice.found
    assert advice.fix
    reading = Reading(source)
    write(source, 1)
    with structlog.testing.capture_logs() as logs:
        assert reading.until(lambda: reading.held_back is not None and reason in str(reading.held_back))
        written_by_two(source, 2)
        assert reading.until(lambda: reading.rows == 2)
    failed = [one for one in logs if one["event"] == "redo_thread_nudge_failed"]
    assert failed
    assert all(one["thread"] == 2 and one["hint"] and reason in one["reason"] for one in failed)
    assert 2 not in beats(source)


def findings(source: OracleSource) -> list[Finding]:
    tables = [TableName(source.owner, "ACCOUNT")]
    with closing(LogMinerReader("ccb", source.settings, tables)) as reader:
        return reader.preflight()


def test_an_instance_that_hangs_holds_up_nothing(source: OracleSource) -> None:
    """At login or in a call: after its deadline it is named, while everything else is read."""
    source.settings = source.settings.model_copy(update={"connect_timeout_s": 1})
    with listener(silent) as port:
        with_addresses(source, {2: f"127.0.0.1:{port}/CCB2"})
        reading = Reading(source)
        write(source, 1)
        assert reading.until(lambda: "no answer to the login" in str(reading.held_back))
        written_by_two(source, 2)
        write(source, 3)
        assert reading.until(lambda: reading.rows >= 2)
    with_addresses(source, {2: "CCB2"}, table=False)
    inject(source, "add_delay(seconds => 30, statement => 'merge into', username => 'CCBRIDGE')")
    reading = Reading(source)
    write(source, 4)
    assert reading.until(lambda: "DPY-4024" in str(reading.held_back))
    assert all(one.name != "ccbridge nudge" for one in threading.enumerate())


def test_an_instance_that_is_open_read_only(source: OracleSource) -> None:
    """It has no redo to write: check says so, and it is named."""
    with_addresses(source, {1: "CCB1", 2: "CCB2"})
    inject(source, "close_thread(thread => 2)")
    inject(source, "open_thread(thread => 2, read_only => 1)")
    (advice,) = findings(source)
    assert "the instance is open READ ONLY" in advice.found


def test_check_asks_for_table_right_and_addresses(source: OracleSource) -> None:
    """What it prints is enough; a second open thread without address is advice."""
    assert [(one.subject, one.advice) for one in findings(source)] == [
        ("setting instances, thread 1", True),
        ("setting instances, thread 2", True),
    ]
    with_addresses(source, {1: "CCB1", 2: "CCB2"}, table=False)
    (table,) = findings(source)
    assert (table.subject, table.advice) == ("heartbeat table CCBRIDGE.CCBRIDGE_HEARTBEAT", False)
    administer(source, table.fix.partition(";")[0])
    assert findings(source) == []
    administer(source, f"revoke select on sys.v_$instance from {source.settings.user}")
    (view,) = findings(source)
    assert view.subject == "V$INSTANCE"
    administer(source, view.fix.rstrip(";"))
    with_addresses(source, {1: "CCB1", 2: "CCB2", 3: "CCB3"}, table=False)
    (unknown,) = findings(source)
    assert unknown.found == "the database has no redo thread 3"


@pytest.mark.slow  # a server of its own
def test_in_a_multitenant_database_the_root_is_nudged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is open in every instance that is up; the nudge is none of the pluggable database's commits."""
    hurry(monkeypatch)
    with OracleProcess(tmp_path / "oracle.log", pdbs=("CCBPDB",)) as server:
        source = OracleSource(prepared(f"127.0.0.1:{server.port}/CCB", "CCBPDB"), "CCBPDB")
        administer(source, sys_grant("V$INSTANCE", source.settings.user).rstrip(";"))
        inject(source, "heartbeat(seconds => 0.2)")
        with instance(source):
            with_addresses(source, {1: "CCB1", 2: "CCB2"})
            reading = Reading(source)
            write(source, 1)
            assert reading.until(lambda: reading.rows == 1)
            assert reading.held_back is None
            with looking(source) as look:
                before = look()
                assert not reading.until(lambda: False, seconds=3)
                assert look() == before
            assert 2 in before
