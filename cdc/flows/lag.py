"""How far each delivery is behind, in seconds: for `ccbridge status` and the demo."""

from __future__ import annotations

from typing import Any

from cdc.postgres.connect import Connection
from cdc.staging import overview
from mapping_rules import RuleSet, compile_outbound

DELIVERY = "deliver:"


def flows_with_lag(connection: Connection, rule_set: RuleSet) -> list[dict[str, Any]]:
    """The last word of each flow; deliveries have `lag_s` too.

    Returns:
        The columns of `staging.flow_state`, `reported_s`, and `lag_s`: age of the oldest staged
        change that the target does not have, 0 when there is none.
    """
    flows = overview.flows(connection)
    for flow in flows:
        if flow["flow"].startswith(DELIVERY) and flow["staged_seq"] is not None:
            programs = compile_outbound(rule_set, flow["flow"].removeprefix(DELIVERY))
            entities = {entity for program in programs for entity in program.entities}
            flow["lag_s"] = overview.lag_s(connection, entities, flow["staged_seq"])
    return flows
