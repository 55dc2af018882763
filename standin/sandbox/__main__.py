"""`python -m sandbox DIR`: all servers of the sandbox, with a configuration that is ready to use.

PostgreSQL with the databases `prepaid` and `staging`, the Oracle stand-in with a synthetic CC&B whose payment
upload runs, until Ctrl-C. The product is not started.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from pathlib import Path

from sandbox.installation import FolderInUse, claimed, write_configuration, write_environment
from sandbox.workload.crowd import Crowd
from sandbox.world import World


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    result.add_argument(
        "folder", type=Path, metavar="DIR", help="gets ccbridge.toml, env.sh, certificates and logs"
    )
    result.add_argument("--persons", type=int, default=2_000, help="persons CC&B begins with (default 2000)")
    result.add_argument(
        "--seed", type=int, default=2026, help="the same seed makes the same data (default 2026)"
    )
    result.add_argument("--traffic", action="store_true", help="let people work on both sides, too")
    return result


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP; returns the exit code."""
    options = parser().parse_args(arguments)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with contextlib.ExitStack() as running:
            folder = running.enter_context(claimed(options.folder))
            _say("starting PostgreSQL, the Oracle stand-in and a synthetic CC&B")
            world = running.enter_context(
                World(folder / "servers", persons=options.persons, seed=options.seed, tls=True)
            )
            crowd = running.enter_context(Crowd(world.ccb, world.prepaid, seed=options.seed))
            if not options.traffic:
                crowd.rest()
            write_configuration(world, folder)
            environment = write_environment(world, folder)
            _say(f"ready, until Ctrl-C; for another terminal: . {environment}")
            while not stopped.wait(1):
                if crowd.failed:
                    crowd.stop()  # raises why
    except (FolderInUse, OSError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
