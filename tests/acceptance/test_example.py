"""The example of `examples/postgres-to-postgres`, followed as its README says."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from sandbox.postgres import PostgresServer
from tests.support.commands import CommandProcess, call
from tests.support.psql import run_psql

FOLDER = Path(__file__).parents[2] / "examples" / "postgres-to-postgres"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ccbridge (.+)$", README, re.MULTILINE)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A test server on which `setup.sql` was run."""
    with PostgresServer() as made:
        run_psql(made.conninfo("postgres"), (FOLDER / "setup.sql").read_text(encoding="utf-8"))
        yield made


def test_the_example_does_what_its_readme_says(server: PostgresServer, tmp_path: Path) -> None:
    """Each command of the README succeeds; the target then has what it promises."""
    assert len(COMMANDS) == 6, "the README's commands, `run` and `verify` last"
    environment = _environment(server)
    for command in COMMANDS[:-2]:
        code, output, errors = call(_in_folder(command), environment, tmp_path)
        assert code == 0, f"ccbridge {command}\n{output}{errors}"
    log = tmp_path / "run.log"
    running = CommandProcess(_in_folder(COMMANDS[-2]), environment, log, log)
    try:
        _wait_for(server, "select count(*) from client", (2,), log)
        change, *looks = re.findall(r'-d (\w+) -c "(.+)"$', README, re.MULTILINE)
        _ask(server, *change)
        _wait_for(
            server,
            "select display_name, credit from client where client_no = 1",
            ("Ama Ndiaye", Decimal("10.25")),
            log,
        )
        assert [_ask(server, *look) is not None for look in looks] == [True, True], "they show something"
        verify = [*_in_folder(COMMANDS[-1]), "--format", "json"]
        code, output, errors = call(verify, environment, tmp_path)
        assert (code, _found(output)) == (0, [(3, 3, True, 0)]), output + errors
        _ask(server, "staging", "update staging.source_row set digest = digest # 1 where key like '1112%'")
        code, output, errors = call(verify, environment, tmp_path)
        assert (code, _found(output)) == (1, [("2", "different"), (3, 3, True, 1)]), output + errors
    finally:
        running.kill()


def _environment(server: PostgresServer) -> dict[str, str]:
    """The environment that the README sets, with the port of this server."""
    made = {**os.environ, "CCBRIDGE_RUN__IDLE_POLL_MS": "100"}
    exported = re.search(r"^export (.+)$", README, re.MULTILINE)
    assert exported is not None
    for setting in exported[1].split():
        name, _, value = setting.partition("=")
        made[name] = value
        made[name.replace("PASSWORD", "PORT")] = str(server.port)
    return made


def _found(output: str) -> list[tuple[object, ...]]:
    """The differences and the account that `verify` prints."""
    records = [json.loads(line) for line in output.splitlines()]
    counts = ("source_rows", "staged_rows", "complete", "different")
    return [
        (one["key"]["id"], one["class"])
        if one["record"] == "difference"
        else tuple(one[name] for name in counts)
        for one in records
        if one["record"] in ("difference", "account")
    ]


def _in_folder(command: str) -> list[str]:
    return command.replace("ccbridge.toml", str(FOLDER / "ccbridge.toml")).split()


def _ask(server: PostgresServer, database: str, query: str) -> tuple[object, ...] | None:
    with psycopg.connect(server.conninfo(database), autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchone() if cursor.description else None


def _wait_for(server: PostgresServer, query: str, expected: tuple[object, ...], log: Path) -> None:
    deadline = time.monotonic() + 60
    while _ask(server, "ledger", query) != expected:
        assert time.monotonic() < deadline, f"{query}\n{log.read_text()[-2000:]}"
        time.sleep(0.1)
