"""Checks of outbound rules against the entities and lookups of the rule set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mapping_rules.checks.inbound_checks import Entities, Lookups, check_constant
from mapping_rules.language.builtin import built_in
from mapping_rules.language.errors import ErrorList, Location
from mapping_rules.language.extension import rule_extensions
from mapping_rules.language.model import (
    Condition,
    Conventions,
    Entity,
    EntityColumn,
    EntityType,
    Join,
    Kind,
    Lookup,
    OnDelete,
    Outbound,
    OutboundColumn,
    Ref,
    SystemRules,
)
from mapping_rules.language.outbound_types import column_type, meaning_type
from mapping_rules.language.transforms import TRANSFORMS
from mapping_rules.language.tree import Scalar
from mapping_rules.reading.sections import check_known

Scope = dict[str, Entity]


def check_outbound(
    rules: Sequence[Outbound],
    systems: Mapping[str, SystemRules],
    entities: Entities,
    lookups: Lookups,
    errors: ErrorList,
) -> None:
    """Every rule can be compiled and may write what it says."""
    known = {**entities, **built_in()}
    for rule in rules:
        _check_target(rule, systems[rule.system], errors)
        if not check_known(rule.location, "entity", rule.root, known, errors):
            continue
        scope = _check_joins(rule, known, errors)
        _check_where(rule.where, scope, errors)
        _check_key(rule, known[rule.root], errors)
        for column in rule.columns.values():
            _check_column(column, scope, lookups, errors)
        _check_require(rule, scope, errors)
        _check_deactivate(rule, scope, lookups, errors)
    _check_overlap(rules, errors)


def resolve(ref: Ref, scope: Mapping[str, Entity], errors: ErrorList) -> EntityColumn | None:
    """The entity column a reference means; None, with an error noted, if there is none."""
    if not ref.column or not check_known(ref.location, "join", ref.alias, scope, errors):
        return None
    columns = scope[ref.alias].columns
    if not check_known(ref.location, f"column of {scope[ref.alias].name}", ref.column, columns, errors):
        return None
    return columns[ref.column]


def _check_target(rule: Outbound, system: SystemRules, errors: ErrorList) -> None:
    found = [text for extension in rule_extensions() for text in extension.target_errors(rule, system)]
    if not found and system.conventions is Conventions.OUAF and rule.sink == "upsert":
        found = ["sink upsert writes PostgreSQL systems only in this release"]
    for text in found:
        errors.add(rule.table_location, text)


def _check_joins(rule: Outbound, known: Entities, errors: ErrorList) -> Scope:
    scope: Scope = {rule.root: known[rule.root]}
    for join in rule.joins:
        if join.alias in scope:
            errors.add(join.location, f"{join.alias!r} is the root or another join already")
            continue
        if not check_known(join.location, "entity", join.entity, known, errors):
            continue
        entity = known[join.entity]
        for column, ref in join.on:
            mine = resolve(Ref(entity.name, column, ref.location), {entity.name: entity}, errors)
            if ref.alias not in scope and any(one.alias == ref.alias for one in rule.joins):
                errors.add(
                    ref.location,
                    f"join {join.alias!r} needs {ref.alias!r}, which is not above it: write that one first; "
                    "joins that need each other cannot be written",
                )
                continue
            theirs = resolve(ref, scope, errors)
            if mine and theirs and mine.type != theirs.type:
                errors.add(ref.location, f"{join.alias}.{column} is {mine.type}, {ref} is {theirs.type}")
        _check_indexed(join, entity, scope, errors)
        _check_where(join.where, {join.alias: entity}, errors)
        for column, _ in join.order:
            check_known(join.location, f"column of {entity.name}", column, entity.columns, errors)
        scope[join.alias] = entity
    return scope


def _check_indexed(join: Join, entity: Entity, scope: Scope, errors: ErrorList) -> None:
    """Joins are followed both ways, so an index must lead to either side."""
    mine = [entity.columns[own] for own, _ in join.on if own in entity.columns]
    if mine and not any(_indexed(entity, column) for column in mine):
        errors.add(
            join.location,
            f"no index leads to {entity.name} by {mine[0].name}: say what it `references` in the entity",
        )
    for _, ref in join.on:
        other = scope.get(ref.alias)
        column = other.columns.get(ref.column) if other else None
        if other and column and not _indexed(other, column) and other.name not in built_in():
            errors.add(
                join.location,
                f"no index leads to {other.name} by {column.name}: say what it `references` in the entity",
            )


def _indexed(entity: Entity, column: EntityColumn) -> bool:
    return column.name == entity.key[0] or column.references is not None


def _check_where(conditions: Sequence[Condition], scope: Scope, errors: ErrorList) -> None:
    for condition in conditions:
        column = resolve(condition.column, scope, errors)
        if column is None:
            continue
        for value in condition.values:
            check_constant(condition.column.location, value, column.type, str(condition.column), errors)


def _check_key(rule: Outbound, root: Entity, errors: ErrorList) -> None:
    found = set()
    for column, ref in rule.key.items():
        if column in rule.columns:
            errors.add(rule.columns[column].location, f"column {column} is in the key already")
        if ref.alias != rule.root or ref.column not in root.key:
            errors.add(
                ref.location,
                f"key {column}: expected a key column of {root.name} ({', '.join(root.key)}), found {ref}",
            )
        found.add(ref.column)
    missing = [name for name in root.key if name not in found]
    if missing and rule.key:
        errors.add(rule.location, f"key column {missing[0]} of {root.name} is not in the key of the rule")


def _check_column(column: OutboundColumn, scope: Scope, lookups: Lookups, errors: ErrorList) -> None:
    source = resolve(column.ref, scope, errors) if column.ref else None
    if column.lookup and check_known(column.location, "lookup", column.lookup, lookups, errors) and source:
        _check_total(column, lookups[column.lookup], source, lookups, errors)
    if source is None:
        return
    current = source.type
    if column.lookup and column.lookup in lookups:
        current = meaning_type(lookups[column.lookup])
    for name in column.transforms:
        transform = TRANSFORMS[name]
        if transform.takes is not current.kind:
            errors.add(
                column.location,
                f"column {column.name}: transform {name} takes {transform.takes}, found {current}",
            )
            return
        current = EntityType(transform.gives)
    check_constant(column.location, column.if_null, current, f"if_null of {column.name}", errors)


def _check_total(
    column: OutboundColumn, lookup: Lookup, source: EntityColumn, lookups: Lookups, errors: ErrorList
) -> None:
    """An outbound lookup must know every value that can come, because no row can be rejected here."""
    if source.type.kind is not Kind.TEXT:
        errors.add(column.location, f"lookup {lookup.name} takes text, {column.ref} is {source.type}")
        return
    if lookup.has_default:
        return
    feeding = lookups.get(source.lookup or "")
    if feeding is None:
        errors.add(column.location, f"lookup {lookup.name} needs a default: {column.ref} may hold any text")
        return
    meanings: set[Scalar] = {*feeding.values.values(), feeding.default} - {None}
    unknown = sorted(str(value) for value in meanings if value not in lookup.values)
    if unknown:
        errors.add(column.location, f"lookup {lookup.name} needs a default or: {', '.join(unknown)}")


def _check_require(rule: Outbound, scope: Scope, errors: ErrorList) -> None:
    for ref in rule.require:
        if ref.alias:
            resolve(ref, scope, errors)
        else:
            check_known(ref.location, "target column", ref.column, rule.columns, errors)


def _check_deactivate(rule: Outbound, scope: Scope, lookups: Lookups, errors: ErrorList) -> None:
    if rule.on_delete is not OnDelete.DEACTIVATE or rule.deactivate_column is None:
        return
    column = rule.columns.get(rule.deactivate_column)
    if column is None:
        errors.add(
            rule.location,
            f"on_delete: deactivate sets {rule.deactivate_column} to false, so columns must say when it is"
            f" true, for example {rule.deactivate_column}: {{value: true}}",
        )
        return
    if column.ref and (column.ref.alias not in scope or column.lookup not in (None, *lookups)):
        return  # noted before
    if column.ref and column.ref.column not in scope[column.ref.alias].columns:
        return
    if column_type(column, scope, lookups).kind is not Kind.BOOLEAN:
        errors.add(column.location, f"column {column.name}: expected a boolean, deactivate sets it to false")


def _check_overlap(rules: Sequence[Outbound], errors: ErrorList) -> None:
    writers: dict[tuple[str, str, str], Location] = {}
    for rule in rules:
        for column in rule.columns.values():
            first = writers.setdefault((rule.system, str(rule.table), column.name), rule.location)
            if first != rule.location:
                errors.add(
                    column.location, f"column {column.name} of {rule.table} is written by {first.file} too"
                )
