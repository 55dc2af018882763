"""`ccbridge init`: write a commented configuration to start from."""

from __future__ import annotations

import os
from importlib import resources
from typing import Annotated

import typer

from cdc.errors import ConfigurationError
from cdc.terminal.options import DEFAULT_CONFIG, Config
from cdc.terminal.output import say


def command(
    config: Config = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented configuration file to start from."""
    from cdc.config import Rules

    template = (resources.files("mapping_rules") / Rules().path / "ccbridge.toml").read_text(encoding="utf-8")
    try:
        if force:
            config.unlink(missing_ok=True)
        # made by us, never through an existing link, and never readable by other users
        descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(template)
    except FileExistsError as exc:
        raise ConfigurationError(
            [f"{config}: exists already"], hint="choose another name, or add --force"
        ) from exc
    except OSError as exc:
        raise ConfigurationError(
            [f"{config}: {exc.strerror}"], hint="give another path with --config"
        ) from exc
    say(f"wrote {config}")
    say(f"next: fill in the addresses, then run: ccbridge check --config {config}")
