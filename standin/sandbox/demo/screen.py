"""What the demo shows: a live table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any

import psycopg
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cdc.flows.progress.lag import flows_with_lag
from cdc.postgres.connect import Connection
from sandbox.demo.product import OPEN_RECEIPTS
from sinks.ccb_payment_upload.receipts import overview as receipts

if TYPE_CHECKING:
    from sandbox.workload.crowd import Crowd

_LINE_EVERY_S = 5.0


class Stage(Enum):
    """How far the product is."""

    STARTING = "starting"
    REPLICATING = "replicating"


class Screen:
    """Use it as a context manager; `watch` gives it the staging database to look at."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._staging: Connection | None = None
        self._flows: list[dict[str, Any]] = []
        self._receipts: list[dict[str, Any]] = []
        self._phase, self._last_line = "", 0.0

    def __enter__(self) -> Screen:
        if sys.stderr.isatty():
            self._live = Live(console=self._console, refresh_per_second=4, transient=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the live table and the connection; safe to call twice."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._staging is not None:
            self._staging.close()
            self._staging = None

    def watch(self, conninfo: str) -> None:
        """Look at this staging database from now on."""
        self._staging = psycopg.connect(conninfo, autocommit=True)

    def say(self, phase: str) -> None:
        """Name the phase that begins."""
        self._phase = phase
        self._last_line = time.monotonic()
        if self._live is None:
            self._console.print(phase, highlight=False)
        else:
            self._live.update(Text(phase))

    def stage(self) -> Stage:
        """Replicating once every delivery runs, which is after the first snapshot of each source."""
        deliveries = [flow for flow in self._flows if flow["flow"].startswith("deliver:")]
        done = deliveries and all(flow["status"] == "running" for flow in deliveries)
        return Stage.REPLICATING if done else Stage.STARTING

    def refresh(self, crowd: Crowd | None = None, waits: Sequence[str] = ()) -> None:
        """Look again and show it, with what is waited for."""
        if self._staging is None:
            return
        self._flows = flows_with_lag(self._staging)
        self._receipts = receipts.receipts(self._staging)
        summary = self._summary(crowd, waits)
        if self._live is not None:
            shown = [self._table()] if self._flows else []
            self._live.update(Group(Text(self._phase), *shown, Text(summary)))
        elif time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._console.print(summary, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in ("flow", "status", "rows", "held", "staged_seq", "lag_s"):
            table.add_column(heading, justify="left" if heading in ("flow", "status") else "right")
        for flow in self._flows:
            numbers = (f"{flow[name] or 0:,}" for name in ("rows", "held", "staged_seq"))
            lag = "" if flow["lag_s"] is None else f"{flow['lag_s']:.1f}"
            table.add_row(flow["flow"], flow["status"], *numbers, lag)
        return table

    def _summary(self, crowd: Crowd | None, waits: Sequence[str]) -> str:
        if waits:
            return "waiting for " + ", ".join(waits)
        rows = sum(flow["rows"] for flow in self._flows if flow["flow"].startswith("capture:"))
        states = receipts.by_state(self._receipts)
        done = sum(sum(counts.values()) for counts in crowd.counts.values()) if crowd else 0
        lag_s = max((flow["lag_s"] or 0.0 for flow in self._flows), default=0.0)
        parts = [f"{rows:,} rows captured"]
        parts += [f"lag {lag_s:.1f} s", f"{done:,} transactions of traffic"] if crowd else []
        # in the order of a receipt's life
        known = [f"{state} {states[state]:,}" for state in (*OPEN_RECEIPTS, "posted") if states.get(state)]
        return ", ".join(parts) + (f"; receipts: {', '.join(known)}" if known else "")
