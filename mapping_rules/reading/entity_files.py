"""Reading entity files, lookup files and `systems.yaml`."""

from __future__ import annotations

from collections.abc import Mapping

from mapping_rules.language.builtin import RESERVED_COLUMNS, RESERVED_TABLES
from mapping_rules.language.faults import Faults
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


def read_systems(root: MapNode, faults: Faults) -> dict[str, SystemRules]:
    """The systems of a rule set by name."""
    systems = {}
    for name, node in root.items.items():
        place = root.key_places[name]
        check_name(place, name, faults)
        if not isinstance(node, MapNode):
            faults.add(node.place, f"system {name}: expected a mapping")
            continue
        section = Section(node, SYSTEM, faults, what=f"system {name}")
        found = section.choice("conventions", [choice.value for choice in Conventions], "plain")
        systems[name] = SystemRules(name, Conventions(found), section.text("schema") or None, place)
    return systems


def read_entity(root: MapNode, faults: Faults) -> Entity | None:
    """One entity; None when it has no name or no usable column."""
    section = Section(root, ENTITY, faults, what="an entity")
    name = section.name("entity")
    if name in RESERVED_TABLES or name.endswith("_history"):
        faults.add(section.place_of("entity"), f"{name!r} is the name of one of ccbridge's own tables")
    columns = {}
    for column, place, node in section.items("columns"):
        check_name(place, column, faults)
        if column in RESERVED_COLUMNS:
            faults.add(place, f"{column!r} is a column that every staging table has")
        if not isinstance(node, MapNode):
            faults.add(node.place, f"column {column}: expected a mapping such as {{type: text}}")
            continue
        columns[column] = _column(column, node, faults)
    key = section.names("key")
    for column, place in key.items():
        if columns and column not in columns:
            faults.unknown(place, "key column", column, columns)
    if "key" in section and not key:
        faults.add(section.place_of("key"), "expected at least one key column")
    if not name or not columns:
        return None
    return Entity(name, tuple(key), columns, section.text("comment"), section.place_of("entity"))


def _column(name: str, node: MapNode, faults: Faults) -> EntityColumn:
    section = Section(node, ENTITY_COLUMN, faults, what=f"column {name}")
    if "decide" in section:
        faults.add(
            section.place_of("decide"),
            "decide needs two systems feeding the entity, which this release does not support",
        )
    return EntityColumn(
        name=name,
        type=_type(section, faults),
        references=section.name("references") or None,
        lookup=section.name("lookup") or None,
        personal=section.flag("personal", False),
        comment=section.text("comment"),
        place=node.place,
    )


def _type(section: Section, faults: Faults) -> EntityType:
    kind = section.choice("type", [kind.value for kind in Kind], TEXT.kind.value)
    precision, scale = section.integer("precision"), section.integer("scale")
    if kind != Kind.DECIMAL:
        for key in ("precision", "scale"):
            if key in section:
                faults.add(section.place_of(key), f"{key} is for columns of type decimal")
        return EntityType(Kind(kind))
    if precision is None or scale is None:
        faults.add(section.place_of("type"), "a decimal needs precision and scale, such as 15 and 2")
        return EntityType(Kind.DECIMAL, 15, 2)
    if not 1 <= precision <= MAX_PRECISION or not 0 <= scale <= precision:
        faults.add(section.place_of("precision"), f"expected 1 to {MAX_PRECISION} digits, scale no larger")
        return EntityType(Kind.DECIMAL, 15, 2)
    return EntityType(Kind.DECIMAL, precision, scale)


def read_lookup(root: MapNode, faults: Faults) -> Lookup | None:
    """One lookup; None when it has no name."""
    section = Section(root, LOOKUP, faults, what="a lookup")
    name = section.name("lookup")
    node = root.items.get("values")
    values: Mapping[str, Scalar] = {}
    if isinstance(node, ListNode):
        values = {code: code for code in names_of(node, faults, what="values")}
    else:
        values = {code: scalar_of(value, faults) for code, _, value in section.items("values")}
    if node is not None and not values:
        faults.add(node.place, "values: expected at least one code")
    kinds = {type(value) for value in values.values() if value is not None}
    if len(kinds) > 1:
        faults.add(section.place_of("values"), "values: expected meanings of one kind, found several")
    default = root.items.get("default")
    if not name:
        return None
    return Lookup(
        name=name,
        values=values,
        has_default=default is not None,
        default=scalar_of(default, faults) if default else None,
        place=section.place_of("lookup"),
    )
