"""Types of columns and values, and the two rules that depend on them: what fits, and what compares.

Read next: `conversions` (from one type to another), `expressions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from sandbox.oracle import cells
from sandbox.oracle.engine.syntax import TypeName
from sandbox.oracle.interface import Column, DbType, OracleFault

Family = str
"""text, number, time, raw or interval: within a family cells compare as they are."""

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
    DbType.INTERVAL_YM: "interval",
}


@dataclass(frozen=True, slots=True)
class SqlType:
    """A type with its limits; `chars` for text, scale -127 for a NUMBER without limits."""

    base: DbType
    size: int = 22
    chars: int = 0
    precision: int = 0
    scale: int = -127

    @property
    def family(self) -> Family:
        """What its cells may be compared with."""
        return _FAMILIES[self.base]

    def column(self, name: str, *, nullable: bool = True) -> Column:
        """Describe a column of this type."""
        size = max(1, self.size)
        if self.base in (DbType.CLOB, DbType.BLOB):
            size = 4000
        return Column(name, self.base, size, self.chars, self.precision, self.scale, nullable)


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
INTERVAL = SqlType(DbType.INTERVAL_DS, 11, 0, 2, 6)


def raw(size: int) -> SqlType:
    """RAW(size)."""
    return SqlType(DbType.RAW, size, 0, 0, 0)


_WHOLE = {"INTEGER", "INT", "SMALLINT"}
_TEXTS = {"VARCHAR2": DbType.VARCHAR2, "NVARCHAR2": DbType.VARCHAR2, "VARCHAR": DbType.VARCHAR2}
_CHARS = {"CHAR": DbType.CHAR, "NCHAR": DbType.CHAR}
_FIXED = {
    "DATE": DATE,
    "TIMESTAMP WITH TIME ZONE": TIMESTAMP_TZ,
    "TIMESTAMP WITH LOCAL TIME ZONE": SqlType(DbType.TIMESTAMP_LTZ, 11, 0, 0, 6),
    "CLOB": CLOB,
    "NCLOB": CLOB,
    "BLOB": SqlType(DbType.BLOB, 4000, 0, 0, 0),
    "LONG": SqlType(DbType.LONG, 32767, 0, 0, 0),
    "LONG RAW": SqlType(DbType.LONG_RAW, 32767, 0, 0, 0),
    "BINARY_DOUBLE": SqlType(DbType.BINARY_DOUBLE, 8, 0, 0, 0),
    "BINARY_FLOAT": SqlType(DbType.BINARY_FLOAT, 4, 0, 0, 0),
    "FLOAT": SqlType(DbType.NUMBER, 22, 0, 126, -127),
    "ROWID": ROWID,
    "INTERVAL DAY TO SECOND": INTERVAL,
}


def from_name(written: TypeName) -> SqlType:
    """Type of a column definition or CAST; lengths of text are characters.

    Raises:
        OracleFault: ORA-00902 for a type the stand-in does not have, ORA-01727/00910 for its limits.
    """
    name, numbers = written.name, written.numbers
    if name in ("NUMBER", "NUMERIC", "DECIMAL"):
        if not numbers:
            return NUMBER if name == "NUMBER" else SqlType(DbType.NUMBER, 22, 0, 38, 0)
        if not 1 <= numbers[0] <= 38:
            raise OracleFault(1727, "numeric precision specifier is out of range (1 to 38)")
        return SqlType(DbType.NUMBER, 22, 0, numbers[0], numbers[1] if len(numbers) > 1 else 0)
    if name in _WHOLE:
        return SqlType(DbType.NUMBER, 22, 0, 38, 0)
    if name in _TEXTS or name in _CHARS:
        length = numbers[0] if numbers else 1
        if name in _TEXTS and not numbers:
            raise OracleFault(906, "missing left parenthesis")
        if not 1 <= length <= (2000 if name in _CHARS else 32767):
            raise OracleFault(910, "specified length too long for its datatype")
        return text(length, _TEXTS.get(name) or _CHARS[name])
    if name == "RAW":
        return raw(numbers[0] if numbers else 2000)
    if name == "TIMESTAMP":
        return SqlType(DbType.TIMESTAMP, 11, 0, 0, numbers[0] if numbers else 6)
    if name in _FIXED:
        return _FIXED[name]
    raise OracleFault(902, "invalid datatype")


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
def round_number(cell: bytes, precision: int, scale: int) -> bytes | None:
    """Round to a scale, half away from zero; None when it does not fit the precision."""
    value = cells.decode_number(cell)
    rounded = value.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP, context=cells.NUMBER_CONTEXT)
    if abs(rounded) >= Decimal(10) ** (precision - scale):
        return None
    return cells.encode_number(rounded)
