"""Reading an inbound file: one source table feeding one entity."""

from __future__ import annotations

from collections.abc import Mapping

from cdc.changes import TableName
from mapping_rules.language.errors import ErrorList, Location
from mapping_rules.language.expression_tokens import ExpressionRefused
from mapping_rules.language.expressions import sources
from mapping_rules.language.model import Inbound, InboundColumn, Ref, SystemRules
from mapping_rules.language.transforms import INBOUND_TRANSFORMS, TRANSFORMS
from mapping_rules.language.tree import MapNode, Node, ScalarNode
from mapping_rules.reading.conditions import read_where
from mapping_rules.reading.grammar import INBOUND, INBOUND_COLUMN
from mapping_rules.reading.sections import Section, check_known, text_of

_ONE_OF = ("from", "sql", "value")


def read_inbound(
    name: str, root: MapNode, systems: Mapping[str, SystemRules], errors: ErrorList
) -> Inbound | None:
    """One inbound rule; None when system, table or entity are not known."""
    section = Section(root, INBOUND, errors, what="an inbound rule")
    system = section.text("system")
    known = check_known(section.location_of("system"), "system", system, systems, errors)
    table = table_name(section, systems.get(system), errors)
    key = section.names("key")
    if "key" in section and not key:
        errors.add(section.location_of("key"), "key: expected at least one column")
    where = read_where(section, errors, lambda text, location: Ref("", text, location))
    columns = {
        column: _column(column, location, node, errors) for column, location, node in section.items("columns")
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
        location=section.location_of("entity"),
        table_location=section.location_of("table"),
    )


def table_name(section: Section, system: SystemRules | None, errors: ErrorList) -> TableName | None:
    """The table of a rule, `schema.table` or a table of the system's own schema."""
    text = section.text("table")
    if not text:
        return None
    schema, dot, name = text.rpartition(".")
    if not dot:
        schema = (system.schema if system else None) or ""
        if system and not schema:
            errors.add(
                section.location_of("table"),
                f"table {text!r}: expected schema.table, because system {system.name} has no schema",
            )
    return TableName(schema, name)


def _column(name: str, location: Location, node: Node, errors: ErrorList) -> InboundColumn:
    if isinstance(node, ScalarNode):
        source = text_of(node, errors)
        return InboundColumn(name, source=source, sources=(source,) if source else (), location=node.location)
    if not isinstance(node, MapNode):
        errors.add(node.location, f"column {name}: expected a source column or a mapping")
        return InboundColumn(name, location=node.location)
    section = Section(node, INBOUND_COLUMN, errors, what=f"column {name}")
    given = [key for key in _ONE_OF if key in section]
    if len(given) != 1:
        errors.add(node.location, f"column {name}: expected one of from, sql and value, found {len(given)}")
    source, sql = section.text("from") or None, section.text("sql") or None
    if "value" in section:
        _only_value(section, name, errors)
    return InboundColumn(
        name=name,
        source=source,
        sql=sql,
        constant=section.scalar("value"),
        transforms=_transforms(section, errors),
        lookup=section.name("lookup") or None,
        zero_is_null=_zero(section, errors),
        if_null=section.scalar("if_null"),
        sources=(source,) if source else _sql_sources(section, sql, errors),
        location=node.location,
    )


def _only_value(section: Section, name: str, errors: ErrorList) -> None:
    for key in ("transform", "lookup", "zero", "if_null"):
        if key in section:
            errors.add(section.location_of(key), f"column {name}: {key} does nothing to a constant")


def _transforms(section: Section, errors: ErrorList) -> tuple[str, ...]:
    names = section.names("transform")
    for name, location in names.items():
        if name in TRANSFORMS and name not in INBOUND_TRANSFORMS:
            errors.add(location, f"transform {name!r} is for outbound rules")
        else:
            check_known(location, "transform", name, INBOUND_TRANSFORMS, errors)
    return tuple(name for name in names if name in INBOUND_TRANSFORMS)


def _zero(section: Section, errors: ErrorList) -> bool:
    if "zero" not in section:
        return False
    node = section.node.items["zero"]
    if not (isinstance(node, ScalarNode) and node.value is None):
        errors.add(node.location, "zero: expected null, the only meaning that 0 can be given")
    return True


def _sql_sources(section: Section, sql: str | None, errors: ErrorList) -> tuple[str, ...]:
    if sql is None:
        return ()
    try:
        return sources(sql)
    except ExpressionRefused as exc:
        errors.add(section.location_of("sql"), f"sql: {exc}")
        return ()
