"""Oracle's datetime format models: reading the text of TO_DATE, TO_TIMESTAMP and TO_TIMESTAMP_TZ.

Sessions of this reader fix their formats, so texts come as `SYYYY-MM-DD HH24:MI:SS`. Where another
format was in force, the call's own format argument says which; without an argument only texts that
can mean one thing are read.

Source: Oracle Database SQL Language Reference 19c, "Datetime Format Models".
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cdc.readers.logminer.redo_sql.redo_values import RedoSyntaxError

DATE_FORMAT = "YYYY-MM-DD HH24:MI:SS"
_FORMATS = (DATE_FORMAT, "YYYY-MM-DD HH24:MI:SS.FF", "YYYY-MM-DD HH24:MI:SS.FF9")
TIMESTAMP_FORMATS = frozenset((*_FORMATS, *(f"S{one}" for one in _FORMATS)))

_BEFORE_CHRIST = "a year before Christ"
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH_NAMES = (
    "JANUARY",
    "FEBRUARY",
    "MARCH",
    "APRIL",
    "MAY",
    "JUNE",
    "JULY",
    "AUGUST",
    "SEPTEMBER",
    "OCTOBER",
    "NOVEMBER",
    "DECEMBER",
)
_ELEMENTS = {
    "YYYY": r"(?P<year>[+-]?\d{4})",
    "SYYYY": r"(?P<year>[+-]?\s?\d{4})",
    "RRRR": r"(?P<year>\d{2,4})",
    "RR": r"(?P<rr>\d{2,4})",
    "YY": r"(?P<yy>\d{1,2})",
    "MM": r"(?P<month>\d{1,2})",
    "MONTH": rf"(?P<name>{'|'.join(_MONTH_NAMES)})\s*",
    "MON": rf"(?P<name>{'|'.join(_MONTHS)})",
    "DDD": r"(?P<day_of_year>\d{1,3})",
    "DD": r"(?P<day>\d{1,2})",
    "HH24": r"(?P<hour>\d{1,2})",
    "HH12": r"(?P<hour12>\d{1,2})",
    "HH": r"(?P<hour12>\d{1,2})",
    "MI": r"(?P<minute>\d{1,2})",
    "SSSSS": r"(?P<second_of_day>\d{1,5})",
    "SS": r"(?P<second>\d{1,2})",
    "FF": r"(?P<fraction>\d*)",
    "X": r"[.,]",
    "AM": r"(?P<half>[AP]\.?M\.?)",
    "PM": r"(?P<half>[AP]\.?M\.?)",
    "A.M.": r"(?P<half>[AP]\.?M\.?)",
    "P.M.": r"(?P<half>[AP]\.?M\.?)",
    "TZH": r"(?P<zone_hour>[+-]?\d{1,2})",
    "TZM": r"(?P<zone_minute>\d{1,2})",
    "TZR": r"(?P<zone>[+-]\d{1,2}:?\d{0,2}|[A-Za-z][\w/+-]*)",
    "TZD": r"(?:[A-Z]{2,5})?",
    "DAY": r"[A-Za-z]+\s*",
    "DY": r"[A-Za-z]{3}",
    "AD": r"(?:A\.?D\.?)",
}
_TOKEN = re.compile(
    r"SYYYY|YYYY|RRRR|RR|YY|MONTH|MON|MM|MI|DDD|DAY|DD|DY|HH24|HH12|HH|SSSSS|SS|FF\d?|X|A\.M\.|P\.M\.|AM|PM|"
    r"TZH|TZM|TZR|TZD|AD|fm|fx|\"[^\"]*\"|.",
    re.IGNORECASE,
)
_UNFORMATTED = (
    "YYYY-MM-DD HH24:MI:SS.FF",
    "YYYY-MM-DD HH24:MI:SS",
    "YYYY-MM-DD",
    "DD-MON-RR HH12.MI.SS.FF AM",
    "DD-MON-RR HH12.MI.SS AM",
    "DD-MON-RR",
    "DD-MON-YYYY HH24:MI:SS",
)
_ZONE_AT_END = re.compile(r"\s*([+-]\d{1,2}(?::?\d{2})?|[A-Za-z][\w/+-]*(?:\s+[A-Z]{3,5})?)\s*\Z")


@lru_cache(maxsize=256)
def _pattern(model: str) -> re.Pattern[str]:
    out, seen = [], set()
    for token in _TOKEN.findall(model):
        key = "FF" if token.upper().startswith("FF") else token.upper()
        element = _ELEMENTS.get(key)
        if element:
            group = re.search(r"\?P<(\w+)>", element)
            if group and group.group(1) in seen:
                raise RedoSyntaxError("datetime format names a part twice", 0)
            if group:
                seen.add(group.group(1))
            out.append(element)
        elif key in ("FM", "FX"):
            continue
        elif token.isspace():
            out.append(r"\s*")
        elif token.startswith('"'):
            out.append(re.escape(token[1:-1]))
        elif token.isalnum():
            raise RedoSyntaxError("unknown datetime format element", 0)
        else:
            out.append(r"[^\w\s]?")  # punctuation in the text need not be the format's own
    # a fraction may be missing or stand alone as a mark, as in `10:11:12.`
    return re.compile(r"\s*" + "".join(out) + r"[.,]?\s*\Z", re.IGNORECASE)


def _year(parts: dict[str, str | None]) -> int:
    if text := parts.get("year"):
        year = int(text.replace(" ", ""))
        return year + (2000 if year < 50 else 1900) if len(text) == 2 else year
    if text := parts.get("rr"):
        year = int(text)
        return year + (2000 if year < 50 else 1900) if len(text) <= 2 else year
    if text := parts.get("yy"):
        return 2000 + int(text)
    raise RedoSyntaxError("datetime without year", 0)


def _month(parts: dict[str, str | None]) -> int:
    if name := parts.get("name"):
        return _MONTHS.index(name[:3].upper()) + 1
    return int(parts.get("month") or 1)


def _moment(text: str, model: str) -> tuple[datetime, str, str | None]:
    """Local time, digits of the fraction, zone text."""
    match = _pattern(model).match(text)
    if not match:
        raise RedoSyntaxError("datetime text does not fit its format", 0)
    parts = match.groupdict()
    hour = int(parts.get("hour") or 0)
    if parts.get("hour12"):
        hour = int(parts["hour12"] or 0) % 12
        hour += 12 if (parts.get("half") or "A")[0].upper() == "P" else 0
    year = _year(parts)
    if year < 0:
        raise RedoSyntaxError(_BEFORE_CHRIST, 0)
    try:
        local = datetime(  # noqa: DTZ001 - Oracle's DATE and TIMESTAMP have no zone
            year,
            _month(parts),
            int(parts.get("day") or 1),
            hour,
            int(parts.get("minute") or 0),
            int(parts.get("second") or 0),
        )
    except ValueError as exc:
        raise RedoSyntaxError("no such date or time", 0) from exc
    if parts.get("day_of_year"):
        local = local.replace(month=1, day=1) + timedelta(days=int(parts["day_of_year"] or 1) - 1)
    if parts.get("second_of_day"):
        local += timedelta(seconds=int(parts["second_of_day"] or 0))
    zone = parts.get("zone")
    if parts.get("zone_hour"):
        zone = f"{parts['zone_hour']}:{parts.get('zone_minute') or '00'}"
    return local, (parts.get("fraction") or "").rstrip("0"), zone


def _written(local: datetime, fraction: str) -> str:
    text = f"{local.year:04d}-{local:%m-%d %H:%M:%S}"
    return f"{text}.{fraction}" if fraction else text


def timestamp_text(text: str, model: str | None = None) -> str:
    """Canonical `YYYY-MM-DD HH:MM:SS[.fraction]` of a DATE or TIMESTAMP text.

    Args:
        text: the first argument of TO_DATE or TO_TIMESTAMP, or of an ANSI literal.
        model: the format argument; None where the call has none.

    Raises:
        RedoSyntaxError: the text does not fit, or could mean several dates.
    """
    if text.startswith("-"):
        raise RedoSyntaxError(_BEFORE_CHRIST, 0)
    for candidate in (model,) if model else _UNFORMATTED:
        try:
            local, fraction, _ = _moment(text, candidate)
        except RedoSyntaxError:
            if model:
                raise
            continue
        return _written(local, fraction)
    raise RedoSyntaxError("datetime text in an unknown session format", 0)


def timestamp_tz_text(text: str, model: str | None = None) -> str:
    """Canonical `YYYY-MM-DD HH:MM:SS[.fraction]+00`, in UTC, of a text with a zone.

    Raises:
        RedoSyntaxError: as `timestamp_text`; an unknown zone.
    """
    if model:
        local, fraction, zone = _moment(text, model)
    else:
        found = _ZONE_AT_END.search(text, 8)
        zone = found.group(1) if found else None
        local, fraction, _ = _moment(text[: found.start()] if found else text, _UNFORMATTED[0])
    try:
        utc = local - _offset(local, zone or "+00:00")
    except OverflowError as exc:
        raise RedoSyntaxError("the moment is outside the years 1 to 9999", 0) from exc
    return f"{_written(utc, fraction)}+00"


def _offset(local: datetime, zone: str) -> timedelta:
    match = re.match(r"([+-]?)(\d{1,2}):?(\d{2})?\Z", zone)
    if match:
        minutes = int(match.group(2)) * 60 + int(match.group(3) or 0)
        return timedelta(minutes=-minutes if match.group(1) == "-" else minutes)
    try:
        return local.replace(tzinfo=ZoneInfo(zone.split()[0])).utcoffset() or timedelta(0)
    except (KeyError, ValueError, OSError) as exc:
        raise RedoSyntaxError("unknown time zone", 0) from exc
