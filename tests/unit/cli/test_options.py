"""What the help says of every option."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from cdc.cli.main import app

BY_HAND = {
    *("--table", "--entity", "--keep", "--install-completion", "--show-completion"),
    *("--help", "--version", "--force", "--system", "--user", "--pdb", "--rds", "--inside-pdb"),
    *("--scratch", "--scratch-dsn", "--password-file", "--file", "--statements", "--watch", "--timeout"),
    *(
        "--reason",
        "--sql",
        "--all",
        "--yes",
        "--man",
        "--tables",
        "--keys",
        "--fresh",
        "--dry-run",
        "--personal",
    ),
}
"""Given each time on purpose, as those of one run of `grants` or `probe`: no environment variable needed."""


def options() -> Iterator[Any]:
    """Every option of every command, as pytest parameters named after it."""
    commands = [("ccbridge", typer.main.get_command(app))]
    while commands:
        name, command = commands.pop()
        commands += [(f"{name} {verb}", below) for verb, below in getattr(command, "commands", {}).items()]
        for option in command.params:
            if option.param_type_name == "option":
                yield pytest.param(option, id=f"{name} {option.opts[0]}")


@pytest.mark.parametrize("option", list(options()))
def test_every_option_says_what_it_is_and_which_variable_sets_it(option: Any) -> None:
    """No one has to read code to know an option, or to set it in a service file."""
    assert option.help
    assert option.help.endswith((".", "json", "]"))
    if option.opts[0] in BY_HAND:
        return
    assert re.fullmatch(r"(CCBRIDGE|DEMO)_[A-Z_]+", option.envvar or "")
    if not option.is_flag:
        said = option.default is not None and option.show_default is not False
        assert said or "[default: " in option.help
