"""`ccbridge snapshot`: read single tables of a source again while replication continues."""

from __future__ import annotations

from typing import Annotated

import typer

from cdc import config as configuration
from cdc import log
from cdc.terminal.options import DEFAULT_CONFIG, Config
from cdc.terminal.output import say


def command(
    system: Annotated[str, typer.Argument(help="Source system of the configuration.")],
    tables: Annotated[list[str], typer.Argument(help="Captured tables, as schema.table or table.")],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Read tables of a source again while replication continues.

    Asks the `ccbridge run` that is active, or the next one; tables that were stopped are taken up again.
    """
    log.configure()
    settings = configuration.load(config)
    from cdc.flows.table_requests import request_snapshot

    for name in request_snapshot(settings, system, tables):
        say(f"{system}: {name} will be read again by ccbridge run")
