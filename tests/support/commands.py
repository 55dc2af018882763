"""`ccbridge` as a process of its own, forked from one that has imported it already.

A command is over in a tenth of a second but takes one and a half of CPU time to import what it needs.
A fork server does that once for a worker of pytest; each command then has its own process, environment,
files and signals, as if it had been started by a shell. Tests that are about the start itself use
`python -m cdc.cli`.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_FORK_SERVER = multiprocessing.get_context("forkserver")
# what a process imports anyway: that of pytest, because each child reads it as its main module
_FORK_SERVER.set_forkserver_preload(
    [
        "pytest",
        "cdc.cli.main",
        "cdc.flows.replicate",
        "cdc.flows.checks.preflight",
        "cdc.staging.schema.migrate",
        "alembic.command",
        "tests.support.commands",
    ]
)


class CommandProcess:
    """A command that runs; like `subprocess.Popen` as far as the tests need it.

    Args:
        arguments: what follows `ccbridge`.
        environment: all of its environment.
        output, errors: files for standard output and standard error; may be the same.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: Path, errors: Path
    ) -> None:
        self._process = _FORK_SERVER.Process(
            target=_become, args=(list(arguments), dict(environment), str(output), str(errors))
        )
        output.touch()
        self._process.start()

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end; returns the exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        self._process.join(timeout_s)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("ccbridge", timeout_s or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it for good."""
        self.send_signal(signal.SIGKILL)


def call(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, *, timeout_s: float = 60
) -> tuple[int, str, str]:
    """Run a command to its end; returns exit code, standard output and standard error."""
    name = f"call-{time.monotonic_ns()}"
    output, errors = folder / f"{name}.out", folder / f"{name}.err"
    process = CommandProcess(arguments, environment, output, errors)
    try:
        code = process.wait(timeout_s)
    finally:
        process.kill()
    texts = [path.read_text(encoding="utf-8") for path in (output, errors)]
    output.unlink()
    errors.unlink()
    return code, texts[0], texts[1]


def _become(arguments: list[str], environment: dict[str, str], output: str, errors: str) -> None:
    """Turn this child of the fork server into `ccbridge`."""
    from cdc.cli.main import main

    os.setsid()
    for descriptor, path in ((1, output), (2, errors)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["ccbridge", *arguments]
    try:
        main()
    finally:  # as an interpreter does at its end, but a child of the fork server does not
        atexit._run_exitfuncs()
