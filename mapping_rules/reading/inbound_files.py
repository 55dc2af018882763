"""Reading an inbound file: one source table feeding one entity."""

from __future__ import annotations

from collections.abc import Mapping

from cdc.changes import TableName
from mapping_rules.language.expression_tokens import ExpressionRefused
from mapping_rules.language.expressions import sources
from mapping_rules.language.faults import Faults, Place
from mapping_rules.language.model import Inbound, InboundColumn, Ref, SystemRules
from mapping_rules.language.transforms import INBOUND_TRANSFORMS, TRANSFORMS
from mapping_rules.language.tree import MapNode, Node, ScalarNode
from mapping_rules.reading.conditions import read_where
from mapping_rules.reading.grammar import INBOUND, INBOUND_COLUMN
from mapping_rules.reading.sections import Section, check_known, text_of

_ONE_OF = ("from", "sql", "value")


def read_inbound(
    name: str, root: MapNode, systems: Mapping[str, SystemRules], faults: Faults
) -> Inbound | None:
    """One inbound rule; None when system, table or entity cannot be told."""
    section = Section(root, INBOUND, faults, what="an inbound rule")
    system = section.text("system")
    known = check_known(section.place_of("system"), "system", system, systems, faults)
    table = table_name(section, systems.get(system), faults)
    key = section.names("key")
    if "key" in section and not key:
        faults.add(section.place_of("key"), "key: expected at least one column")
    where = read_where(section, faults, lambda text, place: Ref("", text, place))
    columns = {
        column: _column(column, place, node, faults) for column, place, node in section.items("columns")
    }
    entity = section.text("entity")
    if not known or table is None or not entity:
        return None
    return Inbound(
        name=name,
        system=system,
        table=table,
        key=key,
        entity=entity,
        where=where,
        columns=columns,
        ignore=section.names("ignore"),
        ignore_if_present=section.names("ignore_if_present"),
        place=section.place_of("entity"),
        table_place=section.place_of("table"),
    )


def table_name(section: Section, system: SystemRules | None, faults: Faults) -> TableName | None:
    """The table of a rule, `schema.table` or a table of the system's own schema."""
    text = section.text("table")
    if not text:
        return None
    schema, dot, name = text.rpartition(".")
    if not dot:
        schema = (system.schema if system else None) or ""
        if system and not schema:
            faults.add(
                section.place_of("table"),
                f"table {text!r}: expected schema.table, because system {system.name} has no schema",
            )
    return TableName(schema, name)


def _column(name: str, place: Place, node: Node, faults: Faults) -> InboundColumn:
    if isinstance(node, ScalarNode):
        source = text_of(node, faults)
        return InboundColumn(name, source=source, sources=(source,) if source else (), place=node.place)
    if not isinstance(node, MapNode):
        faults.add(node.place, f"column {name}: expected a source column or a mapping")
        return InboundColumn(name, place=node.place)
    section = Section(node, INBOUND_COLUMN, faults, what=f"column {name}")
    given = [key for key in _ONE_OF if key in section]
    if len(given) != 1:
        faults.add(node.place, f"column {name}: expected one of from, sql and value, found {len(given)}")
    source, sql = section.text("from") or None, section.text("sql") or None
    if "value" in section:
        _only_value(section, name, faults)
    return InboundColumn(
        name=name,
        source=source,
        sql=sql,
        constant=section.scalar("value"),
        transforms=_transforms(section, faults),
        lookup=section.name("lookup") or None,
        zero_is_null=_zero(section, faults),
        if_null=section.scalar("if_null"),
        sources=(source,) if source else _sql_sources(section, sql, faults),
        place=node.place,
    )


def _only_value(section: Section, name: str, faults: Faults) -> None:
    for key in ("transform", "lookup", "zero", "if_null"):
        if key in section:
            faults.add(section.place_of(key), f"column {name}: {key} does nothing to a constant")


def _transforms(section: Section, faults: Faults) -> tuple[str, ...]:
    names = section.names("transform")
    for name, place in names.items():
        if name in TRANSFORMS and name not in INBOUND_TRANSFORMS:
            faults.add(place, f"transform {name!r} is for outbound rules")
        else:
            check_known(place, "transform", name, INBOUND_TRANSFORMS, faults)
    return tuple(name for name in names if name in INBOUND_TRANSFORMS)


def _zero(section: Section, faults: Faults) -> bool:
    if "zero" not in section:
        return False
    node = section.node.items["zero"]
    if not (isinstance(node, ScalarNode) and node.value is None):
        faults.add(node.place, "zero: expected null, the only meaning that 0 can be given")
    return True


def _sql_sources(section: Section, sql: str | None, faults: Faults) -> tuple[str, ...]:
    if sql is None:
        return ()
    try:
        return sources(sql)
    except ExpressionRefused as exc:
        faults.add(section.place_of("sql"), f"sql: {exc}")
        return ()
