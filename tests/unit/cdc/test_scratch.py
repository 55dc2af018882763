"""When temporary tables are emptied."""

from __future__ import annotations

import pytest

from cdc.postgres.scratch import TRUNCATE_FROM, ScratchRows


def test_tables_are_truncated_when_many_rows_are_in_or_come() -> None:
    """Not for a few, and each time for a large load."""
    rows, truncated = ScratchRows(), list[int]()

    def make_room(coming: int) -> int:
        before = len(truncated)
        rows.make_room(lambda: truncated.append(1), coming=coming)
        return len(truncated) - before

    assert [make_room(n) for n in (TRUNCATE_FROM - 1, 1, 5)] == [0, 1, 0]
    assert (rows.rows, rows.few) == (6, True)
    rows.add(TRUNCATE_FROM)
    assert (make_room(0), rows.rows) == (1, 0)
    assert (make_room(TRUNCATE_FROM), rows.few) == (1, False)


def test_after_a_rollback_the_tables_are_truncated_before_they_are_used() -> None:
    """The rollback may have brought rows back that a truncate had removed."""
    rows, truncated = ScratchRows(), list[int]()
    rows.rolled_back()
    assert not rows.few
    with pytest.raises(RuntimeError):
        rows.add(1)
    rows.make_room(lambda: truncated.append(1), coming=3)
    assert (truncated, rows.rows) == ([1], 3)
