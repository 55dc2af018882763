"""Recharges into CC&B as a sink: a write makes receipts in staging, a poll sends them and follows them.

CC&B has no place for our position, and a payment is not a row that is written again: what must be durable
when the position moves are the receipts (`receipts.store`). They are sent afterwards, each at most once, by
`ccb.upload`. What CC&B made of them comes through its captured tables.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import polars as pl
import structlog

from cdc.bindings import Bound
from cdc.config import Run
from cdc.errors import OperatorError
from cdc.ports import (
    REJECTION_SCHEMA,
    Admission,
    Desired,
    Live,
    Polled,
    Problem,
    Record,
    StopAsked,
    Store,
    Written,
)
from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors
from cdc.postgres.planning import without
from cdc.staging.leases import Lease
from cdc.staging.sink_positions import SinkPositions
from sinks.ccb_payment_upload.ccb.upload import CcbUpload
from sinks.ccb_payment_upload.groups import send_in_groups
from sinks.ccb_payment_upload.known import missing, require_known
from sinks.ccb_payment_upload.receipts.lost import LostReceipts
from sinks.ccb_payment_upload.receipts.store import Receipts

log = structlog.get_logger(__name__)

_BY_KEY = without("seqscan")
"""All this sink reads it finds by an index."""


class PaymentUploadSink:
    """The payment upload of one CC&B: a `cdc.ports.Sink` whose position lies in staging. One thread.

    Args:
        ccb: the side that talks to CC&B.
        staging: session of the flow, with no transaction open.
        lease: verified in every transaction that writes staging; None for a tool that runs alone.
        pauses: has the times after which receipts are looked at again.
    """

    def __init__(self, ccb: CcbUpload, staging: Connection, lease: Lease | None, pauses: Run) -> None:
        self.name, self.system = ccb.name, ccb.system
        self.admission: Admission | None = None
        self.outlived = self.doubtful = False
        self._ccb, self._staging, self._lease = ccb, staging, lease
        self._receipts = Receipts(staging, ccb.upload, lease)
        self._positions = SinkPositions(staging)
        self._retry_s = float(pauses.retry_held_s)
        self._recheck_s = max(self._retry_s, pauses.idle_poll_ms / 1000)
        self._recheck_at = 0.0

    @property
    def next_write(self) -> int:
        """CC&B counts nothing of ours."""
        return 0

    def prepare(self) -> None:
        """Compare what CC&B holds of us with what staging has sent, before anything is sent.

        Raises:
            TargetRefused: CC&B may not be written.
            TransientError: CC&B or staging is not reachable.
        """
        with postgres_errors("staging"), self._staging.transaction():
            self._staging.execute(_BY_KEY)
        if self.admission is None:
            return
        self._ccb.admission, self._ccb.paid_before = self.admission, self.admission.bound_on()
        newest = require_known(self.system, self.admission.bound(), self._ccb, self._receipts)
        if newest is not None:
            self.admission.seen(newest)

    def position(self) -> int:
        """All staged recharges up to this number have their receipt."""
        with self._staging.transaction():
            return self._positions.load(self.name)

    def committed(self, target_transaction: str) -> bool | None:
        """Unknown: receipts are the record of what was sent, there are no deliveries."""
        del target_transaction
        return None

    def write(self, desired: Desired, *, up_to: int, record: Record, hold: Record, live: Live) -> Written:
        """Make receipts of recharges that have none, with what is held and the position in one transaction.

        Raises:
            LeaseLost: another process uploads now; nothing was written.
            TransientError: staging is not reachable.
        """
        del record, live
        started = time.perf_counter()
        with postgres_errors("staging.receipt"), self._staging.transaction():
            if self._lease is not None:
                self._lease.verify(self._staging)
            built = [self._receipts.build(program, rows) for program, rows in desired]
            held = pl.concat([pl.DataFrame(schema=REJECTION_SCHEMA), *(one.held for one in built)])
            if held.height:
                hold(held)
            self._positions.save(self.name, up_to)
        changed = sum(one.built + one.withdrawn for one in built)
        unchanged = sum(rows.height for _, rows in desired) - changed - held.height
        return Written(0, unchanged, held, time.perf_counter() - started)

    def due_in_s(self) -> float:
        """Until receipts that could not be sent, or were not posted yet, are looked at again."""
        return max(self._recheck_at - time.monotonic(), 0.0)

    def poll(self, stop: StopAsked) -> Polled:
        """Check what waits, send what passed, follow what was sent.

        Raises:
            ReceiptMismatch: CC&B holds something else under a transmission's keys.
            TransientError: CC&B or staging is not reachable.
            OperatorError: CC&B cannot be used.
        """
        recheck = self.due_in_s() <= 0
        if recheck:
            self._recheck_at = time.monotonic() + self._recheck_s
        waiting = self._receipts.waiting(rejected=recheck)
        if not waiting.is_empty():
            self._recheck_soon()
            self._receipts.checked(waiting, self._ccb.precheck(waiting))
        sent = self._send(stop)
        moved = self._receipts.follow()
        return Polled(sent, staged=bool(sent or moved))

    def look(self) -> None:
        """Return if CC&B may be written as it is now; nothing is bound or sent.

        Raises:
            TargetRefused: it may not.
            CcbridgeError: CC&B or staging cannot be reached, or used.
        """
        if self.admission is not None:
            self.admission.require_unmarked(self._ccb.identity())
            require_known(self.system, self.admission.bound(), self._ccb, self._receipts)

    def bind(self, staging: str, newest_seq: int, store: Store) -> list[Problem]:
        """Take this CC&B for the right one; receipts that it lost are put on a list, and not sent again.

        Raises:
            CcbridgeError: CC&B or staging cannot be reached, or used.
        """
        del staging, newest_seq  # CC&B has no place for them
        identity, found = self._ccb.identity(), self._ccb.transmissions(since=None)
        receipts = LostReceipts(self._staging)
        lost = missing(self._ccb, receipts)
        with postgres_errors("staging.receipt"), self._staging.transaction():
            store(Bound(identity, 0, 0, max(found.values(), default=None)))
            marked = receipts.mark(lost) if lost else 0
        text = f"{marked} receipts that were sent are not in CC&B, none is sent again by itself"
        return [Problem(self.system, text, "run: ccbridge receipts lost")] if marked else []

    def close(self) -> None:
        """Close the session in CC&B; staging's is the flow's."""
        self._ccb.close()

    def _send(self, stop: StopAsked) -> int:
        """Send what was checked; returns how many receipts."""
        sent = 0
        refused: list[pl.DataFrame] = [pl.DataFrame()]
        while refused and not stop():  # what is left of a transmission goes in another one
            refused.clear()
            sent += send_in_groups(
                self._receipts.unsent(), self._send_together, stop=stop, refuse=refused.append
            )
            for transmission in refused:
                self._reject(transmission)
        return sent

    def _send_together(self, transmissions: Sequence[pl.DataFrame]) -> int:
        started = time.monotonic()
        outcome = self._ccb.send(pl.concat(transmissions))
        sent = self._receipts.mark_sent(outcome.receipts, outcome.tenders)
        log.debug(
            "transmissions_sent",
            flow=f"deliver:{self.system}",
            transmissions=len(transmissions),
            rows=sent,
            already_there=outcome.already_there,
            elapsed_ms=round((time.monotonic() - started) * 1000, 1),
        )
        return sent

    def _reject(self, transmission: pl.DataFrame) -> None:
        """Find the receipts that CC&B refuses; they are checked and tried again every `retry_held_s`.

        Raises:
            OperatorError: CC&B refuses the transmission, but none of its receipts.
        """
        self._recheck_soon()
        rejections = self._ccb.refused(transmission)
        if rejections.is_empty():
            raise OperatorError(
                f"transmission {transmission['transmission_id'][0]}: refused, but none of its receipts is",
                hint="check the triggers of the payment upload tables, then start again",
            )
        rows = self._receipts.refused(transmission, rejections)
        log.warning("receipts_refused", flow=f"deliver:{self.system}", rows=rows)

    def _recheck_soon(self) -> None:
        """There are receipts that may have to be tried again."""
        self._recheck_at = min(self._recheck_at, time.monotonic() + self._retry_s)
