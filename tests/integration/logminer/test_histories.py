"""Random concurrent work in Oracle, with failures and restarts, ends in staging as a plain model says.

Each history runs in several sessions and in two redo threads: savepoints, statements that fail, rolled
back and killed work, key changes, keys used again, LOBs that a rule reads and one that none reads, hidden
columns, columns added and one removed (its table may stop, by name), logs switched and archived late, an
instance that is shut down and started, redo that is not flushed, or every three seconds only, commits that
share an SCN. The reader is cut off, fails and starts again meanwhile. A failing history is printed with its
seed, made as small as it gets. The full run plays 1,000.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.logminer.redo_world import RedoWorld
from tests.redo_histories import WRONG, judge, redo_world

FEW, ALL = 12, 1_000


@pytest.fixture(scope="module")
def world(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedoWorld]:
    """One stand-in and one staging database for all histories."""
    with redo_world(postgres, tmp_path_factory.mktemp("histories")) as made:
        yield made


@pytest.mark.parametrize("seed", range(FEW))
def test_staging_holds_what_was_committed(world: RedoWorld, seed: int) -> None:
    """Entities equal the model; each committed change is logged once, in commit order; nothing undone."""
    outcome, text = judge(world, seed)
    assert outcome != WRONG, text


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FEW, ALL))
def test_staging_holds_what_was_committed_in_the_full_run(world: RedoWorld, seed: int) -> None:
    """The same for the rest of the histories."""
    outcome, text = judge(world, seed)
    assert outcome != WRONG, text
