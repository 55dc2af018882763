"""One installation of the product on the sandbox, used as a DBA uses it: files, commands, signals.

Each `Site` has a prepaid and a staging database of its own on the servers that all tests share; the
Oracle stand-in is shared as well. Whatever a command writes is kept in `transcript`, where no secret
may ever be found.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import oracledb
import psycopg
from psycopg import sql

from cdc.staging.desired import high_staged_seq
from sandbox.ccb.database import SUSPENSE_AGREEMENT
from sandbox.ccb.schema import tables
from sandbox.postgres import PostgresServer
from sandbox.prepaid import application
from sandbox.prepaid.application import APPLICATION_USER, BRIDGE_USER, PrepaidDatabase
from sandbox.world import World
from tests.support.commands import CommandProcess, call
from tests.support.psql import run_psql

CANARIES = {
    APPLICATION_USER: "Kanarie#app-4711",
    BRIDGE_USER: "Kanarie=bridge/4712 'x",
    "CCBRIDGE": "Kanarie-ccb-4713",
}
"""Passwords that appear nowhere else; with characters that quoting gets wrong."""

RUN_SETTINGS = "[run]\nlease_ttl_s = 3\nretry_held_s = 1\nidle_poll_ms = 200\n"
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    def rows(self) -> list[dict[str, Any]]:
        """Standard output of `--format json`."""
        return [json.loads(line) for line in self.out.splitlines()]


def eventually(
    condition: Callable[[], object],
    what: str,
    *,
    patience_s: float = PATIENCE_S,
    hint: Callable[[], str] = str,
) -> None:
    """Return as soon as `condition()` is true; fail after `patience_s`, with the text of `hint()`."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"not in {patience_s:.0f} s: {what}\n{hint()}"
        time.sleep(0.1)


