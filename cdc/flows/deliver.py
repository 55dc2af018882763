"""Staging into one target: follow staged_seq, hand the desired rows to the sink, record what it did.

One loop for every sink; what a sink promises is said in `cdc.ports.Sink`. Its position moves with the rows it
takes. Delivery records are committed to staging before that; after a crash those whose target transaction
never committed are voided. A target that is not the one that staging is bound to, or knows more than staging,
is not written (`cdc.bindings`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import polars as pl
import structlog

from cdc.config import Run
from cdc.errors import CcbridgeError
from cdc.flows.held import HeldKeys
from cdc.flows.progress.state import FlowState
from cdc.flows.sources_found import SourcesFound
from cdc.flows.staged_signal import StagedSignal
from cdc.flows.supervision import Flow
from cdc.ports import Sink, Written
from cdc.postgres.connect import Connection
from cdc.staging.bindings import TargetBinding
from cdc.staging.checkpoints import Checkpoints
from cdc.staging.dead_letters import DeadLetters
from cdc.staging.deliveries import unsettled_deliveries, void_deliveries
from cdc.staging.desired import (
    desired_rows,
    desired_rows_for_keys,
    high_staged_seq,
    live_keys,
    newest_staged_seq,
)
from cdc.staging.leases import Lease
from mapping_rules import OutboundProgram

log = structlog.get_logger(__name__)

_SNAPSHOT_POLL_S = 0.25
DOUBTED_AFTER = 3
"""So many writes in a row that failed with an error about the server, each in a session that lived on: a
trigger of one row may raise it. Rows are tried by themselves then, until none is held any more."""


@dataclass
class Deliver:
    """The work of one delivery flow.

    Args:
        system: name of the target in the configuration.
        programs: its outbound rules, parents first.
        sources: systems whose first snapshot is waited for.
        open_sink: makes the sink; it gets the flow's session in staging.
        open_staging: opens that session, in autocommit.
        sizes: sizes and pauses.
        wake: waits for what is staged, and tells what the sink staged.
        state: the flow's figures.
        lease: verified in every transaction that writes.
        sources_found: what the captures found their sources to be.
    """

    system: str
    programs: Sequence[OutboundProgram]
    sources: Sequence[str]
    open_sink: Callable[[Connection], Sink]
    open_staging: Callable[[], Connection]
    sizes: Run
    wake: StagedSignal
    state: FlowState
    lease: Lease
    sources_found: SourcesFound = field(default_factory=SourcesFound)
    _held: HeldKeys = field(init=False)
    _outlived: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._held = HeldKeys(self.sizes.retry_held_s)

    def __call__(self, flow: Flow) -> None:
        """Work until the flow is asked to stop.

        Raises:
            TargetRefused: the target may not be written; nothing was.
            LeaseLost: another process writes this target now.
            TransientError: a connection was lost; call again.
            OperatorError: target or staging cannot be used.
        """
        with self.open_staging() as staging:
            sink = self.open_sink(staging)
            try:
                self.sources_found.require(self.system, stop=flow.stop)
                sink.admission = binding = TargetBinding(staging, self.system, sink.name, self.lease)
                sink.prepare()
                low = sink.position()
                self._settle(staging, sink, low)
                self._held.hold(DeadLetters(staging).open_keys_with_reason(sink.name))
                wait_for_snapshots(flow, staging, self.sources, self.state)
                self._follow(flow, staging, sink, binding, low)
            finally:
                sink.close()

    def _follow(self, flow: Flow, staging: Connection, sink: Sink, binding: TargetBinding, low: int) -> None:
        self.state.progress(flow.name, staged_seq=low, detail="")
        while not flow.stop.is_set():
            self.sources_found.require(self.system, stop=flow.stop)
            self._retry(flow, staging, sink, low, binding)
            newest = newest_staged_seq(staging)
            high = max(newest.values(), default=0)
            # an outbound rule whose entities did not change is not asked
            programs = [p for p in self.programs if any(newest.get(name, high) > low for name in p.entities)]
            if high - low > self.sizes.max_delivery_rows and len(programs) > 1:
                low = self._catch_up(flow, staging, sink, programs, low, high, binding)
            elif high > low:
                if programs:  # of one rule no row waits for a parent: the position moves window by window
                    high = min(high, low + self.sizes.max_delivery_rows)
                desired = [(p, desired_rows(staging, p, low, high)) for p in programs]
                self._write(flow, staging, sink, desired, binding, up_to=high)
                low = high
            elif sink.due_in_s() <= 0:
                self._poll(flow, staging, sink, low)
            else:
                pause_s = min(self.sizes.idle_poll_ms / 1000, self._held.due_in_s(), sink.due_in_s())
                self.wake.wait_past(low, pause_s)
        binding.reached(low, at_once=True)

    def _catch_up(
        self,
        flow: Flow,
        staging: Connection,
        sink: Sink,
        programs: Sequence[OutboundProgram],
        low: int,
        high: int,
        binding: TargetBinding,
    ) -> int:
        """Work off a backlog table by table, parents first, so that no child waits for its parent.

        The position moves at the end only: an interrupted catch-up starts again and finds rows written.
        """
        for program in programs:
            for start in range(low, high, self.sizes.max_delivery_rows):
                if flow.stop.is_set():
                    return low
                self._retry(flow, staging, sink, low, binding)
                end = min(start + self.sizes.max_delivery_rows, high)
                desired = [(program, desired_rows(staging, program, start, end))]
                self._write(flow, staging, sink, desired, binding, up_to=low)
        self._write(flow, staging, sink, [], binding, up_to=high)
        binding.reached(high, at_once=True)
        return high

    def _write(
        self,
        flow: Flow,
        staging: Connection,
        sink: Sink,
        desired: Sequence[tuple[OutboundProgram, pl.DataFrame]],
        binding: TargetBinding,
        *,
        up_to: int,
    ) -> Written:
        started = time.monotonic()

        def record(deliveries: pl.DataFrame) -> None:
            binding.record(deliveries, write=sink.next_write, up_to=up_to)

        letters = DeadLetters(staging, self.lease)
        sink.doubtful = self._outlived >= DOUBTED_AFTER
        try:
            written = sink.write(
                desired,
                up_to=up_to,
                record=record,
                hold=partial(letters.hold_deliveries, sink.name),
                live=partial(live_keys, staging),
            )
        except CcbridgeError:
            self._outlived = self._outlived + 1 if sink.outlived else 0
            raise
        if not sink.doubtful or not (written.held.height or self._held.number):
            self._outlived = 0
        if not written.written:
            binding.reached(up_to)
        if written.held.height or (self._held.number and self._held.any_among(desired)):
            letters.settle_deliveries(sink.name, desired, written.held)
            before = self._held.number
            self._held.hold(letters.open_keys_with_reason(sink.name))
            if self._held.number > before:
                log.warning(
                    "rows_held",
                    flow=flow.name,
                    held=self._held.number,
                    staged_seq=up_to,
                    reasons=_counted(written.held),
                )
        self._report(flow, written, up_to, started)
        self._poll(flow, staging, sink, up_to)
        return written

    def _poll(self, flow: Flow, staging: Connection, sink: Sink, low: int) -> None:
        """Let the sink do what no change asks for; what it stages is news for the other deliveries."""
        polled = sink.poll(flow.stop.is_set)
        if polled.staged:
            self.wake.set(high_staged_seq(staging))
        flow.progressed()
        self.state.progress(flow.name, rows=polled.rows, staged_seq=low)

    def _retry(self, flow: Flow, staging: Connection, sink: Sink, low: int, binding: TargetBinding) -> None:
        """Try held keys again whose turn it is: what was missing may have arrived."""
        for one in self._held.rounds:
            due = one.due()
            if not due:
                continue
            started = time.monotonic()
            desired = [
                (program, desired_rows_for_keys(staging, program, due[program.name]))
                for program in self.programs
                if program.name in due
            ]
            written = self._write(flow, staging, sink, desired, binding, up_to=low)
            one.tried(time.monotonic() - started, written=written.written)

    def _settle(self, staging: Connection, sink: Sink, low: int) -> None:
        """Void delivery records whose target transaction never committed."""
        unsettled = unsettled_deliveries(staging, sink.name, low)
        lost = [transaction for transaction in unsettled if sink.committed(transaction) is not True]
        if lost:
            void_deliveries(staging, sink.name, lost, self.lease)
            log.warning("deliveries_voided", flow=sink.name, transactions=len(lost))

    def _report(self, flow: Flow, written: Written, low: int, started: float) -> None:
        held = self._held.number
        self.state.progress(flow.name, rows=written.written, staged_seq=low, held=held)
        log.debug(
            "batch_delivered",
            flow=flow.name,
            rows=written.written,
            unchanged=written.unchanged,
            held=held,
            staged_seq=low,
            elapsed_ms=round((time.monotonic() - started) * 1000, 1),
        )


def _counted(held: pl.DataFrame) -> dict[str, int]:
    """How many rows for which reason."""
    return {str(code): int(rows) for code, rows in held["reason_code"].value_counts().rows()}


def wait_for_snapshots(flow: Flow, staging: Connection, sources: Sequence[str], state: FlowState) -> None:
    """Return when every source was read once in full, or when asked to stop.

    Half a first load delivered would show customers without accounts.
    """
    while not flow.stop.is_set():
        with staging.transaction():
            done = {c.system for c in Checkpoints(staging).all() if c.snapshot_complete}
        missing = sorted(set(sources) - done)
        if not missing:
            state.report(flow.name, "running")
            return
        state.progress(flow.name, status="waiting", detail=f"first snapshot of {', '.join(missing)}")
        flow.stop.wait(_SNAPSHOT_POLL_S)
