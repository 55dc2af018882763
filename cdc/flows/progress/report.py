"""A line a minute: what was done since the line before, and how far behind each flow is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from cdc.flows.progress.state import Figures

log = structlog.get_logger(__name__)

EVERY_S = 60.0
_CAPTURE, _DELIVERY = "capture:", "deliver:"


class Report:
    """Logs progress, and which flows are not running, while `run` works.

    Args:
        every_s: pause between two lines, seconds.
    """

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._reported_at = time.monotonic()
        self._rows: dict[str, int] = {}

    def log_progress(
        self, figures: Iterable[Figures], lags: Callable[[], Iterable[Mapping[str, Any]]]
    ) -> None:
        """Log a line if it is time for one.

        Args:
            figures: the figures of each flow.
            lags: asked for `flow` and `lag_s` of each flow, only then.
        """
        if time.monotonic() - self._reported_at < self._every_s:
            return
        self._reported_at = time.monotonic()
        rows = {one.flow: one.rows for one in figures}
        done = {flow: count - self._rows.get(flow, 0) for flow, count in rows.items()}
        self._rows = rows
        log.info(
            "replication_progressed",
            captured=sum(count for flow, count in done.items() if flow.startswith(_CAPTURE)),
            delivered=sum(count for flow, count in done.items() if flow.startswith(_DELIVERY)),
            held=sum(one.held for one in figures),
            lag_s={one["flow"]: round(one["lag_s"], 1) for one in lags() if one["lag_s"] is not None},
            not_running={one.flow: one.status for one in figures if one.status != "running"},
        )
