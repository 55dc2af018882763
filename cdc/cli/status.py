"""`ccbridge status`: what each flow does, lag, receipts and rows set aside."""

from __future__ import annotations

import typer

from cdc import config as configuration
from cdc import log
from cdc.cli.options import DEFAULT_CONFIG, Config, Format
from cdc.cli.output import show
from cdc.errors import ExitCode


def command(config: Config = DEFAULT_CONFIG, form: Format = "table") -> None:
    """Show flows, lag, receipts and dead letters; exit code 1 when something waits for a person."""
    log.configure()
    settings = configuration.load(config)
    from cdc.flows.lag import flows_with_lag
    from cdc.flows.parts import load_rules
    from cdc.postgres.connect import connect
    from cdc.staging import overview

    with connect(settings.staging, application="ccbridge status", autocommit=True) as connection:
        flows = flows_with_lag(connection, load_rules(settings))
        receipts, letters = overview.receipts(connection), overview.dead_letters(connection)
    if form == "json":
        for kind, rows in (("flow", flows), ("receipts", receipts), ("dead_letters", letters)):
            show(({"kind": kind, **row} for row in rows), (), form=form)
    else:
        show(flows, ("flow", "status", "position", "staged_seq", "rows", "held", "lag_s"), form=form)
        for flow in flows:
            if flow["error_code"]:
                typer.echo(f"{flow['flow']}: {flow['error_code']}: {flow['error_text']}")
                if flow["hint"]:
                    typer.echo(f"    {flow['hint']}")
        if receipts:
            typer.echo("")
            show(receipts, ("state", "receipts", "amount", "oldest_s"), form=form)
        if letters:
            typer.echo("")
            show(letters, ("stage", "system", "rule", "reason_code", "rows", "retries"), form=form)
    waiting = letters or any(flow["status"] == "failed" for flow in flows)
    raise typer.Exit(ExitCode.DIFFERENCES if waiting else ExitCode.DONE)
