"""`ccbridge targets`: which databases are written, and binding one again."""

from __future__ import annotations

from typing import Annotated

import typer

from cdc import config as configuration
from cdc import log
from cdc.errors import ExitCode
from cdc.terminal.options import DEFAULT_CONFIG, Config, Format, stated
from cdc.terminal.output import say, show

app = typer.Typer(
    name="targets",
    help="Show which databases are written, and bind one again after a restore or a move.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(name="show")
def show_targets(config: Config = DEFAULT_CONFIG, form: Format = "table") -> None:
    """Show each target as it is bound, and whether it may be written; exit code 1 if one may not."""
    log.configure()
    settings = configuration.load(config)
    from cdc.flows.targets import targets

    rows = targets(settings)
    if form == "json":
        show(rows, (), form=form)
    else:
        show(rows, ("system", "sink", "state", "writes", "bound_at", "bound_by"), form=form)
        for row in rows:
            identity = row["identity"] or {}
            parts = ", ".join(f"{name} {value}" for name, value in sorted(identity.items()))
            say(f"{row['system']}: {parts or 'not bound: the first write binds it'}")
            if row["reason"]:
                say(f"    bound for: {row['reason']}")
            if row["error_text"]:
                say(f"    {row['state']}: {row['error_text']}")
                say(f"    {row['hint']}")
    refused = any(row["state"] != "ok" for row in rows)
    raise typer.Exit(ExitCode.DIFFERENCES if refused else ExitCode.DONE)


@app.command()
def bind(
    system: Annotated[str, typer.Argument(help="Target system of the configuration.")],
    reason: Annotated[
        str, typer.Option("--reason", help="Why it is the right one; put on record.", callback=stated)
    ],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Write this database from now on: after a restore, a move, or from another staging.

    Every row of a PostgreSQL target is compared with staging again. A running ccbridge run continues within a
    minute.
    """
    log.configure()
    settings = configuration.load(config)
    from cdc.flows.targets import bind as bind_target

    bound = bind_target(settings, system, reason)
    if bound.before is not None:
        say(f"{system}: {bound.before}")
    for problem in bound.problems:
        say(f"{problem.subject}: {problem.text}")
        say(f"    {problem.hint}")
    say(f"{system}: bound; ccbridge run continues within a minute")
