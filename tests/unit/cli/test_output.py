"""What commands print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cdc.terminal import output

HOSTILE = "x\x1b]0;owned\x07\x9b31m\u202egnp.exe\u2028password=canary"


def test_names_of_any_origin_are_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a table nor a message steers the terminal, forges a line or shows a password."""
    output.say(f"rule {HOSTILE}\nsecond line")
    output.show([{"name": HOSTILE}], ["name"], form="table")
    output.show([{"name": HOSTILE}], ["name"], form="json")
    printed = capsys.readouterr().out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", printed)
    assert printed.count("\n") == 5
    assert printed.splitlines()[1] == "second line"
    assert "canary" not in "".join(printed.splitlines()[:4])


def test_every_command_prints_through_one_place() -> None:
    """A verb that echoes by itself would bring the escapes back."""
    folder = Path(output.__file__).parent
    own = {path.name for path in folder.glob("*.py") if re.search(r"typer\.echo|\bprint\(", path.read_text())}
    assert own == {"output.py"}
