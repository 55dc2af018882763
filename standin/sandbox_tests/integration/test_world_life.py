"""The world starts whole, is reachable over TLS, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import oracledb
import psycopg
import pytest

from sandbox.ccb.database import BRIDGE_USER
from sandbox.oracle_process import OracleProcess
from sandbox.postgres import TlsFiles
from sandbox.workload.crowd import Crowd, Pace
from sandbox.world import World


def is_running(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pid: int, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def secure_world() -> Iterator[World]:
    """A small world with TLS; the last test that uses it stops it."""
    with World(persons=40, seed=3, tls=True) as running:
        yield running


def test_both_systems_answer_over_verified_tls(secure_world: World) -> None:
    """The product's way in: verify-full to PostgreSQL, tcps with a wallet to the stand-in."""
    authority, wallet = secure_world.authority, secure_world.wallet
    assert authority is not None
    conninfo = secure_world.prepaid.conninfo(
        BRIDGE_USER.lower(), sslmode="verify-full", sslrootcert=str(authority.certificate)
    )
    with psycopg.connect(conninfo) as connection:
        assert connection.execute("select count(*) from public.recharge").fetchone() == (0,)
    with psycopg.connect(secure_world.staging.conninfo()) as connection:
        connection.execute("create schema staging")
    with (
        oracledb.connect(
            user=BRIDGE_USER,
            password=secure_world.ccb.passwords[BRIDGE_USER],
            dsn=secure_world.ccb.tls_dsn,
            wallet_location=str(wallet),
        ) as connection,
        connection.cursor() as cursor,
    ):
        assert cursor.execute("select count(*) from CISADM.CI_PER").fetchone() == (40,)


def test_crowd_works_on_both_systems_at_once(secure_world: World) -> None:
    """Clerks, cash desk and the upload work while prepaid customers wait for accounts; nobody fails."""
    pace = Pace(clerks=400, cash_desk=400, recharges=100, uploads=20)
    with Crowd(secure_world.ccb, secure_world.prepaid, seed=4, pace=pace) as crowd:
        deadline = time.monotonic() + 30
        while sum(crowd.counts["clerks"].values()) < 60 or crowd.counts["cash_desk"]["payment_frozen"] < 10:
            assert time.monotonic() < deadline
            assert not crowd.failed
            time.sleep(0.05)
        crowd.rest()
    assert crowd.counts["recharges"].keys() == {"waited"}


def test_stop_ends_every_process_and_removes_the_folder(secure_world: World) -> None:
    """Nothing runs on after the end, and nothing stays in the temporary folder."""
    oracle, folder = secure_world.oracle.pid, secure_world.folder
    assert oracle is not None
    assert is_running(oracle)
    secure_world.stop()
    wait_until_gone(oracle)
    assert not folder.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(secure_world.prepaid.conninfo(connect_timeout=2))


def test_stand_in_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """A demo killed by force leaves no stand-in behind."""
    program = (
        "import pathlib, sys, time\n"
        "from sandbox.oracle_process import OracleProcess\n"
        f"process = OracleProcess(pathlib.Path({str(tmp_path / 'log')!r})).start()\n"
        "print(process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        os.kill(parent.pid, signal.SIGKILL)
        wait_until_gone(child)


def test_stand_in_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A missing certificate is told with the end of the log, not with a time-out."""
    missing = TlsFiles(tmp_path / "missing.crt", tmp_path / "missing.key")
    process = OracleProcess(tmp_path / "log", tls=missing)
    with pytest.raises(RuntimeError, match="FileNotFoundError"):
        process.start()
    assert process.pid is None
