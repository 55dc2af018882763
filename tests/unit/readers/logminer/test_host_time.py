"""The host's times become instants across turns of daylight saving, read at once, late, or after a stop."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cdc.readers.logminer.mining.host_time import HostTime, parsed_offset
from cdc.readers.logminer.transactions.open_transaction_age import OldestOpen
from tests.unit.readers.logminer.test_recovery import open_since

PARIS = ZoneInfo("Europe/Paris")
SPRING, AUTUMN = datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)
STALE = timedelta(seconds=3)
"""What V$THREAD tells is as old as that."""


def host(instant: datetime) -> datetime:
    """The host's clock, without zone."""
    return instant.astimezone(PARIS).replace(tzinfo=None)


def scn_of(instant: datetime) -> int:
    """An SCN a millisecond."""
    return int(instant.timestamp() * 1000)


def seen(turn: datetime, looks: Iterator[timedelta], zone: str) -> HostTime:
    """The host's time after looks so long before or after a turn, over a checkpoint."""
    found = HostTime(zone=zone)
    for distance in looks:
        now = turn + distance
        kept = json.loads(json.dumps(dict(found.resume())))
        found = HostTime(zone=zone)
        found.begin(kept)
        offset = now.astimezone(PARIS).utcoffset()
        assert offset is not None
        found.look(scn_of(now if found.turns(offset) else now - STALE), host(now), offset)
    return found


def read(found: HostTime, instant: datetime) -> datetime:
    return found.utc(scn_of(instant), host(instant))


@pytest.mark.parametrize("turn", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize("zone", ["Europe/Paris", "UTC", "America/New_York"])
@pytest.mark.parametrize("pause_s", [0.5, 60, 3_000])
def test_redo_read_across_a_turn(turn: datetime, zone: str, pause_s: float) -> None:
    """Looks less than an hour apart: every time is exact, whatever the zone, however late it is read."""
    count = int(7_200 / pause_s) + 1
    looks = (timedelta(seconds=(number - count // 2) * pause_s + 0.3) for number in range(count))
    found = seen(turn, looks, zone)
    chance = random.Random(1)  # noqa: S311 - repeatable moments
    near = [chance.uniform(-5, 5) for _ in range(50)]
    for seconds in (*near, *(chance.uniform(-3_600, 3_500) for _ in range(200))):
        instant = (turn + timedelta(seconds=seconds)).replace(microsecond=0)
        assert read(found, instant) == instant


@pytest.mark.parametrize("turn", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_redo_read_after_a_stop_over_a_turn(turn: datetime) -> None:
    """By the site's zone; only the hour that comes twice cannot be distinguished: taken for the second."""
    found = seen(turn, iter([timedelta(hours=-30), timedelta(hours=20)]), "Europe/Paris")
    for minutes in range(-29 * 60, 19 * 60, 7):
        instant = turn + timedelta(minutes=minutes)
        twice = turn == AUTUMN and -60 <= minutes < 0
        assert read(found, instant) == instant + timedelta(hours=1 if twice else 0)


def test_several_turns_are_remembered() -> None:
    """Old open transactions may have begun two turns ago."""
    found = HostTime(zone="Europe/Paris")
    for turn in (SPRING, AUTUMN):
        for distance in (-1, 1):
            now = turn + timedelta(seconds=distance)
            offset = now.astimezone(PARIS).utcoffset()
            assert offset is not None
            found.look(scn_of(now), host(now), offset)
    for instant in (SPRING - timedelta(days=9), SPRING + timedelta(days=9), AUTUMN + timedelta(days=9)):
        assert read(found, instant) == instant


@pytest.mark.parametrize("turn", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_ages_across_a_turn(turn: datetime) -> None:
    """A transaction that began before it is as old as it is, no hour more or less."""
    looks = (timedelta(seconds=seconds) for seconds in range(-7_200, 1_801, 600))
    found, now = seen(turn, looks, "Europe/Paris"), turn + timedelta(minutes=30)
    transaction = open_since(0)
    begun = turn - timedelta(minutes=40)
    transaction.started_at, transaction.start_scn = host(begun), scn_of(begun)
    oldest = OldestOpen("ccb", alarm_share=1)
    oldest.measure([transaction], turn - timedelta(days=1), now, found)
    assert oldest.figures["oldest_open_s"] == 70 * 60


def test_offsets_are_read_as_oracle_writes_them() -> None:
    """West of Greenwich is negative."""
    assert parsed_offset("+01:00") == timedelta(hours=1)
    assert parsed_offset("-03:30") == -timedelta(hours=3, minutes=30)
