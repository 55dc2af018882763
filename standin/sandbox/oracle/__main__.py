"""Run the stand-in as a process of its own: `python -m sandbox.oracle --port 1521 --script schema.sql`.

It prints one line of JSON with its port and serves until it is interrupted or terminated, or, with
`--until-input-closes`, until its standard input ends.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import signal
import sys
import threading
from pathlib import Path

from sandbox.oracle.engine.database import RECORDS_PER_LOG, OracleDatabase
from sandbox.oracle.interface import OracleFault
from sandbox.oracle.server import OracleServer

GARBAGE_THRESHOLD = 200_000
"""Rows are many small objects without cycles: looking for cycles often would only cost time."""


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = argparse.ArgumentParser(prog="python -m sandbox.oracle", description=__doc__.splitlines()[0])
    result.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    result.add_argument("--port", type=int, default=0, help="0 for any free one (default)")
    result.add_argument("--service", default="CCB", help="database and service name (default CCB)")
    result.add_argument(
        "--pdb", action="append", default=[], help="a pluggable database; scripts then run in the root"
    )
    result.add_argument("--time-zone", default="UTC", help="zone of the database host (default UTC)")
    result.add_argument("--script", type=Path, action="append", default=[], help="SQL to run first, as SYS")
    result.add_argument(
        "--records-per-log", type=int, default=RECORDS_PER_LOG, help="redo records until a log switch"
    )
    result.add_argument("--until-input-closes", action="store_true", help="end with standard input")
    return result


def main(arguments: list[str] | None = None) -> int:
    """Serve; returns the exit code."""
    options = parser().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    gc.set_threshold(GARBAGE_THRESHOLD, 50, 50)
    database = OracleDatabase(
        options.service,
        pdbs=[pdb.upper() for pdb in options.pdb],
        time_zone=options.time_zone,
        records_per_log=options.records_per_log,
    )
    for script in options.script:
        try:
            database.run_script(script.read_text(encoding="utf-8"))
        except OracleFault as fault:
            sys.stderr.write(f"{script}: {fault}\n")
            return 2
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with OracleServer(database, host=options.host, port=options.port) as server:
        sys.stdout.write(json.dumps({"port": server.port, "service": database.name}) + "\n")
        sys.stdout.flush()
        if options.until_input_closes:
            sys.stdin.buffer.read()
        else:
            stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
