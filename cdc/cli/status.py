"""`ccbridge status`: what each flow does, lag, receipts and rows set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from cdc import config as configuration
from cdc import log
from cdc.cli.options import DEFAULT_CONFIG, Config, Format
from cdc.cli.output import say, show
from cdc.errors import ExitCode

WORKING = frozenset(("starting", "snapshot", "running", "retrying", "waiting"))
SILENT = "silent"
"""Shown for a flow that should work and whose process says nothing any more."""

Rows = Sequence[Mapping[str, Any]]


def command(config: Config = DEFAULT_CONFIG, form: Format = "table") -> None:
    """Show flows, lag, receipts and dead letters.

    Exit code 1 when something waits for a person.
    """
    log.configure()
    settings = configuration.load(config)
    from cdc.flows.lag import flows_with_lag
    from cdc.flows.rule_set import load_rules
    from cdc.postgres.connect import connect
    from cdc.staging import overview

    with connect(settings.staging, application="ccbridge status", autocommit=True) as connection:
        flows = flows_with_lag(connection, load_rules(settings))
        receipts, letters = overview.receipts(connection), overview.dead_letters(connection)
        echoes = overview.echoes(connection)
    for flow in flows:
        if flow["status"] in WORKING and flow["reported_s"] > settings.run.lease_ttl_s:
            flow["status"] = SILENT
    if form == "json":
        kinds = {"flow": flows, "receipts": receipts, "echoes": echoes, "dead_letters": letters}
        for kind, rows in kinds.items():
            show(({"kind": kind, **row} for row in rows), (), form=form)
    else:
        _tell(flows, receipts, letters)
        _tell_echoes(echoes)
    waiting = letters or any(map(_waits_for_a_person, flows))
    raise typer.Exit(ExitCode.DIFFERENCES if waiting else ExitCode.DONE)


def _tell_echoes(echoes: Rows) -> None:
    """What was taken for our own work: a table that nobody expects here was written under our name."""
    if echoes:
        say("\nown writes read back and left out, last 24 h")
        show(echoes, ("system", "table_name", "suppressed", "last_at"), form="table")


def _waits_for_a_person(flow: Mapping[str, Any]) -> bool:
    """Also while it runs: without a table that it stopped reading."""
    stopped = flow["status"] in ("failed", SILENT)
    return stopped or (flow["status"] in ("running", "waiting") and flow["error_code"] is not None)


def _tell(flows: Rows, receipts: Rows, letters: Rows) -> None:
    """Tables of at most 80 columns, what stops a flow, and what to do."""
    if not flows:
        say("nothing has run yet")
    else:
        # a capture is at a position of its source, a delivery at a number of staging's own
        at = ({**flow, "at": flow["position"] or flow["staged_seq"]} for flow in flows)
        show(at, ("flow", "status", "at", "rows", "held", "lag_s"), form="table")
    for flow in flows:
        if flow["status"] == SILENT:
            age = f"{flow['reported_s']:.0f}"
            say(f"{flow['flow']}: no word for {age} s: is ccbridge run still alive?")
        if flow["error_code"]:
            say(f"{flow['flow']}: {flow['error_code']}: {flow['error_text']}")
            if flow["hint"]:
                say(f"    {flow['hint']}")
    if receipts:
        say()
        show(receipts, ("state", "receipts", "amount", "oldest_s"), form="table")
    if letters:
        say()
        show(letters, ("stage", "system", "rule", "reason_code", "rows", "oldest_s"), form="table")
        say("keys, reasons and raw rows: staging.dead_letter where resolved_at is null")
