"""The time of the database host, which the redo's times are in, without their zone.

The offset from UTC changes with daylight saving, and redo from before such a turn is read after it: hours
later where reading was behind, days later after a stop. So it is kept at which SCN which offset was seen,
with the checkpoint too. Between the last look with the former offset and the first with the new one a row's
time has two readings: the one that fits the site's zone is taken, and of those the latest that was not in the
future.

Source: Oracle Database Utilities 19c, V$LOGMNR_CONTENTS (TIMESTAMP is a DATE of the database's host).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

SLACK = timedelta(minutes=1)
"""Between the host's time at a look and the SCN that belongs to it."""
KEPT = 4
"""Turns that are remembered: two years of them."""
KEY = "host_time"
"""Where a checkpoint has it."""


def parsed_offset(text: str) -> timedelta:
    """`+01:00` as a time delta."""
    hours, _, minutes = text.strip().lstrip("+-").partition(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return -offset if text.strip().startswith("-") else offset


@dataclass(frozen=True)
class Turn:
    """A change of the offset, between two looks.

    Args:
        after: SCN up to which redo was written before the last look with the former offset.
        until: the database's SCN at the first look with the new one.
        seen_at: time of that look.
        former: offset before.
    """

    after: int
    until: int
    seen_at: datetime
    former: timedelta


class HostTime:
    """What was seen of one database host's offset.

    Args:
        offset: what it is taken to be before the first look.
        zone: name of the zone in which the host is likely to be.
    """

    def __init__(self, offset: timedelta = timedelta(0), zone: str = "UTC") -> None:
        self.offset, self._zone = offset, ZoneInfo(zone)
        self._scn: int | None = None
        self._turns: tuple[Turn, ...] = ()

    def turns(self, offset: timedelta) -> bool:
        """Is it another offset than that of the last look?"""
        return self._scn is not None and offset != self.offset

    def look(self, scn: int, local: datetime, offset: timedelta) -> None:
        """The host's time and offset now.

        Args:
            scn: up to which redo is on disk; where the offset turns, the database's own of now.
            local: time.
            offset: from UTC.
        """
        if self._scn is not None and self.turns(offset):
            turn = Turn(self._scn, max(scn, self._scn), (local - offset).replace(tzinfo=UTC), self.offset)
            self._turns = (*self._turns, turn)[-KEPT:]
        self.offset, self._scn = offset, scn

    def utc(self, scn: int, local: datetime) -> datetime:
        """When a record was written, by its SCN and the host's time."""
        offset = self.offset
        for turn in reversed(self._turns):
            if scn > turn.until:
                break
            if scn > turn.after:
                return self._between(turn, offset, local)
            offset = turn.former
        return _instant(local, offset)

    def _between(self, turn: Turn, offset: timedelta, local: datetime) -> datetime:
        readings = [(_instant(local, one), one) for one in (turn.former, offset)]
        fitting = [when for when, one in readings if when.astimezone(self._zone).utcoffset() == one]
        possible = fitting or [when for when, _ in readings]
        limit = turn.seen_at + SLACK
        return max((when for when in possible if when <= limit), default=min(possible))

    def resume(self) -> Mapping[str, Any]:
        """What a checkpoint keeps of it."""
        if self._scn is None:
            return {}
        turns = [
            [turn.after, turn.until, turn.seen_at.isoformat(), turn.former.total_seconds()]
            for turn in self._turns
        ]
        return {KEY: {"scn": self._scn, "offset_s": self.offset.total_seconds(), "turns": turns}}

    def begin(self, resume: Mapping[str, Any]) -> None:
        """Take over what a checkpoint kept, if it kept anything."""
        kept = resume.get(KEY)
        if kept is not None:
            self._scn, self.offset = int(kept["scn"]), timedelta(seconds=kept["offset_s"])
            self._turns = tuple(_turns(kept))


def _turns(kept: Mapping[str, Any]) -> Iterator[Turn]:
    for after, until, seen_at, former_s in kept["turns"]:
        yield Turn(int(after), int(until), datetime.fromisoformat(seen_at), timedelta(seconds=former_s))


def _instant(local: datetime, offset: timedelta) -> datetime:
    return (local - offset).replace(tzinfo=UTC)
