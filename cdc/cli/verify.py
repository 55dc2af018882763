"""`ccbridge verify`: compare sources with staging while replication continues."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

import cdc.log
from cdc import config as configuration
from cdc.terminal.options import DEFAULT_CONFIG, Config, Format, LogFile, LogFormat, Verbose
from cdc.terminal.output import say, show
from cdc.terminal.signals import stop_on_signals

if TYPE_CHECKING:
    from cdc.changes import TableName
    from cdc.flows.verification.plan import PlannedTable
    from cdc.flows.verification.run import Outcome, Progress

MASKED = "***"
SHOWN = 100
"""Differences in a table on the terminal; JSON and staging have all."""
_EVERY_S = 5.0


def _clock(value: str | None) -> str | None:
    if value is not None:
        try:
            datetime.strptime(value, "%H:%M")  # noqa: DTZ007 - a time of day
        except ValueError as exc:
            raise typer.BadParameter("expected a time such as 05:00") from exc
    return value


def command(
    system: Annotated[
        list[str] | None,
        typer.Option("--system", help="Source; all of them if none is named. May be repeated."),
    ] = None,
    tables: Annotated[
        list[str] | None,
        typer.Option(
            "--tables",
            help="Captured table, as schema.table or table; all if none is named. May be repeated.",
        ),
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--keys", help="One row of the table, by the values of its key joined by commas. May be repeated."
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            help="End at this time, HH:MM; the next run continues there. [default: when all is done]",
            callback=_clock,
            metavar="HH:MM",
            envvar="CCBRIDGE_VERIFY_UNTIL",
            show_default=False,
        ),
    ] = None,
    max_load: Annotated[
        int,
        typer.Option(
            help="Percent of the time in which a source is asked.",
            min=1,
            max=100,
            envvar="CCBRIDGE_VERIFY_MAX_LOAD",
        ),
    ] = 100,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin again, though the last run was not done.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be compared, and end.")] = False,
    personal: Annotated[
        bool, typer.Option("--personal", help="Show values of personal columns too.")
    ] = False,
    config: Config = DEFAULT_CONFIG,
    form: Format = "table",
    log_format: LogFormat = "auto",
    log_file: LogFile = None,
    verbose: Verbose = False,
) -> None:
    """Compare sources with staging, row by row, while replication continues.

    Reads sums of key ranges, and rows only where they differ. A row is reported once staging has passed the
    position at which it was read. Ends after the current range on SIGTERM or Ctrl-C; the next run continues.
    Exit code 1: differences; 5: not all was compared.
    """
    cdc.log.configure(log_format, verbose=verbose, file=log_file)
    settings = configuration.load(config)
    from cdc.flows.verification.plan import Scope, personal_columns
    from cdc.flows.verification.run import Options, Verification

    stop = stop_on_signals()
    scope = Scope(tuple(system or ()), tuple(tables or ()), tuple(keys or ()))
    with Verification(settings, scope, stop) as verification:
        planned = verification.plan()
        _show_plan(planned, form)
        if dry_run:
            return
        options = Options(until=_moment(until), load=max_load / 100, fresh=fresh, progress=_progress())
        outcome = verification.run(planned, options)
        hidden = (
            {}
            if personal
            else {
                name: personal_columns(verification.rule_set, name)
                for name in {one.system for one in planned}
            }
        )
    _show_outcome(outcome, hidden, form)
    raise typer.Exit(outcome.exit_code)


def _moment(until: str | None) -> float | None:
    """The next time the host's clock shows it."""
    if until is None:
        return None
    now = datetime.now().astimezone()
    hour, minute = map(int, until.split(":"))
    end = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (end if end > now else end + timedelta(days=1)).timestamp()


def _progress() -> Callable[[Progress], None]:
    """A line to standard error every few seconds, on a terminal only."""
    shown_at = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal shown_at
        if not sys.stderr.isatty() or time.monotonic() - shown_at < _EVERY_S:
            return
        shown_at = time.monotonic()
        line = f"{progress.table.system}: {progress.table.name}: {progress.rows:,} rows"
        if progress.expected:
            left_s = max(progress.expected - progress.rows, 0) / max(progress.rate, 1)
            line += f" of about {progress.expected:,}, {left_s:,.0f} s left"
        say(f"{line}, {progress.rate:,.0f} rows/s", err=True)

    return tell


def _show_plan(planned: Sequence[PlannedTable], form: Format) -> None:
    rows = [
        {
            "system": one.system,
            "table": str(one.name),
            "source_rows": one.source_rows,
            "staged_rows": one.staged_rows,
            "note": one.reason or (f"not compared: {', '.join(one.left_out)}" if one.left_out else None),
        }
        for one in planned
    ]
    if form == "json":
        show([{"record": "plan", **row} for row in rows], (), form=form)
        return
    show(rows, ("system", "table", "source_rows", "staged_rows", "note"), form=form)
    say()


def _show_outcome(
    outcome: Outcome, hidden: Mapping[str, Mapping[TableName, frozenset[str]]], form: Format
) -> None:
    found = [_shown(one, hidden.get(one["system"], {})) for one in outcome.differences]
    summary = {"run": outcome.run_id, "state": outcome.state, "differences": len(found)}
    if form == "json":
        show([{"record": "difference", **one} for one in found], (), form=form)
        show([{"record": "account", **one} for one in outcome.account], (), form=form)
        show([{"record": "run", **summary}], (), form=form)
        return
    if found:
        columns = ("system", "table_name", "key", "class", "columns", "source", "staged", "cause")
        show([{**one, **_texts(one)} for one in found[:SHOWN]], columns, form=form)
        if len(found) > SHOWN:
            say(f"and {len(found) - SHOWN} more: query staging.resync_difference, run_id {outcome.run_id}")
        say()
    show(
        outcome.account,
        (
            "system",
            "table_name",
            "source_rows",
            "staged_rows",
            "chunks",
            "complete",
            "rows_read",
            "missing",
            "extra",
            "different",
            "postponed",
        ),
        form=form,
    )
    for one in outcome.not_compared:
        say(f"{one.system}: {one.name}: not compared: {one.reason}")
    say(f"run {outcome.run_id}: {outcome.state}, {len(found)} differences")


def _shown(one: Mapping[str, Any], hidden: Mapping[TableName, frozenset[str]]) -> dict[str, Any]:
    """A difference without the values of personal columns."""
    from cdc.changes import TableName

    columns = hidden.get(TableName(one["schema_name"], one["table_name"]), frozenset())
    masked = {
        side: {
            name: MASKED if name in columns and text is not None else text for name, text in one[side].items()
        }
        for side in ("key", "source", "staged")
        if one[side] is not None
    }
    return {**one, **masked}


def _texts(one: Mapping[str, Any]) -> dict[str, str]:
    """Objects and lists in a cell of the table."""
    texts = {
        name: ", ".join(
            f"{column} {'NULL' if text is None else repr(text)}" for column, text in one[name].items()
        )
        for name in ("source", "staged")
        if one[name] is not None
    }
    key = ", ".join(str(value) for value in one["key"].values())
    return {**texts, "key": key, "columns": ", ".join(one["columns"] or ())}
