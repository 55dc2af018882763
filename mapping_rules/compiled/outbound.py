"""Outbound rules as SQL over staging: which target rows are touched, and what they should be.

`changed_keys_sql` follows each join back to the root, through the versions that were replaced too,
so a child that moved from one parent to another touches both. `desired_sql` then makes the target
rows of those keys. `cdc.staging` runs both, `sinks` writes what comes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cdc.changes import TableName
from mapping_rules.compiled import sql
from mapping_rules.compiled.sql import Scope, identifier
from mapping_rules.language.builtin import built_in
from mapping_rules.language.model import Entity, EntityType, Join, Outbound, Ref, RuleSet
from mapping_rules.language.outbound_types import column_type

WINDOW = "{0} > %(low)s::bigint and {0} <= %(high)s::bigint"


@dataclass(frozen=True)
class OutboundProgram:
    """One outbound rule, compiled for the system it writes.

    Args:
        name: file name of the rule without .yaml.
        sink: how it is written, by its name in `cdc.kinds`.
        table: target table.
        key: target key columns.
        columns: target columns written, without the key.
        column_types: type of each key column and column.
        update_only: rows that do not exist are not inserted.
        on_delete: `delete`, `ignore` or `deactivate`.
        deactivate_column: boolean column that `deactivate` sets to false, else None.
        entities: every entity read, the root first.
        changed_keys_sql: distinct root keys touched with `%(low)s` < staged_seq <= `%(high)s`, as
            text columns k1 to kn in the order of the root's key.
        desired_sql: reads the temporary table pg_temp.affected_key (k1 to kn, text); yields one row
            a key: key columns, columns, `_deleted` (boolean: there should be no such row, the other
            columns are null), `_staged_seq` (bigint: newest version that went into the row).
    """

    name: str
    sink: str
    table: TableName
    key: tuple[str, ...]
    columns: tuple[str, ...]
    column_types: Mapping[str, EntityType]
    update_only: bool
    on_delete: str
    deactivate_column: str | None
    entities: tuple[str, ...]
    changed_keys_sql: str
    desired_sql: str


def compile_outbound(
    rule_set: RuleSet, system: str, *, time_zone: str = "UTC"
) -> tuple[OutboundProgram, ...]:
    """The programs that write `system`, parents first.

    Args:
        rule_set: a loaded rule set.
        system: name of the target system.
        time_zone: zone of the target system, for `local_date`.
    """
    rules = [rule for rule in rule_set.outbound if rule.system == system]
    entities = {**rule_set.entities, **built_in()}
    return tuple(_compile(rule, rule_set, entities, time_zone) for rule in _parents_first(rules, entities))


def _compile(rule: Outbound, rule_set: RuleSet, entities: Mapping[str, Entity], zone: str) -> OutboundProgram:
    scope = _scope(rule, entities)
    root = scope[rule.root]
    types = {name: root.columns[ref.column].type for name, ref in rule.key.items()}
    types |= {name: column_type(one, scope, rule_set.lookups) for name, one in rule.columns.items()}
    return OutboundProgram(
        name=rule.name,
        sink=rule.sink,
        table=rule.table,
        key=tuple(rule.key),
        columns=tuple(rule.columns),
        column_types=types,
        update_only=not rule.insert,
        on_delete=rule.on_delete.value,
        deactivate_column=rule.deactivate_column,
        entities=_entities(rule),
        changed_keys_sql=_changed_keys(rule, scope),
        desired_sql=_desired(rule, scope, rule_set, zone),
    )


def _scope(rule: Outbound, entities: Mapping[str, Entity]) -> Scope:
    return {rule.root: entities[rule.root], **{join.alias: entities[join.entity] for join in rule.joins}}


def _entities(rule: Outbound) -> tuple[str, ...]:
    return tuple(dict.fromkeys([rule.root, *(join.entity for join in rule.joins)]))


def _parents_first(rules: list[Outbound], entities: Mapping[str, Entity]) -> Iterator[Outbound]:
    """Rules whose entities refer to another rule's root come after that rule; else by name."""
    waiting = sorted(rules, key=lambda rule: rule.name)
    while waiting:
        roots = {rule.name: rule.root for rule in waiting}
        free = next(
            (rule for rule in waiting if not _parents(rule, entities) & _others(roots, rule)), waiting[0]
        )
        waiting.remove(free)
        yield free


def _others(roots: Mapping[str, str], rule: Outbound) -> set[str]:
    return {root for name, root in roots.items() if name != rule.name and root != rule.root}


def _parents(rule: Outbound, entities: Mapping[str, Entity]) -> set[str]:
    columns = [column for name in _entities(rule) for column in entities[name].columns.values()]
    return {column.references for column in columns if column.references}


