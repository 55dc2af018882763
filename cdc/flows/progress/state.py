"""What the flows of this process are doing, for `status`, the demo and metrics.

Flows report into memory; `cdc.flows.progress.publishing` writes it to `staging.flow_state`.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from cdc.errors import CcbridgeError

FlowStatus = Literal["starting", "snapshot", "running", "retrying", "waiting", "stopped", "failed"]


@dataclass(frozen=True)
class Figures:
    """The last reported state of one flow; `rows` counts since the process started.

    `expected` is what the snapshot under way will read, by the source's own estimate. `changed_at` is the
    commit time of the newest change read, `current_to` that up to which all that the source committed is
    staged; both None where nothing is captured.
    """

    flow: str
    status: FlowStatus = "starting"
    position: int | None = None
    staged_seq: int | None = None
    rows: int = 0
    expected: int | None = None
    held: int = 0
    detail: str = ""
    error_code: str | None = None
    error_text: str | None = None
    hint: str | None = None
    changed_at: datetime | None = None
    current_to: datetime | None = None
    status_since: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self, status: FlowStatus, **figures: Any) -> Figures:
        """The same flow with this status and these figures."""
        since = self.status_since if status == self.status else datetime.now(UTC)
        return replace(self, status=status, status_since=since, **figures)


class FlowState:
    """Thread-safe; one per process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures: dict[str, Figures] = {}

    def report(self, flow: str, status: FlowStatus, *, error: CcbridgeError | None = None) -> None:
        """The flow's status changed; an error stays until the flow runs again."""
        with self._lock:
            figures = self._figures.get(flow, Figures(flow))
            self._figures[flow] = figures.now(
                status,
                error_code=error.code if error else None,
                error_text=str(error) if error else None,
                hint=error.hint if error else None,
            )

    def answered(self, flow: str) -> None:
        """The call that the flow waited for has returned."""
        with self._lock:
            figures = self._figures.get(flow, Figures(flow))
            if figures.status == "waiting":
                self._figures[flow] = figures.now("running", error_code=None, error_text=None, hint=None)

    def progress(
        self,
        flow: str,
        *,
        rows: int = 0,
        position: int | None = None,
        staged_seq: int | None = None,
        held: int | None = None,
        detail: str | None = None,
        status: FlowStatus = "running",
        error: CcbridgeError | None = None,
        changed_at: datetime | None = None,
        current_to: datetime | None = None,
    ) -> None:
        """The flow made progress: `rows` more, and where it is now; None leaves a figure as it is.

        `error` is a problem that does not stop it, for example a table that is no longer read.
        """
        with self._lock:
            figures = self._figures.get(flow, Figures(flow))
            self._figures[flow] = figures.now(
                status,
                rows=figures.rows + rows,
                changed_at=changed_at or figures.changed_at,
                current_to=current_to or figures.current_to,
                position=figures.position if position is None else position,
                staged_seq=figures.staged_seq if staged_seq is None else staged_seq,
                held=figures.held if held is None else held,
                detail=figures.detail if detail is None else detail,
                error_code=error.code if error else None,
                error_text=str(error) if error else None,
                hint=error.hint if error else None,
            )

    def expect(self, flow: str, rows: int) -> None:
        """A snapshot of about so many rows begins; 0 if the source has no estimate."""
        with self._lock:
            figures = self._figures.get(flow, Figures(flow))
            self._figures[flow] = figures.now("snapshot", expected=rows or None)

    def all(self) -> list[Figures]:
        """The figures of every flow, by name."""
        with self._lock:
            return [self._figures[name] for name in sorted(self._figures)]

    def rows(self) -> list[dict[str, Any]]:
        """The figures as rows of `staging.flow_state`."""
        rows = [asdict(figures) for figures in self.all()]
        for row in rows:
            del row["expected"]
        return rows
