"""CC&B's own conventions for values, on the way back into its tables.

Oracle Utilities Application Framework (OUAF) columns are nearly all NOT NULL: a missing text is one
blank (Oracle takes '' for NULL), a missing number is 0. CHAR columns are padded; a bind variable is
VARCHAR2, so a comparison with a CHAR column needs the padding. Lengths and kinds differ between
releases, therefore they are read from the dictionary, never assumed.

Source: Oracle Utilities SDK, "Null Constraints"; column lists of several releases.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal

import oracledb

from cdc.errors import OperatorError

Value = str | Decimal | int | datetime | None

IN_LIST_SIZES = (1, 10, 100, 1000)
"""Lengths of IN lists: few, so that the server parses few statements; 1000 is Oracle's limit."""


@dataclass(frozen=True)
class Column:
    """A column as ALL_TAB_COLUMNS has it; `length` in characters, 0 for other than text.

    `defaulted`: the database gives it a value where an insert does not name it.
    """

    name: str
    type: str
    length: int
    nullable: bool
    defaulted: bool = False

    @property
    def is_text(self) -> bool:
        """True for CHAR and VARCHAR2."""
        return self.type in ("CHAR", "VARCHAR2")

    @property
    def has_blank(self) -> bool:
        """Has CC&B a value for a missing one: a blank, or 0?"""
        return self.is_text or self.type in ("NUMBER", "FLOAT")

    @property
    def blank(self) -> str | int:
        """What CC&B has for a missing value."""
        return " " if self.is_text else 0

    def stored(self, value: str | Decimal | int | date | None) -> Value:
        """A value as the column stores it; None becomes what CC&B has for a missing one."""
        if isinstance(value, date) and not isinstance(value, datetime):
            return datetime.combine(value, time())
        if value is None or value == "":
            return None if self.nullable else self.blank
        return value

    def compared(self, value: str) -> str:
        """A text as it must be bound to equal this column's values."""
        return value.ljust(self.length) if self.type == "CHAR" else value

    def comparable(self, expression: str) -> str:
        """The SQL expression for a text that equals this column's values."""
        return f"rpad({expression}, {self.length})" if self.type == "CHAR" else expression


Table = Mapping[str, Column]


def describe(cursor: oracledb.Cursor, owner: str, tables: Sequence[str]) -> dict[str, dict[str, Column]]:
    """The columns of the tables that we may see, by table and name; missing tables are left out."""
    cursor.execute(describe_statement(len(tables)), [owner, *tables])
    found: dict[str, dict[str, Column]] = {}
    for table, name, kind, length, nullable, default in cursor:
        found.setdefault(table, {})[name] = Column(
            name, kind, int(length or 0), nullable == "Y", bool(default)
        )
    return found


def describe_statement(tables: int) -> str:
    """The query for the columns of so many tables."""
    names = ", ".join(f":{number}" for number in range(2, tables + 2))
    return (
        "select TABLE_NAME, COLUMN_NAME, DATA_TYPE, CHAR_LENGTH, NULLABLE, DEFAULT_LENGTH "  # noqa: S608
        f"from ALL_TAB_COLUMNS where OWNER = :1 and TABLE_NAME in ({names}) order by TABLE_NAME, COLUMN_ID"
    )


def left_to_fill(table: Table, given: Collection[str]) -> list[Column]:
    """Columns of an insert beyond those given: what is NOT NULL gets CC&B's value for a missing one.

    Raises:
        OperatorError: one of them is neither text nor number, so CC&B has no such value.
    """
    wrong = unfillable(table, given)
    if wrong:
        raise OperatorError(
            f"no value is known for NOT NULL column {', '.join(wrong)}",
            hint="give the column a default in the database, or report its ALL_TAB_COLUMNS",
        )
    return _others(table, given)


def unfillable(table: Table, known: Collection[str]) -> list[str]:
    """NOT NULL columns without a value that are neither text nor number, each with its type."""
    return [f"{column.name} ({column.type})" for column in _others(table, known) if not column.has_blank]


def _others(table: Table, known: Collection[str]) -> list[Column]:
    """What is NOT NULL and has no value yet; a default does where CC&B has no blank."""
    return [
        column
        for column in table.values()
        if not (column.nullable or column.name in known or (column.defaulted and not column.has_blank))
    ]


def in_lists(values: Sequence[str]) -> list[list[str]]:
    """Values in lists of IN_LIST_SIZES; a list is filled up by repeating its last value."""
    lists = []
    for start in range(0, len(values), IN_LIST_SIZES[-1]):
        part = list(values[start : start + IN_LIST_SIZES[-1]])
        size = next(size for size in IN_LIST_SIZES if size >= len(part))
        lists.append(part + part[-1:] * (size - len(part)))
    return lists


def found_among(
    cursor: oracledb.Cursor, owner: str, table: str, column: Column, values: Sequence[str]
) -> set[str]:
    """Which of the values the column has, without padding."""
    found: set[str] = set()
    for part in in_lists([column.compared(value) for value in dict.fromkeys(values)]):
        statement = among_statement(owner, table, column.name, len(part))
        found |= {str(value).rstrip(" ") for (value,) in cursor.execute(statement, part)}
    return found


def among_statement(owner: str, table: str, column: str, values: int) -> str:
    """The query for which of so many values a column has."""
    binds = ", ".join(f":{number}" for number in range(1, values + 1))
    return f"select {column} from {owner}.{table} where {column} in ({binds})"  # noqa: S608 - our own names
