"""`ccbridge run` as a service: signals, a standby, a holder that was only asleep."""

from __future__ import annotations

import signal
import time

import pytest

from tests.acceptance.site import Site, eventually

LEASE_TTL_S = 3


@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGTERM, "stream_started"), (signal.SIGINT, "snapshot_started")]
)
def test_a_signal_ends_all_flows_cleanly_and_soon(
    migrated: Site, number: signal.Signals, moment: str
) -> None:
    """Exit code 0, the last word of each flow is `stopped`, the lease is free, nothing is in limbo."""
    running = migrated.start()
    running.wait_for(moment)
    asked = time.monotonic()
    assert running.end(number) == 0
    assert time.monotonic() - asked < 10
    assert running.events("stop_requested")[0]["signal"] == number.name
    assert running.events("replication_stopped")
    assert migrated.staging("select distinct status from staging.flow_state") == [("stopped",)]
    assert migrated.staging("select expires_at <= clock_timestamp() from staging.lease") == [(True,)]
    assert "Traceback" not in running.text()


def test_a_second_process_waits_and_takes_over_when_the_first_dies(migrated: Site) -> None:
    """Exactly one is active; the standby continues within the lease's time, and nothing is lost."""
    first = migrated.start()
    migrated.wait_until_delivered(first)
    second = migrated.start()
    second.wait_for("standby_started")
    assert not second.events("replication_started")
    first.kill()
    killed = time.monotonic()
    migrated.recharge("takeover")
    started = second.wait_for("replication_started")
    assert time.monotonic() - killed < LEASE_TTL_S + 2
    assert started["fencing"] == first.events("replication_started")[0]["fencing"] + 1
    eventually(lambda: migrated.receipts() == [("takeover", "sent")], "receipt", hint=second.text)
    assert second.end() == 0


def test_a_standby_ends_when_asked(migrated: Site) -> None:
    """Stopping the service on the second host does not disturb the first."""
    first = migrated.start()
    first.wait_for("replication_started")
    second = migrated.start()
    second.wait_for("standby_started")
    assert second.end() == 0
    assert second.events("standby_stopped")
    assert first.process.poll() is None
    assert first.end() == 0


def test_a_process_that_wakes_up_after_another_took_over_writes_nothing_more(migrated: Site) -> None:
    """It finds its token outdated, says so and ends with exit code 4; the other one is not disturbed."""
    first = migrated.start()
    migrated.wait_until_delivered(first)
    second = migrated.start()
    second.wait_for("standby_started")
    first.send(signal.SIGSTOP)
    fencing = second.wait_for("replication_started")["fencing"]
    migrated.recharge("fenced")
    run_id = first.events("replication_started")[0]["run_id"]
    (before,) = migrated.staging("select count(*) from staging.batch where run_id = %s", run_id)
    first.send(signal.SIGCONT)
    assert first.process.wait(20) == 4
    assert "error CDC-202: lease replication: token " in first.text()
    eventually(lambda: migrated.receipts() == [("fenced", "sent")], "receipt", hint=second.text)
    assert migrated.staging("select count(*) from staging.batch where run_id = %s", run_id) == [before]
    assert migrated.prepaid_admin("select distinct fencing_token from ccbridge.sink_mark") == [(fencing,)]
    migrated.wait_until_delivered(second)
    spoke = migrated.staging("select distinct run_id::text from staging.flow_state")
    assert spoke == [(second.events("replication_started")[0]["run_id"],)]
    assert second.end() == 0
