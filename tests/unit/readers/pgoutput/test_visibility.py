"""What a snapshot sees, and where the log ends."""

from __future__ import annotations

import pytest

from cdc.positions import Lsn
from cdc.readers.pgoutput.visibility import Visible, last_commit

EPOCH = 2**32


@pytest.mark.parametrize(
    ("snapshot", "xid", "seen"),
    [
        ("100:110:103,105", 99, True),
        ("100:110:103,105", 103, False),
        ("100:110:103,105", 104, True),
        ("100:110:103,105", 110, False),
        ("100:100:", 100, False),
        (f"{EPOCH + 5}:{EPOCH + 9}:{EPOCH + 5}", EPOCH - 3, True),  # before the numbers wrapped
        (f"{EPOCH + 5}:{EPOCH + 9}:{EPOCH + 5}", 5, False),
        (f"{EPOCH + 5}:{EPOCH + 9}:{EPOCH + 5}", 6, True),
        (f"{EPOCH - 3}:{EPOCH - 1}:", 2, False),  # after they wrap
    ],
)
def test_a_snapshot_says_which_transactions_it_sees(snapshot: str, xid: int, seen: bool) -> None:
    """The log has 32 bits of a transaction's number, the snapshot all of them."""
    assert Visible.parse(snapshot).sees(xid % EPOCH) is seen


@pytest.mark.parametrize(
    ("insert_at", "last"),
    [
        (8192 * 5 + 100, 8192 * 5 + 99),
        (8192 * 5 + 24, 8192 * 5 - 1),
        (8192 * 5 + 40, 8192 * 5 - 1),
        (8192 * 5, 8192 * 5 - 1),
    ],
)
def test_the_end_of_the_log_is_before_the_header_of_an_empty_page(insert_at: int, last: int) -> None:
    """The stream of an idle server never gets behind such a header."""
    assert last_commit(Lsn(insert_at), 8192) == last
