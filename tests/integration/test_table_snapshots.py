"""Single tables are read beside the stream: new ones, new columns, stopped ones that someone asks for."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psycopg
import pytest

import mapping_rules
from cdc.changes import TableName
from cdc.config import Run
from cdc.flows.capture import Capture
from cdc.flows.progress.state import Figures, FlowState
from cdc.flows.staged_signal import StagedSignal
from cdc.flows.supervision import Supervisor
from cdc.postgres.connect import connect
from cdc.readers.pgoutput import PgoutputReader
from cdc.readers.pgoutput.tables import captured
from cdc.staging.batches.stage import Stager
from cdc.staging.leases import Lease
from cdc.staging.schema.migrate import migrate
from cdc.staging.source_tables import SourceTables
from tests.integration.pgoutput.source import Prepaid
from tests.support.migrated import settings_of
from tests.unit.staging.world import World

TIMEOUT_S = 60.0
T = TableName("public", "t")
BASE = {
    "systems.yaml": "shop: {conventions: plain, schema: public}\n",
    "entities/ok.yaml": "entity: ok\nkey: [id]\ncolumns:\n  id: {type: integer}\n",
    "inbound/ok.yaml": "system: shop\ntable: ok\nkey: [id]\nentity: ok\ncolumns: {id: id}\n",
}
WITH_T = BASE | {
    "entities/t.yaml": "entity: t\nkey: [id]\ncolumns:\n  id: {type: integer}\n  v: {type: text}\n",
    "inbound/t.yaml": (
        "system: shop\ntable: t\nkey: [id]\nentity: t\ncolumns: {id: id, v: v}\nignore: [more]\n"
    ),
}
WITH_COLUMN = WITH_T | {
    "entities/t.yaml": WITH_T["entities/t.yaml"] + "  more: {type: text}\n",
    "inbound/t.yaml": "system: shop\ntable: t\nkey: [id]\nentity: t\ncolumns: {id: id, v: v, more: more}\n",
}


class Running:
    """A capture flow in a thread."""

    def __init__(self, prepaid: Prepaid, world: World, sizes: Run) -> None:
        self.prepaid, self.world, self.state = prepaid, world, FlowState()
        self.supervisor = Supervisor(threading.Event(), self.state)
        read = mapping_rules.columns_read(world.rule_set, "shop")
        self.supervisor.start(
            "capture",
            Capture(
                system="shop",
                read=read,
                open_reader=lambda: PgoutputReader("shop", prepaid.settings, tuple(read), read),
                open_stager=self._stager,
                sizes=sizes,
                wake=StagedSignal(),
                state=self.state,
                run_id=uuid.uuid4(),
            ),
        )

    def _stager(self) -> Stager:
        return Stager(
            connect(self.world.settings, application="capture"),
            self.world.rule_set,
            "shop",
            kind="postgres",
            time_zone="UTC",
            run_id=uuid.uuid4(),
            lease=self.world.lease,
        )

    @property
    def figures(self) -> Figures:
        """What the flow says of itself."""
        return next(iter(self.state.all()), Figures("capture"))

    def wait(self, done: Callable[[], bool], what: str) -> None:
        """Return when something is so."""
        deadline = time.monotonic() + TIMEOUT_S
        while not done():
            assert time.monotonic() < deadline, f"{what}: not within {TIMEOUT_S} s; {self.figures}"
            assert self.figures.status != "failed", self.figures
            self.supervisor.stop.wait(0.02)

    def wait_for(self, table: str, columns: str = "id, v") -> None:
        """Return when staging holds the table's rows."""
        query = f"select {columns} from {{}} order by id"

        def same() -> bool:
            source = self.prepaid.connection.execute(query.format(table).encode()).fetchall()
            return self.world.query(query.format(f"staging.{table} where not tombstone")) == source

        self.wait(same, f"rows of {table}")

    def state_of(self, table: TableName = T) -> str:
        """What staging says of a table."""
        query = "select state from staging.source_table where table_name = %s"
        return "".join(state for (state,) in self.world.query(query, table.name))


@pytest.fixture
def prepaid(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prepaid]:
    monkeypatch.setattr(captured, "LOOK_EVERY_S", 0.1)
    made = Prepaid(database)
    made.execute(
        "create table t (id int primary key, v text, more text default 'm')",
        "create table ok (id int primary key)",
        "insert into t select n, 'v' || n from generate_series(1, 500) n",
        "insert into ok values (1)",
    )
    made.publish("t", "ok")
    yield made
    made.close()


@contextmanager
def running(
    prepaid: Prepaid, files: Mapping[str, str], *, rows: int = 100, **sizes: int
) -> Iterator[Running]:
    """A flow under these rules that is past its first load."""
    settings, rules = settings_of(prepaid.info), mapping_rules.from_files("shop", files)
    migrate(settings, rules)
    lease = Lease(settings, "replication", "test", 60)
    lease.acquire()
    observer = psycopg.connect(prepaid.info, autocommit=True)
    made = Running(prepaid, World(settings, rules, lease, observer), Run(snapshot_rows=rows, **sizes))
    try:
        made.wait(lambda: made.figures.status == "running" and bool(made.figures.position), "a start")
        yield made
    finally:
        made.supervisor.stop.set()
        made.supervisor.join()
        observer.close()
        lease.close()


def request(one: Running, table: TableName = T) -> None:
    """What `ccbridge snapshot` does."""
    with connect(one.world.settings, application="test") as connection, connection.transaction():
        assert SourceTables(connection, "shop").request(table)


