"""A PostgreSQL source, a PostgreSQL target and staging, a server each, with `ccbridge run` between.

`ccbridge` runs as a process of its own, as in production, so its peak memory is its own too. The
servers are separate, as at a site: on a shared one the source's log would hold what staging and the
target write as well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from sandbox.postgres import PostgresServer

TABLE = """
create table item (
    item_id bigint primary key, name text not null, amount numeric(15,2) not null,
    active boolean not null, changed_at timestamptz not null, note text
)
"""
DATABASES = ("source", "target", "staging")
RULES = Path(__file__).with_name("rules")


@dataclass
class Bridge:
    """The databases, each named like its server, and how to run the product between them."""

    servers: Mapping[str, PostgresServer]
    config: Path

    @contextmanager
    def connected(self, database: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        """An autocommit connection of the superuser."""
        with psycopg.connect(self.servers[database].conninfo(database), autocommit=True) as connection:
            yield connection

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """`ccbridge run` until the block ends."""
        with product(self.config, self.environment()) as process:
            yield process

    def environment(self) -> dict[str, str]:
        """Environment of the product: its passwords."""
        return {
            **os.environ,
            "CCBRIDGE_STAGING__PASSWORD": self.servers["staging"].password,
            "CCBRIDGE_SYSTEMS__SOURCE__PASSWORD": self.servers["source"].password,
            "CCBRIDGE_SYSTEMS__TARGET__PASSWORD": self.servers["target"].password,
        }


@contextmanager
def bridge() -> Iterator[Bridge]:
    """Databases `source`, `target` and `staging`, migrated, nothing running yet."""
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(PostgresServer(settings={"track_commit_timestamp": "on"}))
            for name in DATABASES
        }
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ccbridge-bench-")))
        for name, server in servers.items():
            server.create_database(name)
        config = folder / "ccbridge.toml"
        config.write_text(_config(servers))
        made = Bridge(servers, config)
        for name in ("source", "target"):
            with made.connected(name) as connection:
                connection.execute(TABLE)
        with made.connected("source") as connection:
            connection.execute("create publication ccbridge for table item")
        migrate(config, made.environment())
        yield made


def _config(servers: Mapping[str, PostgresServer]) -> str:
    place = {
        name: f'database = "{name}"\nhost = "127.0.0.1"\nport = {server.port}\nuser = "{server.user}"\n'
        'sslmode = "disable"\ninsecure = true\nallowed_rights = ["superuser"]\n'
        for name, server in servers.items()
    }
    return (
        f"[staging]\n{place['staging']}"
        f'[systems.source]\nkind = "postgres"\n{place["source"]}'
        f'[systems.target]\nkind = "postgres"\n{place["target"]}'
        f'[rules]\npath = "{RULES}"\n'
    )


def migrate(config: Path, environment: Mapping[str, str]) -> None:
    """`ccbridge migrate`."""
    command = [sys.executable, "-m", "cdc.cli", "migrate", "--config", str(config)]
    subprocess.run(command, check=True, capture_output=True, env=environment)


@contextmanager
def product(config: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`ccbridge run` until the block ends; raises RuntimeError if it ended by itself."""
    command = [sys.executable, "-m", "cdc.cli", "run", "--config", str(config), "--log-format", "json"]
    with (config.parent / "run.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield process
        if process.poll() is not None:
            raise RuntimeError(f"ccbridge run ended by itself:\n{log_tail(config)}")
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def log_tail(config: Path) -> str:
    """The last lines of the product's log."""
    return "\n".join((config.parent / "run.log").read_text().splitlines()[-20:])


def progress(what: str) -> None:
    """Tell on standard error what a long measurement does now."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def peak_memory_mb(process_id: int) -> float:
    """Largest resident size a process had, megabytes (Linux)."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def wait_until(true: Callable[[], bool], *, timeout_s: float, what: str, every_s: float = 0.1) -> None:
    """Look every so often until `true()`; raise TimeoutError naming `what`."""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s} s for {what}")
        time.sleep(every_s)
