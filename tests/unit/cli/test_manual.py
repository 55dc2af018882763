"""The manual page and the files to deploy with, held against the command line and the manual."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from cdc.cli.main import app
from cdc.terminal.manual import page

ROOT = Path(__file__).parents[3]


def test_every_command_and_option_is_on_the_page() -> None:
    """It is made of the parser, so it can lack nothing; a hidden command is hidden here too."""
    program = typer.main.get_command(app)
    text = page(program).replace("\\-", "-")
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))

    def walk(command: object, words: str) -> None:
        found = getattr(command, "commands", None)
        if found is None:
            assert f".SS ccbridge {words}" in text
            assert {name for one in command.params for name in one.opts if name.startswith("--")} <= options  # type: ignore[attr-defined]
        for name, one in (found or {}).items():
            if not one.hidden:
                walk(one, f"{words} {name}".strip())

    walk(program, "")
    assert "ccbridge help" not in text
    assert text.count(".SH") == 6


def test_no_line_of_text_is_taken_for_a_macro() -> None:
    """A help text that begins with a dot, or holds a backslash, is shown as it is."""
    macros = {"TH", "SH", "SS", "PP", "TP", "B", "I"}
    lines = page(typer.main.get_command(app)).splitlines()
    assert {line.split()[0][1:] for line in lines if line.startswith(".")} <= macros
    assert not [line for line in lines if line.startswith("'")]


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_takes_the_page_without_a_warning() -> None:
    """As `man` shows it."""
    command = ["groff", "-man", "-ww", "-Tutf8"]
    done = subprocess.run(
        command, input=page(typer.main.get_command(app)), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "an operator is needed" in done.stdout


def test_the_unit_is_that_of_the_manual() -> None:
    """Who copies it from the page gets the file."""
    manual = (ROOT / "docs/commands.md").read_text()
    assert f"```ini\n{(ROOT / 'deploy/ccbridge.service').read_text()}```" in manual


def test_the_image_is_made_of_what_is_there_and_of_locked_packages_only() -> None:
    """It cannot be built here: what it copies exists, and it installs as the manual tells to."""
    text = (ROOT / "deploy/Containerfile").read_text().replace("\\\n", " ")
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        *sources, _ = line.split()
        assert [one for one in sources if not (ROOT / one).exists()] == []
    readme = (ROOT / "README.md").read_text()
    installed = re.findall(r"pip install (?:--no-cache-dir )?(--no-deps .+?)(?: &&|$)", text, re.MULTILINE)
    assert len(installed) == 2
    for arguments in installed:
        assert f"`pip install {arguments.strip()}`" in readme
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages <= set(re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE))
    assert re.search(r"^USER (?!0\b|root)\w+$", text, re.MULTILINE)
