"""The process is killed, at any moment, also inside very large transactions."""

from __future__ import annotations

import time
from collections import Counter
from random import Random

from sandbox.ccb.database import insert_rows
from tests.reliability.bed import PATIENCE_S, Bed

KILLS = 60
TERMINATING_S = 60
LARGE = 200_000
"""Rows of a large transaction."""


def random_kills(bed: Bed, chance: Random) -> None:
    """Kill -9 of `ccbridge run` 60 times in one installation: in the first snapshots, at start, at work."""
    for _ in range(KILLS // 6):
        _killed(bed, chance.uniform(0.0, 2.0))
    bed.begin().kill()
    for number in range(KILLS - KILLS // 6 - 1):
        if number % 5 == 0:
            since = time.monotonic()
            running = bed.a.start()
            bed.carries(f"kill{number}")
            bed.took("carries again, start included", time.monotonic() - since)
            running.kill()
        else:
            _killed(bed, chance.uniform(0.0, 5.0 if number % 3 else 0.5))
    since = time.monotonic()
    bed.a.start()
    bed.equal("equal, start included", since)


def _killed(bed: Bed, seconds: float) -> None:
    """Kill it so long after it got the lease of the one before."""
    running = bed.a.run()
    time.sleep(seconds)
    running.kill()


def terminated_sessions(bed: Bed, chance: Random) -> None:
    """For a minute an administrator ends sessions of ours in staging and prepaid, one after another."""
    running = bed.begin()
    end_one = (
        "select pg_terminate_backend(pid), application_name from pg_stat_activity"
        " where application_name like 'ccbridge%' order by random() limit 1"
    )
    ended = Counter[str]()
    until = time.monotonic() + TERMINATING_S
    while time.monotonic() < until:
        time.sleep(chance.uniform(0.0, 0.5))
        ended.update(name.partition(" #")[0] for _, name in bed.administrator("postgres", end_one))
    since = time.monotonic()
    bed.took("carries again", bed.carries("after"))
    bed.equal("equal", since)
    assert running.process.poll() is None, running.text()[-3000:]
    assert not running.events("flow_crashed")
    assert len(ended) >= 4, ended
    bed.counts["sessions ended"] = ended.total()


def large_transactions(bed: Bed, chance: Random) -> None:
    """Transactions of 200,000 rows on both sides, and one that is rolled back; killed 3 times inside each."""
    bed.begin().kill()
    for change in (_insert_points, _update_points, _insert_recharges):
        change(bed)
        for _ in range(3):
            running = bed.a.run()
            time.sleep(chance.uniform(1.0, 15.0))
            running.kill()
        since = time.monotonic()
        running = bed.a.start()
        bed.carries("behind it", patience_s=3 * PATIENCE_S)
        bed.took("carries what is behind it, start included", time.monotonic() - since)
        running.kill()
    running = bed.a.start()
    assert bed.staging("select count(*) from staging.service_point")[0][0] > LARGE


def _insert_points(bed: Bed) -> None:
    """200,000 service points are added, twice: the second time all is rolled back."""
    with bed.world.ccb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select min(PREM_ID) from CISADM.CI_PREM")
        row = cursor.fetchone()
        cursor.execute("select sysdate from dual")
        now = cursor.fetchone()
        assert row is not None
        assert now is not None
        for first, keep in ((10_000_000, False), (20_000_000, True)):
            for number in range(first, first + LARGE, 5_000):
                points: list[tuple[object, ...]] = [
                    (f"{9_900_000_000 + n:010d}", "E-RES", row[0], now[0])
                    for n in range(number, number + 5_000)
                ]
                insert_rows(cursor, "CI_SP", points)
            connection.commit() if keep else connection.rollback()


def _update_points(bed: Bed) -> None:
    with bed.world.ccb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("update CISADM.CI_SP set SP_STATUS_FLG = 'D', VERSION = VERSION + 1")
        connection.commit()


def _insert_recharges(bed: Bed) -> None:
    """Cancelled ones: they are staged and not sent."""
    bed.prepaid(
        "insert into recharge (recharge_id, ccb_account_id, amount, currency, channel, tender_type, status,"
        " recharged_at) select 'large-' || n, (select min(ccb_account_id) from account), 100, 'XAF', 'web',"
        " 'cash', 'cancelled', now() from generate_series(1, %s) as n",
        LARGE,
    )
