"""Format models of TO_CHAR, TO_DATE, TO_TIMESTAMP and TO_NUMBER: the elements people use.

An element we do not know is ORA-01821 or ORA-01481, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache, partial

from sandbox.oracle import cells
from sandbox.oracle.interface import OracleFault

_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_LONG_MONTHS = ["JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY", "AUGUST", "SEPTEMBER"]
_LONG_MONTHS += ["OCTOBER", "NOVEMBER", "DECEMBER"]
_DAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]

_ELEMENT = re.compile(
    r'"[^"]*"|YYYY|SYYYY|RRRR|YYY|YY|RR|Y|MONTH|MON|MM|DDD|DD|DAY|DY|D|HH24|HH12|HH|MI|SSSSS|SS|'
    r"FF[1-9]?|TZH|TZM|TZR|TZD|AM|PM|A\.M\.|P\.M\.|IW|WW|Q|J|CC|FM|X|[-/,.;: T]|.",
    re.IGNORECASE | re.DOTALL,
)


@lru_cache(maxsize=512)
def _elements(form: str) -> tuple[str, ...]:
    return tuple(_ELEMENT.findall(form))


def _cased(name: str, element: str) -> str:
    if element.isupper():
        return name.upper()
    return name.capitalize() if element[0].isupper() else name.lower()


def date_to_text(moment: datetime, nanos: int, form: str) -> str:
    """TO_CHAR of a moment (aware when it has a zone)."""
    result: list[str] = []
    fill = True
    for element in _elements(form):
        word = element.upper()
        if word == "FM":
            fill = not fill
        elif element[0] == '"':
            result.append(element[1:-1])
        elif word in ("MONTH", "MON", "DAY", "DY"):
            result.append(_named(moment, word, element, fill))
        elif word in _WRITERS:
            written = _WRITERS[word](moment)
            result.append(written if fill else written.lstrip("0") or "0")
        elif word.startswith("FF"):
            result.append(f"{nanos:09d}"[: int(word[2:] or 6)])
        elif word in "-/,.;: T":
            result.append("." if word == "X" else element)
        elif word == "X":
            result.append(".")
        else:
            raise OracleFault(1821, "date format not recognized")
    return "".join(result)


def _named(moment: datetime, word: str, element: str, fill: bool) -> str:
    if word in ("MONTH", "MON"):
        name = _LONG_MONTHS[moment.month - 1] if word == "MONTH" else _MONTHS[moment.month - 1]
    else:
        name = _DAYS[moment.weekday()] if word == "DAY" else _DAYS[moment.weekday()][:3]
    text = _cased(name, element)
    return text.ljust(9) if fill and word in ("MONTH", "DAY") else text


def _offset(moment: datetime) -> tuple[str, str]:
    minutes = int((moment.utcoffset() or timedelta()).total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    hours, rest = divmod(abs(minutes), 60)
    return f"{sign}{hours:02d}", f"{rest:02d}"


_WRITERS: dict[str, Callable[[datetime], str]] = {
    "YYYY": lambda m: f"{m.year:04d}",
    "SYYYY": lambda m: f" {m.year:04d}",
    "RRRR": lambda m: f"{m.year:04d}",
    "YYY": lambda m: f"{m.year % 1000:03d}",
    "YY": lambda m: f"{m.year % 100:02d}",
    "RR": lambda m: f"{m.year % 100:02d}",
    "Y": lambda m: str(m.year % 10),
    "CC": lambda m: f"{(m.year + 99) // 100:02d}",
    "Q": lambda m: str((m.month + 2) // 3),
    "MM": lambda m: f"{m.month:02d}",
    "DD": lambda m: f"{m.day:02d}",
    "DDD": lambda m: f"{m.timetuple().tm_yday:03d}",
    "D": lambda m: str((m.weekday() + 1) % 7 + 1),
    "IW": lambda m: f"{m.isocalendar().week:02d}",
    "WW": lambda m: f"{(m.timetuple().tm_yday + 6) // 7:02d}",
    "J": lambda m: str(m.toordinal() + 1721425),
    "HH24": lambda m: f"{m.hour:02d}",
    "HH12": lambda m: f"{(m.hour + 11) % 12 + 1:02d}",
    "HH": lambda m: f"{(m.hour + 11) % 12 + 1:02d}",
    "MI": lambda m: f"{m.minute:02d}",
    "SS": lambda m: f"{m.second:02d}",
    "SSSSS": lambda m: str(m.hour * 3600 + m.minute * 60 + m.second),
    "AM": lambda m: "AM" if m.hour < 12 else "PM",
    "PM": lambda m: "AM" if m.hour < 12 else "PM",
    "A.M.": lambda m: "A.M." if m.hour < 12 else "P.M.",
    "P.M.": lambda m: "A.M." if m.hour < 12 else "P.M.",
    "TZH": lambda m: _offset(m)[0],
    "TZM": lambda m: _offset(m)[1],
    "TZR": lambda m: ":".join(_offset(m)),
}

_DIGITS = {"YYYY": 4, "RRRR": 4, "SYYYY": 4, "YYY": 3, "YY": 2, "RR": 2, "Y": 1, "MM": 2, "DD": 2, "DDD": 3}
_DIGITS |= {"HH24": 2, "HH12": 2, "HH": 2, "MI": 2, "SS": 2, "SSSSS": 5, "TZM": 2, "J": 7}


@lru_cache(maxsize=65536)
def text_to_date(text: str, form: str, today: datetime) -> tuple[datetime, int, int | None]:
    """TO_DATE and TO_TIMESTAMP: the moment, its nanoseconds, and the zone offset in minutes if given.

    Args:
        text: what to read.
        form: the format model.
        today: supplies year and month where the model has none.

    Raises:
        OracleFault: ORA-01861, 01830, 01843, 01847, 01850, 01821 and kin.
    """
    parts: dict[str, int] = {}
    rest = text.strip()
    for element in _elements(form):
        word = element.upper()
        if word in ("FM", "FX"):
            continue
        if not rest:
            break
        rest = _read_element(rest, word, element, parts)
    if rest.strip():
        raise OracleFault(1830, "date format picture ends before converting entire input string")
    if "MM" not in parts and not text.strip():
        raise OracleFault(1840, "input value not long enough for date format")
    return _moment(parts, today), parts.get("FF", 0), parts.get("TZ")


def _read_element(rest: str, word: str, element: str, parts: dict[str, int]) -> str:
    if word.startswith("FF"):
        return _read_fraction(rest, parts)
    if word in _DIGITS:
        return _read_digits(rest, word, parts)
    if read := _READ.get(word):
        return read(rest, parts)
    if element[0] == '"':
        return rest[len(element) - 2 :]
    if len(element) == 1 and (element in "-/,.;: T" or word == "X"):
        if rest[0].isdigit():
            raise OracleFault(1861, "literal does not match format string")
        return rest[1:]
    raise OracleFault(1821, "date format not recognized")


def _read_month(rest: str, parts: dict[str, int]) -> str:
    for number, name in enumerate(_LONG_MONTHS, 1):
        for form in (name, name[:3]):
            if rest.upper().startswith(form):
                parts["MM"] = number
                return rest[len(form) :]
    raise OracleFault(1843, "not a valid month")


def _read_half_day(rest: str, parts: dict[str, int]) -> str:
    half = re.match(r"[AP]\.?M\.?", rest, re.IGNORECASE)
    if not half:
        raise OracleFault(1855, "AM/A.M. or PM/P.M. required")
    parts["PM"] = int(half.group()[0].upper() == "P")
    return rest[half.end() :]


def _read_fraction(rest: str, parts: dict[str, int]) -> str:
    digits = re.match(r"\d{0,9}", rest)
    found = digits.group() if digits else ""
    parts["FF"] = int(found.ljust(9, "0")) if found else 0
    return rest[len(found) :]


def _read_zone(rest: str, parts: dict[str, int], pattern: str) -> str:
    zone = re.match(pattern, rest)
    if not zone:
        raise OracleFault(1882, "timezone region not found")
    sign, hours, minutes = zone.group(1), int(zone.group(2)), int(zone.group(3) or 0)
    parts["TZ"] = (hours * 60 + minutes) * (-1 if sign == "-" else 1)
    return rest[zone.end() :]


def _read_digits(rest: str, word: str, parts: dict[str, int]) -> str:
    digits = re.match(rf"\s*(\d{{1,{_DIGITS[word]}}})", rest)
    if not digits:
        raise OracleFault(1858, "a non-numeric character was found where a numeric was expected")
    number = int(digits.group(1))
    if word == "TZM":
        parts["TZ"] = parts.get("TZ", 0) + (-number if parts.get("TZ", 0) < 0 else number)
    elif word in ("RR", "RRRR") and len(digits.group(1)) <= 2:
        parts["YYYY"] = number + (2000 if number < 50 else 1900)
    else:
        parts[{"RRRR": "YYYY", "HH": "HH12", "SYYYY": "YYYY"}.get(word, word)] = number
    return rest[digits.end() :]


_READ: dict[str, Callable[[str, dict[str, int]], str]] = {
    **dict.fromkeys(("MON", "MONTH"), _read_month),
    **dict.fromkeys(("AM", "PM", "A.M.", "P.M."), _read_half_day),
    "TZH": partial(_read_zone, pattern=r"([+-]?)(\d{1,2})()"),
    "TZR": partial(_read_zone, pattern=r"([+-]?)(\d{1,2})(?::(\d{2}))?"),
}


def _moment(parts: dict[str, int], today: datetime) -> datetime:
    year = parts.get("YYYY", today.year)
    if "YY" in parts:
        year = today.year // 100 * 100 + parts["YY"]
    hour = parts.get("HH24", 0)
    if "HH12" in parts:
        hour = parts["HH12"] % 12 + 12 * parts.get("PM", 0)
    month = parts.get("MM", 1 if "YYYY" in parts and "DD" in parts else today.month)
    if "J" in parts:
        return datetime.fromordinal(parts["J"] - 1721425)
    for name, low, high, code, complaint in _LIMITS:
        if name in parts and not low <= parts[name] <= high:
            raise OracleFault(code, complaint)
    if not 1 <= year <= 9999:
        raise OracleFault(1841, "(full) year must be between -4713 and +9999, and not be 0")
    seconds = parts.get("SSSSS")
    try:
        day = datetime(year, month, parts.get("DD", 1), hour, parts.get("MI", 0), parts.get("SS", 0))  # noqa: DTZ001
    except ValueError:
        raise OracleFault(1839, "date not valid for month specified") from None
    if "DDD" in parts:
        day = day.replace(month=1, day=1) + timedelta(days=parts["DDD"] - 1)
    return day if seconds is None else day.replace(hour=0, minute=0, second=0) + timedelta(seconds=seconds)


_LIMITS = (
    ("MM", 1, 12, 1843, "not a valid month"),
    ("DD", 1, 31, 1847, "day of month must be between 1 and last day of month"),
    ("HH24", 0, 23, 1850, "hour must be between 0 and 23"),
    ("HH12", 1, 12, 1849, "hour must be between 1 and 12"),
    ("MI", 0, 59, 1851, "minutes must be between 0 and 59"),
    ("SS", 0, 59, 1852, "seconds must be between 0 and 59"),
)


def moment_of(cell: bytes) -> datetime:
    """Moment of a cell as TO_CHAR shows it: with its zone when it has one."""
    return cells.decode_timestamp_tz(cell) if len(cell) == 13 else cells.decode_date(cell)


def zoned_cell(moment: datetime, nanos: int, offset_minutes: int) -> bytes:
    """TIMESTAMP WITH TIME ZONE cell of local fields and an offset."""
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    cell = cells.encode_timestamp_tz(aware)
    return cell[:7] + nanos.to_bytes(4, "big") + cell[11:]


def local_cell(cell: bytes) -> bytes:
    """The local fields of a TIMESTAMP WITH TIME ZONE cell as a TIMESTAMP."""
    local = cells.decode_timestamp_tz(cell).replace(tzinfo=None)
    return cells.encode_timestamp(local, cells.nanoseconds(cell))


def number_to_text(value: Decimal, form: str) -> str:
    """TO_CHAR of a number with a format model."""
    model = form.upper()
    fill = not model.startswith("FM")
    model = model.removeprefix("FM")
    if model in ("TM", "TM9", "TME"):
        return _text_minimum(value, scientific=model == "TME")
    if re.fullmatch(r"X+", model):
        return f"{int(value):X}".rjust(len(model) + 1 if fill else 0)
    if not re.fullmatch(r"[S]?[$L]?[90,G]*(?:[.D][90]*)?(?:MI|PR|S)?", model):
        raise OracleFault(1481, "invalid number format model")
    whole, _, fraction = model.replace("G", ",").replace("D", ".").strip("SLMIPR$").partition(".")
    rounded = abs(value).quantize(Decimal(1).scaleb(-len(fraction)), rounding=ROUND_HALF_UP)
    digits, _, decimals = f"{rounded:f}".partition(".")
    digits = digits.lstrip("0")
    places = whole.replace(",", "")
    if len(digits) > len(places):
        return "#" * (len(model) + 1)
    zeros = len(places) - places.find("0") if "0" in places else 0
    digits = digits.rjust(zeros, "0")
    if not digits and not fraction:
        digits = "0"
    written, at = "", len(digits)
    for mark in reversed(whole):
        if at <= 0:
            break
        if mark == ",":
            written = "," + written
        else:
            at -= 1
            written = digits[at] + written
    if fraction:
        written += "." + (decimals if fill else decimals.rstrip("0").ljust(fraction.rfind("0") + 1, "0"))
    negative = value < 0 and rounded != 0
    if model.startswith("S"):
        return ("-" if negative else "+") + written
    if model.endswith("MI"):
        return written + ("-" if negative else " ")
    result = ("-" if negative else "") + written
    return result.rjust(len(whole) + (1 + len(fraction) if fraction else 0) + 1) if fill else result


def _text_minimum(value: Decimal, *, scientific: bool) -> str:
    """TM9: fixed notation without a zero before the point, unless that is longer than 64 characters."""
    plain = f"{value:f}"
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    plain = re.sub(r"^(-?)0\.", r"\1.", plain)
    if not scientific and len(plain) <= 64:
        return plain
    sign, digits, _ = cells.NUMBER_CONTEXT.normalize(value).as_tuple()
    mantissa = "".join(map(str, digits))
    power = value.adjusted() if value else 0
    shown = mantissa[0] + (f".{mantissa[1:]}" if len(mantissa) > 1 else "")
    return f"{'-' if sign else ''}{shown}E{power:+03d}"


def utc(seconds: float) -> datetime:
    """Aware moment of seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)
