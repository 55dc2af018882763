"""Types of columns and values, and the two rules that depend on them: what fits, and what compares."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache

from sandbox.oracle import cells
from sandbox.oracle.engine.sql.syntax import TypeName
from sandbox.oracle.interface import Column, DbType, OracleFault

Family = str
"""text, number, time, raw, interval or months: within a family cells compare as they are."""

_FAMILIES: dict[DbType, Family] = {
    DbType.VARCHAR2: "text",
    DbType.CHAR: "text",
    DbType.LONG: "text",
    DbType.CLOB: "text",
    DbType.ROWID: "text",
    DbType.NUMBER: "number",
    DbType.BINARY_FLOAT: "binary",
    DbType.BINARY_DOUBLE: "binary",
    DbType.DATE: "time",
    DbType.TIMESTAMP: "time",
    DbType.TIMESTAMP_LTZ: "time",
    DbType.TIMESTAMP_TZ: "zoned",
    DbType.RAW: "raw",
    DbType.LONG_RAW: "raw",
    DbType.BLOB: "raw",
    DbType.INTERVAL_DS: "interval",
    DbType.INTERVAL_YM: "months",
}


@dataclass(frozen=True, slots=True)
class SqlType:
    """A type with its limits.

    Attributes:
        base: how its values are stored and sent.
        size: bytes.
        chars: of text.
        precision, scale: of numbers, scale -127 for one without (then `precision` is that of a FLOAT, in
            bits); of intervals the digits of the leading field and of the fraction of seconds.
        opaque: name of a type that LogMiner does not show; it is stored and sent as text.
        national: text of the national character set, sent and logged as UTF-16.
    """

    base: DbType
    size: int = 22
    chars: int = 0
    precision: int = 0
    scale: int = -127
    opaque: str = ""
    national: bool = False

    @property
    def family(self) -> Family:
        """What its cells may be compared with."""
        return _FAMILIES[self.base]

    def column(self, name: str, *, nullable: bool = True) -> Column:
        """Describe a column of this type."""
        size = max(1, self.size)
        if self.base in (DbType.CLOB, DbType.BLOB):
            size = 4000
        return Column(
            name, self.base, size, self.chars, self.precision, self.scale, nullable, national=self.national
        )


LOBS = (DbType.CLOB, DbType.BLOB, DbType.LONG, DbType.LONG_RAW)


def is_extended(kind: SqlType) -> bool:
    """Is it a type that needs MAX_STRING_SIZE=EXTENDED?"""
    return (kind.base is DbType.VARCHAR2 and kind.size > 4000) or (
        kind.base is DbType.RAW and kind.size > 2000
    )


def text(chars: int = 1000, base: DbType = DbType.VARCHAR2) -> SqlType:
    """A text of so many characters of up to four bytes."""
    chars = max(chars, 1)
    return SqlType(base, min(chars * 4, 4000 if chars <= 4000 else 32767), chars, 0, 0)


NUMBER = SqlType(DbType.NUMBER)
DATE = SqlType(DbType.DATE, 7, 0, 0, 0)
TIMESTAMP = SqlType(DbType.TIMESTAMP, 11, 0, 0, 6)
TIMESTAMP_TZ = SqlType(DbType.TIMESTAMP_TZ, 13, 0, 0, 6)
ROWID = SqlType(DbType.ROWID, 18, 18, 0, 0)
VARCHAR = text(4000 // 4)
CLOB = SqlType(DbType.CLOB, 4000, 0, 0, 0)
INTERVAL = SqlType(DbType.INTERVAL_DS, 11, 0, 9, 9)
MONTHS = SqlType(DbType.INTERVAL_YM, 5, 0, 9, 0)


def raw(size: int) -> SqlType:
    """RAW(size)."""
    return SqlType(DbType.RAW, size, 0, 0, 0)


_ANSI = {
    "CHARACTER": "CHAR",
    "CHARACTER VARYING": "VARCHAR2",
    "CHAR VARYING": "VARCHAR2",
    "VARCHAR": "VARCHAR2",
    "NATIONAL CHARACTER": "NCHAR",
    "NATIONAL CHAR": "NCHAR",
    "NATIONAL CHARACTER VARYING": "NVARCHAR2",
    "NATIONAL CHAR VARYING": "NVARCHAR2",
    "NCHAR VARYING": "NVARCHAR2",
    **dict.fromkeys(("NUMERIC", "DECIMAL", "DEC"), "DECIMAL"),
    **dict.fromkeys(("INTEGER", "INT", "SMALLINT"), "INTEGER"),
    "DOUBLE PRECISION": "FLOAT",
    "LONG VARCHAR": "LONG",
}
"""Source: Oracle Database SQL Language Reference 19c, "ANSI, DB2, and SQL/DS Data Types"."""
_TEXTS = {
    "VARCHAR2": DbType.VARCHAR2,
    "NVARCHAR2": DbType.VARCHAR2,
    "CHAR": DbType.CHAR,
    "NCHAR": DbType.CHAR,
}
_FIXED = {
    "DATE": DATE,
    "CLOB": CLOB,
    "NCLOB": CLOB,
    "BLOB": SqlType(DbType.BLOB, 4000, 0, 0, 0),
    "LONG": SqlType(DbType.LONG, 32767, 0, 0, 0),
    "LONG RAW": SqlType(DbType.LONG_RAW, 32767, 0, 0, 0),
    "BINARY_DOUBLE": SqlType(DbType.BINARY_DOUBLE, 8, 0, 0, 0),
    "BINARY_FLOAT": SqlType(DbType.BINARY_FLOAT, 4, 0, 0, 0),
    "REAL": SqlType(DbType.NUMBER, 22, 0, 63, -127),
    "INTEGER": SqlType(DbType.NUMBER, 22, 0, 38, 0),
    "ROWID": ROWID,
    **{name: SqlType(DbType.CLOB, 4000, 0, 0, 0, name) for name in ("XMLTYPE", "JSON", "VECTOR", "BFILE")},
    "UROWID": SqlType(DbType.VARCHAR2, 4000, 4000, 0, 0, "UROWID"),
    "BOOLEAN": SqlType(DbType.VARCHAR2, 5, 5, 0, 0, "BOOLEAN"),
}
_TIMES = {
    "TIMESTAMP": (DbType.TIMESTAMP, 11),
    "TIMESTAMP WITH TIME ZONE": (DbType.TIMESTAMP_TZ, 13),
    "TIMESTAMP WITH LOCAL TIME ZONE": (DbType.TIMESTAMP_LTZ, 11),
}


def from_name(written: TypeName) -> SqlType:
    """Type of a column definition or CAST; lengths of text are characters.

    Raises:
        OracleFault: ORA-00902 for a type the stand-in does not have, ORA-00907 for numbers a type does
            not take, ORA-01727, 01728, 01724, 30088, 02000 and 00910 for their limits.
    """
    name, numbers = _ANSI.get(written.name, written.name), written.numbers
    most = _NUMBERS_TAKEN.get(name, 0)
    if name not in (*_FIXED, *_NUMBERS_TAKEN):
        raise OracleFault(902, "invalid datatype")
    if len(numbers) > most and name not in ("UROWID", "VECTOR"):
        raise OracleFault(907, "missing right parenthesis")
    if name in _FIXED:
        return _FIXED[name]
    if name in _TEXTS or name == "RAW":
        return _sized(name, numbers)
    if name in ("NUMBER", "DECIMAL"):
        return _decimal(name, numbers)
    if name == "FLOAT":
        bits = numbers[0] if numbers else 126
        if not 1 <= bits <= 126:
            raise OracleFault(1724, "floating point precision is out of range (1 to 126)")
        return SqlType(DbType.NUMBER, 22, 0, bits, -127)
    if name in _TIMES:
        base, size = _TIMES[name]
        return SqlType(base, size, 0, 0, _digits(numbers, 0, 6))
    leading = _digits(numbers, 0, 2)
    if name == "INTERVAL YEAR TO MONTH":
        return SqlType(DbType.INTERVAL_YM, 5, 0, leading, 0)
    return SqlType(DbType.INTERVAL_DS, 11, 0, leading, _digits(numbers, 1, 6))


_NUMBERS_TAKEN = {
    **dict.fromkeys((*_TEXTS, *_TIMES, "RAW", "FLOAT", "INTERVAL YEAR TO MONTH"), 1),
    **dict.fromkeys(("NUMBER", "DECIMAL", "INTERVAL DAY TO SECOND"), 2),
}


def _sized(name: str, numbers: tuple[int, ...]) -> SqlType:
    if not numbers and name not in ("CHAR", "NCHAR"):
        raise OracleFault(906, "missing left parenthesis")
    length = numbers[0] if numbers else 1
    if length < 1:
        raise OracleFault(1723, "zero-length columns are not allowed")
    if length > (2000 if name in ("CHAR", "NCHAR") else 32767):
        raise OracleFault(910, "specified length too long for its datatype")
    if name == "RAW":
        return raw(length)
    return replace(text(length, _TEXTS[name]), national=name.startswith("N"))


def _decimal(name: str, numbers: tuple[int, ...]) -> SqlType:
    if not numbers:
        return NUMBER if name == "NUMBER" else _FIXED["INTEGER"]
    precision, scale = numbers[0], numbers[1] if len(numbers) > 1 else 0
    if not 1 <= precision <= 38:
        raise OracleFault(1727, "numeric precision specifier is out of range (1 to 38)")
    if not -84 <= scale <= 127:
        raise OracleFault(1728, "numeric scale specifier is out of range (-84 to 127)")
    return SqlType(DbType.NUMBER, 22, 0, precision, scale)


def _digits(numbers: tuple[int, ...], place: int, default: int) -> int:
    """Digits of a leading field or of a fraction: -1 stands for none given."""
    given = numbers[place] if place < len(numbers) and numbers[place] >= 0 else default
    if given > 9:
        raise OracleFault(30088, "datetime/interval precision is out of range")
    return given


def pad(cell: bytes, chars: int) -> bytes:
    """Blank-pad a CHAR to its length in characters."""
    if cell.isascii():
        return cell.ljust(chars)
    missing = chars - len(cell.decode(errors=cells.AS_IT_IS))
    return cell + b" " * missing if missing > 0 else cell


def fits_number(cell: bytes, precision: int, scale: int) -> bool:
    """Does a NUMBER cell fit NUMBER(precision, scale) without rounding? Looks at digits only."""
    if not cell[0] & 0x80:
        return False  # negative: the slow way decides
    pairs = cell[0] - 192
    if 2 * pairs > precision - scale and (
        2 * pairs - (len(cell) > 1 and cell[1] <= 10) > precision - scale and len(cell) > 1
    ):
        return False
    fraction = 2 * (len(cell) - 1 - pairs)
    return fraction <= scale or (fraction == scale + 1 and (cell[-1] - 1) % 10 == 0)


@lru_cache(maxsize=65536)
def round_float(cell: bytes, bits: int) -> bytes:
    """Round to the decimal digits that a FLOAT of so many bits keeps."""
    value = cells.decode_number(cell)
    digits = math.ceil(bits * _DIGITS_PER_BIT)
    return cells.encode_number(Context(prec=digits, rounding=ROUND_HALF_UP).plus(value))


_DIGITS_PER_BIT = 0.30103


@lru_cache(maxsize=65536)
def round_number(cell: bytes, precision: int, scale: int) -> bytes | None:
    """Round to a scale, half away from zero; None when it does not fit the precision."""
    value = cells.decode_number(cell)
    rounded = value.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP, context=cells.NUMBER_CONTEXT)
    if abs(rounded) >= Decimal(10) ** (precision - scale):
        return None
    return cells.encode_number(rounded)
