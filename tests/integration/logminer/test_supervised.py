"""The whole capture flow on an Oracle that fails: what it does by itself, and when it waits."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import mapping_rules
from cdc.changes import TableName
from cdc.config import OracleSystem, Run
from cdc.flows import supervision
from cdc.flows.capture import Capture
from cdc.flows.progress.state import Figures, FlowState
from cdc.flows.staged_signal import StagedSignal
from cdc.flows.supervision import Supervisor
from cdc.postgres.connect import connect
from cdc.readers.logminer import LogMinerReader, recovery
from cdc.staging.batches.stage import Stager
from tests.contract.logminer_source import BRIDGE, SECRET, oracle_server
from tests.integration.logminer.redo_history import ACCT, insert
from tests.integration.logminer.redo_world import OWNER, SYSTEM, TABLES, RedoWorld, rule_set
from tests.unit.staging.world import staging

TIMEOUT_S = 30.0
KEYS = "select acct_id from staging.acct where not tombstone order by 1"


@pytest.fixture(scope="module")
def shared(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedoWorld]:
    """One stand-in and one staging database for all tests."""
    folder = tmp_path_factory.mktemp("supervised")
    with (
        oracle_server(folder) as dsn,
        staging(postgres.create_database("t_supervised"), rule_set()) as staged,
    ):
        made = RedoWorld(dsn, staged, folder / "open")
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def world(shared: RedoWorld, monkeypatch: pytest.MonkeyPatch) -> RedoWorld:
    """Empty tables, no failures, short pauses."""
    monkeypatch.setattr(recovery, "FIRST_PAUSE_S", 0.005)
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(supervision, "WAITING_PAUSE_S", 0.05)
    shared.fresh_tables("all")
    return shared


class Running:
    """A capture flow in its thread."""

    def __init__(self, world: RedoWorld) -> None:
        self.world, self.state = world, FlowState()
        self.supervisor = Supervisor(threading.Event(), self.state)
        settings = OracleSystem(
            kind="oracle",
            dsn=world.dsn,
            user=BRIDGE,
            password=SECRET,
            owner=OWNER,
            insecure=True,
            poll_interval_ms=5,
        )
        read = mapping_rules.columns_read(world.staging.rule_set, SYSTEM)
        tables = [TableName(OWNER, table) for table in TABLES]
        capture = Capture(
            system=SYSTEM,
            read={},
            open_reader=lambda: LogMinerReader(SYSTEM, settings, tables, read),
            open_stager=self._stager,
            sizes=Run(),
            wake=StagedSignal(),
            state=self.state,
            run_id=uuid.uuid4(),
        )
        self.supervisor.start("capture", capture)

    def _stager(self) -> Stager:
        staged = self.world.staging
        return Stager(
            connect(staged.settings, application="capture"),
            staged.rule_set,
            SYSTEM,
            kind="oracle",
            time_zone="UTC",
            run_id=uuid.uuid4(),
            lease=staged.lease,
        )

    def figures(self) -> Figures:
        """What the flow says of itself."""
        found = self.state.all()
        return found[0] if found else Figures("capture")

    def wait(self, done: Callable[[], bool], what: str) -> None:
        """Return when something is so; fail after TIMEOUT_S."""
        deadline = time.monotonic() + TIMEOUT_S
        while not done():
            assert time.monotonic() < deadline, f"{what}: not within {TIMEOUT_S} s; {self.figures()}"
            self.supervisor.flows[0].stop.wait(0.01)

    def wait_for_keys(self, *keys: int) -> None:
        """Return when staging holds exactly these rows."""
        self.wait(lambda: self.world.staging.query(KEYS) == [(key,) for key in keys], f"rows {keys}")


@contextmanager
def running(world: RedoWorld) -> Iterator[Running]:
    """A capture flow that is past its snapshot; stopped at the end."""
    made = Running(world)
    try:
        made.wait(lambda: made.figures().status == "running" and bool(made.figures().position), "a start")
        yield made
    finally:
        made.supervisor.stop.set()
        made.supervisor.join()


@contextmanager
def running_behind(world: RedoWorld) -> Iterator[Running]:
    """A flow whose snapshot is done and whose stream cannot be read for now."""
    made = Running(world)
    try:
        made.wait(lambda: made.figures().status == "retrying", "a failure")
        yield made
    finally:
        made.supervisor.stop.set()
        made.supervisor.join()


def write(world: RedoWorld, *keys: int) -> None:
    """Committed rows, one transaction each."""
    with world.writers[0].cursor() as cursor:
        for key in keys:
            cursor.execute(insert(ACCT, {"ID": str(key), "NAME": "n"}))
            world.writers[0].commit()


def changes(world: RedoWorld) -> list[tuple[Any, ...]]:
    """Key of each logged change, in the order of the log."""
    return [
        (int(key),)
        for (key,) in world.staging.query(
            "select after ->> 'ID' from staging.change order by source_position, source_ordinal"
        )
    ]


def test_deleted_logs_are_waited_for_and_nothing_is_lost(world: RedoWorld) -> None:
    """The flow says what is missing and looks again; once it is restored it continues by itself."""
    world.call("add_error(code => 3113, statement => 'v$thread', username => 'CCBRIDGE', times => 100000)")
    with running_behind(world) as flow:
        write(world, 1, 2)
        for _ in range(5):
            world.administer("alter system switch logfile")
        write(world, 3)
        world.call("purge_logs")
        world.call("clear")
        flow.wait(lambda: flow.figures().status == "waiting", "waiting")
        reported = flow.figures()
        assert reported.error_code == "CDC-104"
        assert "thread 1 sequence" in (reported.error_text or "")
        assert world.staging.query(KEYS) == []
        world.call("restore_logs")
        flow.wait_for_keys(1, 2, 3)
    assert changes(world) == [(1,), (2,), (3,)]


def test_cut_connections_lose_and_double_nothing(world: RedoWorld) -> None:
    """Connections that break in the middle of fetches, again and again: each change is staged once."""
    contents = "statement => 'v$logmnr_contents', username => 'CCBRIDGE'"
    with running(world) as flow:
        for rows in (0, 2, 3, 5, 1):
            world.call(f"add_disconnect({contents}, after_rows => {rows})")
        write(world, *range(1, 21))
        flow.wait_for_keys(*range(1, 21))
    assert changes(world) == [(key,) for key in range(1, 21)]


@pytest.mark.parametrize("code", [1017, 28000, 28001])
def test_a_refused_login_ends_the_flow_after_one_try(world: RedoWorld, code: int) -> None:
    """Every further try could lock the account: the flow ends and says why."""
    with running(world) as flow:
        world.call(f"add_error(code => {code}, moment => 'LOGIN', username => 'CCBRIDGE', times => 1000)")
        world.call("add_error(code => 3113, statement => 'v$thread', username => 'CCBRIDGE')")
        flow.wait(lambda: not flow.supervisor.alive(), "an end")
        assert (flow.figures().status, flow.figures().error_code) == ("failed", "CDC-021")
    with world.system.cursor() as cursor:
        cursor.execute("select fired from v$sandbox_faults where moment = 'LOGIN'")
        assert cursor.fetchone() == (1,)


def test_an_internal_error_ends_the_flow_with_its_argument(world: RedoWorld) -> None:
    """ORA-00600 is not a network failure: after a second try the flow ends, and tells the argument."""
    with running(world) as flow:
        world.call(
            "add_error(code => 600, argument => 'kdli_iread', statement => 'v$logmnr_contents', "
            "username => 'CCBRIDGE', times => 1000)"
        )
        write(world, 1)
        flow.wait(lambda: not flow.supervisor.alive(), "an end")
        reported = flow.figures()
        assert reported.status == "failed"
        assert "[kdli_iread]" in (reported.error_text or "")


def test_internal_errors_far_apart_do_not_add_up(world: RedoWorld) -> None:
    """An internal error that passed is forgotten when reading makes progress."""
    with running(world) as flow:
        for key in range(1, 4):
            world.call(
                "add_error(code => 600, argument => 'kdli_iread', statement => 'v$logmnr_contents', "
                "username => 'CCBRIDGE')"
            )
            write(world, key)
            flow.wait_for_keys(*range(1, key + 1))


def test_a_snapshot_that_outlasts_undo_stops_after_some_tries(world: RedoWorld) -> None:
    """Each would begin again from nothing: after three the error says how long undo must last."""
    world.call("add_error(code => 1555, statement => 'as of scn', username => 'CCBRIDGE', times => 99)")
    made = Running(world)
    try:
        made.wait(lambda: made.figures().status == "failed", "a stop")
        figures = made.figures()
        assert figures.error_code == "CDC-002"
        assert "ORA-01555" in str(figures.error_text)
        assert "in 3 snapshots running" in str(figures.error_text)
        assert "undo_retention" in str(figures.hint)
    finally:
        world.call("clear")
        made.supervisor.stop.set()
        made.supervisor.join()
