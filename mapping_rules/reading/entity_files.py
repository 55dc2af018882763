"""Reading entity files, lookup files and `systems.yaml`."""

from __future__ import annotations

from collections.abc import Mapping

from mapping_rules.language.builtin import RESERVED_COLUMNS, reserved_tables
from mapping_rules.language.errors import ErrorList
from mapping_rules.language.model import (
    TEXT,
    Conventions,
    Entity,
    EntityColumn,
    EntityType,
    Kind,
    Lookup,
    SystemRules,
)
from mapping_rules.language.tree import ListNode, MapNode, Scalar
from mapping_rules.reading.grammar import ENTITY, ENTITY_COLUMN, LOOKUP, SYSTEM
from mapping_rules.reading.sections import Section, check_name, names_of, scalar_of

MAX_PRECISION = 38


def read_systems(root: MapNode, errors: ErrorList) -> dict[str, SystemRules]:
    """The systems of a rule set by name."""
    systems = {}
    for name, node in root.items.items():
        location = root.key_locations[name]
        check_name(location, name, errors)
        if not isinstance(node, MapNode):
            errors.add(node.location, f"system {name}: expected a mapping")
            continue
        section = Section(node, SYSTEM, errors, what=f"system {name}")
        found = section.choice("conventions", [choice.value for choice in Conventions], "plain")
        systems[name] = SystemRules(name, Conventions(found), section.text("schema") or None, location)
    return systems


def read_entity(root: MapNode, errors: ErrorList) -> Entity | None:
    """One entity; None when it has no name or no usable column."""
    section = Section(root, ENTITY, errors, what="an entity")
    name = section.name("entity")
    if name in reserved_tables() or name.endswith("_history"):
        errors.add(section.location_of("entity"), f"{name!r} is the name of one of ccbridge's own tables")
    columns = {}
    for column, location, node in section.items("columns"):
        check_name(location, column, errors)
        if column in RESERVED_COLUMNS:
            errors.add(location, f"{column!r} is a column that every staging table has")
        if not isinstance(node, MapNode):
            errors.add(node.location, f"column {column}: expected a mapping such as {{type: text}}")
            continue
        columns[column] = _column(column, node, errors)
    key = section.names("key")
    for column, location in key.items():
        if columns and column not in columns:
            errors.unknown(location, "key column", column, columns)
    if "key" in section and not key:
        errors.add(section.location_of("key"), "expected at least one key column")
    if not name or not columns:
        return None
    return Entity(name, tuple(key), columns, section.text("comment"), section.location_of("entity"))


def _column(name: str, node: MapNode, errors: ErrorList) -> EntityColumn:
    section = Section(node, ENTITY_COLUMN, errors, what=f"column {name}")
    if "decide" in section:
        errors.add(
            section.location_of("decide"),
            "decide needs two systems feeding the entity, which this release does not support",
        )
    return EntityColumn(
        name=name,
        type=_type(section, errors),
        references=section.name("references") or None,
        lookup=section.name("lookup") or None,
        personal=section.flag("personal", False),
        comment=section.text("comment"),
        location=node.location,
    )


def _type(section: Section, errors: ErrorList) -> EntityType:
    kind = section.choice("type", [kind.value for kind in Kind], TEXT.kind.value)
    precision, scale = section.integer("precision"), section.integer("scale")
    if kind != Kind.DECIMAL:
        for key in ("precision", "scale"):
            if key in section:
                errors.add(section.location_of(key), f"{key} is for columns of type decimal")
        return EntityType(Kind(kind))
    if precision is None or scale is None:
        errors.add(section.location_of("type"), "a decimal needs precision and scale, such as 15 and 2")
        return EntityType(Kind.DECIMAL, 15, 2)
    if not 1 <= precision <= MAX_PRECISION or not 0 <= scale <= precision:
        errors.add(section.location_of("precision"), f"expected 1 to {MAX_PRECISION} digits, scale no larger")
        return EntityType(Kind.DECIMAL, 15, 2)
    return EntityType(Kind.DECIMAL, precision, scale)


def read_lookup(root: MapNode, errors: ErrorList) -> Lookup | None:
    """One lookup; None when it has no name."""
    section = Section(root, LOOKUP, errors, what="a lookup")
    name = section.name("lookup")
    node = root.items.get("values")
    values: Mapping[str, Scalar] = {}
    if isinstance(node, ListNode):
        values = {code: code for code in names_of(node, errors, what="values")}
    else:
        values = {code: scalar_of(value, errors) for code, _, value in section.items("values")}
    if node is not None and not values:
        errors.add(node.location, "values: expected at least one code")
    kinds = {type(value) for value in values.values() if value is not None}
    if len(kinds) > 1:
        errors.add(section.location_of("values"), "values: expected meanings of one kind, found several")
    default = root.items.get("default")
    if not name:
        return None
    return Lookup(
        name=name,
        values=values,
        has_default=default is not None,
        default=scalar_of(default, errors) if default else None,
        location=section.location_of("lookup"),
    )
