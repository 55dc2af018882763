"""Transmissions on their way to CC&B, several to a round trip."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from cdc.errors import RowError
from sinks.ccb_payment_upload.errors import ReceiptMismatch

SENT_TOGETHER = 1_000
"""Receipts of transmissions that share round trips; a backlog drains several times faster so."""


def send_in_groups(
    transmissions: Sequence[pl.DataFrame],
    send: Callable[[Sequence[pl.DataFrame]], int],
    *,
    stop: Callable[[], bool],
    refuse: Callable[[pl.DataFrame], None],
) -> int:
    """Send transmissions, oldest first, in groups of about SENT_TOGETHER receipts.

    A group that CC&B does not take is sent one by one, so that those before the one in question go
    through as they would alone.

    Args:
        transmissions: one frame each.
        send: sends a group, all of it or nothing, and notes it; returns how many receipts.
        stop: asked between groups.
        refuse: called with each transmission of which CC&B refuses a row; the others continue.

    Raises:
        ReceiptMismatch: of the first transmission of which CC&B holds something else.
    """
    sent, group = 0, []

    def send_alone(transmission: pl.DataFrame) -> int:
        try:
            return send([transmission])
        except RowError:
            refuse(transmission)
            return 0

    for number, transmission in enumerate(transmissions, 1):
        group.append(transmission)
        if number < len(transmissions) and sum(one.height for one in group) < SENT_TOGETHER:
            continue
        if stop():
            break
        try:
            sent += send(group) if len(group) > 1 else send_alone(group[0])
        except (ReceiptMismatch, RowError):
            if len(group) == 1:
                raise
            sent += sum(send_alone(one) for one in group)
        group = []
    return sent
