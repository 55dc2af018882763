"""Types of the values that outbound rules write."""

from __future__ import annotations

from collections.abc import Mapping

from mapping_rules.language.model import Entity, EntityType, Kind, Lookup, OutboundColumn
from mapping_rules.language.transforms import TRANSFORMS
from mapping_rules.language.tree import Scalar


def meaning_type(lookup: Lookup) -> EntityType:
    """Type of the meanings of a lookup used outbound."""
    meanings = [value for value in (*lookup.values.values(), lookup.default) if value is not None]
    first = meanings[0] if meanings else ""
    if isinstance(first, bool):
        return EntityType(Kind.BOOLEAN)
    return EntityType(Kind.INTEGER) if isinstance(first, int) else EntityType(Kind.TEXT)


def column_type(
    column: OutboundColumn, scope: Mapping[str, Entity], lookups: Mapping[str, Lookup]
) -> EntityType:
    """Type of the value written; for a checked rule."""
    if column.ref is None:
        return constant_type(column.constant)
    current = scope[column.ref.alias].columns[column.ref.column].type
    if column.lookup:
        current = meaning_type(lookups[column.lookup])
    for name in column.transforms:
        current = EntityType(TRANSFORMS[name].gives)
    return current


def constant_type(value: Scalar) -> EntityType:
    """Type of a constant written to a target column."""
    if isinstance(value, bool):
        return EntityType(Kind.BOOLEAN)
    if isinstance(value, int):
        return EntityType(Kind.INTEGER)
    if isinstance(value, str) or value is None:
        return EntityType(Kind.TEXT)
    exponent = value.as_tuple().exponent
    return EntityType(Kind.DECIMAL, 38, -exponent if isinstance(exponent, int) and exponent < 0 else 0)
