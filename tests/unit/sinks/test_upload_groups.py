"""Transmissions on their way to CC&B in groups: what shares a round trip, and what a bad one stops."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest

from cdc.errors import RowError
from sinks.ccb_payment_upload.errors import ReceiptMismatch
from sinks.ccb_payment_upload.groups import SENT_TOGETHER, send_in_groups


class Ccb:
    """Takes groups whole or not at all, as the sink does."""

    def __init__(self, *, refuses: str = "") -> None:
        self.refuses = refuses
        self.groups: list[list[str]] = []

    def send(self, group: Sequence[pl.DataFrame]) -> int:
        names = [frame["transmission_id"][0] for frame in group]
        if self.refuses in names:
            raise ReceiptMismatch(f"transmission {self.refuses}: other content")
        self.groups.append(names)
        return sum(frame.height for frame in group)


def never(_transmission: pl.DataFrame) -> None:
    raise AssertionError("nothing is refused here")


def transmissions(names: str, receipts: int = 50) -> list[pl.DataFrame]:
    """One frame for each letter."""
    return [pl.DataFrame({"transmission_id": [name] * receipts}) for name in names]


def test_groups_hold_about_a_thousand_receipts_in_order() -> None:
    """A backlog shares round trips, and a group is never so large that a stop waits long for it."""
    ccb = Ccb()
    sent = send_in_groups(
        transmissions("abcde", SENT_TOGETHER // 2), ccb.send, stop=lambda: False, refuse=never
    )
    assert ccb.groups == [["a", "b"], ["c", "d"], ["e"]]
    assert sent == 5 * (SENT_TOGETHER // 2)


def test_transmission_that_is_refused_stops_none_before_it() -> None:
    """The older ones of its group go through alone; nothing after it does, and the error is its own."""
    ccb = Ccb(refuses="c")
    with pytest.raises(ReceiptMismatch, match="transmission c"):
        send_in_groups(transmissions("abcd"), ccb.send, stop=lambda: False, refuse=never)
    assert ccb.groups == [["a"], ["b"]]


def test_stop_is_heard_between_groups() -> None:
    """Stopping never waits for a whole backlog."""
    ccb = Ccb()
    answers = iter([False, True])
    send_in_groups(transmissions("abc", SENT_TOGETHER), ccb.send, stop=lambda: next(answers), refuse=never)
    assert ccb.groups == [["a"]]


def test_transmission_with_a_refused_row_holds_no_other_back() -> None:
    """Those before it and after it are sent, and it is reported alone."""
    ccb = Ccb()
    refused: list[pl.DataFrame] = []

    def send(group: Sequence[pl.DataFrame]) -> int:
        if "b" in [frame["transmission_id"][0] for frame in group]:
            raise RowError("ORA-20001")
        return ccb.send(group)

    sent = send_in_groups(transmissions("abc"), send, stop=lambda: False, refuse=refused.append)
    assert (ccb.groups, sent) == ([["a"], ["c"]], 100)
    assert [frame["transmission_id"][0] for frame in refused] == ["b"]
    alone = send_in_groups(transmissions("b"), send, stop=lambda: False, refuse=refused.append)
    assert (alone, len(refused)) == (0, 2)
