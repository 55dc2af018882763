"""What the flows say, as others read it in staging."""

from __future__ import annotations

import uuid

import psycopg

from cdc.flows.progress.publishing import REFRESH_S, Publisher
from cdc.flows.progress.state import FlowState
from tests.support.migrated import migrated
from tests.unit.staging.doubles import rule_set


def test_flow_publishing_is_quiet_without_news(database: str) -> None:
    """News are written at once and alone; a position that moved, and what stayed, when it is due."""
    migrated(database, rule_set())
    state, now = FlowState(), 0.0
    publisher = Publisher(uuid.uuid4(), state, clock=lambda: now)
    state.progress("capture:a", position=1)
    state.progress("deliver:b", staged_seq=1)
    with psycopg.connect(database, autocommit=True) as connection:

        def written() -> dict[str, tuple[object, ...]]:
            publisher.publish_news(connection)
            rows = connection.execute("select flow, position, staged_seq, xmin::text from staging.flow_state")
            return {row[0]: row[1:] for row in rows.fetchall()}

        first = written()
        assert {flow: row[:2] for flow, row in first.items()} == {
            "capture:a": (1, None),
            "deliver:b": (None, 1),
        }
        state.progress("capture:a", position=2)
        assert written() == first
        state.progress("deliver:b", staged_seq=2)
        second = written()
        assert second["capture:a"] == first["capture:a"]
        assert second["deliver:b"][:2] == (None, 2)
        now += REFRESH_S
        third = written()
        assert third["capture:a"][:2] == (2, None)
        assert third["deliver:b"][2] != second["deliver:b"][2]
