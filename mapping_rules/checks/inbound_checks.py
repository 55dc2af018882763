"""Checks across the files of a rule set: entities, lookups and inbound rules fit one another.

`mapping_rules.checks.outbound_checks` does the same for outbound rules; `mapping_rules.checks.source_checks`
compares rules with the tables as a database describes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mapping_rules.language.constants import typed
from mapping_rules.language.errors import ErrorList, Location
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


def check_constant(
    location: Location, value: Scalar, column_type: EntityType, what: str, errors: ErrorList
) -> None:
    """Note a error unless `value` (None passes) fits the type."""
    if value is None:
        return
    try:
        typed(value, column_type)
    except ValueError as exc:
        errors.add(location, f"{what}: {exc}")


def check_entities(entities: Entities, lookups: Lookups, errors: ErrorList) -> None:
    """References and lookups of entity columns exist and fit; key columns can be keys."""
    for entity in entities.values():
        for column in entity.columns.values():
            if column.name in entity.key and column.type.kind not in KEY_KINDS:
                errors.add(
                    column.location, f"key column {column.name}: expected text, integer, decimal or date"
                )
            if column.references and check_known(
                column.location, "entity", column.references, entities, errors
            ):
                _check_reference(column, entities[column.references], errors)
            if column.lookup and check_known(column.location, "lookup", column.lookup, lookups, errors):
                _check_meanings(column.location, lookups[column.lookup], column.type, errors)


def _check_reference(column: EntityColumn, target: Entity, errors: ErrorList) -> None:
    if len(target.key) != 1:
        errors.add(
            column.location,
            f"references {target.name}, whose key has {len(target.key)} columns, expected one",
        )
        return
    key_type = target.columns[target.key[0]].type if target.key[0] in target.columns else None
    if key_type and key_type != column.type:
        errors.add(column.location, f"references {target.name}, whose key is {key_type}, found {column.type}")


def _check_meanings(location: Location, lookup: Lookup, column_type: EntityType, errors: ErrorList) -> None:
    for code, value in [*lookup.values.items(), ("default", lookup.default)]:
        check_constant(location, value, column_type, f"lookup {lookup.name}, {code}", errors)


def check_inbound(rules: Sequence[Inbound], entities: Entities, lookups: Lookups, errors: ErrorList) -> None:
    """Each rule fits its entity, and each entity has one feeder."""
    feeders: dict[str, Inbound] = {}
    for rule in rules:
        if not check_known(rule.location, "entity", rule.entity, entities, errors):
            continue
        first = feeders.setdefault(rule.entity, rule)
        if first.system != rule.system:
            errors.add(
                rule.location,
                f"entity {rule.entity} is fed by system {first.system} ({first.location.file}) too:"
                " two systems feeding one entity are not supported in this release",
            )
        elif first is not rule:
            errors.add(rule.location, f"entity {rule.entity} is fed by {first.location.file} already")
        _check_rule(rule, entities[rule.entity], lookups, errors)
    _check_table_keys(rules, errors)


def _check_table_keys(rules: Sequence[Inbound], errors: ErrorList) -> None:
    first: dict[tuple[str, str], Inbound] = {}
    for rule in rules:
        other = first.setdefault((rule.system, str(rule.table)), rule)
        if tuple(other.key) != tuple(rule.key):
            errors.add(rule.table_location, f"table {rule.table} has another key in {other.location.file}")


def _check_rule(rule: Inbound, entity: Entity, lookups: Lookups, errors: ErrorList) -> None:
    for column in rule.columns.values():
        if check_known(
            column.location, f"column of entity {entity.name}", column.name, entity.columns, errors
        ):
            _check_column(column, entity.columns[column.name], lookups, errors)
    for name in entity.columns:
        if name not in rule.columns:
            errors.add(rule.location, f"column {name!r} of entity {entity.name} is fed by nothing")
    for condition in rule.where:
        for value in condition.values:
            if value is not None and not isinstance(value, str | bool):
                errors.add(condition.column.location, f"{condition.column}: put the value in quotes")
    _check_key(rule, entity, errors)
    _check_ignored(rule, errors)


def _check_column(column: InboundColumn, target: EntityColumn, lookups: Lookups, errors: ErrorList) -> None:
    check_constant(column.location, column.constant, target.type, f"value of {column.name}", errors)
    check_constant(column.location, column.if_null, target.type, f"if_null of {column.name}", errors)
    if column.lookup and check_known(column.location, "lookup", column.lookup, lookups, errors):
        _check_meanings(column.location, lookups[column.lookup], target.type, errors)
    if column.zero_is_null and target.type.kind not in (Kind.INTEGER, Kind.DECIMAL):
        errors.add(column.location, f"column {column.name}: zero is for integers and decimals")


def _check_key(rule: Inbound, entity: Entity, errors: ErrorList) -> None:
    """Entity keys must be copies of source key columns, or rows could not be distinguished."""
    covered = set()
    for name in entity.key:
        column = rule.columns.get(name)
        if column is None:
            continue
        if column.source is None or column.transforms or column.lookup or column.zero_is_null:
            errors.add(column.location, f"key column {name}: expected a plain copy of a source key column")
        elif entity.columns[name].lookup or column.if_null is not None:
            errors.add(
                column.location, f"key column {name}: expected a plain copy, without lookup or if_null"
            )
        elif rule.key and column.source not in rule.key:
            errors.add(
                column.location,
                f"key column {name}: expected one of the source key columns {', '.join(rule.key)},"
                f" found {column.source}",
            )
        else:
            covered.add(column.source)
    missing = [name for name in rule.key if name not in covered]
    if missing and not rule.where:
        errors.add(
            rule.key[missing[0]],
            f"source key column {missing[0]} is not in the key of entity {entity.name}: without a `where`"
            " that leaves one row, several source rows would share one entity row",
        )


def used_columns(rule: Inbound) -> set[str]:
    """Source columns that a rule reads."""
    read = {source for column in rule.columns.values() for source in column.sources}
    return read | set(rule.key) | {condition.column.column for condition in rule.where}


def _check_ignored(rule: Inbound, errors: ErrorList) -> None:
    used = used_columns(rule)
    for name, location in {**rule.ignore, **rule.ignore_if_present}.items():
        if name in used:
            errors.add(location, f"column {name} is used and ignored")
    for name, location in rule.ignore_if_present.items():
        if name in rule.ignore:
            errors.add(location, f"column {name} is ignored twice")
