"""The bed: both systems, staging, traffic, and hosts that run ccbridge, each with own ways to the databases.

Nothing here waits for a time: what is waited for is a signal, with a deadline that a loaded machine meets.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import psycopg

from sandbox.ccb.database import insert_rows
from sandbox.ccb.people import Customers
from sandbox.prepaid.application import BRIDGE_USER
from sandbox.workload.crowd import Crowd, Pace
from sandbox.workload.verify import Differences, compare, compare_in
from sandbox.world import World
from tests.acceptance.site import Done, Running, eventually
from tests.reliability.history import gaps
from tests.reliability.proxy import Proxy
from tests.support.commands import call

LEASE_TTL_S = 5
PATIENCE_S = 300.0
"""How long anything may take on a loaded machine before it counts as never."""
_LOOK_S = 0.5
_OUR_SEED = 7_000_000
_RUN = ["run", "--log-format", "json", "--verbose"]
PACE = Pace(clerks=10, cash_desk=5, recharges=6, uploads=4)


class Mark(NamedTuple):
    """A change on each side, by which one sees that changes arrive."""

    key: str
    person: str


class Host:
    """A machine that runs ccbridge: configuration, and a proxy on its way to each database."""

    def __init__(self, bed: Bed, name: str) -> None:
        self.name, self._bed = name, bed
        self.folder = bed.folder / name
        self.folder.mkdir(parents=True)
        world = bed.world
        assert world.ccb.tls_port is not None
        ports = {
            "staging": world.postgres.port,
            "prepaid": world.postgres.port,
            "ccb": world.ccb.tls_port,
        }
        self.proxies = {database: bed.open(Proxy(port)) for database, port in ports.items()}
        self.config = self.folder / "ccbridge.toml"
        self.config.write_text(self._configuration(), encoding="utf-8")
        self.process: Running | None = None
        self._starts = 0

    def start(self) -> Running:
        """Start `ccbridge run`; it becomes active, or a standby."""
        self._starts += 1
        log = self.folder / f"run{self._starts}.log"
        self.process = Running(_RUN, self._environment(), log)
        self._bed.running.append(self.process)
        return self.process

    def start_with_log(self, log: int) -> subprocess.Popen[bytes]:
        """Start `ccbridge run` with its output to that descriptor."""
        command = [sys.executable, "-m", "cdc.cli", *_RUN]
        process = subprocess.Popen(command, env=self._environment(), stdout=log, stderr=log)
        self._bed.also_end(process)
        return process

    def configure(self, ccb: str) -> None:
        """Add settings to the system ccb."""
        text = self.config.read_text(encoding="utf-8")
        self.config.write_text(text.replace("\n[run]", f"{ccb}[run]"), encoding="utf-8")

    def run(self) -> Running:
        """Start `ccbridge run` and wait until it is active."""
        running = self.start()
        running.wait_for("replication_started", patience_s=PATIENCE_S)
        return running

    def call(self, *arguments: str) -> Done:
        """Run another command to its end, over the same ways."""
        done = call(arguments, self._environment(), self.folder, timeout_s=PATIENCE_S)
        return Done(*done)

    def each(self, action: Callable[[Proxy], object]) -> None:
        """Do it to the way to every database."""
        for proxy in self.proxies.values():
            action(proxy)

    def _configuration(self) -> str:
        world = self._bed.world
        assert world.authority is not None
        place = f'host = "127.0.0.1"\nsslrootcert = "{world.authority.certificate}"\nuser = "{BRIDGE_USER}"\n'
        ccb = replace(world.ccb, tls_port=self.proxies["ccb"].port)
        return (
            f'[staging]\ndatabase = "{world.staging.name}"\nport = {self.proxies["staging"].port}\n{place}'
            f'[systems.prepaid]\nkind = "postgres"\ndatabase = "{world.prepaid.name}"\n'
            f"port = {self.proxies['prepaid'].port}\n{place}"
            f'[systems.ccb]\nkind = "oracle"\ndsn = "{ccb.tls_dsn}"\nuser = "CCBRIDGE"\n'
            f'poll_interval_ms = 50\nwallet = "{world.wallet}"\ntime_zone = "Africa/Douala"\n'
            f"[run]\nlease_ttl_s = {LEASE_TTL_S}\nretry_held_s = 1\nidle_poll_ms = 500\n"
        )

    def _environment(self) -> dict[str, str]:
        world = self._bed.world
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CCBRIDGE_")}
        return inherited | {
            "CCBRIDGE_CONFIG": str(self.config),
            "CCBRIDGE_STAGING__PASSWORD": world.staging.password,
            "CCBRIDGE_SYSTEMS__PREPAID__PASSWORD": world.prepaid.bridge_password,
            "CCBRIDGE_SYSTEMS__CCB__PASSWORD": world.ccb.passwords["CCBRIDGE"],
            "COLUMNS": "100",
        }


class Bed:
    """Use it as a context manager: servers run, staging is migrated, nothing replicates yet.

    Args:
        folder: for configurations and logs.
        seed: of customers and traffic.
        persons: how many customers CC&B begins with.
        pace: how busy everyone is.
    """

    def __init__(self, folder: Path, *, seed: int = 1, persons: int = 150, pace: Pace = PACE) -> None:
        self.folder, self.seed = folder, seed
        self.world = World(persons=persons, seed=seed, tls=True)
        self.running: list[Running] = []
        self._pace = pace
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.counts: Counter[str] = Counter()
        self._crowd: Crowd | None = None
        self._person = ""
        self._opened = ExitStack()
        self._sessions: dict[str, psycopg.Connection[tuple[Any, ...]]] = {}

    def __enter__(self) -> Bed:
        with ExitStack() as opened:
            opened.enter_context(self.world)
            self._opened = opened
            self.a = Host(self, "a")
            done = self.a.call("migrate")
            assert done.code == 0, done.err
            opened.callback(self._end_processes)
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def open(self, proxy: Proxy) -> Proxy:
        """Let the proxy work until the bed ends."""
        return self._opened.enter_context(proxy)

    def another_host(self, name: str) -> Host:
        """A further machine, with ways of its own."""
        return Host(self, name)

    def also_end(self, process: subprocess.Popen[bytes]) -> None:
        """End that process with the bed."""

        def end() -> None:
            process.kill()
            process.wait()

        self._opened.callback(end)

    def took(self, what: str, seconds: float) -> None:
        """Note how long something took."""
        self.times[what].append(round(seconds, 1))

    # traffic

    def begin(self, host: Host | None = None) -> Running:
        """Start replication, wait for the first snapshots to be delivered, and let people work."""
        running = (host or self.a).run()
        self.equal(None)
        self._crowd = self._opened.enter_context(
            Crowd(self.world.ccb, self.world.prepaid, seed=self.seed, pace=self._pace)
        )
        self._person = self._customer_of_our_own()
        self.carries("begin")
        return running

    def rest(self) -> None:
        """People go home; the upload batch continues."""
        if self._crowd is not None:
            self._crowd.rest()

    def rename(self, name: str) -> str:
        """A clerk changes the name of a customer whom no one else touches; returns the person."""
        with self.world.ccb.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                "update CISADM.CI_PER_NAME set ENTITY_NAME = :1, VERSION = VERSION + 1"
                " where PER_ID = :2 and NAME_TYPE_FLG = 'PRIM'",
                (name, self._person),
            )
            assert cursor.rowcount == 1
            connection.commit()
        return self._person

    def _customer_of_our_own(self) -> str:
        """Add a customer whom the people at work do not know, because they looked around before."""
        assert self._crowd is not None
        crowd = self._crowd
        self.eventually(lambda: crowd.counts["clerks"], "clerks at work")
        with self.world.ccb.connect() as connection, connection.cursor() as cursor:
            (batch,) = Customers(_OUR_SEED + self.seed).batches(1)
            for table, rows in batch.items():
                insert_rows(cursor, table, rows)
            connection.commit()
        return str(batch["CI_PER"][0][0])

    def recharge(self, key: str) -> None:
        """A customer recharges 1500.00."""
        self.prepaid(
            "insert into recharge (recharge_id, ccb_account_id, amount, currency, channel, tender_type,"
            " status, recharged_at) select %s, min(ccb_account_id), 1500, 'XAF', 'ussd', 'cash', 'completed',"
            " now() from account where may_vend and active",
            key,
        )

    # looks

    def prepaid(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement in prepaid as the application."""
        return self._execute(self.world.prepaid.conninfo(), statement, values)

    def administrator(self, database: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement in a database of the PostgreSQL server as its administrator."""
        return self._execute(self.world.postgres.conninfo(database), statement, values)

    def staging(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement in staging."""
        return self._execute(self.world.staging.conninfo(), statement, values)

    def disconnect(self) -> None:
        """Close the sessions of the looks so far; the next look opens a new one."""
        for session in self._sessions.values():
            session.close()

    def carries(self, word: str, *, patience_s: float = PATIENCE_S) -> float:
        """Make a change on each side, wait until both are on the other one; returns the seconds."""
        began = time.monotonic()
        mark = self.mark(word)
        self.eventually(
            lambda: self.arrived(mark),
            f"a name and a recharge made at {word} to arrive",
            patience_s=patience_s,
        )
        return time.monotonic() - began

    def mark(self, word: str) -> Mark:
        """Make a change on each side."""
        key = f"{word}-{time.time_ns()}"
        person = self.rename(f"Mark,{key}")
        self.recharge(key)
        return Mark(key, person)

    def arrived(self, mark: Mark) -> bool:
        """Whether the name is in prepaid, and the recharge in staging and in CC&B's upload tables."""
        shown = "select full_name from customer where ccb_person_id = %s"
        if self.prepaid(shown, mark.person) != [(f"Mark,{mark.key}",)]:
            return False
        staged = "select count(*) from staging.recharge where recharge_id = %s"
        if self.staging(staged, mark.key) != [(1,)]:
            return False
        found = "select count(*) from CISADM.CI_PAY_TNDR_ST where rtrim(EXT_REFERENCE_ID) = :1"
        with self.world.ccb.connect() as connection, connection.cursor() as cursor:
            cursor.execute(found, [mark.key])
            return bool(cursor.fetchone() == (1,))

    def equal(self, what: str | None = "equal", since: float | None = None) -> None:
        """People rest; wait until both sides are equal; notes the seconds it took, or since that moment."""
        self.rest()
        since = since or time.monotonic()
        found: list[Differences] = []

        def same() -> bool:
            time.sleep(_LOOK_S)  # a look reads everything
            found[:] = [compare(self.world.ccb, self.world.prepaid)]
            return not found[0].found

        self.eventually(same, "equality", hint=lambda: str(found[0]))
        if what is not None:
            self.took(what, time.monotonic() - since)

    def eventually(
        self,
        condition: Callable[[], object],
        what: str,
        *,
        hint: Callable[[], str] = str,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Wait for it; on failure the hint, and the ends of the logs."""

        def reported() -> str:
            return "\n".join([hint(), *(running.text()[-3000:] for running in self.running[-2:])])

        eventually(condition, what, patience_s=patience_s, hint=reported)

    def checked(self) -> Differences:
        """Everything that must hold at the end, while nothing is under way.

        Raises:
            AssertionError: something is lost, twice, or not reported.
        """
        self.rest()
        self.carries("end")  # what was committed before it is staged by now
        self.equal(None)
        world = self.world
        with (
            psycopg.connect(world.staging.conninfo()) as staging,
            psycopg.connect(world.prepaid.conninfo()) as prepaid,
            world.ccb.connect() as ccb,
        ):
            differences = compare_in(ccb, prepaid)
            assert not differences.found, str(differences)
            assert differences.posted == differences.recharges > 0
            found = gaps(staging, prepaid, ccb)
            assert not found, "\n".join(found[:20])
        status = self.a.call("status")
        assert status.code == 0, status.out
        return differences

    def _execute(self, conninfo: str, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        session = self._sessions.get(conninfo)
        if session is None or session.closed:
            session = self._sessions[conninfo] = psycopg.connect(conninfo, autocommit=True)
            self._opened.callback(session.close)
        cursor = session.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def _end_processes(self) -> None:
        for running in self.running:
            running.kill()
