"""A pytest plugin: PostgreSQL servers and databases for tests, real ones, on loopback.

Named in `pytest_plugins` of a root conftest.py. Servers are ended by their own process id.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from sandbox.postgres import FOLDER_VARIABLE, PostgresServer

_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder of Linux for files in memory
_ROOM_BYTES = 8 << 30
"""So much memory must be free for servers to live in it: each takes some hundred MB."""


def pytest_configure() -> None:
    """Have servers live in memory where there is enough; `SANDBOX_TMPDIR=` leaves them on the disk."""
    if FOLDER_VARIABLE not in os.environ and _free_memory_bytes() > _ROOM_BYTES:
        os.environ[FOLDER_VARIABLE] = str(_MEMORY)


def _free_memory_bytes() -> int:
    """What files in memory may take; 0 where that is not known."""
    try:
        figures = dict(
            line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        )
        return min(int(figures["MemAvailable"].split()[0]) << 10, shutil.disk_usage(_MEMORY).free)
    except (OSError, KeyError, ValueError):
        return 0


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole run."""
    with PostgresServer(settings={"max_wal_size": "1GB"}) as server:
        yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """Connection string of a fresh, empty database, dropped afterwards with its slots."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        # the files are copied rather than logged: half the work
        connection.execute(sql.SQL("create database {} strategy file_copy").format(sql.Identifier(name)))
    yield postgres.conninfo(name)
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s", [name]
        )
        connection.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s", [name]
        )
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
