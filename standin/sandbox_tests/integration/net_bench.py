"""A served fake database and its clients, for the tests of the wire."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import oracledb

from sandbox.oracle.server import OracleServer
from sandbox_tests.unit.fake_oracle import FakeDatabase

DIALECTS: dict[str, dict[str, Any]] = {
    "12.2": {"field_version": 8, "tns_version": 317},
    "19c": {},
    "21c, 4000 byte strings": {"field_version": 16, "long_strings": False},
    "23ai": {
        "field_version": 24,
        "tns_version": 319,
        "end_of_response": True,
        "fast_authentication": True,
    },
}


@dataclass
class Bench:
    """A running server; closes the connections it made."""

    server: OracleServer
    database: FakeDatabase
    opened: list[oracledb.Connection] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        return f"127.0.0.1:{self.server.port}/FAKE"

    def connect(self, **options: Any) -> oracledb.Connection:
        given = {"user": "scott", "password": "tiger"} | options
        if "dsn" not in given:
            given["dsn"] = self.dsn
        connection = oracledb.connect(**given)
        self.opened.append(connection)
        return connection


@contextlib.contextmanager
def served(**dialect: Any) -> Iterator[Bench]:
    """Serve a fresh fake database on a free port."""
    database = FakeDatabase()
    with OracleServer(database, **dialect) as server:
        bench = Bench(server, database)
        try:
            yield bench
        finally:
            for connection in bench.opened:
                with contextlib.suppress(oracledb.Error):
                    connection.close()
