"""A database host whose clock turns: commit times and ages are right before, across and after it."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time

import pytest

from cdc.changes import ChangeBatch
from cdc.readers.logminer.transactions import open_transaction_age
from sandbox.oracle_process import OracleProcess
from tests.contract.logminer_source import OracleSource, needs_stand_in, prepared
from tests.contract.reader_suite import Reading, insert
from tests.integration.logminer.test_failures import Follower, inject, write

TURNS = [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)]
SLACK = timedelta(seconds=20)


def times(batches: list[ChangeBatch]) -> dict[str, datetime]:
    """When each key was committed."""
    return {
        key: when
        for batch in batches
        for changes in batch.tables.values()
        for key, when in changes.frame.select("after.ID", "committed_at").rows()
    }


@pytest.mark.parametrize("turn", TURNS, ids=["spring", "autumn"])
def test_commit_times_and_ages_across_a_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn: datetime
) -> None:
    """What was written before the turn and is read after it, by a new reader, has its own time."""
    needs_stand_in()
    monkeypatch.setattr(open_transaction_age, "LOOK_EVERY_S", 0.0)
    with OracleProcess(tmp_path / "oracle.log", time_zone="Europe/Paris") as server:
        source = OracleSource(prepared(f"127.0.0.1:{server.port}/CCB"))
        zone = {"time_zone": "Europe/Paris"}
        source.settings = source.settings.model_copy(update=zone)
        inject(source, f"move_clock(seconds => {turn.timestamp() - 600 - time():.0f})")
        follower = Follower(source)
        with source.session() as open_then:
            open_then.execute(insert(9))
            write(source, 1)
            with closing(follower.reader()) as reader:
                first = Reading(reader, follower.resume)
                first.take(1)
            write(source, 2)
            inject(source, "move_clock(seconds => 1200)")
            write(source, 3)
            with closing(follower.reader()) as reader:
                then = Reading(reader, first.resume)
                then.until(lambda found: len(found) > 1 and "oldest_open_s" in reader.source_lag())
                age_s = reader.source_lag()["oldest_open_s"]
    found = times([*first.batches, *then.batches])
    for key, distance in {"1": -600, "2": -600, "3": 600}.items():
        assert abs(found[key] - turn - timedelta(seconds=distance)) < SLACK
    assert abs(age_s - 1200) < SLACK.total_seconds()
