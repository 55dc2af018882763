"""Cells: the wire encoding of Oracle values, the form in which they are stored, compared and sent.

A cell is the bytes behind the length prefix, None for NULL. NUMBER, DATE, TIMESTAMP and text cells
order like their values, so the store compares bytes and never decodes to find a row. ROWID cells are
the 18 characters of the row id; CLOB cells the whole text; BLOB cells the whole value.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Context, Decimal
from functools import lru_cache

from sandbox.oracle.interface import Cell, DbType

Value = Decimal | int | float | str | bytes | datetime | timedelta | None

ZERO = b"\x80"
NUMBER_CONTEXT = Context(prec=40)
"""Oracle keeps 20 base 100 digits: 39 or 40 decimal digits."""

_NEGATIVE = bytes.maketrans(bytes(range(256)), bytes(255 - n for n in range(256)))
_PAIRS = [f"{n:02d}" for n in range(100)]
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BASE64_PAIRS = [first + second for first in _BASE64 for second in _BASE64]


def encode_number(value: Decimal | int) -> bytes:
    """NUMBER cell of an exact value, rounded to 20 base 100 digits (half away from zero).

    Raises:
        ValueError: not a finite number, or outside 1e-130 .. 1e126.
    """
    if isinstance(value, int):
        return _encode_integer(value)
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError("not a finite number")
    text = "".join(map(str, digits)).lstrip("0")
    if not text:
        return ZERO
    if exponent % 2:
        text, exponent = text + "0", exponent - 1
    return _encode_pairs(sign, text, exponent // 2)


def _encode_integer(value: int) -> bytes:
    if value <= 0 or value >= 10**30:
        return ZERO if value == 0 else _encode_pairs(int(value < 0), str(abs(value)), 0)
    pairs: list[int] = []
    count = 0
    while value:
        value, pair = divmod(value, 100)
        count += 1
        if pair or pairs:
            pairs.append(pair + 1)
    pairs.append(192 + count)
    pairs.reverse()
    return bytes(pairs)


def _encode_pairs(sign: int, text: str, exponent: int) -> bytes:
    """Encode 0.text times 100 to the power of the given exponent, counted from the right."""
    if len(text) % 2:
        text = "0" + text
    pairs = [int(text[at : at + 2]) for at in range(0, len(text), 2)]
    exponent += len(pairs)
    if len(pairs) > 20:
        carry = pairs[20] >= 50
        pairs = pairs[:20]
        at = 19
        while carry and at >= 0:
            pairs[at] += 1
            carry = pairs[at] == 100
            pairs[at] %= 100
            at -= 1
        if carry:
            pairs, exponent = [1], exponent + 1
    while pairs and pairs[-1] == 0:
        pairs.pop()
    if exponent > 63:
        raise ValueError("number too large")
    if exponent < -64:
        return ZERO
    if sign:
        cell = bytes([255 - (192 + exponent), *(101 - pair for pair in pairs)])
        return cell + b"\x66" if len(pairs) < 20 else cell
    return bytes([192 + exponent, *(pair + 1 for pair in pairs)])


def decode_number(cell: bytes) -> Decimal:
    """Exact value of a NUMBER cell."""
    if cell == ZERO:
        return Decimal(0)
    text, exponent = _digits(cell)
    return Decimal(f"{text}E{exponent}")


@lru_cache(maxsize=65536)
def decode_integer(cell: bytes) -> int:
    """Value of a NUMBER cell, cut towards zero."""
    return int(decode_number(cell))


def _digits(cell: bytes) -> tuple[str, int]:
    """Signed decimal digits without a point, and the power of ten they are multiplied with."""
    if cell[0] & 0x80:
        digits = "".join([_PAIRS[byte - 1] for byte in cell[1:]])
        return digits, 2 * (cell[0] - 192 - len(cell) + 1)
    body = cell[1:-1] if cell[-1] == 0x66 else cell[1:]
    if not body:
        return "-1", 126  # a single byte 00 is the smallest number
    digits = "".join([_PAIRS[101 - byte] for byte in body])
    return "-" + digits, 2 * (63 - cell[0] - len(body))


@lru_cache(maxsize=131072)
def number_text(cell: bytes) -> str:
    """Oracle's text of a NUMBER: no leading zero before the point, no exponent below 40 digits."""
    if cell == ZERO:
        return "0"
    digits, exponent = _digits(cell)
    sign = ""
    if digits[0] == "-":
        sign, digits = "-", digits[1:]
    if exponent >= 0:
        digits = digits.lstrip("0") + "0" * exponent
        if len(digits) > 40:
            significant = digits.rstrip("0")
            fraction = f".{significant[1:]}" if len(significant) > 1 else ""
            return f"{sign}{significant[0]}{fraction}E+{len(digits) - 1}"
        return sign + digits
    digits = digits.rjust(-exponent, "0")
    whole, fraction = digits[:exponent].lstrip("0"), digits[exponent:].rstrip("0")
    if not whole and len(fraction) > 40:
        significant = fraction.lstrip("0")
        power = len(fraction) - len(significant) + 1
        rest = f".{significant[1:]}" if len(significant) > 1 else ""
        return f"{sign}{significant[0]}{rest}E-{power:02d}"
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole


