"""When the target says that our writes were committed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from sandbox.postgres import PostgresServer
from tests.integration.sinks.upsert_target import CUSTOMER, Target, desired, target_database


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with (
        PostgresServer(settings={"track_commit_timestamp": "on"}) as server,
        target_database(server.create_database("target")) as target,
    ):
        yield target


def now(target: Target) -> datetime:
    [(moment,)] = target.rows("select clock_timestamp()")
    assert isinstance(moment, datetime)
    return moment


def test_each_write_has_its_own_commit_time(target: Target) -> None:
    """Anyone who asks the target when a row came learns when it did, not when our session began."""
    sink = target.sink()
    limits = {}
    for key in ("1", "2", "3"):
        before = now(target)
        sink.write(
            [(CUSTOMER, desired(CUSTOMER, [key, "A", None, None]))], up_to=int(key), record=target.record
        )
        limits[key] = (before, now(target))
    sink.close()
    found = target.rows("select person_id, pg_xact_commit_timestamp(xmin) from customer order by person_id")
    assert [key for key, _ in found] == ["1", "2", "3"]
    for key, committed_at in found:
        before, after = limits[key]
        assert before <= committed_at <= after
