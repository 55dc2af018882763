"""Rules against the tables as a database describes them now.

A new, renamed or retyped column is found here, before a row is read, and not in the middle of the
night.
"""

from __future__ import annotations

from collections.abc import Mapping

from cdc.changes import SourceTable, SourceType, TableName
from mapping_rules.checks.inbound_checks import used_columns
from mapping_rules.language.errors import ErrorList
from mapping_rules.language.model import (
    Conventions,
    EntityType,
    Inbound,
    InboundColumn,
    Kind,
    OnDelete,
    Outbound,
    RuleSet,
)
from mapping_rules.reading.sections import check_known

_TEXT_TOO = {SourceType.TEXT, SourceType.OTHER}
_FITS: Mapping[Kind, frozenset[SourceType]] = {
    Kind.TEXT: frozenset(SourceType),
    Kind.INTEGER: frozenset({SourceType.NUMBER, *_TEXT_TOO}),
    Kind.DECIMAL: frozenset({SourceType.NUMBER, *_TEXT_TOO}),
    Kind.BOOLEAN: frozenset({SourceType.BOOLEAN}),
    Kind.DATE: frozenset({SourceType.DATE, SourceType.TIMESTAMP, SourceType.TIMESTAMP_TZ, *_TEXT_TOO}),
    Kind.TIMESTAMP: frozenset({SourceType.DATE, SourceType.TIMESTAMP, SourceType.TIMESTAMP_TZ, *_TEXT_TOO}),
}


def check_source(
    rule_set: RuleSet,
    system: str,
    tables: Mapping[TableName, SourceTable],
    *,
    only: TableName | None = None,
) -> list[str]:
    """Everything in which the inbound rules of `system` disagree with its tables.

    Args:
        rule_set: a loaded rule set.
        system: name of the source system.
        tables: the tables as the source describes them; columns a reader cannot read may be left
            out if the rules name them under `ignore_if_present`.
        only: look at the rules of this table alone.

    Returns:
        Errors as ``file:line:column: text``; empty when there is none.
    """
    errors = ErrorList()
    for rule in rule_set.rules_of(system):
        if only is not None and rule.table != only:
            continue
        table = tables.get(rule.table)
        if table is None:
            errors.unknown(rule.table_location, f"table of {system}", str(rule.table), map(str, tables))
            continue
        _check_names(rule, table, errors)
        _check_key(rule, table, errors)
        for column in rule.columns.values():
            _check_type(rule, column, table, rule_set, errors)
    return errors.lines()


def unmapped_columns(rule_set: RuleSet, system: str, tables: Mapping[TableName, SourceTable]) -> list[str]:
    """Source columns that no rule maps or ignores, as ``file:line:column: text``.

    Data flows without them: a column that the application adds must not keep anybody from starting. They
    are not staged, and the change log keeps them.
    """
    errors = ErrorList()
    _check_complete(rule_set.rules_of(system), tables, errors)
    return errors.lines()


def _check_names(rule: Inbound, table: SourceTable, errors: ErrorList) -> None:
    known = table.column_names
    what = f"column of {rule.table}"
    for column in rule.columns.values():
        for source in column.sources:
            check_known(column.location, what, source, known, errors)
    for condition in rule.where:
        check_known(condition.column.location, what, condition.column.column, known, errors)
    for name, location in {**rule.key, **rule.ignore}.items():
        check_known(location, what, name, known, errors)


def _check_key(rule: Inbound, table: SourceTable, errors: ErrorList) -> None:
    if set(rule.key) != set(table.key):
        found = ", ".join(table.key) if table.key else "no primary key"
        errors.add(
            next(iter(rule.key.values()), rule.table_location),
            f"key ({', '.join(rule.key)}) of {rule.table}: expected the table's own, {found}",
        )


def _check_type(
    rule: Inbound, column: InboundColumn, table: SourceTable, rule_set: RuleSet, errors: ErrorList
) -> None:
    target = rule_set.entities[rule.entity].columns[column.name]
    source = table.column(column.source) if column.source else None
    if source is None or column.lookup or target.lookup:
        return
    fits = _FITS[target.type.kind]
    if rule_set.systems[rule.system].conventions is Conventions.OUAF and target.type.kind is Kind.BOOLEAN:
        fits = fits | {SourceType.TEXT}
    if source.type not in fits:
        errors.add(
            column.location,
            f"column {column.name}: {source.name} is {source.declared}, which cannot become {target.type}",
        )
    elif _finer(source.scale, target.type) and source.type is SourceType.NUMBER:
        errors.add(
            column.location,
            f"column {column.name}: {source.name} is {source.declared}, finer than {target.type},"
            " and nothing is rounded",
        )


def _finer(scale: int | None, target: EntityType) -> bool:
    return target.kind in (Kind.INTEGER, Kind.DECIMAL) and scale is not None and scale > target.scale


def _check_complete(
    rules: tuple[Inbound, ...], tables: Mapping[TableName, SourceTable], errors: ErrorList
) -> None:
    """Each source column is mapped or ignored by one of the table's rules; large ones need not be."""
    for name in sorted({rule.table for rule in rules}):
        mine = [rule for rule in rules if rule.table == name]
        named: set[str] = set()
        for rule in mine:
            named |= {*used_columns(rule), *rule.ignore, *rule.ignore_if_present}
        for column in tables[name].columns if name in tables else ():
            if column.name not in named and not column.large:
                error = f"column {column.name} of {name} is neither mapped nor ignored"
                errors.add(mine[0].table_location, error)


def check_target(rule_set: RuleSet, system: str, tables: Mapping[TableName, SourceTable]) -> list[str]:
    """Everything in which the outbound rules of `system` disagree with its tables.

    That the target key is unique needs more than a table's primary key; the sink's own preflight
    looks at that.

    Args:
        rule_set: a loaded rule set.
        system: name of the target system.
        tables: the target tables as the system describes them.

    Returns:
        Errors as ``file:line:column: text``; empty when there is none.
    """
    errors = ErrorList()
    for rule in rule_set.outbound:
        if rule.system != system or rule.sink != "upsert":
            continue  # the upload sink has fixed columns, checked at load
        table = tables.get(rule.table)
        if table is None:
            errors.unknown(rule.table_location, f"table of {system}", str(rule.table), map(str, tables))
            continue
        _check_target(rule, table, errors)
    return errors.lines()


def _check_target(rule: Outbound, table: SourceTable, errors: ErrorList) -> None:
    what = f"column of {rule.table}"
    for name, ref in rule.key.items():
        check_known(ref.location, what, name, table.column_names, errors)
    for column in rule.columns.values():
        check_known(column.location, what, column.name, table.column_names, errors)
    if rule.on_delete is OnDelete.DEACTIVATE and rule.deactivate_column:
        flag = table.column(rule.deactivate_column)
        if flag is not None and flag.type is not SourceType.BOOLEAN:
            errors.add(
                rule.columns[rule.deactivate_column].location,
                f"column {flag.name} is {flag.declared}, deactivate needs a boolean",
            )
    if rule.insert:
        return
    for name in rule.columns:
        if name in table.key:
            errors.add(
                rule.columns[name].location, f"column {name} is in the primary key, which an update keeps"
            )
