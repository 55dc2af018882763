"""What is installed is what was locked, byte for byte, and can be listed."""

from __future__ import annotations

import configparser
import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "requirements"
LOCKS = {
    "run.txt": "",
    "dev.txt": "dev",
    "docs.txt": "docs",
    "demo.txt": "sandbox",
    "debezium.txt": "debezium",
}  # file -> extra


def sbom() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", FOLDER / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def locked(name: str) -> list[Any]:
    """The packages of a lock."""
    return list(sbom().packages((FOLDER / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_by_its_digests(name: str) -> None:
    """An index that hands out another file is refused; no line names an index or a host."""
    lock = (FOLDER / name).read_text(encoding="utf-8")
    found = locked(name)
    assert len(found) == len(re.findall(r"^\S+==", lock, re.MULTILINE))
    assert [package.name for package in found if not package.digests] == []
    assert not re.search(r"://|--index-url|--extra-index|--trusted-host|--find-links", lock)


@pytest.mark.parametrize("name", LOCKS)
def test_one_lock_serves_both_processors_of_servers(name: str) -> None:
    """More than one file a package with compiled code: of other processors and versions of Python too."""
    files = {package.name: len(package.digests) for package in locked(name)}
    compiled = (
        "oracledb",
        "psycopg-binary",
        "polars-runtime-32",
        "pydantic-core",
        "sqlalchemy",
        "cryptography",
    )
    assert {one: files[one] for one in compiled if files[one] < 4} == {}


@pytest.mark.parametrize("name", LOCKS)
def test_what_is_locked_is_what_the_package_asks_for(name: str) -> None:
    """Each requirement of product and sandbox is in the lock; the tool that builds them is, too."""
    settings = configparser.ConfigParser()
    settings.read(FOLDER.parent / "setup.cfg")
    extras = settings["options.extras_require"]
    asked = [settings["options"]["install_requires"], extras["build"]]
    asked += [extras[one] for one in filter(None, [LOCKS[name]])]
    lines = {line for text in asked for line in text.split()}
    project = tomllib.loads((FOLDER.parent / "standin/pyproject.toml").read_text(encoding="utf-8"))["project"]
    sandbox = f"{project['name']}=={project['version']}"
    if sandbox in lines:  # comes from the checkout
        lines = lines - {sandbox} | set(project["dependencies"])
    assert (sandbox in extras["sandbox"].split(), sandbox in lines) == (True, False)
    names = {re.split(r"[\[<>=]", line)[0].lower() for line in lines}
    assert {one.replace(".", "-") for one in names} <= {package.name for package in locked(name)}


@pytest.mark.parametrize("name", [name for name in LOCKS if name != "docs.txt"])
def test_what_runs_is_among_what_is_tested_at_the_same_version(name: str) -> None:
    """Production does not install what no test has seen."""
    run, dev = ({(p.name, p.version, *p.digests) for p in locked(one)} for one in (name, "dev.txt"))
    assert run <= dev


def test_the_bill_of_materials_holds_the_whole_lock() -> None:
    """Each package with version and digests, and each reference to another one leads somewhere."""
    lock = (FOLDER / "run.txt").read_text(encoding="utf-8")
    bill = sbom().bill(lock, "1.2.3")
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    urls = {component["bom-ref"] for component in bill["components"]}
    assert len(urls) == len(list(sbom().packages(lock)))
    assert all(component["hashes"] for component in bill["components"])
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert needs.keys() == urls | {"pkg:pypi/ccbridge@1.2.3"}
    assert {url for to in needs.values() for url in to} == urls, "each is needed by something"
    assert bill == sbom().bill(lock, "1.2.3"), "the same lock, the same file"
