"""A PostgreSQL source, a PostgreSQL target and staging on one server, with `ccbridge run` between.

`ccbridge` runs as a process of its own, as in production, so its peak memory is its own too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
RULES = Path(__file__).with_name("rules")


@dataclass
class Bridge:
    """The databases and how to run the product between them."""

    server: PostgresServer
    config: Path

    @contextmanager
    def connected(self, database: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        """An autocommit connection of the superuser."""
        with psycopg.connect(self.server.conninfo(database), autocommit=True) as connection:
            yield connection

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """`ccbridge run` until the block ends."""
        with (self.config.parent / "run.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cdc.cli", "run", "--config", str(self.config), "--log-format", "json"],
                stdout=log, stderr=log, env=self.environment(),
            )  # fmt: skip
        try:
            yield process
            if process.poll() is not None:
                raise RuntimeError(f"ccbridge run ended by itself:\n{self.log_tail()}")
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def log_tail(self) -> str:
        """The last lines of the product's log."""
        return "\n".join((self.config.parent / "run.log").read_text().splitlines()[-20:])

    def environment(self) -> dict[str, str]:
        """Environment of the product: its passwords."""
        password = self.server.password
        return {
            **os.environ,
            "CCBRIDGE_STAGING__PASSWORD": password,
            "CCBRIDGE_SYSTEMS__SOURCE__PASSWORD": password,
            "CCBRIDGE_SYSTEMS__TARGET__PASSWORD": password,
        }


@contextmanager
def bridge() -> Iterator[Bridge]:
    """Databases `source`, `target` and `staging`, migrated, nothing running yet."""
    with (
        PostgresServer(settings={"track_commit_timestamp": "on"}) as server,
        tempfile.TemporaryDirectory(prefix="ccbridge-bench-") as folder,
    ):
        for name in ("source", "target", "staging"):
            server.create_database(name)
        config = Path(folder) / "ccbridge.toml"
        config.write_text(_config(server))
        made = Bridge(server, config)
        for name in ("source", "target"):
            with made.connected(name) as connection:
                connection.execute(TABLE)
        with made.connected("source") as connection:
            connection.execute("create publication ccbridge for table item")
        subprocess.run(
            [sys.executable, "-m", "cdc.cli", "migrate", "--config", str(config)],
            check=True, capture_output=True, env=made.environment(),
        )  # fmt: skip
        yield made


def _config(server: PostgresServer) -> str:
    place = (
        f'host = "127.0.0.1"\nport = {server.port}\nuser = "postgres"\nsslmode = "disable"\ninsecure = true\n'
    )
    return (
        f'[staging]\ndatabase = "staging"\n{place}'
        f'[systems.source]\nkind = "postgres"\ndatabase = "source"\n{place}'
        f'[systems.target]\nkind = "postgres"\ndatabase = "target"\nslot = "ccbridge_target"\n{place}'
        f'[rules]\npath = "{RULES}"\n'
    )


def peak_memory_mb(process_id: int) -> float:
    """Largest resident size a process had, megabytes (Linux)."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def wait_until(true: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Look ten times a second until `true()`; raise TimeoutError naming `what`."""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s} s for {what}")
        time.sleep(0.1)
