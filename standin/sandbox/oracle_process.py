"""The Oracle stand-in as a process of its own: `OracleProcess` starts it, `main` is what runs in it.

The child says on its standard output where it listens, and ends when its standard input is closed: so it
goes when its parent goes, however that ends. The stand-in itself is `sandbox.oracle`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import structlog

from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.server import OracleServer
from sandbox.postgres import TlsFiles
from sandbox.tls import server_context

SYSTEM_PASSWORD = "system"  # noqa: S105 - a server that exists for a few minutes on loopback
_START_S = 60
_STOP_S = 20


class OracleProcess:
    """A stand-in with an empty database and the user SYSTEM; use it as a context manager.

    Args:
        log: file that gets what the process writes to its standard error.
        service: database and service name.
        time_zone: zone of the database host, in which SYSDATE is.
        tls: listen on a second port with this certificate.
        pdbs: pluggable databases of a multitenant database; each is a service too.

    Attributes:
        port, tls_port: where it listens on 127.0.0.1, once started; `tls_port` None without `tls`.
    """

    port: int
    tls_port: int | None = None

    def __init__(
        self,
        log: Path,
        *,
        service: str = "CCB",
        time_zone: str = "Africa/Douala",
        tls: TlsFiles | None = None,
        pdbs: Sequence[str] = (),
    ) -> None:
        self._log = log
        self._arguments = ["--service", service, "--time-zone", time_zone]
        for pdb in pdbs:
            self._arguments += ["--pdb", pdb]
        if tls is not None:
            self._arguments += ["--certificate", str(tls.certificate), "--key", str(tls.key)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None else None

    def start(self) -> OracleProcess:
        """Start it and wait until it listens.

        Raises:
            RuntimeError: it ended or did not answer; the end of its log is in the message.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, fixed arguments
                [sys.executable, "-m", "sandbox.oracle_process", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        line = self._first_line()
        if not line:
            self.stop()
            end = self._log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the Oracle stand-in did not start:\n{end}")
        ports = json.loads(line)
        self.port, self.tls_port = ports["port"], ports["tls_port"]
        return self

    def _first_line(self) -> bytes:
        output = self._process.stdout if self._process is not None else None
        if output is None or not select.select([output], [], [], _START_S)[0]:
            return b""
        return output.readline()

    def stop(self) -> None:
        """End it: its input closes, its open transactions are rolled back."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)

    def __enter__(self) -> OracleProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def main(arguments: list[str] | None = None) -> None:
    """Serve until standard input is closed."""
    parser = argparse.ArgumentParser(prog="sandbox.oracle_process")
    parser.add_argument("--service", required=True)
    parser.add_argument("--time-zone", required=True)
    parser.add_argument("--pdb", action="append", default=[])
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    options = parser.parse_args(arguments)
    _log_to_stderr()
    database = OracleDatabase(options.service, time_zone=options.time_zone, pdbs=options.pdb)
    database.run_script(f'alter user SYSTEM identified by "{SYSTEM_PASSWORD}"')
    with contextlib.ExitStack() as servers:
        plain = servers.enter_context(OracleServer(database))
        secure = None
        if options.certificate is not None:
            context = server_context(TlsFiles(options.certificate, options.key))
            secure = servers.enter_context(OracleServer(database, tls=context))
        ports = {"port": plain.port, "tls_port": secure.port if secure else None}
        sys.stdout.write(json.dumps(ports) + "\n")
        sys.stdout.flush()
        sys.stdin.buffer.read()


def _log_to_stderr() -> None:
    """Standard output belongs to the parent, who reads one line of it."""
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


if __name__ == "__main__":
    main()
