"""Whole transactions out of Debezium's records, with bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cdc.readers.debezium.engine.connector import Boundary
from cdc.readers.debezium.events.transactions import Event, Portion, TransactionBuffer


def event(key: int, operation: str = "c") -> Event:
    return "7", json.dumps({"after": {"op": "d", "id": key}, "op": operation}, separators=(",", ":"))


def boundary(position: int) -> Boundary:
    return Boundary(position, {"lsn": position})


@pytest.fixture
def buffer() -> Iterator[TransactionBuffer]:
    made = TransactionBuffer(boundary(100), max_rows=4, max_bytes=10_000)
    yield made
    made.close()


def commit(buffer: TransactionBuffer, position: int, keys: range | list[int]) -> list[Portion]:
    for key in keys:
        buffer.add(event(key))
    return list(buffer.end(boundary(position), f"record {position}"))


def test_transactions_are_gathered_up_to_the_bound(buffer: TransactionBuffer) -> None:
    """A portion holds whole transactions; the one that would exceed the bound begins the next."""
    assert commit(buffer, 110, range(3)) == []
    assert commit(buffer, 120, [3]) == []
    (full,) = commit(buffer, 130, range(4, 6))
    assert [(part.position, part.first_ordinal, part.events) for part in full.parts] == [
        (110, 0, 3),
        (120, 0, 1),
    ]
    assert (full.end, full.record, full.continues) == (boundary(120), "record 120", False)
    (rest,) = buffer.flush()
    assert [part.position for part in rest.parts] == [130]
    assert buffer.is_empty


def test_what_is_open_never_leaves(buffer: TransactionBuffer) -> None:
    """An uncommitted change is not handed on, however often one asks."""
    buffer.add(event(1))
    assert list(buffer.flush()) == []
    assert not buffer.is_empty


def test_a_large_transaction_is_sliced_and_resumes_before_itself(buffer: TransactionBuffer) -> None:
    """Who restarts inside it gets all of it again."""
    commit(buffer, 110, [0])
    before, *slices = commit(buffer, 120, range(1, 12))
    assert before.parts[0].position == 110
    assert [len(one.events) for one in slices] == [4, 7]
    assert [one.continues for one in slices] == [True, False]
    assert [one.end.position for one in slices] == [110, 120]
    assert [one.parts[0].first_ordinal for one in slices] == [0, 4]


def test_both_halves_of_a_changed_key_stay_in_one_slice(buffer: TransactionBuffer) -> None:
    """A slice never ends with the delete of a pair; a column named op does not mislead."""
    for key in range(12):
        buffer.add(event(key, "d" if key == 3 else "c"))
    slices = list(buffer.end(boundary(120), None))
    assert [len(one.events) for one in slices] == [5, 7]


def test_what_exceeds_the_memory_comes_back_from_disk_unchanged(buffer: TransactionBuffer) -> None:
    """Order and text survive, line ends inside JSON texts included, and the next transaction is apart."""
    buffer.max_bytes = 50
    events = [("7", json.dumps({"text": f"{key}\n\t é 😀 \r"}, ensure_ascii=False)) for key in range(20)]
    for one in events:
        buffer.add(one)
    slices = list(buffer.end(boundary(120), None))
    assert [one for portion in slices for one in portion.events] == events
    commit(buffer, 130, [99])
    (last,) = buffer.flush()
    assert last.events == [event(99)]


def test_ordinals_continue_where_transactions_share_a_position(buffer: TransactionBuffer) -> None:
    """Two transactions with one commit SCN: places still grow strictly."""
    commit(buffer, 110, range(2))
    commit(buffer, 110, range(2, 4))
    (portion,) = buffer.flush()
    assert [part.first_ordinal for part in portion.parts] == [0, 2]
