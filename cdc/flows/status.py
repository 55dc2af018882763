"""What `ccbridge status` shows: what each flow does, which process is active, and what requires action.

Everything comes from staging; the rule set on disk is only compared with the one that runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cdc.config import Settings
from cdc.errors import RuleErrors
from cdc.flows.progress.lag import flows_with_lag
from cdc.flows.replicate import LEASE
from cdc.kinds import EXTENSIONS, resolved
from cdc.ports import Problem, StatusPart
from cdc.postgres.connect import connect
from cdc.rule_set import load_rules
from cdc.staging import overview

WORKING = frozenset(("starting", "snapshot", "running", "retrying", "waiting"))
SILENT = "silent"
"""Shown for a flow that should work and whose process says nothing any more."""
START = "start it: ccbridge run"


@dataclass
class Status:
    """All of it; rows have the columns of `cdc.staging.overview`.

    A flow has besides: `at` (its position in the source's own notation, or its number in staging),
    `waits_for` (in words, None while it works) and `status` SILENT. `parts` are those of sinks.
    """

    active: dict[str, Any] | None
    flows: list[dict[str, Any]]
    letters: list[dict[str, Any]]
    echoes: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    parts: list[StatusPart] = field(default_factory=list)

    @property
    def lag_s(self) -> float | None:
        """End to end: the worst capture and the worst delivery together, None while neither is known."""
        worst = [
            max(
                (one["lag_s"] for one in self.flows if one["flow"].startswith(kind) and one["lag_s"]),
                default=0.0,
            )
            for kind in ("capture:", "deliver:")
        ]
        known = any(one["lag_s"] is not None for one in self.flows)
        return sum(worst) if known else None


def read_status(settings: Settings) -> Status:
    """Look into staging.

    Raises:
        StagingRevision: there is no staging schema of this release.
        DatabaseUnreachable, LoginRefused: staging cannot be reached.
    """
    with connect(settings.staging, application="ccbridge status", autocommit=True) as connection:
        found = Status(
            overview.active(connection, LEASE),
            flows_with_lag(connection),
            overview.dead_letters(connection),
            overview.echoes(connection),
            parts=[
                part
                for of_sink in resolved(one.status for one in EXTENSIONS.values())
                for part in of_sink(connection, settings)
            ],
        )
    for flow in found.flows:
        if flow["status"] in WORKING and flow["reported_s"] > settings.run.lease_ttl_s:
            flow["status"] = SILENT
        flow["at"] = _at(flow, settings)
        flow["waits_for"] = _waits_for(flow)
    if found.active is not None and found.active["alive"]:
        found.notes += _rules_differ(settings, found.active["rule_set"])
    found.problems += judged(found, settings)
    return found


def judged(status: Status, settings: Settings) -> Iterator[Problem]:
    """What requires operator action."""
    if status.active is None or not status.flows:
        yield Problem("ccbridge run", "nothing has run yet", START)
    elif not status.active["alive"]:
        yield Problem("ccbridge run", f"not active; the last one was {status.active['holder']}", START)
    for flow in status.flows:
        yield from _of_flow(flow, settings)
    for part in status.parts:
        yield from part.problems
    if status.letters:
        rows = sum(letter["rows"] for letter in status.letters)
        yield Problem(
            "dead letters",
            f"{rows} rows",
            "run in staging: select * from staging.dead_letter where resolved_at is null",
        )


def _of_flow(flow: Mapping[str, Any], settings: Settings) -> Iterator[Problem]:
    name, status, alarms = flow["flow"], flow["status"], settings.status
    text = f"{flow['error_code']}: {flow['error_text']}"
    hint = flow["hint"] or ""
    if status == SILENT:
        yield Problem(name, f"no report for {flow['reported_s']:.0f} s: is ccbridge run still alive?", START)
    if status == "failed":
        after = "then start ccbridge run again: this flow has ended"
        yield Problem(name, text, f"{hint}\n{after}" if hint else after)
    elif flow["error_code"] is not None and status in ("running", "waiting"):
        yield Problem(name, text, hint)  # also while it runs: without a table that it stopped reading
    elif status == "retrying" and (flow["status_s"] or 0) > alarms.retry_alarm_s:
        yield Problem(name, f"retrying for {flow['status_s']:.0f} s: {text}", hint)
    if status in ("running", "retrying") and (flow["lag_s"] or 0) > alarms.lag_alarm_s:
        yield Problem(
            name,
            f"behind by {flow['lag_s']:.0f} s",
            "check whether it makes progress: run this command again",
        )


def _waits_for(flow: Mapping[str, Any]) -> str | None:
    if flow["status"] not in ("waiting", "retrying"):
        return None
    return flow["error_text"] or flow["detail"] or None


def _at(flow: Mapping[str, Any], settings: Settings) -> str | int | None:
    """A capture is at a position of its source, a delivery at a number of staging's own."""
    position = flow["position"]
    if position is None:
        return flow["staged_seq"]  # type: ignore[no-any-return]
    system = settings.systems.get(flow["flow"].partition(":")[2])
    return int(position) if system is None else system.position_text(position)


def _rules_differ(settings: Settings, running: str | None) -> Iterator[str]:
    """A rule set that is being edited does not concern what runs; it is only said."""
    try:
        digest = load_rules(settings).digest
    except RuleErrors:
        yield "the rules on disk have errors, the rules in use do not; run: ccbridge rules check"
        return
    if running is not None and digest != running:
        yield "the rules on disk are not those that run: ccbridge check, then start ccbridge run again"