def encode_date(value: date) -> bytes:
    """DATE cell: seven bytes, to the second, no zone."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001
    return bytes(
        (
            value.year // 100 + 100,
            value.year % 100 + 100,
            value.month,
            value.day,
            value.hour + 1,
            value.minute + 1,
            value.second + 1,
        )
    )


def encode_timestamp(value: date, nanoseconds: int | None = None) -> bytes:
    """TIMESTAMP cell: seven bytes when the fraction is zero, else eleven."""
    if nanoseconds is None:
        nanoseconds = value.microsecond * 1000 if isinstance(value, datetime) else 0
    head = encode_date(value)
    return head + struct.pack(">I", nanoseconds) if nanoseconds else head


def encode_timestamp_tz(value: datetime) -> bytes:
    """TIMESTAMP WITH TIME ZONE cell: thirteen bytes, the fields in UTC; a naive value is UTC."""
    offset = (value.utcoffset() or timedelta()).total_seconds() / 60
    hours, minutes = divmod(abs(int(offset)), 60)
    if offset < 0:
        hours, minutes = -hours, -minutes
    years = _out_of_calendar(value.year)
    moment = value.replace(year=value.year - years, tzinfo=None) - timedelta(minutes=offset)
    century, year = divmod(moment.year + years, 100)
    head = bytes((century + 100, year + 100)) + encode_date(moment)[2:]
    return head + struct.pack(">I", moment.microsecond * 1000) + bytes((hours + 20, minutes + 60))


def _out_of_calendar(year: int) -> int:
    """Whole cycles of the calendar to leave out of a year whose UTC may lie outside of Python's years."""
    return 400 if year > 9000 else -400 if year < 400 else 0


def decode_date(cell: bytes) -> datetime:
    """Naive time of a DATE, TIMESTAMP or TIMESTAMP WITH TIME ZONE (then UTC) cell, to microseconds."""
    century, year, month, day, hour, minute, second = cell[:7]
    micros = struct.unpack(">I", cell[7:11])[0] // 1000 if len(cell) >= 11 else 0
    full_year = (century - 100) * 100 + year - 100
    return datetime(full_year, month, day, hour - 1, minute - 1, second - 1, micros)  # noqa: DTZ001


def nanoseconds(cell: bytes) -> int:
    """Fraction of a TIMESTAMP cell."""
    return int.from_bytes(cell[7:11], "big") if len(cell) >= 11 else 0


def decode_timestamp_tz(cell: bytes) -> datetime:
    """Aware time of a TIMESTAMP WITH TIME ZONE cell, in its own offset."""
    offset = timedelta(hours=(cell[11] & 0x3F) - 20, minutes=cell[12] - 60) if len(cell) > 12 else timedelta()
    year = (cell[0] - 100) * 100 + cell[1] - 100
    years = _out_of_calendar(year)
    century, rest = divmod(year - years, 100)
    local = decode_date(bytes((century + 100, rest + 100)) + cell[2:]) + offset
    return local.replace(year=local.year + years, tzinfo=timezone(offset))


