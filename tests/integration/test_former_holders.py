"""What a frozen or vanished process left behind in source and target keeps no one from continuing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from cdc.changes import TableName
from cdc.errors import TransientError
from cdc.postgres.sessions import Holder
from cdc.readers.pgoutput.reader import PgoutputReader
from sinks.upsert.sink import UpsertSink
from tests.contract.reader_suite import Reading, snapshot
from tests.integration.pgoutput.source import Prepaid
from tests.integration.sinks.upsert_target import Target, target_database

FROZEN, NEXT = Holder("abcdef", 1), Holder("abcdef", 2)


@pytest.fixture
def target(database: str) -> Iterator[Target]:
    with target_database(database) as made:
        yield made


@pytest.fixture
def prepaid(database: str) -> Iterator[Prepaid]:
    source = Prepaid(database)
    yield source
    source.close()


def test_a_target_session_of_a_former_holder_frees_mark_origin_and_rows(target: Target) -> None:
    """It lies open in the middle of a write; the next holder claims the mark at once, not after a minute."""
    frozen = UpsertSink("prepaid", target.settings, fencing_token=1, holder=FROZEN)
    session = frozen._open()
    session.connection.execute("begin")
    session.connection.execute("update ccbridge.sink_mark set moved_at = now()")
    with closing(UpsertSink("prepaid", target.settings, fencing_token=2, holder=NEXT)) as sink:
        assert sink.position() == 0
    session.connection.close()


def test_an_orphan_of_our_own_is_ended(target: Target) -> None:
    """After a cut that the server did not notice the same process finds its own former session there."""
    with closing(UpsertSink("prepaid", target.settings, fencing_token=1, holder=FROZEN)) as orphan:
        orphan.position()
        with closing(UpsertSink("prepaid", target.settings, fencing_token=1, holder=FROZEN)) as sink:
            assert sink.position() == 0


@pytest.mark.parametrize("next_holder", [FROZEN, NEXT])
def test_a_reader_of_a_former_holder_frees_the_slot(prepaid: Prepaid, next_holder: Holder) -> None:
    """It streams and no one reads from it; the next one continues within the patience for a slot."""
    prepaid.execute("create table t (id int primary key)")
    prepaid.publish("t")

    def reader(holder: Holder) -> PgoutputReader:
        prepaid.readers.append(
            PgoutputReader("prepaid", prepaid.settings, [TableName("public", "t")], holder=holder)
        )
        return prepaid.readers[-1]

    frozen = reader(FROZEN)
    resume = snapshot(frozen)[-1].resume
    stream = frozen.read(resume, max_changes=100, stop=lambda: False)
    prepaid.execute("insert into t values (1)")
    next(stream)  # from here on it holds the slot and asks for nothing
    prepaid.execute("insert into t values (2)")
    assert len(Reading(reader(next_holder), resume).take(2)) == 2
    with pytest.raises(TransientError):
        next(stream)
