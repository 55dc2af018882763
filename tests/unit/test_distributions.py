"""Two distributions come from the checkout: what production runs, and what it is tried on."""

from __future__ import annotations

import configparser
import fnmatch
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
import typer

import cdc
from cdc.cli import demo
from cdc.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
PRODUCT, SANDBOX = ROOT, ROOT / "standin"
PROJECT = tomllib.loads((SANDBOX / "pyproject.toml").read_text(encoding="utf-8"))


def settings() -> configparser.ConfigParser:
    result = configparser.ConfigParser()
    result.read(ROOT / "setup.cfg")
    return result


def packages(folder: Path, include: Iterable[str], exclude: Iterable[str] = ()) -> set[str]:
    """Top-level packages of a distribution, as setuptools finds them."""
    found = {path.parent.name for path in folder.glob("*/__init__.py")}
    taken = {name for name in found if any(fnmatch.fnmatchcase(name, one) for one in include)}
    return {name for name in taken if not any(fnmatch.fnmatchcase(name, one) for one in exclude)}


def test_the_product_is_four_packages() -> None:
    """A stand-in for a database has no business on a production host, nor have tests."""
    include = settings()["options.packages.find"]["include"].split()
    assert packages(PRODUCT, include) == {"cdc", "sinks", "mapping_rules", "migrations"}


def test_the_sandbox_is_one_package() -> None:
    """Its tests stay in the checkout."""
    found = PROJECT["tool"]["setuptools"]["packages"]["find"]
    assert packages(SANDBOX, found["include"], found["exclude"]) == {"sandbox"}


def test_both_have_one_version() -> None:
    """The extra asks for the sandbox of this product, whose commands its demo runs."""
    project = PROJECT["project"]
    assert (project["name"], project["version"]) == (demo.SANDBOX, cdc.__version__)
    extra = settings()["options.extras_require"]["sandbox"].split()
    assert extra == [f"{demo.SANDBOX}=={cdc.__version__}"]


def test_the_demo_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Production has no sandbox; anyone who asks for the demo there gets the command, not a traceback."""
    monkeypatch.setitem(__import__("sys").modules, "sandbox.demo.run", None)
    with pytest.raises(ConfigurationError) as caught:
        typer.main.get_command(_demo()).main([], standalone_mode=False)
    assert "ccbridge-sandbox, which is not installed" in str(caught.value)
    assert "pip install 'ccbridge[sandbox]'" in str(caught.value.hint)


def _demo() -> typer.Typer:
    app = typer.Typer()
    app.command()(demo.command)
    return app