@lru_cache(maxsize=131072)
def date_text(cell: bytes) -> str:
    """`2024-02-29 10:11:12` of a DATE or TIMESTAMP cell, without its fraction."""
    century, year, month, day, hour, minute, second = cell[:7]
    full_year = (century - 100) * 100 + year - 100
    return f"{full_year:04d}-{month:02d}-{day:02d} {hour - 1:02d}:{minute - 1:02d}:{second - 1:02d}"


def encode_binary_double(value: float) -> bytes:
    """BINARY_DOUBLE cell, ordered like its value."""
    raw = struct.pack(">d", value)
    return raw.translate(_NEGATIVE) if raw[0] & 0x80 else bytes([raw[0] | 0x80]) + raw[1:]


def decode_binary_double(cell: bytes) -> float:
    """Value of a BINARY_DOUBLE or BINARY_FLOAT cell."""
    raw = bytes([cell[0] & 0x7F]) + cell[1:] if cell[0] & 0x80 else cell.translate(_NEGATIVE)
    return float(struct.unpack(">d" if len(raw) == 8 else ">f", raw)[0])


def encode_binary_float(value: float) -> bytes:
    """BINARY_FLOAT cell."""
    raw = struct.pack(">f", value)
    return raw.translate(_NEGATIVE) if raw[0] & 0x80 else bytes([raw[0] | 0x80]) + raw[1:]


