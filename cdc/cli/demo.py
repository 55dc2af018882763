"""`ccbridge demo`: the main job on a sandbox, if that is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdc.errors import ConfigurationError, ExitCode

SANDBOX = "ccbridge-sandbox"
"""The distribution that holds the demo; the extra `sandbox` asks for it."""


def command(
    seconds: Annotated[
        int,
        typer.Option(
            help="How long the traffic runs, seconds; 0: until Ctrl-C.", envvar="DEMO_SECONDS", min=0
        ),
    ] = 0,
    persons: Annotated[
        int, typer.Option(help="Persons that the demo begins with.", envvar="DEMO_PERSONS", min=1)
    ] = 2_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same data.", envvar="DEMO_SEED")] = 2026,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Leave the servers up and run going after the comparison, until Ctrl-C; DIR gets "
            "ccbridge.toml, env.sh and the logs.",
            envvar="DEMO_KEEP",
        ),
    ] = None,
) -> None:
    """Run the main job on a sandbox and compare both sides.

    Snapshot, traffic on both sides, then the comparison; exit code 1 where they differ.
    """
    try:
        from sandbox.demo.run import run
    except ModuleNotFoundError as exc:
        raise ConfigurationError(
            [f"the demo needs {SANDBOX}, which is not installed: no module {exc.name}"],
            hint="run: make demo, in the checkout; or add the extra, from the index that ccbridge came from: "
            "pip install 'ccbridge[sandbox]'",
        ) from exc
    equal = run(seconds=seconds, persons=persons, seed=seed, keep=keep)
    raise typer.Exit(ExitCode.DONE if equal else ExitCode.DIFFERENCES)
