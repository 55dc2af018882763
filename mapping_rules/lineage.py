"""Where each target column comes from: source column to entity column to target column."""

from __future__ import annotations

from typing import TypedDict

from mapping_rules.language.model import Inbound, InboundColumn, Outbound, OutboundColumn, RuleSet


class LineageRow(TypedDict):
    """One way of a column; empty texts where it starts or ends in staging."""

    source: str
    inbound: str
    entity_column: str
    how: str
    outbound: str
    target: str


def lineage(rule_set: RuleSet) -> tuple[LineageRow, ...]:
    """Every entity column with what feeds it and what is written from it, by entity and column."""
    feeding = {rule.entity: rule for rule in rule_set.inbound}
    written: dict[tuple[str, str], list[tuple[Outbound, str, str]]] = {}
    for rule in rule_set.outbound:
        entities = {rule.root: rule.root, **{join.alias: join.entity for join in rule.joins}}
        for name, ref in rule.key.items():
            written.setdefault((entities[ref.alias], ref.column), []).append((rule, name, "key"))
        for column in rule.columns.values():
            if column.ref:
                location = (entities[column.ref.alias], column.ref.column)
                written.setdefault(location, []).append((rule, column.name, _how_out(column)))
    names = [(entity.name, column) for entity in rule_set.entities.values() for column in entity.columns]
    names += [location for location in written if location not in set(names)]
    return tuple(
        _row(feeding.get(entity), entity, column, target)
        for entity, column in sorted(names)
        for target in written.get((entity, column), [None])
    )


def _row(
    rule: Inbound | None, entity: str, column: str, target: tuple[Outbound, str, str] | None
) -> LineageRow:
    outbound, target_column, how_out = target or (None, "", "")
    made = rule.columns.get(column) if rule else None
    sources = ", ".join(made.sources) if made else ""
    steps = [_how_in(made) if made else "made by ccbridge" if not rule else "", how_out]
    return LineageRow(
        source=f"{rule.system}: {rule.table}.{sources}" if rule else "",
        inbound=rule.name if rule else "",
        entity_column=f"{entity}.{column}",
        how="; ".join(step for step in steps if step),
        outbound=outbound.name if outbound else "",
        target=f"{outbound.system}: {outbound.table}.{target_column}" if outbound else "",
    )


def _how_in(column: InboundColumn) -> str:
    steps = [f"sql {column.sql}"] if column.sql else []
    steps += [f"value {column.constant}"] if column.constant is not None else []
    steps += column.transforms
    steps += [f"lookup {column.lookup}"] if column.lookup else []
    steps += ["zero is null"] if column.zero_is_null else []
    steps += [f"if null {column.if_null}"] if column.if_null is not None else []
    return ", ".join(steps)


def _how_out(column: OutboundColumn) -> str:
    steps = [f"lookup {column.lookup}"] if column.lookup else []
    steps += column.transforms
    steps += [f"if null {column.if_null}"] if column.if_null is not None else []
    return ", ".join(steps)
