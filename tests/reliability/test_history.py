"""The checker finds what it is there for."""

from __future__ import annotations

import pytest

from tests.reliability.history import Change, replay

A, B, C = ({"id": "1", "name": name} for name in "ABC")
KEY = {"id": "1"}
CREATED = Change("t", "c", KEY, None, A, (1, 0))
CHANGED = Change("t", "u", KEY, A, B, (2, 0))
AGAIN = Change("t", "u", KEY, B, C, (3, 0))
DELETED = Change("t", "d", KEY, C, None, (4, 0))


def test_a_whole_log_adds_up() -> None:
    played = replay([CREATED, CHANGED, AGAIN])
    assert played.failures == []
    assert played.rows == {"t": {("1",): C}}
    assert replay([CREATED, CHANGED, AGAIN, DELETED]).rows == {"t": {}}


@pytest.mark.parametrize("lost", [CREATED, CHANGED, AGAIN], ids="cua")
def test_a_lost_change_is_found_by_the_next_one(lost: Change) -> None:
    assert replay([change for change in (CREATED, CHANGED, AGAIN, DELETED) if change is not lost]).failures


@pytest.mark.parametrize("twice", [CREATED, CHANGED, AGAIN, DELETED], ids="cuad")
def test_a_change_that_is_there_twice_is_found(twice: Change) -> None:
    changes = [CREATED, CHANGED, AGAIN, DELETED]
    changes.insert(changes.index(twice), twice)
    assert replay(changes).failures


def test_a_change_of_the_key_moves_the_row_and_absent_columns_stay() -> None:
    moved = Change("t", "u", {"id": "2"}, {"id": "1"}, {"id": "2"}, (2, 0))
    assert replay([CREATED, moved]).rows == {"t": {("2",): {"id": "2", "name": "A"}}}


def test_a_row_read_again_takes_the_place_of_what_was_known() -> None:
    read = Change("t", "r", KEY, None, C, (9, 0))
    assert replay([CREATED, read, DELETED]).failures == []


def test_a_row_that_a_later_snapshot_did_not_bring_is_gone() -> None:
    """The log of the time before it was not read; staging marks the row as deleted without a change."""
    other = {"id": "2", "name": "X"}
    first = [Change("t", "r", {"id": row["id"]}, None, row, (1, n)) for n, row in enumerate((A, other))]
    again = Change("t", "r", {"id": "2"}, None, other, (9, 0))
    assert replay([*first, again]).rows == {"t": {("2",): other}}
    assert replay([*first, again, Change("t", "u", KEY, A, B, (10, 0))]).failures
