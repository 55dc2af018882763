"""`ccbridge status`: what each flow does, reports of sinks, dead letters, what requires action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from cdc import config as configuration
from cdc import log
from cdc.errors import ExitCode
from cdc.terminal.options import DEFAULT_CONFIG, Config, Format
from cdc.terminal.output import say, show

if TYPE_CHECKING:
    from cdc.flows.status import Status


def command(config: Config = DEFAULT_CONFIG, form: Format = "table") -> None:
    """Show flows, lag, what sinks report, and dead letters.

    Exit code 1 when operator action is required: no process is active, a flow failed, is silent, has an
    error that does not pass, retries or is behind for too long, what a sink sent is not confirmed, rows are
    dead letters.
    """
    log.configure()
    settings = configuration.load(config)
    from cdc.flows.status import read_status

    status = read_status(settings)
    if form == "json":
        _show_json(status)
    else:
        _show_table(status)
    raise typer.Exit(ExitCode.DIFFERENCES if status.problems else ExitCode.DONE)


def _show_json(status: Status) -> None:
    active = status.active or {"holder": None, "alive": False}
    kinds = {
        "replication": [{**active, "lag_s": status.lag_s}],
        "flow": status.flows,
        **{part.kind: part.rows for part in status.parts},
        "echoes": status.echoes,
        "dead_letters": status.letters,
        "note": [{"text": text} for text in status.notes],
        "problem": [problem._asdict() for problem in status.problems],
    }
    for kind, rows in kinds.items():
        show(({"kind": kind, **row} for row in rows), (), form="json")


def _show_table(status: Status) -> None:
    """Tables of at most 80 columns, then what is said in words."""
    if status.flows:
        show(status.flows, ("flow", "status", "at", "rows", "held", "lag_s"), form="table")
        say()
        _say_active(status)
    for flow in status.flows:
        if flow["waits_for"]:
            say(f"{flow['flow']}: {flow['status']}: {flow['waits_for']}")
    for part in status.parts:
        _show_rows("", part.rows, part.columns)
    # an unexpected table here was written by a session with our identity
    title = "own writes read back and left out, last 24 h"
    _show_rows(title, status.echoes, ("system", "table_name", "suppressed", "last_at"))
    _show_rows("", status.letters, ("stage", "system", "rule", "reason_code", "rows", "oldest_s"))
    if status.problems or status.notes:
        say()
    for note in status.notes:
        say(note)
    for problem in status.problems:
        say(f"{problem.subject}: {problem.text}")
        for line in problem.hint.splitlines():
            say(f"    {line}")


def _show_rows(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A table behind an empty line and its title; nothing without rows."""
    if rows:
        say(f"\n{title}" if title else "")
        show(rows, columns, form="table")


def _say_active(status: Status) -> None:
    active = status.active
    if active is None or not active["alive"]:
        return
    say(f"active: {active['holder']} since {active['acquired_at']:%Y-%m-%d %H:%M:%S%z}")
    parts = [f"release {active['version']}"] if active["version"] else []
    parts += [f"rules {active['rule_set'][:12]}"] if active["rule_set"] else []
    parts += [f"standby: {active['standbys'] or 'none'}"]
    parts += [] if status.lag_s is None else [f"end to end {status.lag_s:.1f} s behind"]
    say(", ".join(parts))