def encode_interval_ds(value: timedelta) -> bytes:
    """INTERVAL DAY TO SECOND cell of a value to the microsecond."""
    return interval_of_nanoseconds((value // timedelta(microseconds=1)) * 1000)


def decode_interval_ds(cell: bytes) -> timedelta:
    """Value of an INTERVAL DAY TO SECOND cell."""
    return timedelta(microseconds=interval_nanoseconds(cell) // 1000)


def encode_interval_ym(months: int) -> bytes:
    """INTERVAL YEAR TO MONTH cell of a number of months; both parts carry the sign."""
    years, rest = divmod(abs(months), 12)
    sign = -1 if months < 0 else 1
    return struct.pack(">IB", sign * years + 2**31, sign * rest + 60)


def decode_interval_ym(cell: bytes) -> int:
    """Months of an INTERVAL YEAR TO MONTH cell."""
    years, months = struct.unpack(">IB", cell)
    return int((years - 2**31) * 12 + months - 60)


def interval_nanoseconds(cell: bytes) -> int:
    """Whole INTERVAL DAY TO SECOND cell in nanoseconds."""
    days, hours, minutes, seconds, nanos = struct.unpack(">I3BI", cell)
    whole = ((days - 2**31) * 24 + hours - 60) * 3600 + (minutes - 60) * 60 + seconds - 60
    return int(whole * 1_000_000_000 + nanos - 2**31)


def interval_of_nanoseconds(nanoseconds: int) -> bytes:
    """INTERVAL DAY TO SECOND cell; every part carries the sign."""
    sign = -1 if nanoseconds < 0 else 1
    seconds, nanos = divmod(abs(nanoseconds), 1_000_000_000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    parts = (sign * part + 60 for part in (hour, minute, second))
    return struct.pack(">I3BI", sign * days + 2**31, *parts, sign * nanos + 2**31)


def rowid_text(data_object: int, file: int, block: int, slot: int) -> str:
    """The 18 characters of a row id."""
    pairs = _BASE64_PAIRS
    return (
        f"{pairs[data_object >> 24 & 4095]}{pairs[data_object >> 12 & 4095]}{pairs[data_object & 4095]}"
        f"{_BASE64[file >> 12 & 63]}{pairs[file & 4095]}"
        f"{pairs[block >> 24 & 4095]}{pairs[block >> 12 & 4095]}{pairs[block & 4095]}"
        f"{_BASE64[slot >> 12 & 63]}{pairs[slot & 4095]}"
    )


def rowid_parts(text: str) -> tuple[int, int, int, int]:
    """Data object, file, block and slot of a row id.

    Raises:
        ValueError: not 18 characters of the row id alphabet.
    """
    if len(text) != 18:
        raise ValueError("invalid ROWID")
    parts, at = [], 0
    for places in (6, 3, 6, 3):
        number = 0
        for character in text[at : at + places]:
            number = number << 6 | _BASE64.index(character)
        parts.append(number)
        at += places
    return parts[0], parts[1], parts[2], parts[3]


def encode(value: Value, kind: DbType) -> Cell:
    """Cell of a Python value for a type; '' becomes NULL as in Oracle.

    Raises:
        ValueError: the value does not fit the type.
    """
    if value is None or value in ("", b""):
        return None
    encoder = _ENCODERS.get(kind)
    if encoder is None:
        raise ValueError(f"no encoding for {kind.name}")
    return encoder(value)


def decode(cell: Cell, kind: DbType) -> Value:
    """Python value of a cell: Decimal, str, bytes, datetime (naive but for zones), float, timedelta."""
    if cell is None:
        return None
    return _DECODERS[kind](cell)


def _encode_any_number(value: Value) -> bytes:
    if isinstance(value, float):
        return encode_number(Decimal(repr(value)))
    if isinstance(value, str):
        return encode_number(Decimal(value))
    if isinstance(value, Decimal | int):
        return encode_number(value)
    raise ValueError(f"no number: {type(value).__name__}")


AS_IT_IS = "surrogateescape"
"""Codec errors for cells of text: their bytes need not be UTF-8, and come out as they went in."""


def _encode_text(value: Value) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors=AS_IT_IS)


def _dated(encoder: Callable[[datetime], bytes]) -> Callable[[Value], bytes]:
    def encode_dated(value: Value) -> bytes:
        if not isinstance(value, date):
            raise ValueError(f"no date: {type(value).__name__}")
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001
        return encoder(moment)

    return encode_dated


def _encode_raw(value: Value) -> bytes:
    return value if isinstance(value, bytes) else bytes.fromhex(str(value))


def _encode_months(value: Value) -> bytes:
    if not isinstance(value, int):
        raise ValueError("no number of months")
    return encode_interval_ym(value)


def _encode_interval(value: Value) -> bytes:
    if not isinstance(value, timedelta):
        raise ValueError("no interval")
    return encode_interval_ds(value)


_ENCODERS: dict[DbType, Callable[[Value], bytes]] = {
    DbType.NUMBER: _encode_any_number,
    DbType.VARCHAR2: _encode_text,
    DbType.CHAR: _encode_text,
    DbType.LONG: _encode_text,
    DbType.CLOB: _encode_text,
    DbType.ROWID: _encode_text,
    DbType.RAW: _encode_raw,
    DbType.LONG_RAW: _encode_raw,
    DbType.BLOB: _encode_raw,
    DbType.DATE: _dated(encode_date),
    DbType.TIMESTAMP: _dated(encode_timestamp),
    DbType.TIMESTAMP_LTZ: _dated(encode_timestamp),
    DbType.TIMESTAMP_TZ: _dated(encode_timestamp_tz),
    DbType.BINARY_DOUBLE: lambda value: encode_binary_double(float(str(value))),
    DbType.BINARY_FLOAT: lambda value: encode_binary_float(float(str(value))),
    DbType.INTERVAL_DS: _encode_interval,
    DbType.INTERVAL_YM: _encode_months,
}

_DECODERS: dict[DbType, Callable[[bytes], Value]] = {
    DbType.NUMBER: decode_number,
    DbType.VARCHAR2: bytes.decode,
    DbType.CHAR: bytes.decode,
    DbType.LONG: bytes.decode,
    DbType.CLOB: bytes.decode,
    DbType.ROWID: bytes.decode,
    DbType.RAW: bytes,
    DbType.LONG_RAW: bytes,
    DbType.BLOB: bytes,
    DbType.DATE: decode_date,
    DbType.TIMESTAMP: decode_date,
    DbType.TIMESTAMP_LTZ: decode_date,
    DbType.TIMESTAMP_TZ: decode_timestamp_tz,
    DbType.BINARY_DOUBLE: decode_binary_double,
    DbType.BINARY_FLOAT: decode_binary_double,
    DbType.INTERVAL_DS: decode_interval_ds,
    DbType.INTERVAL_YM: decode_interval_ym,
}
