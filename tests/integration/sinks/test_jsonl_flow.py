"""Lines of JSON through the delivery flow: from staging into files, bound to one directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mapping_rules
from cdc.config import Run
from cdc.flows.deliver import Deliver
from cdc.flows.progress.state import FlowState
from cdc.flows.staged_signal import StagedSignal
from cdc.postgres.connect import connect
from sinks.jsonl.sink import JsonlSink
from tests.support import one_flow
from tests.unit.staging.doubles import OUTBOUND, Event, batch, customer, rule_set
from tests.unit.staging.world import World, staging

RULES = rule_set(OUTBOUND)


def deliver(world: World, directory: Path, state: FlowState) -> Deliver:
    return Deliver(
        system="lake",
        programs=mapping_rules.compile_outbound(RULES, "till"),
        sources=["shop"],
        open_sink=lambda _: JsonlSink("lake", directory, rotate_bytes=0, fencing_token=world.lease.token),
        open_staging=lambda: connect(world.settings, application="test deliver", autocommit=True),
        sizes=Run(retry_held_s=1, idle_poll_ms=20),
        wake=StagedSignal(),
        state=state,
        lease=world.lease,
    )


def lines(directory: Path) -> list[dict[str, Any]]:
    path = directory / "rows-000001.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_staged_rows_become_lines_that_are_on_record(database: str, tmp_path: Path) -> None:
    """Each line has its delivery; another directory in the first one's place is not written."""
    directory = tmp_path / "lake"
    with staging(database, RULES) as world:
        world.stager().stage(batch(Event("c", 11, 0, after=customer("1", credit="12.50"))))
        world.stagers.pop().close()
        world.execute("update staging.checkpoint set snapshot_complete = true")
        with one_flow.running("deliver:lake", lambda state: deliver(world, directory, state)) as flow:
            flow.wait(lambda: len(lines(directory)) == 1, "the first line")
            world.stager().stage(batch(Event("d", 12, before=customer("1", credit="12.50"))))
            world.stagers.pop().close()
            flow.wait(lambda: len(lines(directory)) == 2, "the line of its end")
        first, second = lines(directory)
        assert (first["op"], first["key"], first["row"]["credit"]) == ("upsert", {"buyer_id": "1"}, "12.50")
        assert (second["op"], second["key"], second["row"]) == ("delete", {"buyer_id": "1"}, None)
        recorded = "select decision, target_transaction from staging.delivery order by delivery_id"
        target = json.loads((directory / "position.json").read_text())["target"]
        assert world.query(recorded) == [("insert", f"{target}:1"), ("delete", f"{target}:2")]
        with one_flow.running(
            "deliver:lake", lambda state: deliver(world, tmp_path / "other", state)
        ) as flow:
            assert flow.refused("lake") == "CDC-204"
        assert not (tmp_path / "other").exists()
        with one_flow.running("deliver:lake", lambda state: deliver(world, directory, state)) as flow:
            flow.wait(lambda: flow.figures["status"] == "running", "the flow")
        assert lines(directory) == [first, second]
