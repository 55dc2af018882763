"""What of a batch is new."""

from __future__ import annotations

from cdc.staging.batches.replay_filter import SnapshotProgress, incoming
from cdc.staging.checkpoints import StoredCheckpoint
from tests.unit.staging.doubles import CUSTOMER, PURCHASE, Event, batch, customer


def stored(position: int, ordinal: int, *, complete: bool = True) -> StoredCheckpoint:
    return StoredCheckpoint("shop", "pgoutput", {}, position, ordinal, {}, complete)


def events(*places: tuple[int, int], ours: bool = False, operation: str = "c") -> list[Event]:
    return [
        Event(operation, position, ordinal, after=customer(f"{position}.{ordinal}"), ours=ours)
        for position, ordinal in places
    ]


def test_incoming_drops_what_the_checkpoint_covers() -> None:
    """Up to position and ordinal: a position may have been staged in part."""
    found = incoming(batch(*events((1, 0), (2, 0), (2, 1), (3, 0))), stored(2, 0), SnapshotProgress())
    frame = found.tables[CUSTOMER.name].frame
    assert frame.select("position", "ordinal").rows() == [(2, 1), (3, 0)]
    assert found.last == (3, 0)


def test_incoming_counts_and_drops_echoes() -> None:
    """Our own writes read back are not changes, but the position they reach counts."""
    found = incoming(batch(*events((1, 0)), *events((2, 0), ours=True)), None, SnapshotProgress())
    assert len(found.tables[CUSTOMER.name]) == 1
    assert found.suppressed == {CUSTOMER.name: 1}
    assert found.last == (2, 0)


def test_incoming_takes_a_snapshot_read_again_for_new() -> None:
    """Broken off and read again at the same position, perhaps in another order: no row may be lost."""
    places = SnapshotProgress()
    first = incoming(batch(*events((9, 0), (9, 1), operation="r")), stored(9, 4, complete=False), places)
    assert first.tables[CUSTOMER.name].frame["ordinal"].to_list() == [5, 6]
    second = incoming(batch(*events((9, 2), operation="r")), stored(9, 6, complete=False), places)
    assert second.tables[CUSTOMER.name].frame["ordinal"].to_list() == [7]


def test_incoming_leaves_a_running_snapshot_alone() -> None:
    """The ordinals of a snapshot that continues are its own."""
    places = SnapshotProgress()
    incoming(batch(*events((9, 0), (9, 1), operation="r")), None, places)
    found = incoming(batch(*events((9, 2), operation="r")), stored(9, 1, complete=False), places)
    assert found.tables[CUSTOMER.name].frame["ordinal"].to_list() == [2]


def test_swept_waits_for_every_table_of_an_entity() -> None:
    """A row may come from a table that was not read yet."""
    places = SnapshotProgress()
    feeders = {"one": frozenset({CUSTOMER.name}), "two": frozenset({CUSTOMER.name, PURCHASE.name})}
    first = batch(position=9, snapshot_done=(CUSTOMER.name,))
    assert places.swept(first, feeders) == ["one"]
    assert places.swept(batch(position=9, snapshot_done=(PURCHASE.name,)), feeders) == ["two"]


def test_swept_forgets_an_earlier_snapshot() -> None:
    """Tables completed at another position say nothing about this one."""
    places = SnapshotProgress()
    feeders = {"two": frozenset({CUSTOMER.name, PURCHASE.name})}
    assert places.swept(batch(position=8, snapshot_done=(CUSTOMER.name,)), feeders) == []
    assert places.swept(batch(position=9, snapshot_done=(PURCHASE.name,)), feeders) == []
