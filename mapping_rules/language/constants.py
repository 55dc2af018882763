"""Constants in rules: does a value fit the type of its column, and what is it there.

Used for `value`, `if_null`, `where` and lookup meanings alike.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from mapping_rules.language.model import EntityType, Kind
from mapping_rules.language.tree import Scalar

Constant = str | bool | int | Decimal | date


def typed(value: Scalar, column_type: EntityType) -> Constant:
    """`value` as a constant of `column_type`.

    Raises:
        ValueError: it does not fit; the text says what was expected.
    """
    kind = column_type.kind
    if kind is Kind.TEXT and isinstance(value, str):
        if "\0" in value:
            raise ValueError("expected text without the NUL character")
        return value
    if kind is Kind.BOOLEAN and isinstance(value, bool):
        return value
    if kind is Kind.INTEGER and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is Kind.DECIMAL and isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _decimal(Decimal(value), column_type)
    if kind is Kind.DATE and isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError("expected a date such as '2024-02-29'") from None
    expected = {
        Kind.TEXT: "a text, in quotes if it looks like something else",
        Kind.BOOLEAN: "true or false",
        Kind.INTEGER: "a whole number",
        Kind.DECIMAL: "a number",
        Kind.DATE: "a date in quotes, such as '2024-02-29'",
        Kind.TIMESTAMP: "no constant, points in time cannot be written in rules",
    }
    raise ValueError(f"expected {expected[kind]}")


def _decimal(value: Decimal, column_type: EntityType) -> Decimal:
    exact = value.quantize(Decimal(1).scaleb(-column_type.scale))
    if exact != value or len(exact.as_tuple().digits) > column_type.precision:
        raise ValueError(f"expected a number that fits {column_type}")
    return exact
