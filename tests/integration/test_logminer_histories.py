"""Random concurrent work in Oracle, with faults and restarts, ends in staging as a plain model says.

Each history runs in several sessions and in two redo threads: savepoints, statements that fail, rolled
back and killed work, key changes, keys used again, columns added, logs switched and archived late, redo
that is not flushed, commits that share an SCN. The reader is cut off, fails and starts again meanwhile.
A failing history is printed with its seed, made as small as it gets. The full run plays 1,000 of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.contract.logminer_source import oracle_server
from tests.integration.redo_history import Step, history
from tests.integration.redo_world import Play, RedoWorld, rule_set
from tests.unit.staging.world import staging

FEW, ALL = 25, 1_000
SHRINK_S = 60.0


@pytest.fixture(scope="module")
def world(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedoWorld]:
    """One stand-in and one staging database for all histories."""
    folder = tmp_path_factory.mktemp("histories")
    with oracle_server(folder) as dsn, staging(postgres.create_database("t_histories"), rule_set()) as staged:
        made = RedoWorld(dsn, staged, folder / "open")
        try:
            yield made
        finally:
            made.close()


def failure(world: RedoWorld, seed: int, steps: Sequence[Step]) -> Exception | AssertionError | None:
    """What goes wrong in a history, None if nothing does."""
    try:
        Play(world, seed).run(steps)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is shown with its history
        return exc
    return None


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


def check(world: RedoWorld, seed: int) -> None:
    """Play a history; on failure show the smallest one that fails."""
    steps = history(seed)
    found = failure(world, seed, steps)
    if found is None:
        return
    steps = smallest(world, seed, steps, type(found))
    shown = failure(world, seed, steps) or found
    listed = "\n".join(f"  {step}" for step in steps)
    raise AssertionError(f"seed {seed}: {type(shown).__name__}: {shown}\nhistory:\n{listed}") from shown


@pytest.mark.parametrize("seed", range(FEW))
def test_staging_holds_what_was_committed(world: RedoWorld, seed: int) -> None:
    """Entities equal the model; each committed change is logged once, in commit order; nothing undone."""
    check(world, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FEW, ALL))
def test_staging_holds_what_was_committed_in_the_full_run(world: RedoWorld, seed: int) -> None:
    """The same for the rest of the histories."""
    check(world, seed)
