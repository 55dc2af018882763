"""The contract of `cdc.ports.Sink`: one suite that every sink passes.

A test module imports these tests and gives the fixture `target`: a target system, how to have sinks that
write it, how to want rows of it as key -> amount, and what it then holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from typing import Protocol

import polars as pl
import pytest

from cdc.errors import LeaseLost, TransientError
from cdc.ports import DELIVERY_SCHEMA, REJECTION_SCHEMA, Desired, Polled, Record, Sink, Written

GONE = None
"""Instead of an amount: there should be no such row."""


class Target(Protocol):
    """A target system, seen by the suite."""

    rejected: str | None
    """Amount, or key if it is empty, of a row that the target rejects."""
    forgets: bool
    """A row that is gone leaves the target; payments do not, they are reported."""

    def open(self) -> Sink:
        """A sink as a new process would have it, with a newer lease; former ones are as good as frozen."""

    def desired_rows(self, rows: Mapping[str | None, str | None], *, staged_seq: int) -> Desired:
        """Desired rows: amount by key."""

    def held(self) -> dict[str, Decimal]:
        """What the target holds, as its users see it: amount by key."""


class Broken(Exception):
    """Staging was lost at the worst moment."""


def breaks(_: pl.DataFrame) -> None:
    raise Broken


def keeps(frames: list[pl.DataFrame], schema: Mapping[str, object]) -> Record:
    def keep(frame: pl.DataFrame) -> None:
        assert dict(frame.schema) == dict(schema)
        frames.append(frame)

    return keep


def written(
    sink: Sink,
    desired: Desired,
    up_to: int,
    *,
    record: Record | None = None,
    hold: Record | None = None,
) -> Written:
    """A write and the poll after it, as the delivery flow has them."""
    done = sink.write(
        desired,
        up_to=up_to,
        record=record or keeps([], DELIVERY_SCHEMA),
        hold=hold or keeps([], REJECTION_SCHEMA),
        live=lambda program, keys, _: keys.clear().select(program.key),
    )
    sink.poll(lambda: False)
    return done


def test_rows_arrive_to_the_cent_and_the_position_with_them(target: Target) -> None:
    """Durable when the write has returned: a sink of another process sees the position."""
    with closing(target.open()) as sink:
        sink.prepare()
        assert sink.position() == 0
        written(sink, target.desired_rows({"a": "0.10", "b": "9999999999.99"}, staged_seq=7), 9)
    assert target.held() == {"a": Decimal("0.10"), "b": Decimal("9999999999.99")}
    with closing(target.open()) as later:
        later.prepare()
        assert later.position() == 9


def test_rows_that_come_again_change_nothing(target: Target) -> None:
    """By the same sink and by that of a new process, as after a crash."""
    for _ in range(2):
        with closing(target.open()) as sink:
            sink.prepare()
            sink.position()
            for _ in range(2):
                written(sink, target.desired_rows({"a": "5", "b": "6"}, staged_seq=1), 2)
    assert target.held() == {"a": Decimal(5), "b": Decimal(6)}


def test_the_position_moves_without_rows_and_never_back(target: Target) -> None:
    """Changes that no rule of the target reads move it; held rows are written at an old one."""
    with closing(target.open()) as sink:
        sink.prepare()
        sink.position()
        written(sink, [], 5)
        assert sink.position() == 5
        written(sink, target.desired_rows({"a": "1"}, staged_seq=3), 3)
        assert sink.position() == 5
    assert target.held() == {"a": Decimal(1)}


def test_a_row_that_is_rejected_keeps_nothing_else_back(target: Target) -> None:
    """It is reported with its rule, key and reason, and stored before the position passes it."""
    if target.rejected is None:
        pytest.skip("this target takes every row")
    frames: list[pl.DataFrame] = []
    bad: dict[str | None, str | None] = {"bad": target.rejected} if target.rejected else {None: "1"}
    with closing(target.open()) as sink:
        sink.prepare()
        sink.position()
        desired = target.desired_rows({"a": "5", **bad, "b": "6"}, staged_seq=1)
        done = written(sink, desired, 2, hold=keeps(frames, REJECTION_SCHEMA))
        assert sink.position() == 2
    assert target.held() == {"a": Decimal(5), "b": Decimal(6)}
    (row,) = done.held.rows(named=True)
    assert (row["program"], row["target_table"]) == (desired[0][0].name, str(desired[0][0].table))
    assert list(json.loads(row["key"])) == list(desired[0][0].key)
    assert row["reason_code"]
    assert row["reason"]
    assert pl.concat(frames).equals(done.held)


def test_nothing_is_taken_when_what_is_held_cannot_be_stored(target: Target) -> None:
    """Else the position would be past a row without a record."""
    if target.rejected is None:
        pytest.skip("this target takes every row")
    bad: dict[str | None, str | None] = {"bad": target.rejected} if target.rejected else {None: "1"}
    with closing(target.open()) as sink:
        sink.prepare()
        sink.position()
        with pytest.raises(Broken):
            written(sink, target.desired_rows({"a": "5", **bad}, staged_seq=1), 2, hold=breaks)
        assert sink.position() == 0
        assert target.held() == {}
        written(sink, target.desired_rows({"a": "5"}, staged_seq=1), 2)
    assert target.held() == {"a": Decimal(5)}


def test_a_write_that_was_recorded_is_known_to_have_happened_or_not(target: Target) -> None:
    """Records come before the commit, so a crash between them leaves records that must be voided."""
    frames: list[pl.DataFrame] = []

    def lost(deliveries: pl.DataFrame) -> None:
        frames.append(deliveries)
        raise Broken

    with closing(target.open()) as sink:
        sink.prepare()
        sink.position()
        try:
            written(sink, target.desired_rows({"a": "5"}, staged_seq=1), 2, record=lost)
        except Broken:
            assert sink.position() == 0
            assert target.held() == {}
            assert sink.committed(frames[0]["target_transaction"][0]) is not True
            number = sink.next_write
            written(sink, target.desired_rows({"a": "5"}, staged_seq=1), 2, record=frames.append)
            assert sink.next_write == number + 1
            assert sink.committed(frames[1]["target_transaction"][0]) is True
            assert dict(frames[1].schema) == dict(DELIVERY_SCHEMA)
            assert frames[1]["sink"].to_list() == [sink.name]
        else:
            assert frames == [], "a sink that records nothing has records of its own"
    assert target.held() == {"a": Decimal(5)}


def test_of_two_processes_the_later_one_writes(target: Target) -> None:
    """One that was frozen and lost its lease finds out before anything is written."""
    with closing(target.open()) as former:
        former.prepare()
        former.position()
        written(former, target.desired_rows({"a": "5"}, staged_seq=1), 2)
        with closing(target.open()) as later:
            later.prepare()
            assert later.position() == 2
            late = target.desired_rows({"a": "6", "b": "7"}, staged_seq=3)
            with pytest.raises((LeaseLost, TransientError)):  # its session may have been ended
                written(former, late, 4)
            with pytest.raises(LeaseLost):
                written(former, late, 4)
            assert later.position() == 2
            written(later, target.desired_rows({"c": "8"}, staged_seq=4), 4)
    assert target.held() == {"a": Decimal(5), "c": Decimal(8)}


def test_a_row_that_is_gone_leaves_the_target(target: Target) -> None:
    """And one that was never there is no error."""
    with closing(target.open()) as sink:
        sink.prepare()
        sink.position()
        written(sink, target.desired_rows({"a": "5", "b": "6"}, staged_seq=1), 1)
        gone = written(sink, target.desired_rows({"a": GONE, "z": GONE}, staged_seq=2), 2)
    assert target.held() == ({"b": Decimal(6)} if target.forgets else {"a": Decimal(5), "b": Decimal(6)})
    assert gone.held.height == (0 if target.forgets else 1)


def test_a_closed_sink_opens_again_by_itself(target: Target) -> None:
    """Closing twice is harmless; what was committed is there."""
    sink = target.open()
    sink.prepare()
    sink.position()
    written(sink, target.desired_rows({"a": "5"}, staged_seq=1), 1)
    sink.close()
    sink.close()
    written(sink, target.desired_rows({"b": "6"}, staged_seq=2), 2)
    sink.close()
    assert target.held() == {"a": Decimal(5), "b": Decimal(6)}


def test_a_sink_that_is_asked_to_stop_does_nothing_more(target: Target) -> None:
    """A poll ends before the next outside effect; what is due is done by the next one."""
    with closing(target.open()) as sink:
        sink.prepare()
        sink.position()
        assert sink.due_in_s() >= 0
        assert sink.poll(lambda: True) == Polled()
    assert target.held() == {}


def test_hostile_texts_are_values_and_nothing_else(target: Target) -> None:
    """Quotes, line ends, percent signs and comments in a key reach the target as they are."""
    keys = ["'; drop table x; --", "100% %s %(low)s", 'a"b\\', ":1 && x", "two\nlines"]
    with closing(target.open()) as sink:
        sink.prepare()
        sink.position()
        written(sink, target.desired_rows(dict.fromkeys(keys, "1"), staged_seq=1), 1)
    assert set(target.held()) == set(keys)
