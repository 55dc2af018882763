"""Checks across the files of a rule set: entities, lookups and inbound rules fit one another.

`mapping_rules.checks.outbound_checks` does the same for outbound rules; `mapping_rules.checks.source_checks`
compares rules with the tables as a database describes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mapping_rules.language.constants import typed
from mapping_rules.language.faults import Faults, Place
from mapping_rules.language.model import (
    Entity,
    EntityColumn,
    EntityType,
    Inbound,
    InboundColumn,
    Kind,
    Lookup,
)
from mapping_rules.language.tree import Scalar
from mapping_rules.reading.sections import check_known

KEY_KINDS = (Kind.TEXT, Kind.INTEGER, Kind.DECIMAL, Kind.DATE)
Entities = Mapping[str, Entity]
Lookups = Mapping[str, Lookup]


def check_constant(place: Place, value: Scalar, column_type: EntityType, what: str, faults: Faults) -> None:
    """Note a fault unless `value` (None passes) fits the type."""
    if value is None:
        return
    try:
        typed(value, column_type)
    except ValueError as exc:
        faults.add(place, f"{what}: {exc}")


def check_entities(entities: Entities, lookups: Lookups, faults: Faults) -> None:
    """References and lookups of entity columns exist and fit; key columns can be keys."""
    for entity in entities.values():
        for column in entity.columns.values():
            if column.name in entity.key and column.type.kind not in KEY_KINDS:
                faults.add(column.place, f"key column {column.name}: expected text, integer, decimal or date")
            if column.references and check_known(column.place, "entity", column.references, entities, faults):
                _check_reference(column, entities[column.references], faults)
            if column.lookup and check_known(column.place, "lookup", column.lookup, lookups, faults):
                _check_meanings(column.place, lookups[column.lookup], column.type, faults)


def _check_reference(column: EntityColumn, target: Entity, faults: Faults) -> None:
    if len(target.key) != 1:
        faults.add(
            column.place, f"references {target.name}, whose key has {len(target.key)} columns, expected one"
        )
        return
    key_type = target.columns[target.key[0]].type if target.key[0] in target.columns else None
    if key_type and key_type != column.type:
        faults.add(column.place, f"references {target.name}, whose key is {key_type}, found {column.type}")


def _check_meanings(place: Place, lookup: Lookup, column_type: EntityType, faults: Faults) -> None:
    for code, value in [*lookup.values.items(), ("default", lookup.default)]:
        check_constant(place, value, column_type, f"lookup {lookup.name}, {code}", faults)


def check_inbound(rules: Sequence[Inbound], entities: Entities, lookups: Lookups, faults: Faults) -> None:
    """Each rule fits its entity, and each entity has one feeder."""
    feeders: dict[str, Inbound] = {}
    for rule in rules:
        if not check_known(rule.place, "entity", rule.entity, entities, faults):
            continue
        first = feeders.setdefault(rule.entity, rule)
        if first.system != rule.system:
            faults.add(
                rule.place,
                f"entity {rule.entity} is fed by system {first.system} ({first.place.file}) too:"
                " two systems feeding one entity are not supported in this release",
            )
        elif first is not rule:
            faults.add(rule.place, f"entity {rule.entity} is fed by {first.place.file} already")
        _check_rule(rule, entities[rule.entity], lookups, faults)
    _check_table_keys(rules, faults)


def _check_table_keys(rules: Sequence[Inbound], faults: Faults) -> None:
    first: dict[tuple[str, str], Inbound] = {}
    for rule in rules:
        other = first.setdefault((rule.system, str(rule.table)), rule)
        if tuple(other.key) != tuple(rule.key):
            faults.add(rule.table_place, f"table {rule.table} has another key in {other.place.file}")


def _check_rule(rule: Inbound, entity: Entity, lookups: Lookups, faults: Faults) -> None:
    for column in rule.columns.values():
        if check_known(column.place, f"column of entity {entity.name}", column.name, entity.columns, faults):
            _check_column(column, entity.columns[column.name], lookups, faults)
    for name in entity.columns:
        if name not in rule.columns:
            faults.add(rule.place, f"column {name!r} of entity {entity.name} is fed by nothing")
    for condition in rule.where:
        for value in condition.values:
            if value is not None and not isinstance(value, str | bool):
                faults.add(condition.column.place, f"{condition.column}: put the value in quotes")
    _check_key(rule, entity, faults)
    _check_ignored(rule, faults)


def _check_column(column: InboundColumn, target: EntityColumn, lookups: Lookups, faults: Faults) -> None:
    check_constant(column.place, column.constant, target.type, f"value of {column.name}", faults)
    check_constant(column.place, column.if_null, target.type, f"if_null of {column.name}", faults)
    if column.lookup and check_known(column.place, "lookup", column.lookup, lookups, faults):
        _check_meanings(column.place, lookups[column.lookup], target.type, faults)
    if column.zero_is_null and target.type.kind not in (Kind.INTEGER, Kind.DECIMAL):
        faults.add(column.place, f"column {column.name}: zero is for integers and decimals")


def _check_key(rule: Inbound, entity: Entity, faults: Faults) -> None:
    """Entity keys must be copies of source key columns, or rows could not be told apart."""
    covered = set()
    for name in entity.key:
        column = rule.columns.get(name)
        if column is None:
            continue
        if column.source is None or column.transforms or column.lookup or column.zero_is_null:
            faults.add(column.place, f"key column {name}: expected a plain copy of a source key column")
        elif entity.columns[name].lookup or column.if_null is not None:
            faults.add(column.place, f"key column {name}: expected a plain copy, without lookup or if_null")
        elif rule.key and column.source not in rule.key:
            faults.add(
                column.place,
                f"key column {name}: expected one of the source key columns {', '.join(rule.key)},"
                f" found {column.source}",
            )
        else:
            covered.add(column.source)
    missing = [name for name in rule.key if name not in covered]
    if missing and not rule.where:
        faults.add(
            rule.key[missing[0]],
            f"source key column {missing[0]} is not in the key of entity {entity.name}: without a `where`"
            " that leaves one row, several source rows would share one entity row",
        )


def used_columns(rule: Inbound) -> set[str]:
    """Source columns that a rule reads."""
    read = {source for column in rule.columns.values() for source in column.sources}
    return read | set(rule.key) | {condition.column.column for condition in rule.where}


def _check_ignored(rule: Inbound, faults: Faults) -> None:
    used = used_columns(rule)
    for name, place in {**rule.ignore, **rule.ignore_if_present}.items():
        if name in used:
            faults.add(place, f"column {name} is used and ignored")
    for name, place in rule.ignore_if_present.items():
        if name in rule.ignore:
            faults.add(place, f"column {name} is ignored twice")
