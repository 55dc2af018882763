"""Staging into one target: follow staged_seq, compare and set, record.

The sink's mark lies in the target and moves in the transaction that writes the rows. Delivery
records are committed to staging before that transaction ends; after a crash those whose target
transaction never committed are voided. Read next: `sinks.upsert`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import polars as pl

from cdc import log
from cdc.config import Run
from cdc.flows.state import FlowState
from cdc.flows.supervision import Flow
from cdc.flows.wake import Wake
from cdc.postgres.connect import Connection
from cdc.staging.dead_letters import DeadLetters
from cdc.staging.deliveries import record_deliveries, unsettled_deliveries, void_deliveries
from cdc.staging.desired import desired_rows, desired_rows_for_keys, high_staged_seq
from mapping_rules import OutboundProgram
from sinks.upsert import UpsertSink, Written


@dataclass
class Deliver:
    """The work of one delivery flow."""

    system: str
    programs: Sequence[OutboundProgram]
    open_sink: Callable[[], UpsertSink]
    open_staging: Callable[[], Connection]
    sizes: Run
    wake: Wake
    state: FlowState
    _held: dict[str, pl.DataFrame] = field(default_factory=dict)
    _retry_at: float = 0.0

    def __call__(self, flow: Flow) -> None:
        """Work until the flow is asked to stop.

        Raises:
            LeaseLost: another process writes this target now.
            TransientError: a connection was lost; call again.
            OperatorError: target or staging cannot be used.
        """
        with self.open_staging() as staging:
            sink = self.open_sink()
            try:
                sink.prepare()
                self._settle(staging, sink)
                self._held = DeadLetters(staging).open_keys(sink.name)
                self._follow(flow, staging, sink)
            finally:
                sink.close()

    def _follow(self, flow: Flow, staging: Connection, sink: UpsertSink) -> None:
        low = sink.mark()
        while not flow.stop.is_set():
            high = min(high_staged_seq(staging), low + self.sizes.max_delivery_rows)
            if high > low:
                started = time.monotonic()
                desired = [(p, desired_rows(staging, p, low, high)) for p in self.programs]
                written = self._write(staging, sink, desired, up_to=high)
                low = high
                self._report(flow, written, low, started)
            elif self._held and time.monotonic() >= self._retry_at:
                self._retry(flow, staging, sink, low)
            else:
                self.wake.wait_beyond(low, self.sizes.idle_poll_ms / 1000)

    def _write(
        self,
        staging: Connection,
        sink: UpsertSink,
        desired: Sequence[tuple[OutboundProgram, pl.DataFrame]],
        *,
        up_to: int,
    ) -> Written:
        def record(deliveries: pl.DataFrame) -> None:
            record_deliveries(staging, deliveries)

        written = sink.write(desired, up_to=up_to, record=record)
        if self._held or not written.held.is_empty():
            letters = DeadLetters(staging)
            letters.settle_deliveries(sink.name, desired, written.held)
            self._held = letters.open_keys(sink.name)
            self._retry_at = time.monotonic() + self.sizes.retry_held_s
        return written

    def _retry(self, flow: Flow, staging: Connection, sink: UpsertSink, mark: int) -> None:
        """Try held keys again: what was missing may have arrived."""
        desired = [
            (program, desired_rows_for_keys(staging, program, self._held[program.name]))
            for program in self.programs
            if program.name in self._held
        ]
        started = time.monotonic()
        self._report(flow, self._write(staging, sink, desired, up_to=mark), mark, started)

    def _settle(self, staging: Connection, sink: UpsertSink) -> None:
        """Void delivery records whose target transaction never committed."""
        unsettled = unsettled_deliveries(staging, sink.name, sink.mark())
        lost = [transaction for transaction in unsettled if sink.committed(transaction) is not True]
        if lost:
            void_deliveries(staging, sink.name, lost)
            log.get().warning("deliveries_voided", flow=sink.name, transactions=len(lost))

    def _report(self, flow: Flow, written: Written, low: int, started: float) -> None:
        flow.progressed()
        held = sum(frame.height for frame in self._held.values())
        self.state.progress(flow.name, rows=written.written, staged_seq=low, held=held)
        log.get().debug(
            "batch_delivered", flow=flow.name, rows=written.written, unchanged=written.unchanged,
            held=held, staged_seq=low, elapsed_ms=round((time.monotonic() - started) * 1000, 1),
        )  # fmt: skip
