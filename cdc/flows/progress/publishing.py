"""Writes the state of the flows to `staging.flow_state`, for `ccbridge status` and SQL."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from cdc.flows.progress.state import FlowState
from cdc.postgres.connect import Connection
from cdc.staging.flow_states import publish

REFRESH_S = 2.0
"""How old what is written may be where there is no news: `status` reports a flow that is silent for long."""

_NO_NEWS = frozenset(("position", "current_to"))
"""They move with the source's log, whether anything was changed or not."""


class Publisher:
    """Writes what changed at the next look and the rest now and then, so that an idle process is quiet.

    Args:
        run_id: of this process.
        state: what the flows report.
        clock: seconds.
    """

    def __init__(
        self, run_id: uuid.UUID, state: FlowState, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._run_id, self._state, self._clock = run_id, state, clock
        self._written: dict[str, Mapping[str, Any]] = {}
        self._written_at = float("-inf")

    def publish_news(self, connection: Connection) -> None:
        """Write the flows that have news, or all of them if that is due.

        Raises:
            TransientError: staging is not reachable; the next call tries the same again.
        """
        now, rows = self._clock(), self._state.rows()
        if now - self._written_at >= REFRESH_S:
            publish(connection, self._run_id, rows)
            self._written_at = now
        elif news := [row for row in rows if _news(row) != self._written.get(row["flow"])]:
            publish(connection, self._run_id, news)
        else:
            return
        self._written = {row["flow"]: _news(row) for row in rows}


def _news(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _NO_NEWS}