class Running:
    """A command that works in the background, its log in a file."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        self.process = CommandProcess(arguments, environment, log, log)

    def text(self) -> str:
        """Everything it wrote so far."""
        return self.log.read_text(encoding="utf-8")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log events of that name so far, in order."""
        lines = [line for line in self.text().splitlines() if line.startswith("{") and line.endswith("}")]
        return [event for line in lines if (event := json.loads(line)).get("event") == name]

    def wait_for(self, name: str, *, patience_s: float = PATIENCE_S, **keys: object) -> dict[str, Any]:
        """The first event of that name whose keys have those values, as soon as it is logged."""
        found: list[dict[str, Any]] = []

        def logged() -> bool:
            assert self.process.poll() is None or self._seen(name, keys), f"ended\n{self.text()}"
            found[:] = self._seen(name, keys)
            return bool(found)

        eventually(logged, f"event {name}", patience_s=patience_s, hint=self.text)
        return found[0]

    def _seen(self, name: str, keys: Mapping[str, object]) -> list[dict[str, Any]]:
        return [e for e in self.events(name) if all(e.get(key) == value for key, value in keys.items())]

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM, *, patience_s: float = 20.0) -> int:
        """Send a signal and wait; returns the exit code."""
        self.send(number)
        return self.process.wait(patience_s)

    def kill(self) -> None:
        """End it for good, whatever it does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()


class Site:
    """A configured installation; `close` ends what it started and drops its databases.

    The databases are made by `create_databases`; commands that fail before they connect need none.

    Args:
        world: the servers.
        folder: for configuration and logs.
        name: part of the names of its databases and its slot.
        staging_server: where staging is, if not beside prepaid.
    """

    def __init__(
        self,
        world: World,
        folder: Path,
        name: str,
        *,
        staging_server: PostgresServer | None = None,
    ) -> None:
        self.world, self.folder, self.name = world, folder, name
        self.ccb = world.ccb
        self.prepaid = PrepaidDatabase(
            "127.0.0.1",
            world.postgres.port,
            f"prepaid_{name}",
            CANARIES[APPLICATION_USER],
            CANARIES[BRIDGE_USER],
        )
        self._staging_server = staging_server or world.postgres
        self.staging_name = f"staging_{name}"
        self.staging_admin = self._staging_server.conninfo(self.staging_name)
        self.config = folder / "ccbridge.toml"
        self.config.write_text(self.configuration(), encoding="utf-8")
        self.environment = {
            "CCBRIDGE_STAGING__PASSWORD": CANARIES[BRIDGE_USER],
            "CCBRIDGE_SYSTEMS__PREPAID__PASSWORD": CANARIES[BRIDGE_USER],
            "CCBRIDGE_SYSTEMS__CCB__PASSWORD": CANARIES["CCBRIDGE"],
        }
        self.transcript: list[str] = []
        self._running: list[Running] = []
        self._sessions: dict[str, psycopg.Connection[tuple[Any, ...]]] = {}

    def create_databases(self, like: str | None = None) -> Site:
        """Make prepaid and staging; staging as a copy of that database, or empty."""
        passwords = {
            "application_password": CANARIES[APPLICATION_USER],
            "bridge_password": CANARIES[BRIDGE_USER],
        }
        application.create(self.world.postgres, self.prepaid.name, **passwords)
        if self._staging_server is not self.world.postgres:
            application.create_role(self._staging_server, BRIDGE_USER, CANARIES[BRIDGE_USER])
        self._create_tender_source()
        statement = sql.SQL("create database {} owner {} template {}").format(
            *map(sql.Identifier, (self.staging_name, BRIDGE_USER, like or "template0"))
        )
        closed = sql.SQL("revoke connect, temporary on database {} from public")
        with psycopg.connect(self._staging_server.conninfo(), autocommit=True) as connection:
            connection.execute(statement)
            connection.execute(closed.format(sql.Identifier(self.staging_name)))
        return self

    def _create_tender_source(self) -> None:
        """Sites share one CC&B; each uploads under an external source of its own."""
        with self.connected("CISADM") as connection, connection.cursor() as cursor:
            known = "select count(*) from CISADM.CI_TNDR_SRCE where EXT_SOURCE_ID = :1"
            (count,) = cursor.execute(known, [self.tender_source]).fetchone()
            if not count:
                statement = tables()["CI_TNDR_SRCE"].insert_statement(
                    ("TNDR_SOURCE_CD", "TNDR_SRCE_TYPE_FLG", "SA_ID", "EXT_SOURCE_ID"), CURRENCY_CD="XAF"
                )
                row = (self.tender_source[:8], "LOCK", SUSPENSE_AGREEMENT, self.tender_source)
                cursor.execute(statement, row)
            connection.commit()

    @property
    def tender_source(self) -> str:
        """External source of its payment uploads."""
        return f"S{self.name.upper()}"

    @property
    def slot(self) -> str:
        """Its replication slot; the name is also that of its replication origin."""
        return f"ccb_{self.name}"

    def configuration(self, rules: str = "ccb_prepaid") -> str:
        """The configuration file, without passwords."""
        assert self.world.authority is not None
        place = f'host = "127.0.0.1"\nuser = "{BRIDGE_USER}"\n'
        place += f'sslrootcert = "{self.world.authority.certificate}"\n'
        port = self.world.postgres.port
        return (
            f'[staging]\ndatabase = "{self.staging_name}"\nport = {self._staging_server.port}\n{place}'
            f'[systems.prepaid]\nkind = "postgres"\ndatabase = "{self.prepaid.name}"\nport = {port}\n{place}'
            f'slot = "{self.slot}"\norigin = "{self.slot}"\n'
            f'[systems.ccb]\nkind = "oracle"\ndsn = "{self.ccb.tls_dsn}"\nuser = "CCBRIDGE"\n'
            f'poll_interval_ms = 25\nwallet = "{self.world.wallet}"\ntime_zone = "Africa/Douala"\n'
            f'[payment_upload]\nexternal_source = "{self.tender_source}"\n'
            f'[rules]\npath = "{rules}"\n{RUN_SETTINGS}'
        )

    def call(self, *arguments: str, **environment: str) -> Done:
        """Run a command to its end; `environment` overrides variables."""
        done = Done(*call(arguments, self._environment(environment), self.folder))
        self.transcript += [done.out, done.err]
        return done

    def start(self, **environment: str) -> Running:
        """Start `ccbridge run`, every event logged."""
        log = self.folder / f"run{len(self._running) + 1}.log"
        running = Running(["run", "--log-format", "json", "--verbose"], self._environment(environment), log)
        self._running.append(running)
        return running

    @contextmanager
    def running(self) -> Iterator[Running]:
        """`ccbridge run`, the first snapshots delivered, until the block ends; then SIGTERM."""
        running = self.start()
        self.wait_until_delivered(running)
        yield running
        running.end()

    def wait_until_delivered(self, running: Running) -> None:
        """Return when both snapshots are staged and every flow has delivered what is staged."""

        def delivered() -> bool:
            assert running.process.poll() is None, running.text()[-6000:]
            return self.delivered()

        eventually(delivered, "delivery of all that is staged", hint=lambda: running.text()[-6000:])

    def delivered(self) -> bool:
        """True if both sources were read in full and each target's flow is at the newest version."""
        loaded = "select count(*) filter (where snapshot_complete) from staging.checkpoint"
        if self.staging(loaded) != [(2,)]:
            return False
        high = high_staged_seq(self._session(self.staging_admin))
        marks = self.staging("select status, staged_seq from staging.flow_state where flow like 'deliver:%'")
        return len(marks) == 2 and all(status == "running" and mark == high for status, mark in marks)

    def staging(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query in staging, as the administrator; [] while there is no such table."""
        try:
            return self._postgres(self.staging_admin, statement, values)
        except psycopg.errors.UndefinedTable:
            return []

    def app(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement in prepaid as the application."""
        return self._postgres(self.prepaid.conninfo(), statement, values)

    def prepaid_admin(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement in prepaid as the administrator."""
        return self._postgres(self.world.postgres.conninfo(self.prepaid.name), statement, values)

    def psql(self, script: str) -> str:
        """Run a script in prepaid as the administrator, by psql; returns what it said."""
        return run_psql(self.world.postgres.conninfo(self.prepaid.name), script)

    def oracle(self, statement: str, user: str = "CISUSER", **binds: object) -> list[tuple[Any, ...]]:
        """Run a statement in CC&B and commit."""
        with self.connected(user) as connection, connection.cursor() as cursor:
            cursor.execute(statement, binds)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
            return rows

    def connected(self, user: str = "CISUSER") -> oracledb.Connection:
        """A session in CC&B."""
        return self.ccb.connect(user)

    def recharge(self, key: str, tender_type: str = "cash") -> None:
        """A completed recharge of 1500.00 in prepaid, on the first account that may vend."""
        self.app(
            "insert into recharge (recharge_id, ccb_account_id, amount, currency, channel, tender_type, "
            "status, recharged_at) select %s, min(ccb_account_id), 1500, 'XAF', 'ussd', %s, 'completed', "
            "now() from account where may_vend and active",
            key,
            tender_type,
        )

    def receipts(self) -> list[tuple[Any, ...]]:
        """Recharge and state of every receipt, in order."""
        return self.staging("select recharge_id, state from staging.receipt order by 1")

    def slots(self) -> list[str]:
        """Replication slots of the prepaid database."""
        return [
            name
            for (name,) in self.prepaid_admin(
                "select slot_name from pg_replication_slots where database = current_database()"
            )
        ]

    def untouched(self) -> bool:
        """True if no command has written anything anywhere: no slot, mark, staging schema or origin."""
        return (
            not self.slots()
            and self.prepaid_admin("select 1 from pg_class where relnamespace = 'ccbridge'::regnamespace")
            == []
            and self.prepaid_admin("select 1 from pg_replication_origin where roname = %s", self.slot) == []
            and self.staging("select 1 from pg_namespace where nspname = 'staging'") == []
        )

    def leaked(self) -> list[str]:
        """Secrets found in anything that a command wrote."""
        texts = [*self.transcript, *(path.read_text(errors="replace") for path in self.folder.glob("*.log"))]
        return [user for user, secret in CANARIES.items() if any(secret in text for text in texts)]

    def disconnect(self) -> None:
        """Close the sessions of the queries so far; the next one opens a new one."""
        for session in self._sessions.values():
            session.close()

    def close(self) -> None:
        """End processes, drop slot, origin and databases."""
        for running in self._running:
            running.kill()
        self.disconnect()
        _drop(self._staging_server, self.staging_name)
        with psycopg.connect(self.world.postgres.conninfo(), autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s",
                [self.prepaid.name],
            )
            connection.execute(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s",
                [self.prepaid.name],
            )
            connection.execute(
                "select pg_replication_origin_drop(roname) from pg_replication_origin where roname = %s",
                [self.slot],
            )
        _drop(self.world.postgres, self.prepaid.name)

    def _environment(self, overrides: Mapping[str, str]) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CCBRIDGE_")}
        config = {"CCBRIDGE_CONFIG": str(self.config), "COLUMNS": "80"}
        return inherited | config | self.environment | dict(overrides)

    def _postgres(self, conninfo: str, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            cursor = self._session(conninfo).execute(statement.encode(), values or None)
        except psycopg.OperationalError:  # the server was restarted meanwhile
            cursor = self._session(conninfo).execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def _session(self, conninfo: str) -> psycopg.Connection[tuple[Any, ...]]:
        session = self._sessions.get(conninfo)
        if session is None or session.closed:
            session = self._sessions[conninfo] = psycopg.connect(conninfo, autocommit=True)
        return session


def _drop(server: PostgresServer, database: str) -> None:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database))
        )


def restarted(server: PostgresServer) -> None:
    """Stop a server and start it again, its data kept."""
    server._own_folder = False
    try:
        server.stop()
    finally:
        server._own_folder = True
    server.start()


def statements(fix: str) -> list[str]:
    """The SQL of a finding's fix, comments left out, statement by statement."""
    text = re.sub(r"--[^\n]*", "", fix)
    return [part.strip() for part in text.split(";") if part.strip()]
