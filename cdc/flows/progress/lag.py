"""How far each flow is behind, in seconds: for `ccbridge status`, the log and the demo."""

from __future__ import annotations

from typing import Any

from cdc.postgres.connect import Connection
from cdc.staging import overview

DELIVERY = "deliver:"


def flows_with_lag(connection: Connection) -> list[dict[str, Any]]:
    """The last reported state of each flow, with its lag.

    Returns:
        The columns of `staging.flow_state`, `reported_s`, `status_s`, and `lag_s`. For a capture that is the
        age of the time up to which all that the source committed is staged (None before the first look); for
        a delivery the age of the oldest staged change that the target does not have, 0 when there is none.
    """
    flows = overview.flows(connection)
    for flow in flows:
        if flow["flow"].startswith(DELIVERY) and flow["staged_seq"] is not None:
            flow["lag_s"] = overview.lag_s(connection, flow["staged_seq"])
    return flows
