"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Config = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="CCBRIDGE_CONFIG", help="Configuration file (TOML).", show_default=True
    ),
]
Format = Annotated[
    Literal["table", "json"],
    typer.Option("--format", help="table, or json: one object a line.", envvar="CCBRIDGE_FORMAT"),
]
LogFormat = Annotated[
    Literal["auto", "console", "json"],
    typer.Option(
        "--log-format",
        help="Log lines to standard error; auto: console on a terminal, else json.",
        envvar="CCBRIDGE_LOG_FORMAT",
    ),
]
LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log-file",
        help="Append log lines to this file, which may be rotated. [default: standard error]",
        envvar="CCBRIDGE_LOG_FILE",
        show_default=False,
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log debug events too.", envvar="CCBRIDGE_VERBOSE")
]

DEFAULT_CONFIG = Path("ccbridge.toml")


def stated(reason: str) -> str:
    """A reason for the record, which says something.

    Raises:
        typer.BadParameter: it is blank.
    """
    if not reason.strip():
        raise typer.BadParameter("expected a reason, found none")
    return reason
