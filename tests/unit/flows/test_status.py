"""What requires operator action, and how current a flow is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from structlog.testing import capture_logs

from cdc.changes import ChangeBatch, SourceTable, TableChanges, TableName
from cdc.config import Settings
from cdc.errors import DatabaseUnreachable
from cdc.flows.capture import current_to
from cdc.flows.progress.report import Report
from cdc.flows.progress.state import FlowState
from cdc.flows.status import SILENT, Status, judged
from cdc.ports import Problem, StatusPart
from cdc.positions import Scn

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTINGS = Settings.model_validate({"staging": {"host": "s", "database": "d", "user": "u"}, "systems": {}})
ACTIVE = {"holder": "vm:1", "alive": True}


def flow(**facts: Any) -> dict[str, Any]:
    """A row of a flow that runs, with these facts."""
    row = dict.fromkeys(("error_code", "error_text", "hint", "lag_s"))
    return {"flow": "capture:ccb", "status": "running", "status_s": 5.0, "reported_s": 0.2, **row, **facts}


def subjects(*flows: dict[str, Any], active: dict[str, Any] | None = ACTIVE, **more: Any) -> list[str]:
    """What is reported, for flows and for everything else."""
    given: dict[str, Any] = {"letters": [], "echoes": [], **more}
    status = Status(active, list(flows), **given)
    return [problem.subject for problem in judged(status, SETTINGS)]


@pytest.mark.parametrize(
    ("facts", "waits"),
    [
        ({}, False),
        ({"status": "snapshot", "lag_s": 5_000.0}, False),
        ({"status": "waiting"}, False),
        ({"status": "waiting", "error_code": "CDC-104"}, True),
        ({"error_code": "CDC-103"}, True),
        ({"status": "retrying", "error_code": "CDC-020", "status_s": 59.0}, False),
        ({"status": "retrying", "error_code": "CDC-020", "status_s": 61.0}, True),
        ({"status": "retrying", "error_code": "CDC-020", "status_s": None}, False),
        ({"lag_s": 899.0}, False),
        ({"lag_s": 901.0}, True),
        ({"status": "failed", "error_code": "CDC-022"}, True),
        ({"status": SILENT}, True),
    ],
)
def test_which_flows_wait_for_an_operator(facts: dict[str, Any], waits: bool) -> None:
    """What passes by itself does not, until it lasts."""
    assert subjects(flow(**facts)) == (["capture:ccb"] if waits else [])


def test_a_process_that_is_not_there_waits_for_an_operator() -> None:
    """Never started, or ended."""
    assert subjects(active=None) == ["ccbridge run"]
    assert subjects(flow(status="stopped"), active={**ACTIVE, "alive": False}) == ["ccbridge run"]


def test_what_sinks_report_is_reported_before_dead_letters() -> None:
    """In the order of a row's way."""
    part = StatusPart("orders", ("state",), [], [Problem("orders lost", "2 orders", "look")])
    assert subjects(flow(), parts=[part], letters=[{"rows": 2}]) == ["orders lost", "dead letters"]


def test_a_failed_flow_is_said_to_need_a_restart() -> None:
    """Its cause may be gone; the flow is not back by itself."""
    failed = flow(status="failed", error_code="CDC-022", error_text="ccb: ORA-01045", hint="grant it;")
    (problem,) = judged(Status(ACTIVE, [failed], [], []), SETTINGS)
    assert problem.hint.splitlines() == ["grant it;", "then start ccbridge run again: this flow has ended"]


def batch(*changed: datetime, behind: bool = False) -> ChangeBatch:
    """A batch with a change of each time."""
    table = SourceTable(TableName("A", "B"), (), ())
    frame = pl.DataFrame({"committed_at": list(changed)}, schema={"committed_at": pl.Datetime("us", "UTC")})
    tables = {table.name: TableChanges(table, frame)} if changed else {}
    return ChangeBatch("ccb", Scn(5), tables, {}, behind=behind)


def test_how_current_a_capture_is() -> None:
    """To its newest change; to now when nothing is left; unknown while there is more to read."""
    before = NOW - timedelta(hours=1)
    assert current_to(batch(before - timedelta(hours=1), before), NOW) == before
    assert current_to(batch(before, behind=True), NOW) == before
    assert current_to(batch(), NOW) == NOW
    assert current_to(batch(behind=True), NOW) is None


def test_a_status_has_lasted_since_it_changed() -> None:
    """Another report of the same does not begin it again."""
    state = FlowState()
    error = DatabaseUnreachable("ccb: gone")
    state.report("capture:ccb", "retrying", error=error)
    since = state.all()[0].status_since
    state.report("capture:ccb", "retrying", error=error)
    assert state.all()[0].status_since == since
    state.progress("capture:ccb", current_to=NOW)
    assert state.all()[0].status_since > since
    state.progress("capture:ccb")
    assert state.all()[0].current_to == NOW


def test_the_log_tells_now_and_then_that_all_is_well() -> None:
    """One line with what came since the line before; none in between."""
    state = FlowState()
    state.progress("capture:ccb", rows=7)
    state.progress("deliver:prepaid", rows=5, held=1)
    lags: list[dict[str, Any]] = [
        {"flow": "capture:ccb", "lag_s": 0.234},
        {"flow": "deliver:prepaid", "lag_s": None},
    ]
    with capture_logs() as logged:
        Report(every_s=3600).log_progress(state.all(), lambda: lags)
        report = Report(every_s=0)
        report.log_progress(state.all(), lambda: lags)
        state.progress("capture:ccb", rows=2)
        state.report("deliver:prepaid", "retrying")
        report.log_progress(state.all(), lambda: lags)
    assert [(line["captured"], line["delivered"], line["held"]) for line in logged] == [(7, 5, 1), (2, 0, 1)]
    assert logged[1]["not_running"] == {"deliver:prepaid": "retrying"}
    assert logged[0]["lag_s"] == {"capture:ccb": 0.2}
