"""Time zones as Oracle names them: regions and offsets like +01:00."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sandbox.oracle.interface import OracleFault


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """Zone by name or offset.

    Raises:
        OracleFault: ORA-01882.
    """
    offset = re.fullmatch(r"([+-]?)(\d{1,2}):(\d{1,2})", name.strip())
    if offset:
        minutes = int(offset.group(2)) * 60 + int(offset.group(3))
        return timezone(timedelta(minutes=-minutes if offset.group(1) == "-" else minutes))
    if name.upper() in ("UTC", "GMT", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise OracleFault(1882, "timezone region not found") from None


def offset_minutes(name: str, seconds: float) -> int:
    """Offset of a zone from UTC at a moment, in minutes."""
    offset = datetime.fromtimestamp(seconds, zone(name)).utcoffset() or timedelta()
    return int(offset.total_seconds() // 60)


def offset_text(minutes: int) -> str:
    """`+01:00`."""
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"
