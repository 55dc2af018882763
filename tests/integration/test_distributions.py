"""What `pip install` puts on a host, from the locks, in an environment that has nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, copy_checkout

BUILD = "from setuptools import build_meta; import sys; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
PRODUCT = {"cdc", "sinks", "mapping_rules", "migrations"}
OURS = {"PYTHONPATH": "", "COLUMNS": "200"}


class Environment:
    """A virtual environment; use `run` for its commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)

    def run(
        self, command: str, *arguments: str | Path, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "bin" / command, *arguments],
            cwd=cwd or self.folder,
            env=os.environ | OURS,
            capture_output=True,
            text=True,
            check=False,
        )

    def install(self, *arguments: str | Path) -> None:
        done = self.run("python", "-m", "pip", "install", "--no-deps", *arguments)
        assert done.returncode == 0, done.stderr[-2000:]

    def locked(self, lock: str) -> None:
        """Install what a lock names, or skip where no index can be asked."""
        done = self.run(
            "python",
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--require-hashes",
            "-r",
            ROOT / "requirements" / lock,
        )
        if done.returncode:
            pytest.skip(f"pip cannot install {lock} here: {done.stderr.strip().splitlines()[-1][:120]}")

    def build(self, tree: Path, kind: str) -> Path:
        """Build a `wheel` or an `sdist` of a tree with the locked setuptools; returns its path."""
        done = self.run("python", "-c", BUILD, f"build_{kind}", self.folder, cwd=tree)
        assert done.returncode == 0, done.stderr[-2000:]
        return self.folder / done.stdout.splitlines()[-1]

    def modules(self) -> set[str]:
        """Top-level packages of ours that can be imported."""
        code = "import importlib.util as u, sys; print(*filter(u.find_spec, sys.argv[1:]))"
        beside = ("sandbox", "sandbox_tests", "standin", "tests", "benchmarks")
        return set(self.run("python", "-c", code, *PRODUCT, *beside).stdout.split())


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout as git knows it, changes that are not committed included: builders write into it."""
    return copy_checkout(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment(tmp_path_factory.mktemp("production"))
    environment.locked("run.txt")
    return environment


def names(archive: Path) -> set[str]:
    """Files of a wheel or an sdist, without metadata; those of an sdist without its top folder."""
    if archive.suffix == ".whl":
        return {name for name in zipfile.ZipFile(archive).namelist() if ".dist-info/" not in name}
    with tarfile.open(archive) as tar:
        files = (member.name.partition("/")[2] for member in tar if member.isfile())
        return {name for name in files if ".egg-info/" not in name}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_production_gets_the_product_alone(tree: Path, production: Environment, tmp_path: Path) -> None:
    """No stand-in; every file of the four packages; from the sdist the same as from the checkout."""
    wheel, sdist = production.build(tree, "wheel"), production.build(tree, "sdist")
    ours = {
        str(path.relative_to(tree))
        for package in PRODUCT
        for path in (tree / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names(wheel) == ours
    beside = names(sdist) - ours
    assert beside == {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}
    shutil.unpack_archive(sdist, tmp_path)
    (unpacked,) = tmp_path.iterdir()
    assert names(production.build(unpacked, "wheel")) == ours

    production.install(wheel)
    assert production.modules() == PRODUCT
    checked = production.run("python", "-m", "pip", "check")
    assert checked.returncode == 0, checked.stdout
    shown = production.run("ccbridge", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Usage: ccbridge" in shown.stdout
    demo = production.run("ccbridge", "demo")
    assert demo.returncode == 2
    assert "pip install 'ccbridge[sandbox]'" in demo.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_sandbox_comes_from_its_own_folder(tree: Path, tmp_path: Path) -> None:
    """Alone, without the product, it starts; with the product the demo is there."""
    environment = Environment(tmp_path)
    environment.locked("demo.txt")
    environment.install("--no-build-isolation", tree / "standin")
    assert environment.modules() == {"sandbox"}
    checked = environment.run("python", "-m", "pip", "check")
    assert checked.returncode == 0, checked.stdout
    shown = environment.run("python", "-m", "sandbox", "--help")
    assert shown.returncode == 0, shown.stderr
    environment.install("--no-build-isolation", tree)
    found = environment.run(
        "python", "-c", "import sandbox.demo.run, sandbox.world; print(len(sandbox.ccb.schema.tables()))"
    )
    assert found.returncode == 0, found.stderr