def _desired(rule: Outbound, scope: Scope, rule_set: RuleSet, zone: str) -> str:
    root = scope[rule.root]
    keys = {name: f"_affected.k{root.key.index(ref.column) + 1}" for name, ref in rule.key.items()}
    cast = {name: f"{keys[name]}::{root.columns[ref.column].type.sql}" for name, ref in rule.key.items()}
    values = {
        name: sql.value_of(column, scope, rule_set.lookups, zone) for name, column in rule.columns.items()
    }
    versions = ", ".join(f"{identifier(alias)}.staged_seq" for alias in scope)
    lines = [
        "select",
        *(f"  {cast[name]} as {identifier(name)}," for name in rule.key),
        *(f"  _desired.{identifier(name)}," for name in rule.columns),
        '  _desired._found is null as "_deleted",',
        '  coalesce(_desired._staged_seq, _root.staged_seq, 0) as "_staged_seq"',
        "from pg_temp.affected_key as _affected",
        "left join lateral (",
        "  select",
        *(f"    {value} as {identifier(name)}," for name, value in values.items()),
        f"    greatest({versions}) as _staged_seq,",
        "    true as _found",
        f"  from {sql.table(root.name)} as {identifier(rule.root)}",
        *(line for join in rule.joins for line in _lateral(join, scope)),
        f"  where {_same_key(rule, rule.root, cast)}",
        f"    and not {identifier(rule.root)}.tombstone",
        *(f"    and {sql.holds(condition, scope)}" for condition in rule.where),
        *(f"    and {_required(ref, values)} is not null" for ref in rule.require),
        ") as _desired on true",
        f"left join {sql.table(root.name)} as _root on {_same_key(rule, '_root', cast)}",
    ]
    return "\n".join(lines)


def _same_key(rule: Outbound, alias: str, cast: Mapping[str, str]) -> str:
    pairs = [f"{sql.column(Ref(alias, ref.column))} = {cast[name]}" for name, ref in rule.key.items()]
    return " and ".join(pairs)


def _required(ref: Ref, values: Mapping[str, str]) -> str:
    return sql.column(ref) if ref.alias else f"({values[ref.column]})"


def _lateral(join: Join, scope: Scope) -> list[str]:
    """One row of the joined entity, the first in the rule's order."""
    entity, alias = scope[join.alias], identifier(join.alias)
    return [
        "  left join lateral (",
        f"    select {alias}.*",
        f"    from {sql.table(entity.name)} as {alias}",
        f"    where {' and '.join([*_links(join), *_current(join, scope)])}",
        f"    order by {sql.order_by(join, entity)}",
        "    limit 1",
        f"  ) as {alias} on true",
    ]


def _links(join: Join) -> list[str]:
    return [f"{sql.column(Ref(join.alias, own))} = {sql.column(other)}" for own, other in join.on]


def _current(join: Join, scope: Scope) -> list[str]:
    """What a row of the join must fulfil to be picked at all."""
    conditions = [sql.holds(condition, scope) for condition in join.where]
    return [f"not {identifier(join.alias)}.tombstone", *conditions]


def _changed_keys(rule: Outbound, scope: Scope) -> str:
    root = scope[rule.root]
    names = ", ".join(f"k{number}" for number in range(1, len(root.key) + 1))
    branches = [_root_branch(rule, root)]
    for join in rule.joins:
        branches += [_join_branch(rule, join, scope, history=history) for history in (False, True)]
    return "\n".join([f"select distinct {names}", "from (", "\nunion all\n".join(branches), ") as _changed"])


def _keys(rule: Outbound, root: Entity) -> str:
    keys = [sql.column(Ref(rule.root, name)) for name in root.key]
    return ", ".join(f"{key}::text as k{number}" for number, key in enumerate(keys, 1))


def _root_branch(rule: Outbound, root: Entity) -> str:
    alias = identifier(rule.root)
    window = WINDOW.format(f"{alias}.staged_seq")
    return "\n".join(
        [f"  select {_keys(rule, root)}", f"  from {sql.table(root.name)} as {alias}", f"  where {window}"]
    )


def _join_branch(rule: Outbound, join: Join, scope: Scope, *, history: bool) -> str:
    """Roots of the rows of one join that changed, or that were replaced, in the window.

    A version that did not match the join's conditions had no effect and is left out.
    """
    above = _above(rule, join)
    alias = identifier(join.alias)
    window = WINDOW.format(f"{alias}.{'superseded_seq' if history else 'staged_seq'}")
    tables = [
        f"{sql.table(join.entity, history=history)} as {alias}",
        *(f"{sql.table(other.entity)} as {identifier(other.alias)}" for other in above),
        f"{sql.table(rule.root)} as {identifier(rule.root)}",
    ]
    conditions = [window, *_links(join), *_current(join, scope)]
    for other in above:
        conditions += [*_links(other), *_current(other, scope)]
    return "\n".join(
        [
            f"  select {_keys(rule, scope[rule.root])}",
            f"  from {', '.join(tables)}",
            f"  where {' and '.join(conditions)}",
        ]
    )


def _above(rule: Outbound, join: Join) -> list[Join]:
    """The joins between `join` and the root, nearest first."""
    by_alias = {one.alias: one for one in rule.joins}
    found: list[Join] = []
    waiting = [join]
    while waiting:
        for _, ref in waiting.pop().on:
            other = by_alias.get(ref.alias)
            if other is not None and other not in found:
                found.append(other)
                waiting.append(other)
    return found
