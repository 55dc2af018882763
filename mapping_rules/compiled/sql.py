"""SQL text for outbound rules: identifiers, literals, conditions and column expressions.

The text may be run by psycopg with or without parameters, so a per cent sign never appears in it
outside a placeholder.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from mapping_rules.language.constants import Constant, typed
from mapping_rules.language.model import (
    Condition,
    Entity,
    EntityType,
    Join,
    Kind,
    Lookup,
    OutboundColumn,
    Ref,
)
from mapping_rules.language.outbound_types import column_type, constant_type, meaning_type
from mapping_rules.language.transforms import TRANSFORMS

SCHEMA = "staging"

Scope = Mapping[str, Entity]


def identifier(name: str) -> str:
    """A quoted name."""
    if "%" in name:
        escaped = name.replace("\\", "\\\\").replace("%", "\\0025").replace('"', '""')
        return f'U&"{escaped}"'
    return '"' + name.replace('"', '""') + '"'


def column(ref: Ref) -> str:
    """A quoted column with its alias."""
    return f"{identifier(ref.alias)}.{identifier(ref.column)}"


def table(entity: str, *, history: bool = False) -> str:
    """The staging table of an entity, or of its earlier versions."""
    return f"{SCHEMA}.{identifier(entity + '_history' if history else entity)}"


def literal(value: Constant | None, column_type: EntityType) -> str:
    """A constant with its type."""
    if value is None:
        return f"null::{column_type.sql}"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value.isoformat() if isinstance(value, date) else str(value)
    return f"{quoted(text)}::{column_type.sql}"


def quoted(text: str) -> str:
    """A text literal."""
    doubled = text.replace("'", "''")
    if "%" in text:
        return "U&'" + doubled.replace("\\", "\\\\").replace("%", "\\0025") + "'"
    return f"'{doubled}'"


def holds(condition: Condition, scope: Scope) -> str:
    """The condition as SQL for a `where`, in which null counts as false."""
    ref = condition.column
    found = column(ref)
    kind = scope[ref.alias].columns[ref.column].type
    values = [literal(typed(value, kind), kind) for value in condition.values if value is not None]
    choices = [f"{found} in ({', '.join(values)})"] if values else []
    if None in condition.values:
        choices.append(f"{found} is null")
    either = " or ".join(choices)
    if condition.negated:
        return f"({either}) is not true"
    return f"({either})" if len(choices) > 1 else either


def order_by(join: Join, entity: Entity) -> str:
    """The order in which a join's rows are picked, made total by the entity's key.

    Text is ordered by code point, so that every database picks the same row.
    """
    order = [*join.order, *((name, False) for name in entity.key if name not in dict(join.order))]
    parts = []
    for name, descending in order:
        collation = ' collate "C"' if entity.columns[name].type.kind is Kind.TEXT else ""
        direction = " desc nulls last" if descending else ""
        parts.append(f"{column(Ref(join.alias, name))}{collation}{direction}")
    return ", ".join(parts)


def value_of(target: OutboundColumn, scope: Scope, lookups: Mapping[str, Lookup], zone: str) -> str:
    """The value of a target column."""
    if target.ref is None:
        kind = constant_type(target.constant)
        return literal(typed(target.constant, kind), kind)
    value = column(target.ref)
    if target.lookup:
        value = _translated(value, lookups[target.lookup])
    for name in target.transforms:
        value = TRANSFORMS[name].sql(value, quoted(zone))
    if target.if_null is not None:
        kind = column_type(target, scope, lookups)
        value = f"coalesce({value}, {literal(typed(target.if_null, kind), kind)})"
    return value


def _translated(value: str, lookup: Lookup) -> str:
    kind = meaning_type(lookup)

    def meaning(found: object) -> str:
        return literal(None if found is None else typed(found, kind), kind)  # type: ignore[arg-type]

    cases = " ".join(f"when {quoted(code)} then {meaning(found)}" for code, found in lookup.values.items())
    translated = f"case {value} {cases} else {meaning(lookup.default)} end"
    return f"case when {value} is not null then {translated} end"
