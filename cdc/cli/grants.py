"""`ccbridge grants`: the least rights that an Oracle user needs, as a script for its DBA."""

from __future__ import annotations

from typing import Annotated

import typer

from cdc import config as configuration
from cdc import log
from cdc.terminal.options import DEFAULT_CONFIG, Config
from cdc.terminal.output import say


def command(
    system: Annotated[str, typer.Option("--system", help="Oracle system of the configuration.")],
    user: Annotated[
        str | None, typer.Option("--user", help="Who is granted. [default: the configured user]")
    ] = None,
    pdb: Annotated[
        str | None,
        typer.Option(
            "--pdb",
            help="Pluggable database of the tables, mined from the root; in double quotes if its name has "
            "lower case. [default: the configured one]",
        ),
    ] = None,
    inside: Annotated[
        bool,
        typer.Option("--inside-pdb", help="Mine inside the pluggable database of the dsn, not in the root."),
    ] = False,
    rds: Annotated[
        bool, typer.Option("--rds", help="Amazon RDS: rights on objects of SYS by RDS's procedure.")
    ] = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Print the grants that an Oracle system needs.

    For capture and for what its sink writes, as a script for its DBA; nothing is executed.
    """
    log.configure()
    settings = configuration.load(config)
    from cdc.flows.checks.grants import grants

    for line in grants(settings, system, user=user, pdb=pdb, rds=rds, inside=inside):
        say(line)
