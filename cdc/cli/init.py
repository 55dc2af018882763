"""`ccbridge init`: write a commented configuration to start from."""

from __future__ import annotations

from importlib import resources
from typing import Annotated

import typer

from cdc.cli.options import DEFAULT_CONFIG, Config
from cdc.errors import ConfigurationError


def command(
    config: Config = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented configuration file to start from."""
    if config.exists() and not force:
        raise ConfigurationError([f"{config}: exists already"], hint="choose another name, or add --force")
    template = resources.files("cdc.cli").joinpath("ccbridge.toml").read_text(encoding="utf-8")
    try:
        config.write_text(template, encoding="utf-8")
        config.chmod(0o600)
    except OSError as exc:
        raise ConfigurationError([f"{config}: {exc.strerror}"]) from exc
    typer.echo(f"wrote {config}")
    typer.echo(f"next: fill in the addresses, then run: ccbridge check --config {config}")
