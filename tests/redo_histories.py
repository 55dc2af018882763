"""Random histories of Oracle tables, read and staged for real: does staging hold what the model says?

`python -m tests.redo_histories --count 1000 --processes 2` plays the histories of the seeds 0 to 999, each
process with a stand-in and a staging database of its own, prints each that is wrong made as small as it gets,
and prints last how many were right, how many had a column removed, stopped with a named reason and had
staged nothing wrong, and how many are wrong. Exit code 1 if any is. Read next:
`tests.integration.logminer.redo_history`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from cdc.errors import CcbridgeError, TransientError
from sandbox.postgres import PostgresServer
from tests.contract.logminer_source import oracle_server
from tests.integration.logminer.redo_history import Step, history
from tests.integration.logminer.redo_world import Play, RedoWorld, rule_set
from tests.unit.staging.world import staging

RIGHT, STOPPED, WRONG = "right", "stopped and right", "wrong"
SHRINK_S = 60.0


@contextmanager
def redo_world(postgres: PostgresServer, folder: Path) -> Iterator[RedoWorld]:
    """One stand-in and one staging database for many histories."""
    name = f"t_histories_{time.monotonic_ns()}"
    with oracle_server(folder) as dsn, staging(postgres.create_database(name), rule_set()) as staged:
        made = RedoWorld(dsn, staged, folder / "open")
        try:
            yield made
        finally:
            made.close()


def failure(world: RedoWorld, seed: int, steps: Sequence[Step]) -> Exception | None:
    """What goes wrong in a history, None if nothing does.

    A stop with a code, of the source or of a table, is returned as it is if all that was staged is right.
    """
    play = Play(world, seed)
    try:
        play.run(steps)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is shown with its history
        if is_named_stop(exc):
            try:
                play.compare_stopped()
            except AssertionError as wrong:
                return wrong
        return exc
    return next(iter(play.stopped.values()), None)


def is_named_stop(found: Exception) -> bool:
    """Did the reader stop by itself, with a code that docs/errors.md explains?"""
    return isinstance(found, CcbridgeError) and not isinstance(found, TransientError)


def smallest(world: RedoWorld, seed: int, steps: list[Step], kind: type[Exception]) -> list[Step]:
    """Leave out steps as long as the same kind of failure stays."""
    deadline = time.monotonic() + SHRINK_S
    size = max(1, len(steps) // 2)
    while time.monotonic() < deadline:
        at, before = 0, len(steps)
        while at < len(steps) and time.monotonic() < deadline:
            fewer = steps[:at] + steps[at + size :]
            if isinstance(failure(world, seed, fewer), kind):
                steps = fewer
            else:
                at += size
        if size == 1 and len(steps) == before:
            break
        size = max(1, size // 2)
    return steps


def judge(world: RedoWorld, seed: int) -> tuple[str, str]:
    """Play a history: what became of it, and its text where it did not end as the model says."""
    steps = history(seed)
    found = failure(world, seed, steps)
    if found is None:
        return RIGHT, ""
    if is_named_stop(found) and any(step.kind == "unused" for step in steps):
        return STOPPED, f"seed {seed}: {type(found).__name__}: {found}"
    steps = smallest(world, seed, steps, type(found))
    shown = failure(world, seed, steps) or found
    listed = "\n".join(f"  {step}" for step in steps)
    return WRONG, f"seed {seed}: {type(shown).__name__}: {shown}\nhistory:\n{listed}"


SHARE = 50
"""Histories on one stand-in: it keeps all redo, so each takes longer than the one before."""


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def play(seeds: Sequence[int]) -> list[tuple[int, str, str]]:
    """Play some histories in this process."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)
    found = []
    with (
        PostgresServer() as postgres,
        tempfile.TemporaryDirectory() as folder,
        redo_world(postgres, Path(folder)) as world,
    ):
        for seed in seeds:
            outcome, text = judge(world, seed)
            found.append((seed, outcome, text))
            if text:
                say(text)
            elif len(found) % 10 == 0:
                say(f"{len(found)} of {len(seeds)} played, at seed {seed}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Play histories; 1 if any is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.redo_histories", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000, help="how many histories (1000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one (0)")
    parser.add_argument("--processes", type=int, default=1, help="how many at a time (1)")
    given = parser.parse_args(arguments)
    seeds = range(given.first, given.first + given.count)
    shares = [seeds[low : low + SHARE] for low in range(0, len(seeds), SHARE)]
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        played = [one for some in pool.map(play, shares, chunksize=1) for one in some]
    counts = Counter(outcome for _, outcome, _ in played)
    stopped, wrong = counts[STOPPED], counts[WRONG]
    say(f"redo histories: {counts[RIGHT]} right, {stopped} stopped and right, {wrong} wrong")
    return 1 if counts[WRONG] or len(played) != given.count else 0


if __name__ == "__main__":
    sys.exit(main())
