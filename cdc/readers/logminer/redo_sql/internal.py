"""Oracle's internal bytes of a column value, as undecoded rows hold them in `HEXTORAW('..')`.

Rows older than the last DDL of their table come with `COL n` columns and these bytes. `decode`
gives the text that LogMiner would have written; `cdc.readers.logminer.redo_sql.values` makes it canonical.

Source: Oracle Call Interface Programmer's Guide 19c, "Data Types"; vectors in tests/data.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from cdc.oracle.decoding import ESCAPED
from cdc.readers.logminer.redo_sql.redo_values import RedoSyntaxError


def number(raw: bytes) -> str:
    """NUMBER: an exponent byte, then base-100 digits; negative numbers are complemented."""
    if raw == b"\x80":
        return "0"
    if raw == b"\xff\x65":
        return "Infinity"
    if raw == b"\x00":
        return "-Infinity"
    negative = raw[0] < 0x80
    if negative:
        exponent = 62 - raw[0]
        pairs = [101 - byte for byte in (raw[1:-1] if raw[-1] == 102 else raw[1:])]
    else:
        exponent = raw[0] - 193
        pairs = [byte - 1 for byte in raw[1:]]
    if not pairs or any(not 0 <= pair <= 99 for pair in pairs):
        raise ValueError("not a NUMBER")
    digits = "".join(f"{pair:02d}" for pair in pairs)
    point = 2 * (exponent + 1)
    whole = digits[: max(point, 0)].ljust(max(point, 0), "0").lstrip("0") or "0"
    fraction = ("0" * max(-point, 0) + digits[max(point, 0) :]).rstrip("0")
    text = f"{whole}.{fraction}" if fraction else whole
    return f"-{text}" if negative and text != "0" else text


_DATE_FIELDS = ((1, 12), (1, 31), (0, 23), (0, 59), (0, 59))


def date(raw: bytes) -> str:
    """DATE: century and year excess 100, month, day, then hour, minute, second excess 1."""
    if len(raw) != 7:
        raise ValueError("not a DATE")
    century, year, month, day, hour, minute, second = raw
    full_year = (century - 100) * 100 + (year - 100)
    fields = (month, day, hour - 1, minute - 1, second - 1)
    if not all(least <= field <= most for field, (least, most) in zip(fields, _DATE_FIELDS, strict=True)):
        raise ValueError("not a DATE")
    sign = "-" if full_year < 0 else ""
    return (
        f"{sign}{abs(full_year):04d}-{month:02d}-{day:02d} {hour - 1:02d}:{minute - 1:02d}:{second - 1:02d}"
    )


def timestamp(raw: bytes) -> str:
    """TIMESTAMP: a DATE and nanoseconds; the short form has none."""
    if len(raw) not in (7, 11):
        raise ValueError("not a TIMESTAMP")
    nanoseconds = int.from_bytes(raw[7:11], "big") if len(raw) == 11 else 0
    if nanoseconds >= 10**9:
        raise ValueError("not a TIMESTAMP")
    return f"{date(raw[:7])}.{nanoseconds:09d}"


def timestamp_tz(raw: bytes) -> str:
    """TIMESTAMP WITH TIME ZONE: stored in UTC, then the zone; a named zone is written as UTC."""
    if len(raw) != 13:
        raise ValueError("not a TIMESTAMP WITH TIME ZONE")
    stored = timestamp(raw[:11])
    if raw[11] & 0x80:  # a region number, known to the server only; the instant is the same
        return f"{stored} +00:00"
    offset = (raw[11] - 20) * 60 + raw[12] - 60
    try:
        local = datetime.fromisoformat(stored[:19]) + timedelta(minutes=offset)
    except (ValueError, OverflowError):  # the instant is known, its local time is before year 1 or after 9999
        return f"{stored} +00:00"
    sign = "-" if offset < 0 else "+"
    written = f"{local.year:04d}-{local:%m-%d %H:%M:%S}"  # %Y alone would not pad the year
    return f"{written}{stored[19:]} {sign}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"


def interval_year_to_month(raw: bytes) -> str:
    """INTERVAL YEAR TO MONTH: years excess 2^31, months excess 60."""
    if len(raw) != 5:
        raise ValueError("not an INTERVAL YEAR TO MONTH")
    years, months = int.from_bytes(raw[:4], "big") - 2**31, raw[4] - 60
    sign = "-" if years < 0 or months < 0 else "+"
    return f"{sign}{abs(years):02d}-{abs(months):02d}"


def interval_day_to_second(raw: bytes) -> str:
    """INTERVAL DAY TO SECOND: days excess 2^31, time fields excess 60, nanoseconds excess 2^31."""
    if len(raw) != 11:
        raise ValueError("not an INTERVAL DAY TO SECOND")
    days = int.from_bytes(raw[:4], "big") - 2**31
    hours, minutes, seconds = (byte - 60 for byte in raw[4:7])
    nanoseconds = int.from_bytes(raw[7:], "big") - 2**31
    fields = (days, hours, minutes, seconds, nanoseconds)
    sign = "-" if any(value < 0 for value in fields) else "+"
    days, hours, minutes, seconds, nanoseconds = map(abs, fields)
    return f"{sign}{days:02d} {hours:02d}:{minutes:02d}:{seconds:02d}.{nanoseconds:09d}"


def binary_float(raw: bytes) -> str:
    """BINARY_FLOAT: IEEE 754 with the sign bit set, negative numbers complemented."""
    (value,) = struct.unpack(">f", _ieee(raw, 4))
    if value != value or value in (float("inf"), float("-inf")):
        return _special(value)
    for digits in range(1, 10):  # the shortest text that reads back as the same single
        text = f"{value:.{digits}g}"
        with suppress(OverflowError):  # rounded up, beyond the largest single
            if struct.pack(">f", float(text)) == struct.pack(">f", value):
                return repr(float(text))
    return repr(value)


def binary_double(raw: bytes) -> str:
    """BINARY_DOUBLE: as BINARY_FLOAT with eight bytes."""
    (value,) = struct.unpack(">d", _ieee(raw, 8))
    return _special(value) if value != value or abs(value) == float("inf") else repr(value)


def _ieee(raw: bytes, size: int) -> bytes:
    if len(raw) != size:
        raise ValueError("not a binary floating point number")
    if raw[0] & 0x80:
        return bytes([raw[0] & 0x7F]) + raw[1:]
    return bytes(byte ^ 0xFF for byte in raw)


def _special(value: float) -> str:
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def _text(encoding: str) -> Callable[[bytes], str]:
    return lambda raw: raw.decode(encoding, ESCAPED)


_DECODERS: dict[str, Callable[[bytes], str]] = {
    "NUMBER": number,
    "FLOAT": number,
    "DATE": date,
    "TIMESTAMP": timestamp,
    "TIMESTAMP WITH TIME ZONE": timestamp_tz,
    "TIMESTAMP WITH LOCAL TIME ZONE": lambda raw: f"{timestamp(raw)} +00:00",  # database zone UTC
    "INTERVAL YEAR TO MONTH": interval_year_to_month,
    "INTERVAL DAY TO SECOND": interval_day_to_second,
    "BINARY_FLOAT": binary_float,
    "BINARY_DOUBLE": binary_double,
    "NVARCHAR2": _text("utf-16-be"),
    "NCHAR": _text("utf-16-be"),
    "RAW": bytes.hex,
}


def decode(data_type: str, digits: str, *, charset: str = "utf-8") -> str | None:
    """The text of a value from its internal bytes; None for the empty value, which is NULL.

    Args:
        data_type: as ALL_TAB_COLUMNS.DATA_TYPE names it; precisions such as `TIMESTAMP(6)` are dropped.
        digits: the hexadecimal digits of HEXTORAW.
        charset: Python codec of the database character set, for CHAR and VARCHAR2.

    Raises:
        RedoSyntaxError: an odd number of digits, or bytes that are not a value of that type.
    """
    kind = "".join(part for index, part in enumerate(_split(data_type)) if index % 2 == 0)
    if not digits:
        return None
    try:
        raw = bytes.fromhex(digits)
        if kind in ("CHAR", "VARCHAR2", "VARCHAR", "LONG"):
            return raw.decode(charset, ESCAPED)
        decoder = _DECODERS.get(kind)
        if decoder is None:
            raise RedoSyntaxError(f"no decoder for {kind}", 0)
        return decoder(raw)
    except (ValueError, IndexError, OverflowError, struct.error) as exc:
        if isinstance(exc, RedoSyntaxError):
            raise
        raise RedoSyntaxError(f"bytes are not {kind}", 0) from exc


def _split(data_type: str) -> list[str]:
    """Cut at parentheses: even pieces are outside, `TIMESTAMP(6) WITH TIME ZONE` gives 3."""
    return data_type.replace(")", "(").split("(")
