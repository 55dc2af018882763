"""The product on a sandbox: its commands as processes of their own, as a DBA runs them.

Used by the demo and by tests that kill the process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from cdc.errors import OperatorError
from cdc.staging import overview
from cdc.staging.desired import high_staged_seq
from sandbox.installation import passwords, write_configuration
from sinks.ccb_payment_upload.receipts import overview as receipts

if TYPE_CHECKING:
    from sandbox.world import World

OPEN_RECEIPTS = ("built", "sent", "accepted")
_MARKS = "select flow, staged_seq from staging.flow_state where flow like 'deliver:%'"
_UNPOSTED = "select count(*) from recharge where status = 'completed' and posted_at is null"


class Product:
    """The product's commands as processes, configured for the sandbox."""

    def __init__(self, world: World, folder: Path) -> None:
        self.config, self.log = write_configuration(world, folder), folder / "run.log"
        self.staging = world.staging.conninfo()
        self._environment = os.environ | passwords(world)
        self.process: subprocess.Popen[bytes] | None = None
        self._rows_before = -1

    def call(self, *arguments: str) -> None:
        """Run a command to its end.

        Raises:
            OperatorError: it ended with another code than 0; its words are in the message.
        """
        done = subprocess.run(  # noqa: S603 - our own command
            self._command(*arguments), env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            words = done.stderr.strip()
            raise OperatorError(
                f"ccbridge {arguments[0]} ended with {done.returncode}: {words}", hint=f"see {self.log}"
            )

    def start(self) -> subprocess.Popen[bytes]:
        """Start `ccbridge run`; the caller ends it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                self._command("run", "--log-format", "json"),
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.process

    @contextmanager
    def running(self) -> Iterator[None]:
        """`ccbridge run` until the block ends, then SIGTERM."""
        process = self.start()
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def require_alive(self) -> None:
        """Raise with the end of its log if `ccbridge run` ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise OperatorError(
                f"ccbridge run ended with {self.process.returncode}:\n{tail}", hint=f"see {self.log}"
            )

    def settled(self, prepaid: str) -> bool:
        """True if nothing is on its way, and no row came since the last look.

        Args:
            prepaid: connection string of the prepaid database.
        """
        with psycopg.connect(self.staging, autocommit=True) as staging:
            rows = sum(flow["rows"] for flow in overview.flows(staging))
        still, self._rows_before = rows == self._rows_before, rows
        return still and not self.on_the_way(prepaid)

    def on_the_way(self, prepaid: str) -> list[str]:
        """What is not delivered, posted or acknowledged yet, in words; empty if all is.

        Args:
            prepaid: connection string of the prepaid database.
        """
        with psycopg.connect(self.staging, autocommit=True) as staging:
            high = high_staged_seq(staging)
            marks: dict[str, int] = dict(staging.execute(_MARKS.encode()).fetchall())
            states = receipts.by_state(receipts.receipts(staging))
        with psycopg.connect(prepaid) as connection:
            unposted = connection.execute(_UNPOSTED.encode()).fetchone()
        behind = [flow for flow, mark in marks.items() if mark != high]
        waits = [f"{flow} to deliver" for flow in behind] if marks else ["the first delivery"]
        waits += [f"{states[state]:,} receipts {state}" for state in OPEN_RECEIPTS if states.get(state)]
        if unposted != (0,):
            waits.append(f"{unposted[0] if unposted else 0:,} recharges to be acknowledged")
        return waits

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cdc.cli", *arguments, "--config", str(self.config)]
