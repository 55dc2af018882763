"""Recharges into CC&B through its payment upload, and every receipt followed until it is posted.

Receipts live in staging (`cdc.staging.receipts.store`); so does the mark of this flow, a checkpoint of its
own, because CC&B has no table for it. What CC&B made of a receipt comes through its captured tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import polars as pl
import structlog

from cdc.bindings import Bound
from cdc.config import Run
from cdc.errors import OperatorError, ReceiptMismatch, RowError, StagingOlder, TargetOlder, bind_target
from cdc.flows.deliver import wait_for_snapshots
from cdc.flows.progress.state import FlowState
from cdc.flows.sources_found import SourcesFound
from cdc.flows.supervision import Flow
from cdc.flows.wake import Wake
from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors
from cdc.staging.bindings import TargetBinding
from cdc.staging.checkpoints import Checkpoints, StoredCheckpoint
from cdc.staging.dead_letters import DeadLetters
from cdc.staging.desired import desired_rows, high_staged_seq
from cdc.staging.leases import Lease
from cdc.staging.receipts.store import Receipts
from mapping_rules import OutboundProgram
from sinks.ccb_payment_upload.upload import CcbUpload

log = structlog.get_logger(__name__)

SENT_TOGETHER = 1_000
"""Receipts of transmissions that share round trips; a backlog drains several times faster so."""

_BY_KEY = "set enable_seqscan = off"
"""All this flow reads it finds by an index; without statistics yet, as in the first backlog, the planner
would take a large table for a small one and read the whole of it for each recharge."""


@dataclass
class Upload:
    """The work of the payment upload flow."""

    system: str
    program: OutboundProgram
    sources: Sequence[str]
    open_sink: Callable[[], CcbUpload]
    open_staging: Callable[[], Connection]
    open_receipts: Callable[[Connection], Receipts]
    sizes: Run
    wake: Wake
    state: FlowState
    lease: Lease
    sources_found: SourcesFound = field(default_factory=SourcesFound)
    _recheck_at: float = 0.0

    def __call__(self, flow: Flow) -> None:
        """Work until the flow is asked to stop.

        Raises:
            TargetRefused: CC&B may not be written; nothing was.
            LeaseLost: another process uploads now.
            ReceiptMismatch: CC&B holds something else under a transmission's keys.
            TransientError: a connection was lost; call again.
            OperatorError: CC&B or staging cannot be used.
        """
        with self.open_staging() as staging:
            with postgres_errors("staging"), staging.transaction():
                staging.execute(_BY_KEY)
            sink = self.open_sink()
            try:
                self.sources_found.require(self.system, stop=flow.stop)
                sink.admission = binding = TargetBinding(staging, self.system, sink.name, self.lease)
                sink.paid_before = binding.bound_on()
                receipts = self.open_receipts(staging)
                newest = require_known(self.system, binding.bound(), sink, receipts)
                if newest is not None:
                    binding.seen(newest)
                wait_for_snapshots(flow, staging, self.sources, self.state)
                self._follow(flow, staging, sink, receipts)
            finally:
                sink.close()

    def _follow(self, flow: Flow, staging: Connection, sink: CcbUpload, receipts: Receipts) -> None:
        low = self._mark(staging)
        self.state.progress(flow.name, staged_seq=low, detail="")
        self._send(flow, staging, sink, receipts, recheck=True)
        while not flow.stop.is_set():
            self.sources_found.require(self.system, stop=flow.stop)
            high = min(high_staged_seq(staging), low + self.sizes.max_delivery_rows)
            recheck = time.monotonic() >= self._recheck_at
            if high == low and not recheck:
                due_in_s = max(self._recheck_at - time.monotonic(), 0.0)
                self.wake.wait_beyond(low, min(self.sizes.idle_poll_ms / 1000, due_in_s))
                continue
            if high > low:
                desired = desired_rows(staging, self.program, low, high)
                held = receipts.build(self.program, desired).held
                letters = DeadLetters(staging, self.lease)
                if not held.is_empty() or letters.open_keys(self.program.name):
                    letters.hold_deliveries(self.program.name, held)
                    letters.settle_deliveries(self.program.name, [(self.program, desired)], held)
                self._move_mark(staging, high)
                low = high
            sent = self._send(flow, staging, sink, receipts, recheck=recheck)
            moved = receipts.follow()
            if moved or sent:
                self.wake.set(high_staged_seq(staging))
            flow.progressed()
            self.state.progress(flow.name, rows=sent, staged_seq=low)

    def _send(
        self, flow: Flow, staging: Connection, sink: CcbUpload, receipts: Receipts, *, recheck: bool
    ) -> int:
        """Check what waits, send what passed; returns how many receipts were sent."""
        if recheck:
            idle_s = self.sizes.idle_poll_ms / 1000
            self._recheck_at = time.monotonic() + max(self.sizes.retry_held_s, idle_s)
        waiting = receipts.waiting(set_aside=recheck)
        if not waiting.is_empty():
            self._recheck_soon()
            receipts.checked(waiting, sink.precheck(waiting))
        sent = 0
        refused: list[pl.DataFrame] = [pl.DataFrame()]
        while refused and not flow.stop.is_set():  # what is left of a transmission goes in another one
            refused.clear()
            sent += send_in_groups(
                receipts.unsent(),
                partial(self._send_together, flow, sink, receipts),
                stop=flow.stop.is_set,
                refuse=refused.append,
            )
            for transmission in refused:
                self._set_aside(flow, sink, receipts, transmission)
        return sent

    def _recheck_soon(self) -> None:
        """There are receipts that may have to be tried again."""
        self._recheck_at = min(self._recheck_at, time.monotonic() + self.sizes.retry_held_s)

    def _set_aside(self, flow: Flow, sink: CcbUpload, receipts: Receipts, transmission: pl.DataFrame) -> None:
        """Find the receipts that CC&B refuses; they are checked and tried again every `retry_held_s`.

        Raises:
            OperatorError: CC&B refuses the transmission, but none of its receipts.
        """
        self._recheck_soon()
        faults = sink.refused(transmission)
        if faults.is_empty():
            raise OperatorError(
                f"transmission {transmission['transmission_id'][0]}: refused, but none of its receipts is",
                hint="look at the triggers of the payment upload tables, then start again",
            )
        rows = receipts.refused(transmission, faults)
        log.warning("receipts_refused", flow=flow.name, rows=rows)

    def _send_together(
        self, flow: Flow, sink: CcbUpload, receipts: Receipts, transmissions: Sequence[pl.DataFrame]
    ) -> int:
        started = time.monotonic()
        outcome = sink.send(pl.concat(transmissions))
        sent = receipts.mark_sent(outcome.receipts, outcome.tenders)
        log.debug(
            "transmissions_sent", flow=flow.name, transmissions=len(transmissions), rows=sent,
            already_there=outcome.already_there, elapsed_ms=round((time.monotonic() - started) * 1000, 1),
        )  # fmt: skip
        return sent

    def _mark(self, staging: Connection) -> int:
        with postgres_errors("staging.checkpoint"), staging.transaction():
            stored = Checkpoints(staging).load(self.program.name)
        return stored.position if stored else 0

    def _move_mark(self, staging: Connection, staged_seq: int) -> None:
        with postgres_errors("staging.checkpoint"), staging.transaction():
            self.lease.verify(staging)
            Checkpoints(staging).save(
                StoredCheckpoint(self.program.name, "staging", {}, staged_seq, -1, {}, snapshot_complete=True)
            )


def require_known(system: str, bound: Bound | None, sink: CcbUpload, receipts: Receipts) -> datetime | None:
    """Compare what CC&B holds of us with what staging has sent, before anything is sent.

    Returns:
        Time of the newest transmission that was compared, by CC&B's clock; None if there was none.

    Raises:
        TargetChanged: not the database that staging is bound to.
        StagingOlder: CC&B holds transmissions of ours that staging never sent.
        TargetOlder: CC&B lacks what staging sent last.
        TransientError: CC&B or staging is not reachable.
    """
    source = sink.upload.external_source
    found = sink.transmissions(since=bound.seen_at if bound else None)
    unknown = sorted(receipts.unknown(found), key=lambda number: (found[number], number))
    if unknown:
        raise StagingOlder(
            f"{system}: CC&B holds {len(unknown)} transmissions under external source {source} that this "
            f"staging did not send, the first {unknown[0]} of {found[unknown[0]]}: it was restored from a "
            "backup, or another installation sends under that source",
            hint="give each installation an external_source of its own; or, when both sources are read up to "
            f"now (ccbridge status: no error, no lag), {bind_target(system)}; "
            "receipts that CC&B holds are not sent again",
        )
    last = receipts.last_sent(sink.name)
    if not last.is_empty() and not sink.held(last):
        raise TargetOlder(
            f"{system}: CC&B holds no receipt of transmission {last['transmission_id'][0]}, which was sent "
            "last, in its upload tables or among its tenders: it was restored from a backup, or is a copy",
            hint=f"connect to the former database; or, if it was restored, {bind_target(system)}",
        )
    return max(found.values(), default=None)


def send_in_groups(
    transmissions: Sequence[pl.DataFrame],
    send: Callable[[Sequence[pl.DataFrame]], int],
    *,
    stop: Callable[[], bool],
    refuse: Callable[[pl.DataFrame], None],
) -> int:
    """Send transmissions, oldest first, in groups of about SENT_TOGETHER receipts.

    A group that CC&B does not take is sent one by one, so that those before the one in question go
    through as they would alone.

    Args:
        transmissions: one frame each.
        send: sends a group, all of it or nothing, and notes it; returns how many receipts.
        stop: asked between groups.
        refuse: told of each transmission with a row that CC&B refuses; the others go on.

    Raises:
        ReceiptMismatch: of the first transmission of which CC&B holds something else.
    """
    sent, group = 0, []

    def send_alone(transmission: pl.DataFrame) -> int:
        try:
            return send([transmission])
        except RowError:
            refuse(transmission)
            return 0

    for number, transmission in enumerate(transmissions, 1):
        group.append(transmission)
        if number < len(transmissions) and sum(one.height for one in group) < SENT_TOGETHER:
            continue
        if stop():
            break
        try:
            sent += send(group) if len(group) > 1 else send_alone(group[0])
        except (ReceiptMismatch, RowError):
            if len(group) == 1:
                raise
            sent += sum(send_alone(one) for one in group)
        group = []
    return sent
