"""Both systems and the staging database, running: what the demo, the tests and the benchmarks stand on.

`World` starts PostgreSQL with the databases `prepaid` and `staging`, and the Oracle stand-in as a process
of its own with a synthetic CC&B in it; it knows where they are, and ends them by their own process ids.
Traffic on it is `sandbox.workload`.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psycopg

from sandbox.ccb.database import CcbDatabase, create, load_customers
from sandbox.oracle_process import OracleProcess
from sandbox.postgres import PostgresServer, temporary_folder
from sandbox.prepaid import application
from sandbox.prepaid.application import BRIDGE_USER, PrepaidDatabase
from sandbox.tls import Authority

STAGING = "staging"


@dataclass(frozen=True)
class StagingDatabase:
    """Where the staging database is; the bridge's user owns it."""

    host: str
    port: int
    name: str
    user: str
    password: str

    def conninfo(self, **options: str | int) -> str:
        """Connection string of the owner."""
        return psycopg.conninfo.make_conninfo(
            "",
            host=self.host,
            port=self.port,
            dbname=self.name,
            user=self.user,
            password=self.password,
            **options,
        )


class World:
    """Use it as a context manager, or `start` and `stop` it.

    Args:
        folder: where servers keep their files and logs; a temporary one, removed at the end, if None.
        persons: how many persons CC&B begins with; 0 leaves it empty but configured.
        seed: the same seed makes the same customers.
        tls: serve TLS as well, with certificates of `authority`; `wallet` is for Oracle's driver.
        pdbs: pluggable databases of CC&B's Oracle, which is multitenant then; CC&B is in the first.
        durable: False runs PostgreSQL without fsync; killing clients is safe either way.

    Attributes:
        prepaid, staging, ccb: connection facts, once started.
        authority, wallet: certificates, None without `tls`.
        loaded: rows by table that CC&B began with.
    """

    prepaid: PrepaidDatabase
    staging: StagingDatabase
    ccb: CcbDatabase

    def __init__(
        self,
        folder: Path | None = None,
        *,
        persons: int = 2_000,
        seed: int = 2026,
        tls: bool = False,
        durable: bool = False,
        pdbs: Sequence[str] = (),
    ) -> None:
        self._own_folder = folder is None
        self.folder = folder or temporary_folder("ccbridge-world-")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority.create(self.folder / "tls") if tls else None
        self.wallet = self.authority.write_wallet(self.folder / "wallet") if self.authority else None
        self.loaded: dict[str, int] = {}
        self._persons, self._seed = persons, seed
        certificate = self.authority.issue("server") if self.authority else None
        self.postgres = PostgresServer(tls=certificate, durable=durable)
        self.oracle = OracleProcess(self.folder / "oracle.log", tls=certificate, pdbs=pdbs)
        self._service = next(iter(pdbs), "CCB")
        self._servers = contextlib.ExitStack()

    def start(self) -> World:
        """Start the servers, make the databases, load the data.

        Raises:
            RuntimeError: a server did not start; its log is in the message.
        """
        with contextlib.ExitStack() as servers:
            if self._own_folder:
                servers.callback(shutil.rmtree, self.folder, ignore_errors=True)
            servers.enter_context(self.oracle)
            servers.enter_context(self.postgres)
            self._make_postgres_databases()
            self.ccb = CcbDatabase(
                "127.0.0.1", self.oracle.port, self._service, tls_port=self.oracle.tls_port
            )
            create(self.ccb)
            self.loaded = load_customers(self.ccb, self._persons, seed=self._seed)
            self._servers = servers.pop_all()
        return self

    def stop(self) -> None:
        """Stop the servers; remove the folder if it is our own."""
        self._servers.close()

    def __enter__(self) -> World:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make_postgres_databases(self) -> None:
        self.prepaid = application.create(self.postgres)
        self.staging = StagingDatabase(
            "127.0.0.1", self.postgres.port, STAGING, BRIDGE_USER, self.prepaid.bridge_password
        )
        self.postgres.create_database(STAGING)
        with psycopg.connect(self.postgres.conninfo(), autocommit=True) as connection:
            staging, bridge = map(psycopg.sql.Identifier, (STAGING, BRIDGE_USER))
            connection.execute(psycopg.sql.SQL("alter database {} owner to {}").format(staging, bridge))
            closed = psycopg.sql.SQL("revoke connect, temporary on database {} from public")
            connection.execute(closed.format(staging))
