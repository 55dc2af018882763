from __future__ import annotations

from cdc.positions import Lsn
from cdc.readers.pgoutput.batches import row_meta
from cdc.readers.pgoutput.wire.messages import Relation
from cdc.readers.pgoutput.wire.transactions import Portion, Taken, TransactionBuffer
from tests.unit.readers.pgoutput.stream import (
    begin,
    commit,
    feed,
    keepalive,
    origin,
    relation,
    row,
    truncate,
)

ACCOUNT = relation(1, "account", [("id", 20, True)])


def buffer(*, max_rows: int = 100, max_bytes: int = 1 << 20) -> TransactionBuffer:
    known: dict[int, Relation] = {}
    made = TransactionBuffer(Lsn(100), origin="ccbridge", max_rows=max_rows, max_bytes=max_bytes, known=known)
    assert made.take(feed(ACCOUNT)) is Taken.RELATION
    made.adopt()
    return made


def insert(key: int) -> bytes:
    return row("I", 1, ("N", [str(key)]))


def portions(made: TransactionBuffer, *messages: bytes) -> list[Portion]:
    """Feed all messages, as the reader does."""
    get = feed(*messages)
    found: list[Portion] = []
    while (taken := made.take(get)) is not Taken.DRY:
        found += made.portions(taken)
        made.adopt()
    return found + list(made.portions(Taken.DRY))


def test_the_position_is_where_the_commit_record_starts_and_resume_is_its_end() -> None:
    """A commit record that starts right where the former ends is later than both."""
    (portion,) = portions(
        buffer(), begin(150), insert(1), commit(150, 160), begin(160), insert(2), commit(160, 170)
    )
    assert [t.begin.commit_lsn for t in portion.transactions] == [150, 160]
    assert (portion.position, portion.resume) == (160, 170)


def test_an_open_transaction_stays_behind() -> None:
    """Only whole transactions leave, and the position is not beyond them."""
    made = buffer()
    (portion,) = portions(
        made, begin(150), insert(1), commit(150, 160), begin(200), insert(2), keepalive(190)
    )
    assert portion.messages == [insert(1)]
    assert made.settle() == 160
    (portion,) = portions(made, insert(3), commit(200, 210))
    assert portion.messages == [insert(2), insert(3)]


def test_a_keepalive_moves_an_idle_stream_on() -> None:
    """Everything before the server's end of WAL is done when nothing is pending."""
    made = buffer()
    assert portions(made, keepalive(500, reply=True)) == []
    assert made.settle() == 500
    assert made.reply_requested


def test_a_large_transaction_leaves_in_slices_that_resume_before_it() -> None:
    """Anyone who restarts between two slices reads the whole transaction again."""
    made = buffer(max_rows=3)
    found = portions(
        made,
        begin(150),
        insert(0),
        commit(150, 160),
        begin(200),
        *map(insert, range(7)),
        commit(200, 210),
    )
    assert [len(portion.messages) for portion in found] == [1, 3, 3, 1]
    assert [portion.continues for portion in found] == [False, True, True, False]
    assert [portion.resume for portion in found] == [160, 160, 160, 210]
    assert [portion.ends_slices for portion in found] == [False, False, False, True]
    ordinals = [place for portion in found[1:] for place in row_meta(portion.transactions)["ordinal"]]
    assert ordinals == list(range(7))


def test_wide_rows_are_bounded_by_their_bytes() -> None:
    """A few huge values must not fill the memory."""
    found = portions(
        buffer(max_bytes=10 * len(insert(0))), begin(150), *map(insert, range(10)), *map(insert, range(5))
    )
    assert [len(portion.messages) for portion in found] == [10]


def test_transactions_under_our_origin_are_ours() -> None:
    """Only those: another subscription's writes are changes like any other."""
    (portion,) = portions(
        buffer(),
        begin(150),
        origin("ccbridge"),
        insert(1),
        commit(150, 160),
        begin(170),
        origin("pg_16384"),
        insert(2),
        commit(170, 180),
        begin(190),
        insert(3),
        commit(190, 195),
    )
    assert row_meta(portion.transactions)["ours"].to_list() == [True, False, False]


def test_rows_before_a_change_of_their_table_leave_before_it() -> None:
    """One frame never holds rows under two descriptions."""
    made = buffer()
    wider = relation(1, "account", [("id", 20, True), ("note", 25, False)])
    found = portions(
        made,
        begin(150),
        insert(1),
        commit(150, 160),
        begin(170),
        insert(2),
        wider,
        row("I", 1, ("N", ["3", "x"])),
        commit(170, 180),
    )
    assert [(len(portion.messages), portion.continues) for portion in found] == [
        (1, False),
        (1, True),
        (1, False),
    ]
    assert found[2].ends_slices


def test_the_same_description_again_cuts_nothing() -> None:
    """The server repeats it after every look at the table, for example by ANALYZE."""
    (portion,) = portions(
        buffer(),
        begin(150),
        insert(1),
        ACCOUNT,
        insert(2),
        commit(150, 160),
        begin(170),
        insert(3),
        commit(170, 180),
    )
    assert len(portion.messages) == 3


def test_a_truncate_counts_one_row_for_each_table() -> None:
    """Each emptied table has its own place in the order."""
    (portion,) = portions(buffer(), begin(150), insert(1), truncate(1, 2), insert(3), commit(150, 160))
    assert len(portion.messages) == 4
    assert row_meta(portion.transactions)["ordinal"].to_list() == [0, 1, 2, 3]


def test_a_transaction_without_rows_of_ours_still_moves_the_position() -> None:
    """Its commit is done with, although nothing of it is kept."""
    (portion,) = portions(buffer(), begin(150), commit(150, 160))
    assert (portion.messages, portion.resume) == ([], 160)
    assert row_meta(portion.transactions).is_empty()
