"""Reading an outbound file: one target table from a root entity and its joins."""

from __future__ import annotations

from collections.abc import Mapping

from mapping_rules.language.errors import ErrorList, Location
from mapping_rules.language.model import Join, OnDelete, Outbound, OutboundColumn, Ref, SystemRules
from mapping_rules.language.transforms import TRANSFORMS
from mapping_rules.language.tree import ListNode, MapNode, Node, ScalarNode
from mapping_rules.reading.conditions import read_where
from mapping_rules.reading.grammar import JOIN, OUTBOUND, OUTBOUND_COLUMN, PICK, SINKS
from mapping_rules.reading.inbound_files import table_name
from mapping_rules.reading.sections import Section, check_known, check_name, names_of, text_of

DEFAULT_DEACTIVATE_COLUMN = "active"


def read_outbound(
    name: str, root: MapNode, systems: Mapping[str, SystemRules], errors: ErrorList
) -> Outbound | None:
    """One outbound rule; None when system, table or root entity are not known."""
    section = Section(root, OUTBOUND, errors, what="an outbound rule")
    system, entity = section.text("to"), section.text("from")
    known = check_known(section.location_of("to"), "system", system, systems, errors)
    table = table_name(section, systems.get(system), errors)
    key = {
        column: _ref(entity, text_of(node, errors) or "", node.location)
        for column, _, node in section.items("key")
    }
    joins = tuple(
        _join(entity, alias, location, node, errors) for alias, location, node in section.items("join")
    )
    columns = {column: _column(entity, column, node, errors) for column, _, node in section.items("columns")}
    on_delete = section.choice("on_delete", [choice.value for choice in OnDelete], OnDelete.IGNORE.value)
    if not known or table is None or not entity:
        return None
    return Outbound(
        name=name,
        system=system,
        table=table,
        sink=section.choice("sink", SINKS),
        key=key,
        root=entity,
        joins=joins,
        where=read_where(section, errors, lambda text, location: _ref(entity, text, location)),
        columns=columns,
        require=tuple(_required(text, location) for text, location in section.names("require").items()),
        on_delete=OnDelete(on_delete),
        deactivate_column=_deactivate_column(section, on_delete, errors),
        insert=section.flag("insert", True),
        location=section.location_of("from"),
        table_location=section.location_of("table"),
    )


def _ref(root: str, text: str, location: Location) -> Ref:
    alias, _, column = text.rpartition(".")
    return Ref(alias or root, column, location)


def _required(text: str, location: Location) -> Ref:
    """`alias.column` as written; a target column keeps the empty alias."""
    alias, _, column = text.rpartition(".")
    return Ref(alias, column, location)


def _deactivate_column(section: Section, on_delete: str, errors: ErrorList) -> str | None:
    if on_delete == OnDelete.DEACTIVATE:
        return section.text("deactivate_column", DEFAULT_DEACTIVATE_COLUMN)
    if "deactivate_column" in section:
        errors.add(section.location_of("deactivate_column"), "deactivate_column is for on_delete: deactivate")
    return None


def _join(root: str, alias: str, location: Location, node: Node, errors: ErrorList) -> Join:
    check_name(location, alias, errors)
    if not isinstance(node, MapNode):
        errors.add(node.location, f"join {alias}: expected a mapping")
        return Join(alias, "", (), location=location)
    section = Section(node, JOIN, errors, what=f"join {alias}")
    return Join(
        alias=alias,
        entity=section.text("entity"),
        on=_on(root, section, errors),
        where=read_where(section, errors, lambda text, at: _ref(alias, text, at)),
        order=_order(section, errors),
        location=location,
    )


def _on(root: str, section: Section, errors: ErrorList) -> tuple[tuple[str, Ref], ...]:
    node = section.node.items.get("on")
    if node is None:
        return ()
    if isinstance(node, MapNode):
        return tuple(
            (column, _ref(root, text_of(value, errors) or "", value.location))
            for column, _, value in section.items("on")
        )
    if isinstance(node, ListNode):
        shared = names_of(node, errors, what="on")
    else:
        column = text_of(node, errors)
        shared = {column: node.location} if column else {}
    return tuple((column, Ref(root, column, at)) for column, at in shared.items())


def _order(section: Section, errors: ErrorList) -> tuple[tuple[str, bool], ...]:
    node = section.node.items.get("pick")
    if node is None:
        return ()
    if not isinstance(node, MapNode):
        errors.add(node.location, "pick: expected a mapping such as {order: [column desc]}")
        return ()
    order = []
    for text, location in Section(node, PICK, errors, what="pick").names("order").items():
        column, _, direction = text.partition(" ")
        if direction not in ("", "asc", "desc"):
            errors.add(location, f"order: expected a column, then perhaps asc or desc, found {text!r}")
        order.append((column, direction == "desc"))
    return tuple(order)


def _column(root: str, name: str, node: Node, errors: ErrorList) -> OutboundColumn:
    if isinstance(node, ScalarNode):
        text = text_of(node, errors)
        return OutboundColumn(
            name, ref=_ref(root, text, node.location) if text else None, location=node.location
        )
    if not isinstance(node, MapNode):
        errors.add(node.location, f"column {name}: expected alias.column or a mapping")
        return OutboundColumn(name, location=node.location)
    section = Section(node, OUTBOUND_COLUMN, errors, what=f"column {name}")
    if ("from" in section) == ("value" in section):
        errors.add(node.location, f"column {name}: expected either from or value")
    for key in ("lookup", "transform", "if_null"):
        if "value" in section and key in section:
            errors.add(section.location_of(key), f"column {name}: {key} does nothing to a constant")
    transforms = section.names("transform")
    for transform, location in transforms.items():
        check_known(location, "transform", transform, TRANSFORMS, errors)
    text = section.text("from")
    return OutboundColumn(
        name=name,
        ref=_ref(root, text, section.location_of("from")) if text else None,
        constant=section.scalar("value"),
        lookup=section.name("lookup") or None,
        transforms=tuple(one for one in transforms if one in TRANSFORMS),
        if_null=section.scalar("if_null"),
        location=node.location,
    )