def test_a_new_table_is_read_first_and_the_others_flow(prepaid: Prepaid) -> None:
    """Rows from before it was in the rules are staged, not only its changes."""
    with running(prepaid, BASE) as one:
        one.wait_for("ok", "id")
    prepaid.execute("update t set v = 'changed' where id < 10", "delete from t where id > 490")
    with running(prepaid, WITH_T) as one:
        prepaid.execute("insert into ok values (2)", "insert into t values (1000, 'later')")
        one.wait_for("ok", "id")
        one.wait_for("t")
        one.wait(lambda: one.state_of() == "read", "table is read")
        assert one.figures.error_code is None


def test_a_new_column_is_read_first(prepaid: Prepaid) -> None:
    """Rows staged without it get its value, though they never change again."""
    with running(prepaid, WITH_T) as one:
        one.wait_for("t")
    with running(prepaid, WITH_COLUMN) as one:
        one.wait_for("t", "id, v, more")
        assert one.world.query("select count(*) from staging.t where more = 'm'") == [(500,)]


def test_a_table_that_left_the_rules_is_read_again_when_it_comes_back(prepaid: Prepaid) -> None:
    """Its changes meanwhile were in no batch."""
    with running(prepaid, WITH_T) as one:
        one.wait_for("t")
    with running(prepaid, BASE) as one:
        prepaid.execute("update t set v = 'unseen' where id = 5", "delete from t where id = 6")
        prepaid.execute("insert into ok values (2)")
        one.wait_for("ok", "id")
    with running(prepaid, WITH_T) as one:
        one.wait_for("t")


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        pytest.param("alter table t alter v type varchar(50) using 'new ' || v", "", marks=pytest.mark.slow),
        ("alter publication ccbridge drop table t", "alter publication ccbridge add table t"),
        pytest.param("truncate t", "insert into t values (7, 'seven')", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_table_is_read_again_on_request_over_a_restart(
    prepaid: Prepaid, change: str, fix: str
) -> None:
    """It stays stopped until someone asks, then its rows and those that are gone are right again."""
    with running(prepaid, WITH_T) as one:
        one.wait_for("t")
        prepaid.execute(change)
        one.wait(lambda: one.figures.error_code is not None, "the stop is reported")
        assert "public.t" in str(one.figures.error_text)
        with psycopg.connect(prepaid.info, autocommit=True) as other:
            other.execute("update t set v = 'meanwhile' where id = 8")
            other.execute("delete from t where id = 9")
    if fix:
        prepaid.execute(fix)
    with running(prepaid, WITH_T) as one:
        one.wait(lambda: one.figures.error_code is not None, "still stopped")
        prepaid.execute("insert into ok values (3)")
        one.wait_for("ok", "id")
        request(one)
        one.wait_for("t")
        one.wait(lambda: one.figures.error_code is None and one.state_of() == "read", "all is well")
        prepaid.execute("update t set v = 'after' where id = 7")
        one.wait_for("t")
    with running(prepaid, WITH_T) as one:
        prepaid.execute("update t set v = 'restarted' where id = 7")
        one.wait_for("t")
        assert one.figures.error_code is None


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 4, 5, 6))])
def test_no_row_is_lost_or_overwritten_while_its_table_is_read(prepaid: Prepaid, seed: int) -> None:
    """Rows are written, moved and deleted all the while, in small batches; the flow is restarted once."""
    rng, quit_ = random.Random(seed), threading.Event()  # noqa: S311 - a history, no secret

    def write() -> None:
        with psycopg.connect(prepaid.info, autocommit=True) as connection:
            for number in range(1_000_000):
                if quit_.is_set():
                    return
                key, other = rng.randint(1, 700), rng.randint(1, 700)
                with connection.transaction():
                    for statement in rng.sample(
                        [
                            f"update t set v = 'w{number}' where id = {key}",
                            f"delete from t where id = {key}",
                            f"insert into t values ({other}, 'i{number}') on conflict do nothing",
                            f"update t set id = {other} where id = {key} "
                            f"and not exists (select from t x where x.id = {other})",
                        ],
                        k=2,
                    ):
                        connection.execute(statement.encode())
                quit_.wait(0.001)

    with running(prepaid, BASE):
        pass
    writer = threading.Thread(target=write)
    writer.start()
    try:
        with running(prepaid, WITH_T, rows=7) as one:
            one.wait(lambda: one.state_of() == "reading", "reading began")
            rows = one.world.query("select count(*) from staging.change where table_name = 't'")[0][0]
            one.wait(
                lambda: (
                    one.world.query("select count(*) from staging.change where table_name = 't'")[0][0]
                    > rows + 50
                ),
                "some rows",
            )
        with running(prepaid, WITH_T, rows=7) as one:
            one.wait(lambda: one.state_of() == "read", "table is read")
            request(one)
            one.wait(lambda: one.state_of() == "reading", "read again")
            one.wait(lambda: one.state_of() == "read", "table is read")
            quit_.set()
            writer.join()
            one.wait_for("t")
    finally:
        quit_.set()
        writer.join()


def test_a_request_waits_for_open_transactions_without_holding_up_the_stream(prepaid: Prepaid) -> None:
    """The position of a table's rows needs the transactions that run to end; other tables flow on."""
    with running(prepaid, WITH_T) as one, psycopg.connect(prepaid.info) as other:
        one.wait_for("t")
        other.execute("update t set v = 'open' where id = 1")
        request(one)
        one.wait(lambda: one.state_of() == "reading", "reading")
        for number in range(2, 6):
            prepaid.execute(f"insert into ok values ({number})")
            one.wait_for("ok", "id")
        assert one.state_of() == "reading"
        other.commit()
        one.wait(lambda: one.state_of() == "read", "read")
        one.wait_for("t")
