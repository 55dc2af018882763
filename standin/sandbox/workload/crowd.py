"""All workers at once: clerks, cash desk, prepaid customers and the upload batch.

The demo and the crash tests let a crowd work, stop the workers (`rest`) while the upload batch
continues until all is posted, then `stop` and compare.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

from sandbox.ccb.database import CcbDatabase
from sandbox.ccb.upload_batch import UploadCounts
from sandbox.prepaid.application import PrepaidDatabase
from sandbox.workload.cash_desk import CashDesk
from sandbox.workload.ccb_people import CcbPeople
from sandbox.workload.prepaid_customers import PrepaidCustomers
from sandbox.workload.traffic import Traffic
from sandbox.workload.upload_runs import UploadRuns


@dataclass(frozen=True)
class Pace:
    """Steps a second: transactions of people, runs of the upload batch."""

    clerks: float = 15
    cash_desk: float = 8
    recharges: float = 10
    uploads: float = 5


class Crowd:
    """Use it as a context manager, or `start` and `stop` it; the same seed makes the same choices.

    Args:
        ccb: the CC&B database.
        prepaid: the prepaid database.
        seed: of all choices; give another one after a restart, or ids collide.
        pace: how busy each worker is.
    """

    def __init__(
        self, ccb: CcbDatabase, prepaid: PrepaidDatabase, *, seed: int = 1, pace: Pace | None = None
    ) -> None:
        pace = pace or Pace()
        self._uploads = UploadRuns(ccb)
        self._people = {
            "clerks": Traffic(CcbPeople(ccb, seed=seed * 100 + 1), steps_per_s=pace.clerks, name="clerks"),
            "cash_desk": Traffic(
                CashDesk(ccb, seed=seed * 100 + 2), steps_per_s=pace.cash_desk, name="cash desk"
            ),
            "recharges": Traffic(
                PrepaidCustomers(prepaid, seed=seed * 100 + 3), steps_per_s=pace.recharges, name="recharges"
            ),
        }
        self._batch = Traffic(self._uploads, steps_per_s=pace.uploads, name="upload batch")
        self._working: list[Traffic] = []

    @property
    def counts(self) -> Mapping[str, Counter[str]]:
        """What was done so far, by who did it."""
        return {name: traffic.counts for name, traffic in self._people.items()}

    @property
    def uploaded(self) -> UploadCounts:
        """What the upload batch did so far."""
        return self._uploads.totals

    @property
    def failed(self) -> bool:
        """True if a worker failed; `rest` or `stop` raises why."""
        return any(traffic.failed for traffic in (*self._people.values(), self._batch))

    def start(self) -> Crowd:
        """Start all workers."""
        for traffic in (self._batch, *self._people.values()):
            self._working.append(traffic.start())
        return self

    def rest(self) -> None:
        """Stop the workers; the upload batch continues.

        Raises:
            Exception: what ended a worker before.
        """
        self._stop([traffic for traffic in self._working if traffic is not self._batch])

    def stop(self) -> None:
        """Stop all workers and the upload batch.

        Raises:
            Exception: what ended a worker before.
        """
        self._stop(list(self._working))

    def __enter__(self) -> Crowd:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _stop(self, some: list[Traffic]) -> None:
        with contextlib.ExitStack() as stopping:  # one that fails does not keep the others working
            for traffic in some:
                stopping.callback(traffic.stop)
                self._working.remove(traffic)
